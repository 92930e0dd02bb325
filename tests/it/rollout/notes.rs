//! What `init` notices besides its own part, and fleets that change.

use serde_json::json;

use super::{OWN, config, init, on_port, two_responses, with_sink, write_config};
use crate::support::{Codex, MockModel, TestEnv};

#[test]
fn a_fleet_whose_program_moved_calls_the_new_one() {
    let env = TestEnv::new();
    let root = env.root().join("staging");
    let path = root.join("etc/codex/requirements.toml");
    let system = |more: &[&str]| {
        let args = ["init", "--system", "--yes", "--root", root.to_str().unwrap()];
        env.run(&[&args, more].concat()).ok()
    };
    let text = || std::fs::read_to_string(&path).unwrap();
    let own = "allow_managed_hooks_only = true\n\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"mine\"\n";
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, own).unwrap();
    let _ = system(&["--hook", "/old/codex-tally-hook", "--team", "search"]);
    let said = system(&["--hook", "/opt/new/codex-tally-hook"]);
    assert_eq!(text().matches("\"/opt/new/codex-tally-hook\"").count(), 6, "{said}");
    assert!(text().contains("managed_dir = \"/opt/new\"") && !text().contains("/old"), "{}", text());
    assert!(said.stderr.contains("the team stays search") && text().contains("\"search\""), "{said}");
    let again = system(&["--hook", "/opt/new/codex-tally-hook"]);
    assert!(again.stderr.contains("nothing to do"), "{again}");
    let _ = system(&["--hook", "/opt/new/codex-tally-hook", "--team", "ads"]);
    assert!(text().contains("\"ads\"") && !text().contains("search"), "{}", text());
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(text(), own);
}

#[test]
fn a_token_that_goes_into_a_repository_is_told() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let repository = env.root().join("dotfiles");
    std::fs::create_dir_all(repository.join(".git")).unwrap();
    std::fs::write(repository.join("codex.toml"), OWN).unwrap();
    std::os::unix::fs::symlink("../dotfiles/codex.toml", env.codex_home().join("config.toml")).unwrap();
    let said = init(&env, &[]).ok();
    assert!(
        said.stderr.contains("dotfiles/codex.toml, in a git work tree: the sink's token is written there"),
        "{said}"
    );
    assert!(!init(&env, &[]).ok().stderr.contains("git"), "once");
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(std::fs::read_to_string(repository.join("codex.toml")).unwrap(), OWN);
    assert!(env.codex_home().join("config.toml").is_symlink());
}

#[test]
fn hooks_that_will_not_run_are_told() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    write_config(&env, "[features]\nhooks = false\n");
    let said = init(&env, &["--hook", "/does/not/exist"]).ok();
    assert!(said.stderr.contains("hooks are switched off") && said.stderr.contains("hooks = true"), "{said}");
    assert!(!said.stderr.contains("trust the hooks when it asks"), "it never will: {said}");
    assert!(said.stderr.contains("/does/not/exist is not there"), "{said}");
}

#[test]
fn a_line_that_got_a_remark_stays() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    write_config(&env, "model = \"x\"\n");
    let _ = init(&env, &[]).ok();
    let remarked = config(&env).replace("trace_exporter = \"none\"", "trace_exporter = \"none\" # mine");
    write_config(&env, &remarked);
    let said = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(config(&env), "model = \"x\"\n\n[otel]\ntrace_exporter = \"none\" # mine\n", "{said}");
    assert!(said.stderr.contains("still has `trace_exporter`"), "{said}");
    // Of a line with the token only the remark stays.
    write_config(&env, "model = \"x\"\n");
    let _ = init(&env, &[]).ok();
    write_config(&env, &config(&env).replace(" } }\n", " } } # to me\n"));
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(config(&env), "model = \"x\"\n\n[otel]\n# to me\n");
}

#[test]
fn logins_at_the_same_time_do_not_disturb_each_other() {
    let env = TestEnv::new();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let mut command = env.tally(&["-q", "init", "--yes"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for call in calls {
        let done = call.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && said.is_empty(), "{said}");
        assert!(done.stdout.is_empty(), "a quiet call prints no difference");
    }
    assert_eq!(config(&env).matches("[[hooks.Stop]]").count(), 1);
    let shown = env.run(&["-q", "init", "--print", "--codex-home", "elsewhere"]).ok();
    assert!(shown.stdout.contains("+ [[hooks.Stop]]"), "what is asked for is shown: {shown}");
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert!(!env.codex_home().join("config.toml").exists() && !env.home().join("config.toml").exists());
}

#[test]
fn hooks_move_from_a_profile_to_the_configuration_of_all() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let profile = env.codex_home().join("work.config.toml");
    std::fs::write(&profile, OWN).unwrap();
    let _ = init(&env, &["--profile", "work"]).ok();
    let said = init(&env, &[]).ok();
    assert!(said.stderr.contains("the hooks of the profile work go"), "{said}");
    let text = std::fs::read_to_string(&profile).unwrap();
    assert!(!text.contains("codex-tally-hook") && text.contains("exporter = {"), "{text}");
    assert_eq!(config(&env).matches("codex-tally-hook").count(), 6);
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(std::fs::read_to_string(&profile).unwrap(), OWN);
    assert!(!env.codex_home().join("config.toml").exists());
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn the_real_codex_runs_each_hook_once_under_a_profile() {
    let env = TestEnv::new();
    let model = MockModel::start(two_responses());
    let _server = with_sink(&env);
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    let _ = init(&env, &["--profile", "work"]).ok();
    let _ = init(&env, &[]).ok();
    codex.exec_as_configured(&["--profile", "work", "--dangerously-bypass-hook-trust", "do the thing"]);
    let monthly = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    assert_eq!(monthly["coverage"]["responses_by_source"], json!({"hook+otlp+transcript": 2}), "{monthly:#}");
    let spool: String = std::fs::read_dir(env.home().join("spool"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert_eq!(spool.matches("\"event\":\"Stop\"").count(), 1, "{spool}");
}
