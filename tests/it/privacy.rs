//! What is kept of what was said and done, and of who it was: nothing that was not asked for, anywhere on disk.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::store::report;
use crate::support::capture::files;
use crate::support::client::call;
use crate::support::env::HOOK;
use crate::support::transcript::line;
use crate::support::{Capture, Codex, Feed, MockModel, Step, TestEnv, Transcript, eventually};

/// The files below a folder that hold a text, whatever they are.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|w| w.eq_ignore_ascii_case(text.as_bytes()));
    let all = files(folder).into_iter().filter(|path| path.is_file());
    all.filter(|path| holds(&std::fs::read(path).unwrap())).map(|path| path.display().to_string()).collect()
}

#[track_caller]
fn nowhere(env: &TestEnv, texts: &[&str], when: &str) {
    for text in texts {
        assert_eq!(holding(&env.home(), text), [] as [String; 0], "{text} {when}");
    }
}

fn configured(text: &str) -> TestEnv {
    let env = TestEnv::new();
    configure(&env, text);
    env
}

fn configure(env: &TestEnv, text: &str) {
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), text).unwrap();
}

/// A real session with all three sources, a sink that is killed with a full journal, and secrets in all that was said and done.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn canaries_of_a_real_session_are_nowhere_on_disk() {
    let canaries =
        ["CANARYPROMPT", "CANARYCOMMAND", "CANARYOUTPUT", "CANARYPATCH", "CANARYANSWER", "CANARYERROR", "CANARYENV"];
    let turn = |n: u32| {
        // The output is not in the command.
        let command =
            format!("echo CANARYCOMMAND >/dev/null; echo TUPTUOYRANAC | rev; echo RORREYRANAC | rev >&2; exit {n}");
        vec![
            Step::shell(&format!("call_{n}"), &command).usage(crate::real_codex::tokens(1_000, 0, 0, 10, 0)),
            Step::add_file(&format!("patch_{n}"), &format!("{n}.txt"), "CANARYPATCH")
                .usage(crate::real_codex::tokens(1_100, 0, 0, 10, 0)),
            Step::message("CANARYANSWER").usage(crate::real_codex::tokens(1_200, 0, 0, 10, 0)),
        ]
    };
    let env = TestEnv::new();
    let model = MockModel::start([turn(0), turn(3)].concat());
    let mut server = env.serve(&["--auth", "token"]);
    let mut codex = Codex::new(&env, &model).hook(HOOK).otel(server.otel());
    codex.exec(&["CANARYPROMPT do the thing"]);
    // From now on the journal takes what comes, and the sink dies with it.
    let lock = Connection::open(env.home().join("tally.db")).unwrap();
    lock.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    codex.exec(&["CANARYPROMPT once more"]);
    let journal = env.home().join("journal");
    eventually("the journal has taken something", || journal.is_dir() && !files(&journal).is_empty());
    drop(server);
    assert!(!files(&env.home().join("spool")).is_empty() && env.home().join("tally.db-wal").exists());
    for canary in canaries.iter().filter(|c| **c != "CANARYENV") {
        assert_ne!(holding(&env.codex_home(), canary), [] as [String; 0], "{canary} was never there to be found");
    }
    nowhere(&env, &canaries, "after the sink was killed");
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    let report = env.run(&["report", "session", "--format", "json"]).ok().json();
    assert_eq!(report["totals"]["responses"], 6);
    nowhere(&env, &canaries, "after everything was read");
    let _ = env.run(&["backup", env.home().join("backup").to_str().unwrap()]).ok();
    let _ = env.run(&["observations", "export", env.home().join("all.jsonl").to_str().unwrap()]).ok();
    nowhere(&env, &canaries, "in a backup or an export");
}

const KEY: &str = "sk-proj-abcdEFGH1234abcdEFGH1234";

/// Passwords in forms of every day; the library's own tests have many more.
const LEAKS: &str = "DB_PASS=hunter2\nredis://:hunter2@h:6379/0\ncurl -u ann:hunter2 x\nmysql -phunter2 db\nCookie: a=b; s=hunter2\n\
                     Authorization: Custom a, hunter2\n<password>a hunter2</password>\n{\"password\": {\"value\": \"hunter2\"}}\n\
                     password = \"correct hunter2\"\nTOKEN_SECRET=hunter2\n";

/// A transcript of two turns with all that can be said and done in it, some seconds ago.
fn place(env: &TestEnv, n: u64) {
    let t = Transcript::new(n);
    let event = |payload: Value| line("event_msg", &payload);
    let item = |payload: Value| line("response_item", &payload);
    let cmd = json!({"cmd": format!("curl -H 'Authorization: Bearer hunter2' x; echo TEXTCOMMAND{n}")}).to_string();
    let text = [
        t.head(),
        event(json!({"type": "user_message", "message": format!("TEXTPROMPT{n}\u{1b}[2J please use {KEY}")})),
        item(
            json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "TEXTANSWER"}]}),
        ),
        t.record(100 + n),
        item(json!({"type": "function_call", "name": "exec_command", "arguments": cmd, "call_id": "call_1"})),
        item(
            json!({"type": "function_call_output", "call_id": "call_1", "output": format!("TEXTOUTPUT{n}\n{KEY}\n{LEAKS}")}),
        ),
        item(
            json!({"type": "custom_tool_call", "name": "apply_patch", "input": format!("+TEXTPATCH{n}"), "call_id": "call_2"}),
        ),
        item(
            json!({"type": "custom_tool_call_output", "call_id": "call_2", "output": {"content": [{"text": "TEXTDONE"}]}}),
        ),
        t.record(200 + n),
    ];
    std::fs::write(t.path(env), text.concat()).unwrap();
}

fn content(env: &TestEnv, n: u64) -> String {
    env.run(&["show", &Transcript::new(n).thread, "--content", "--no-import"]).ok().stdout
}

/// The lines are of November 2026: long ago by any clock that runs this, unless it is told otherwise.
const FOR_EVER: &str = "days = 1000000\n";

#[test]
fn only_what_is_asked_for_is_kept_and_without_secrets() {
    let all = ["TEXTPROMPT1", "TEXTCOMMAND1", "TEXTPATCH1", "TEXTOUTPUT1", "TEXTDONE"];
    for (config, kept) in [
        ("", &[][..]),
        ("[capture]\nprompts = \"full\"\n", &all[..1]),
        ("[capture]\ntools = \"commands\"\n", &all[1..3]),
        ("[capture]\ntools = \"full\"\n", &all[1..]),
        ("[capture]\nprompts = \"full\"\ntools = \"full\"\n", &all[..]),
    ] {
        let env = configured(&if config.is_empty() { String::new() } else { config.to_string() + FOR_EVER });
        place(&env, 1);
        let _ = env.run(&["sync"]).ok();
        let shown = content(&env, 1);
        for text in all {
            assert_eq!(shown.contains(text), kept.contains(&text), "{config}: {text}\n{shown}");
            assert_eq!(holding(&env.home(), text).is_empty(), !kept.contains(&text), "{config}: {text}");
        }
        nowhere(&env, &[KEY, "hunter2", "TEXTANSWER"], config);
        assert!(!shown.contains('\u{1b}'), "{shown}");
        if !kept.is_empty() {
            assert!(shown.contains("[redacted]") || kept == &all[1..3], "{shown}");
        }
        assert_eq!(report(&env)[1]["responses"], 2, "{config}");
    }
}

#[test]
fn what_is_purged_is_really_gone_and_does_not_come_back() {
    let env = configured(&format!("channel = \"api\"\n[capture]\nprompts = \"full\"\ntools = \"full\"\n{FOR_EVER}"));
    (1..=3).for_each(|n| place(&env, n));
    let path = Transcript::new(3).path(&env);
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace("2026-11-21T", "2026-10-21T")).unwrap();
    let _ = env.run(&["sync"]).ok();
    let _ = env.run(&["ledger", "seal", "-p", "2026-10"]).ok();
    let before =
        (report(&env), env.run(&["report", "monthly", "--format", "json", "--no-import"]).ok().json()["rows"].clone());
    let texts = |n: u64| ["PROMPT", "COMMAND", "PATCH", "OUTPUT"].map(|what| format!("TEXT{what}{n}"));
    let there = |n: u64| texts(n).iter().filter(|text| !holding(&env.home(), text).is_empty()).count();
    assert_eq!((there(1), there(2), there(3)), (4, 4, 4));

    // Also while a sink has the store open.
    let server = env.serve(&["--auth", "none"]);
    let said = env.run(&["purge", "--session", &Transcript::new(2).thread]).ok();
    assert!(said.stderr.contains("5 texts taken away"), "{said}");
    assert_eq!((there(1), there(2), there(3)), (4, 0, 4));
    assert!(server.stop().success());
    // Read anew, as a transcript that was moved: its key is known.
    Connection::open(env.home().join("tally.db")).unwrap().execute_batch("DELETE FROM file").unwrap();
    let _ = env.run(&["sync"]).ok();
    assert_eq!((there(1), there(2), there(3)), (4, 0, 4));

    let said = env.run(&["purge", "--before", "2026-10-22"]).ok();
    assert!(said.stderr.starts_with("5 texts"), "of a sealed month: {said}");
    assert_eq!((there(1), there(2), there(3)), (4, 0, 0));
    let said = env.run(&["purge", "--before", "2026-11-21"]).ok();
    assert!(said.stderr.starts_with("0 texts"), "the others are of that day: {said}");
    let said = env.run(&["purge", "--before", "2026-11-22"]).ok();
    assert!(said.stderr.starts_with("5 texts"), "{said}");
    assert_eq!((there(1), there(2), there(3)), (0, 0, 0));
    place(&env, 4);
    let _ = env.run(&["sync"]).ok();
    assert_eq!(there(4), 4);
    std::fs::write(env.home().join("tally.db.schema-4"), "x").unwrap();
    let said = env.run(&["purge", "--all"]).ok();
    assert!(said.stderr.contains("tally.db.schema-4 is a copy"), "{said}");
    assert_eq!(there(4), 0);
    std::fs::remove_file(Transcript::new(4).path(&env)).unwrap();
    let _ = env.run(&["ledger", "verify"]).ok();
    let sealed = env.run(&["report", "monthly", "--format", "json", "--no-import"]).ok().json()["rows"].clone();
    let rows = |rows: &Value, status| {
        rows.as_array().unwrap().iter().filter(|r| r["status"] == status).cloned().collect::<Vec<_>>()
    };
    assert!(!rows(&sealed, "sealed").is_empty());
    assert_eq!(rows(&sealed, "sealed"), rows(&before.1, "sealed"));
    assert_eq!(before.0[1]["responses"], 6);
    assert!(env.run(&["purge"]).fails(2).stderr.contains("--before"));
}

#[test]
fn contents_go_when_they_are_old() {
    let env = configured(&format!("[capture]\nprompts = \"full\"\ntools = \"full\"\n{FOR_EVER}"));
    place(&env, 1);
    let _ = env.run(&["sync"]).ok();
    assert!(!holding(&env.home(), "TEXTPROMPT1").is_empty());
    // Fewer days, and nothing more is captured: what there is grows old all the same.
    configure(&env, "[capture]\ndays = 0\n");
    let _ = env.run(&["sync"]).ok();
    nowhere(&env, &["TEXTPROMPT1", "TEXTOUTPUT1"], "after its days");
    configure(&env, "[capture]\nprompts = \"full\"\ndays = 0\n");
    place(&env, 2);
    let _ = env.run(&["sync"]).ok();
    nowhere(&env, &["TEXTPROMPT2"], "although it was old when it came");
    assert_eq!(report(&env)[1]["responses"], 4);
}

const ANN: [&str; 3] = ["annette", "annette@acme.example", "acct-annette-1"];

/// A session of Annette's, as hook, telemetry and transcript tell it.
fn annettes(env: &TestEnv) {
    let t = Transcript::new(1);
    let head = t.head().replace("\"id\":", "\"creator_account_id\":\"acct-annette-1\",\"id\":");
    std::fs::write(t.path(env), head + &t.record(10)).unwrap();
    let payload = json!({"session_id": t.thread, "turn_id": "t", "hook_event_name": "UserPromptSubmit"});
    let mut hook = env.command(HOOK);
    hook.env("USER", ANN[0]).env("OTEL_RESOURCE_ATTRIBUTES", "team.id=web,user.email=annette%40acme.example,x=1");
    let _ = crate::support::env::Output::fed(hook, payload.to_string().as_bytes()).ok();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let record = json!({
        "timeUnixNano": "0", "observedTimeUnixNano": "1795225137000000001",
        "attributes": [
            text("event.name", "codex.sse_event"), text("event.kind", "response.completed"),
            text("conversation.id", &t.thread), text("model", "gpt-5.5"), text("user.email", "Annette@Acme.example"),
            text("user.account_id", ANN[2]), text("input_token_count", "10"), text("output_token_count", "1"),
        ],
    });
    let resource = json!({"attributes": [text("enduser.id", ANN[0]), text("contact", ANN[1]), text("host.name", "vm"), text("username", ANN[0]), text("userId", ANN[0]), text("process.owner", ANN[0])]});
    let body = json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    let server = env.serve(&["--auth", "none", "--no-follow"]);
    let addr = ([127, 0, 0, 1], server.port()).into();
    assert_eq!(call(addr, "POST", "/v1/logs", &[("content-type", "application/json")], body.as_bytes()).status, 200);
    assert!(server.stop().success());
}

fn row(env: &TestEnv) -> Value {
    let mut sync = env.tally(&["report", "session", "--format", "json"]);
    sync.env("USER", ANN[0]);
    let report = crate::support::env::Output::of(sync).ok().json();
    assert_eq!(report["totals"]["responses"], 1, "{report:#}");
    assert_eq!(report["coverage"]["responses_by_source"], json!({"otlp+transcript": 1}));
    report["rows"][0].clone()
}

#[test]
fn users_are_known_as_the_configuration_says() {
    let plain = TestEnv::new();
    annettes(&plain);
    assert!(row(&plain)["user"].as_str().unwrap().eq_ignore_ascii_case(ANN[1]));
    assert!(!holding(&plain.home(), "annette").is_empty() && !plain.home().join("user.key").exists());

    for privacy in ["pseudonym", "off"] {
        let env = configured(&format!("[privacy]\nuser = \"{privacy}\"\n"));
        std::fs::write(env.home().join("teams.toml"), "members = \"people.csv\"\n").unwrap();
        std::fs::create_dir_all(env.home().join("elsewhere")).unwrap();
        // The hook looks at nothing but the key's file, which any command makes.
        let _ = env.run(&["sync"]).ok();
        annettes(&env);
        std::fs::write(env.home().join("people.csv"), "email,team\nannette@acme.example,search\n").unwrap();
        let found = row(&env);
        std::fs::remove_file(env.home().join("people.csv")).unwrap();
        nowhere(&env, &ANN, privacy);
        let user = found["user"].as_str().unwrap();
        match privacy {
            "pseudonym" => {
                assert!(user.starts_with("user-") && user.ends_with("@acme.example"), "{found}");
                assert_eq!(found["team"], "search", "members are found by their pseudonyms");
            }
            _ => assert_eq!((user, &found["team"]), ("unattributed", &json!("web")), "{found}"),
        }
        assert_eq!(found["channel"], row_channel(&plain), "an account tells of the login, whoever it is");
    }
}

fn row_channel(env: &TestEnv) -> Value {
    row(env)["channel"].clone()
}

#[test]
fn pseudonyms_change_no_number() {
    let [plain, hidden] = [TestEnv::new(), configured("[privacy]\nuser = \"pseudonym\"\n")];
    let _ = hidden.run(&["sync"]).ok();
    for env in [&plain, &hidden] {
        Capture::named("01_http_binary").replay(env, &[Feed::Hooks, Feed::OtlpTwice, Feed::Transcripts]);
    }
    let [rows, of_hidden] = [report(&plain), report(&hidden)];
    assert_eq!(rows[1], of_hidden[1]);
    assert_eq!(rows[2], of_hidden[2]);
}

/// What real sessions of every version said, each once: as many prompts as are counted, and a command for each call.
#[test]
fn contents_of_real_transcripts_are_taken_once() {
    let all = ["captures", "versions", "forks", "agents"].into_iter().flat_map(Capture::all);
    let mut seen = 0;
    for capture in all {
        let env = configured(&format!("[capture]\nprompts = \"full\"\ntools = \"full\"\n{FOR_EVER}"));
        capture.replay(&env, &[Feed::Transcripts, Feed::Transcripts]);
        let db = Connection::open(env.home().join("tally.db")).unwrap();
        let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let of = |kind: &str| {
            number(&format!("SELECT count(*) FROM observation WHERE json_extract(body, '$.k') = '{kind}'"))
        };
        let prompts = number("SELECT count(*) FROM content WHERE kind = 1");
        // Before 0.101 a fork tells only later what it copied; then a prompt of its own may be passed over.
        let minor = capture.name.strip_prefix("0.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        match minor.is_some_and(|minor| minor < 101) {
            true => assert!(prompts <= of("prompt") && prompts > 0, "{}: {prompts} prompts", capture.name),
            false => assert_eq!(prompts, of("prompt"), "{}: prompts", capture.name),
        }
        let calls = "SELECT count(DISTINCT thread || json_extract(body, '$.call_id')) FROM observation \
                     WHERE json_extract(body, '$.k') = 'tool_call'";
        let commands = number("SELECT count(DISTINCT thread || call) FROM content WHERE kind = 2");
        assert!(commands <= number(calls), "{}: {commands} commands", capture.name);
        seen += prompts + commands;
    }
    assert!(seen > 100, "{seen}");
    let env = configured(&format!("[capture]\nprompts = \"full\"\ntools = \"full\"\n{FOR_EVER}"));
    let server = env.serve(&["--auth", "none"]);
    Capture::named("01_http_binary").place_transcripts(&env);
    eventually("the sink has read the transcript", || !holding(&env.home(), "do the thing").is_empty());
    assert!(server.stop().success());
    let shown = env.run(&["show", "last", "--content"]).ok().stdout;
    for text in ["do the thing", "echo hello; sleep 0.2", "*** Add File: a.txt"] {
        assert_eq!(shown.matches(text).count(), 1, "{text}: {shown}");
    }
}

#[test]
fn what_is_purged_stays_away_when_an_older_backup_is_restored() {
    let env = configured(&format!("channel = \"api\"\n[capture]\nprompts = \"full\"\ntools = \"full\"\n{FOR_EVER}"));
    place(&env, 1);
    let backup = |name: &str| env.root().join(name).display().to_string();
    let _ = env.run(&["backup", &backup("with")]).ok();
    place(&env, 2);
    let _ = env.run(&["sync"]).ok();
    let before = report(&env);
    let _ = env.run(&["purge", "--all"]).ok();
    place(&env, 3);
    let said = env.run(&["restore", &backup("with"), "--replace"]).ok();
    assert!(said.stderr.contains("5 texts that were purged since the backup stay away"), "{said}");
    let store = || {
        let whole = |text: &String| !holding(&env.home(), text).is_empty();
        [1, 2, 3].map(|n| {
            ["PROMPT", "COMMAND", "PATCH", "OUTPUT"]
                .map(|what| format!("TEXT{what}{n}"))
                .iter()
                .filter(|t| whole(t))
                .count()
        })
    };
    assert_eq!(store(), [0, 0, 0], "of the backup, and of what it never had");
    let _ = env.run(&["ledger", "verify"]).ok();
    let _ = env.run(&["sync"]).ok();
    assert_eq!(store(), [0, 0, 4], "what was never purged is read");
    assert!(content(&env, 3).contains("TEXTPROMPT3") && !content(&env, 2).contains("TEXTPROMPT2"));
    std::fs::remove_file(Transcript::new(3).path(&env)).unwrap();
    assert_eq!(report(&env)[2]["responses"], before[2]["responses"]);
    let _ = env.run(&["ledger", "verify"]).ok();
}
