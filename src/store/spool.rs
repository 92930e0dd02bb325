//! The spool: one file per host and UTC day, appended by hooks, followed by offset like a transcript.
//!
//! Each write begins and ends with a newline, so that a torn line cannot take its neighbour along. No lock, no rename, no
//! claim: the kernel keeps appends of one write apart.

use crate::model::Day;
use rustix::fs::{Mode, OFlags};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A day's file is not written beyond this; what comes then is counted in a file beside it.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// The folder of the spool in a home.
pub fn folder(home: &Path) -> PathBuf {
    home.join("spool")
}

/// Appends one line (without line ends in it) for a host and day. Creates what is missing, private to the user.
///
/// # Errors
/// The file cannot be written, or the folder belongs to somebody else or is a link.
pub fn append(home: &Path, host: &str, day: Day, line: &[u8]) -> io::Result<()> {
    let dir = folder(home);
    let name = format!("{}-{day}.jsonl", safe_host(host));
    let dir = match open_folder(&dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            create_private_dir(&dir)?;
            open_folder(&dir)?
        }
        other => other?,
    };
    let mut file = open(&dir, &name)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.nlink() > 1 || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("the spool file is not a private file"));
    }
    if meta.len() > MAX_FILE_BYTES {
        // One byte per lost line: its size is the count.
        return open(&dir, &format!("{name}.dropped"))?.write_all(b".");
    }
    let mut bytes = Vec::with_capacity(line.len() + 2);
    bytes.push(b'\n');
    bytes.extend_from_slice(line);
    bytes.push(b'\n');
    let written = file.write(&bytes)?;
    if written < bytes.len() {
        return Err(io::Error::from(io::ErrorKind::StorageFull));
    }
    Ok(())
}

/// The folder itself, never what a link in its place leads to.
fn open_folder(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::empty())?)
}

fn open(dir: &OwnedFd, name: &str) -> io::Result<std::fs::File> {
    let flags =
        OFlags::APPEND | OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Creates a folder (and its parents) that only the user can enter. One that was there before stays as it is, but is refused
/// if it is a link, somebody else's, or if others can write to it.
///
/// # Errors
/// It cannot be created, or it exists and is not a folder that only this user can write to.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let meta = std::fs::symlink_metadata(dir)?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        let text = format!("{} is not a folder of this user", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if meta.permissions().mode() & 0o022 != 0 {
        let text = format!("others can write to {0}; run `chmod 700 {0}`, or choose another home", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

/// A host name that is safe in a file name.
fn safe_host(host: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '_' };
    let name: String = host.chars().take(64).map(safe).collect();
    if name.trim_matches(['.', '_']).is_empty() { "host".to_string() } else { name }
}

/// The day in the name of a spool file; `None` for other files.
pub fn day_of(name: &str) -> Option<Day> {
    let stem = name.strip_suffix(".jsonl")?;
    Day::parse(stem.get(stem.len().checked_sub(10)?..)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_private_and_apart() {
        let home = tempfile::tempdir().unwrap();
        let day = Day::parse("2026-11-21").unwrap();
        append(home.path(), "my/host", day, b"{\"a\":1}").unwrap();
        append(home.path(), "my/host", day, b"{\"a\":2}").unwrap();
        let path = folder(home.path()).join("my_host-2026-11-21.jsonl");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "\n{\"a\":1}\n\n{\"a\":2}\n");
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder(home.path()))), (0o600, 0o700));
    }

    #[test]
    fn planted_links_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let day = Day::parse("2026-11-21").unwrap();
        create_private_dir(&folder(home.path())).unwrap();
        let target = home.path().join("target");
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, folder(home.path()).join("h-2026-11-21.jsonl")).unwrap();
        assert!(append(home.path(), "h", day, b"x").is_err());
        std::fs::hard_link(&target, folder(home.path()).join("g-2026-11-21.jsonl")).unwrap();
        assert!(append(home.path(), "g", day, b"x").is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn names_have_days() {
        assert_eq!(day_of("a.b-c-2026-11-21.jsonl").unwrap().to_string(), "2026-11-21");
        assert_eq!(day_of("2026-11-21.jsonl").unwrap().to_string(), "2026-11-21");
        for bad in ["x.jsonl", "h-2026-11-21.jsonl.dropped", "h-2026-13-21.jsonl"] {
            assert!(day_of(bad).is_none(), "{bad}");
        }
        assert_eq!(safe_host(".."), "host");
    }
}
