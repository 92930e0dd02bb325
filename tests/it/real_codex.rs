//! The real Codex CLI against a scripted model: the ledger must say, token by token, what the model served.

use serde_json::{Map, Value, json};

use crate::support::env::HOOK;
use crate::support::{Codex, Cut, MockModel, Served, Step, TestEnv, Usage, truth};

#[test]
fn codex_is_installed_in_ci() {
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(cfg!(real_codex) || !ci, "the Codex CLI is not installed, so nothing here was tested: run .ci/run");
}

/// All three sources at once, over two runs of one session.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn hooks_otlp_and_transcripts_agree_with_the_model() {
    let env = TestEnv::new();
    let model = MockModel::start([first_turn(), second_turn()].concat());
    let mut server = env.serve(&["--auth", "token"]);
    let otel = server.otel();
    let token = std::fs::read_to_string(env.home().join("token")).unwrap();
    let headers = &otel["exporter"]["otlp-http"]["headers"];
    assert_eq!(headers["authorization"].as_str(), Some(format!("Bearer {}", token.trim()).as_str()));

    let mut codex = Codex::new(&env, &model).hook(HOOK).otel(otel);
    codex.exec(&["do the thing"]);
    codex.exec(&["resume", "--last", "once more"]);

    let monthly = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    check_totals(&monthly, &model.served());
    assert_eq!(model.steps_left(), 0);
    assert_eq!(sources(&monthly), json!({"hook+otlp+transcript": 5}));
    let sessions = env.run(&["report", "session", "--format", "json"]).ok().json();
    check_totals(&sessions, &model.served());
    let [session] = rows(&sessions) else { panic!("one session, resumed: {sessions:#}") };
    check(session, &json!({"turns": 2, "prompts": 2, "tool_calls": 3, "responses": 5}));
    check(session, &json!({"team": "platform", "project": "api-gateway", "cost_centre": "CC-4521"}));

    // What the sink acknowledged does not depend on its being there.
    assert!(server.stop().success());
    let again = env.run(&["report", "session", "--format", "json"]).ok().json();
    for part in ["rows", "totals", "coverage"] {
        assert_eq!(again[part], sessions[part], "{part} after the sink has ended");
    }
}

/// The other encoding of OTLP, and a session that leaves no transcript.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn otlp_as_json_and_an_ephemeral_session_agree_with_the_model() {
    let env = TestEnv::new();
    let model = MockModel::start([first_turn(), second_turn()].concat());
    let mut server = env.serve(&[]);
    let mut otel = server.otel();
    otel["exporter"]["otlp-http"]["protocol"] = "json".into();

    let mut codex = Codex::new(&env, &model).hook(HOOK).otel(otel);
    codex.exec(&["do the thing"]);
    codex.exec(&["--ephemeral", "something else"]);

    let monthly = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    check_totals(&monthly, &model.served());
    assert_eq!(sources(&monthly), json!({"hook+otlp+transcript": 3, "hook+otlp": 2}));
    let sessions = env.run(&["report", "session", "--format", "json"]).ok().json();
    check_totals(&sessions, &model.served());
    assert_eq!(rows(&sessions).len(), 2, "{sessions:#}");
    for session in rows(&sessions) {
        check(session, &json!({"turns": 1, "prompts": 1, "team": "platform"}));
    }
}

/// The other protocol of OTLP, as `serve` prints it, and no transcript to help.
#[test]
#[cfg(feature = "grpc")]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn otlp_over_grpc_agrees_with_the_model() {
    let env = TestEnv::new();
    let model = MockModel::start([first_turn(), second_turn()].concat());
    let mut server = env.serve(&["--auth", "token"]);
    let otel = server.otel_over_grpc();
    assert_eq!(otel["exporter"].as_table().unwrap().keys().collect::<Vec<_>>(), ["otlp-grpc"]);
    let mut codex = Codex::new(&env, &model).hidden_home().otel(otel);
    codex.exec(&["do the thing"]);
    codex.exec(&["resume", "--last", "once more"]);
    assert_eq!(model.steps_left(), 0);
    assert!(server.stop().success());

    let sessions = env.run(&["report", "session", "--no-import", "--format", "json"]).ok().json();
    check_totals(&sessions, &model.served());
    assert_eq!(sources(&sessions), json!({"otlp": 5}));
    let [session] = rows(&sessions) else { panic!("one session, resumed: {sessions:#}") };
    check(session, &json!({"prompts": 2, "tool_calls": 3, "team": "platform"}));
}

/// No exporter: the hook's spool, and the transcripts that the hook names.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn hooks_alone_agree_with_the_model() {
    let env = TestEnv::new();
    let model = MockModel::start([first_turn(), second_turn()].concat());
    let mut codex = Codex::new(&env, &model).hidden_home().hook(HOOK);
    codex.exec(&["do the thing"]);
    codex.exec(&["--ephemeral", "something else"]);

    // A hook cannot tell how an ephemeral session is billed, and nothing is assumed until one line of configuration says so.
    let unknown = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    check(&unknown["coverage"], &json!({"unpriced_responses": 2, "unpriced_reasons": {"billing channel unknown": 2}}));
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();

    let monthly = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    check_totals(&monthly, &model.served());
    assert_eq!(sources(&monthly), json!({"hook+transcript": 3, "hook": 2}));
    check(&monthly["totals"], &json!({"sessions": 2, "turns": 2, "tool_calls": 3}));
}

/// No hooks, and transcripts that nobody reads.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn otlp_alone_agrees_with_the_model() {
    let env = TestEnv::new();
    let model = MockModel::start([first_turn(), second_turn()].concat());
    let mut server = env.serve(&[]);
    let mut codex = Codex::new(&env, &model).hidden_home().otel(server.otel());
    codex.exec(&["do the thing"]);
    codex.exec(&["resume", "--last", "once more"]);
    assert!(server.stop().success());

    let sessions = env.run(&["report", "session", "--no-import", "--format", "json"]).ok().json();
    check_totals(&sessions, &model.served());
    assert_eq!(sources(&sessions), json!({"otlp": 5}));
    let [session] = rows(&sessions) else { panic!("one session, resumed: {sessions:#}") };
    check(session, &json!({"prompts": 2, "tool_calls": 3, "team": "platform"}));
}

/// Neither hooks nor an exporter: what Codex leaves behind anyway.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn transcripts_alone_agree_with_the_model() {
    let env = TestEnv::new();
    let model = MockModel::start([first_turn(), second_turn()].concat());
    let mut codex = Codex::new(&env, &model);
    codex.exec(&["do the thing"]);
    codex.exec(&["resume", "--last", "once more"]);

    let _ = env.run(&["import"]).ok();
    let sessions = env.run(&["report", "session", "--no-import", "--format", "json"]).ok().json();
    check_totals(&sessions, &model.served());
    assert_eq!(sources(&sessions), json!({"transcript": 5}));
    let [session] = rows(&sessions) else { panic!("one session, resumed: {sessions:#}") };
    check(session, &json!({"turns": 2, "prompts": 2, "tool_calls": 3, "team": "unattributed"}));
    // Reading the same files again adds nothing.
    let again = env.run(&["report", "session", "--format", "json"]).ok().json();
    assert_eq!(again["rows"], sessions["rows"]);
}

/// Retries, a broken stream and a server error: only what was completed is counted, and that once.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn failed_attempts_of_the_model_are_not_counted() {
    let env = TestEnv::new();
    let script = [
        Step::http_error(500),
        Step::message("lost").usage(tokens(9_000, 0, 0, 900, 0)).cut(Cut::BeforeItems),
        Step::message("lost as well").usage(tokens(9_100, 0, 0, 910, 0)).cut(Cut::AfterItems),
        Step::message("refused").usage(tokens(9_200, 0, 0, 920, 0)).failed("server_error", "scripted failure"),
        Step::message("done").usage(tokens(9_300, 4_000, 0, 930, 20)),
    ];
    let model = MockModel::start(script.to_vec());
    let mut server = env.serve(&[]);
    let mut codex = Codex::new(&env, &model).hook(HOOK).otel(server.otel()).retries(4);
    codex.exec(&["do the thing"]);

    let monthly = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    assert_eq!(model.steps_left(), 0);
    check_totals(&monthly, &model.served());
    assert_eq!(sources(&monthly), json!({"hook+otlp+transcript": 1}));
}

/// A subagent's thread belongs to the session of the thread that started it, and to its owner.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn a_subagent_is_part_of_its_parents_session() {
    let env = TestEnv::new();
    let model = MockModel::start(with_a_subagent());
    let mut server = env.serve(&[]);
    let mut codex = Codex::new(&env, &model).hook(HOOK).otel(server.otel());
    codex.exec(&["have someone do it"]);

    assert_eq!(model.steps_left(), 0);
    let sessions = env.run(&["report", "session", "--format", "json"]).ok().json();
    check_totals(&sessions, &model.served());
    assert_eq!(sources(&sessions), json!({"hook+otlp+transcript": 5}));
    let [session] = rows(&sessions) else { panic!("one session for both threads: {sessions:#}") };
    check(session, &json!({"responses": 5, "tool_calls": 3, "team": "platform"}));
}

/// Twelve responses with the same tokens in one turn stay twelve, whatever sees them.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn twelve_equal_responses_are_twelve() {
    let twelve = || MockModel::start(equals(12));
    // All sources, hooks registered twice: the transcript tells how many there were.
    let (env, model) = (TestEnv::new(), twelve());
    let mut server = env.serve(&[]);
    Codex::new(&env, &model).hook(HOOK).hooked_twice().otel(server.otel()).exec(&["do the same thing"]);
    let all = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    check_totals(&all, &model.served());
    assert_eq!(sources(&all), json!({"hook+otlp+transcript": 12}));
    check(&all["coverage"], &json!({"conflicts": 0}));

    // Hooks alone.
    for twice in [false, true] {
        let (env, model) = (TestEnv::new(), twelve());
        std::fs::create_dir_all(env.home()).unwrap();
        std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
        let codex = Codex::new(&env, &model).hidden_home().hook(HOOK);
        let mut codex = if twice { codex.hooked_twice() } else { codex };
        codex.exec(&["--ephemeral", "do the same thing"]);
        let hooks = env.run(&["report", "monthly", "--format", "json"]).ok().json();
        check_totals(&hooks, &model.served());
        assert_eq!(sources(&hooks), json!({"hook": 12}));
        // A hook alone knows no tier.
        check(&hooks["coverage"], &json!({"ambiguous": 12}));
    }
}

/// Two sessions at once in one folder, alike in everything.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn two_sessions_at_once_are_two() {
    let env = TestEnv::new();
    let of = |task: &'static str| equals(4).into_iter().map(move |step| step.when(task));
    let model = MockModel::start(of("TASK-ONE").chain(of("TASK-TWO")).collect());
    let mut server = env.serve(&[]);
    let otel = server.otel();
    std::thread::scope(|scope| {
        for (home, task) in [("codex", "TASK-ONE"), ("other", "TASK-TWO")] {
            let mut codex = Codex::new(&env, &model).home(home).hook(HOOK).otel(otel.clone());
            scope.spawn(move || codex.exec(&[task]));
        }
    });
    let sessions = env.run(&["report", "session", "--format", "json"]).ok().json();
    check_totals(&sessions, &model.served());
    assert_eq!(sources(&sessions), json!({"hook+otlp+transcript": 8}));
    let [one, other] = rows(&sessions) else { panic!("two sessions: {sessions:#}") };
    for session in [one, other] {
        check(session, &json!({"responses": 4, "turns": 1, "prompts": 1, "tool_calls": 3}));
    }
    check(&sessions["coverage"], &json!({"conflicts": 0}));
}

/// Three responses with a command and a patch.
fn first_turn() -> Vec<Step> {
    vec![
        Step::shell("call_1", "echo hello").usage(tokens(12_000, 4_096, 0, 350, 128)),
        Step::add_file("call_2", "a.txt", "hi").usage(tokens(12_500, 11_000, 77, 120, 0)),
        Step::message("done").usage(tokens(12_800, 12_000, 0, 40, 10)),
    ]
}

/// Two responses with a command that fails.
fn second_turn() -> Vec<Step> {
    vec![
        Step::shell("call_3", "exit 3").usage(tokens(13_000, 12_544, 0, 61, 33)),
        Step::message("done again").usage(tokens(13_100, 12_544, 100, 55, 0)),
    ]
}

/// As many responses of one turn with the same tokens, a moment apart.
fn equals(n: usize) -> Vec<Step> {
    let calls = (1..n).map(|i| Step::shell(&format!("call_{i}"), "sleep 0.15"));
    calls.chain([Step::message("done")]).map(|step| step.usage(tokens(12_000, 4_096, 0, 350, 128))).collect()
}

/// Three responses of the parent and two of the child that it starts and waits for.
fn with_a_subagent() -> Vec<Step> {
    let spawn = json!({"message": "CHILD-TASK: say hi", "agent_type": "default"});
    let wait = json!({"targets": ["$AGENT"], "timeout_ms": 20_000});
    // A request repeats the calls of its own thread, and the ids of these calls occur nowhere else.
    vec![
        Step::namespaced_call("parent_spawns", "multi_agent_v1", "spawn_agent", &spawn)
            .usage(tokens(1_000, 100, 0, 10, 1))
            .when_not("CHILD-TASK"),
        Step::shell("child_runs", "echo child")
            .usage(tokens(50_000, 5_000, 0, 500, 50))
            .when("CHILD-TASK")
            .when_not("parent_spawns"),
        Step::message("child done")
            .usage(tokens(60_000, 6_000, 0, 600, 60))
            .when("child_runs")
            .when_not("parent_spawns"),
        Step::namespaced_call("parent_waits", "multi_agent_v1", "wait_agent", &wait)
            .usage(tokens(2_000, 200, 0, 20, 2))
            .when("parent_spawns")
            .quoting("$AGENT", "agent_id"),
        Step::message("parent done").usage(tokens(3_000, 300, 0, 30, 3)).when("parent_waits"),
    ]
}

pub fn tokens(input: u64, cached: u64, cache_write: u64, output: u64, reasoning: u64) -> Usage {
    Usage { input, cached, cache_write, output, reasoning }
}

/// The totals of a report must be those of the truth.
#[track_caller]
pub fn check_totals(report: &Value, served: &[Served]) {
    check(&report["totals"], &truth::totals(served));
}

/// Each expected field must be there as expected; others may be there too.
#[track_caller]
pub fn check(found: &Value, expected: &Value) {
    let expected_fields = expected.as_object().expect("an object of expected fields");
    let named: Map<_, _> = expected_fields.keys().map(|key| (key.clone(), found[key].clone())).collect();
    assert_eq!(&Value::from(named), expected, "in {found:#}");
}

pub fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().map(Vec::as_slice).unwrap_or_default()
}

pub fn sources(report: &Value) -> Value {
    report["coverage"]["responses_by_source"].clone()
}
