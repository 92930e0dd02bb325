//! What a scripted model answers to whatever it is asked, drawn from a seed.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::json;

use crate::support::capture::Random;
use crate::support::mock_model::Asked;
use crate::support::{Cut, Step, Usage};

/// Draws for one purpose: the same for the same numbers.
pub fn draw(numbers: &[u64]) -> Random {
    // The mixing of splitmix64; xorshift must not start at 0.
    let mixed = numbers.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, n| {
        let z = (state ^ n).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    });
    Random(mixed.max(1))
}

pub struct Brain {
    seed: u64,
    /// Compactions are the API's work.
    compacts: bool,
    /// How many of a hundred requests come to grief.
    trouble: usize,
    /// All responses have one id.
    one_id: bool,
    mind: Mutex<Mind>,
}

#[derive(Default)]
struct Mind {
    /// Turns in the order of their first request, and how far each is.
    turns: HashMap<String, Turn>,
    /// Numbers calls and tokens.
    serial: u64,
    /// The tokens of each thread's last answer.
    last: HashMap<String, Usage>,
}

#[derive(Default, Clone)]
struct Turn {
    number: u64,
    requests: u64,
    troubles: u64,
    spawned: bool,
    /// The agent that was started must be waited for.
    waits: bool,
}

impl Brain {
    /// One with habits drawn from the seed.
    pub fn new(seed: u64, compacts: bool) -> Self {
        let mut r = draw(&[seed, 3]);
        let (trouble, one_id) = ([0, 15, 30][r.below(3)], r.below(5) == 0);
        Self { seed, compacts, trouble, one_id, mind: Mutex::default() }
    }

    pub fn answer(&self, asked: &Asked) -> Option<Step> {
        let mut mind = self.mind.lock().unwrap();
        let number = mind.turns.len() as u64;
        let key = format!("{}{}", asked.about("thread_id"), asked.about("turn_id"));
        let turn = mind.turns.entry(key).or_insert(Turn { number, ..Turn::default() });
        turn.requests += 1;
        let mut r = draw(&[self.seed, 1, turn.number, turn.requests]);
        let mut now = turn.clone();
        mind.serial += 1;
        let serial = mind.serial;
        let usage = self.tokens(&mut mind, asked, &mut r);
        let usage = match asked.about("request_kind") {
            // It generates nothing.
            "prewarm" => Usage { output: 0, reasoning: 0, ..usage },
            _ => usage,
        };
        let step = match asked.about("request_kind") {
            "prewarm" => Step::items(vec![]),
            "compaction" if self.compacts => Step::compaction(),
            "compaction" => Step::message("a summary"),
            _ => self.act(&mut now, asked, serial, &mut r),
        };
        let key = format!("{}{}", asked.about("thread_id"), asked.about("turn_id"));
        let step = step.late(r.below(20) as u64).slow(r.below(40) as u64);
        let step = if self.one_id { step.id("resp") } else { step };
        let step = match r.below(100) {
            0 => step,
            1 => step.bare_usage(usage.input, usage.output),
            _ => step.usage(usage),
        };
        let step = self.hurt(&mut now, asked, step, &mut r);
        mind.turns.insert(key, now);
        Some(step)
    }

    /// The tokens of an answer: like no other's, or just those of the one before.
    fn tokens(&self, mind: &mut Mind, asked: &Asked, r: &mut Random) -> Usage {
        let thread = asked.about("thread_id").to_owned();
        if let Some(last) = mind.last.get(&thread).filter(|_| r.below(8) == 0) {
            return *last;
        }
        let long = if r.below(25) == 0 { 280_000 } else { 0 };
        let input = long + 1_000 + 37 * mind.serial + r.below(20) as u64;
        let cached = r.below(usize::try_from(input).unwrap()) as u64;
        let written = asked.model.starts_with("gpt-5.6") && r.below(2) == 0;
        let cache_write = if written { r.below(usize::try_from(input - cached).unwrap()) as u64 } else { 0 };
        let output = 10 + r.below(3_000) as u64;
        let usage = Usage { input, cached, cache_write, output, reasoning: output / 3 };
        mind.last.insert(thread, usage);
        usage
    }

    /// The next thing to do in a turn.
    fn act(&self, turn: &mut Turn, asked: &Asked, serial: u64, r: &mut Random) -> Step {
        let call = format!("c{}_{serial}", self.seed);
        let code = asked.model.starts_with("gpt-5.6");
        if std::mem::take(&mut turn.waits) {
            let targets = json!({"targets": ["$AGENT"], "timeout_ms": 20_000});
            let wait = if code { json!({"timeout_ms": 20_000}) } else { targets };
            return Step::namespaced_call(&call, family(code), "wait_agent", &wait).quoting("$AGENT", "agent_id");
        }
        let is_child = asked.about("thread_id") != asked.about("session_id");
        if turn.requests > 1 + draw(&[self.seed, 2, turn.number]).below(6) as u64 {
            return Step::message(&format!("answer {serial}"));
        }
        match r.below(12) {
            0 | 1 => Step::message(&format!("answer {serial}")),
            2 if !is_child && !turn.spawned => {
                (turn.spawned, turn.waits) = (true, true);
                let fork = ["all", "none"][r.below(2)];
                let (v1, v2) = (
                    json!({"message": format!("task {serial}"), "agent_type": "default"}),
                    json!({"task_name": format!("task_{serial}"), "message": "go on", "fork_turns": fork}),
                );
                Step::namespaced_call(&call, family(code), "spawn_agent", if code { &v2 } else { &v1 })
            }
            3 => Step::function_call(&call, "no_such_tool", &json!({})),
            4 if !code => Step::add_file(&call, &format!("{serial}.txt"), "line"),
            5 if !code => Step::shell(&call, "exit 3").and(Step::shell(&format!("{call}b"), "sleep 0.05")),
            n if code => {
                let command = if n == 6 { "exit 4" } else { "echo code" };
                let script = format!("const r = await tools.exec_command({{cmd:\"{command}\"}}); text(r.output);");
                Step::custom_tool_call(&call, "exec", &script)
            }
            _ => Step::shell(&call, "echo word"),
        }
    }

    /// The same answer, or what becomes of it.
    fn hurt(&self, turn: &mut Turn, asked: &Asked, step: Step, r: &mut Random) -> Step {
        // A few in a turn are survived by repeating the request; a turn in which somebody waits is left alone.
        if r.below(100) >= self.trouble || turn.troubles >= 2 || turn.waits || asked.about("request_kind") == "prewarm"
        {
            return step;
        }
        turn.troubles += 1;
        match r.below(12) {
            0..=2 => Step::http_error(500),
            3 => Step::http_error(503),
            4 | 5 => step.cut(Cut::BeforeItems),
            6 => step.cut(Cut::AfterItems),
            7 | 8 => step.failed("server_error", "scripted"),
            9 => step.incomplete("max_output_tokens"),
            10 => step.incomplete("content_filter"),
            _ => Step::http_error(400),
        }
    }
}

/// The family of the tools for agents.
fn family(code: bool) -> &'static str {
    if code { "collaboration" } else { "multi_agent_v1" }
}
