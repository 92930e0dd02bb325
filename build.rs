//! Tells the tests whether the real Codex CLI is installed below the target folder.
//!
//! `.ci/run` installs a pinned `@openai/codex`; where it is missing the end-to-end test is ignored with its reason,
//! never passed.

use std::path::PathBuf;

fn main() {
    println!("cargo:rustc-check-cfg=cfg(real_codex)");
    println!("cargo:rerun-if-env-changed=CODEX_TALLY_TEST_CODEX");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let codex = std::env::var_os("CODEX_TALLY_TEST_CODEX")
        .map(PathBuf::from)
        .unwrap_or_else(|| root.join("target/codex/node_modules/.bin/codex"));
    println!("cargo:rerun-if-changed={}", codex.display());
    if codex.exists() {
        println!("cargo:rustc-cfg=real_codex");
        println!("cargo:rustc-env=CODEX_TALLY_TEST_CODEX={}", codex.display());
    }
}
