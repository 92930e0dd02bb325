//! What users do with Codex, each scenario with the real client: the ledger holds every response that Codex reported once,
//! with its tokens, model, tier and amount. docs/scenarios.md is the table of it.

mod agents;
mod compaction;
mod failures;
mod others;
mod sessions;
mod settings;
mod terminal;
mod tools;
mod transport;

use serde_json::{Value, json};

use crate::real_codex::{check, sources};
use crate::support::env::HOOK;
use crate::support::{Codex, MockModel, Server, Step, TestEnv, Usage, truth};

/// A model's answer has tokens that no other has, so that each response is known by them.
fn unlike(n: u64) -> Usage {
    Usage { input: 10_000 + 101 * n, cached: 1_000 + 10 * n, cache_write: 0, output: 100 + n, reasoning: 10 + n % 7 }
}

fn say(n: u64) -> Step {
    Step::message(&format!("answer {n}")).usage(unlike(n))
}

/// A shell command, of a call that is called after the number.
fn run(n: u64, command: &str) -> Step {
    Step::shell(&format!("call_{n}"), command).usage(unlike(n))
}

/// A home, a scripted model and a sink.
struct Rig {
    env: TestEnv,
    model: MockModel,
    server: Option<(Server, toml::Table)>,
}

impl Rig {
    fn new(script: Vec<Step>) -> Self {
        let env = TestEnv::new().billed_by_the_api();
        let mut server = env.serve(&[]);
        let otel = server.otel();
        Self { env, model: MockModel::start(script), server: Some((server, otel)) }
    }

    fn without_sink(script: Vec<Step>) -> Self {
        Self { env: TestEnv::new().billed_by_the_api(), model: MockModel::start(script), server: None }
    }

    /// A client with hooks, and with an exporter if there is a sink.
    fn codex(&self) -> Codex<'_> {
        let codex = Codex::new(&self.env, &self.model).hook(HOOK);
        match &self.server {
            Some((_, otel)) => codex.otel(otel.clone()),
            None => codex,
        }
    }

    /// Makes the working folder a repository with something to commit.
    fn repository(&self) {
        let git = |args: &[&str]| assert!(self.env.command("git").args(args).status().unwrap().success());
        git(&["init", "-q"]);
        std::fs::write(self.env.work().join("new.txt"), "new").unwrap();
    }

    /// What each request was for, in order.
    fn kinds(&self) -> Vec<String> {
        self.model.kinds()
    }

    /// The whole script was played, and the ledger holds what the model served: response by response, and in the totals.
    #[track_caller]
    fn agrees(&self, seen_by: &Value) -> Value {
        let report = self.agrees_so_far(seen_by);
        assert_eq!(self.model.steps_left(), 0, "the whole script was played");
        report
    }

    #[track_caller]
    fn agrees_so_far(&self, seen_by: &Value) -> Value {
        let sessions = self.agrees_whatever_was_lost();
        assert_eq!(&sources(&sessions), seen_by);
        check(&sessions["coverage"], &json!({"ambiguous": 0}));
        sessions
    }

    /// The same where it is left open which sources saw a response.
    #[track_caller]
    fn agrees_whatever_was_lost(&self) -> Value {
        let served = self.model.served();
        let sessions = self.env.run(&["report", "session", "--format", "json"]).ok().json();
        let differences = truth::differences(&truth::held(&self.env.home()), &served);
        let differing = format!("{} differences\n{}\n{sessions:#}", differences.len(), differences.join("\n"));
        assert!(differences.is_empty(), "{differing}");
        let monthly = self.env.run(&["report", "monthly", "--no-import", "--format", "json"]).ok().json();
        for report in [&sessions, &monthly] {
            check(&report["totals"], &truth::totals(&served));
            assert_eq!(sources(report), sources(&sessions));
        }
        check(&sessions["coverage"], &json!({"conflicts": 0, "quarantined": 0, "unreadable": {}}));
        sessions
    }
}
