//! Bundles the demo's captures, and tells the tests whether the real Codex CLI is installed below the target folder, and
//! whether there is a Chromium to show pages with, the validator of FOCUS exports, and an /etc of a test's own.
//!
//! `.ci/run` installs a pinned `@openai/codex` there; where it is missing the end-to-end tests are ignored with their
//! reason, never passed.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

fn main() {
    bundle_demo();
    println!("cargo:rustc-check-cfg=cfg(real_codex)");
    println!("cargo:rustc-check-cfg=cfg(tmux)");
    println!("cargo:rerun-if-env-changed=CODEX_TALLY_TEST_CODEX");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rerun-if-changed=build.rs");
    let codex = match std::env::var_os("CODEX_TALLY_TEST_CODEX") {
        Some(path) => PathBuf::from(path),
        None => {
            let folder = target_folder().join("codex");
            // Cargo would run this script, and so build everything, each time as long as a watched path is missing.
            if std::fs::create_dir_all(&folder).is_ok() {
                println!("cargo:rerun-if-changed={}", folder.display());
            }
            folder.join("node_modules/.bin/codex")
        }
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join("tmux").exists()) {
        println!("cargo:rustc-cfg=tmux");
    }
    println!("cargo:rustc-check-cfg=cfg(systemd)");
    if std::env::split_paths(&path).any(|folder| folder.join("systemd-analyze").exists()) {
        println!("cargo:rustc-cfg=systemd");
    }
    println!("cargo:rustc-check-cfg=cfg(namespaces)");
    let namespace = std::process::Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if namespace.is_ok_and(|status| status.success()) {
        println!("cargo:rustc-cfg=namespaces");
    }
    if codex.exists() {
        println!("cargo:rustc-cfg=real_codex");
        println!("cargo:rustc-env=CODEX_TALLY_TEST_CODEX={}", codex.display());
    }
    find_chromium();
    find_focus_validator();
}

/// Names the folder in which `.ci/run` installs the validator of FOCUS exports.
fn find_focus_validator() {
    println!("cargo:rustc-check-cfg=cfg(focus_validator)");
    let folder = target_folder().join("focus-validator");
    if std::fs::create_dir_all(&folder).is_ok() {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    if folder.join("bin/focus-validator").is_file() {
        println!("cargo:rustc-cfg=focus_validator");
        println!("cargo:rustc-env=CODEX_TALLY_TEST_FOCUS_VALIDATOR={}", folder.display());
    }
}

/// Names a Chromium in the path, or the one that `CODEX_TALLY_TEST_CHROMIUM` says.
fn find_chromium() {
    println!("cargo:rustc-check-cfg=cfg(chromium)");
    println!("cargo:rerun-if-env-changed=CODEX_TALLY_TEST_CHROMIUM");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let in_path = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    let said = std::env::var_os("CODEX_TALLY_TEST_CHROMIUM").map(PathBuf::from);
    if let Some(chromium) = said.into_iter().chain(in_path).find(|program| program.is_file()) {
        println!("cargo:rustc-cfg=chromium");
        println!("cargo:rustc-env=CODEX_TALLY_TEST_CHROMIUM={}", chromium.display());
    }
}

/// Writes `demo_files.gz`: the name, length and bytes of every file below `examples/demo`, so that the program needs no files
/// beside it, in an eighth of their size.
fn bundle_demo() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("examples/demo");
    println!("cargo:rerun-if-changed={}", root.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("demo_files.gz");
    if let Err(e) = pack(&root, &out) {
        println!("cargo:error=cannot write {}: {e}", out.display());
    }
}

fn pack(root: &Path, out: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    list(root, &mut files);
    files.sort();
    let mut packed = GzEncoder::new(File::create(out)?, Compression::best());
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let bytes = std::fs::read(file)?;
        write!(packed, "{name}\n{}\n", bytes.len())?;
        packed.write_all(&bytes)?;
    }
    packed.finish()?.sync_all()
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

/// The target folder, wherever it was moved to: scripts are given `<target>[/<triple>]/<profile>/build/.../out`.
fn target_folder() -> PathBuf {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let build = out.ancestors().find(|folder| folder.ends_with("build")).unwrap_or(&out);
    let target = build.ancestors().nth(2).unwrap_or(build);
    let triple = std::env::var_os("TARGET").unwrap_or_default();
    let target = if target.ends_with(&triple) { target.parent().unwrap_or(target) } else { target };
    target.to_path_buf()
}
