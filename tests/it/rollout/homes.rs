//! Homes that are gone, and more homes than one, for the same Codex.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{OWN, config, init, on_port, two_responses, write_config};
use crate::support::env::Output;
use crate::support::{Codex, MockModel, TestEnv};

/// Its home is gone, as who wants to forget everything removes it.
fn lose_home(env: &TestEnv) {
    std::fs::remove_dir_all(env.home()).unwrap();
}

/// A configuration that ends with a line end, which is all that cannot be known without a record.
fn own() -> String {
    format!("{OWN}\n")
}

#[test]
fn what_a_lost_home_registered_goes() {
    for text in [&own(), "[otel]\nenvironment = \"dev\"\n", "[otel.span_attributes]\nx = \"y\"\n"] {
        let env = TestEnv::new();
        on_port(&env, 4999);
        write_config(&env, text);
        let _ = init(&env, &[]).ok();
        let token = std::fs::read_to_string(env.home().join("token")).unwrap();
        lose_home(&env);
        let said = env.run(&["uninstall", "--yes"]).ok();
        assert_eq!(config(&env), text, "{said}");
        assert!(!said.to_string().contains(token.trim()), "{said}");
        assert!(!env.home().exists(), "it is not made anew");
        assert!(env.run(&["uninstall", "--yes"]).ok().stderr.contains("nothing to do"));
    }
    // A file that holds nothing else goes.
    let env = TestEnv::new();
    on_port(&env, 4999);
    let _ = init(&env, &[]).ok();
    lose_home(&env);
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert!(!env.codex_home().join("config.toml").exists());
}

#[test]
fn a_second_init_takes_over_what_a_lost_home_registered() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    write_config(&env, &own());
    let _ = init(&env, &["--hook", "/old path/codex-tally-hook"]).ok();
    let old = std::fs::read_to_string(env.home().join("token")).unwrap();
    lose_home(&env);
    on_port(&env, 4998);
    let said = init(&env, &[]).ok();
    assert!(said.stderr.contains("token of a home that is gone"), "{said}");
    assert!(said.stderr.contains("stays registered as `'/old path/codex-tally-hook'`"), "{said}");
    assert!(!config(&env).contains(old.trim()) && config(&env).contains("4998"), "{}", config(&env));
    assert_eq!(config(&env).matches("codex-tally-hook'").count(), 6, "{}", config(&env));
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(config(&env), own());
}

#[test]
fn hooks_of_a_lost_home_go_from_hooks_json() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let own = "{\n  \"hooks\": {\n    \"Stop\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"/bin/true\"}]}],\n    \"X\": 1\n  }\n}\n";
    let path = env.codex_home().join("hooks.json");
    std::fs::write(&path, own).unwrap();
    let _ = init(&env, &[]).ok();
    assert!(std::fs::read_to_string(&path).unwrap().contains("codex-tally-hook"));
    lose_home(&env);
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), own);
    assert!(!env.codex_home().join("config.toml").exists());
}

#[test]
fn another_folder_of_codex_can_be_named() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let _ = init(&env, &["--codex-home", "elsewhere"]).ok();
    lose_home(&env);
    let _ = env.run(&["uninstall", "--yes", "--codex-home", "elsewhere"]).ok();
    assert!(!env.work().join("elsewhere/config.toml").exists());
}

#[test]
fn an_exporter_with_a_token_never_stays_unnoticed() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let _ = init(&env, &[]).ok();
    write_config(&env, &config(&env).replace("protocol = \"binary\"", "protocol = \"json\""));
    lose_home(&env);
    let said = env.run(&["uninstall", "--yes"]).ok();
    assert!(said.stderr.contains("still sends logs to http://127.0.0.1:4999/v1/logs"), "{said}");
    assert!(!config(&env).contains("codex-tally-hook"), "{}", config(&env));
}

/// The home that is used where no variable and no option names another.
fn usual(env: &TestEnv) -> PathBuf {
    env.user_home().join(".local/state/codex-tally")
}

fn in_usual(env: &TestEnv, args: &[&str]) -> Command {
    let mut command = env.tally(args);
    command.env_remove("CODEX_TALLY_HOME");
    command
}

#[test]
fn a_second_home_is_refused_and_told_what_to_do() {
    for named in [false, true] {
        let env = TestEnv::new();
        write_config(&env, OWN);
        let _ = Output::of(in_usual(&env, &["init", "--yes"])).ok();
        let with = config(&env);
        let home = env.home();
        let second = ["--home", home.to_str().unwrap(), "init", "--yes"];
        let said = if named { Output::of(in_usual(&env, &second)) } else { init(&env, &[]) }.fails(1);
        let home = usual(&env).display().to_string();
        assert!(said.stderr.contains(&format!("registered for another home, {home}")), "{said}");
        assert!(said.stderr.contains(&format!("`codex-tally --home {home} uninstall`")), "{said}");
        assert_eq!(config(&env), with);
        assert!(!env.home().exists(), "not even made");
        // What it says works, from there and from here.
        let _ = env.run(&["--home", &home, "uninstall", "--yes"]).ok();
        assert_eq!(config(&env), OWN);
        let _ = init(&env, &[]).ok();
    }
}

/// A home that only the registration tells of is left to its own name, there or gone.
#[test]
fn a_home_that_was_named_is_taken_out_by_its_name() {
    for gone in [false, true] {
        let env = TestEnv::new();
        write_config(&env, &own());
        let home = env.root().join("a home");
        let named = |args: &[&str]| env.run(&[&["--home", home.to_str().unwrap()], args].concat());
        let _ = named(&["init", "--yes"]).ok();
        let with = config(&env);
        if gone {
            std::fs::remove_dir_all(&home).unwrap();
        }
        let said = env.run(&["uninstall", "--yes"]).ok();
        assert_eq!(config(&env), with);
        let advice = format!("`codex-tally --home '{}' uninstall`", home.display());
        assert!(said.stderr.contains(&advice) && said.stderr.contains("nothing to do"), "{said}");
        assert!(init(&env, &[]).fails(1).stderr.contains(&advice));
        let _ = named(&["uninstall", "--yes"]).ok();
        assert_eq!(config(&env), own());
    }
}

/// As an earlier version did it: the hooks are of the one, the exporter of the other.
#[test]
fn two_homes_can_be_taken_out_in_any_order() {
    for first_goes_first in [true, false] {
        let env = TestEnv::new();
        on_port(&env, 4999);
        write_config(&env, OWN);
        let _ = Output::of(in_usual(&env, &["init", "--yes"])).ok();
        let with_one = config(&env);
        let of_one = with_one.lines().find(|line| line.starts_with("exporter")).unwrap().to_string();
        let token = |home: &Path| std::fs::read_to_string(home.join("token")).unwrap().trim().to_string();
        // The second home's registration and record, without the first in the way.
        write_config(&env, "");
        let _ = init(&env, &[]).ok();
        let of_two = config(&env).lines().find(|line| line.starts_with("exporter")).unwrap().to_string();
        write_config(&env, &with_one.replace(&of_one, &of_two));
        let path = env.home().join("installed/record.json");
        let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let added = &mut record["files"][0]["added"];
        added["events"] = serde_json::json!([]);
        added["otel"] = serde_json::json!([["exporter", of_one.strip_prefix("exporter = ").unwrap()]]);
        added["created_otel"] = serde_json::json!(false);
        std::fs::write(&path, record.to_string()).unwrap();
        let (one, two) = (token(&usual(&env)), token(&env.home()));
        assert!(config(&env).contains(&two) && !config(&env).contains(&one));

        let uninstall = |first: bool| {
            let command = ["uninstall", "--yes"];
            if first { Output::of(in_usual(&env, &command)) } else { env.run(&command) }.ok()
        };
        let said = uninstall(first_goes_first);
        if first_goes_first {
            assert_eq!(config(&env), OWN, "the second is not known here, but a token must not stay: {said}");
        } else {
            assert_eq!(config(&env), with_one, "given back to the one that is still there: {said}");
            assert!(said.stderr.contains("for another home"), "{said}");
        }
        let said = uninstall(!first_goes_first);
        assert_eq!(config(&env), OWN, "{said}");
    }
}

/// Codex has noted trust in hooks of a home that is gone; it goes with them, and Codex no longer runs anything of ours.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn the_real_codex_forgets_a_lost_home() {
    let env = TestEnv::new();
    let model = MockModel::start([two_responses(), two_responses()].concat());
    on_port(&env, 4999);
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    let before = config(&env);
    let _ = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    lose_home(&env);
    // A second one takes over, and its hooks are trusted as they are.
    on_port(&env, 4998);
    let said = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    assert!(said.stderr.contains("trusted already"), "{said}");
    codex.exec_as_configured(&["do the thing"]);
    assert!(env.home().join("spool").exists());
    lose_home(&env);
    let _ = env.run(&["uninstall", "--yes"]).ok();
    let without = |text: &str| text.replace("exporter = \"none\"\n", "");
    assert_eq!(without(&config(&env)), without(&before), "no hook, no trust, no token");
    codex.exec_as_configured(&["do the thing"]);
    assert!(!env.home().exists(), "nothing calls us any more");
}
