//! Files whose bytes follow a line on the connection: models to start from, exported checkpoints.

use std::io;

use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::api::{ApiError, CheckpointExport, ExportedFile, Response, Upload};
use super::backend::{ControlBackend, Export, StagedModel};
use super::conversation::{Connection, IDLE_MAX};

/// Longest model that a client may send, bytes: a model of 250 million parameters.
pub const MODEL_BYTES_MAX: u64 = 1 << 30;

/// How the names of files begin, in the data directory, that hold a model while it is sent.
pub const STAGED_MODEL_PREFIX: &str = "model-";

/// Read and written at a time, bytes: enough that system calls do not matter.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// Receives a model into the staging directory. A refusal that leaves bytes unread ends the connection with `Err` after
/// it was told; otherwise the connection can go on.
pub(super) async fn receive<B: ControlBackend>(
    connection: &mut Connection,
    upload: &Upload,
    backend: &B,
    uploads: &Semaphore,
) -> io::Result<Result<StagedModel, ApiError>> {
    let staged = match prepare(upload, backend, uploads) {
        Ok(staged) => staged,
        Err(error) => {
            // What the client has begun to send is not a request.
            connection.send(&Response::Error(error)).await?;
            return Err(io::ErrorKind::InvalidInput.into());
        }
    };
    let (_place, staged) = staged;
    let mut writer = match staged.reopen() {
        Ok(file) => tokio::fs::File::from_std(file),
        Err(error) => return Err(tell_full(connection, error).await),
    };
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = upload.bytes;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let count = timeout(IDLE_MAX, connection.reader.read(&mut chunk[..wanted])).await??;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&chunk[..count]);
        if let Err(error) = writer.write_all(&chunk[..count]).await {
            return Err(tell_full(connection, error).await);
        }
        left -= count as u64;
    }
    if let Err(error) = writer.flush().await {
        return Err(tell_full(connection, error).await);
    }
    if hasher.finalize().to_hex().as_str() != upload.blake3 {
        let error = ApiError::bad_request("the model's bytes are not those that were announced");
        return Ok(Err(error.because("the file changed while it was sent").next("submit the job again")));
    }
    Ok(Ok(StagedModel { file: staged, bytes: upload.bytes, blake3: upload.blake3.clone() }))
}

fn prepare<'a, B: ControlBackend>(
    upload: &Upload,
    backend: &B,
    uploads: &'a Semaphore,
) -> Result<(tokio::sync::SemaphorePermit<'a>, NamedTempFile), ApiError> {
    if upload.bytes > MODEL_BYTES_MAX {
        let message = format!("the model has {} bytes, more than {MODEL_BYTES_MAX}", upload.bytes);
        return Err(ApiError::bad_request(message));
    }
    let place = uploads.try_acquire().map_err(|_| {
        ApiError::unavailable("other models are being sent to this daemon").next("try again later")
    })?;
    let staged =
        tempfile::Builder::new().prefix(STAGED_MODEL_PREFIX).tempfile_in(backend.staging_directory());
    let staged = staged.map_err(|error| cannot_keep(&error))?;
    Ok((place, staged))
}

fn cannot_keep(error: &io::Error) -> ApiError {
    ApiError::unavailable("the daemon cannot keep the model")
        .because(error.to_string())
        .next("trainctl status")
}

/// Tells that the model cannot be kept; the connection is then of no more use.
async fn tell_full(connection: &mut Connection, error: io::Error) -> io::Error {
    // If that cannot be sent, the client is gone.
    let _ = connection.send(&Response::Error(cannot_keep(&error))).await;
    error
}

/// Sends an export: its description, then the bytes of its files.
pub(super) async fn send(connection: &mut Connection, export: Export) -> io::Result<()> {
    let describe = |(name, content): &(String, Vec<u8>)| ExportedFile {
        name: name.clone(),
        bytes: content.len() as u64,
        blake3: blake3::hash(content).to_hex().to_string(),
    };
    // Not beside what else this thread does: a model may have gigabytes.
    let files = export.files;
    let described = tokio::task::spawn_blocking(move || {
        let described: Vec<ExportedFile> = files.iter().map(describe).collect();
        (files, described)
    });
    let (contents, files) = described.await.map_err(io::Error::other)?;
    let description = CheckpointExport {
        files,
        job: export.job,
        job_name: export.job_name,
        step: export.step,
        digest: export.digest,
    };
    connection.send(&Response::CheckpointExport(description)).await?;
    for (_name, content) in &contents {
        for chunk in content.chunks(CHUNK_BYTES) {
            connection.write(chunk).await?;
        }
    }
    Ok(())
}
