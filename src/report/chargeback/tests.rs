//! Months that were made by hand: corrections of sealed months, sessions of several teams.

use super::*;
use crate::model::{CoverageRow, Keys, Slot, Sums, TokenSums, TokenUsage, Traits, Unpriced, UsageRow, Zone};

const CENTS: i128 = 10_000_000_000;

fn keys<'a>(team: &'a str, channel: &'a str, status: &'a str, corrects: &'a str) -> Keys<'a> {
    let values = [team, "CC-1", "project", "ann", "codex_exec", channel, "gpt-5.5", "standard"];
    let class = if corrects.is_empty() { "usage" } else { "correction" };
    Keys { values, status, class, corrects, strength: "rule", thread: "t", kind: "root", labels: "" }
}

fn row(keys: u32, sums: Sums, unpriced_tokens: i64) -> UsageRow {
    let slot = Slot::of(crate::model::Timestamp::parse_rfc3339("2026-10-05T12:00:00Z").unwrap());
    let tokens = TokenSums::from(TokenUsage { input: 90, output: 10, ..TokenUsage::default() });
    UsageRow { slot, keys, responses: 1, tokens, sums, unpriced_tokens }
}

fn usd(cents: i128) -> Sums {
    Sums { list_usd: Some(cents * CENTS), ..Sums::default() }
}

fn session<'a>(keys: Vec<Keys<'a>>, usage: Vec<UsageRow>, unpriced: &'a str) -> SessionRollup<'a> {
    let coverage = |row: &UsageRow| CoverageRow {
        slot: row.slot,
        keys: row.keys,
        traits: u32::from(row.unpriced_tokens > 0),
        responses: row.responses,
    };
    let priced = Traits { evidence: "transcript", ..Traits::default() };
    let time = usage[0].slot.start();
    SessionRollup {
        session: "s",
        auxiliary: false,
        started: time,
        ended: time,
        owner: ["a", "CC-1", "project", "ann"],
        client: "codex_exec",
        forked_from: "",
        counted: Slot::of(time),
        unmetered: Vec::new(),
        tool_costs: Vec::new(),
        prompts: 1,
        api_errors: 0,
        unmetered_attempts: 3,
        quarantined: 0,
        coverage: usage.iter().map(coverage).collect(),
        keys,
        usage,
        traits: vec![priced, Traits { evidence: "otlp", unpriced, ..Traits::default() }],
        turns: Vec::new(),
        turn_places: Vec::new(),
        tools: Vec::new(),
        reported: Vec::new(),
    }
}

fn files(session: &SessionRollup<'_>) -> BTreeMap<String, String> {
    let period: BillingPeriod = "2026-10".parse().unwrap();
    let mut made = Chargeback::new(period, Range::of_period(period, Zone::UTC), None);
    made.add(session);
    let (basis, seal) = (Basis::List, Some("5ea1".to_string()));
    let about = About {
        basis,
        price_book: "p".into(),
        rules: "r".into(),
        default_channel: None,
        seal,
        booked: None,
        is_closed: true,
    };
    let text = |(name, bytes): File| (name, String::from_utf8(bytes).unwrap());
    made.month().files(&about).into_iter().map(text).collect()
}

fn of_team<'f>(files: &'f BTreeMap<String, String>, team: &str, end: &str) -> &'f str {
    let name = files.keys().find(|name| name.starts_with(&format!("team-{team}-")) && name.ends_with(end));
    &files[name.unwrap()]
}

#[test]
fn corrections_are_part_of_their_month_and_shown_apart() {
    let all = vec![keys("a", "api", "estimated", ""), keys("a", "api", "estimated", "2026-09")];
    let files = files(&session(all, vec![row(0, usd(500), 0), row(1, usd(-125), 0)], ""));
    let corrections: Vec<&str> = files["corrections.csv"].lines().skip(1).collect();
    assert_eq!(corrections.len(), 1);
    assert!(corrections[0].contains(",estimated,correction,2026-09,") && corrections[0].contains(",-1.250000000000,"));
    let of_a: Vec<&str> = of_team(&files, "a", "csv").lines().skip(1).collect();
    assert!(of_a.len() == 2 && of_a.contains(&corrections[0]));
    let page = of_team(&files, "a", "html");
    for says in [
        "<b>3.75</b>USD",
        "Corrections of sealed months, part of the amounts above",
        "<td>2026-09</td>",
        "<td class=\"n\">-1.25</td>",
        "<rect class=\"below\"",
        "badge estimated",
    ] {
        assert!(page.contains(says), "{says}\n{page}");
    }
    assert!(files[MANIFEST].contains("\"list_usd\": \"3.750000000000\""));
}

#[test]
fn a_sealed_month_says_so_with_its_seal() {
    let files = files(&session(vec![keys("a", "api", "sealed", "")], vec![row(0, usd(500), 0)], ""));
    for page in [of_team(&files, "a", "html"), &files["index.html"]] {
        assert!(page.contains("badge sealed") && page.contains("(5ea1)") && !page.contains("estimated"), "{page}");
    }
    let manifest: serde_json::Value = serde_json::from_str(&files[MANIFEST]).unwrap();
    assert_eq!((&manifest["status"], &manifest["seal"]), (&"sealed".into(), &"5ea1".into()));
}

#[test]
fn each_team_has_its_own_coverage() {
    let unpriced = Unpriced::UnknownModel("x<y".into()).to_string();
    let all = vec![keys("a", "api", "estimated", ""), keys("b", "unknown", "estimated", "")];
    let files = files(&session(all, vec![row(0, usd(500), 0), row(1, Sums::default(), 100)], &unpriced));
    let (a, b) = (of_team(&files, "a", "html"), of_team(&files, "b", "html"));
    let box_row = |what: &str, n: &str| format!("<td>{what}</td><td class=\"n\">{n}</td>");
    let attempts = "Requests that brought no usage: possibly billed, in no amount";
    // The session, and so what has no other owner, is a's.
    assert!(a.contains(&box_row(attempts, "3")) && b.contains(&box_row(attempts, "0")), "{a}\n{b}");
    assert!(a.contains("by what saw them: transcript 1.") && b.contains("by what saw them: otlp 1."));
    let tokens = "Tokens without a list price, in no amount";
    assert!(a.contains(&box_row(tokens, "0")) && b.contains(&box_row(tokens, "100")));
    assert!(b.contains(&box_row("… responses: no price for model x&lt;y", "1")) && !a.contains("x&lt;y"));
    // What has no amount is never 0.
    assert!(
        b.contains("no usage has an amount") && b.contains("<td class=\"n\">not known</td>") && !b.contains("0.00")
    );
    assert!(a.contains("<b>5.00</b>USD"));
}
