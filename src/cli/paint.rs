//! Colour for people: headings and totals stand out, and so does what must be known of a figure.

use clap::{ColorChoice, ValueEnum};
use std::ffi::OsString;

/// When output is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What was said of colours, for help and errors of usage: these are written before all options are known.
pub(super) fn of_help(args: impl Iterator<Item = OsString>) -> ColorChoice {
    let args: Vec<OsString> = args.take_while(|arg| arg != "--").collect();
    let joined = args.iter().rev().find_map(|arg| arg.to_str()?.strip_prefix("--color="));
    let apart = || args.iter().skip_while(|arg| *arg != "--color").nth(1)?.to_str();
    match joined.or_else(apart) {
        Some("never") => ColorChoice::Never,
        Some("always") => ColorChoice::Always,
        _ => ColorChoice::Auto,
    }
}

const BOLD: &str = "\x1b[1m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// What a note that asks for attention is about.
const ATTENTION: [&str; 12] = [
    "unpriced",
    "without a team",
    "claim another",
    "beyond the day",
    "no usage",
    "sources disagree",
    "two possible readings",
    "impossible token counts",
    "not in contract",
    "without a known fee",
    "(whole store)",
    "warning",
];

/// The same text with colours. It has none yet: foreign text was made safe where it was put in.
pub(super) fn paint(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let is_rule =
        |line: Option<&&str>| line.is_some_and(|line| !line.trim().is_empty() && line.trim().chars().all(|c| c == '─'));
    let painted = lines.iter().enumerate().map(|(i, line)| {
        let colour = match line {
            _ if is_rule(lines.get(i + 1)) => BOLD,
            line if line.trim_start().starts_with("total ") => BOLD,
            line if line.starts_with("error:") || line.starts_with("FAIL") => RED,
            line if line.starts_with("warning:") || line.starts_with("warn ") => YELLOW,
            line if line.starts_with(|c: char| c.is_ascii_digit())
                && ATTENTION.iter().any(|what| line.contains(what)) =>
            {
                YELLOW
            }
            _ => return (*line).to_string(),
        };
        format!("{colour}{line}{PLAIN}")
    });
    painted.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_add_nothing_but_themselves() {
        let text = "codex-tally monthly\n\n model   cost\n──────────────\n gpt-5   1.0\n total   1.0\n\n12 responses unpriced: no price\nseen by: hook 3\n";
        let painted = paint(text);
        let colours = [BOLD, YELLOW, PLAIN];
        assert_eq!(colours.iter().fold(painted.clone(), |text, colour| text.replace(colour, "")), text);
        assert!(painted.contains("\x1b[1m model   cost\x1b[0m") && painted.contains("\x1b[1m total   1.0\x1b[0m"));
        assert!(painted.contains("\x1b[33m12 responses unpriced") && !painted.contains("\x1b[33mseen"));
    }
}
