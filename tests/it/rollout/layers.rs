//! Hooks and exporter that are not the user's own: of the plugin, and of the managed layer. What `init` and `doctor` say of them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::snippets::{add_plugin, path_with_hook, with_etc};
use super::{config, init, on_port, with_sink, write_config};
use crate::support::app_server::AppServer;
use crate::support::env::{HOOK, Output};
use crate::support::{Codex, MockModel, TestEnv};

/// The check of this name, by verdict, what it says and what to do.
#[track_caller]
fn check<'a>(said: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let checks = said["checks"].as_array().unwrap();
    let found = checks.iter().find(|c| c["check"] == name).unwrap_or_else(|| panic!("no `{name}`: {said:#}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default();
    (text("verdict"), text("says"), text("next"))
}

fn doctor(env: &TestEnv, more: &[&str]) -> Value {
    let mut command = env.tally(&["doctor", "--json", "--codex", Codex::program()]);
    command.args(more).env("PATH", path_with_hook()).env("TMPDIR", env.scratch());
    Output::of(command).json()
}

/// Trusts what is not trusted, as Codex's own interface does.
fn trust_all(codex: &Codex) {
    let mut command = codex.command();
    command.arg("app-server");
    let mut server = AppServer::start(command);
    let hooks = server.call("hooks/list", &json!({"cwds": ["/"]}))["data"][0]["hooks"].clone();
    let entry =
        |hook: &Value| (hook["key"].as_str().unwrap().to_string(), json!({"trusted_hash": hook["currentHash"]}));
    let value: serde_json::Map<String, Value> = hooks.as_array().unwrap().iter().map(entry).collect();
    let edit = json!({"keyPath": "hooks.state", "mergeStrategy": "upsert", "value": value});
    let _ = server.call("config/batchWrite", &json!({"edits": [edit], "reloadUserConfig": true}));
    server.close();
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn hooks_of_the_plugin_are_trusted_in_codex_and_not_registered_once_more() {
    let env = TestEnv::new();
    let model = MockModel::start(Vec::new());
    let _server = with_sink(&env);
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    add_plugin(&env, &codex);
    let said = doctor(&env, &[]);
    let (verdict, says, next) = check(&said, "trust");
    assert!(verdict == "fail" && says.contains("6 of 6 hooks") && next.contains("/hooks"), "{said:#}");
    assert!(!next.contains("codex-tally init"), "{next}");
    assert_eq!(check(&said, "exporter").2, "codex-tally init", "{said:#}");
    // As it says: the exporter is added, and no hook.
    let said = init(&env, &[]).ok();
    assert!(said.stderr.contains("codex plugin remove codex-tally@codex-tally"), "{said}");
    assert!(config(&env).contains("otlp-http") && !config(&env).contains("[[hooks."), "{}", config(&env));
    let refused = init(&env, &["--trust", "--codex", Codex::program()]).fails(1);
    assert!(refused.stderr.contains("trust it in `codex` (/hooks)"), "{refused}");
    trust_all(&codex);
    let said = doctor(&env, &["--live"]);
    assert_eq!(said["verdict"], "ok", "{said:#}");
    assert_eq!(check(&said, "hook program").1, HOOK);
    let said = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    assert!(said.stderr.contains("trusted already"), "{said}");
    // Where Codex does not find the program, nothing is recorded.
    let mut command = env.tally(&["doctor", "--json", "--codex", Codex::program()]);
    command.env("PATH", "/usr/bin:/bin");
    let said = Output::of(command).fails(1).json();
    let (verdict, says, next) = check(&said, "hook program");
    assert!(verdict == "fail" && says.contains("is not in the PATH") && next.contains("PATH"), "{said:#}");
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert!(config(&env).contains("[plugins.") && !config(&env).contains("otlp-http"), "{}", config(&env));
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn a_plugin_beside_own_hooks_is_one_too_many() {
    let env = TestEnv::new();
    let model = MockModel::start(Vec::new());
    let _server = with_sink(&env);
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    let _ = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    add_plugin(&env, &codex);
    // What is not trusted costs nothing yet: nothing is lost, and nothing fails.
    for trusted in [false, true] {
        let said = doctor(&env, &[]);
        assert_eq!(check(&said, "trust").0, "ok", "{said:#}");
        let (verdict, says, next) = check(&said, "registered twice");
        assert_eq!((verdict, says.contains("not trusted")), ("warn", !trusted), "{said:#}");
        assert!(next.starts_with("codex plugin remove codex-tally@codex-tally"), "{next}");
        trust_all(&codex);
    }
    let mut command = codex.command();
    command.args(["plugin", "remove", "codex-tally@codex-tally"]);
    let _ = Output::of(command).ok();
    assert_eq!(doctor(&env, &[])["verdict"], "ok");
}

/// The managed layer as `init --system` stages it, for a port.
fn staged(env: &TestEnv, more: &[&str]) -> PathBuf {
    let root = env.root().join("staging");
    let system = ["init", "--system", "--yes", "--hook", HOOK, "--root", root.to_str().unwrap()];
    let _ = env.run(&[&system, more].concat()).ok();
    root.join("etc/codex")
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
#[cfg_attr(not(namespaces), ignore = "no namespaces: `unshare --map-root-user --mount true` fails")]
fn the_managed_layer_is_not_worked_against() {
    let env = TestEnv::new();
    let model = MockModel::start(Vec::new());
    let server = with_sink(&env);
    let etc = staged(&env, &[]);
    Codex::new(&env, &model).configure();
    let before = config(&env);
    let inside = |args: &[&str]| {
        let mut command = env.tally(args);
        command.env("PATH", path_with_hook()).env("TMPDIR", env.scratch());
        Output::of(with_etc(&env, &etc, &command))
    };
    let doctor = || inside(&["doctor", "--json", "--codex", Codex::program()]).json();
    // The sink asks for a token, which nobody can have here.
    let said = doctor();
    let (verdict, says, next) = check(&said, "token");
    assert!(
        verdict == "fail" && says.contains("no token") && next.ends_with("codex-tally serve --auth none"),
        "{said:#}"
    );
    assert!(check(&said, "exporter").1.contains("/etc/codex/requirements.toml"), "{said:#}");
    assert!(check(&said, "hooks").1.contains("system"), "{said:#}");
    // `init` adds nothing that would cost twice, or have no effect.
    let told = inside(&["init", "--yes", "--trust", "--codex", Codex::program()]).ok();
    assert!(told.stderr.contains("/etc/codex/requirements.toml has the hooks for all users"), "{told}");
    assert!(told.stderr.contains("codex-tally serve --auth none"), "{told}");
    assert!(!told.stderr.contains("`codex-tally serve` while you work"), "{told}");
    assert_eq!(config(&env), before);
    // Another port than the one that is demanded.
    drop(server);
    let said = doctor();
    let (verdict, _, next) = check(&said, "sink");
    assert!(verdict == "fail" && next == "codex-tally serve --auth none", "{said:#}");
    assert!(said["checks"].as_array().unwrap().iter().all(|c| c["check"] != "token"), "{said:#}");
    on_port(&env, 9);
    let said = doctor();
    let (verdict, _, next) = check(&said, "exporter");
    assert!(verdict == "fail" && next.starts_with("set `http` of `[sink]`"), "{said:#}");
    // Own hooks from before are one too many.
    let _ = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    let said = doctor();
    let (verdict, _, next) = check(&said, "registered twice");
    assert!(verdict == "warn" && next.starts_with("codex-tally uninstall (/etc/codex/requirements.toml"), "{said:#}");
    // A part that is missing is for who administers it.
    let path = etc.join("requirements.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("hooks.Stop", "hooks.PreCompact")).unwrap();
    write_config(&env, &before);
    let said = doctor();
    let (verdict, says, next) = check(&said, "hooks");
    assert!(verdict == "fail" && says.ends_with("for Stop") && next.ends_with("codex-tally init --system"), "{said:#}");
    // Who loses the record is told how it goes.
    std::fs::write(&path, &text).unwrap();
    std::fs::remove_dir_all(env.home()).unwrap();
    let told = inside(&["uninstall", "--yes"]).ok();
    assert!(told.stderr.contains("`codex-tally uninstall --system`"), "{told}");
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
#[cfg_attr(not(namespaces), ignore = "no namespaces: `unshare --map-root-user --mount true` fails")]
fn where_no_hook_of_a_user_runs_it_is_said_who_can_change_that() {
    let env = TestEnv::new();
    let model = MockModel::start(Vec::new());
    let _server = with_sink(&env);
    Codex::new(&env, &model).configure();
    let _ = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    let etc = env.root().join("etc-codex");
    std::fs::create_dir(&etc).unwrap();
    let inside = |args: &[&str]| {
        let mut command = env.tally(args);
        command.env("PATH", path_with_hook()).env("TMPDIR", env.scratch());
        Output::of(with_etc(&env, &etc, &command))
    };
    for (text, why, who) in [
        ("allow_managed_hooks_only = true\n", "only hooks of the managed", "codex-tally init --system"),
        ("[features]\nhooks = false\n", "switched off by the managed", "who administers this machine"),
    ] {
        std::fs::write(etc.join("requirements.toml"), text).unwrap();
        let said = inside(&["doctor", "--json", "--codex", Codex::program()]).fails(1).json();
        let (verdict, says, next) = check(&said, "hooks");
        assert!(verdict == "fail" && says.contains(why) && next.contains(who), "{said:#}");
        let refused = inside(&["init", "--yes", "--trust", "--codex", Codex::program()]).fails(1);
        assert!(refused.stderr.contains("lets no hook of a user run") && refused.stderr.contains(why), "{refused}");
        assert!(!refused.stderr.contains("older than"), "{refused}");
    }
}

#[test]
fn the_managed_layer_goes_without_a_record() {
    let own = "allow_managed_hooks_only = true\n\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"mine\"\n";
    for text in [Some(own), None] {
        let env = TestEnv::new();
        on_port(&env, 4999);
        let root = env.root().join("staging");
        let path = root.join("etc/codex/requirements.toml");
        if let Some(text) = text {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let _ = staged(&env, &["--team", "search"]);
        let record = env.home().join("installed/record.json");
        assert!(std::fs::read_to_string(&record).unwrap().contains("requirements.toml"));
        std::fs::remove_dir_all(env.home()).unwrap();
        let remove = ["uninstall", "--system", "--yes", "--root", root.to_str().unwrap()];
        let said = env.run(&remove).ok();
        assert!(said.stdout.contains("- [[hooks.PostModelRequest]]"), "{said}");
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), text, "to the byte");
        assert!(!env.home().exists(), "it is not made anew");
        assert!(env.run(&remove).ok().stderr.contains("nothing to do"));
        // With its record, the record goes with it.
        on_port(&env, 4999);
        let _ = staged(&env, &[]);
        let _ = env.run(&remove).ok();
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), text, "to the byte");
        assert!(!std::fs::read_to_string(&record).unwrap().contains("requirements.toml"));
    }
}

#[test]
fn own_settings_of_the_sink_are_added_to() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::set_permissions(env.home(), PermissionsExt::from_mode(0o700)).unwrap();
    let path = env.home().join("config.toml");
    let own = "[sink]\ngrpc = \"none\" # no gRPC here\n";
    std::fs::write(&path, own).unwrap();
    let _ = init(&env, &[]).ok();
    let with: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    assert!(with["sink"]["http"].as_str().unwrap().starts_with("127.0.0.1:"), "{with}");
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), own);
}

/// A program in the place of Codex.
fn instead_of_codex(env: &TestEnv, script: &str) -> PathBuf {
    let path = env.root().join("no-codex");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn configuration_of(env: &TestEnv, program: &Path) -> (String, Value) {
    let run = |more: &[&str]| {
        let mut command = env.tally(&["doctor", "--codex", program.to_str().unwrap()]);
        command.args(more);
        Output::of(command).fails(1)
    };
    (run(&[]).stdout, run(&["--json"]).json())
}

#[test]
fn what_codex_says_before_it_ends_is_told() {
    let env = TestEnv::new();
    let ends = "printf '\\033[31mError\\033[0m: cannot read\\a /nix.pem\\nline two\\n' >&2; exit 1";
    let (screen, said) = configuration_of(&env, &instead_of_codex(&env, ends));
    let says = check(&said, "configuration").1;
    assert!(says.ends_with("ended at once and says: Error: cannot read /nix.pem | line two"), "{says}");
    assert!(screen.contains("Error: cannot read /nix.pem | line two") && !screen.contains('\u{1b}'), "{screen}");
    // Only the end of much.
    let much = "i=0; while [ $i -lt 5000 ]; do echo \"line $i of a long story\" >&2; i=$((i+1)); done; exit 1";
    let (_, said) = configuration_of(&env, &instead_of_codex(&env, much));
    let says = check(&said, "configuration").1;
    assert!(says.ends_with("line 4999 of a long story") && says.len() < 300, "{says}");
    let (_, said) = configuration_of(&env, &instead_of_codex(&env, "exit 1"));
    assert!(check(&said, "configuration").1.contains("older than 0.129"), "{said:#}");
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn the_real_codex_says_why_it_ends() {
    let env = TestEnv::new();
    let exporter = "{ otlp-http = { endpoint = \"https://localhost:1/v1/logs\", protocol = \"binary\", tls = { ca-certificate = \"/nix.pem\" } } }";
    write_config(&env, &format!("[otel]\nexporter = {exporter}\n"));
    let said = doctor(&env, &[]);
    let (verdict, says, _) = check(&said, "configuration");
    assert!(verdict == "fail" && says.contains("/nix.pem"), "{says}");
}
