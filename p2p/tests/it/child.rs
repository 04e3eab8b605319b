//! A node in a process of its own, so that it can be killed: this test binary runs itself again.

use std::io::Read;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::kit::{SWARM, options_at};

/// Set in children: folder, name of the key, boot and peer, one per line.
const ORDERS: &str = "TRAIND_P2P_TEST_CHILD";

/// A running child. Dropping it kills it.
pub(crate) struct Child(std::process::Child);

impl Child {
    pub(crate) fn start(folder: &TempDir, name: &str, boot: u64, peer: &str) -> Self {
        let orders = format!("{}\n{name}\n{boot}\n{peer}", folder.path().display());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::a_child_joins_whom_it_was_told_to", "--nocapture"])
            .env(ORDERS, orders)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With orders: the child itself, alive until its parent closes its input. Without: a child that keeps them.
#[test]
fn a_child_joins_whom_it_was_told_to() {
    match std::env::var(ORDERS) {
        Ok(orders) => {
            let orders: Vec<&str> = orders.lines().collect();
            let options = options_at(
                orders[0].as_ref(),
                orders[1],
                orders[2].parse().unwrap(),
                Some(SWARM),
                &orders[3..],
            );
            let (handle, mut events, _data) = traind_p2p::start(options).unwrap();
            std::thread::spawn(move || while events.blocking_recv().is_some() {});
            let _ = std::io::stdin().read(&mut [0u8; 1]);
            handle.shutdown();
        }
        Err(_) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let folder = tempfile::tempdir().unwrap();
                let options = options_at(folder.path(), "a", 1, Some(SWARM), &[]);
                let mut a = crate::kit::Node::start(options).await;
                let _child = Child::start(&folder, "child", 5, &a.address);
                assert_eq!(a.joined().await.1.boot.0, 5);
            });
        }
    }
}
