//! What is in `hooks/` for configuration management: each is installed into the real Codex, which then runs the hook.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::{on_port, two_responses};
use crate::support::capture::files;
use crate::support::env::{HOOK, Output};
use crate::support::{Codex, MockModel, TestEnv};

/// Where the snippets say that the hook is.
const USUAL: &str = "/usr/local/bin/codex-tally-hook";

fn snippet(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn sources(env: &TestEnv) -> serde_json::Value {
    env.run(&["report", "monthly", "--format", "json"]).ok().json()["coverage"]["responses_by_source"].clone()
}

#[test]
fn all_forms_register_the_same() {
    let plugin = snippet("marketplace/codex-tally/hooks/hooks.json");
    assert_eq!(plugin.replace("codex-tally-hook", USUAL), snippet("hooks.json"));
    let hooks = |text: &str| text.parse::<toml::Table>().unwrap()["hooks"].clone();
    let config = serde_json::to_value(hooks(&snippet("config.toml"))).unwrap();
    assert_eq!(config, serde_json::from_str::<serde_json::Value>(&snippet("hooks.json")).unwrap()["hooks"]);
    let mut managed = serde_json::to_value(hooks(&snippet("requirements.toml"))).unwrap();
    assert_eq!(managed.as_object_mut().unwrap().remove("managed_dir"), Some(json!("/usr/local/bin")));
    assert_eq!(managed, config);
    let plugin: serde_json::Value =
        serde_json::from_str(&snippet("marketplace/codex-tally/.codex-plugin/plugin.json")).unwrap();
    assert_eq!(plugin["version"], env!("CARGO_PKG_VERSION"));
    // And so does the program: only what says whose they are differs.
    let env = TestEnv::new();
    on_port(&env, 4318);
    let root = env.root().join("staging");
    let system = ["init", "--system", "--yes", "--hook", USUAL, "--root", root.to_str().unwrap()];
    let said = env.run(&system).ok();
    assert!(said.stderr.contains("--auth none") && said.stderr.contains("any local user"), "{said}");
    let path = root.join("etc/codex/requirements.toml");
    let table = |text: &str| text.parse::<toml::Table>().unwrap();
    assert_eq!(table(&std::fs::read_to_string(&path).unwrap()), table(&snippet("requirements.toml")));
    let mode = |path: &Path| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o644, 0o755), "for all users to read");
    assert!(env.run(&system).ok().stderr.contains("nothing to do"));
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert!(!path.exists());
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn snippets_work_in_the_real_codex() {
    for name in ["config.toml", "hooks.json"] {
        let env = TestEnv::new();
        let model = MockModel::start(two_responses());
        let mut codex = Codex::new(&env, &model);
        codex.configure();
        let path = env.codex_home().join(name);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, before + "\n" + &snippet(name).replace(USUAL, HOOK)).unwrap();
        codex.exec_as_configured(&["--dangerously-bypass-hook-trust", "do the thing"]);
        assert_eq!(sources(&env), json!({"hook+transcript": 2}), "{name}");
    }
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn the_plugin_works_in_the_real_codex() {
    let env = TestEnv::new();
    let model = MockModel::start(two_responses());
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    add_plugin(&env, &codex);
    let path = path_with_hook();
    let mut command = codex.command();
    command.env("PATH", path).args([
        "exec",
        "--skip-git-repo-check",
        "--dangerously-bypass-hook-trust",
        "do the thing",
    ]);
    let _ = Output::of(command).ok();
    assert_eq!(sources(&env), json!({"hook+transcript": 2}));
}

/// Puts our plugin into Codex, as its user does.
pub(super) fn add_plugin(env: &TestEnv, codex: &Codex) {
    let marketplace = env.root().join("marketplace");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/marketplace");
    for file in files(&from) {
        let to = marketplace.join(file.strip_prefix(&from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
    for args in [&["marketplace", "add", marketplace.to_str().unwrap()][..], &["add", "codex-tally@codex-tally"]] {
        let mut command = codex.command();
        command.arg("plugin").args(args);
        let _ = Output::of(command).ok();
    }
}

/// A PATH in which Codex finds what the plugin calls.
pub(super) fn path_with_hook() -> OsString {
    let folder = Path::new(HOOK).parent().unwrap().to_path_buf();
    let paths = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    std::env::join_paths([vec![folder], paths].concat()).unwrap()
}

/// A program in a namespace of its own, in which /etc/codex is the one that was staged.
pub(super) fn with_etc(env: &TestEnv, staged: &Path, command: &Command) -> Command {
    // This machine may have one of its own, and the test may have been here before.
    const SCRIPT: &str = "mount --bind /etc \"$1/real\"; rm -rf \"$1/etc/codex\"; \
                          for f in /etc/*; do ln -sf \"$1/real/${f##*/}\" \"$1/etc/\"; done; \
                          rm -rf \"$1/etc/codex\"; cp -r \"$2\" \"$1/etc/codex\"; mount --bind \"$1/etc\" /etc; shift 2; exec \"$@\"";
    let root: PathBuf = env.root().join("namespace");
    std::fs::create_dir_all(root.join("real")).unwrap();
    std::fs::create_dir_all(root.join("etc")).unwrap();
    let mut inside = env.command("unshare");
    inside.args(["--map-root-user", "--mount", "sh", "-ec", SCRIPT, "sh"]).arg(root).arg(staged);
    inside.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        inside.env(name, value.unwrap_or_default());
    }
    inside
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
#[cfg_attr(not(namespaces), ignore = "no namespaces: `unshare --map-root-user --mount true` fails")]
fn the_managed_layer_works_in_the_real_codex() {
    let env = TestEnv::new();
    let model = MockModel::start(two_responses());
    let server = env.serve(&["--grpc", "none", "--auth", "none"]);
    on_port(&env, server.port());
    let root = env.root().join("staging");
    let system = ["init", "--system", "--yes", "--hook", HOOK, "--team", "search", "--root", root.to_str().unwrap()];
    let _ = env.run(&system).ok();
    // The user's own `exporter = "none"` cannot help it, and nobody has trusted anything.
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    let mut command = codex.command();
    command.args(["exec", "--skip-git-repo-check", "do the thing"]).env_remove("OTEL_RESOURCE_ATTRIBUTES");
    let _ = Output::of(with_etc(&env, &root.join("etc/codex"), &command)).ok();
    assert_eq!(sources(&env), json!({"hook+otlp+transcript": 2}));
    let report = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    assert_eq!(report["rows"][0]["team"], "search", "{report:#}");
    // Codex says the same of itself.
    let mut doctor = env.tally(&["doctor", "--json", "--codex", Codex::program()]);
    doctor.env("TMPDIR", env.scratch());
    let said = Output::of(with_etc(&env, &root.join("etc/codex"), &doctor)).ok().json();
    let says =
        |check: &str| said["checks"].as_array().unwrap().iter().find(|c| c["check"] == check).unwrap()["says"].clone();
    assert_eq!(says("trust"), "all 6 hooks are managed");
    assert_eq!(says("token"), "the sink asks for none");
    assert_eq!(said["verdict"], "ok", "{said:#}");
}
