//! What is a secret by its form: keys of known issuers, private keys, and strings as random as keys are.

use super::GONE;

/// How keys of known issuers begin, and how many characters follow at least.
const PREFIXES: [(&str, usize); 29] = [
    ("sk-", 16),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("whsec_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("glrt-", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxa-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("npm_", 20),
    ("pypi-", 20),
    ("hf_", 20),
    ("SG.", 20),
    ("dop_v1_", 20),
    ("eyJ", 20),
];

/// Strings of this length may be keys.
const KEY: usize = 20;

/// Whether a word is a key by its form or by chance.
pub(super) fn is_secret(word: &str) -> bool {
    let word = word.trim_matches(['.', '/', '=', '-']);
    if PREFIXES.iter().any(|(prefix, more)| word.starts_with(prefix) && word.len() >= prefix.len() + more) {
        return true;
    }
    // A path is as random as its parts; a key in base64 may look like one.
    let path = word.contains('.') || word.contains('~');
    word.split(['/', '.', '~']).any(is_random) || (!path && is_random(word))
}

/// Whether a string looks drawn by lot: long, of letters and digits that keep changing, or of many hexadecimal digits.
fn is_random(part: &str) -> bool {
    let bytes = part.as_bytes();
    if bytes.len() < KEY || is_uuid(part) {
        return false;
    }
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let hexadecimal = bytes.iter().all(u8::is_ascii_hexdigit);
    if hexadecimal {
        return bytes.len() >= 32 && digits > 0;
    }
    let class = |b: u8| match b {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    };
    let has = |wanted| bytes.iter().any(|b| class(*b) == wanted);
    let classes = [0, 1, 2].into_iter().filter(|c| has(*c)).count();
    let changes = bytes.windows(2).filter(|w| class(w[0]) != class(w[1])).count();
    let mut seen: Vec<u8> = bytes.to_vec();
    seen.sort_unstable();
    seen.dedup();
    // In random letters and digits more than half of the neighbours are of two kinds; in words few are.
    let varied = seen.len() * 2 >= bytes.len().min(32);
    match classes {
        3 => varied && changes * 10 >= bytes.len() * 3,
        2 => varied && digits >= 4 && changes * 10 >= bytes.len() * 4,
        _ => false,
    }
}

/// Ids of sessions, turns and calls are no secrets.
fn is_uuid(text: &str) -> bool {
    let dashes = text.char_indices().filter(|(_, c)| *c == '-').map(|(i, _)| i).eq([8, 13, 18, 23]);
    text.len() == 36 && dashes && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Private keys stand between two lines of their own; one that was cut off goes to the end.
pub(super) fn without_private_keys(text: &str) -> String {
    const END: &str = "-----END";
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(begin) = rest.find("-----BEGIN") {
        let (before, block) = rest.split_at(begin);
        out.push_str(before);
        let line = block.get(..block.find(['\n', '\\']).unwrap_or(block.len())).unwrap_or(block);
        if !line.contains("PRIVATE KEY") {
            out.push_str(line);
            rest = &block[line.len()..];
            continue;
        }
        out.push_str(GONE);
        rest = match block.find(END) {
            Some(end) => {
                let tail = &block[end + END.len()..];
                tail.find("-----").map_or("", |at| &tail[at + "-----".len()..])
            }
            None => "",
        };
    }
    out.push_str(rest);
    out
}
