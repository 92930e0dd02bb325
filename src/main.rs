//! The program `codex-tally`.

fn main() {}
