//! Finds the job or the node that a user means.

use super::api::ApiError;

/// Most jobs or nodes named in a message about an ambiguous selector.
const CANDIDATES_SHOWN_MAX: usize = 5;

/// The id of the job that `selector` names, among `jobs` as (id in hexadecimal, name): a whole id, a unique prefix of
/// one, or the name of exactly one job, in this order.
///
/// # Errors
/// `no_such_object` if there is none, `bad_request` if there are several.
pub fn select_job<'a>(
    selector: &str,
    jobs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<&'a str, ApiError> {
    select(selector, jobs, "job")
}

/// The id of the node that `selector` names, as [`select_job`] does for jobs.
///
/// # Errors
/// As [`select_job`].
pub fn select_node<'a>(
    selector: &str,
    nodes: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<&'a str, ApiError> {
    select(selector, nodes, "node")
}

fn select<'a>(
    selector: &str,
    objects: impl IntoIterator<Item = (&'a str, &'a str)>,
    what: &str,
) -> Result<&'a str, ApiError> {
    let objects: Vec<(&str, &str)> = objects.into_iter().collect();
    if let Some((id, _)) = objects.iter().find(|(id, _)| *id == selector) {
        return Ok(id);
    }
    let by_name: Vec<&str> =
        objects.iter().filter(|(_, name)| *name == selector).map(|(id, _)| *id).collect();
    let is_prefix = |id: &str| !selector.is_empty() && id.starts_with(selector);
    let by_prefix: Vec<&str> = objects.iter().filter(|(id, _)| is_prefix(id)).map(|(id, _)| *id).collect();
    match (by_prefix.as_slice(), by_name.as_slice()) {
        ([one], []) | ([], [one]) => Ok(one),
        ([one], [other]) if one == other => Ok(one),
        ([], []) => {
            let message = format!("no {what} {selector:?}");
            Err(ApiError::no_such_object(message).next(format!("trainctl {what} ls")))
        }
        _ => {
            let mut all: Vec<&str> = by_prefix.into_iter().chain(by_name).collect();
            all.sort_unstable();
            all.dedup();
            let shown: Vec<&str> = all.iter().copied().take(CANDIDATES_SHOWN_MAX).collect();
            let message = format!("{selector:?} names {} {what}s: {}", all.len(), shown.join(", "));
            Err(ApiError::bad_request(message)
                .because("a prefix or name must be unique")
                .next(format!("trainctl {what} ls")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::ErrorCode;

    #[test]
    fn ids_prefixes_and_names_select_one_job_or_say_why_not() {
        let jobs = [("0a11", "first"), ("0a12", "twin"), ("0b00", "twin"), ("0c00", "0a11")];
        let select = |selector| select_job(selector, jobs);
        assert_eq!(select("0a11").unwrap(), "0a11", "an id wins over a name");
        assert_eq!(select("0b").unwrap(), "0b00");
        assert_eq!(select("first").unwrap(), "0a11");
        assert_eq!(select("0a").unwrap_err().code, ErrorCode::BadRequest);
        let twins = select("twin").unwrap_err();
        assert_eq!(
            (twins.code, twins.message.as_str()),
            (ErrorCode::BadRequest, "\"twin\" names 2 jobs: 0a12, 0b00")
        );
        assert_eq!(select("ff").unwrap_err().code, ErrorCode::NoSuchObject);
        assert_eq!(select("").unwrap_err().code, ErrorCode::NoSuchObject);
        assert_eq!(select("b0").unwrap_err().code, ErrorCode::NoSuchObject, "only a prefix counts");
        let nodes = [("aa", "calm-lark-01")];
        assert_eq!(select_node("calm-lark-01", nodes).unwrap(), "aa");
        assert_eq!(select_node("bb", nodes).unwrap_err().next.as_deref(), Some("trainctl node ls"));
    }
}
