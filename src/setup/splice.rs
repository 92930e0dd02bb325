//! Edits of a text by place, and the difference that they make.

use std::ops::Range;

/// How many unchanged lines are shown around a change.
const CONTEXT: usize = 2;

/// Edits that do not overlap, collected in any order.
#[derive(Debug, Default)]
pub(super) struct Splices(Vec<(Range<usize>, String)>);

impl Splices {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an edit goes up to this place.
    pub(super) fn reaches(&self, end: usize) -> bool {
        self.0.iter().any(|(range, _)| range.end == end)
    }

    pub(super) fn replace(&mut self, range: Range<usize>, with: String) {
        self.0.push((range, with));
    }

    /// Takes out whole lines: those that the range touches.
    pub(super) fn cut_lines(&mut self, text: &str, range: Range<usize>) {
        let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[range.end..].find('\n').map_or(text.len(), |at| range.end + at + 1);
        self.0.push((start..end, String::new()));
    }

    /// The text with all edits made; edits that touch the same bytes are one.
    pub(super) fn apply(mut self, text: &str) -> String {
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        for (range, with) in self.0 {
            if range.start > at {
                out.push_str(&text[at..range.start]);
            }
            out.push_str(&with);
            at = at.max(range.end);
        }
        out + &text[at..]
    }
}

/// The lines in which two texts differ, with a few around them, where one of them only has lines that the other lacks. Of other
/// texts all between the first and the last line that differ, old and new.
pub fn difference(old: &str, new: &str) -> String {
    let (old_lines, new_lines): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let marked = match (extra(&old_lines, &new_lines), extra(&new_lines, &old_lines)) {
        (Some(added), _) => mark(&new_lines, &added, '+'),
        (_, Some(gone)) => mark(&old_lines, &gone, '-'),
        (None, None) => {
            let all = |lines: &[&str], sign: char| lines.iter().map(|l| (sign, (*l).to_string())).collect::<Vec<_>>();
            let head = old_lines.iter().zip(&new_lines).take_while(|(old, new)| old == new).count();
            let (old, new) = (&old_lines[head..], &new_lines[head..]);
            let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
            let (gone, added) = (&old[..old.len() - tail], &new[..new.len() - tail]);
            [all(&old_lines[..head], ' '), all(gone, '-'), all(added, '+'), all(&new[new.len() - tail..], ' ')].concat()
        }
    };
    let near = |at: usize| {
        let around = at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(marked.len());
        marked[around].iter().any(|(sign, _)| *sign != ' ')
    };
    let mut shown = String::new();
    let mut skipped = false;
    for (at, (sign, line)) in marked.iter().enumerate() {
        if near(at) {
            if skipped {
                shown.push_str("  ...\n");
            }
            shown.push_str(format!("{sign} {line}").trim_end());
            shown.push('\n');
        }
        skipped = !near(at);
    }
    shown
}

/// Which lines of the longer text the shorter one lacks; `None` if it is not the longer one with lines left out.
fn extra(short: &[&str], long: &[&str]) -> Option<Vec<bool>> {
    let mut next = short.iter().peekable();
    let extra: Vec<bool> = long.iter().map(|line| next.next_if_eq(&line).is_none()).collect();
    next.peek().is_none().then_some(extra)
}

fn mark(lines: &[&str], changed: &[bool], sign: char) -> Vec<(char, String)> {
    lines.iter().zip(changed).map(|(l, c)| (if *c { sign } else { ' ' }, (*l).to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_short() {
        let old = "a\nb\nc\nd\ne\nf\n";
        assert_eq!(difference(old, "a\nb\nc\nd\ne\nf\n\ng\n"), "  ...\n  e\n  f\n+\n+ g\n");
        assert_eq!(difference("a\nx\nb\n", "a\nb\n"), "  a\n- x\n  b\n");
        assert_eq!(difference("a\n", "b\n"), "- a\n+ b\n");
        assert_eq!(
            difference("1\n2\n3\nx\n4\n5\n6\n", "1\n2\n3\ny\n4\n5\n6\n"),
            "  ...\n  2\n  3\n- x\n+ y\n  4\n  5\n"
        );
        assert_eq!(difference(old, old), "");
    }

    #[test]
    fn edits_are_made_at_once() {
        let text = "one\ntwo\nthree\n";
        let mut splices = Splices::default();
        splices.replace(8..13, "3".to_string());
        splices.cut_lines(text, 5..6);
        assert_eq!(splices.apply(text), "one\n3\n");
    }
}
