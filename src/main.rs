//! The program. A hook call takes the short way: nothing of the command line parser is touched.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "hook") && !args.any(|a| a == "--help" || a == "-h") {
        codex_tally::cli::hook();
    }
    codex_tally::cli::run()
}
