//! The administrator's rules over what the processes say: for each field the first rule that fits and sets it, then the list
//! of members.

use super::owner::{Shares, percent_decode};
use crate::model::{Day, Matcher, Owner, OwnerField, Rule, Rules, Strength, Subject};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What rules can look at, of one moment of a session. A rule is the administrator's word, so that it may look at claims that
/// alone would not be used.
#[derive(Debug, Default)]
pub(super) struct Subjects<'a> {
    pub attributes: Vec<&'a BTreeMap<String, String>>,
    /// The e-mail address of the login.
    pub login: Option<&'a str>,
    /// Everything but the attributes.
    pub texts: Vec<(Subject, Cow<'a, str>)>,
    /// Whatever anybody claims of team, cost centre, project and user.
    pub claims: [Vec<String>; 4],
}

/// Puts what the rules say over an owner. Returns the teams that share the cost.
pub(super) fn apply(rules: &Rules, subjects: &Subjects<'_>, day: Day, owner: &mut Owner) -> Shares {
    let mut shares = Shares::new();
    let credential = subjects.texts.iter().find(|(subject, _)| *subject == Subject::Credential);
    if let Some(rule) = credential.and_then(|(_, name)| rules.credentials.get(name.as_ref())) {
        let why = format!("credential {}: delivered with its token", rule.name);
        let claims = subjects.claims.each_ref().map(Vec::as_slice);
        Say { rule, why, strength: Strength::Credential, tells_who: true, claims }.over(owner);
    }
    for rule in rules.rules.iter().filter(|rule| rule.days.has(day) && subjects.fit(rule)) {
        let looked: Vec<_> = rule.matchers.iter().map(|m| format!("{} fits {}", m.subject.name(), m.glob)).collect();
        let fits = if looked.is_empty() { "fits everything".to_string() } else { looked.join(", ") };
        let why = format!("rule {}: {fits}", rule.name);
        let tells_who = rule.matchers.iter().any(|m| m.subject == Subject::Credential);
        let say = Say { rule, why, strength: Strength::Rule, tells_who, claims: [&[]; 4] };
        if say.over(owner) {
            shares.clone_from(&rule.shares);
        }
    }
    if let Some(rule) = member(rules, subjects, day, owner) {
        let why = format!("{}: {} is a member", rule.name, rule.user.as_deref().unwrap_or("who"));
        Say { rule, why, strength: Strength::Rule, tells_who: true, claims: [&[]; 4] }.over(owner);
    }
    shares
}

/// The row of the list of members for a day. Who it is: whom a rule says, else the login, else the user; the first of these
/// that the list has.
fn member<'r>(rules: &'r Rules, subjects: &Subjects<'_>, day: Day, owner: &Owner) -> Option<&'r Rule> {
    if rules.members.is_empty() {
        return None;
    }
    let user = Some(owner.user.value.as_str());
    let by_rule = user.filter(|_| owner.user.strength >= Strength::Rule);
    let people = [by_rule, subjects.login, user.filter(|_| owner.user.is_attributed())];
    let rows = people.into_iter().flatten().find_map(|who| rules.members.get(&who.to_lowercase()))?;
    rows.iter().find(|row| row.days.has(day))
}

/// What a rule that fits says, and why.
struct Say<'r> {
    rule: &'r Rule,
    why: String,
    strength: Strength,
    /// It says who somebody is, so that another claim is a contradiction. Other rules often translate what is claimed.
    tells_who: bool,
    /// What is claimed of team, cost centre, project and user besides what the fields say.
    claims: [&'r [String]; 4],
}

impl Say<'_> {
    /// Sets what no rule before it has set. Returns whether that is the team.
    fn over(&self, owner: &mut Owner) -> bool {
        let rule = self.rule;
        let mut contradicted = false;
        let shared = || rule.shares.iter().map(|(team, _)| team.as_str()).collect::<Vec<_>>().join("+");
        let team = rule.team.clone().or_else(|| (!rule.shares.is_empty()).then(shared));
        let [of_team, of_cost_centre, of_project, of_user] = self.claims;
        let is_set = self.set(&mut owner.team, team.as_ref(), of_team, &mut contradicted);
        self.set(&mut owner.cost_centre, rule.cost_centre.as_ref(), of_cost_centre, &mut contradicted);
        self.set(&mut owner.project, rule.project.as_ref(), of_project, &mut contradicted);
        self.set(&mut owner.user, rule.user.as_ref(), of_user, &mut contradicted);
        for (name, value) in &rule.labels {
            let unset = || OwnerField::unattributed("no rule sets it");
            let label = owner.labels.entry(name.clone()).or_insert_with(unset);
            self.set(label, Some(value), &[], &mut contradicted);
        }
        owner.contradicted |= contradicted;
        is_set
    }

    fn set(&self, field: &mut OwnerField, value: Option<&String>, claims: &[String], contradicted: &mut bool) -> bool {
        let Some(value) = value.filter(|_| field.strength < Strength::Rule) else { return false };
        // Another case is no other name.
        let other = |claim: &&String| claim.to_lowercase() != value.to_lowercase();
        let told = Some(&field.value).filter(|_| field.strength == Strength::FirstHand);
        let lie = told.into_iter().chain(claims).find(other).filter(|_| self.tells_who);
        *contradicted |= lie.is_some();
        let instead = match field.strength {
            Strength::FirstHand | Strength::SecondHand if lie.is_some() => format!("; contradicts {field}"),
            _ if lie.is_some() => format!("; contradicts the claim {}", lie.map_or("", String::as_str)),
            Strength::Unattributed => String::new(),
            _ => format!("; else {field}"),
        };
        let why = format!("{}{instead}", self.why);
        *field = OwnerField { value: value.clone(), strength: self.strength, why };
        true
    }
}

impl Subjects<'_> {
    fn fit(&self, rule: &Rule) -> bool {
        rule.matchers.iter().all(|m| self.fit_one(m))
    }

    fn fit_one(&self, m: &Matcher) -> bool {
        match &m.subject {
            Subject::Attribute(name) => {
                let mut values = self.attributes.iter().filter_map(|all| all.get(name));
                values.any(|v| glob(&m.glob, &percent_decode(v.trim())))
            }
            subject => self.texts.iter().any(|(of, text)| of == subject && glob(&m.glob, text)),
        }
    }

    /// All of them, each once.
    pub fn list(&self) -> Vec<(Subject, String)> {
        let texts = self.texts.iter().map(|(subject, text)| (subject.clone(), text.to_string()));
        let attributes = self.attributes.iter().flat_map(|all| all.iter());
        let attribute = |(name, v): (&String, &String)| (Subject::Attribute(name.clone()), percent_decode(v.trim()));
        let mut all: Vec<_> = texts.chain(attributes.map(attribute)).collect();
        all.sort();
        all.dedup();
        all
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
        Rule { name: name.into(), matchers, team: text(team), project: text(project), ..Rule::default() }
    }

    #[test]
    fn the_first_rule_that_fits_and_sets_a_field_wins() {
        let attributes = BTreeMap::from([("team.id".to_string(), "R%26D".to_string())]);
        let texts = [
            (Subject::Header, "edge"),
            (Subject::Email, "a@acme.com"),
            (Subject::Account, "acc-1"),
            (Subject::Repository, "acme/api"),
            (Subject::Directory, "/w/api"),
            (Subject::Host, "vm-1"),
            (Subject::Environment, "prod"),
            (Subject::Client, "codex_exec"),
            (Subject::Provider, "openai"),
            (Subject::User, "ann"),
        ];
        let texts = texts.into_iter().map(|(subject, text)| (subject, text.into())).collect();
        let subjects = Subjects { attributes: vec![&attributes], texts, ..Subjects::default() };
        let declared =
            |v: &str| OwnerField { value: v.into(), strength: Strength::FirstHand, why: "declared: x".into() };
        let owner = Owner {
            team: declared("sales"),
            cost_centre: OwnerField::unattributed("nothing"),
            project: OwnerField::unattributed("nothing"),
            user: declared("ann"),
            labels: BTreeMap::new(),
            contradicted: false,
        };
        let decided = |rules: &[Rule]| {
            let mut owner = owner.clone();
            let rules = Rules { rules: rules.to_vec(), ..Rules::default() };
            apply(&rules, &subjects, Day::parse("2026-11-21").unwrap(), &mut owner);
            owner
        };
        for (subject, fits, not) in [
            (Subject::Attribute("team.id".into()), "R&D", "R%26D"),
            (Subject::Header, "edge", "edg"),
            (Subject::Email, "*@acme.com", "*@acme.org"),
            (Subject::Account, "acc-?", "acc"),
            (Subject::Repository, "acme/*", "acme"),
            (Subject::Directory, "/w/*", "/x/*"),
            (Subject::Host, "vm-*", "VM-*"),
            (Subject::Environment, "prod", "staging"),
            (Subject::Client, "codex_*", "codex"),
            (Subject::Provider, "openai", "mock"),
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
        assert!(!won.contradicted, "a rule translates what is claimed");
    }
}
