//! Who delivers decides who pays: named tokens of the sink, over both doors, against what the records claim.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::client::{Answer, Client, request};
use crate::support::{Capture, Feed, Server, TestEnv};

const OF_ALPHA: &str = "the token of alpha, which nobody else has";
const OF_PLATFORM: &str = "the token of platform";

fn hash(token: &str) -> String {
    Sha256::digest(token).iter().map(|b| format!("{b:02x}")).collect()
}

/// A machine whose sink knows a token of the team alpha, one of platform, and one that is only a name.
fn machine() -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    let config = format!(
        "channel = \"api\"\n\n[[sink_token]]\nname = \"alpha-ci\"\nsha256 = [\"{}\"]\nteam = \"alpha\"\nproject = \"ci\"\n\n\
         [[sink_token]]\nname = \"platform\"\nsha256 = [\"{}\"]\nteam = \"platform\"\n\n\
         [[sink_token]]\nname = \"lab\"\nsha256 = [\"{}\"]\n",
        hash(OF_ALPHA),
        hash(OF_PLATFORM),
        hash("lab")
    );
    std::fs::write(env.home().join("config.toml"), config).unwrap();
    env
}

fn post(server: &Server, token: &str, body: &[u8], json: bool) -> Answer {
    let content_type = if json { "application/json" } else { "application/x-protobuf" };
    let mut client = Client::connect(([127, 0, 0, 1], server.port()).into());
    let bearer = format!("Bearer {token}");
    client.send(&request("POST", "/v1/logs", &[("content-type", content_type), ("authorization", &bearer)], body));
    client.answer().expect("an answer")
}

/// Delivers a capture with a token.
#[track_caller]
fn deliver(env: &TestEnv, capture: &str, token: &str) {
    let server = env.serve(&["--no-follow", "--grpc", "none"]);
    for request in Capture::named(capture).requests() {
        let json = request.is_json();
        assert_eq!(post(&server, token, &request.into_body(), json).status, 200);
    }
    assert!(server.stop().success());
}

fn report(env: &TestEnv) -> Value {
    env.run(&["report", "monthly", "--by", "team", "--format", "json"]).ok().json()
}

/// Responses and list cost by team.
fn teams(report: &Value) -> BTreeMap<String, (i64, String)> {
    let row = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_string();
        (text("team"), (row["responses"].as_i64().unwrap(), text("list_usd")))
    };
    report["rows"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn who_claims_another_team_pays_all_the_same() {
    let env = machine();
    deliver(&env, "01_http_binary", OF_PLATFORM);
    let before = report(&env);
    let own = teams(&before);
    assert_eq!((own.len(), before["coverage"]["contradicted_responses"].as_i64()), (1, Some(0)), "{before}");
    // The records of this one claim to be platform's, too.
    deliver(&env, "01_http_json", OF_ALPHA);
    for feed in [&[][..], &[Feed::Transcripts]] {
        Capture::named("01_http_json").replay(&env, feed);
        let after = report(&env);
        let found = teams(&after);
        assert_eq!(found["platform"], own["platform"], "{after}");
        assert_eq!((found.len(), found["alpha"].0), (2, 3), "{after}");
        let coverage = &after["coverage"];
        assert_eq!((&coverage["contradicted_responses"], &coverage["conflicts"]), (&3.into(), &0.into()), "{after}");
        let of = &coverage["cost_by_team_strength"]["credential"];
        assert_eq!((&of["responses"], &of["list_usd"]), (&after["totals"]["responses"], &after["totals"]["list_usd"]));
    }
    let table = env.run(&["report", "monthly"]).ok().stdout;
    assert!(
        table.contains("team known by: credential ") && table.contains("\n3 responses that claim another team"),
        "{table}"
    );
    let told = env.run(&["attribution", "test", "last"]).ok().stdout;
    for says in ["[credential] credential ", "  credential = "] {
        assert!(told.contains(says), "{told}");
    }
    // Who delivers the same again changes nothing, whoever it is.
    let counted = teams(&report(&env));
    deliver(&env, "01_http_json", OF_PLATFORM);
    deliver(&env, "01_http_binary", OF_ALPHA);
    let after = report(&env);
    assert_eq!((teams(&after), &after["coverage"]["conflicts"]), (counted, &0.into()));
    // In the chargeback, too.
    drop(env.run(&["chargeback", "-p", "2026-11", "--out", "month"]).ok());
    let page = std::fs::read_to_string(env.work().join("month/index.html")).unwrap();
    assert!(page.contains("credential of the sender") && page.contains("Responses that claim another owner"), "{page}");
}

#[test]
fn a_credential_is_stronger_than_rules_and_rules_can_look_at_it() {
    let env = machine();
    let rules = "members = \"members.csv\"\n[[rule]]\ncredential = \"alpha-*\"\nteam = \"rule\"\ncost_centre = \"C9\"\n\
                 [[rule]]\ncredential = \"lab\"\nteam = \"research\"\n";
    std::fs::write(env.home().join("teams.toml"), rules).unwrap();
    std::fs::write(env.home().join("members.csv"), "email,team\nalice@example.com,members\n").unwrap();
    deliver(&env, "01_http_json", OF_ALPHA);
    deliver(&env, "10_auth_chatgpt", OF_ALPHA);
    deliver(&env, "01_http_binary", "lab");
    let by = ["report", "monthly", "--by", "team,cost_centre,project", "--format", "json"];
    let made = env.run(&by).ok().json();
    let row = |row: &Value| ["team", "cost_centre", "project"].map(|n| row[n].as_str().unwrap_or_default().to_string());
    let rows: Vec<[String; 3]> = made["rows"].as_array().unwrap().iter().map(row).collect();
    assert!(rows.contains(&["alpha", "C9", "ci"].map(str::to_string)), "{rows:?}");
    assert!(rows.iter().all(|row| ["alpha", "research"].contains(&row[0].as_str())), "{rows:?}");
    // A rule that looks at the credential says who it is: what claims another team is flagged, too.
    let coverage = &made["coverage"];
    assert_eq!(coverage["contradicted_responses"], made["totals"]["responses"], "{coverage}");
    assert!(coverage["responses_by_team_strength"]["rule"].as_i64().unwrap() > 0, "{coverage}");
    // A token that is no longer let in still names what came with it.
    let path = env.home().join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace(&format!("sha256 = [\"{}\"]\n", hash(OF_ALPHA)), "")).unwrap();
    assert_eq!(env.run(&by).ok().json()["rows"], made["rows"]);
    let server = env.serve(&["--no-follow", "--grpc", "none"]);
    assert_eq!(post(&server, OF_ALPHA, b"{}", true).status, 401);
    assert_eq!(post(&server, "alpha-ci", b"{}", true).status, 401, "a name is no token");
    assert_eq!(post(&server, &hash(OF_PLATFORM), b"{}", true).status, 401, "nor is a hash");
    assert_eq!(post(&server, OF_PLATFORM, b"{}", true).status, 200);
    let own = std::fs::read_to_string(env.home().join("token")).unwrap();
    assert_eq!(post(&server, own.trim(), b"{}", true).status, 200);
    assert!(server.stop().success());
}

#[cfg(feature = "grpc")]
#[test]
fn the_other_door_knows_them_too() {
    use crate::support::grpc::{Exporter, LOGS};
    let env = machine();
    let server = env.serve(&["--no-follow"]);
    let exporter = Exporter::new(([127, 0, 0, 1], server.grpc_port()).into());
    let bearer = format!("Bearer {OF_ALPHA}");
    for body in Capture::named("01_grpc").bodies() {
        drop(exporter.send(LOGS, &[("authorization", &bearer)], &body).unwrap());
    }
    assert!(exporter.send(LOGS, &[("authorization", "Bearer alpha-ci")], b"").is_err());
    assert!(server.stop().success());
    let made = report(&env);
    assert_eq!(teams(&made).keys().collect::<Vec<_>>(), ["alpha"], "{made}");
    assert!(made["coverage"]["contradicted_responses"].as_i64().unwrap() > 0, "{made}");
}
