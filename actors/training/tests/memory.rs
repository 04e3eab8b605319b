//! The estimate of a job's memory against what the system gave this process. Without a test harness, so that nothing else
//! allocates.

use anyhow::{Context, Result};
use traind_training::{JobSpec, Session, memory_estimate_bytes, set_threads};

/// 6.3 million parameters: everything else of the process is small beside them.
const JOB: &str = "name = \"memory\"\nsteps = 3\ndata = \"digits\"\noptimiser = \"adamw\"\n\
                   model = { kind = \"mlp\", hidden = [2048, 2048] }\n\
                   [batch]\nmicro_batches = 1\nmicro_batch_size = 64\n";
/// What a node exchanges is part of the estimate, but not of a session: 16 bytes a parameter.
const EXCHANGED_BYTES: u64 = 16;

fn main() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("memory: this system does not tell the largest size of a process");
        return Ok(());
    }
    set_threads(1);
    let spec = JobSpec::parse(JOB)?;
    let before = largest_resident_bytes()?;
    let mut session = Session::start(&spec, "cpu")?;
    let mut gradient = vec![0f32; session.layout().elements()];
    for _ in 0..spec.steps {
        session.gradient(0, &mut gradient)?;
        gradient.iter_mut().for_each(|value| *value /= 64.0);
        session.apply(&gradient)?;
        session.evaluate()?;
    }
    let used = largest_resident_bytes()? - before;
    let exchanged = EXCHANGED_BYTES * session.layout().elements() as u64;
    let estimated = memory_estimate_bytes(&spec, session.data_facts())? - exchanged;
    println!("memory: {used} bytes used, {estimated} estimated");
    assert!(used <= 2 * estimated && estimated <= 2 * used, "{used} bytes used, {estimated} estimated");
    Ok(())
}

/// The process's high-water mark.
fn largest_resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}
