//! Which path of a program stays the same when it is updated: the one by which it is called, not what a link leads to.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The path by which this program was started. `search` is the PATH of the environment.
pub fn invoked(arg0: &OsStr, search: Option<&OsStr>, executable: &Path) -> PathBuf {
    let called = if arg0.as_encoded_bytes().contains(&b'/') {
        std::path::absolute(arg0).ok()
    } else {
        find_in_path(arg0, search)
    };
    let same = |path: &PathBuf| std::fs::canonicalize(path).ok() == std::fs::canonicalize(executable).ok();
    called.filter(same).unwrap_or_else(|| executable.to_path_buf())
}

/// A program in the folders of PATH.
pub fn find_in_path(name: &OsStr, search: Option<&OsStr>) -> Option<PathBuf> {
    let folders = std::env::split_paths(search?).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|path| is_program(path))
}

/// Another program: beside this one as it was called, else in PATH, else beside the file that really runs.
pub fn beside(name: &str, called: &Path, search: Option<&OsStr>, executable: &Path) -> Option<PathBuf> {
    let near = |path: &Path| path.parent().map(|folder| folder.join(name)).filter(|path| is_program(path));
    near(called).or_else(|| find_in_path(OsStr::new(name), search)).or_else(|| near(executable))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_path_that_stays_is_preferred() {
        let dir = tempfile::tempdir().unwrap();
        let (versioned, bin) = (dir.path().join("Cellar/0.1.0"), dir.path().join("bin"));
        for folder in [&versioned, &bin] {
            std::fs::create_dir_all(folder).unwrap();
        }
        for name in ["codex-tally", "codex-tally-hook"] {
            std::fs::write(versioned.join(name), "").unwrap();
            std::fs::set_permissions(versioned.join(name), PermissionsExt::from_mode(0o755)).unwrap();
            symlink(versioned.join(name), bin.join(name)).unwrap();
        }
        let (executable, search) = (versioned.join("codex-tally"), bin.clone().into_os_string());
        for arg0 in [OsStr::new("codex-tally"), bin.join("codex-tally").as_os_str()] {
            let called = invoked(arg0, Some(&search), &executable);
            assert_eq!(called, bin.join("codex-tally"));
            assert_eq!(beside("codex-tally-hook", &called, None, &executable), Some(bin.join("codex-tally-hook")));
        }
        // Somebody else's name for it says nothing.
        assert_eq!(invoked(OsStr::new("sh"), Some(OsStr::new("/bin")), &executable), executable);
        std::fs::remove_file(bin.join("codex-tally-hook")).unwrap();
        let found = beside("codex-tally-hook", &bin.join("codex-tally"), Some(&search), &executable);
        assert_eq!(found, Some(versioned.join("codex-tally-hook")));
    }
}
