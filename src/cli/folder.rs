//! A folder of files that is either whole or not there, and that takes nothing away but what it has itself brought.

use super::context::write_file;
use crate::report::chargeback::{File, MANIFEST, written};
use anyhow::{Context as _, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Writes files, one of them their manifest, as a folder that takes the place of an earlier one when it is whole. Only what the
/// earlier manifest lists goes; whatever else is in the folder stays.
pub(super) fn write_folder(dir: &Path, files: &[File], force: bool) -> anyhow::Result<()> {
    let resolved = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    let (dir, name) = (resolved.as_path(), resolved.file_name().unwrap_or_default().to_string_lossy());
    let parent = dir.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let work = || -> anyhow::Result<()> {
        let earlier = earlier(dir, files, force)?;
        let new = tempfile::Builder::new()
            .prefix(&format!(".{name}-"))
            .tempdir_in(parent.context("it has no folder around it")?)
            // The name of the temporary folder would only confuse.
            .map_err(|e| io::Error::from(e.kind()))?;
        for (name, bytes) in files {
            write_file(&new.path().join(name), bytes)?;
        }
        let Some(listed) = earlier else {
            fs::rename(new.path(), dir)?;
            drop(new.keep());
            return Ok(());
        };
        fs::set_permissions(new.path(), fs::metadata(dir)?.permissions())?;
        let old = exchange(new, dir)?;
        clear(&old, &listed, dir).with_context(|| format!("what was in it before is in {}", old.display()))
    };
    work().with_context(|| format!("cannot write {}", dir.display()))
}

/// The files that may be taken away, by what is in the folder; nothing if it is empty or not there.
fn earlier(dir: &Path, files: &[File], force: bool) -> anyhow::Result<Option<BTreeMap<OsString, String>>> {
    let there = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?,
    };
    if there.is_empty() {
        return Ok(None);
    }
    let manifest = fs::read(dir.join(MANIFEST)).ok();
    let listed: BTreeMap<OsString, String> = match manifest.as_deref().and_then(|bytes| Some((bytes, written(bytes)?)))
    {
        None if !force => {
            bail!("it is not empty and no chargeback; choose another folder, or --force to write beside what is there")
        }
        None => BTreeMap::new(),
        Some((bytes, files)) => {
            let files = files.into_iter().map(|(name, hash)| (OsString::from(name), hash));
            files.chain([(OsString::from(MANIFEST), sha256(bytes))]).collect()
        }
    };
    for name in &there {
        let path = dir.join(name);
        match listed.get(name) {
            Some(_) if !fs::symlink_metadata(&path)?.is_file() => bail!("{} is no longer a file", path.display()),
            Some(hash) if !force && sha256(&fs::read(&path)?) != *hash => {
                bail!("{} was changed since it was written; --force replaces it", path.display())
            }
            None if files.iter().any(|(new, _)| new.as_str() == name) => {
                bail!("{} is in the way, and not listed in the {MANIFEST} of a chargeback", path.display())
            }
            _ => {}
        }
    }
    Ok(Some(listed))
}

/// Puts the new folder in the place of the other; returns where that is now.
fn exchange(new: tempfile::TempDir, dir: &Path) -> io::Result<PathBuf> {
    if renameat_with(CWD, new.path(), CWD, dir, RenameFlags::EXCHANGE).is_ok() {
        return Ok(new.keep());
    }
    // Not every file system can exchange: then there is no folder for a moment.
    let mut aside = new.path().as_os_str().to_os_string();
    aside.push(".old");
    let aside = PathBuf::from(aside);
    fs::rename(dir, &aside)?;
    if let Err(e) = fs::rename(new.path(), dir) {
        fs::rename(&aside, dir)?;
        return Err(e);
    }
    drop(new.keep());
    Ok(aside)
}

/// Removes what was listed, and brings the rest where it was.
fn clear(old: &Path, listed: &BTreeMap<OsString, String>, dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(old)? {
        let entry = entry?;
        let to = dir.join(entry.file_name());
        if listed.contains_key(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        } else if fs::symlink_metadata(&to).is_ok() {
            bail!("{} is in the way", to.display());
        } else {
            fs::rename(entry.path(), to)?;
        }
    }
    Ok(fs::remove_dir(old)?)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
