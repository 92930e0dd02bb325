//! What the documents say is so: commands, options, columns, variables.

use crate::support::TestEnv;
use crate::support::capture::files;
use std::collections::BTreeSet;
use std::path::Path;

const DOCUMENTS: [&str; 21] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/billing.md",
    "docs/chargeback.md",
    "docs/cost-csv.md",
    "docs/currency.md",
    "docs/focus.md",
    "docs/install.md",
    "docs/operations.md",
    "docs/prices.md",
    "docs/privacy.md",
    "docs/scenarios.md",
    "docs/security.md",
    "docs/service.md",
    "docs/teams.md",
    "examples/ci/github.yml",
    "examples/ci/gitlab.yml",
    "examples/worked-month/README.md",
    "hooks/config.toml",
];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The calls of the program in a text: code blocks, items of a recipe, and what stands between backticks.
fn calls(text: &str) -> Vec<String> {
    let blocks = text.lines().filter(|l| l.starts_with("    ") || l.starts_with("  ")).map(str::trim);
    let blocks = blocks.map(|line| line.strip_prefix("- ").unwrap_or(line));
    let inline = text.split('`').skip(1).step_by(2);
    let calls = blocks.chain(inline).filter_map(|code| code.strip_prefix("codex-tally "));
    // A remark stands behind two spaces, a further command behind a pipe.
    let own = calls.map(|c| c.split("  ").next().unwrap_or(c).split('|').next().unwrap_or(c).trim().to_string());
    own.filter(|c| !c.is_empty()).collect()
}

/// Commands that have commands of their own.
const GROUPS: [&str; 8] = ["billing", "report", "prices", "observations", "ledger", "attribution", "service", "export"];

/// The words that name the command: `report monthly`.
fn command(call: &str) -> Vec<&str> {
    let words: Vec<&str> = call.split_whitespace().skip_while(|w| w.starts_with('-') || w.contains('/')).collect();
    let length = if words.first().is_some_and(|w| GROUPS.contains(w)) { 2 } else { 1 };
    words.into_iter().take(length).collect()
}

#[test]
fn documented_calls_exist() {
    let env = TestEnv::new();
    let mut seen = BTreeSet::new();
    let documents: Vec<_> = DOCUMENTS.iter().map(|d| (*d, read(d))).collect();
    let help = env.run(&["--help"]).ok().stdout;
    for (name, text) in documents.iter().map(|(n, t)| (*n, t.as_str())).chain([("--help", help.as_str())]) {
        for call in calls(text) {
            let mut args = command(&call);
            seen.insert(args.join(" "));
            args.push("--help");
            let help = env.run(&args).ok().stdout;
            for flag in call.split_whitespace().filter(|w| w.starts_with("--") || (w.len() == 2 && w.starts_with('-')))
            {
                assert!(help.contains(flag), "{name}: `codex-tally {call}` uses {flag}, which its help does not know");
            }
        }
    }
    for recipe in ["examples/ci/github.yml", "examples/ci/gitlab.yml"] {
        let of_it: Vec<String> = calls(&read(recipe)).iter().map(|call| command(call).join(" ")).collect();
        assert_eq!(of_it, ["init", "serve", "sync", "report monthly", "observations export"], "{recipe}");
    }
    for needed in [
        "demo",
        "import",
        "sync",
        "serve",
        "report daily",
        "report monthly",
        "report session",
        "show",
        "prices show",
        "chargeback",
    ] {
        assert!(seen.contains(needed), "no document shows `codex-tally {needed}`: {seen:?}");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let env = TestEnv::new();
    let commands = [
        "hook",
        "serve",
        "service install",
        "service remove",
        "service print",
        "import",
        "sync",
        "observations export",
        "observations import",
        "report",
        "report daily",
        "report weekly",
        "report monthly",
        "report session",
        "show",
        "ledger seal",
        "chargeback",
        "export",
        "export focus",
        "ledger verify",
        "ledger rebuild",
        "ledger explain",
        "attribution test",
        "attribution suggest",
        "billing import",
        "billing list",
        "billing allocate",
        "billing remove",
        "billing fetch usage",
        "billing fetch costs",
        "billing fetch workspace",
        "reconcile",
        "prices show",
        "prices list",
        "prices check",
        "prices update",
        "init",
        "uninstall",
        "doctor",
        "backup",
        "restore",
        "purge",
        "demo",
        "completions",
        "man",
    ];
    for command in commands {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = env.run(&args).ok().stdout;
        assert!(help.contains("Example"), "`codex-tally {command} --help` has no example");
    }
    let listed = env.run(&["--help"]).ok().stdout;
    let block = listed.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let listed: BTreeSet<&str> = block.lines().filter_map(|l| l.split_whitespace().next()).collect();
    let known: BTreeSet<&str> = commands.iter().filter_map(|c| c.split(' ').next()).chain(["prices", "help"]).collect();
    assert_eq!(listed, known, "a command is missing in this test");
}

#[test]
fn usage_errors_say_what_to_do_and_exit_2() {
    let env = TestEnv::new();
    for (args, says) in [
        (&["report", "monthly", "-p", "2026-13"][..], "YYYY-MM"),
        (&["report", "monthly", "-p", "2026-W54"], "YYYY-Www"),
        (&["report", "daily", "--since", "yesterday"], "YYYY-MM-DD"),
        (&["report", "monthly", "--by", "colour"], "cost_centre"),
        (&["report", "monthly", "-p", "2026-11", "--since", "2026-11-01"], "cannot be used with"),
        (&["prices", "show"], "MODEL"),
        (&["report", "weekly", "--tz", "Mars/Olympus"], "Europe/Berlin"),
        (&["nonsense"], "unrecognized subcommand"),
    ] {
        let out = env.run(args).fails(2);
        assert!(out.stderr.contains(says), "{args:?}: {}", out.stderr);
        assert!(out.stdout.is_empty(), "{args:?}");
    }
    let out = env.run(&["show", "last"]).fails(1);
    assert!(out.stderr.contains("codex-tally import"), "{}", out.stderr);
    let out = env.run(&["import", "missing.jsonl"]).fails(1);
    assert!(out.stderr.contains("does not exist"), "{}", out.stderr);
}

#[test]
fn every_column_of_the_csv_is_documented() {
    let env = TestEnv::new();
    let csv = env.run(&["report", "monthly", "--format", "csv"]).ok().stdout;
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let document = read("docs/cost-csv.md");
    let rows = document.lines().filter_map(|l| l.strip_prefix("| `")).filter_map(|l| l.split('`').next());
    assert_eq!(
        rows.collect::<Vec<_>>(),
        header,
        "docs/cost-csv.md and the CSV have the same columns in the same order"
    );
    let example = read("examples/monthly.csv");
    assert_eq!(example.lines().next().unwrap().trim_end(), header.join(","));
}

/// The names of the tests in the last column, and the tests with the real client.
#[test]
fn every_scenario_names_its_test_and_every_test_its_scenario() {
    let table = read("docs/scenarios.md");
    let last = table.lines().filter(|l| l.starts_with('|')).filter_map(|l| l.trim_end_matches(" |").rsplit('|').next());
    let named: BTreeSet<_> = last.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_string).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = [files(&folder.join("matrix")), files(&folder.join("generated")), vec![folder.join("real_codex.rs")]];
    let texts: Vec<_> = files.iter().flatten().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let name = |test: &str| Some(test.split_once("\nfn ")?.1.split_once('(')?.0.to_string());
    let tests: BTreeSet<_> = texts.iter().flat_map(|text| text.split("\n#[test]").skip(1)).filter_map(name).collect();
    let without_scenario = BTreeSet::from(["codex_is_installed_in_ci".to_string()]);
    assert_eq!(named, &tests - &without_scenario);
}

#[test]
fn every_variable_is_documented() {
    let readme = read("README.md");
    for variable in &codex_tally::config::VARIABLES {
        assert!(readme.contains(&format!("`{}`", variable.name)), "README.md does not mention {}", variable.name);
    }
}

#[test]
fn the_readme_has_the_two_commands() {
    let readme = read("README.md");
    for command in ["\n    cargo run --release -- demo\n", "\n    cargo test\n"] {
        assert!(readme.contains(command), "README.md lacks{command}");
    }
    assert!(read("CHANGELOG.md").contains("\n## Unreleased\n"), "the changelog has an open section at the top");
}

#[test]
fn bundled_hook_registrations_name_events_that_the_hook_knows() {
    let toml: toml::Table = read("hooks/config.toml").parse().unwrap();
    let json: serde_json::Value = serde_json::from_str(&read("hooks/hooks.json")).unwrap();
    let of_toml: BTreeSet<&str> = toml["hooks"].as_table().unwrap().keys().map(String::as_str).collect();
    let of_json: BTreeSet<&str> = json["hooks"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(of_toml, of_json);
    for event in of_toml {
        let env = TestEnv::new();
        let payload = format!(r#"{{"session_id":"s","hook_event_name":"{event}"}}"#);
        let _ = env.hook(&payload).ok();
        let report = env.run(&["report", "session", "--format", "json"]).ok().json();
        assert_eq!(report["coverage"]["unreadable"], serde_json::json!({}), "{event}");
    }
}
