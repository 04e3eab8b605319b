//! A stranger on one of the hosts that connects to a node and says which addresses the node told it: in its hello, and
//! by libp2p's identify.

use std::time::Duration;

use futures::{AsyncReadExt, StreamExt};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};

/// Nothing takes longer, unless the machine is overloaded.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(NetworkBehaviour)]
struct Stranger {
    identify: identify::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// Asks the node at `address`, until it told both.
pub(crate) fn run(address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The parent ends it sooner.
    let _ = runtime.block_on(async { tokio::time::timeout(DEADLINE, ask(address)).await });
}

async fn ask(address: &str) -> ((), ()) {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Stranger {
            identify: identify::Behaviour::new(identify::Config::new("stranger/1".to_owned(), key.public())),
            stream: libp2p_stream::Behaviour::new(),
        })
        .unwrap()
        .build();
    let mut control = swarm.behaviour().stream.new_control();
    let mut incoming = control.accept(StreamProtocol::new("/traind/control/1")).unwrap();
    swarm.dial(address.parse::<Multiaddr>().unwrap()).unwrap();
    let hello = async {
        let (_, mut stream) = incoming.next().await.unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).await.unwrap();
        let mut greeting = vec![0; u32::from_le_bytes(length) as usize];
        stream.read_exact(&mut greeting).await.unwrap();
        for address in addresses(&greeting) {
            println!("hello {address}");
        }
        stream
    };
    // Drives the connection too, until the parent, which waits for both, ends this process.
    let identified = async {
        loop {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(StrangerEvent::Identify(identify::Event::Received {
                info, ..
            })) = event
            {
                for address in info.listen_addrs {
                    println!("identify {address}");
                }
                println!("identified");
            }
        }
    };
    let greeted = async {
        // Held, so that the connection stays.
        let _stream = hello.await;
        println!("greeted");
        std::future::pending::<()>().await;
    };
    tokio::join!(greeted, identified)
}

/// Texts that look like addresses.
fn addresses(greeting: &[u8]) -> Vec<String> {
    let starts = (0..greeting.len()).filter(|&start| greeting[start..].starts_with(b"/ip4/"));
    let text = |start: usize| greeting[start..].iter().take_while(|byte| byte.is_ascii_graphic());
    starts.map(|start| text(start).map(|&byte| char::from(byte)).collect()).collect()
}
