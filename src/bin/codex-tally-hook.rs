//! The program `codex-tally-hook`.

fn main() {}
