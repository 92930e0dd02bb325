//! What files of others may look like.

use super::*;
use crate::model::{Channel, ChargeKind};
use proptest::prelude::*;

const USAGE: &str = include_str!("../../../tests/fixtures/billing/usage.json");
const COSTS: &str = include_str!("../../../tests/fixtures/billing/costs.json");
const WORKSPACE: &str = include_str!("../../../tests/fixtures/billing/workspace.json");
const EXPORT: &str = include_str!("../../../tests/fixtures/billing/workspace.csv");
const INVOICE: &str = include_str!("../../../tests/fixtures/billing/invoice.csv");

fn of(text: &str) -> Result<Read, Refused> {
    read(Input { bytes: text.as_bytes(), sha256: "f", account: None })
}

fn refusal(text: &str) -> String {
    of(text).unwrap_err().to_string()
}

#[test]
fn pages_may_stand_in_a_list_or_a_line_each() {
    let whole = of(USAGE).unwrap();
    let spans: Vec<_> = whole.covers.iter().map(|c| (c.start.day().to_string(), c.end.day().to_string())).collect();
    assert_eq!(
        spans,
        [("2026-11-01".to_string(), "2026-11-03".to_string())],
        "a bucket without results is told of, too"
    );
    let ids = |read: &Read| read.charges.iter().map(|c| (c.key.clone(), c.usage)).collect::<Vec<_>>();
    assert_eq!(ids(&of(&format!("\u{feff}[{USAGE}]")).unwrap()), ids(&whole));
    // Older pages call it result.
    assert_eq!(ids(&of(&USAGE.replace("\"results\"", "\"result\"")).unwrap()), ids(&whole));
    assert!(of(&USAGE.replace("\"has_more\": false", "\"has_more\": true")).unwrap().has_more);
    assert!(!of(COSTS).unwrap().has_more, "only the last page tells");
}

#[test]
fn what_a_provider_groups_by_next_tells_rows_apart() {
    let grouped = |value: &str| {
        USAGE.replace("\"project_id\": \"proj_b\"", &format!("\"project_id\": \"proj_b\", \"region\": {value}"))
    };
    let key = |text: &str| of(text).unwrap().charges[1].key.clone();
    assert!(key(&grouped("\"eu\"")).ends_with("region=\"eu\""));
    assert_eq!(key(&grouped("null")), key(USAGE));
    assert_eq!(key(&grouped("5")), key(USAGE), "a figure is not what it is grouped by");
    assert_eq!(of(&grouped("5")).unwrap().ignored["region"], 1);
}

#[test]
fn uncached_tokens_tell_what_was_written() {
    let text = USAGE.replace("\"input_cache_write_tokens\": 500, ", "");
    assert_eq!(of(&text).unwrap().charges[0].usage.unwrap().cache_write, 500);
    assert!(refusal(&text.replace("7404", "9000")).contains("do not add up to input_tokens (12000)"));
    assert!(refusal(&USAGE.replace("12000", "-1")).contains("input_tokens: `-1` is no count"));
}

#[test]
fn times_are_of_this_century() {
    for bad in ["\"2026-13-01\"", "1793491200000", "2026", "\"soon\"", "\"9999-12-31\"", "99999999999999999999"] {
        let said = refusal(&USAGE.replace("1793491200", bad));
        assert!(said.contains("start_time: `") && said.contains("is no moment"), "{bad}: {said}");
    }
    assert!(
        refusal(&USAGE.replace("1793577600", "1793491200"))
            .contains("ends (2026-11-01T00:00:00.000Z) before it begins")
    );
    assert!(refusal(&INVOICE.replace("2026-12-15", "9999-12-15")).contains("line 7: to: `9999-12-15` is not a day"));
    assert!(refusal(&INVOICE.replace("2026-10-16", "2026-12-16")).contains("line 7: from is after to"));
}

#[test]
fn invoice_rows_have_the_channel_of_their_invoice() {
    let row = |kind: &str, more: &str| format!("I,{kind},{kind},2026-11-01,2026-11-30,{more}1,USD\n");
    let head = "invoice,line,kind,from,to,amount,currency\n";
    let channels = |rows: &str| -> Vec<_> {
        of(&format!("{head}{rows}")).unwrap().charges.iter().map(|c| (c.kind, c.channel, c.account.clone())).collect()
    };
    let (tax, seat) = (row("tax", ""), row("seat", ""));
    assert_eq!(channels(&tax), [(ChargeKind::Tax, Channel::Api, "openai".to_string())]);
    assert_eq!(channels(&(tax + &seat))[0], (ChargeKind::Tax, Channel::Chatgpt, "chatgpt".to_string()));
    let said = refusal(&format!("{head}{}", row("tax", "x,")));
    assert!(said.contains("line 2: 8 fields, but the heading has 7"), "{said}");
    let many: String = (0..15).map(|n| row(&format!("k{n}"), "")).collect();
    let said = refusal(&format!("{head}{many}"));
    assert!(said.contains("line 11: kind: `k9`") && !said.contains("k10") && said.contains("5 more rows"), "{said}");
}

proptest! {
    #[test]
    fn damaged_files_are_read_or_refused(
        file in prop::sample::select(vec![USAGE, COSTS, WORKSPACE, EXPORT, INVOICE]),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[-0-9a-z{}\\[\\]\",:.]{0,6}"), 1..4),
    ) {
        let mut text = file.to_string();
        for (at, gone, new) in cuts {
            let at = at.index(text.len());
            text.replace_range(at..(at + gone).min(text.len()), &new);
        }
        if let Ok(read) = of(&text) {
            for charge in &read.charges {
                prop_assert!(charge.start < charge.end);
                prop_assert!(charge.money.is_some() || charge.credits.is_some() || charge.usage.is_some());
                prop_assert!(read.covers.iter().any(|covered| covered.has(charge)));
                prop_assert!(charge.usage.is_none_or(|usage| usage.uncached_input() >= 0));
                let json = serde_json::to_string(charge).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Charge>(&json).unwrap(), charge);
            }
        }
    }
}
