//! What Codex runs at every hook: stdin to spool, silent, always exit 0.

fn main() {
    codex_tally::cli::hook();
}
