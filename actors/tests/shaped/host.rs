//! Hosts: network namespaces with one card each, on a bridge in a namespace of its own, and a shaped way to one of them.
//! The machine's own network is not touched.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// What all names of these tests begin with; then comes the process.
const PREFIX: &str = "traind-shaped-";

/// Runs a program of iproute2.
fn run(program: &str, arguments: &str) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments.split_whitespace()).output().with_context(|| {
        format!("`{program}` cannot be run; this test needs iproute2: apt-get install -y iproute2")
    })?;
    if !output.status.success() {
        bail!(
            "`{program} {arguments}`: {}\nthis test needs CAP_NET_ADMIN to make network namespaces: run it as root",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Namespaces. Dropping them removes them, also when a test fails.
pub(crate) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// `count` hosts.
    pub(crate) fn new(count: usize) -> anyhow::Result<Self> {
        sweep()?;
        let name = |end: &str| format!("{PREFIX}{}-{end}", std::process::id());
        let mut hosts = Self { names: Vec::new() };
        let switch = name("switch");
        hosts.add(switch.clone())?;
        run("ip", &format!("-n {switch} link add bridge type bridge"))?;
        run("ip", &format!("-n {switch} link set bridge up"))?;
        for index in 0..count {
            let host = name(&index.to_string());
            hosts.add(host.clone())?;
            for step in [
                format!("-n {switch} link add port{index} type veth peer name eth0 netns {host}"),
                format!("-n {switch} link set port{index} master bridge up"),
                format!("-n {host} link set lo up"),
                format!("-n {host} address add {}/24 dev eth0", Self::ip(index)),
                format!("-n {host} link set eth0 up"),
            ] {
                run("ip", &step)?;
            }
        }
        Ok(hosts)
    }

    /// What goes to that host goes at this rate, from now on.
    pub(crate) fn shape(&self, index: usize, megabits_per_second: u64) -> anyhow::Result<()> {
        let switch = &self.names[0];
        let shape = format!("tbf rate {megabits_per_second}mbit burst 256kb latency 50ms");
        run("tc", &format!("-n {switch} qdisc replace dev port{index} root {shape}")).map(|_| ())
    }

    /// The address of a host's card.
    pub(crate) fn ip(index: usize) -> String {
        format!("10.78.0.{}", index + 1)
    }

    fn add(&mut self, name: String) -> anyhow::Result<()> {
        run("ip", &format!("netns add {name}"))?;
        self.names.push(name);
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = run("ip", &format!("netns delete {name}")) {
                eprintln!("left behind: {error}");
            }
        }
    }
}

/// Removes what a run left behind that was killed before it could.
fn sweep() -> anyhow::Result<()> {
    for line in run("ip", "netns list")?.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            run("ip", &format!("netns delete {name}"))?;
        }
    }
    Ok(())
}

/// This program again, on one of the hosts. Dropping it kills it.
pub(crate) struct Child {
    process: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Child {
    pub(crate) fn start(hosts: &Hosts, index: usize, arguments: &[String]) -> anyhow::Result<Self> {
        // The first name is the switch's.
        let mut process = Command::new("ip")
            .args(["netns", "exec", &hosts.names[index + 1]])
            .arg(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("the child has no output")?;
        Ok(Self { process, lines: BufReader::new(output).lines() })
    }

    /// What follows the next line with this beginning. The child gives up by itself when something takes too long.
    pub(crate) fn wait(&mut self, beginning: &str) -> anyhow::Result<String> {
        for line in self.lines.by_ref() {
            let line = line?;
            if let Some(rest) = line.strip_prefix(beginning) {
                return Ok(rest.trim().to_owned());
            }
        }
        bail!("the child ended before it said '{beginning}'")
    }

    /// Tells it something.
    pub(crate) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.process.stdin.as_mut().context("the child has no input")?;
        writeln!(input, "{line}")?;
        Ok(input.flush()?)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
