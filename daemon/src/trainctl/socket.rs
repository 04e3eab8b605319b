//! Which control socket to talk to, and why it may not be.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Where daemons of this machine listen, packaged and by default.
const SOCKETS_DEFAULT: [&str; 2] = ["/run/traind/control.sock", "/var/lib/traind/control.sock"];

/// The named socket, else the first default that exists, else the last, so that a message can name it.
pub(super) fn find(named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| {
        let [packaged, own] = SOCKETS_DEFAULT.map(PathBuf::from);
        // One that cannot be looked at exists too: its directory is for others.
        let is_missing =
            packaged.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if is_missing { own } else { packaged }
    })
}

/// Why a socket cannot be talked to, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    /// Whose it is, and what its mode allows.
    pub(super) cause: String,
    /// The command to run.
    pub(super) next: String,
}

/// Explains why the system denies `socket` to this user: the nearest thing on the way to it that can be looked at says
/// whose it is.
pub(super) fn explain_denied(socket: &Path) -> Denied {
    let sudo = "run trainctl with sudo".to_owned();
    let looked_at = socket.ancestors().find_map(|path| Some((path, path.symlink_metadata().ok()?)));
    let Some((path, metadata)) = looked_at else {
        return Denied { cause: "the way to it is closed to this user".into(), next: sudo };
    };
    let owner = name_of("/etc/passwd", metadata.uid());
    let group = name_of("/etc/group", metadata.gid());
    let (permissions, mut needed) = (metadata.mode() & 0o7777, 0o010);
    let mut what = path.display().to_string();
    if metadata.file_type().is_socket() {
        (what, needed) = ("it".into(), 0o020);
    }
    let cause = format!("{what} belongs to user {owner} and group {group}, its mode is {permissions:04o}");
    let is_for_group = permissions & needed == needed && metadata.gid() != 0;
    let next = if is_for_group {
        format!("sudo usermod -aG {group} $USER, then log in again; or {sudo}")
    } else if metadata.uid() == 0 {
        sudo
    } else {
        format!("sudo -u {owner} trainctl …, or {sudo}")
    };
    Denied { cause, next }
}

/// The name of `id` in a file of lines `name:x:id:…`, or the id itself.
fn name_of(file: &str, id: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let named = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_denied_socket_is_explained_by_its_owner_group_and_mode() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
        let metadata = socket.metadata().unwrap();
        let owner = name_of("/etc/passwd", metadata.uid());
        let group = name_of("/etc/group", metadata.gid());
        let denied = explain_denied(&socket);
        assert_eq!(denied.cause, format!("it belongs to user {owner} and group {group}, its mode is 0600"));
        assert!(denied.next.contains("sudo") && !denied.next.contains("usermod"), "{denied:?}");
        let missing = explain_denied(&directory.path().join("not/there.sock"));
        assert!(missing.cause.starts_with(&format!("{} belongs", directory.path().display())), "{missing:?}");
    }

    #[test]
    fn ids_have_names_where_the_file_has_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "root:x:0:\ntraind:x:977:alice\nbroken\n").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(name_of(path, 977), "traind");
        assert_eq!(name_of(path, 4), "4");
        assert_eq!(name_of("/nonexistent", 5), "5");
    }
}
