//! `backup`: all that cannot be made anew, as one folder.

use super::context::{Context, say_problems, write_file};
use super::edits::private_folder;
use super::out;
use crate::report::format::thousands;
use crate::store::sqlite::Copied;
use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

/// The list of what is in a backup.
pub(super) const MANIFEST: &str = "backup.json";

/// The store in a backup.
pub(super) const STORE: &str = "tally.db";

/// The version of the manifest.
const SCHEMA: u32 = 1;

/// Copy the store and the files of the home to a new folder, while sink and hooks go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  codex-tally backup ~/backups/tally-2026-11-21
  codex-tally restore ~/backups/tally-2026-11-21

Reads what is new first, so that what waits in spool and journal is in it too. The folder takes its place whole, after the copy was
checked. It holds the store and the *.toml, *.csv and user.key of the home; not the sink's token, which `serve` makes anew.")]
pub(super) struct Args {
    /// The folder to write; it must not be there yet, or be empty. Folders around it are made, private to you
    #[arg(value_name = "DIR")]
    dir: std::path::PathBuf,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

/// What is in a backup, and how it must be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of this format.
    pub schema: u32,
    /// The program that wrote it.
    pub program: String,
    /// When.
    pub made: String,
    /// The version of the store's schema.
    pub store_schema: u64,
    pub observations: u64,
    pub sealed_months: u64,
    /// Each file with its SHA-256.
    pub files: BTreeMap<String, String>,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    if !args.no_import {
        say_problems(&context.sync(&mut store)?);
    }
    let dir = std::path::absolute(&args.dir)?;
    let work = || -> anyhow::Result<Copied> {
        ensure!(is_free(&dir)?, "it is there already and not empty; choose another folder");
        let parent = dir.parent().context("it has no folder around it")?;
        private_folder(parent)?;
        let new = tempfile::Builder::new().prefix(".backup-").tempdir_in(parent);
        // The name of the temporary folder would only confuse.
        let new = new.map_err(|e| io::Error::from(e.kind()))?;
        let copied = store.copy_to(&new.path().join(STORE))?;
        let mut files = BTreeMap::from([(STORE.to_string(), sha256_of(&new.path().join(STORE))?)]);
        for name in own_files(&context.home)? {
            let bytes =
                fs::read(context.home.join(&name)).with_context(|| format!("cannot read {name} in the home"))?;
            write_file(&new.path().join(&name), &bytes)?;
            files.insert(name.clone(), sha256_of(&new.path().join(&name))?);
        }
        let manifest = Manifest {
            schema: SCHEMA,
            program: env!("CARGO_PKG_VERSION").into(),
            made: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            store_schema: copied.schema as u64,
            observations: copied.observations,
            sealed_months: copied.seals,
            files,
        };
        let mut text = serde_json::to_vec_pretty(&manifest)?;
        text.push(b'\n');
        write_file(&new.path().join(MANIFEST), &text)?;
        File::open(new.path())?.sync_all()?;
        fs::rename(new.path(), &dir)?;
        drop(new.keep());
        File::open(parent)?.sync_all()?;
        Ok(copied)
    };
    let copied = work().with_context(|| format!("cannot write {}", args.dir.display()))?;
    let (observations, seals) = (thousands(copied.observations), copied.seals);
    out::talk(&format!("{observations} observations and {seals} sealed months copied and checked"));
    Ok(ExitCode::SUCCESS)
}

fn is_free(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        entries => Ok(entries?.next().is_none()),
    }
}

/// Whether a file of the home belongs into a backup: what the user wrote, and the key of pseudonyms, which cannot be had again.
fn is_own(name: &str) -> bool {
    !name.starts_with('.') && (name.ends_with(".toml") || name.ends_with(".csv") || name == "user.key")
}

fn own_files(home: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        // What a link leads to is elsewhere, and meant to be read all the same.
        let is_file = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file());
        names.extend(entry.file_name().to_str().filter(|name| is_file && is_own(name)).map(str::to_string));
    }
    names.sort();
    Ok(names)
}

pub(super) fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let (mut file, mut hash, mut room) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut room)? {
            0 => return Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => hash.update(&room[..n]),
        }
    }
}

/// Reads the manifest of a backup and checks every file that it lists.
pub(super) fn verified(dir: &Path) -> anyhow::Result<Manifest> {
    let bytes = fs::read(dir.join(MANIFEST)).with_context(|| format!("there is no {MANIFEST}, so it is no backup"))?;
    let manifest: Manifest = serde_json::from_slice(&bytes).with_context(|| format!("{MANIFEST} is not understood"))?;
    ensure!(manifest.schema == SCHEMA, "it was written by a newer codex-tally; update this program");
    ensure!(manifest.files.contains_key(STORE), "it holds no {STORE}");
    for (name, hash) in &manifest.files {
        // The manifest may come from anywhere: only names that we ourselves would write.
        let plain = Path::new(name).file_name().is_some_and(|file| file == name.as_str());
        ensure!(plain && (name == STORE || is_own(name)), "it lists a file of a strange name: {name}");
        let is_file = fs::symlink_metadata(dir.join(name)).is_ok_and(|meta| meta.is_file());
        ensure!(is_file, "{name} is missing");
        if sha256_of(&dir.join(name))? != *hash {
            bail!("{name} is not as it was written; use another backup");
        }
    }
    Ok(manifest)
}
