//! Takes out of a text what looks like a secret: known forms of keys, what is called a password, and strings as random as keys are.
//! Rather too much than too little: a commit's hash may go along.

/// What stands in the place of a secret.
const GONE: &str = "[redacted]";

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

/// What a name contains whose value is a secret.
const NAMES: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "credential",
];

/// Strings of this length may be keys.
const KEY: usize = 20;

/// The text without its secrets.
pub fn redact(text: &str) -> String {
    let text = without_private_keys(text);
    let mut out = String::with_capacity(text.len());
    // What comes next is called a secret.
    let mut named = false;
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        let between =
            if named { matches!(next, '=' | ':' | ' ' | '\t' | '"' | '\'' | '\\' | '>') } else { !is_word(next) };
        if between {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()));
        // A line ends what its name says, and a flag is no value: `--password --stdin`.
        if named && next != '\n' && !word.starts_with("--") {
            // `Authorization: Bearer X`
            if ["bearer", "basic", "token"].contains(&word.to_ascii_lowercase().as_str()) && after.starts_with(' ') {
                out.push_str(word);
                rest = after;
                continue;
            }
            out.push_str(GONE);
            rest = behind_value(rest);
            named = false;
            continue;
        }
        named = is_name(word, after);
        take_word(word, named, &mut out);
        rest = after;
        if let Some(behind) = behind_password(&out, rest) {
            out.push_str(GONE);
            rest = behind;
        }
    }
    out
}

/// Writes a word, or what stands in its place.
fn take_word(word: &str, is_name: bool, out: &mut String) {
    // `NAME=value` in one word; base64 ends in `=`, too.
    match word.split_once('=') {
        _ if is_name => out.push_str(word),
        Some((name, value)) if !value.is_empty() && (is_called_secret(name) || is_secret(value)) => {
            out.push_str(name);
            out.push('=');
            out.push_str(GONE);
        }
        _ if is_secret(word) => out.push_str(GONE),
        _ => out.push_str(word),
    }
}

/// What keys are made of. No dot: names of files would be too long; a JSON web token is three words.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '=' | '.' | '~' | '%')
}

fn is_called_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // What is counted is no secret: `max_tokens`, `token_count`.
    let counted = name.ends_with("tokens") || name.contains("token_");
    NAMES.iter().any(|secret| name.contains(secret)) && !counted
}

/// Whether a word, with what comes behind it, calls the next one a secret: `password: x`, `"token": "x"`, `--api-key x`,
/// `Bearer x`.
fn is_name(word: &str, after: &str) -> bool {
    let bare = word.strip_suffix('=').unwrap_or(word);
    if bare.contains('=') {
        return false;
    }
    let assigned = bare.len() < word.len() || after.trim_start_matches(['"', '\'', '\\', ' ']).starts_with([':', '=']);
    let flag = word.starts_with("--") && after.starts_with(' ');
    let scheme = ["bearer", "basic"].contains(&word.to_ascii_lowercase().as_str()) && after.starts_with(' ');
    let authorization = word.eq_ignore_ascii_case("authorization") && after.starts_with(':');
    (is_called_secret(bare) && (assigned || flag)) || scheme || authorization
}

/// What is behind a value: from the next space or quote on.
fn behind_value(rest: &str) -> &str {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ',' | ';' | '&' | ')' | '}');
    &rest[rest.find(ends).unwrap_or(rest.len())..]
}

/// What is behind the password in `scheme://user:password@host`.
fn behind_password<'a>(out: &str, rest: &'a str) -> Option<&'a str> {
    let user = out.rsplit_once("://")?.1;
    let plain = !user.is_empty() && user.chars().all(|c| is_word(c) && c != '/');
    let password = rest.strip_prefix(':').filter(|_| plain)?;
    let end = password.find(|c: char| c.is_whitespace() || matches!(c, '@' | '/' | '"' | '\''))?;
    password[end..].starts_with('@').then(|| &password[end..])
}

/// Whether a word is a key by its form or by chance.
fn is_secret(word: &str) -> bool {
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
fn without_private_keys(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_known_forms_go() {
        for key in [
            "sk-proj-abcdEFGH1234abcdEFGH1234",
            "sk-ant-api03-AAAAbbbbCCCC1111dddd",
            "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
            "glpat-abcdefghijklmnopqrst",
            "AKIAIOSFODNN7EXAMPLE",
            "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
            "xoxb-123456789012-abcdefGHIJKL",
            "npm_abcdefghijklmnopqrstuvwxyz0123456789",
            "hf_abcdefghijklmnopqrstuvwxyz",
            "SG.abcdefghijklmnop.qrstuvwxyz0123456789",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY",
            "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==",
            "xK9mQ2vL8pR4tW7nB3cY6",
        ] {
            for text in [key.to_string(), format!("use {key}, please"), format!("\"{key}\""), format!("a={key}&b=1")] {
                let redacted = redact(&text);
                assert!(redacted.contains(GONE), "{text}: {redacted}");
                let parts = key.split(['/', '.', '=']).filter(|part| part.len() > 5);
                parts.for_each(|part| assert!(!redacted.contains(part), "{text}: {redacted}"));
            }
        }
    }

    #[test]
    fn what_is_called_a_secret_goes_however_it_looks() {
        for (text, without) in [
            ("export DB_PASSWORD=hunter2", "export DB_PASSWORD=[redacted]"),
            ("password: hunter2\nuser: ann", "password: [redacted]\nuser: ann"),
            ("{\"api_key\": \"hunter2\", \"n\": 1}", "{\"api_key\": \"[redacted]\", \"n\": 1}"),
            ("{\\\"token\\\":\\\"hunter2\\\"}", "{\\\"token\\\":\\\"[redacted]\\\"}"),
            ("login --password hunter2 --user ann", "login --password [redacted] --user ann"),
            ("login --password --stdin", "login --password --stdin"),
            ("PASSWORD=!hunter2# x", "PASSWORD=[redacted] x"),
            ("password:\nnext line", "password:\nnext line"),
            ("please use basic tools", "please use basic [redacted]"),
            ("login --token=hunter2 x", "login --token=[redacted] x"),
            ("MY_SECRET = 'hunter2!#$' # x", "MY_SECRET = '[redacted]' # x"),
            ("curl -H 'Authorization: Bearer hunter2' url", "curl -H 'Authorization: Bearer [redacted]' url"),
            ("curl -H 'Authorization: Basic YW5uOng=' url", "curl -H 'Authorization: Basic [redacted]' url"),
            ("psql postgres://ann:hunter2@db/x", "psql postgres://ann[redacted]@db/x"),
            ("git clone https://u:p%40ss@h.example/r", "git clone https://u[redacted]@h.example/r"),
        ] {
            assert_eq!(redact(text), without);
        }
    }

    #[test]
    fn private_keys_go_whole() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\ndef\n-----END RSA PRIVATE KEY-----";
        assert_eq!(redact(&format!("a\n{key}\nb")), "a\n[redacted]\nb");
        assert_eq!(redact(&format!("a\n{}\nb", key.replace('\n', "\\n"))), "a\n[redacted]\nb");
        assert_eq!(redact("a -----BEGIN OPENSSH PRIVATE KEY-----\nabc"), "a [redacted]");
        assert!(redact("-----BEGIN CERTIFICATE-----\nabc").contains("abc"));
    }

    #[test]
    fn everyday_text_stays() {
        for text in [
            "",
            "echo hello; sleep 0.2",
            "cargo test --lib attribution::tests::joining -- --nocapture",
            "sed -n '1,40p' src/ingest/transcript/decode.rs",
            "/Users/ann/Projects/MyApp2/Sources/ViewController.swift",
            "git log --oneline 3f2a9c4",
            "01a1fbc1-b2d8-74a2-955e-70a1f37fabfe",
            "https://example.com/a/b?c=d&e=f",
            "https://example.com:8080/path",
            "max_tokens: 4096, token_count=12",
            "Übergrößenträger – naïve café, 日本語",
            "the password is asked for later",
            "a_rather_long_function_name_in_snake_case()",
            "ARatherLongTypeNameInCamelCase",
            "tokens",
            "-----",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
