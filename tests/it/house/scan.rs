//! Reads Rust source well enough for the house rules: code without comments, strings and tests, the paths it names, and
//! its functions. It relies on rustfmt's layout and on nothing else.

use std::path::{Path, PathBuf};

/// One file of the source tree.
pub struct File {
    /// Its path from the project's root, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Comments and the insides of literals blanked; the same lines and columns.
    pub code: String,
    /// `code` with tests blanked too.
    pub live: String,
    /// How many lines do not belong to tests.
    pub live_lines: usize,
}

impl File {
    pub fn new(path: &str, text: &str) -> File {
        let code = mask(text);
        let whole = path.ends_with("/tests.rs") || path.contains("/tests/") || code.contains("#![cfg(test)]");
        let (live, tests) = if whole { (blank(&code), code.lines().count()) } else { without_tests(&code) };
        File { path: path.to_string(), text: text.to_string(), live_lines: code.lines().count() - tests, code, live }
    }

    /// The part of the house the file belongs to: a top-level module, `bin`, `main` or `lib`.
    pub fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// How many modules deep the file is below the crate's root.
    fn depth(&self) -> usize {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        inside.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).count()
    }

    /// `path:line: what`.
    pub fn at(&self, offset: usize, what: &str) -> String {
        let line = 1 + self.live.as_bytes()[..offset].iter().filter(|b| **b == b'\n').count();
        format!("{}:{line}: {what}", self.path)
    }
}

/// All files below a folder with their paths from the root, in order; none if the folder is absent.
pub fn walk(root: &Path, folder: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return found };
    for entry in entries {
        let entry = entry.expect("a readable folder");
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.file_type().expect("a file type") {
            kind if kind.is_dir() => found.extend(walk(root, &name)),
            kind if kind.is_file() => found.push((name, entry.path())),
            _ => {}
        }
    }
    found.sort();
    found
}

/// Blanks comments and the insides of string and character literals.
pub fn mask(text: &str) -> String {
    let b = text.as_bytes();
    let mut out = b.to_vec();
    let mut i = 0;
    while i < b.len() {
        let end = match b[i] {
            b'/' if b.get(i + 1) == Some(&b'/') => find(b, i, b"\n"),
            b'/' if b.get(i + 1) == Some(&b'*') => block_comment(b, i),
            b'"' => quoted(b, i, b'"'),
            b'r' if !is_word(b, i.wrapping_sub(1)) || b"bc".contains(&b[i - 1]) => raw_string(b, i).unwrap_or(i),
            b'\'' if is_char_literal(b, i) => quoted(b, i, b'\''),
            _ => i,
        };
        if end > i {
            out[i..end].iter_mut().filter(|c| **c != b'\n').for_each(|c| *c = b' ');
        }
        i = end.max(i + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn blank(code: &str) -> String {
    code.bytes().map(|c| if c == b'\n' { '\n' } else { ' ' }).collect()
}

fn is_word(b: &[u8], at: usize) -> bool {
    b.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_')
}

fn find(b: &[u8], from: usize, what: &[u8]) -> usize {
    b[from..].windows(what.len()).position(|w| w == what).map_or(b.len(), |at| from + at)
}

fn block_comment(b: &[u8], from: usize) -> usize {
    let (mut depth, mut i) = (0usize, from);
    while i < b.len() {
        match b.get(i..i + 2) {
            Some(b"/*") => (depth, i) = (depth + 1, i + 2),
            Some(b"*/") if depth == 1 => return i + 2,
            Some(b"*/") => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    b.len()
}

fn quoted(b: &[u8], from: usize, quote: u8) -> usize {
    let mut i = from + 1;
    while i < b.len() && b[i] != quote {
        i += if b[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(b.len())
}

fn raw_string(b: &[u8], from: usize) -> Option<usize> {
    let hashes = b[from + 1..].iter().take_while(|c| **c == b'#').count();
    let open = from + 1 + hashes;
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    (b.get(open) == Some(&b'"')).then(|| (find(b, open + 1, &close) + close.len()).min(b.len()))
}

/// A lifetime has no closing quote right after its first character.
fn is_char_literal(b: &[u8], at: usize) -> bool {
    match b.get(at + 1) {
        Some(b'\\') => true,
        Some(c) if c.is_ascii() => b.get(at + 2) == Some(&b'\''),
        Some(_) => true,
        None => false,
    }
}

/// Blanks items marked `#[cfg(test)]` or `#[cfg(all(test, ...))]`, and says how many lines they have.
fn without_tests(code: &str) -> (String, usize) {
    let (mut out, mut lines) = (code.to_string(), 0);
    for mark in ["#[cfg(test)]", "#[cfg(all(test"] {
        while let Some(start) = out.find(mark) {
            let end = item_end(out.as_bytes(), start);
            let blanked = blank(&out[start..end]);
            lines += blanked.lines().count();
            out.replace_range(start..end, &blanked);
        }
    }
    (out, lines)
}

/// The end of the item that begins at `from`: its closing brace, or a semicolon outside of all brackets.
fn item_end(b: &[u8], from: usize) -> usize {
    let mut depth = 0i32;
    for (i, c) in b.iter().enumerate().skip(from) {
        match c {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' => depth -= 1,
            b'}' if depth == 1 => return i + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    b.len()
}

/// Where `word` stands on its own, not as a part of a longer name.
pub fn words(code: &str, word: &str) -> Vec<usize> {
    let b = code.as_bytes();
    let alone = |at: usize| (at == 0 || !is_word(b, at - 1)) && !is_word(b, at + word.len());
    code.match_indices(word).map(|(at, _)| at).filter(|at| alone(*at)).collect()
}

/// The names right after `prefix`, with groups opened: `std::{fs, io::Read}` names `fs` and `io`.
pub fn names_after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let b = code.as_bytes();
    let starts = code.match_indices(prefix).map(|(at, _)| at).filter(|at| *at == 0 || !is_word(b, at - 1));
    starts.flat_map(|at| first_names(code, at + prefix.len()).into_iter().map(move |name| (at, name))).collect()
}

fn first_names(code: &str, at: usize) -> Vec<String> {
    let rest = &code[at..];
    let name = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.push(name(&group[start..i]));
                start = i + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|n| !n.is_empty());
    names
}

/// The top-level modules of ours that a file's live code names: through `crate::`, the library's name, or `super::`s.
pub fn modules_named(file: &File) -> Vec<(usize, String)> {
    let mut found = names_after(&file.live, "crate::");
    found.extend(names_after(&file.live, "codex_tally::"));
    if file.depth() > 0 {
        let to_root = "super::".repeat(file.depth());
        let b = file.live.as_bytes();
        let starts = |at: usize| at == 0 || !(is_word(b, at - 1) || b[at - 1] == b':');
        found.extend(names_after(&file.live, &to_root).into_iter().filter(|(at, _)| starts(*at)));
    }
    found
}

/// The functions of a file: where each begins, its name and its lines.
pub fn functions(live: &str) -> Vec<(usize, String, usize)> {
    let named = words(live, "fn").into_iter().filter_map(|at| {
        let name = first_names(live, at + 2).concat();
        (!name.is_empty()).then(|| (at, name, live[at..item_end(live.as_bytes(), at)].lines().count()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        let text = "let a = \"std::fs \\\" {\"; // std::env\nlet b = r#\"x\" {\"#; /* a /* b */ zz */ let c = '{'; let d: &'a str = br\"{\";";
        let code = mask(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains("std") && !code.contains('{') && !code.contains("zz"), "{code}");
        assert!(code.contains("let b =") && code.contains("let c =") && code.contains("&'a str"), "{code}");
        assert!(mask("let e = 'é'; let f = '\\''; f(b'\"', 1)").contains("1)"));
    }

    #[test]
    fn tests_are_not_live() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(test)]\nuse x;\nfn c() {}\n#[cfg(all(test, unix))]\nmod t;\n";
        let names: Vec<_> = functions(&File::new("src/a/b.rs", text).live).into_iter().map(|f| f.1).collect();
        assert_eq!(names, ["a", "c"]);
        for path in ["src/a/tests.rs", "src/a/tests/b.rs"] {
            assert!(functions(&File::new(path, text).live).is_empty());
        }
        assert!(functions(&File::new("src/a.rs", &format!("#![cfg(test)]\n{text}")).live).is_empty());
    }

    #[test]
    fn paths_are_seen_in_every_form() {
        let named = |path: &str, text: &str| {
            modules_named(&File::new(path, text)).into_iter().map(|m| m.1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named("src/a/b.rs", "use crate::{store::{Store, x}, model};"), "store model");
        assert_eq!(named("src/a/b.rs", "let x = crate::cli::run; // crate::no"), "cli");
        assert_eq!(named("src/main.rs", "fn main() { codex_tally::cli::main() }"), "cli");
        assert_eq!(named("src/a/b.rs", "use super::super::store::X; use super::c;"), "store");
        assert_eq!(named("src/a/mod.rs", "use super::serve::X; mod b;"), "serve");
        assert_eq!(named("src/a/b.rs", "my_crate::x; pub(crate) fn f() {}"), "");
    }

    #[test]
    fn functions_are_measured() {
        let found = functions(
            "fn a<T: Fn(u8) -> u8>(x: [u8; 3])\nwhere\n    T: X,\n{\n    y;\n}\ntrait B {\n    fn c();\n}\nlet f: fn(u8);\n",
        );
        assert_eq!(found.iter().map(|f| (f.1.as_str(), f.2)).collect::<Vec<_>>(), [("a", 6), ("c", 1)]);
    }
}
