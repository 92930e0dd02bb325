//! The statements as pages: markup that is whole, nothing of others in it, nothing loaded, and, where a Chromium is installed,
//! as it shows them.

use std::collections::BTreeMap;
use std::process::Command;

use super::{chargeback, machine, small, text_of_team};
use crate::support::Feed;

/// Elements without an end.
const VOID: [&str; 1] = ["meta"];

/// The elements of a page, each closed in its turn, with their attributes.
#[track_caller]
fn elements(page: &str) -> Vec<String> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a doctype");
    let (mut open, mut all): (Vec<&str>, _) = (Vec::new(), Vec::new());
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>') || open.last() == Some(&"style"), "a bare > in {text:?}");
        let (tag, behind) = after.split_once('>').expect("the end of a tag");
        rest = behind;
        match tag.strip_prefix('/') {
            Some(end) => assert_eq!(open.pop(), Some(end), "before {:?}", behind.get(..60)),
            None => {
                let name = tag.split([' ', '/']).next().unwrap();
                if !tag.ends_with('/') && !VOID.contains(&name) {
                    open.push(name);
                }
                all.push(tag.to_string());
            }
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    all
}

fn pages(files: &BTreeMap<String, Vec<u8>>) -> Vec<(&str, &str)> {
    let pages = files.iter().filter(|(name, _)| name.ends_with(".html"));
    pages.map(|(name, bytes)| (name.as_str(), std::str::from_utf8(bytes).unwrap())).collect()
}

#[test]
fn pages_are_whole_and_load_nothing() {
    let env = machine(&[Feed::Otlp, Feed::Transcripts], false);
    let files = chargeback(&env, &["--basis", "list"]);
    assert!(pages(&files).len() >= 4);
    for (name, page) in pages(&files) {
        let elements = elements(page);
        let forbidden = ["script", "link", "img", "iframe", "object", "form", "base", "audio", "video", "use", "image"];
        for element in &elements {
            let tag = element.split(' ').next().unwrap();
            assert!(!forbidden.contains(&tag), "{name}: <{element}>");
            assert!(!element.contains(" on") && !element.contains("src="), "{name}: <{element}>");
        }
        let foreign = ["http:", "https:", "url(", "@import", "javascript:"];
        assert!(!foreign.iter().any(|what| page.contains(what)), "{name}");
        assert!(page.contains("default-src 'none'"), "{name}");
        for says in [
            "<span class=\"badge estimated\">estimated</span>",
            "Basis: <b>list</b>",
            "Tokens without a list price",
            "Requests that brought no usage",
            "Fees of hosted tools",
            "Calls of hosted tools without a known fee",
            "lines may not add",
            "no team owns",
        ] {
            assert!(page.contains(says), "{name} does not say {says:?}");
        }
    }
    let (name, statement) = pages(&files).into_iter().find(|(name, _)| name.contains("alert-1")).expect("a team");
    assert!(name.starts_with("team-script-alert-1-script-s-hne-"), "{name}");
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;Söhne&quot;";
    assert!(statement.contains(escaped) && files["index.html"].windows(escaped.len()).any(|w| w == escaped.as_bytes()));
}

/// The text of the one statement of a machine.
#[test]
fn a_statement_says_what_it_cost() {
    let env = small("only");
    let files = chargeback(&env, &[]);
    let page = text_of_team(&files);
    // 1000 input tokens at 5 USD and one output token at 30 USD a million.
    for says in [
        "<h1>Codex usage of only</h1>",
        "November 2026 (2026-11-01 to 2026-11-30, UTC days)",
        "<div class=\"card\"><b>0.01</b>USD, API usage, list</div>",
        "<td class=\"n\">0.01 USD</td>",
        "<td>gpt-5.5</td>",
        "<title>2026-11-21: 0.01</title>",
        "<td>Responses without a cost centre</td><td class=\"n\">1</td>",
        "0 responses, 0 tokens",
    ] {
        assert!(page.contains(says), "{says}\n{page}");
    }
    assert!(!page.contains("credits</th>"), "no unit without an amount");
    assert!(String::from_utf8_lossy(&files["summary.csv"]).contains("0.005030000000"));
}

#[test]
#[cfg_attr(not(chromium), ignore = "no Chromium in the path; CODEX_TALLY_TEST_CHROMIUM=PROGRAM names one")]
fn a_browser_shows_the_pages() {
    let Some(chromium) = option_env!("CODEX_TALLY_TEST_CHROMIUM") else { panic!("no Chromium: see build.rs") };
    let env = machine(&[Feed::Transcripts], false);
    let files = chargeback(&env, &["--basis", "list"]);
    let folder = env.work().join("month");
    for (name, _) in pages(&files) {
        let run = |args: &[&str]| {
            let profile = format!("--user-data-dir={}", env.scratch().join("chromium").display());
            let mut command: Command = env.command(chromium);
            command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &profile]);
            let output = command.args(args).arg(folder.join(name)).output().unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            output
        };
        // What the browser understood: a script would have run, and what is not closed would have moved.
        let dom = String::from_utf8(run(&["--dump-dom"]).stdout).unwrap();
        assert!(!dom.contains("<script"), "{name}");
        let end: String = dom.rsplit("</footer>").next().unwrap().split_whitespace().collect();
        assert_eq!(end, "</body></html>", "{name}");
        let picture = env.scratch().join("page.png");
        let to = format!("--screenshot={}", picture.display());
        let _ = run(&["--hide-scrollbars", "--window-size=800,1200", &to]);
        let bytes = std::fs::read(&picture).unwrap();
        assert!(
            bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000,
            "{name}: an empty picture, {} bytes",
            bytes.len()
        );
        let paper = env.scratch().join("page.pdf");
        let to = format!("--print-to-pdf={}", paper.display());
        let _ = run(&["--no-pdf-header-footer", &to]);
        let bytes = std::fs::read(&paper).unwrap();
        let a4 = String::from_utf8_lossy(&bytes).contains("/MediaBox [0 0 594.95996 841.91998]");
        assert!(bytes.starts_with(b"%PDF") && a4, "{name}: not on A4");
    }
}
