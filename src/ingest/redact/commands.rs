//! Programs that take a secret in words of their own, and where it stands among them.

use super::value::{Value, head, line, mark, value};

/// What reads a secret from its input: `echo x | docker login --password-stdin`.
pub(super) const READERS: [&str; 6] = ["-stdin", "sudo -S", "passwd", "with-token", "secret", "kinit"];

/// `IDENTIFIED BY 'x'`, `ann:x@tcp(host)`, `echo x | docker login --password-stdin`, `sqlplus ann/x@db`.
pub(super) fn of_words(word: &str, before: &str, after: &str) -> Option<(usize, Value)> {
    if word.eq_ignore_ascii_case("by") && before.eq_ignore_ascii_case("identified") {
        let gap = after.len() - after.trim_start().len();
        mark(&after[gap..])?;
        let found = value(&after[gap..]);
        return Some((word.len(), Value { before: gap + found.before, ..found }));
    }
    if let Some(found) = of_net(word, before, after).or_else(|| of_htpasswd(word, after)) {
        return Some((word.len(), found));
    }
    if before == "sqlplus"
        && let Some(name) = word.find('/')
    {
        return Some((name, Value { before: 0, secret: word.len() - name }));
    }
    if word == "echo" || word == "printf" {
        let called = head(after, 1024);
        let called = &called[..line(called)];
        let (said, reader) = called.split_once('|')?;
        let reads = READERS.iter().any(|reads| reader.contains(reads));
        let secret = said.trim_end().len().saturating_sub(1);
        return (reads && secret > 0).then_some((word.len(), Value { before: 1, secret }));
    }
    let near = head(after, 256);
    let at = near.starts_with(':').then(|| near.find("@tcp(").or_else(|| near.find("@unix(")))??;
    let plain = !near[..at].contains(char::is_whitespace);
    plain.then_some((word.len(), Value { before: 0, secret: at }))
}

/// The words that follow in the line, each with its place; quotations are one word.
fn words(after: &str) -> impl Iterator<Item = (usize, Value, &str)> {
    let near = head(after, 1024);
    let near = &near[..line(near)];
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '|' | ';' | '&');
    let mut at = 0;
    std::iter::from_fn(move || {
        at += near[at..].len() - near[at..].trim_start_matches([' ', '\t']).len();
        let rest = near.get(at..).filter(|rest| !rest.is_empty() && !rest.starts_with(['|', ';', '&']))?;
        let found = match mark(rest) {
            Some(_) => value(rest),
            None => Value { before: 0, secret: rest.find(is_end).unwrap_or(rest.len()) },
        };
        let (place, said) = (at, &rest[found.before..][..found.secret]);
        // With the mark that closes it.
        at += found.before + found.secret;
        at += near[at..].len() - near[at..].trim_start_matches(['"', '\'', '`', '\\']).len();
        (at > place).then_some((place, found, said))
    })
}

/// `net use x: \\host\share PASSWORD /user:ann`, `net user ann PASSWORD /add`.
fn of_net(word: &str, before: &str, after: &str) -> Option<Value> {
    if !before.eq_ignore_ascii_case("net") {
        return None;
    }
    let near = head(after, 1024);
    let near = near[..line(near)].to_ascii_lowercase();
    let is_other = |said: &str| said.starts_with(['\\', '/', '*']) || said.ends_with(':') && said.len() < 3;
    let mut others = words(after).filter(|(_, _, said)| !said.is_empty() && !is_other(said));
    let (place, found, _) = match word {
        "use" if near.contains("\\\\") || near.contains("/user:") => others.next(),
        "user" if near.contains(" /") => others.nth(1),
        _ => None,
    }?;
    Some(Value { before: place + found.before, ..found })
}

/// `htpasswd -nbB ann PASSWORD`, `htpasswd -b FILE ann PASSWORD`.
fn of_htpasswd(word: &str, after: &str) -> Option<Value> {
    if word.rsplit('/').next() != Some("htpasswd") {
        return None;
    }
    // As JSON has it, the line's end is two signs.
    let said: Vec<_> = words(after.split("\\n").next().unwrap_or_default()).collect();
    let given = said.iter().any(|(_, _, said)| said.starts_with('-') && said.contains('b'));
    let (place, found, _) = said.last().filter(|(_, _, said)| given && !said.starts_with('-'))?;
    Some(Value { before: place + found.before, ..*found })
}

/// The password in `ann:x`, `"ann:x"`, `ann:'x'` or `"ann":"x"`, with what parts it from the user.
pub(super) fn of_user(text: &str) -> Option<Value> {
    const SIGNS: [char; 3] = [':', '%', ','];
    if mark(text).is_some() {
        let found = value(text);
        let said = &text[found.before..][..found.secret];
        if let Some(name) = said.find(SIGNS) {
            return Some(Value { before: found.before + name, secret: found.secret - name });
        }
        let end = found.before + found.secret;
        let closed = end + mark(&text[end..])?;
        let password = value(text[closed..].strip_prefix(SIGNS)?);
        return Some(Value { before: closed, secret: 1 + password.before + password.secret });
    }
    let near = head(text, 1024);
    let name = near.find(|c: char| SIGNS.contains(&c) || c.is_whitespace() || matches!(c, '"' | '\'' | '`'))?;
    let password = value(near[name..].starts_with(SIGNS).then(|| &text[name + 1..])?);
    Some(Value { before: name, secret: 1 + password.before + password.secret })
}

/// A value with the spaces before it.
pub(super) fn value_behind_spaces(text: &str) -> Value {
    let spaces = text.len() - text.trim_start_matches([' ', '\t']).len();
    let found = value(&text[spaces..]);
    Value { before: spaces + found.before, ..found }
}
