//! Foreign text made safe for where it is shown.

/// Text for a terminal: control characters, and those that hide or reorder text, are written out.
pub fn terminal_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || hides(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Text for a page: no markup, and what cannot be seen is written out.
pub fn html_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in terminal_text(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Characters that cannot be seen, break lines, or change the order of what can be seen.
fn hides(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

/// Text for a spreadsheet: on one line, and never the start of a formula.
pub fn csv_text(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() || hides(c) { ' ' } else { c }).collect();
    match line.chars().find(|c| *c != ' ' && *c != '\u{a0}') {
        Some('=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}') => format!("'{line}"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_commands() {
        assert_eq!(terminal_text("a\u{1b}]52;c;x\u{7}b"), "a\\u{1b}]52;c;x\\u{7}b");
        assert_eq!(terminal_text("\u{202e}gpj.exe\r\n"), "\\u{202e}gpj.exe\\u{d}\\u{a}");
        assert_eq!(terminal_text("Zürich 東京"), "Zürich 東京");
    }

    #[test]
    fn pages_get_no_markup() {
        let bad = "<script>alert('x')</script> & \"\u{202e}\u{0}";
        let good = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;\\u{202e}\\u{0}";
        assert_eq!(html_text(bad), good);
        assert_eq!(html_text("Zürich 東京"), "Zürich 東京");
    }

    #[test]
    fn spreadsheets_get_no_formulas() {
        for bad in
            ["\u{200b}=1", "\u{2028}=1", "=1+1", "+1", "-1", "@x", " =1", "\u{a0}=1", "\t=1", "\r=1", "\n=1", "＝1"]
        {
            assert!(csv_text(bad).starts_with('\''), "{bad:?}");
            assert!(!csv_text(bad).chars().any(char::is_control), "{bad:?}");
        }
        assert_eq!(csv_text("gpt-5.5"), "gpt-5.5");
        assert_eq!(csv_text("a\n=b"), "a =b");
    }
}
