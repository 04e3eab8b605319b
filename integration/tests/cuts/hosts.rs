//! Hosts: network namespaces with one card each, on a bridge in a namespace of its own. The machine's own network is not
//! touched.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// What all names of these tests begin with; then comes the process.
const PREFIX: &str = "traind-cuts-";

/// A card that nobody has: frames to it are lost without a word.
const NOBODY: &str = "02:00:00:00:00:01";

/// Runs `ip`.
fn ip(arguments: &str) -> anyhow::Result<String> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output();
    let output =
        output.context("`ip` cannot be run; this test needs iproute2: apt-get install -y iproute2")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("`ip {arguments}`: {said}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Namespaces. Dropping them removes them, also when a test fails.
pub(crate) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// `count` hosts that reach each other.
    pub(crate) fn new(count: usize) -> anyhow::Result<Self> {
        sweep()?;
        // Made first, so that what was made is removed if the rest fails.
        let mut hosts = Self { names: Vec::new() };
        hosts.make(count).context(
            "making network namespaces; this test needs CAP_NET_ADMIN and CAP_SYS_ADMIN: run it as root",
        )?;
        Ok(hosts)
    }

    fn make(&mut self, count: usize) -> anyhow::Result<()> {
        let name = |end: &str| format!("{PREFIX}{}-{end}", std::process::id());
        for index in 0..count {
            self.add(name(&index.to_string()))?;
        }
        let switch = name("switch");
        self.add(switch.clone())?;
        ip(&format!("-n {switch} link add bridge type bridge mcast_snooping 0"))?;
        ip(&format!("-n {switch} link set bridge up"))?;
        for index in 0..count {
            let host = self.name(index).to_owned();
            ip(&format!("-n {switch} link add port{index} type veth peer name eth0 netns {host}"))?;
            ip(&format!("-n {switch} link set port{index} master bridge up"))?;
            ip(&format!("-n {host} link set lo up"))?;
            ip(&format!("-n {host} address add {}/24 dev eth0", Self::address(index)))?;
            ip(&format!("-n {host} link set eth0 up"))?;
        }
        Ok(())
    }

    fn add(&mut self, name: String) -> anyhow::Result<()> {
        ip(&format!("netns add {name}"))?;
        self.names.push(name);
        Ok(())
    }

    /// The name of a host's namespace.
    pub(crate) fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The address of a host's card.
    pub(crate) fn address(index: usize) -> String {
        format!("10.88.0.{}", index + 1)
    }

    /// From now on nothing that `from` sends reaches `to`. The other way is as it was.
    pub(crate) fn cut(&self, from: usize, to: usize) -> anyhow::Result<()> {
        let (host, address) = (self.name(from), Self::address(to));
        ip(&format!("-n {host} neighbour replace {address} lladdr {NOBODY} dev eth0 nud permanent"))?;
        Ok(())
    }

    /// Undoes [`Self::cut`].
    pub(crate) fn mend(&self, from: usize, to: usize) -> anyhow::Result<()> {
        ip(&format!("-n {} neighbour delete {} dev eth0", self.name(from), Self::address(to)))?;
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = ip(&format!("netns delete {name}")) {
                eprintln!("left behind: {error:#}");
            }
        }
    }
}

/// Removes what a run left behind that was killed before it could.
fn sweep() -> anyhow::Result<()> {
    for line in ip("netns list")?.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            ip(&format!("netns delete {name}"))?;
        }
    }
    Ok(())
}
