//! Work is divided, and nothing is computed or sent that the exchange does not need.

use traind_integration::{Cluster, JobFile};

use crate::KIT;

const STEPS: u64 = 30;

/// Elements of LeNet: 156 + 2,416 + 48,120 + 10,164 + 850.
const ELEMENTS: u64 = 61_706;

#[tokio::test]
async fn micro_batches_and_bytes_add_up_over_the_nodes() -> anyhow::Result<()> {
    // With a limit, far above what the job needs, nothing is sent that only saves time.
    let cluster = Cluster::start_with(KIT, 3, &[("TRAIND_LIMITS__UPLOAD", "1 GB/s")]).await?;
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("division", STEPS) };
    let id = cluster.submit(&job).await?;
    let detail = cluster.finish(&id).await?;

    let computed: u64 = detail.work.iter().map(|work| work.microbatches_computed).sum();
    let taken_over: u64 = detail.work.iter().map(|work| work.microbatches_taken_over).sum();
    assert_eq!(computed, STEPS * u64::from(job.micro_batches) + taken_over, "{:?}", detail.work);
    assert_eq!(detail.work.len(), 3);
    assert!(detail.work.iter().all(|work| work.microbatches_computed > 0), "{:?}", detail.work);

    // Each part crosses the network from two members to its owner and from the owner to two members, 4 bytes a value,
    // but for blocks that need 8 (a few, mostly in the first steps) and heads of some tens of bytes a message.
    let sent: u64 = detail.work.iter().map(|work| work.exchange_bytes_sent).sum();
    let least = STEPS * ELEMENTS * 4 * 4;
    println!("sent {sent} bytes, {least} are values: ratio {:.4}", sent as f64 / least as f64);
    assert!(sent >= least && sent < least + least / 10, "sent {sent} bytes, {least} are needed");
    Ok(())
}

#[tokio::test]
async fn nodes_beyond_the_micro_batches_are_spares() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 3).await?;
    let job = JobFile { micro_batches: 2, nodes_min: 2, ..JobFile::lenet("spares", STEPS) };
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 2).await?;
    let detail = cluster.detail(&id).await?;
    assert_eq!(detail.members.len(), 2, "{:?}", detail.members);
    assert_eq!(detail.spares.len(), 1, "{:?}", detail.spares);
    cluster.finish(&id).await?;
    Ok(())
}
