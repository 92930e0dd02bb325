//! The administrator's rules over what the processes say: for each field the first rule that fits and sets it.

use crate::model::{Matcher, Owner, OwnerField, Rule, Strength, Subject};
use std::collections::BTreeMap;

/// What rules can look at, of one moment of a session. A rule is the administrator's word, so that it may look at claims that
/// alone would not be used.
#[derive(Debug, Default)]
pub(super) struct Subjects<'a> {
    pub attributes: Vec<&'a BTreeMap<String, String>>,
    pub header: Option<&'a str>,
    pub emails: Vec<&'a str>,
    pub repository: Option<&'a str>,
    pub directories: Vec<&'a str>,
}

/// Puts what the rules say over an owner.
pub(super) fn apply(rules: &[Rule], subjects: &Subjects<'_>, owner: &mut Owner) {
    let user = owner.user.is_attributed().then(|| owner.user.value.clone());
    let fits = |rule: &&Rule| rule.matchers.iter().all(|m| subjects.fit(m, user.as_deref()));
    for rule in rules.iter().filter(fits) {
        let Owner { team, cost_centre, project, .. } = &mut *owner;
        set(team, rule, rule.team.as_ref());
        set(cost_centre, rule, rule.cost_centre.as_ref());
        set(project, rule, rule.project.as_ref());
    }
}

fn set(field: &mut OwnerField, rule: &Rule, value: Option<&String>) {
    let Some(value) = value.filter(|_| field.strength < Strength::Rule) else { return };
    let looked: Vec<String> = rule.matchers.iter().map(|m| format!("{} fits {}", m.subject.name(), m.glob)).collect();
    let fits = if looked.is_empty() { "fits everything".to_string() } else { looked.join(", ") };
    let instead = if field.strength > Strength::Unattributed { format!("; else {field}") } else { String::new() };
    let why = format!("rule {}: {fits}{instead}", rule.name);
    *field = OwnerField { value: value.clone(), strength: Strength::Rule, why };
}

impl Subjects<'_> {
    fn fit(&self, m: &Matcher, user: Option<&str>) -> bool {
        let any = |texts: &[&str]| texts.iter().any(|t| glob(&m.glob, t));
        match &m.subject {
            Subject::Attribute(name) => self
                .attributes
                .iter()
                .filter_map(|all| all.get(name))
                .any(|v| glob(&m.glob, &super::owner::percent_decode(v.trim()))),
            Subject::Header => any(self.header.as_slice()),
            Subject::Email => any(&self.emails),
            Subject::Repository => any(self.repository.as_slice()),
            Subject::Directory => any(&self.directories),
            Subject::User => any(user.as_slice()),
        }
    }
}

/// Whether a text is what a pattern describes: `*` is any text, `?` any one character, all else itself.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut p, mut t) = (pattern.chars(), text.chars());
    // Where to go on if the last star must take one character more.
    let mut again = None;
    loop {
        let (mut p_next, mut t_next) = (p.clone(), t.clone());
        match (p_next.next(), t_next.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                again = Some((p_next.clone(), t.clone()));
                p = p_next;
            }
            (Some(a), Some(b)) if a == '?' || a == b => (p, t) = (p_next, t_next),
            _ => {
                let Some((after_star, mut rest)) = again.take() else { return false };
                if rest.next().is_none() {
                    return false;
                }
                (p, t) = (after_star.clone(), rest.clone());
                again = Some((after_star, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_texts() {
        let yes = [
            ("acme/*", "acme/api"),
            ("*", ""),
            ("**", "x"),
            ("a?c", "aéc"),
            ("*api*", "acme/api-gateway"),
            ("a*b*c", "aXbXbXc"),
            ("*.py", "a.py.py"),
            ("", ""),
            ("[x]", "[x]"),
        ];
        for (pattern, text) in yes {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        let no = [
            ("acme/*", "Acme/api"),
            ("acme", "acme/api"),
            ("?", ""),
            ("a?", "a"),
            ("a*b", "abc"),
            ("", "x"),
            ("*a*b", "bbba"),
            ("[x]", "x"),
        ];
        for (pattern, text) in no {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
        assert!(!glob(&"a*".repeat(40), &format!("{}b", "ab".repeat(39))));
    }

    fn rule(name: &str, matchers: &[(Subject, &str)], team: Option<&str>, project: Option<&str>) -> Rule {
        let matcher = |(subject, glob): &(Subject, &str)| Matcher { subject: subject.clone(), glob: glob.to_string() };
        let text = |t: Option<&str>| t.map(str::to_string);
        let matchers = matchers.iter().map(matcher).collect();
        Rule { name: name.into(), matchers, team: text(team), cost_centre: None, project: text(project) }
    }

    #[test]
    fn the_first_rule_that_fits_and_sets_a_field_wins() {
        let attributes = BTreeMap::from([("team.id".to_string(), "R%26D".to_string())]);
        let subjects = Subjects {
            attributes: vec![&attributes],
            header: Some("edge"),
            emails: vec!["a@acme.com"],
            repository: Some("acme/api"),
            directories: vec!["/w/api"],
        };
        let declared =
            |v: &str| OwnerField { value: v.into(), strength: Strength::FirstHand, why: "declared: x".into() };
        let owner = Owner {
            team: declared("sales"),
            cost_centre: OwnerField::unattributed("nothing"),
            project: OwnerField::unattributed("nothing"),
            user: declared("ann"),
        };
        let decided = |rules: &[Rule]| {
            let mut owner = owner.clone();
            apply(rules, &subjects, &mut owner);
            owner
        };
        for (subject, fits, not) in [
            (Subject::Attribute("team.id".into()), "R&D", "R%26D"),
            (Subject::Header, "edge", "edg"),
            (Subject::Email, "*@acme.com", "*@acme.org"),
            (Subject::Repository, "acme/*", "acme"),
            (Subject::Directory, "/w/*", "/x/*"),
            (Subject::User, "a?n", "bob"),
        ] {
            let of = |glob| decided(&[rule("1", &[(subject.clone(), glob)], Some("won"), None)]).team.value;
            assert_eq!((of(fits).as_str(), of(not).as_str()), ("won", "sales"), "{subject:?}");
        }
        let both = [(Subject::Header, "edge"), (Subject::User, "bob")];
        assert_eq!(decided(&[rule("1", &both, Some("won"), None)]).team.value, "sales", "all must fit");
        let api = [(Subject::Repository, "acme/*")];
        let rules = [
            rule("1", &[(Subject::User, "bob")], Some("bobs"), Some("bobs")),
            rule("api", &api, None, Some("api")),
            rule("3", &[], Some("rest"), Some("rest")),
        ];
        let won = decided(&rules);
        assert_eq!([won.team.value.as_str(), &won.project.value], ["rest", "api"]);
        assert_eq!(won.project.why, "rule api: repository fits acme/*");
        assert_eq!(won.team.why, "rule 3: fits everything; else sales (declared: x)");
        assert_eq!((won.team.strength, won.cost_centre.is_attributed()), (Strength::Rule, false));
    }
}
