//! Finds transcripts in folders.

use std::path::{Path, PathBuf};

/// Transcripts, in order, and the places that could not be looked into.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The transcripts.
    pub paths: Vec<PathBuf>,
    /// A place and why, in words. The other places were looked into all the same.
    pub problems: Vec<String>,
}

/// Transcripts below these paths. A path that is a file is taken as it is; of a folder, all `rollout-*.jsonl` and
/// `rollout-*.jsonl.zst`. A CODEX_HOME means its `sessions` and `archived_sessions`. What is missing is no problem.
pub fn find_transcripts(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => found.problem(path, &e),
            Ok(meta) if meta.is_file() => found.paths.push(path.clone()),
            Ok(_) if parts(path).iter().any(|part| part.is_dir()) => found.walk_home(path),
            Ok(_) => found.walk(path),
        }
    }
    found.in_order()
}

/// Transcripts of these CODEX_HOMEs: nothing but their `sessions` and `archived_sessions` is looked at, so that a folder which
/// something merely named cannot lead elsewhere.
pub fn find_in_homes(homes: &[PathBuf]) -> Found {
    let mut found = Found::default();
    homes.iter().for_each(|home| found.walk_home(home));
    found.in_order()
}

fn parts(home: &Path) -> [PathBuf; 2] {
    ["sessions", "archived_sessions"].map(|part| home.join(part))
}

impl Found {
    fn in_order(mut self) -> Self {
        self.paths.sort();
        self.paths.dedup();
        self
    }

    fn problem(&mut self, path: &Path, e: &std::io::Error) {
        self.problems.push(format!("{}: {e}", path.display()));
    }

    fn walk_home(&mut self, home: &Path) {
        parts(home).iter().filter(|part| part.is_dir()).for_each(|part| self.walk(part));
    }

    /// Links are not followed: they could lead anywhere, and round in circles.
    fn walk(&mut self, dir: &Path) {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) => return self.problem(dir, &e),
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                Ok((path, kind)) if kind.is_dir() => self.walk(&path),
                Ok((path, kind)) if kind.is_file() && is_transcript(&path) => self.paths.push(path),
                Ok(_) => {}
                Err(e) => self.problem(dir, &e),
            }
        }
    }
}

fn is_transcript(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    name.starts_with("rollout-") && (name.ends_with(".jsonl") || name.ends_with(".jsonl.zst"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_its_sessions_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let own = file("home/sessions/2026/11/21/rollout-a.jsonl");
        let archived = file("home/archived_sessions/rollout-b.jsonl.zst");
        file("home/sessions/notes.txt");
        let beside = file("home/elsewhere/rollout-c.jsonl");
        let home = [dir.path().join("home")];
        assert_eq!(find_in_homes(&home).paths, [archived.clone(), own.clone()]);
        assert_eq!(find_transcripts(&home).paths, [archived, own]);
        let bare = [dir.path().join("home/elsewhere"), dir.path().join("missing")];
        assert_eq!(find_in_homes(&bare), Found::default());
        assert_eq!(find_transcripts(&bare).paths, [beside]);
    }

    #[test]
    fn a_place_that_cannot_be_looked_into_does_not_stop_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rollout-a.jsonl");
        std::fs::write(&file, "").unwrap();
        let found = find_transcripts(&[file.join("below-a-file"), dir.path().to_path_buf()]);
        assert_eq!((found.paths, found.problems.len()), (vec![file], 1));
    }
}
