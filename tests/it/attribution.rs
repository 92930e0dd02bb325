//! `attribution`: what a session gets and why, and rules to begin with, through the program.

use crate::support::{Capture, Feed, TestEnv};

/// Sessions of which only transcripts are known, so that nobody says a team; one of them again, in other directories.
fn machine() -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
    for name in ["01_http_json", "03_subagent_v1", "10_auth_chatgpt"] {
        Capture::named(name).place_transcripts(&env);
    }
    let (path, text) = Capture::named("01_http_json").transcripts().remove(0);
    let (path, text) = (path.file_name().unwrap().to_str().unwrap(), String::from_utf8(text).unwrap());
    for (n, directory) in ["/srv/web", "/srv/web", "/srv/a * b's"].into_iter().enumerate() {
        let id = |old: &str| old.replace("-955e-70a1f37fabfe", &format!("-955e-00000000000{n}"));
        let text = id(&text).replace("/home/dev/code/api-gateway", directory);
        std::fs::write(env.codex_home().join("sessions/2026/11/21").join(id(path)), text).unwrap();
    }
    env
}

#[test]
fn a_test_shows_each_field_with_its_reason_and_what_rules_can_look_at() {
    let env = TestEnv::new();
    Capture::named("01_http_json").replay(&env, &[Feed::Hooks, Feed::Otlp, Feed::Transcripts]);
    let teams = "[[rule]]\nname = \"old\"\nto = \"2026-11-20\"\nteam = \"past\"\n\n[[rule]]\nname = \"all\"\nhost = \"*\"\n\
                 shares = { search = 1, platform = 2 }\nlabels = { product = \"x\" }\n";
    std::fs::write(env.work().join("draft.toml"), teams).unwrap();
    let text = env.run(&["attribution", "test", "last", "--teams", "draft.toml"]).ok().stdout;
    for says in [
        "\nteam         platform+search [rule] rule all: host fits *; else platform (declared: team.id in the ",
        "\ncost centre  CC-4521 [declared] declared: cost_centre in the ",
        "\nproject      api-gateway [declared] declared: project in the ",
        "\nuser         ",
        "\nlabel product x [rule] rule all: host fits *\n",
        "\nshared       by weight: platform 2, search 1\n",
        "\nwhat rules can look at, as the session began\n  attribute ",
        "\n  attribute team.id = platform\n",
        "\n  client = codex_exec\n",
        "\n  directory = /",
        "\n  environment = ",
        "\n  host = ",
        "\n  provider = ",
        "\n  user = ",
    ] {
        assert!(text.contains(says), "{says}\n{text}");
    }
    let text = env.run(&["attribution", "test", "last"]).ok().stdout;
    assert!(text.contains("\nteam         platform [declared] "), "{text}");
    let out = env.run(&["attribution", "test", "nobody"]).fails(1);
    assert!(out.stderr.contains("no session has `nobody` in its id"), "{out}");
}

#[test]
fn suggested_rules_catch_what_they_say() {
    let env = machine();
    let before = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    let lost = before["coverage"]["unattributed_responses"].as_u64().unwrap();
    assert_eq!(Some(lost), before["totals"]["responses"].as_u64(), "nobody says a team");
    let none = env.run(&["attribution", "suggest", "-p", "2026-10"]).ok();
    assert_eq!((none.stdout.as_str(), none.stderr.contains("is without a team")), ("", true));
    let text = env.run(&["attribution", "suggest", "-p", "2026-11"]).ok().stdout;
    assert!(text.contains(&format!("; responses {lost}, sessions ")), "{text}");
    assert!(text.contains("\n# directory = \"/srv/web\"  # 0.1597 USD at list; responses 6, sessions 2\n"), "{text}");
    let home = env.home().join("teams.toml");
    std::fs::write(&home, &text).unwrap();
    let out = env.run(&["report", "monthly"]).fails(1);
    assert!(out.stderr.contains("rule 1: team \"\" is empty"), "{out}");
    // Each rule with a team of its own catches the responses that were told, and so does each finer one.
    let mut filled = String::new();
    for (n, part) in text.split("team = \"\"").enumerate() {
        filled += &if n == 0 { part.to_string() } else { format!("team = \"t{n}\"{part}") };
    }
    let said = text.lines().filter(|l| l.starts_with("# ") && l[2..].starts_with(|c: char| c.is_ascii_digit()));
    let said: Vec<_> = said.enumerate().map(|(i, l)| (format!("t{}", i + 1), told(l))).collect();
    assert!(said.len() > 1, "{text}");
    assert_eq!(caught(&env, &filled), said, "{filled}");
    let done = env.run(&["attribution", "suggest"]).ok();
    assert!(done.stdout.is_empty() && done.stderr.contains("is without a team"), "{done}");
    let finer: Vec<_> = text.lines().filter(|l| l.starts_with("# directory = ")).collect();
    assert!(finer.len() > 2 && finer.iter().any(|l| l.contains("a ? b's")), "{text}");
    for line in finer {
        let rule = format!("[[rule]]\n{}\nteam = \"t\"\n", &line[2..]);
        assert_eq!(caught(&env, &rule), [("t".to_string(), told(line))], "{rule}");
    }
}

/// The responses that a line tells of.
fn told(line: &str) -> u64 {
    line.split_once("; responses ").unwrap().1.split(',').next().unwrap().parse().unwrap()
}

/// The responses of each team under these rules.
fn caught(env: &TestEnv, rules: &str) -> Vec<(String, u64)> {
    std::fs::write(env.home().join("teams.toml"), rules).unwrap();
    let report = env.run(&["report", "monthly", "--by", "team", "--format", "json"]).ok().json();
    let row = |row: &serde_json::Value| (row["team"].as_str().unwrap().to_string(), row["responses"].as_u64().unwrap());
    let mut rows: Vec<_> = report["rows"].as_array().unwrap().iter().map(row).collect();
    rows.retain(|(team, _)| team != "unattributed");
    rows.sort();
    rows
}

#[test]
fn a_move_in_the_middle_of_the_month_splits_it_and_a_test_says_when() {
    let env = TestEnv::new();
    Capture::named("10_auth_chatgpt").replay(&env, &[Feed::Otlp, Feed::Transcripts]);
    let text = std::fs::read_to_string(Capture::named("10_auth_chatgpt").transcripts()[0].0.as_path()).unwrap();
    // The same session goes on: all of it again, a day later.
    let later = text.replace("2026-11-21T", "2026-11-22T").replace("resp_", "resp_later_");
    let path = crate::support::capture::files(&env.codex_home())
        .into_iter()
        .find(|p| p.extension().is_some_and(|e| e == "jsonl"));
    std::fs::write(path.unwrap(), text + &later).unwrap();
    let members = "email,team,from,to\nalice@example.com,a,,2026-11-21\nalice@example.com,b,2026-11-22,\n";
    std::fs::write(env.home().join("members.csv"), members).unwrap();
    std::fs::write(env.home().join("teams.toml"), "members = \"members.csv\"\n").unwrap();
    let text = env.run(&["attribution", "test", "last"]).ok().stdout;
    for (day, team, line) in [("2026-11-21", "a", 2), ("2026-11-22", "b", 3)] {
        let says =
            format!("\nteam         from {day}T02:27:47.347Z, 2 responses: {team} [rule] members.csv line {line}: ");
        assert!(text.contains(&says), "{text}");
    }
    assert!(
        text.contains("\nclaims       of 4 responses contradict the list of members or a credential: not believed\n"),
        "{text}"
    );
    assert!(text.contains("\ncost centre  CC-4521 [declared] "), "what does not change has no moment: {text}");
    let report = env.run(&["report", "monthly", "--by", "team", "--format", "json"]).ok().json();
    let row = |row: &serde_json::Value| (row["team"].to_string(), row["responses"].as_u64());
    let rows: Vec<_> = report["rows"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(rows, [("\"a\"".to_string(), Some(2)), ("\"b\"".to_string(), Some(2))]);
}
