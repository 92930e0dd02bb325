//! Takes out of a text what looks like a secret: known forms of keys, what is called a password, and strings as random as keys are.
//! Rather too much than too little: a commit's hash may go along.
//!
//! - `names`: what a name says of its value, and flags of programs that take secrets
//! - `value`: where a value ends
//! - `keys`: what is a secret by its form
//! - `commands`: programs that take a secret in words of their own

mod commands;
mod keys;
mod names;
#[cfg(test)]
mod tests;
mod value;

use commands::{READERS, of_user, of_words, value_behind_spaces};
use keys::is_secret;
use names::{Name, SETS};
use value::{Value, assigned, head, line, mark, phrase, quoted, tail, value};

/// What stands in the place of a secret.
const GONE: &str = "[redacted]";

/// How an `Authorization` begins.
const SCHEMES: [&str; 7] = ["bearer ", "basic ", "digest ", "token ", "apikey ", "negotiate ", "aws4-hmac-sha256 "];

/// The text without its secrets.
pub fn redact(text: &str) -> String {
    let text = keys::without_private_keys(text);
    let mut scan = Scan {
        text: &text,
        at: 0,
        line: 0,
        before: "",
        flags: None,
        pairs: false,
        out: String::with_capacity(text.len()),
    };
    while scan.step() {}
    scan.out
}

struct Scan<'t> {
    text: &'t str,
    /// How far it is read.
    at: usize,
    /// Where the line began.
    line: usize,
    /// The word before, in the same line.
    before: &'t str,
    /// Flags that take a secret, of the program that this line calls, and whether it may stand right behind them.
    flags: Option<(&'static [&'static str], bool)>,
    /// This line calls a program whose words are names and secrets: `vault kv put x a=b`.
    pairs: bool,
    out: String,
}

/// What keys are made of. No dot: names of files would be too long; a JSON web token is three words.
fn is_word(c: char) -> bool {
    is_name(c) || matches!(c, '+' | '/' | '=' | '~' | '%')
}

/// What names are made of.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

impl<'t> Scan<'t> {
    /// Reads on by a word, or what stands between words. False at the end.
    fn step(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let Some(next) = rest.chars().next() else { return false };
        if let Some(address) = rest.strip_prefix("://") {
            self.keep(3);
            if let Some(found) = userinfo(address) {
                self.take(self.at, found);
            }
        } else if is_word(next) {
            let escaped = self.text[..self.at].ends_with('\\') && matches!(next, 'n' | 'r' | 't');
            match escaped {
                true => self.keep(1),
                false => self.word(rest.find(|c| !is_word(c)).map_or(rest, |end| &rest[..end])),
            }
        } else if let Some(found) = rest.strip_prefix("<<<").filter(|_| self.reads()).map(value_behind_spaces) {
            self.take(self.at + 3, found);
        } else {
            let continued = next == '\n' && self.text[..self.at].ends_with('\\');
            self.keep(next.len_utf8());
            if matches!(next, '\n' | '|' | ';' | '&') && !continued {
                (self.flags, self.pairs) = (None, false);
            }
            if next == '\n' {
                (self.line, self.before) = (self.at, "");
            }
        }
        true
    }

    /// Whether what this line calls reads a secret from its input.
    fn reads(&self) -> bool {
        let called = tail(&self.text[self.line..self.at], 1024);
        READERS.iter().any(|reads| called.contains(reads))
    }

    /// Goes on by so many bytes, which stay.
    fn keep(&mut self, bytes: usize) {
        self.out.push_str(&self.text[self.at..self.at + bytes]);
        self.at += bytes;
    }

    /// Takes the secret away that is found behind this place; what is before it stays.
    fn take(&mut self, place: usize, found: Value) {
        self.keep(place + found.before - self.at);
        self.out.push_str(if found.secret > 0 { GONE } else { "" });
        self.at += found.secret;
    }

    fn word(&mut self, word: &'t str) {
        let (start, end) = (self.at, self.at + word.len());
        let after = &self.text[end..];
        self.flags = names::flags(word, after).or(self.flags);
        self.pairs |= word.rsplit('/').next() == Some("vault") && after.starts_with(char::is_whitespace);
        if let Some((offset, found)) = self.of_flag(word, after).or_else(|| of_words(word, self.before, after)) {
            self.take(start + offset, found);
        } else if !self.named(word, after) {
            self.plain(word);
        }
        self.before = word;
    }

    /// A word, or what stands in its place.
    fn plain(&mut self, word: &str) {
        // `NAME=value` in one word; base64 ends in `=`, too.
        match word.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(value) => {
                self.out.push_str(name);
                self.out.push('=');
                self.out.push_str(GONE);
            }
            _ if is_secret(word) => self.out.push_str(GONE),
            _ => self.out.push_str(word),
        }
        self.at += word.len();
    }

    /// `mysql -px`, `sshpass -p x`, `curl -u ann:x`.
    fn of_flag(&self, word: &str, after: &str) -> Option<(usize, Value)> {
        if !word.starts_with('-') {
            return None;
        }
        let right = |flag: &&'static str, attached: bool| {
            word == *flag || attached && !word.starts_with("--") && word.starts_with(*flag)
        };
        let of_program =
            self.flags.and_then(|(flags, attached)| flags.iter().copied().find(|flag| right(flag, attached)));
        let Some(flag) = of_program else {
            let flag = names::user_flag(word, after, self.flags.map(|(flags, _)| flags))?;
            let behind = &self.text[self.at + flag.len()..];
            let spaces = behind.len() - behind.trim_start_matches([' ', '=']).len();
            let found = of_user(&behind[spaces..])?;
            return Some((flag.len(), Value { before: spaces + found.before, ..found }));
        };
        let behind = &self.text[self.at + flag.len()..];
        let spaces = behind.len() - behind.trim_start_matches([' ', '=']).len();
        let next = &behind[spaces..];
        let found = value(next);
        (!next.starts_with(['-', '\n']) && found.secret > 0)
            .then_some((flag.len(), Value { before: spaces + found.before, ..found }))
    }

    /// Looks for a name in the word whose value is a secret, and takes that away.
    fn named(&mut self, word: &'t str, after: &str) -> bool {
        let start = self.at;
        let mut from = 0;
        while let Some(begin) = word[from..].find(is_name) {
            let begin = from + begin;
            let end = word[begin..].find(|c| !is_name(c)).map_or(word.len(), |end| begin + end);
            let name = &word[begin..end];
            let by_equals = word[end..].starts_with('=');
            if by_equals || end == word.len() {
                let of_pair = by_equals && self.pairs && !name.starts_with('-');
                let meaning = if of_pair { Name::Secret } else { names::meaning(name, by_equals) };
                if meaning != Name::Plain
                    && let Some(found) = self.of_name(start + begin, name, meaning)
                    && !(name.eq_ignore_ascii_case("key") && self.is_name_itself(start + end, found))
                {
                    if begin > 0 {
                        self.plain(&word[..begin]);
                    }
                    self.take(start + end, found);
                    self.annotated(found);
                    return true;
                }
            }
            from = end;
        }
        // `Bearer x` wherever it stands.
        let scheme = ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
        if scheme && after.starts_with(' ') {
            let found = value(&after[1..]);
            self.take(start + word.len(), Value { before: 1 + found.before, ..found });
            return true;
        }
        false
    }

    /// In `key="password" value="x"` the first value is a name.
    fn is_name_itself(&self, place: usize, found: Value) -> bool {
        let said = &self.text[place + found.before..][..found.secret];
        said.chars().all(is_name) && names::meaning(said, false) != Name::Plain
    }

    /// In `password: str = "x"` the first value was a type.
    fn annotated(&mut self, found: Value) {
        let rest = &self.text[self.at..];
        if let Some(signs) = assigned(rest).filter(|signs| found.secret > 0 && rest[..*signs].contains('=')) {
            let found = value(&rest[signs..]);
            self.take(self.at, Value { before: signs + found.before, ..found });
        }
    }

    /// The secret behind a name that ends at the given place.
    fn of_name(&self, start: usize, name: &str, meaning: Name) -> Option<Value> {
        let after = &self.text[start + name.len()..];
        if let Some(signs) = assigned(after) {
            return self.of_assigned(start, after, signs, meaning);
        }
        if let Some(found) = element(name, after).or_else(|| neighbour(after)) {
            return Some(found);
        }
        let next = after.strip_prefix([' ', '\t'])?.trim_start_matches([' ', '\t']);
        // The next line, if this one ends in a backslash; as it is, or as JSON has it.
        let joined = next.starts_with('\\').then(|| next.trim_start_matches('\\'));
        let joined = joined.and_then(|next| next.strip_prefix(['\n', 'n'])).map(str::trim_start);
        let next = joined.unwrap_or(next);
        let gap = after.len() - next.len();
        let found = value(next);
        let found_behind = Value { before: gap + found.before, ..found };
        let flag = name.starts_with('-');
        if flag && (next.starts_with('-') || next.starts_with("<<<")) {
            return None;
        }
        let set = SETS.contains(&self.before);
        let said = next.strip_prefix("is ").map(|said| (gap + 3, value(said)));
        if let Some((gap, found)) = said.filter(|(_, found)| is_mixed(&next[3 + found.before..][..found.secret])) {
            return Some(Value { before: gap + found.before, ..found });
        }
        let quoted = next.starts_with(['"', '\'']);
        let netrc = !flag && tail(&self.text[self.line..start], 200).contains("login ");
        let taken = flag || set || quoted || netrc || is_mixed(&next[found.before..][..found.secret]);
        (taken && found.secret > 0).then_some(found_behind)
    }

    fn of_assigned(&self, start: usize, after: &str, signs: usize, meaning: Name) -> Option<Value> {
        let behind = &after[signs..];
        let scheme = SCHEMES.iter().find(|scheme| head(behind, scheme.len()).eq_ignore_ascii_case(scheme));
        let scheme = scheme.map_or(0, |scheme| scheme.len());
        let behind_scheme = &behind[scheme..];
        let found = value(behind_scheme);
        let found = Value { before: signs + scheme + found.before, ..found };
        let said = &after[found.before..][..found.secret];
        let bare = found.before == signs + scheme && !said.starts_with(['{', '[', '(', '$']);
        let count = |c: char| c.is_ascii_digit() || matches!(c, '.' | '_' | ',');
        if meaning == Name::Count && (said.starts_with(['{', '[', '(']) || said.chars().all(count)) {
            return None;
        }
        if meaning == Name::Line && bare {
            // To the mark that stands before the name, or else the line's end.
            let before = &self.text[self.line..start];
            let outside = before.strip_suffix(['"', '\'']).map(|outside| outside.trim_end_matches('\\'));
            let opened = outside.map(|outside| &before[outside.len()..]);
            let secret = opened.map_or_else(|| line(behind_scheme), |mark| quoted(behind_scheme, mark));
            return (secret > 0).then_some(Value { secret, ..found });
        }
        if !bare || !after[..signs].contains(':') {
            return (found.secret > 0).then_some(found);
        }
        if let Some(secret) = block(behind) {
            return Some(Value { before: signs, secret });
        }
        // Several words may be one: to the end of the line, or of what else is around.
        let first = self.text[self.line..start].chars().all(|c| matches!(c, ' ' | '\t' | '-' | '+'));
        let words = if first { line(behind_scheme) } else { phrase(behind_scheme) };
        (found.secret > 0).then_some(Value { secret: words.max(found.secret), ..found })
    }
}

/// A text of several lines, each of them indented, behind `|` or `>`; as it is, or as JSON has it.
fn block(text: &str) -> Option<usize> {
    let sign = text.len() - text.strip_prefix(['|', '>'])?.trim_start_matches(['-', '+']).len();
    if text[sign..].starts_with("\\n") {
        return Some(text.find('"').unwrap_or_else(|| line(text)));
    }
    let mut end = sign;
    while let Some(next) = text[end..].strip_prefix('\n').filter(|next| next.starts_with([' ', '\t'])) {
        end += 1 + line(next);
    }
    (end > sign).then_some(end)
}

/// Whether a word has letters and digits, as nothing has that is only said.
fn is_mixed(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    word.len() >= 4 && digits > 0 && word.chars().any(char::is_alphabetic)
}

/// The password in `user:password@host`, with its colon, behind `://`; the user may be missing.
fn userinfo(address: &str) -> Option<Value> {
    let near = head(address, 1024);
    let near = &near
        [..near.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')).unwrap_or(near.len())];
    let host_ends = near.find(['/', '?', '#']).unwrap_or(near.len());
    let colon = near[..host_ends].find(':')?;
    // A password may have signs that it should not; a port has none.
    let port = near[colon + 1..host_ends].chars().all(|c| c.is_ascii_digit());
    let at = near[..host_ends].rfind('@').or_else(|| near.rfind('@').filter(|_| !port))?;
    (colon < at).then(|| Value { before: colon, secret: at - colon })
}

/// `<password>x</password>`, `<string name="password">x</string>`, `<key>password</key><string>x</string>`.
fn element(name: &str, after: &str) -> Option<Value> {
    let near = head(after, 1024);
    let (opened, of_pair) = match near.strip_prefix("</") {
        Some(closing) => {
            let closed = 2 + closing.find('>')? + 1;
            let gap =
                near[closed..].len() - near[closed..].trim_start_matches([' ', '\n', '\r', '\t', '\\', 'n']).len();
            (closed + gap + near[closed + gap..].strip_prefix('<')?.find('>')? + 2, true)
        }
        None => (head(near, 200).find(['>', '<', '\n']).filter(|end| near[*end..].starts_with('>'))? + 1, false),
    };
    let content = near[opened..].find('<').unwrap_or(near.len() - opened);
    let closing = near[opened + content..].strip_prefix("</")?;
    let attribute = near[..opened - 1].ends_with(['"', '\'']);
    let same = head(closing, 120).contains(name);
    (content > 0 && (of_pair || attribute || same)).then_some(Value { before: opened, secret: content })
}

/// What stands beside a name: `{"name": "DB_PASSWORD", "value": "x"}`, `getenv("DB_PASSWORD", "x")`, `password("x")`.
fn neighbour(after: &str) -> Option<Value> {
    if let Some(inside) = after.strip_prefix('(') {
        let found = mark(inside).map(|_| value(inside))?;
        return Some(Value { before: 1 + found.before, ..found });
    }
    let near = head(after, 80);
    // Between them are signs, or a line's end as JSON has it.
    let between = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ',' | '-' | '{' | '}' | 'n' | 'r');
    let gap = near.len() - near.trim_start_matches(between).len();
    if head(&near[gap..], 5).eq_ignore_ascii_case("value") {
        let signs = gap + 5 + assigned(&near[gap + 5..])?;
        let found = value(&after[signs..]);
        return (found.secret > 0).then_some(Value { before: signs + found.before, ..found });
    }
    let marked = mark(near)?;
    let comma = near[marked..].strip_prefix(',')?;
    let gap = marked + 1 + comma.len() - comma.trim_start().len();
    mark(&near[gap..])?;
    let found = value(&after[gap..]);
    (found.secret > 0).then_some(Value { before: gap + found.before, ..found })
}
