//! The house rules: what the source tree must look like, read from the tree itself. Each rule reports every violation.

mod scan;

use codex_tally::pricing::{Level, PriceBook};
use scan::{File, functions, modules_named, names_after, walk, words};
use sha2::{Digest, Sha256};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What each part of the house may use. A part may always use itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ingest", &["model"]),
    ("pricing", &["model"]),
    ("attribution", &["model"]),
    ("report", &["model"]),
    ("store", &["model"]),
    ("config", &["model"]),
    ("setup", &[]),
    ("ledger", &["model", "ingest", "pricing", "attribution", "report", "store", "config"]),
    ("cache", &["model", "pricing", "attribution", "store", "ledger"]),
    ("collect", &["model", "ingest", "pricing", "attribution", "report", "store", "config", "ledger"]),
    (
        "serve",
        &["model", "ingest", "pricing", "attribution", "report", "store", "config", "ledger", "cache", "collect"],
    ),
    ("remote", &["model", "ingest", "pricing", "attribution", "report", "store", "config", "ledger", "collect"]),
    (
        "cli",
        &[
            "model",
            "ingest",
            "pricing",
            "attribution",
            "report",
            "store",
            "config",
            "ledger",
            "cache",
            "collect",
            "serve",
            "remote",
            "setup",
        ],
    ),
    ("bin", &["cli", "ingest", "store", "config", "model"]),
    ("main", &["cli", "ingest", "store", "config", "model"]),
];

/// Parts that take bytes, tables and `now` as arguments.
const PURE: [&str; 6] = ["model", "ingest", "pricing", "attribution", "ledger", "report"];

/// The places that may use a binary floating point number: file and the trimmed line. Foreign records hold such numbers;
/// they are recognised and, but for OTLP attributes that are shown as text, dropped.
const FLOATS: &[(&str, &str)] = &[
    ("src/ingest/lenient.rs", "fn visit_f64<E>(self, _: f64) -> Result<Lent<'de>, E> {"),
    ("src/ingest/lenient.rs", "fn visit_f64<E>(self, _: f64) -> Result<Count, E> {"),
    ("src/ingest/lenient.rs", "fn visit_f64<E>(self, _: f64) -> Result<Int, E> {"),
    ("src/ingest/lenient.rs", "fn visit_f64<E>(self, _: f64) -> Result<Flag, E> {"),
    ("src/ingest/lenient.rs", "fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {"),
    ("src/ingest/otlp/json.rs", "fn double(text: &str) -> Option<f64> {"),
    ("src/ingest/otlp/protobuf.rs", "(4, value) => Scalar::Double(f64::from_bits(value.fixed64()?)),"),
    ("src/ingest/otlp/wire.rs", "Double(f64),"),
    ("src/ingest/otlp/wire.rs", "pub(super) fn whole(n: f64) -> Option<i64> {"),
    ("src/ingest/otlp/wire.rs", "const EXACT: f64 = 9_007_199_254_740_992.0;"),
];

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_PACKAGES: usize = 300;

/// A rule about one file: its violations.
type Rule = fn(&File) -> Vec<String>;

fn sources() -> Vec<File> {
    let files: Vec<_> = walk(Path::new(ROOT), "src")
        .into_iter()
        .filter(|(name, _)| name.ends_with(".rs"))
        .map(|(name, path)| File::new(&name, &std::fs::read_to_string(path).expect("a source file")))
        .collect();
    assert!(!files.is_empty(), "no source below {ROOT}");
    files
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Runs a rule over all sources.
fn all_keep(rule: Rule) {
    report(sources().iter().flat_map(rule).collect());
}

fn report(violations: Vec<String>) {
    assert!(violations.is_empty(), "{} violation(s):\n{}", violations.len(), violations.join("\n"));
}

fn direction(file: &File) -> Vec<String> {
    let module = file.module();
    if module == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
        return vec![file.at(0, &format!("`{module}` is a new part of the house; say in MAY_USE what it may use"))];
    };
    let wrong = |used: &String| used != module && !allowed.contains(&used.as_str());
    let named = modules_named(file).into_iter().filter(|(_, used)| wrong(used));
    named.map(|(at, used)| file.at(at, &format!("{module} must not use {used}"))).collect()
}

fn fences(file: &File) -> Vec<String> {
    let fence: [(&str, &[&str]); 3] = [
        ("src/store/sqlite/", &["rusqlite"]),
        (
            "src/serve/",
            &["tokio", "axum", "hyper", "hyper_util", "http_body_util", "tower_service", "tonic", "tokio_rustls"],
        ),
        ("src/remote/", &["reqwest"]),
    ];
    let outside = fence.iter().filter(|(home, _)| !file.path.starts_with(home));
    let mut found: Vec<String> = outside
        .flat_map(|(home, names)| names.iter().map(move |name| (home, name)))
        .flat_map(|(home, name)| words(&file.live, name).into_iter().map(move |at| (at, home, name)))
        .map(|(at, home, name)| file.at(at, &format!("only {home} names {name}")))
        .collect();
    // Both ends of an encrypted connection.
    if !["src/remote/", "src/serve/"].iter().any(|home| file.path.starts_with(home)) {
        found
            .extend(words(&file.live, "rustls").into_iter().map(|at| file.at(at, "only serve and remote name rustls")));
    }
    if file.path != "src/cli/out.rs" {
        for print in ["println", "eprintln", "print", "eprint"] {
            let uses = words(&file.live, print).into_iter().filter(|at| file.live[at + print.len()..].starts_with('!'));
            found.extend(uses.map(|at| file.at(at, &format!("only src/cli/out.rs uses {print}!"))));
        }
    }
    found
}

fn purity(file: &File) -> Vec<String> {
    if !PURE.contains(&file.module()) {
        return Vec::new();
    }
    let worlds = names_after(&file.live, "std::").into_iter();
    let worlds = worlds.filter(|(_, name)| ["env", "fs", "net", "thread", "process"].contains(&name.as_str()));
    let mut found: Vec<_> = worlds.map(|(at, name)| file.at(at, &format!("a pure part names std::{name}"))).collect();
    for clock in ["SystemTime::now", "Utc::now", "Local::now", "Instant::now"] {
        found.extend(words(&file.live, clock).into_iter().map(|at| file.at(at, &format!("a pure part reads {clock}"))));
    }
    found
}

fn sizes(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    if !file.text.starts_with("//!") {
        found.push(file.at(0, "the file does not begin with `//!` and what it is for"));
    }
    if file.live_lines > MAX_FILE_LINES {
        let lines = file.live_lines;
        found.push(file.at(0, &format!("{lines} lines without tests; at most {MAX_FILE_LINES}")));
    }
    let long = functions(&file.live).into_iter().filter(|(.., lines)| *lines > MAX_FUNCTION_LINES);
    found.extend(
        long.map(|(at, name, n)| file.at(at, &format!("fn {name} has {n} lines; at most {MAX_FUNCTION_LINES}"))),
    );
    found
}

fn floats(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    for ((number, code), text) in file.code.lines().enumerate().zip(file.text.lines()) {
        let suffix = |float: &str| {
            code.match_indices(float).any(|(at, _)| code[..at].ends_with(|c: char| c.is_ascii_digit() || c == '_'))
        };
        let used = ["f32", "f64"].iter().any(|float| !words(code, float).is_empty() || suffix(float));
        if used && !FLOATS.contains(&(file.path.as_str(), text.trim())) {
            found.push(format!("{}:{}: a binary float; use integers, or list the place", file.path, number + 1));
        }
    }
    found
}

fn marker_words(path: &str, text: &str) -> Vec<String> {
    // Put together here, so that no other tool finds them in this file.
    let notes = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let holes =
        [["to", "do!"].concat(), ["unimple", "mented!"].concat(), ["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let notes = notes.iter().filter(|word| !words(line, word).is_empty());
        for word in notes.chain(holes.iter().filter(|hole| line.contains(hole.as_str()))) {
            found.push(format!("{path}:{}: `{word}` is left in the text", number + 1));
        }
    }
    found
}

/// Compares the migrations with the list of those that were frozen; both are `(name, sha256)`.
fn frozen(list: &str, files: &[(String, String)]) -> Vec<String> {
    let lines = list.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
    let listed: Vec<(&str, &str)> = lines.map(|l| l.split_once("  ").unwrap_or((l, ""))).collect();
    let mut found = Vec::new();
    for (i, (name, hash)) in files.iter().enumerate() {
        if !name.starts_with(&format!("{:04}_", i + 1)) || !name.ends_with(".sql") {
            found.push(format!("{name}: the {}. migration; name it {:04}_what_it_does.sql", i + 1, i + 1));
        }
        match listed.iter().find(|(_, listed)| listed == name) {
            None => {
                found.push(format!("{name}: not frozen; add this line to tests/it/migrations.sha256:\n{hash}  {name}"))
            }
            Some((frozen, _)) if frozen != hash => {
                found.push(format!("{name}: changed after it was frozen; undo that and add a new migration"));
            }
            Some(_) => {}
        }
    }
    let gone = listed.iter().filter(|(_, name)| !files.iter().any(|(file, _)| file == name));
    found.extend(gone.map(|(_, name)| format!("{name}: frozen, but the file is gone; bring it back")));
    found
}

#[test]
fn dependencies_have_one_direction() {
    all_keep(direction);
}

#[test]
fn libraries_stay_behind_their_fences() {
    all_keep(fences);
}

#[test]
fn pure_parts_do_not_touch_the_world() {
    all_keep(purity);
}

#[test]
fn files_and_functions_are_small_and_introduced() {
    all_keep(sizes);
}

#[test]
fn no_binary_floats() {
    all_keep(floats);
    let unused = FLOATS.iter().filter(|(path, line)| !read(path).lines().any(|l| l.trim() == *line));
    report(unused.map(|(path, line)| format!("{path}: `{line}` is gone; remove it from FLOATS")).collect());
}

#[test]
fn nothing_is_left_for_later() {
    let texts = ["src", "docs", "examples", "pricing"].into_iter().flat_map(|folder| walk(Path::new(ROOT), folder));
    // A file that is not text (a picture, a compressed transcript) has no words.
    let texts = texts.filter_map(|(name, path)| Some((name, std::fs::read_to_string(path).ok()?)));
    report(texts.flat_map(|(name, text)| marker_words(&name, &text)).collect());
}

#[test]
fn migrations_are_frozen() {
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let files: Vec<_> = walk(Path::new(ROOT), "src/store/sqlite/migrations")
        .into_iter()
        .map(|(name, path)| {
            let name = name.rsplit('/').next().unwrap_or(&name).to_string();
            (name, hash(&std::fs::read(path).expect("a migration")))
        })
        .collect();
    report(frozen(&read("tests/it/migrations.sha256"), &files));
}

#[test]
fn the_lock_file_is_short() {
    let packages = read("Cargo.lock").lines().filter(|line| *line == "[[package]]").count();
    assert!((1..=MAX_PACKAGES).contains(&packages), "{packages} packages; at most {MAX_PACKAGES}");
}

#[test]
fn price_files_are_sound() {
    let files = walk(Path::new(ROOT), "pricing");
    assert!(!files.is_empty(), "no price file");
    let mut found = Vec::new();
    for (name, path) in files.iter().filter(|(name, _)| name.ends_with(".toml")) {
        match PriceBook::parse(&std::fs::read_to_string(path).expect("a price file")) {
            Err(error) => found.push(format!("{name}: {error}")),
            Ok(book) => {
                let errors = book.check(book.as_of()).into_iter().filter(|f| f.level == Level::Error);
                found.extend(errors.map(|f| format!("{name}: {f}")));
            }
        }
    }
    report(found);
}

#[test]
fn every_rule_can_fail() {
    let check = |rule: Rule, path: &str, text: &str| rule(&File::new(path, text)).join("\n");
    let bad: &[(Rule, &str, &str, &str)] = &[
        (direction, "src/model/a.rs", "\nuse crate::store::Store;", "src/model/a.rs:2: model must not use store"),
        (direction, "src/ingest/hook/a.rs", "use crate::{model::Day, pricing};", "ingest must not use pricing"),
        (direction, "src/report/mod.rs", "use super::config::X;", "report must not use config"),
        (direction, "src/main.rs", "use codex_tally::ledger;", "main must not use ledger"),
        (direction, "src/bin/x.rs", "use codex_tally::serve;", "bin must not use serve"),
        (direction, "src/extra/mod.rs", "", "`extra` is a new part"),
        (fences, "src/store/mod.rs", "use rusqlite::Connection;", "only src/store/sqlite/ names rusqlite"),
        (fences, "src/cli/a.rs", "#[tokio::main]", "only src/serve/ names tokio"),
        (fences, "src/cli/a.rs", "x;\neprintln!(\"a\");", "src/cli/a.rs:2: only src/cli/out.rs uses eprintln!"),
        (purity, "src/ledger/a.rs", "use std::{fmt, fs::File};", "names std::fs"),
        (purity, "src/report/a.rs", "let t = Utc::now();", "reads Utc::now"),
        (sizes, "src/report/a.rs", "fn a() {}", "does not begin with"),
        (sizes, "src/report/a.rs", &"//! x\n".repeat(401), "401 lines without tests"),
        (sizes, "src/a.rs", &format!("//! x\nfn a() {{\n{}}}\n", "x;\n".repeat(69)), "src/a.rs:2: fn a has 71 lines"),
        (floats, "src/a.rs", "\nlet x: f64 = y;", "src/a.rs:2: a binary float"),
        (floats, "src/a.rs", "let x = 1_f32;", "a binary float"),
        (floats, "src/a.rs", "let x = 2f64;", "a binary float"),
    ];
    for (rule, path, text, message) in bad {
        let said = check(*rule, path, text);
        assert!(said.contains(message), "expected: {message}\nbut: {said}");
    }
    let good: &[(Rule, &str, &str)] = &[
        (direction, "src/ledger/a.rs", "use crate::{store, ledger};\n#[cfg(test)]\nuse crate::cli;"),
        (fences, "src/store/sqlite/a.rs", "use rusqlite::X; // println!"),
        (fences, "src/cli/out.rs", "println!()"),
        (purity, "src/ingest/a.rs", "use std::fmt;\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}"),
        (purity, "src/cli/a.rs", "std::env::args()"),
        (sizes, "src/a/tests.rs", &"//! x\n".repeat(401)),
        (sizes, "src/a.rs", &format!("//! x\n#[cfg(test)]\nmod t {{\n{}}}\n", "// y\n\n".repeat(300))),
        (floats, "src/a.rs", "let f64_name = \"f64\"; // f32"),
    ];
    for (rule, path, text) in good {
        assert_eq!(check(*rule, path, text), "", "{text}");
    }
}

#[test]
fn the_rules_for_text_and_migrations_can_fail() {
    let note = format!("a\n// {}{}: later", "TO", "DO");
    assert!(marker_words("docs/a.md", &note)[0].starts_with("docs/a.md:2: "));
    assert_eq!(marker_words("a", &format!("see /{}/x and {}{}()", "work", "to", "do!")).len(), 2);
    assert!(marker_words("a", "what the TODOs of others are called").is_empty());
    let file = |name: &str, hash: &str| (name.to_string(), hash.to_string());
    assert!(frozen("# head\nab  0001_a.sql\n", &[file("0001_a.sql", "ab")]).is_empty());
    assert!(frozen("", &[]).is_empty());
    assert!(frozen("", &[file("0001_a.sql", "ab")])[0].contains("add this line"));
    assert!(frozen("ab  0001_a.sql", &[file("0001_a.sql", "cd")])[0].contains("changed after"));
    assert!(frozen("ab  0001_a.sql", &[])[0].contains("the file is gone"));
    assert!(frozen("ab  0002_a.sql", &[file("0002_a.sql", "ab")])[0].contains("name it 0001_"));
}
