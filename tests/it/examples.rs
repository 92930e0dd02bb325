//! What `examples/` holds is what the program makes of two of the bundled captures, byte for byte.
//!
//! After a change that is meant: `UPDATE_EXAMPLES=1 cargo test --test it examples`, and look at the difference.

use std::path::Path;

use crate::support::{Capture, Feed, TestEnv};

/// Two sessions of one day: tools, and a subagent with hooks at every model request.
const CAPTURES: [&str; 2] = ["01_http_json", "11_pmr_subagent"];

#[test]
fn the_monthly_csv_is_what_the_program_writes() {
    let env = TestEnv::new();
    for name in CAPTURES {
        Capture::named(name).replay(&env, &[Feed::Hooks, Feed::Otlp, Feed::Transcripts]);
    }
    let out = env.work().join("monthly.csv");
    let args = ["report", "monthly", "-p", "2026-11", "--format", "csv", "--out", out.to_str().unwrap()];
    let _ = env.run(&args).ok();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let update = std::env::var_os("UPDATE_EXAMPLES").is_some();
    for name in ["monthly.csv", "monthly.csv.meta.json"] {
        let made = std::fs::read_to_string(env.work().join(name)).unwrap();
        let kept = examples.join(name);
        if update {
            std::fs::create_dir_all(&examples).unwrap();
            std::fs::write(&kept, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&kept).unwrap_or_default();
        assert_eq!(made, kept, "examples/{name} is out of date: see the head of this file");
    }
}
