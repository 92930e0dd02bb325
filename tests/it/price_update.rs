//! `prices update` through the program: lists in their real formats, from a server of the test and from files.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::support::env::Output;
use crate::support::http::Request;
use crate::support::terminal::Terminal;
use crate::support::{TestEnv, Transcript, fixture};

const DAY: &str = "2026-11-22";

fn list(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prices").join(name)
}

/// `prices update` of the day with these arguments; a list is named by its file.
fn update(env: &TestEnv, from: &[&str], args: &[&str]) -> Output {
    let lists: Vec<String> = from.iter().map(|name| list(name).to_str().unwrap().to_string()).collect();
    let from = lists.iter().flat_map(|path| ["--from", path]);
    let at = if args.contains(&"--at") { vec![] } else { vec!["--at", DAY] };
    let all: Vec<&str> = ["prices", "update"].into_iter().chain(from).chain(at).chain(args.iter().copied()).collect();
    env.run(&all)
}

fn own(env: &TestEnv) -> Option<String> {
    std::fs::read_to_string(env.home().join("prices.toml")).ok()
}

/// The price of a model, tier and size on a day: input, cached, cache write, output.
fn price(env: &TestEnv, model: &str, at: &str, tier: &str, context: &str) -> Option<String> {
    let rows = env.run(&["prices", "show", model, "--at", at, "--tier", tier, "--format", "json"]);
    if !rows.status.success() {
        return None;
    }
    let rows = rows.json();
    let row = rows.as_array().unwrap().iter().find(|row| row["unit"] == "USD" && row["context"] == context)?;
    let rates = ["input", "cached_input", "cache_write", "output"]
        .map(|rate| row[format!("{rate}_per_1m")].as_str().unwrap().to_string());
    Some(rates.join(" "))
}

#[test]
fn a_list_is_compared_and_only_what_was_agreed_to_is_added() {
    let env = TestEnv::new();
    let shown = update(&env, &["litellm.json"], &["--dry-run"]).fails(1).stdout;
    for line in [
        "changed   gpt-5.6-sol\n",
        "          standard: input 4 -> 5, cached 0.4 -> 0.5, cache write 5 -> 6.25, output 20 -> 30\n",
        "          priority (long input): input 16 -> 20, cached 1.6 -> 2, cache write 20 -> 25, output 60 -> 90\n",
        "new       gpt-6-nano\n          standard: input 0.025, cached 0.0025, cache write 0.03125, output 0.125\n",
        "held      codex-auto-review\n          the book says that it has no price: the reviewer",
        "held      gpt-5\n          ",
        "1.2500000000001e-06 needs more digits than can be kept exactly",
        "1 changed, 1 new, 2 held, 2 unchanged; in no list: ",
        ", gpt-5.5, ",
    ] {
        assert!(shown.contains(line), "{line}\nis not in\n{shown}");
    }
    for absent in ["gpt-6-nano-2026-11-20", "chatgpt", "azure", "gpt-image-9", "gpt-5.6\n", "sample_spec"] {
        assert!(!shown.contains(absent), "{absent}: {shown}");
    }
    assert_eq!(own(&env), None, "--dry-run writes nothing");
    let out = update(&env, &["litellm.json"], &[]).fails(1);
    assert_eq!(own(&env), None, "nobody was there to agree");
    assert!(out.stderr.contains("nothing was added; --yes adds 2 periods"), "{out}");

    let before = price(&env, "gpt-5.6-sol", "2026-11-21", "standard", "short");
    let out = update(&env, &["litellm.json"], &["--yes"]).fails(1);
    assert!(out.stderr.contains("added 2 periods from 2026-11-22 on to"), "{out}");
    let at = |day, tier, context| price(&env, "gpt-5.6-sol", day, tier, context);
    assert_eq!(at("2026-11-21", "standard", "short"), before, "no day before is touched");
    assert_eq!(at(DAY, "standard", "short").as_deref(), Some("5 0.5 6.25 30"));
    assert_eq!(at(DAY, "standard", "long").as_deref(), Some("10 1 12.5 45"));
    assert_eq!(at(DAY, "flex", "short").as_deref(), Some("2.5 0.25 3.125 15"));
    assert_eq!(price(&env, "gpt-6-nano", DAY, "standard", "short").as_deref(), Some("0.025 0.0025 0.03125 0.125"));
    assert_eq!(
        price(&env, "gpt-6-nano-2026-11-20", DAY, "standard", "short").as_deref(),
        Some("0.025 0.0025 0.03125 0.125")
    );
    let shown = env.run(&["prices", "show", "gpt-5.6-sol", "--at", DAY]).ok().stdout;
    let hash = sha256(&fixture("prices/litellm.json"));
    assert!(shown.contains("source: litellm (") && shown.contains(&format!("litellm.json, sha256 {hash})")), "{shown}");

    let text = own(&env);
    let again = update(&env, &["litellm.json"], &["--yes"]).fails(1);
    assert!(again.stdout.contains("\n2 held, 4 unchanged"), "{again}");
    assert_eq!(own(&env), text, "the same again adds nothing");
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_file_only_grows_and_stays_as_it_was_where_it_cannot() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prices.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let first = example.trim_end().to_string() + " # no end of line";
    std::fs::write(env.home().join("prices.toml"), &first).unwrap();
    let _ = update(&env, &["models.dev.json"], &["--yes"]).ok();
    let second = own(&env).unwrap();
    assert!(second.starts_with(&first), "{second}");
    let luna = |tier, context| price(&env, "gpt-5.6-luna", DAY, tier, context);
    assert_eq!(luna("standard", "short").as_deref(), Some("0.3 0.03 0.375 1.5"));
    assert_eq!(luna("standard", "long").as_deref(), Some("0.6 0.06 0.75 2.25"));
    assert_eq!(luna("fast", "short").as_deref(), Some("0.6 0.06 0.75 3"));
    assert_eq!(luna("fast", "long"), None, "the list does not say it, and a neighbour's price is none");
    assert_eq!(luna("flex", "short"), None, "nor does what the old period had hold beside a new price");
    assert!(second.contains("flex has no price from then on: no list has it"), "{second}");

    // A later price of the same models continues them, at the end.
    let later = env.work().join("later.json");
    let text =
        std::fs::read_to_string(list("models.dev.json")).unwrap().replace("\"output\": 1.5,", "\"output\": 1.8,");
    std::fs::write(&later, &text).unwrap();
    let args = ["prices", "update", "--from", "later.json", "--yes", "--at"];
    let again = env.run(&[&args[..], &[DAY]].concat()).fails(1);
    assert!(again.stdout.contains("the book already has a price from 2026-11-22 on"), "{again}");
    let earlier = env.run(&[&args[..], &["2026-11-20"]].concat()).fails(1);
    assert!(earlier.stdout.contains("nothing is put before it"), "{earlier}");
    assert_eq!(own(&env).as_deref(), Some(&*second));
    let _ = env.run(&[&args[..], &["2026-12-01"]].concat()).ok();
    assert!(own(&env).unwrap().starts_with(&second));
    let standard = |day| price(&env, "gpt-5.6-luna", day, "standard", "short").unwrap();
    assert_eq!(
        ["2026-11-21", "2026-11-30", "2026-12-01"].map(standard),
        ["0.2 0.02 0.25 1.2", "0.3 0.03 0.375 1.5", "0.3 0.03 0.375 1.8"]
    );

    // A file to which nothing can be appended is left alone.
    let closed = "source = []\nformat = 1\nas_of = \"2026-11-01\"\n";
    std::fs::write(env.home().join("prices.toml"), closed).unwrap();
    let out = update(&env, &["models.dev.json"], &["--yes"]).fails(1);
    assert!(out.stderr.contains("nothing was added: the new file would not be understood"), "{out}");
    assert_eq!(own(&env).as_deref(), Some(closed));
}

#[test]
fn lists_that_disagree_are_not_believed_unless_one_is_preferred() {
    let env = TestEnv::new();
    let lists = ["litellm.json", "genai-prices.json", "models.dev.json"];
    let shown = update(&env, &lists, &["--yes", "--only", "gpt-6-nano,gpt-5.6-sol"]).fails(1).stdout;
    assert!(shown.contains("disagreed gpt-6-nano\n          standard output: "), "{shown}");
    for said in ["litellm.json 0.125, ", "genai-prices.json 0.15, ", "models.dev.json 0.125\n"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert!(shown.contains("1 changed, 1 disagreed, 0 unchanged\n"), "{shown}");
    assert_eq!(price(&env, "gpt-6-nano", DAY, "standard", "short"), None);
    assert_eq!(price(&env, "gpt-5.6-sol", DAY, "flex", "long").as_deref(), Some("5 0.5 6.25 22.5"), "of one list");
    let _ = update(&env, &lists, &["--yes", "--only", "gpt-6-nano", "--prefer", "genai-prices"]).ok();
    assert_eq!(price(&env, "gpt-6-nano", DAY, "standard", "short").as_deref(), Some("0.025 0.0025 0.03125 0.15"));
    let other_name = update(&env, &lists, &["--only", "gpt-5.6,gpt-7", "--dry-run"]).ok().stdout;
    assert!(other_name.ends_with("\n1 unchanged; in no list: gpt-7\n"), "{other_name}");
    assert!(update(&env, &lists, &["--prefer", "mine"]).fails(2).stderr.contains("none of the lists"));
    assert!(update(&env, &["litellm.json", "litellm.json"], &[]).fails(1).stderr.contains("give each once"));
}

#[test]
fn a_list_with_days_says_from_when() {
    let env = TestEnv::new();
    let only = ["--only", "gpt-5.6-sol", "--dry-run", "--at"];
    let later = update(&env, &["genai-prices.json"], &[&only[..], &["2026-11-25"]].concat()).ok().stdout;
    assert!(later.contains("a list dates it 2026-11-22: --at 2026-11-22 adds it from that day on"), "{later}");
    // The last of its lists has no flex, and what was promised has not ended.
    let before = update(&env, &["genai-prices.json"], &[&only[..], &["2026-11-21"]].concat());
    assert!(before.stdout.contains("changed   gpt-5.6-sol\n          priority"), "{before}");
}

/// The built-in price of gpt-5.6-sol is promised through 2026-11-21.
#[test]
fn reports_warn_of_a_promise_that_ended_until_a_list_confirms_the_price() {
    let env = TestEnv::new().billed_by_the_api();
    let transcript = Transcript::new(1);
    let text = transcript.head() + &transcript.record(1_000);
    let text = text.replace("2026-11-21T01", "2026-11-23T01").replace("gpt-5.5", "gpt-5.6-sol");
    std::fs::write(transcript.path(&env), text).unwrap();
    let report = |format: &str| env.run(&["report", "monthly", "--format", format, "--fail-on", "stale"]);
    let warning = "1 responses priced beyond the day their price was guaranteed through";
    let (table, csv, json) = (report("table").fails(1), report("csv").fails(1), report("json").fails(1));
    assert!(table.stdout.contains(warning), "{table}");
    assert!(csv.stderr.contains(warning) && !csv.stdout.contains(warning), "{csv}");
    assert_eq!(json.json()["coverage"]["stale_price"], 1);
    assert!(json.stderr.contains("--fail-on: 1 responses are priced beyond their price's guarantee"), "{json}");

    // What was promised, in USD per 10 M tokens, tier by tier; first without flex.
    let said = |tiers: &[(&str, [u32; 4])]| {
        let fields = ["input_cost_per_token", "cache_read_input_token_cost", "cache_creation_input_token_cost"];
        let fields = [&fields[..], &["output_cost_per_token"]].concat();
        let mut model = "\"litellm_provider\": \"openai\", \"mode\": \"chat\"".to_string();
        for (tier, [input, cached, write, output]) in tiers {
            let short = [*input, *cached, *write, *output];
            let long = [input * 2, cached * 2, write * 2, output * 3 / 2];
            for (size, rates) in [("", short), ("_above_272k_tokens", long)] {
                for (field, rate) in fields.iter().zip(rates) {
                    model.push_str(&format!(", \"{field}{size}{tier}\": {rate}e-07"));
                }
            }
        }
        std::fs::write(env.work().join("list.json"), format!("{{\"gpt-5.6-sol\": {{{model}}}}}")).unwrap();
    };
    let tiers = [
        ("", [40, 4, 50, 200]),
        ("_priority", [80, 8, 100, 400]),
        ("_batches", [20, 2, 25, 100]),
        ("_flex", [20, 2, 25, 100]),
    ];
    said(&tiers[..3]);
    let part = env.run(&["prices", "update", "--from", "list.json", "--at", DAY, "--yes"]).fails(1);
    assert!(part.stdout.contains("held      gpt-5.6-sol\n          flex is kept: no list has it"), "{part}");
    said(&tiers);
    let whole = env.run(&["prices", "update", "--from", "list.json", "--at", DAY, "--yes"]).ok();
    assert!(
        whole.stdout.contains("confirmed gpt-5.6-sol\n          the price was promised through 2026-11-21"),
        "{whole}"
    );
    let report = report("json").ok().json();
    assert_eq!(report["coverage"]["stale_price"], 0);
    assert_eq!(report["totals"]["list_usd"], json.json()["totals"]["list_usd"]);
}

/// A server that answers each path in its way, and the paths that it was asked for.
struct Lists {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Lists {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || answer(stream, port, &seen));
            }
        });
        Lists { port, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, port: u16, asked: &Mutex<Vec<String>>) {
    let Ok(Some(request)) = Request::read(&mut BufReader::new(stream.try_clone().unwrap())) else { return };
    asked.lock().unwrap().push(request.path.clone());
    let head = |status: &str, header: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\n{header}\r\n\r\n");
    let sent = |bytes: &[u8]| [head("200 OK", &format!("content-length: {}", bytes.len())).as_bytes(), bytes].concat();
    let bytes = match request.path.as_str() {
        "/gone.json" => head("404 Not Found", "content-length: 0").into_bytes(),
        "/here.json" => head("302 Found", "location: /litellm.json").into_bytes(),
        "/circle.json" => head("302 Found", "location: /circle.json").into_bytes(),
        "/elsewhere.json" => head("302 Found", &format!("location: http://localhost:{port}/litellm.json")).into_bytes(),
        "/announced.json" => head("200 OK", "content-length: 17000000").into_bytes(),
        "/endless.json" => {
            let _ = stream.write_all(head("200 OK", "x: y").as_bytes());
            while stream.write_all(&[b' '; 65536]).is_ok() {}
            return;
        }
        "/slow.json" => {
            let _ = stream.write_all(head("200 OK", "content-length: 100").as_bytes());
            // Ends when the client has given up.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
            return;
        }
        "/cut.json" => [head("200 OK", "content-length: 100").as_bytes(), b"{}"].concat(),
        path => sent(&fixture(&format!("prices{path}"))),
    };
    let _ = stream.write_all(&bytes);
}

#[cfg(feature = "remote")]
#[test]
fn lists_are_read_from_the_web_within_limits() {
    let env = TestEnv::new();
    let lists = Lists::start();
    let get = |path: &str| {
        let args = ["prices", "update", "--timeout", "3", "--at", DAY, "--dry-run", "--from"];
        env.run(&[&args[..], &[&lists.url(path)]].concat())
    };
    for (path, format, models) in
        [("litellm.json", "litellm", 7), ("genai-prices.json", "genai-prices", 3), ("models.dev.json", "models.dev", 2)]
    {
        let shown = get(path).stdout;
        let hash = sha256(&fixture(&format!("prices/{path}")));
        let line = format!("  {format} ({}, sha256 {hash}), {models} models\n", lists.url(path));
        assert!(shown.contains(&line), "{line}{shown}");
        assert_eq!(lists.asked(), [format!("/{path}")]);
    }
    assert!(get("here.json").stdout.contains("gpt-5.6-sol"), "a redirect within the host");
    let _ = lists.asked();
    for (path, says) in [
        ("gone.json", "the answer is 404"),
        ("elsewhere.json", "/litellm.json, which is not followed"),
        ("circle.json", "/circle.json, which is not followed"),
        ("announced.json", "larger than 16 MiB"),
        ("endless.json", "larger than 16 MiB"),
        ("slow.json", "timed out"),
        ("cut.json", "cannot read"),
    ] {
        let out = get(path).fails(1);
        assert!(out.stderr.contains(says), "{path}: {out}");
        assert!(out.stderr.contains("yourself and give the file: --from FILE"), "{path}: {out}");
        assert!(lists.asked().iter().all(|asked| asked[1..] == *path), "{path}");
    }
    assert_eq!(own(&env), None);
}

#[cfg(feature = "remote")]
#[test]
fn only_what_is_encrypted_or_on_this_machine_is_read() {
    let env = TestEnv::new();
    for (url, says) in [
        ("http://prices.example/list.json", "is not encrypted; use https"),
        ("ftp://127.0.0.1/list.json", "is not encrypted; use https"),
        ("http://127.0.0.1.prices.example/list.json", "is not encrypted"),
        ("http://", "is no URL"),
    ] {
        let out = env.run(&["prices", "update", "--from", url]).fails(1);
        assert!(out.stderr.contains(says), "{url}: {out}");
    }
    // A published list goes by the proxy of the environment, which is this test and refuses.
    let lists = Lists::start();
    let mut command = env.tally(&["prices", "update", "--timeout", "3", "--from", "litellm"]);
    command.env("HTTPS_PROXY", lists.url(""));
    let out = Output::of(command).fails(1);
    assert!(out.stderr.contains("cannot read https://raw.githubusercontent.com/BerriAI/litellm/"), "{out}");
    assert_eq!(lists.asked(), ["raw.githubusercontent.com:443"]);
}

#[test]
fn no_other_command_connects_to_anywhere() {
    let env = TestEnv::new();
    let lists = Lists::start();
    let _ = update(&env, &["models.dev.json"], &["--yes"]).ok();
    for args in [
        &["prices", "list"][..],
        &["prices", "check"],
        &["prices", "show", "gpt-5.5"],
        &["report", "monthly"],
        &["sync"],
        &["prices", "update", "--from", list("models.dev.json").to_str().unwrap()],
    ] {
        let mut command = env.tally(args);
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"] {
            command.env(proxy, lists.url(""));
        }
        let _ = Output::of(command);
    }
    assert!(lists.asked().is_empty());
    let out = env.run(&["prices", "update"]).fails(2);
    assert!(out.stderr.contains("--from"), "{out}");
    let out = env.run(&["prices", "update", "--from", "lite-llm"]).fails(1);
    assert!(out.stderr.contains("--from takes litellm, genai-prices, models.dev, a URL or a file"), "{out}");
}

#[test]
#[cfg_attr(not(tmux), ignore = "no tmux")]
fn on_a_terminal_it_asks() {
    for (answer, added) in [("n", false), ("y", true)] {
        let env = TestEnv::new();
        let list = list("models.dev.json");
        let update = env.tally(&["prices", "update", "--at", DAY, "--from", list.to_str().unwrap()]);
        let terminal = Terminal::start(&update);
        terminal.wait("[y/N]");
        assert_eq!(own(&env), None);
        terminal.enter(answer);
        terminal.ended();
        assert_eq!(own(&env).is_some(), added, "{answer}");
    }
}
