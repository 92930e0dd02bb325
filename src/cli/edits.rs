//! Changes of files that are shown, agreed to, and then made: what `init` and `uninstall` have in common.

use super::out;
use crate::setup::{Record, difference};
use anyhow::{Context as _, bail};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// One file as it is and as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub path: PathBuf,
    /// `None`: there is no file.
    pub old: Option<String>,
    /// `None`: the file goes.
    pub new: Option<String>,
    /// The file's permissions afterwards.
    pub mode: u32,
}

impl Change {
    /// Whether anything changes.
    pub fn is_one(&self) -> bool {
        self.old != self.new || (self.new.is_some() && self.old.is_some() && mode_of(&self.path) != Some(self.mode))
    }

    /// What changes, for the user to read; a secret is not for the screen.
    pub fn shown(&self, secrets: &[String]) -> String {
        let kind = match (&self.old, &self.new) {
            (None, _) => " (new)",
            (_, None) => " (removed)",
            _ => "",
        };
        let text = |text: &Option<String>| without(text.as_deref().unwrap_or_default(), secrets);
        format!("{}{kind}\n{}\n", self.path.display(), masked(&difference(&text(&self.old), &text(&self.new))))
    }
}

/// A text without secrets of ours.
pub(super) fn without(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_string(), |text, secret| text.replace(secret, "<token>"))
}

/// Secrets of others that stand near a change.
fn masked(text: &str) -> String {
    let mut parts = text.split("Bearer ");
    let mut shown = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let end = part.find(|c: char| c == '"' || c == '\'' || c.is_whitespace()).unwrap_or(part.len());
        shown += if part[..end] == *"<token>" { "Bearer <token>" } else { "Bearer <another token>" };
        shown += &part[end..];
    }
    shown
}

/// A file's text; `None` if it is not there.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // Writing would put a file in the link's place.
            if path.is_symlink() {
                bail!("{} is a link that leads nowhere; make what it leads to, or remove it", path.display());
            }
            Ok(None)
        }
        read => Ok(Some(read.with_context(|| format!("cannot read {}", path.display()))?)),
    }
}

/// A file's permissions, if it is there.
pub(super) fn mode_of(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|meta| meta.permissions().mode() & 0o7777)
}

/// Keeps copies of the files as they are now, in the home; returns the folder if there was anything to keep.
pub(super) fn back_up(home: &Path, changes: &[Change]) -> anyhow::Result<Option<PathBuf>> {
    if changes.iter().all(|change| change.old.is_none()) {
        return Ok(None);
    }
    let name = format!("before-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ"));
    let folder = Record::folder(home).join(name);
    private_folder(&folder)?;
    for (number, change) in changes.iter().enumerate() {
        let Some(old) = &change.old else { continue };
        let name = change.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut copy = std::fs::OpenOptions::new();
        let mut copy = copy.write(true).create_new(true).mode(0o600).open(folder.join(format!("{number}-{name}")))?;
        copy.write_all(old.as_bytes())?;
        copy.sync_all()?;
    }
    Ok(Some(folder))
}

/// A folder that only the user can enter.
pub(super) fn private_folder(folder: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot create {}", folder.display()))
}

/// Makes the changes, each whole or not at all.
pub(super) fn make(changes: &[Change]) -> anyhow::Result<()> {
    changes.iter().try_for_each(one)
}

fn one(change: &Change) -> anyhow::Result<()> {
    if read(&change.path)? != change.old {
        bail!("{} was changed meanwhile; try again", change.path.display());
    }
    let Some(new) = &change.new else {
        return std::fs::remove_file(&change.path).with_context(|| format!("cannot remove {}", change.path.display()));
    };
    let work = || -> anyhow::Result<()> {
        // What a link leads to is edited, and the link stays.
        let path = std::fs::canonicalize(&change.path).unwrap_or_else(|_| change.path.clone());
        let folder = path.parent().unwrap_or(Path::new("."));
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        if !missing.is_empty() {
            // Of the managed layer, everybody must be able to read it.
            let mode = if change.mode & 0o004 == 0 { 0o700 } else { 0o755 };
            std::fs::create_dir_all(folder)?;
            for made in missing {
                std::fs::set_permissions(made, PermissionsExt::from_mode(mode))?;
            }
        }
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| std::io::Error::from(e.kind()))?;
        file.write_all(new.as_bytes())?;
        keep_owner(&path, file.as_file())?;
        file.as_file().set_permissions(PermissionsExt::from_mode(change.mode))?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|e| e.error)?;
        Ok(())
    };
    work().with_context(|| format!("cannot write {}", change.path.display()))
}

/// Gives the new file to whom the old one belongs: root, too, edits files of others.
fn keep_owner(old: &Path, new: &std::fs::File) -> anyhow::Result<()> {
    let Ok(old) = std::fs::metadata(old) else { return Ok(()) };
    let (meta, owner) = (new.metadata()?, (old.uid(), old.gid()));
    if (meta.uid(), meta.gid()) == owner {
        return Ok(());
    }
    let given = std::os::unix::fs::fchown(new, Some(owner.0), Some(owner.1));
    given.context("it belongs to somebody else, and would be yours then; do this as its owner")
}

/// Waits until no other call edits for this home; that ends with the value.
pub(super) fn alone(home: &Path) -> anyhow::Result<std::fs::File> {
    let work = || std::fs::File::open(home).and_then(|folder| folder.lock().map(|()| folder));
    work().with_context(|| format!("cannot lock {}", home.display()))
}

/// Shows the changes.
pub(super) fn show(changes: &[Change], secrets: &[String]) -> anyhow::Result<()> {
    let shown: String = changes.iter().map(|change| change.shown(secrets)).collect();
    out::data(shown.as_bytes())
}

/// Shows the changes and asks; true if they are to be made.
pub(super) fn agreed(changes: &[Change], secrets: &[String], yes: bool, question: &str) -> anyhow::Result<bool> {
    // Nobody has to agree, and nobody wants to read.
    if !(yes && out::is_quiet()) {
        show(changes, secrets)?;
    }
    Ok(yes || out::ask(question))
}
