//! Hosts: network namespaces with one card each, on a bridge in a namespace of its own. The machine's own network is not
//! touched.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// What all names of these tests begin with; then comes the process.
const PREFIX: &str = "traind-test-";
/// Nothing that is waited for takes longer, unless the machine is overloaded.
const DEADLINE: Duration = Duration::from_secs(60);
/// Lines of a child that wait to be read.
const LINES_MAX: usize = 1024;

/// Runs `ip`; what it complains about otherwise.
fn ip(arguments: &str) -> Result<String, String> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output();
    let output = output.map_err(|error| {
        format!("`ip` cannot be run ({error}); this test needs iproute2: apt-get install -y iproute2")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("`ip {arguments}`: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Namespaces. Dropping them removes them, also when a test fails.
pub(crate) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// `count` hosts, each with the address `docker` on an interface named docker0 that leads nowhere.
    pub(crate) fn new(count: usize, docker: &str) -> Self {
        sweep();
        let name = |end: &str| format!("{PREFIX}{}-{end}", std::process::id());
        // Made first, so that what was made is removed if the rest fails.
        let mut hosts = Self { names: Vec::new() };
        let switch = name("switch");
        hosts.add(switch.clone());
        must(&format!("-n {switch} link add bridge type bridge mcast_snooping 0"));
        must(&format!("-n {switch} link set bridge up"));
        for index in 0..count {
            let host = name(&index.to_string());
            hosts.add(host.clone());
            must(&format!("-n {switch} link add port{index} type veth peer name eth0 netns {host}"));
            must(&format!("-n {switch} link set port{index} master bridge up"));
            must(&format!("-n {host} link set lo up"));
            must(&format!("-n {host} address add 10.77.0.{}/24 dev eth0", index + 1));
            must(&format!("-n {host} link set eth0 up"));
            // With a carrier, as a bridge has once a container runs.
            must(&format!("-n {host} link add docker0 type veth peer name vethtest"));
            must(&format!("-n {host} link set vethtest up"));
            must(&format!("-n {host} address add {docker}/16 dev docker0"));
            must(&format!("-n {host} link set docker0 up"));
        }
        hosts
    }

    /// The address of a host's card.
    pub(crate) fn ip(&self, index: usize) -> String {
        format!("10.77.0.{}", index + 1)
    }

    fn add(&mut self, name: String) {
        must(&format!("netns add {name}"));
        self.names.push(name);
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = ip(&format!("netns delete {name}")) {
                eprintln!("left behind: {error}");
            }
        }
    }
}

fn must(arguments: &str) {
    if let Err(error) = ip(arguments) {
        panic!("{error}\nthis test needs CAP_NET_ADMIN to make network namespaces: run it as root");
    }
}

/// Removes what a run left behind that was killed before it could.
fn sweep() {
    for line in ip("netns list").unwrap_or_else(|error| panic!("{error}")).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

/// This program again, on one of the hosts. Dropping it kills it.
pub(crate) struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    /// Lines that were waited for already.
    taken: usize,
}

impl Child {
    pub(crate) fn start(hosts: &Hosts, index: usize, arguments: &[String]) -> Self {
        // The first name is the switch's.
        let mut process = Command::new("ip")
            .args(["netns", "exec", &hosts.names[index + 1]])
            .arg(std::env::current_exe().unwrap())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let (sender, lines) = sync_channel(LINES_MAX);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, lines, seen: Vec::new(), taken: 0 }
    }

    /// The next line with this beginning, after the one that was waited for before.
    pub(crate) fn wait(&mut self, beginning: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let found = self.seen[self.taken..].iter().position(|line| line.starts_with(beginning));
            if let Some(found) = found {
                let line = self.seen.remove(self.taken + found);
                self.seen.insert(self.taken, line.clone());
                self.taken += 1;
                return line;
            }
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("'{beginning}' did not come in {DEADLINE:?}; seen: {:#?}", self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the child ended before '{beginning}'; seen: {:#?}", self.seen)
                }
            }
        }
    }

    /// Ends it and gives all that it said.
    pub(crate) fn end(mut self) -> Vec<String> {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            self.seen.push(line);
        }
        std::mem::take(&mut self.seen)
    }
}

impl Child {
    /// Kills it and gives all that it said.
    pub(crate) fn stop(mut self) -> Vec<String> {
        let _ = self.process.kill();
        self.end()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
