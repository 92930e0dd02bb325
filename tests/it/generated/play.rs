//! A scenario: what the user does, with which sources, drawn from a seed.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::brain::{Brain, draw};
use super::compare::{Due, End, Sources, wrong, wrong_totals};
use crate::support::app_server::AppServer;
use crate::support::capture::Random;
use crate::support::codex::Running;
use crate::support::env::HOOK;
use crate::support::truth::held;
use crate::support::{Codex, MockModel, TestEnv};

const MODELS: [&str; 4] = ["gpt-5.5", "gpt-5.5", "gpt-5.4", "gpt-5.6-terra"];

/// Plays it and compares; the number of responses and of runs.
#[track_caller]
pub fn play(seed: u64) -> [usize; 2] {
    let mut r = draw(&[seed]);
    let env = TestEnv::new().billed_by_the_api();
    let api = r.below(3) == 0;
    let brain = Arc::new(Brain::new(seed, api));
    let thinking = Arc::clone(&brain);
    let model = MockModel::answering(move |asked| thinking.answer(asked));
    let (hooks, otlp, transcripts) = [
        (true, true, true),
        (true, true, true),
        (true, false, true),
        (false, true, true),
        (false, false, true),
        (false, true, false),
    ][r.below(6)];
    let sources = Sources { hooks, otlp, transcripts };
    let mut codex = Codex::new(&env, &model).retries(4).provider_name(if api { "OpenAI" } else { "mock" });
    if !transcripts {
        codex = codex.hidden_home();
    }
    if hooks {
        codex = codex.hook(HOOK);
    }
    let mut server = otlp.then(|| env.serve(&[]));
    if let Some(server) = &mut server {
        let mut table = server.otel();
        match r.below(4) {
            0 => table["exporter"]["otlp-http"]["protocol"] = "json".into(),
            #[cfg(feature = "grpc")]
            1 => table = server.otel_over_grpc(),
            _ => {}
        }
        codex = codex.otel(table);
    }
    if r.below(4) == 0 {
        codex = codex.provider("supports_websockets = true");
    }
    if r.below(8) == 0 {
        codex = codex.tables("[features]\nasync_compaction = true\n");
    }
    if r.below(3) == 0 {
        codex = codex.setting(&format!("model_auto_compact_token_limit = {}", 2_000 + r.below(20_000)));
    }
    let mut game =
        Game { r, env: &env, model: &model, codex, dues: Vec::new(), roots: Vec::new(), odd_tiers: false, runs: 0 };
    for _ in 0..2 + game.r.below(3) {
        match game.r.below(6) {
            0..=2 => game.exec(),
            3 => game.exec_two(),
            _ => game.edit(),
        }
        if game.r.below(3) == 0 {
            // What is read in parts must be as what is read at once.
            let _ = env.run(report_args(sources)).ok();
        }
    }
    let Game { dues, odd_tiers, runs, .. } = game;
    if let Some(server) = server {
        assert!(server.stop().success());
    }
    compare(&env, &dues, sources, odd_tiers);
    [dues.len(), runs]
}

fn report_args(sources: Sources) -> &'static [&'static str] {
    let args = &["report", "session", "--format", "json", "--no-import"];
    &args[..if sources.transcripts { 4 } else { 5 }]
}

/// The ledger of all sources, and that of the transcripts alone.
#[track_caller]
fn compare(env: &TestEnv, dues: &[Due], sources: Sources, odd_tiers: bool) {
    let args = report_args(sources);
    let report = env.run(args).ok().json();
    let all = held(&env.home());
    let mut found = wrong(&all, dues, sources, odd_tiers);
    found.extend(wrong_totals(&report, &all));
    let again = env.run(args).ok().json();
    if again != report {
        found.push("the second report is another".to_owned());
    }
    if sources.transcripts {
        let home = env.root().join("alone");
        let path = home.to_str().unwrap();
        std::fs::create_dir(&home).unwrap();
        std::fs::copy(env.home().join("config.toml"), home.join("config.toml")).unwrap();
        let _ = env.run(&["--home", path, "import", env.codex_home().to_str().unwrap()]).ok();
        let report = env.run(&["--home", path, "report", "session", "--format", "json", "--no-import"]).ok().json();
        let alone = held(&home);
        let transcripts = Sources { hooks: false, otlp: false, transcripts: true };
        let wrong = wrong(&alone, dues, transcripts, odd_tiers).into_iter().chain(wrong_totals(&report, &alone));
        found.extend(wrong.map(|line| format!("transcripts alone: {line}")));
    }
    let coverage = &report["coverage"];
    assert!(found.is_empty(), "{sources:?}: {} differences\n{}\n{coverage}", found.len(), found.join("\n"));
    assert_eq!((&coverage["conflicts"], &coverage["quarantined"]), (&json!(0), &json!(0)), "{coverage}");
    // A client that is killed may not have told its hook what happened.
    let killed = dues.iter().any(|due| due.end == End::Killed);
    let unreadable = coverage["unreadable"].as_object().unwrap();
    let excused = |name: &String| killed && (name == "hook.empty" || name == "hook.malformed");
    assert!(unreadable.keys().all(excused), "{coverage}");
}

/// How a run of `codex exec` ended by itself.
#[track_caller]
fn end_of(run: Running) -> End {
    match run.end() {
        (Some(true), _) => End::Clean,
        (Some(false), _) => End::Failed,
        (None, said) => panic!("codex did not end\n{said}"),
    }
}

/// An exporter to a port at which nobody listens.
fn nowhere() -> toml::Table {
    toml::toml! {
        exporter = { otlp-http = { endpoint = "http://127.0.0.1:1/v1/logs", protocol = "binary" } }
        trace_exporter = "none"
        metrics_exporter = "none"
    }
}

struct Game<'a> {
    r: Random,
    env: &'a TestEnv,
    model: &'a MockModel,
    codex: Codex<'a>,
    dues: Vec<Due>,
    /// Threads that the user can go on with.
    roots: Vec<String>,
    /// A transcript does not tell the tiers of all responses: of a turn with a tier of its own, and where the model of a request
    /// does not know the tier of the settings, so that none is asked for.
    odd_tiers: bool,
    runs: usize,
}

impl Game<'_> {
    /// `codex exec`, to its end or killed on the way.
    fn exec(&mut self) {
        let ephemeral = self.r.below(8) == 0;
        let args = self.choose(ephemeral);
        let exported = self.r.below(8) > 0;
        let otel = if exported { None } else { Some(self.codex.replace_otel(nowhere())) };
        let run = self.codex.start(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let killed = self.r.below(6) == 0;
        if killed {
            std::thread::sleep(Duration::from_millis(200 + self.r.below(1_500) as u64));
            run.signal([Signal::KILL, Signal::TERM, Signal::INT][self.r.below(3)]);
        }
        let end = end_of(run);
        if let Some(otel) = otel {
            self.codex.replace_otel(otel);
        }
        self.ended(if killed { End::Killed } else { end }, ephemeral, exported);
    }

    /// Two of them at once. One may be refused the thread that the other writes.
    fn exec_two(&mut self) {
        let runs = [false; 2].map(|_| {
            let args = self.choose(false);
            self.codex.start(&args.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let ends = runs.map(end_of);
        let end = if ends == [End::Clean; 2] { End::Clean } else { End::Failed };
        self.ended(end, false, true);
    }

    /// The arguments of `codex exec`.
    fn choose(&mut self, ephemeral: bool) -> Vec<String> {
        let mut args: Vec<String> = ["exec", "--skip-git-repo-check"].map(str::to_owned).into();
        match self.r.below(3) {
            _ if ephemeral => args.push("--ephemeral".to_owned()),
            n @ (0 | 1) if !self.roots.is_empty() => {
                let root = self.roots[self.r.below(self.roots.len())].clone();
                args.extend([["resume", "fork"][n].to_owned(), root]);
            }
            _ => {}
        }
        args.extend(["-m".to_owned(), MODELS[self.r.below(4)].to_owned()]);
        if let Some(tier) = [None, None, Some("fast"), Some("flex")][self.r.below(4)] {
            args.extend(["-c".to_owned(), format!("service_tier='{tier}'")]);
            self.odd_tiers |= tier == "fast";
        }
        args.push(format!("prompt {}", self.runs));
        args
    }

    /// An editor: several things in one process.
    fn edit(&mut self) {
        let mut app = self.codex.app_server();
        let thread = if self.roots.is_empty() || self.r.below(2) == 0 {
            app.thread(&json!({"cwd": self.env.work(), "model": MODELS[self.r.below(4)]}))
        } else {
            let root = self.roots[self.r.below(self.roots.len())].clone();
            app.call("thread/resume", &json!({"threadId": root}));
            root
        };
        let mut threads: Vec<(String, Vec<String>)> = vec![(thread, Vec::new())];
        let mut end = End::Clean;
        for _ in 0..2 + self.r.below(4) {
            let at = self.r.below(threads.len());
            match self.thing(&mut app, &mut threads, at) {
                End::Clean => {}
                // The process lives on, and its telemetry.
                other => end = other,
            }
        }
        if self.r.below(8) == 0 {
            let (thread, _) = &threads[0];
            app.begin(thread, "killed", &json!({}));
            std::thread::sleep(Duration::from_millis(self.r.below(700) as u64));
            app.kill([Signal::KILL, Signal::TERM][self.r.below(2)]);
            end = End::Killed;
        } else {
            app.close();
        }
        self.ended(end, false, true);
    }

    /// One thing in an editor.
    fn thing(&mut self, app: &mut AppServer, threads: &mut Vec<(String, Vec<String>)>, at: usize) -> End {
        let thread = threads[at].0.clone();
        let turns = threads[at].1.clone();
        let some = |r: &mut Random| turns.get(r.below(turns.len().max(1))).cloned();
        match self.r.below(12) {
            0 if !turns.is_empty() => {
                let last = if self.r.below(2) == 0 { some(&mut self.r) } else { None };
                if let Ok(fork) = app.try_call("thread/fork", &json!({"threadId": thread, "lastTurnId": last})) {
                    threads.push((fork["thread"]["id"].as_str().unwrap().to_owned(), Vec::new()));
                }
            }
            1 if !turns.is_empty() => {
                app.call("thread/compact/start", &json!({"threadId": thread}));
                app.ended(&thread);
            }
            2 => {
                let target = json!({"type": "custom", "instructions": "look at it"});
                app.call("review/start", &json!({"threadId": thread, "target": target}));
                app.ended(&thread);
            }
            3 if !turns.is_empty() => {
                let turn = some(&mut self.r).unwrap();
                if app.try_call("thread/revert", &json!({"threadId": thread, "beforeTurnId": turn})).is_ok() {
                    threads[at].1.retain(|known| *known < turn);
                }
            }
            4 => {
                let turn = app.begin(&thread, "stopped", &json!({}));
                std::thread::sleep(Duration::from_millis(self.r.below(400) as u64));
                let _ = app.try_call("turn/interrupt", &json!({"threadId": thread, "turnId": turn}));
                app.ended(&thread);
                return End::Killed;
            }
            _ => {
                let more = self.choices();
                let turn = app.begin(&thread, "do it", &more);
                app.ended(&thread);
                threads[at].1.push(turn);
            }
        }
        End::Clean
    }

    /// What a turn is started with.
    fn choices(&mut self) -> Value {
        let mut more = json!({});
        if self.r.below(4) == 0 {
            more["model"] = MODELS[self.r.below(4)].into();
        }
        if self.r.below(4) == 0 {
            let tier = ["priority", "flex", "default"][self.r.below(3)];
            more["serviceTier"] = tier.into();
            self.odd_tiers |= tier == "priority";
        }
        if self.r.below(5) == 0 {
            more["serviceTierForTurn"] = ["priority", "flex", "default"][self.r.below(3)].into();
            self.odd_tiers = true;
        }
        more
    }

    /// Takes in what the run was answered.
    fn ended(&mut self, end: End, ephemeral: bool, exported: bool) {
        self.runs += 1;
        let answers = self.model.answers();
        // Whether a killed client had read an answer is known now; what a later run asks does not tell it.
        let new = answers.into_iter().skip(self.dues.len());
        for answer in new {
            if !ephemeral && answer.served.thread == answer.session && !self.roots.contains(&answer.session) {
                self.roots.push(answer.session.clone());
            }
            self.dues.push(Due { answer, end, ephemeral, exported });
        }
    }
}
