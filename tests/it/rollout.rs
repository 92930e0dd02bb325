//! Rolling it out: `init`, `uninstall`, and the real Codex between them.

mod care;
mod doctor;
mod environment;
mod homes;
mod layers;
mod notes;
mod purge;
mod snippets;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use codex_tally::setup;

use crate::support::env::Output;
use crate::support::terminal::Terminal;
use crate::support::{Codex, MockModel, Server, Step, TestEnv, free_port, truth};

/// A configuration as somebody has it who has his own hook.
const OWN: &str = "# my Codex\nmodel = \"gpt-5.5\"   # the good one\n\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\n\
                   command = \"/bin/true\"\n\n[tui]\ntheme = \"x\"\n# the end";

fn config(env: &TestEnv) -> String {
    std::fs::read_to_string(env.codex_home().join("config.toml")).unwrap_or_default()
}

fn write_config(env: &TestEnv, text: &str) {
    std::fs::write(env.codex_home().join("config.toml"), text).unwrap();
}

/// Says where the sink is to listen, so that tests do not look for ports at the same time.
fn on_port(env: &TestEnv, port: u16) {
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::set_permissions(env.home(), PermissionsExt::from_mode(0o700)).unwrap();
    let text = format!("channel = \"api\"\n\n[sink]\nhttp = \"127.0.0.1:{port}\"\ngrpc = \"none\"\n");
    std::fs::write(env.home().join("config.toml"), text).unwrap();
}

fn init(env: &TestEnv, more: &[&str]) -> Output {
    env.run(&[&["init", "--yes"], more].concat())
}

/// A running sink, and a home in which `init` finds where it is.
fn with_sink(env: &TestEnv) -> Server {
    let server = env.serve(&["--grpc", "none"]);
    on_port(env, server.port());
    server
}

#[test]
fn what_init_adds_uninstall_takes_out() {
    for text in [Some(OWN), Some("[otel]\nenvironment = \"dev\"\n"), None] {
        let env = TestEnv::new();
        on_port(&env, 4999);
        text.into_iter().for_each(|text| write_config(&env, text));
        let said = init(&env, &[]).ok();
        let token = std::fs::read_to_string(env.home().join("token")).unwrap();
        assert!(said.stdout.contains("+ [[hooks.PostModelRequest]]") && !said.stdout.contains(token.trim()), "{said}");
        assert!(said.stderr.contains("trust the hooks"), "{said}");
        let with = config(&env);
        let value: toml::Table = with.parse().unwrap();
        assert_eq!(value["otel"]["exporter"]["otlp-http"]["endpoint"].as_str(), Some("http://127.0.0.1:4999/v1/logs"));
        let command = value["hooks"]["SessionEnd"][0]["hooks"][0]["command"].as_str().unwrap();
        assert!(command.starts_with('/') && command.ends_with("/codex-tally-hook"), "one bare path: {command}");
        assert!(text.unwrap_or_default().lines().all(|line| with.lines().any(|w| w == line)), "{with}");
        // Again: nothing to do, the same bytes.
        let again = init(&env, &[]).ok();
        assert!(again.stderr.contains("nothing to do") && again.stdout.is_empty(), "{again}");
        assert_eq!(config(&env), with);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&env.codex_home().join("config.toml")), 0o600, "it holds the token");
        assert_eq!(mode(&env.home().join("token")), 0o600);

        let out = env.run(&["uninstall", "--yes"]).ok();
        assert!(out.stdout.contains("- [[hooks.PostModelRequest]]"), "{out}");
        let path = env.codex_home().join("config.toml");
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), text, "to the byte");
        assert!(!env.home().join("token").exists());
        if text.is_some() {
            assert_ne!(mode(&path), 0o600, "as it was");
        }
        assert!(env.run(&["uninstall", "--yes"]).ok().stderr.contains("nothing to do"));
    }
}

#[test]
fn nothing_is_written_without_consent() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    write_config(&env, OWN);
    let before = std::fs::read_dir(env.home()).unwrap().count();
    let shown = env.run(&["init", "--print"]).ok();
    assert!(shown.stdout.contains("+ [otel]") && shown.stdout.contains("Bearer <token>"), "{shown}");
    assert!(env.run(&["init"]).fails(1).stderr.contains("--yes"));
    assert_eq!(config(&env), OWN);
    assert_eq!(std::fs::read_dir(env.home()).unwrap().count(), before, "not even a token");
}

#[test]
fn a_port_that_is_taken_is_not_used_and_both_sides_know_the_other() {
    // Somebody has it by now, this test or another program.
    let _taken = TcpListener::bind("127.0.0.1:4318");
    let env = TestEnv::new();
    let said = init(&env, &[]).ok();
    assert!(said.stderr.contains("127.0.0.1:4318 is taken"), "{said}");
    let ours: toml::Table = std::fs::read_to_string(env.home().join("config.toml")).unwrap().parse().unwrap();
    let http = ours["sink"]["http"].as_str().unwrap();
    assert_ne!(http, "127.0.0.1:4318");
    assert!(config(&env).contains(&format!("http://{http}/v1/logs")));
    // What `init` made goes, and the home with it if nothing else is there.
    let _ = env.run(&["uninstall", "--yes", "--purge"]).ok();
    assert!(!env.home().exists() && !env.codex_home().join("config.toml").exists());
}

#[test]
#[cfg_attr(not(tmux), ignore = "no tmux")]
fn who_sits_at_a_terminal_is_asked() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    write_config(&env, "model = \"x\"\n");
    let ask = |args: &[&str], question: &str, answer: &str| {
        let terminal = Terminal::start(&env.tally(args));
        terminal.wait(question);
        terminal.enter(answer);
        terminal.ended();
    };
    ask(&["init"], "Make these changes? [y/N]", "n");
    assert_eq!(config(&env), "model = \"x\"\n");
    ask(&["init"], "Make these changes? [y/N]", "y");
    assert!(config(&env).contains("[[hooks.Stop]]"));
    let _ = env.run(&["uninstall", "--yes"]).ok();
    ask(&["uninstall", "--purge"], "Type `purge` to go on:", "no");
    assert!(env.home().exists());
    ask(&["uninstall", "--purge"], "Type `purge` to go on:", "purge");
    assert!(!env.home().exists());
}

#[test]
fn a_program_that_moved_keeps_what_is_registered() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let _ = init(&env, &["--hook", "/old/codex-tally-hook"]).ok();
    let with = config(&env);
    let said = init(&env, &[]).ok();
    assert!(said.stderr.contains("stays registered as `/old/codex-tally-hook`") && config(&env) == with, "{said}");
    // A part that was taken out comes back as it was, and all of it goes.
    let at = with.find("[[hooks.Stop]]").unwrap();
    let end = with.find("[[hooks.SessionEnd]]").unwrap();
    write_config(&env, &format!("{}{}", &with[..at], &with[end..]));
    let _ = init(&env, &[]).ok();
    assert_eq!(config(&env).matches("/old/codex-tally-hook").count(), 6);
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert!(!config(&env).contains("hook"), "{}", config(&env));
}

#[test]
fn another_port_and_token_reach_codex_by_another_init() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    write_config(&env, OWN);
    let _ = init(&env, &[]).ok();
    let old = std::fs::read_to_string(env.home().join("token")).unwrap();
    std::fs::remove_file(env.home().join("token")).unwrap();
    on_port(&env, 4998);
    let said = init(&env, &[]).ok();
    let new = std::fs::read_to_string(env.home().join("token")).unwrap();
    assert_ne!(old, new);
    assert!(said.stderr.contains("start the sink again") && !said.stderr.contains("trust the hooks"), "{said}");
    assert!(said.stdout.contains("Bearer <another token>") && said.stdout.contains("Bearer <token>"), "{said}");
    assert!(config(&env).contains("127.0.0.1:4998/v1/logs") && config(&env).contains(new.trim()), "{said}");
    assert!(!config(&env).contains("4999") && !config(&env).contains(old.trim()));
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(config(&env), OWN);
}

#[test]
fn the_sink_listens_where_the_configuration_says() {
    let env = TestEnv::new();
    let free = free_port();
    on_port(&env, free);
    let server = Server::start(env.tally(&["serve"]));
    assert_eq!(server.port(), free);
    assert!(!server.stderr().contains("gRPC"), "`grpc = \"none\"`: {}", server.stderr());
    std::fs::write(env.home().join("config.toml"), "[sink]\ngrpc = \"nowhere\"\n").unwrap();
    assert!(env.run(&["serve", "--http", "127.0.0.1:0"]).fails(1).stderr.contains("`grpc` of `[sink]`"));
}

#[test]
fn the_ledger_goes_only_when_the_word_is_typed() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let _ = env.hook(r#"{"session_id":"s","hook_event_name":"Stop"}"#).ok();
    let _ = env.run(&["sync"]).ok();
    let said = env.run(&["uninstall", "--purge"]).fails(1);
    assert!(said.stderr.contains("purge") && env.home().join("tally.db").exists(), "{said}");
    // What is not ours keeps the folder.
    std::fs::write(env.home().join("notes.txt"), "mine").unwrap();
    let said = env.run(&["uninstall", "--purge", "--yes"]).ok();
    assert!(said.stderr.contains("notes.txt"), "{said}");
    assert_eq!(std::fs::read_dir(env.home()).unwrap().count(), 1);
}

#[test]
fn an_exporter_and_forms_of_others_are_left_alone() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let theirs = "[otel]\nexporter = { otlp-http = { endpoint = \"https://collector.example/v1/logs\", protocol = \"json\" } }\n";
    write_config(&env, theirs);
    let said = init(&env, &[]).ok();
    assert!(said.stderr.contains("https://collector.example/v1/logs already"), "{said}");
    assert!(config(&env).starts_with(theirs) && config(&env).contains("[[hooks.Stop]]"));
    for odd in ["hooks = { Stop = [] }\n", "otel = { environment = \"x\" }\n", "model = \n"] {
        write_config(&env, odd);
        let said = init(&env, &[]).fails(1);
        assert!(said.stderr.contains("Add this by hand") && said.stderr.contains("[[hooks.Stop]]"), "{said}");
        assert!(env.home().join("token").exists(), "as it says");
        assert_eq!(config(&env), odd);
    }
    // Nothing is lost where only the hook is wanted.
    write_config(&env, "otel = { environment = \"x\" }\n");
    let _ = init(&env, &["--no-otel"]).ok();
    assert!(config(&env).contains("[[hooks.SessionEnd]]"));
}

#[test]
fn hooks_json_is_used_by_those_who_use_it() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let own = "{\n  \"hooks\": {\n    \"Stop\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"/bin/true\"}]}]\n  }\n}\n";
    let path = env.codex_home().join("hooks.json");
    std::fs::write(&path, own).unwrap();
    let _ = init(&env, &[]).ok();
    let with: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(with["hooks"]["Stop"].as_array().unwrap().len(), 2);
    assert!(config(&env).contains("[otel]") && !config(&env).contains("[[hooks"), "{}", config(&env));
    assert!(init(&env, &[]).ok().stderr.contains("nothing to do"));
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), own);
    assert!(!env.codex_home().join("config.toml").exists());
}

#[test]
fn profiles_teams_and_homes_are_honoured() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    std::fs::write(
        env.codex_home().join("work.config.toml"),
        "[otel]\nexporter = { otlp-grpc = { endpoint = \"http://x:1\" } }\n",
    )
    .unwrap();
    let said = init(&env, &["--team", "plat\"form"]).ok();
    assert!(said.stderr.contains("profile work"), "{said}");
    let teams: toml::Table = std::fs::read_to_string(env.home().join("teams.toml")).unwrap().parse().unwrap();
    assert_eq!(teams["rule"][0]["team"].as_str(), Some("plat\"form"));
    let _ = env.run(&["report", "monthly"]).ok();
    let _ = init(&env, &["--profile", "home"]).ok();
    let profile = std::fs::read_to_string(env.codex_home().join("home.config.toml")).unwrap();
    assert!(profile.contains("[otel]") && !profile.contains("[[hooks"), "config.toml has the hooks: {profile}");
    // A home that Codex does not know of stands in the command.
    let other = env.root().join("other home");
    let _ =
        env.run(&["--home", other.to_str().unwrap(), "init", "--yes", "--no-otel", "--codex-home", "elsewhere"]).ok();
    let text = std::fs::read_to_string(env.work().join("elsewhere/config.toml")).unwrap();
    assert!(text.contains(&format!("codex-tally-hook --home '{}'", other.display())), "{text}");
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert!(!env.codex_home().join("home.config.toml").exists() && !env.codex_home().join("config.toml").exists());
}

/// The whole way: install, one session, the cost, and out again.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn init_makes_the_real_codex_tell_what_it_costs() {
    let env = TestEnv::new();
    let model = MockModel::start(two_responses());
    let _server = with_sink(&env);
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    let before = config(&env);
    let said = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    assert!(said.stderr.contains("runs all 6 hooks"), "{said}");
    assert!(init(&env, &["--trust", "--codex", Codex::program()]).ok().stderr.contains("trusted already"));
    codex.exec_as_configured(&["do the thing"]);
    let monthly = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    assert_eq!(monthly["coverage"]["responses_by_source"], json!({"hook+otlp+transcript": 2}));
    for (name, value) in truth::totals(&model.served()).as_object().unwrap() {
        assert_eq!(&monthly["totals"][name], value, "{name}");
    }

    // Codex has written trust into the file; all of it was in our hooks.
    assert!(config(&env).contains("[hooks.state]"));
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(config(&env), before, "no trace is left");
    assert_eq!(env.run(&["report", "monthly", "--format", "json"]).ok().json()["totals"], monthly["totals"]);
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn trust_in_hooks_of_hooks_json_comes_and_goes() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let own = "{\"hooks\": {\"Stop\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"mine\"}]}]}}";
    std::fs::write(env.codex_home().join("hooks.json"), own).unwrap();
    let said = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    assert!(said.stderr.contains("runs all 6 hooks"), "{said}");
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(std::fs::read_to_string(env.codex_home().join("hooks.json")).unwrap(), own);
    assert!(!env.codex_home().join("config.toml").exists(), "{}", config(&env));
}

/// A hook of the user before ours, one behind it, both trusted: they still are when ours is gone.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn trust_in_the_users_own_hooks_outlives_ours() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let own = |command: &str| {
        format!("\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"{command}\"\n")
    };
    let asked = || setup::codex::Codex::start(Path::new(Codex::program()), &env.codex_home()).unwrap();
    let trust = |name: &str| {
        let mut codex = asked();
        let hooks = codex.hooks(&env.work()).unwrap().hooks;
        let hooks: Vec<_> = hooks.into_iter().filter(|hook| hook.command == name).collect();
        assert_eq!(hooks.len(), 1);
        assert!(codex.trust(&hooks, &env.work()).unwrap().hooks.iter().any(|hook| hook.command == name && hook.runs()));
    };
    write_config(&env, &own("first"));
    trust("first");
    let _ = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    write_config(&env, &(config(&env) + &own("last")));
    trust("last");
    assert_eq!(asked().hooks(&env.work()).unwrap().hooks.iter().filter(|hook| hook.runs()).count(), 8);
    let _ = env.run(&["uninstall", "--yes"]).ok();
    let left = asked().hooks(&env.work()).unwrap().hooks;
    let left: Vec<_> = left.iter().map(|hook| (hook.command.as_str(), hook.runs())).collect();
    assert_eq!(left, [("first", true), ("last", true)], "{}", config(&env));
    assert!(!config(&env).contains("codex-tally"));
}

fn two_responses() -> Vec<Step> {
    vec![Step::shell("call_1", "true").bare_usage(1_000, 100), Step::message("done").bare_usage(2_000, 200)]
}
