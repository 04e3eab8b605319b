//! Language models: text on each node, a tokenizer that each trains for itself, tests on the way, early stopping, and what the
//! model writes.

use serde_json::Value;
use traind::control::api::{JobDetail, JobStatus};
use traind_integration::{Cluster, JobFile};

use crate::KIT;
use crate::shell::Shell;

/// Enough for a vocabulary of 300 tokens and some sequences.
fn text() -> String {
    (0..400)
        .map(|line| format!("Line {line} of the text says that {} is {}.\n", line * 3, line * line))
        .collect()
}

fn write(cluster: &Cluster, text: &str) -> anyhow::Result<()> {
    for daemon in &cluster.daemons {
        std::fs::write(daemon.files().join("text.txt"), text)?;
    }
    Ok(())
}

async fn finished(nodes: u32, job: &JobFile) -> anyhow::Result<(Cluster, JobDetail)> {
    let cluster = Cluster::start(KIT, nodes as usize).await?;
    write(&cluster, &text())?;
    let id = cluster.submit(&JobFile { nodes_min: nodes, ..job.clone() }).await?;
    let detail = cluster.finish(&id).await?;
    Ok((cluster, detail))
}

#[tokio::test]
async fn a_language_model_learns_the_same_on_one_node_and_on_three_and_writes() -> anyhow::Result<()> {
    let job = JobFile { evaluation_every: 10, ..JobFile::llama("writer", 40) };
    let (cluster, alone) = finished(1, &job).await?;
    // Clusters compute in turn: the next one waits until this one is gone.
    drop(cluster);
    let (cluster, together) = finished(3, &job).await?;
    let result = together.result.clone().expect("a finished job has a result");
    assert_eq!(alone.result.expect("a finished job has a result").digest, result.digest);
    assert_eq!(alone.evaluations, together.evaluations, "the tests' totals are exact");
    let losses: Vec<f64> = together.evaluations.iter().filter_map(|point| point.loss).collect();
    assert_eq!(losses.len(), 3);
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    // Every token of every held-out sequence, each once.
    assert!(
        together.evaluations.iter().all(|point| point.total == result.test_total && point.total % 32 == 0)
    );

    let shell = Shell::at_holder(&cluster, "writer").await?;
    let directory = cluster.folder().join("model").display().to_string();
    shell.text(&["checkpoint", "export", "writer", "--out", &directory]).await?;
    let mut names: Vec<String> = std::fs::read_dir(&directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<anyhow::Result<_>>()?;
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    let config: Value = serde_json::from_slice(&std::fs::read(format!("{directory}/config.json"))?)?;
    assert_eq!((&config["model_type"], &config["vocab_size"]), (&"llama".into(), &300.into()));

    let prompt = "Line 7 of the text";
    let ask =
        |from: &str| ["generate".to_owned(), from.to_owned(), prompt.to_owned(), "--tokens=12".to_owned()];
    let (of_job, of_directory) = (ask("writer"), ask(&directory));
    let of_job = shell.text(&of_job.each_ref().map(String::as_str)).await?;
    assert!(
        of_job.starts_with(prompt) && of_job.len() > prompt.len() + 1 && of_job.ends_with('\n'),
        "{of_job:?}"
    );
    assert_eq!(
        shell.text(&of_directory.each_ref().map(String::as_str)).await?,
        of_job,
        "one model, one text"
    );
    let long = prompt.repeat(20);
    let (_code, words) = shell.refused(&["generate", "writer", &long]).await?;
    assert!(words.contains("tokens, the model goes on with 1 to 63"), "{words}");

    // The directory is what another job starts from, with the tokenizer that the model was trained with.
    let next = JobFile::llama("again", 5);
    let file = cluster.folder().join("again.toml");
    std::fs::write(&file, next.toml())?;
    let file = file.display().to_string();
    shell.text(&["job", "submit", &file, "--from", &directory]).await?;
    std::fs::write(&file, next.toml().replace("hidden_size = 32", "hidden_size = 64"))?;
    let (code, words) = shell.refused(&["job", "submit", &file, "--from", &directory]).await?;
    assert!(
        code == Some(2) && words.contains("hidden_size is 32, the job's model.hidden_size is 64"),
        "{words}"
    );
    Ok(())
}

/// A rate so high that nothing is learnt, and a job of many more steps than it does.
#[tokio::test]
async fn a_job_that_does_not_get_better_ends_at_the_same_step_whoever_is_there() -> anyhow::Result<()> {
    let job =
        JobFile { evaluation_every: 3, patience: 2, learning_rate: 1e-12, ..JobFile::llama("stuck", 10_000) };
    let mut ends = Vec::new();
    for nodes in [1, 3] {
        let (_cluster, detail) = finished(nodes, &job).await?;
        assert_eq!(detail.status, JobStatus::Finished);
        let result = detail.result.expect("a finished job has a result");
        assert_eq!(detail.evaluations.last().map(|point| point.step + 1), Some(detail.step));
        ends.push((detail.step, result.digest));
    }
    assert_eq!(ends[0], ends[1], "step and digest do not depend on the nodes");
    assert!(ends[0].0 < 10_000, "{ends:?}");
    Ok(())
}

#[tokio::test]
async fn text_that_cannot_be_used_is_refused_with_file_and_place() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 1).await?;
    let shell = Shell::at(&cluster.daemons[0]);
    let job = JobFile::llama("refused", 5);
    let file = cluster.folder().join("refused.toml");
    std::fs::write(&file, job.toml())?;
    let file = file.display().to_string();
    let path = cluster.daemons[0].files().join("text.txt");
    let good = text();
    for (bytes, toml, words) in [
        (Vec::new(), job.toml(), "text.txt holds no text".to_owned()),
        (b"caf\xe9\n".to_vec(), job.toml(), "text.txt, byte 3 (line 1): not UTF-8".to_owned()),
        (
            good.clone().into_bytes(),
            job.toml().replace("vocab_size = 300", "vocab_size = 299"),
            "the tokenizer has 300 ids, the model's table of embeddings 299 rows".to_owned(),
        ),
        (
            good.clone().into_bytes(),
            job.toml().replace("sequence_tokens = 32", "sequence_tokens = 65"),
            "sequences have 65 tokens, the model takes at most 64".to_owned(),
        ),
        (
            b"{\"text\": \"a\"}\n{\"body\": \"a\"}\n".to_vec(),
            job.toml().replace("kind = \"text\"", "kind = \"jsonl\""),
            "text.txt, line 2: the fields are \"body\", but the job's data.field is \"text\"".to_owned(),
        ),
    ] {
        std::fs::write(&path, bytes)?;
        std::fs::write(&file, toml)?;
        let (_code, told) = shell.refused(&["job", "submit", &file]).await?;
        assert!(told.contains(&words), "{words:?} is not in {told}");
    }
    Ok(())
}
