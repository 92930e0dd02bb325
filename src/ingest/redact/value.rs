//! Where the value of a name begins and ends.

/// What is looked through for the other end of a quotation or a bracket.
const FAR: usize = 4 * 1024;

/// A value at the beginning of a text: what comes before the secret and stays, and the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value {
    pub before: usize,
    pub secret: usize,
}

/// The first bytes of a text, in whole characters.
pub(super) fn head(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The last bytes of a text, in whole characters.
pub(super) fn tail(text: &str, most: usize) -> &str {
    let mut begin = text.len().saturating_sub(most);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    &text[begin..]
}

/// The length of a quotation mark with the backslashes before it, if a text begins with one.
pub(super) fn mark(text: &str) -> Option<usize> {
    let slashes = text.len() - text.trim_start_matches('\\').len();
    text[slashes..].starts_with(['"', '\'', '`']).then_some(slashes + 1)
}

/// What gives a name its value: a mark that ends the name, and `:`, `=`, `:=`, `=>`, `!=` and the like, with spaces around. Its
/// length, if it is there.
pub(super) fn assigned(after: &str) -> Option<usize> {
    let spaces = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
    let mut at = mark(after).unwrap_or(0);
    // `password[0] =`, `env["TOKEN"] =`
    at += after[at..].starts_with(']') as usize;
    at += spaces(&after[at..]);
    let rest = after[at..].trim_start_matches(['!', '~', '+', '?', '|', '<', '>']);
    let signs = rest.len() - rest.trim_start_matches([':', '=']).len();
    if signs == 0 {
        return None;
    }
    at = after.len() - rest[signs..].trim_start_matches(['>', '~']).len();
    Some(at + spaces(&after[at..]))
}

/// To the end of the line.
pub(super) fn line(text: &str) -> usize {
    text.find(['\n', '\r']).unwrap_or(text.len())
}

/// Words that belong together: to the end of the line, of a quotation, or to a sign.
pub(super) fn phrase(text: &str) -> usize {
    let near = head(text, FAR);
    let ends = |c: char| matches!(c, '\n' | '\r' | '=' | ',' | ';' | '}' | ')' | ']' | '"' | '\'' | '`' | '<' | '\\');
    near.find(ends).unwrap_or(near.len())
}

/// The value at the beginning of a text: quoted, in brackets, or a word.
pub(super) fn value(text: &str) -> Value {
    // `b"..."`, `$'...'`, `Some("...")` and `env("...")` are quotations as well.
    let prefix =
        head(text, 24).find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '@' | '$' | '&' | '_' | ':' | '.')));
    let prefix = prefix.unwrap_or(0);
    let open = prefix + (prefix > 0 && text[prefix..].starts_with('(')) as usize;
    if let Some(mark) = mark(&text[open..]).filter(|_| open == 0 || open > prefix || prefix < 3) {
        let (before, rest) = (open + mark, &text[open + mark..]);
        return Value { before, secret: quoted(rest, &text[open..before]) };
    }
    let bracket = text.starts_with("${") as usize + text.starts_with("$(") as usize;
    if text[bracket..].starts_with(['{', '[', '(']) {
        return Value { before: 0, secret: bracketed(text) };
    }
    Value { before: 0, secret: word(text) }
}

/// To the end of a quotation that has begun with this mark, with what is joined to it: `'a'"b"c`. Without an end, the line.
pub(super) fn quoted(text: &str, mark: &str) -> usize {
    let (slashes, quote) = (mark.len() - 1, &mark[mark.len() - 1..]);
    let near = head(text, FAR);
    // `"""x"""`
    if let Some(inside) = near.strip_prefix(mark).and_then(|rest| rest.strip_prefix(mark)) {
        let end = inside.find(&mark.repeat(3)).unwrap_or_else(|| line(inside));
        return 2 * mark.len() + end;
    }
    let mut at = 0;
    while let Some(found) = near[at..].find(quote) {
        let end = at + found;
        let run = end - near[..end].trim_end_matches('\\').len();
        // A mark in the text has more backslashes than those around it, or an odd number where those have none.
        let closes = if slashes > 0 { run <= slashes } else { run == 0 || quote == "\"" && run.is_multiple_of(2) };
        let behind = &near[end + 1..];
        let joined = slashes == 0
            && (behind.starts_with(['"', '\''])
                || behind.starts_with("\\\"'")
                || behind.starts_with(char::is_alphanumeric));
        match closes {
            true if joined || behind.starts_with("\\''") => {
                return end + 1 + value_end(behind, text.len() - end - 1);
            }
            true => return end - run.min(slashes),
            false => at = end + 1,
        }
    }
    line(text)
}

/// The end of what is joined to a quotation.
fn value_end(behind: &str, most: usize) -> usize {
    behind.find(char::is_whitespace).unwrap_or(behind.len()).min(most)
}

/// To the bracket that ends what the first one began; without one, as far as is looked.
fn bracketed(text: &str) -> usize {
    let near = head(text, FAR);
    let mut depth = 0;
    for (at, c) in near.char_indices() {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => {
                depth -= 1;
                if depth <= 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    near.len()
}

/// To the end of a word: a space, a mark, or a sign that ends words where something else follows it.
fn word(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let last = next
            .is_none_or(|next| next.is_whitespace() || matches!(next, '"' | '\'' | '\\' | ',' | ';' | ')' | '}' | ']'));
        match c {
            _ if c.is_whitespace() => return at,
            '"' | '\'' | '`' | ';' | '&' | '<' if at > 0 => return at,
            ',' | ')' | '}' | ']' if last => return at,
            // `\ ` belongs to the word; `\n`, as it is written in JSON, does not.
            '\\' if next.is_none_or(|next| matches!(next, '"' | '\'' | 'n' | 'r' | 't' | '\\')) => return at,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    text.len()
}
