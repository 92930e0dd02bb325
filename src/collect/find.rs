//! Finds transcripts in folders.

use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Transcripts below these paths, in order. A path that is a file is taken as it is; of a folder, all `rollout-*.jsonl`
/// and `rollout-*.jsonl.zst`. A CODEX_HOME means its `sessions` and `archived_sessions`. What is missing is no error.
pub fn find_transcripts(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
            Ok(meta) if meta.is_file() => found.push(path.clone()),
            Ok(_) => {
                let parts = ["sessions", "archived_sessions"].map(|part| path.join(part));
                if parts.iter().any(|part| part.is_dir()) {
                    parts.iter().filter(|part| part.is_dir()).try_for_each(|part| walk(part, &mut found))?;
                } else {
                    walk(path, &mut found)?;
                }
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Links are not followed: they could lead anywhere, and round in circles.
fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), found)?;
        } else if kind.is_file() {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or("");
            if name.starts_with("rollout-") && (name.ends_with(".jsonl") || name.ends_with(".jsonl.zst")) {
                found.push(entry.path());
            }
        }
    }
    Ok(())
}
