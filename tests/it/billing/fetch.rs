//! Exports are fetched from a server that answers as the documented APIs do: in pages, with errors and rate limits.

use super::standing;
use crate::support::TestEnv;
use crate::support::env::Output;
use crate::support::http::Request;
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

const KEY: &str = "sk-admin-0123456789";
/// 2026-11-01.
const NOVEMBER: u64 = 1_793_491_200;
const DAY: u64 = 86_400;

/// What the server was asked: path, query and headers.
#[derive(Clone)]
struct Asked {
    path: String,
    query: String,
    headers: String,
}

struct Api {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// An answer: a status, further header lines, a body.
type Answer = (u16, String, String);

impl Api {
    /// Answers with what a function says of a request and of how many there were before it.
    fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Api { port, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A home that is configured for this server.
    fn env(&self) -> TestEnv {
        let env = TestEnv::new();
        std::fs::create_dir_all(env.home()).unwrap();
        let url = format!("http://127.0.0.1:{}", self.port);
        let config = format!("[billing]\nopenai_url = \"{url}\"\nchatgpt_url = \"{url}\"\nworkspace = \"ws-1\"\n");
        std::fs::write(env.home().join("config.toml"), config).unwrap();
        env
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Request, usize) -> Answer) {
    let Ok(Some(request)) = Request::read(&mut BufReader::new(stream.try_clone().unwrap())) else { return };
    let before = {
        let mut seen = seen.lock().unwrap();
        let (path, query) = (request.path.clone(), request.query.clone());
        seen.push(Asked { path, query, headers: request.header_lines() });
        seen.len() - 1
    };
    let (status, headers, body) = answer(&request, before);
    let head =
        format!("HTTP/1.1 {status} scripted\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes());
}

fn ok(body: &Value) -> Answer {
    (200, "content-type: application/json\r\n".into(), serde_json::to_string_pretty(body).unwrap())
}

fn fetch(env: &TestEnv, args: &[&str]) -> Output {
    let mut command = env.tally(&[&["billing", "fetch"], args].concat());
    command.env("OPENAI_ADMIN_KEY", KEY).env("OPENAI_ANALYTICS_KEY", "sk-analytics-1");
    Output::of(command)
}

/// Buckets of a day each, as many in a page as are asked for, from the day that the cursor names.
fn costs(request: &Request) -> Answer {
    let query = |name: &str| {
        let pair = request.query.split('&').filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name);
        pair.map(|(_, value)| value.to_string())
    };
    let number = |name: &str| query(name).unwrap().parse::<u64>().unwrap();
    let from =
        query("page").map_or_else(|| number("start_time"), |page| page.trim_start_matches("page_").parse().unwrap());
    let to = number("end_time").min(from + 2 * DAY);
    let bucket = |start: u64| {
        let amount = json!({"value": "0.25", "currency": "usd"});
        let result = json!({"object": "organization.costs.result", "amount": amount, "line_item": "gpt-5.5, input", "project_id": "proj_1"});
        json!({"object": "bucket", "start_time": start, "end_time": start + DAY, "results": [result]})
    };
    let data: Vec<Value> = (0..(to - from) / DAY).map(|n| bucket(from + n * DAY)).collect();
    let has_more = to < number("end_time");
    let next = has_more.then(|| format!("page_{to}"));
    ok(&json!({"object": "page", "data": data, "has_more": has_more, "next_page": next}))
}

#[test]
fn all_pages_are_read_stored_and_imported() {
    let api = Api::start(|request, _| costs(request));
    let env = api.env();
    let said = fetch(&env, &["costs", "--since", "2026-11-01", "--until", "2026-11-05"]).ok();
    assert!(said.stderr.contains("5 rows, costs of openai, 2026-11-01 to 2026-11-05"), "{said}");
    let asked = api.asked();
    assert!(asked.iter().all(|asked| asked.path == "/v1/organization/costs"));
    assert!(asked.iter().all(|asked| asked.headers.contains(&format!("authorization: Bearer {KEY}\n"))));
    let end = NOVEMBER + 5 * DAY;
    let first = format!(
        "start_time={NOVEMBER}&end_time={end}&bucket_width=1d&limit=180&group_by=project_id&group_by=line_item&group_by=api_key_id"
    );
    assert_eq!(asked[0].query, first);
    assert_eq!(asked[2].query, format!("{first}&page=page_{}", NOVEMBER + 4 * DAY));
    assert_eq!((asked.len(), standing(&env, "counted", &["from"]).len()), (3, 5));
    // The pages are kept as they were answered, for the user alone, without the key.
    let file = std::fs::read_dir(env.home().join("billing")).unwrap().next().unwrap().unwrap();
    let name = file.file_name().into_string().unwrap();
    assert!(name.starts_with("costs-2026-11-01-2026-11-05-") && name.ends_with(".json"), "{name}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
    for entry in ["billing", "."] {
        for file in std::fs::read_dir(env.home().join(entry)).unwrap().flatten().filter(|f| f.path().is_file()) {
            let bytes = std::fs::read(file.path()).unwrap();
            assert!(!bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()), "{}", file.path().display());
        }
    }
    assert!(!said.stderr.contains(KEY));
    let again = fetch(&env, &["costs", "--since", "2026-11-01", "--until", "2026-11-05"]).ok();
    assert!(again.stderr.contains("imported before"), "{again}");
    let longer = fetch(&env, &["costs", "-p", "2026-11", "--out", "november.json"]).ok();
    assert!(
        longer.stderr.contains("november.json: 30 rows")
            && longer.stderr.contains("5 were there and say the same, 0 say"),
        "{longer}"
    );
    assert_eq!(standing(&env, "counted", &["from"]).len(), 30);
}

#[test]
fn usage_and_workspaces_are_asked_for_as_documented() {
    let api = Api::start(|request, _| match request.path.as_str() {
        "/v1/organization/usage/completions" => ok(&json!({"object": "page", "has_more": false, "data": [
            {"start_time": NOVEMBER, "end_time": NOVEMBER + DAY, "results": [{"input_tokens": 5, "output_tokens": 1, "model": "gpt-5.5"}]}]})),
        "/v1/analytics/codex/workspaces/ws-1/usage" => ok(&json!({"has_more": false, "data": [
            {"start_time": NOVEMBER, "end_time": NOVEMBER + DAY, "user_id": "u", "totals": {"credits": 2.5}}]})),
        _ => (404, String::new(), String::new()),
    });
    let env = api.env();
    let _ = fetch(&env, &["usage", "-p", "2026-11"]).ok();
    let _ = fetch(&env, &["workspace", "--since", "2026-11-01", "--until", "2026-11-01"]).ok();
    assert_eq!(standing(&env, "tokens", &["model", "input_tokens"]), ["gpt-5.5 5"]);
    assert_eq!(standing(&env, "counted", &["user", "credits"]), ["u 2.500000000000"]);
    let asked = api.asked();
    assert!(asked[0].query.contains("limit=31&group_by=project_id&group_by=user_id&group_by=api_key_id&group_by=model&group_by=batch&group_by=service_tier"));
    assert!(
        asked[1].query.ends_with("&group_by=day")
            && asked[1].headers.contains("authorization: Bearer sk-analytics-1\n")
    );
}

#[test]
fn the_pace_is_the_providers() {
    // Two refusals of the first page, one of the second, then it is as always.
    let api = Api::start(|request, before| match before {
        0 => (429, "retry-after: 1\r\n".into(), "{}".into()),
        1 => (503, String::new(), String::new()),
        3 => (500, String::new(), String::new()),
        _ => costs(request),
    });
    let env = api.env();
    let began = std::time::Instant::now();
    let _ = fetch(&env, &["costs", "--since", "2026-11-01", "--until", "2026-11-03"]).ok();
    assert!(began.elapsed() >= std::time::Duration::from_secs(1));
    assert_eq!((api.asked().len(), standing(&env, "counted", &["from"]).len()), (5, 3));
    let api = Api::start(|_, _| (429, "retry-after: 0\r\n".into(), String::new()));
    let env = api.env();
    let out = fetch(&env, &["costs", "-p", "2026-11"]).fails(1);
    assert!(
        out.stderr.contains("the provider asks to slow down (429), 5 times; try again later; nothing was imported"),
        "{out}"
    );
    assert_eq!(api.asked().len(), 5);
    let api = Api::start(|_, _| (429, "retry-after: 3600\r\n".into(), String::new()));
    let out = fetch(&api.env(), &["costs", "-p", "2026-11"]).fails(1);
    assert!(out.stderr.contains("to be asked again only in 3600 s"), "{out}");
    assert_eq!(api.asked().len(), 1);
}

#[test]
fn refusals_say_what_to_do_and_nothing_is_half_imported() {
    for (status, headers, says) in [
        (401, "", "the key was not accepted (401): organization exports need an admin key"),
        (403, "", "the key may not read this (403)"),
        (404, "", "there is no such thing (404): check the workspace's id"),
        (302, "location: http://localhost:1/x\r\n", "it leads elsewhere (302), and the key is not sent there"),
        (418, "", "the answer is 418"),
    ] {
        let api = Api::start(move |_, _| (status, headers.to_string(), format!("{{\"error\": \"{KEY}\"}}")));
        let env = api.env();
        let out = fetch(&env, &["workspace", "-p", "2026-11"]).fails(1);
        assert!(out.stderr.contains(says) && out.stderr.contains("nothing was imported"), "{status}: {out}");
        assert!(!out.stderr.contains(KEY) && api.asked().len() == 1, "{status}: {out}");
    }
    // The second of two pages is refused, or leads back, or is none.
    for (second, says) in [
        ((401, String::new(), String::new()), "page 2 of http://127.0.0.1"),
        (ok(&json!({"data": [], "has_more": true, "next_page": "page_1793664000"})), "leads back to an earlier one"),
        (ok(&json!({"data": [], "has_more": true})), "says that there is more, but not where"),
        ((200, String::new(), "<html>".into()), "page 2 of /v1/organization/costs is no page in JSON"),
    ] {
        let api = Api::start(move |request, before| if before == 0 { costs(request) } else { second.clone() });
        let env = api.env();
        let out = fetch(&env, &["costs", "-p", "2026-11"]).fails(1);
        assert!(out.stderr.contains(says), "{says}: {out}");
        assert!(super::rows(&env).is_empty() && !env.home().join("billing").exists());
    }
}

#[test]
fn keys_come_from_private_places_and_go_to_one_origin() {
    let api = Api::start(|request, _| costs(request));
    let env = api.env();
    let without = |env: &TestEnv| env.run(&["billing", "fetch", "costs", "-p", "2026-11"]);
    let out = without(&env).fails(1);
    assert!(out.stderr.contains("set OPENAI_ADMIN_KEY, or write admin_key_file = \"FILE\""), "{out}");
    let config = std::fs::read_to_string(env.home().join("config.toml")).unwrap();
    let file = env.home().join("admin.key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    std::fs::write(env.home().join("config.toml"), config.clone() + "admin_key_file = \"admin.key\"\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(without(&env).fails(1).stderr.contains("others can read it; run: chmod 600"));
    assert!(api.asked().is_empty());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let _ = without(&env).ok();
    assert!(api.asked()[0].headers.contains(&format!("authorization: Bearer {KEY}\n")));
    std::fs::write(&file, "two words").unwrap();
    assert!(without(&env).fails(1).stderr.contains("it is not a key"));
    for (url, says) in [
        ("http://api.example", "is not encrypted, and the key is not sent there; use https"),
        ("https://api.example/v2", "is not an origin; write https://HOST"),
        ("https://me:pw@api.example", "is not an origin"),
        ("api.example", "is no URL"),
    ] {
        std::fs::write(env.home().join("config.toml"), format!("[billing]\nopenai_url = \"{url}\"\n")).unwrap();
        let out = fetch(&env, &["costs", "-p", "2026-11"]).fails(1);
        assert!(out.stderr.contains(says), "{url}: {out}");
    }
    std::fs::write(env.home().join("config.toml"), "[billing]\nworkspace = \"../x\"\n").unwrap();
    assert!(
        fetch(&env, &["workspace", "-p", "2026-11"])
            .fails(1)
            .stderr
            .contains("Write workspace = \"ID\" below [billing]")
    );
    assert!(fetch(&env, &["costs"]).fails(2).stderr.contains("--since"));
    assert!(
        fetch(&env, &["costs", "--since", "2025-01-01", "--until", "2026-11-30"])
            .fails(2)
            .stderr
            .contains("more than 400 days")
    );
}

#[test]
fn an_answer_without_rows_takes_back_what_was_stored_of_its_days() {
    let api = Api::start(|request, before| {
        if before == 0 { costs(request) } else { ok(&json!({"object": "page", "data": [], "has_more": false})) }
    });
    let env = api.env();
    let _ = fetch(&env, &["costs", "--since", "2026-11-01", "--until", "2026-11-02", "--account", "acme"]).ok();
    assert_eq!(standing(&env, "counted", &["account"]), ["acme"; 2]);
    let said = fetch(&env, &["costs", "--since", "2026-11-02", "--until", "2026-11-02"]).ok().stderr;
    assert!(said.contains("1 rows of earlier files are not in it and no longer count"), "{said}");
    assert_eq!(standing(&env, "counted", &["from"]), ["2026-11-01"]);
    // The same answer for other days is the same file, which is of those.
    let refused = fetch(&env, &["costs", "--since", "2026-11-01", "--until", "2026-11-01"]).fails(1).stderr;
    assert!(refused.contains("1 rows of these days are stored and still count"), "{refused}");
}
