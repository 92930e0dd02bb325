//! The sink's token, in a file that only the user can read.

use anyhow::{Context as _, bail};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where it is in a home.
pub(super) fn path(home: &Path) -> PathBuf {
    home.join("token")
}

/// The token of a home; made on first use.
pub(super) fn read_or_make(home: &Path) -> anyhow::Result<String> {
    match read(home)? {
        Some(token) => Ok(token),
        None => {
            let token = fresh()?;
            if write(home, &token)? { Ok(token) } else { read(home)?.context("the token is gone again") }
        }
    }
}

/// The token of a home, if it has one.
pub(super) fn read(home: &Path) -> anyhow::Result<Option<String>> {
    let path = path(home);
    let shown = || path.display().to_string();
    let mut file = match std::fs::File::open(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(|| format!("cannot read {}", shown()))?,
    };
    if file.metadata()?.mode() & 0o077 != 0 {
        bail!("others can read {0}; run `chmod 600 {0}`, or remove it to get a new token", shown());
    }
    let mut token = String::new();
    file.read_to_string(&mut token).with_context(|| format!("cannot read {}", shown()))?;
    let token = token.trim().to_string();
    if token.len() < 16 || !token.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
        bail!("{} holds no usable token; remove it to get a new one", shown());
    }
    Ok(Some(token))
}

/// A new token, not written anywhere.
pub(super) fn fresh() -> anyhow::Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}

/// Writes a token where none is; false if somebody else was faster.
pub(super) fn write(home: &Path, token: &str) -> anyhow::Result<bool> {
    let path = path(home);
    let create = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let mut file = match create {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
        created => created.with_context(|| format!("cannot create {}", path.display()))?,
    };
    file.write_all(format!("{token}\n").as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    file.sync_all()?;
    Ok(true)
}
