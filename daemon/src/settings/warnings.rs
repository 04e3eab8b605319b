//! What is allowed and yet worth a word.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Settings;

impl Settings {
    /// What an operator should know about these settings, each with the remedy.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let permissions = if self.dev { None } else { data_dir_warning(&self.data_dir) };
        let metrics = self.metrics.listen.filter(|address| !address.ip().is_loopback()).map(|address| {
            format!(
                "`metrics.listen` is {address}: whoever reaches that port can read the metrics, which say the names of \
                 jobs and nodes; let a firewall decide who does, or use 127.0.0.1"
            )
        });
        permissions.into_iter().chain(metrics).collect()
    }
}

/// The data directory holds the key of this node: it is nobody else's to enter.
fn data_dir_warning(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let what = match (mode & 0o022, mode & 0o055) {
        (0, 0) => return None,
        (0, _) => "entered",
        _ => "changed",
    };
    let path = path.display();
    Some(format!(
        "the data directory {path} can be {what} by other users (permissions {mode:04o}), and holds this node's key and \
         the checkpoints of all jobs: chmod 700 {path}"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_directory_that_others_can_enter_or_change_is_told_with_the_command() {
        let directory = tempfile::tempdir().unwrap();
        let warning = |mode| {
            std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            data_dir_warning(directory.path())
        };
        assert_eq!(warning(0o700), None);
        let readable = warning(0o750).unwrap();
        assert!(readable.contains("entered by other users (permissions 0750)"), "{readable}");
        assert!(readable.ends_with(&format!("chmod 700 {}", directory.path().display())), "{readable}");
        assert!(warning(0o770).unwrap().contains("changed by"), "a writer can replace the key");
        assert!(warning(0o702).unwrap().contains("changed by"));
        assert_eq!(data_dir_warning(Path::new("/nonexistent")), None, "it will be made with 0700");
    }
}
