//! The recipes for CI, `examples/ci`: their own lines with the real Codex, and what the artifact says elsewhere.

use crate::support::env::{Output, TALLY};
use crate::support::{Codex, MockModel, Step, TestEnv, Usage, free_port, truth};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// What a recipe does, as text for a shell, and where its artifact is.
struct Recipe {
    run: String,
    keep: String,
    artifact: PathBuf,
    variables: Vec<(String, String)>,
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(name)).unwrap()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The lines below the first line that is this, without their indentation.
fn below(text: &str, first: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| line.trim() != first);
    let depth = indent(lines.next().unwrap_or_else(|| panic!("there is no `{first}`")));
    let inner: Vec<&str> = lines.take_while(|line| line.trim().is_empty() || indent(line) > depth).collect();
    let common = inner.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(line)).min().unwrap_or_default();
    inner.iter().map(|line| line.get(common..).unwrap_or_default().to_string()).collect()
}

/// The telemetry's variables: all values in the recipes are plain or quoted.
fn variables(lines: &[String]) -> Vec<(String, String)> {
    let pairs = lines.iter().filter_map(|line| line.split_once(": ")).filter(|(name, _)| name.starts_with("OTEL_"));
    pairs.map(|(name, value)| (name.to_string(), value.trim_matches('"').to_string())).collect()
}

impl Recipe {
    fn github(env: &TestEnv) -> Self {
        let text = read("github.yml");
        let script = |step: &str| {
            let (_, step) = text.split_once(&format!("- name: {step}\n")).expect("a step of this name");
            below(step, "run: |").join("\n")
        };
        let artifact =
            below(&text, "with:").into_iter().find_map(|line| line.strip_prefix("path: ").map(str::to_string));
        let artifact = artifact.unwrap().replace("${{ runner.temp }}", env.scratch().to_str().unwrap());
        let always = text.split_once("- name: Keep what it cost\n").unwrap().1.lines().next().unwrap().trim();
        assert_eq!(always, "if: always()", "what it cost is kept when the run fails, too");
        Recipe {
            run: script("Run Codex"),
            keep: script("Keep what it cost"),
            artifact: artifact.into(),
            variables: variables(&below(&text, "env:")),
        }
    }

    fn gitlab(env: &TestEnv) -> Self {
        let text = read("gitlab.yml");
        let script = |key: &str| {
            let lines = below(&text, key).into_iter().filter(|line| !line.starts_with('#'));
            let lines: Vec<String> = lines.map(|line| line.strip_prefix("- ").expect("an item").to_string()).collect();
            // A job's /tmp is its own; here it is the test's.
            format!("set -o pipefail\n{}", lines.join("\n").replace("/tmp/", &format!("{}/", env.scratch().display())))
        };
        let list = below(&text, "artifacts:")
            .into_iter()
            .find_map(|line| Some(line.strip_prefix("paths: [")?.strip_suffix(']')?.to_string()));
        Recipe {
            run: script("script:"),
            keep: script("after_script:"),
            artifact: env.work().join(list.unwrap()),
            variables: variables(&below(&text, "variables:")),
        }
    }

    /// Runs one of its scripts as the runners do, in a process group of its own; what it leaves running stays.
    fn bash(&self, env: &TestEnv, script: &str) -> (ExitStatus, Pid) {
        assert!(!script.contains("${{"), "an expression that only GitHub replaces: {script}");
        let folders = [TALLY, Codex::program()].map(|program| Path::new(program).parent().unwrap().to_path_buf());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command: Command = env.command("bash");
        command.args(["-e", "-c", script]).env("PATH", path).env("RUNNER_TEMP", env.scratch());
        command.env("GITHUB_REPOSITORY", "acme/api-gateway").env("MOCK_KEY", "sk-mock").env("TMPDIR", env.scratch());
        command.envs(self.variables.iter().cloned()).process_group(0);
        let log = std::fs::File::create(env.root().join("job.log")).unwrap();
        command.stdout(Stdio::from(log.try_clone().unwrap())).stderr(log);
        let mut child = command.spawn().unwrap();
        let group = Pid::from_child(&child);
        (child.wait().unwrap(), group)
    }
}

/// A job: Codex works, or fails at its second request. All that is known of it elsewhere is the artifact.
fn job(of: impl Fn(&TestEnv) -> Recipe, fails: bool) {
    let env = TestEnv::new();
    let recipe = of(&env);
    assert_eq!(recipe.variables.len(), 2, "{:?}", recipe.variables);
    let usage = Usage { input: 12_000, cached: 4_096, output: 350, reasoning: 128, ..Usage::default() };
    let last = if fails { Step::http_error(400) } else { Step::message("done").bare_usage(12_800, 40) };
    // Longer than the recipes let the exporter wait, shorter than it waits by itself: without their variable this fails.
    let model = MockModel::start(vec![Step::shell("call_1", "sleep 0.4").usage(usage), last]);
    Codex::new(&env, &model).configure();
    assert!(
        Output::of({
            let mut git = env.command("git");
            git.args(["init", "-q"]);
            git
        })
        .ok()
        .stdout
        .is_empty()
    );
    // Not the usual port, where a sink of the developer's own may listen.
    let port = free_port();
    std::fs::create_dir_all(env.home()).unwrap();
    let sink = format!("channel = \"api\"\n[sink]\nhttp = \"127.0.0.1:{port}\"\ngrpc = \"none\"\n");
    std::fs::write(env.home().join("config.toml"), sink).unwrap();

    let (ended, group) = recipe.bash(&env, &recipe.run);
    let log = || std::fs::read_to_string(env.root().join("job.log")).unwrap();
    assert_eq!(ended.success(), !fails, "{}", log());
    assert_eq!(model.steps_left(), 0, "{}", log());
    let (kept, _) = recipe.bash(&env, &recipe.keep);
    assert!(kept.success(), "{}", log());
    // The sink that the script left behind ends with the job.
    kill_process_group(group, Signal::KILL).unwrap();

    let company = TestEnv::new();
    let artifact = recipe.artifact.to_str().unwrap();
    for _ in 0..2 {
        let _ = company.run(&["observations", "import", artifact]).ok();
    }
    let month = company.run(&["report", "monthly", "--format", "json"]).ok().json();
    for (name, value) in truth::totals(&model.served()).as_object().unwrap() {
        assert_eq!(&month["totals"][name], value, "{name}");
    }
    // The sink knew of them, too: the telemetry of a run that failed is not lost.
    let responses = model.served().len();
    assert_eq!(month["coverage"]["responses_by_source"], json!({"hook+otlp+transcript": responses}), "{month:#}");
    assert_eq!(month["rows"][0]["team"], "platform", "{month:#}");
    assert_eq!(month["rows"][0]["user"], "ci:acme/api-gateway", "{month:#}");
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn the_github_recipe_keeps_what_a_run_cost() {
    for fails in [false, true] {
        job(Recipe::github, fails);
    }
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn the_gitlab_recipe_keeps_what_a_run_cost() {
    for fails in [false, true] {
        job(Recipe::gitlab, fails);
    }
}
