//! `trainctl data …`.

use std::path::{Path, PathBuf};

use super::{Failure, Output, print};
use crate::control::Client;
use crate::control::api::{Request, Response};
use crate::exit_code;
use crate::trainctl::args::DataVerb;

/// `trainctl data …`.
pub(in super::super) async fn data(socket: &Path, verb: DataVerb, output: &Output) -> Result<u8, Failure> {
    match verb {
        DataVerb::Add { name, path, kind, label, header, field } => {
            let path = absolute(&path)?;
            let request = Request::DataAdd { name, path, set_kind: kind, label, header, field };
            patient(socket, &request, output).await
        }
        DataVerb::Ls => print(socket, &Request::DataList, output).await,
        DataVerb::Show { name } => print(socket, &Request::DataShow { name }, output).await,
        DataVerb::Verify { name } => {
            let answer = Client::new(socket).call(&Request::DataVerify { name }).await?;
            output.answer(&answer)?;
            let is_whole = matches!(&answer, Response::DataVerified(verified) if verified.damaged.is_empty());
            Ok(if is_whole { exit_code::OK } else { exit_code::FAILED })
        }
        DataVerb::Rm { name } => print(socket, &Request::DataRemove { name }, output).await,
    }
}

/// Waits as long as it takes: a daemon may read many gigabytes before it answers.
async fn patient(socket: &Path, request: &Request, output: &Output) -> Result<u8, Failure> {
    output.answer(&Client::new(socket).call(request).await?)?;
    Ok(exit_code::OK)
}

/// The path that the daemon is told: it has another working directory.
pub(super) fn absolute(path: &Path) -> Result<String, Failure> {
    let refuse = |cause: String| {
        Failure::new(exit_code::USAGE, format!("the path {} cannot be told", path.display())).because(cause)
    };
    let whole: PathBuf = std::path::absolute(path).map_err(|error| refuse(error.to_string()))?;
    whole.into_os_string().into_string().map_err(|_path| refuse("it is not UTF-8".to_owned()))
}
