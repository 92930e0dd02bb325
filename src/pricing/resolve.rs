//! From the name a source gives to a model of the book, by listed names and explicit rules; never by likeness.

use crate::model::Day;

/// A name that was found, with the rules that led there (`None`: it is the listed name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) name: &'a str,
    pub(super) by: Option<String>,
}

/// Prefixes that providers put before OpenAI's names, longest first, with what the reader should know.
const PREFIXES: [(&str, &str); 5] = [
    ("global.openai.", "Bedrock global"),
    ("us.openai.", "Bedrock in-region, which costs more than the list"),
    ("in.openai.", "Bedrock in-region, which costs more than the list"),
    ("openai.", "Bedrock"),
    ("openai/", "router"),
];

/// Tries the rules in order: exact, alias, provider prefix, dated snapshot, then the same without case and outer space.
/// `listed` finds a model's own name; `alias` finds what an alias stands for.
pub(super) fn resolve<'a>(
    raw: &str,
    listed: impl Fn(&str) -> Option<&'a str>,
    alias: impl Fn(&str) -> Option<&'a str>,
) -> Option<Found<'a>> {
    let plain = raw.trim().to_ascii_lowercase();
    [raw, &plain].into_iter().find_map(|name| by_rules(name, &listed, &alias)).map(|found| {
        let by = found.by.or_else(|| (raw != found.name).then(|| format!("{} in another spelling", found.name)));
        Found { by, ..found }
    })
}

fn by_rules<'a>(
    name: &str,
    listed: &impl Fn(&str) -> Option<&'a str>,
    alias: &impl Fn(&str) -> Option<&'a str>,
) -> Option<Found<'a>> {
    let lookup = |name: &str| {
        let exact = listed(name).map(|n| (n, None));
        exact.or_else(|| alias(name).map(|n| (n, Some(format!("alias of {n}")))))
    };
    if let Some((name, by)) = lookup(name) {
        return Some(Found { name, by });
    }
    let (prefix, bare) = strip_prefix(name);
    let snapshot = strip_date(bare);
    let (name, by, dated) = match lookup(bare) {
        Some((name, by)) => (name, by, false),
        None => lookup(snapshot?).map(|(name, by)| (name, by, true))?,
    };
    let mut steps: Vec<String> = prefix.map(|p| format!("{} name of {name}", p.1)).into_iter().collect();
    if dated {
        steps.push(format!("dated snapshot of {name}"));
    }
    steps.extend(by);
    Some(Found { name, by: Some(steps.join("; ")) })
}

fn strip_prefix(name: &str) -> (Option<&'static (&'static str, &'static str)>, &str) {
    let found = PREFIXES.iter().find_map(|p| name.strip_prefix(p.0).map(|rest| (Some(p), rest)));
    found.unwrap_or((None, name))
}

/// The name without `-YYYY-MM-DD`, if it ends in a real day.
pub(super) fn strip_date(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(11)?;
    let (base, date) = name.split_at_checked(at)?;
    date.strip_prefix('-').and_then(Day::parse).map(|_| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(raw: &str) -> Option<(&'static str, Option<String>)> {
        let names = ["gpt-6.1-sol", "gpt-5", "gpt-5.6-sol"];
        let listed = |n: &str| names.into_iter().find(|m| *m == n);
        resolve(raw, listed, |n| (n == "gpt-5.6").then_some("gpt-5.6-sol")).map(|f| (f.name, f.by))
    }

    fn rule(name: &'static str, by: &str) -> Option<(&'static str, Option<String>)> {
        Some((name, Some(by.to_string())))
    }

    #[test]
    fn every_rule_is_named() {
        assert_eq!(found("gpt-5"), Some(("gpt-5", None)));
        assert_eq!(found("gpt-5.6"), rule("gpt-5.6-sol", "alias of gpt-5.6-sol"));
        assert_eq!(found("openai/gpt-5"), rule("gpt-5", "router name of gpt-5"));
        assert_eq!(found("openai.gpt-5"), rule("gpt-5", "Bedrock name of gpt-5"));
        assert_eq!(found("global.openai.gpt-5"), rule("gpt-5", "Bedrock global name of gpt-5"));
        assert!(found("us.openai.gpt-5").unwrap().1.unwrap().contains("costs more"));
        assert!(found("in.openai.gpt-5").unwrap().1.unwrap().contains("costs more"));
        assert_eq!(found("gpt-6.1-sol-2026-09-29"), rule("gpt-6.1-sol", "dated snapshot of gpt-6.1-sol"));
        assert_eq!(found(" GPT-5\n"), rule("gpt-5", "gpt-5 in another spelling"));
        assert_eq!(
            found("OpenAI/GPT-5.6-2026-07-09"),
            rule("gpt-5.6-sol", "router name of gpt-5.6-sol; dated snapshot of gpt-5.6-sol; alias of gpt-5.6-sol")
        );
    }

    #[test]
    fn likeness_is_no_rule() {
        for name in [
            "",
            " ",
            "gpt",
            "gpt-5-",
            "gpt-5-pro",
            "gpt-6.1-sol-2026-13-01",
            "gpt-6.1-sol-2026-9-29",
            "gpt-6.1-sol-20260929",
            "gpt-6.1-sol2026-09-29",
            "-2026-09-29",
            "openai/",
            "us.gpt-5",
            "azure/gpt-5",
            "openai/openai/gpt-5",
            "gpt-5é-2026-01-0",
            "gpt-5-2026-01-01-2026-01-02",
        ] {
            assert_eq!(found(name), None, "{name:?}");
        }
    }
}
