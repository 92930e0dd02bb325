//! `completions` and `man`: what a shell and a manual need to know of the command line.

use super::{Cli, out};
use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  codex-tally completions bash > ~/.local/share/bash-completion/completions/codex-tally   (mkdir -p the folder first)
  codex-tally completions zsh > ~/.zfunc/_codex-tally
  codex-tally completions fish > ~/.config/fish/completions/codex-tally.fish")]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Write the manual pages, one a command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  codex-tally man --out ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder to write them into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "codex-tally", &mut bytes);
    out::data(&bytes)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let mut command = Cli::command();
    command.build();
    let pages = write(&command, "codex-tally", &args.out)?;
    out::talk(&format!("wrote {pages} pages into {}", args.out.display()));
    Ok(ExitCode::SUCCESS)
}

/// A command's page, and those of the commands below it. Returns how many.
fn write(command: &clap::Command, name: &str, folder: &Path) -> anyhow::Result<usize> {
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().display_name(name)).title(name.to_uppercase()).render(&mut page)?;
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    below
        .map(|below| write(below, &format!("{name}-{}", below.get_name()), folder))
        .try_fold(1, |n, more| Ok(n + more?))
}
