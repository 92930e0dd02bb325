//! What `init` and `uninstall` take care of in files and folders that are not ours.

use std::os::unix::fs::PermissionsExt;

use super::{OWN, config, init, on_port, write_config};
use crate::support::TestEnv;

#[test]
fn a_folder_that_is_no_home_is_not_purged() {
    let env = TestEnv::new();
    let docs = env.root().join("docs");
    for folder in ["billing", "spool"] {
        std::fs::create_dir_all(docs.join(folder)).unwrap();
        std::fs::write(docs.join(folder).join("mine.md"), "mine").unwrap();
    }
    std::fs::write(docs.join("members.csv"), "mine").unwrap();
    let said = env.run(&["--home", docs.to_str().unwrap(), "uninstall", "--purge", "--yes"]).fails(1);
    assert!(said.stderr.contains("is no home of codex-tally"), "{said}");
    assert!(docs.join("billing/mine.md").exists() && docs.join("spool/mine.md").exists());
    assert!(docs.join("members.csv").exists());
}

#[test]
fn an_exporter_that_was_changed_keeps_its_token_private_and_is_told() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    write_config(&env, OWN);
    let path = env.codex_home().join("config.toml");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let _ = init(&env, &[]).ok();
    let token = std::fs::read_to_string(env.home().join("token")).unwrap();
    write_config(&env, &config(&env).replace("protocol = \"binary\"", "protocol = \"json\""));
    let said = env.run(&["uninstall", "--yes"]).ok();
    assert!(said.stderr.contains("still sends logs to http://127.0.0.1:4999/v1/logs"), "{said}");
    assert!(config(&env).contains(token.trim()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "the token is still in it");
    let installed = std::fs::read_dir(env.home().join("installed")).unwrap();
    for copy in installed.flatten().flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten())
    {
        let text = std::fs::read_to_string(copy.path()).unwrap();
        assert!(!text.contains(token.trim()), "{}: {text}", copy.path().display());
    }
}

#[test]
fn links_and_folders_are_as_others_need_them() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    std::os::unix::fs::symlink("nowhere.toml", env.codex_home().join("config.toml")).unwrap();
    let said = init(&env, &[]).fails(1);
    assert!(said.stderr.contains("a link that leads nowhere"), "{said}");
    assert!(env.codex_home().join("config.toml").is_symlink());
    let root = env.root().join("staging");
    let _ = env.run(&["init", "--system", "--yes", "--root", root.to_str().unwrap()]).ok();
    for folder in [&root, &root.join("etc"), &root.join("etc/codex")] {
        let mode = std::fs::metadata(folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o755, "{}", folder.display());
    }
}

#[test]
fn an_exporter_of_traces_alone_is_added_to() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let own = "[otel.trace_exporter.otlp-http]\nendpoint = \"https://x/v1/traces\"\nprotocol = \"json\"\n";
    write_config(&env, own);
    let _ = init(&env, &[]).ok();
    assert!(
        config(&env).contains("127.0.0.1:4999/v1/logs") && !config(&env).contains("= \"none\""),
        "{}",
        config(&env)
    );
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(config(&env), own);
}

#[test]
fn a_hooks_json_that_says_nothing_is_not_used_and_json_is_shown_as_json() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let path = env.codex_home().join("hooks.json");
    std::fs::write(&path, "{}\n").unwrap();
    let _ = init(&env, &[]).ok();
    assert!(config(&env).contains("[[hooks.Stop]]"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
    let _ = env.run(&["uninstall", "--yes"]).ok();
    std::fs::write(&path, "[1]").unwrap();
    let said = init(&env, &[]).fails(1);
    assert!(said.stderr.contains("\"hooks\": {") && !said.stderr.contains("[[hooks"), "{said}");
}

#[test]
fn a_change_shows_no_secrets_of_others() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let far = "[far]\nkey = \"s3cret\"\n\n[a]\nb = 1\nc = 2\n\n";
    let near = "http_headers = { authorization = \"Bearer n3ar\" }\n";
    write_config(&env, &format!("{far}[near]\n{near}[otel]\nexporter = \"none\"\n"));
    let said = init(&env, &[]).ok();
    assert!(said.stdout.contains("- exporter = \"none\""), "{said}");
    assert!(!said.stdout.contains("s3cret") && !said.stdout.contains("n3ar"), "{said}");
}

/// Codex itself writes the file as it likes when it notes trust.
#[test]
fn line_ends_and_a_mark_come_back() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let own = "\u{feff}model = \"x\"\r\n\r\n[tui]\r\ntheme = \"y\"\r\n";
    write_config(&env, own);
    let _ = init(&env, &[]).ok();
    write_config(&env, &config(&env).trim_start_matches('\u{feff}').replace("\r\n", "\n"));
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(config(&env), own);
}

#[test]
fn doctor_reads_the_rules() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    std::fs::write(env.home().join("teams.toml"), "[[rule]]\nx = \n").unwrap();
    let mut command = env.tally(&["doctor"]);
    command.env("PATH", "/nonexistent");
    let said = crate::support::env::Output::of(command).fails(1);
    assert!(said.stdout.contains("FAIL  teams"), "{said}");
}
