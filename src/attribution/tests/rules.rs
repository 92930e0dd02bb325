//! The administrator's word: which rule wins, on which days, and whom the list of members knows.

use super::*;
use crate::model::{Day, Days, Matcher, Owner, Rule, Rules, Strength, Subject};
use proptest::prelude::*;
use std::collections::BTreeMap;

const DAY_MS: i64 = 86_400_000;

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn days(from: Option<&str>, to: Option<&str>) -> Days {
    Days { from: from.map(day), to: to.map(day) }
}

fn with_rules(rules: Rules) -> Options {
    Options { rules, ..Options::default() }
}

/// A row of the list of members.
fn row(line: u32, email: &str, team: &str, days: Days) -> Rule {
    let (name, team, user) = (format!("members.csv line {line}"), Some(team.into()), Some(email.into()));
    Rule { name, team, user, days, ..Rule::default() }
}

fn members(rows: Vec<Rule>) -> Rules {
    let mut members: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    for row in rows {
        members.entry(row.user.clone().unwrap().to_lowercase()).or_default().push(row);
    }
    Rules { members, ..Rules::default() }
}

/// A session with one response at each of these moments, of a process that says this of itself.
fn told(service: &str, email: Option<&str>, attributes: &[(&str, &str)], moments: &[i64]) -> Vec<Observation> {
    let t = thread(1);
    let attributes = attributes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let (service, email, host) = (Some(service.to_string()), email.map(str::to_string), Some("vm-1".to_string()));
    let said = Context { id: 1, service, email, host, attributes, ..Context::default() };
    let (cwd, git_remote) = (Some("/w/api".to_string()), Some("git@github.com:acme/api.git".to_string()));
    let (originator, provider) = (Some("codex_exec".to_string()), Some("OpenAI".to_string()));
    let head = Meta { cwd, git_remote, originator, provider, source: Some("exec".into()), ..Meta::default() };
    let mut all = vec![context(SourceKind::Otlp, &t, said), meta(&t, head)];
    for (i, ms) in moments.iter().enumerate() {
        all.push(tur(&t, &turn(*ms), &format!("r{i}"), *ms, 5 + i as u64));
        all.push(otlp(&t, ms + 1, 5 + i as u64));
    }
    all
}

/// Milliseconds on the tests' clock of a moment.
fn ms(text: &str) -> i64 {
    Timestamp::parse_rfc3339(text).unwrap().0 / 1_000_000 - BASE
}

fn owners(all: &[Observation], rules: Rules) -> Vec<Owner> {
    sessions(all, &with_rules(rules)).remove(0).responses.into_iter().map(|r| r.owner).collect()
}

fn teams(all: &[Observation], rules: Rules) -> Vec<String> {
    owners(all, rules).into_iter().map(|o| o.team.value).collect()
}

#[test]
fn rules_hold_from_midnight_to_midnight_utc() {
    let moments =
        ["2026-11-21T23:59:59.999Z", "2026-11-22T00:00:00Z", "2026-11-22T23:59:59.999Z", "2026-11-23T00:00:00Z"];
    let all = told("codex_exec", None, &[("team", "own")], &moments.map(ms));
    let rule = |days| Rule { name: "r".into(), days, team: Some("dated".into()), ..Rule::default() };
    for (from, to, expected) in [
        (Some("2026-11-22"), Some("2026-11-22"), ["own", "dated", "dated", "own"]),
        (Some("2026-11-22"), None, ["own", "dated", "dated", "dated"]),
        (None, Some("2026-11-22"), ["dated", "dated", "dated", "own"]),
        (None, Some("2026-11-20"), ["own"; 4]),
        (None, None, ["dated"; 4]),
    ] {
        let rules = Rules { rules: vec![rule(days(from, to))], ..Rules::default() };
        assert_eq!(teams(&all, rules), expected, "{from:?} {to:?}");
    }
}

#[test]
fn who_moves_takes_only_the_days_after_along() {
    let moments = ["2026-11-10T12:00:00Z", "2026-11-15T23:59:59.999Z", "2026-11-16T00:00:00Z", "2026-11-30T08:00:00Z"];
    let all = told("codex-app-server", Some("Ann@Acme.com"), &[], &moments.map(ms));
    let list = members(vec![
        row(2, "ann@acme.com", "platform", days(None, Some("2026-11-15"))),
        row(3, "ann@acme.com", "search", days(Some("2026-11-16"), Some("2026-11-29"))),
    ]);
    let owners = owners(&all, list);
    let seen: Vec<_> = owners.iter().map(|o| (o.team.value.as_str(), o.user.value.as_str())).collect();
    let (member, gone) = ("ann@acme.com", ("unattributed", "Ann@Acme.com"));
    assert_eq!(seen, [("platform", member), ("platform", member), ("search", member), gone]);
    assert_eq!(owners[2].team.why, "members.csv line 3: ann@acme.com is a member");
    assert_eq!((owners[2].team.strength, owners[2].contradicted), (Strength::Rule, false));
}

#[test]
fn a_claim_that_the_list_contradicts_is_told_and_not_believed() {
    let list =
        || members(vec![row(2, "ann@x.y", "search", Days::default()), row(3, "eve@x.y", "gold", Days::default())]);
    let of = |service: &str, attributes: &[(&str, &str)]| {
        let o = owners(&told(service, Some("ann@x.y"), attributes, &[0]), list()).remove(0);
        (o.team.value, o.contradicted, o.team.why)
    };
    let (team, contradicted, why) = of("codex_exec", &[("team", "gold")]);
    assert_eq!((team.as_str(), contradicted), ("search", true));
    assert_eq!(why, "members.csv line 2: ann@x.y is a member; contradicts gold (declared: team in the telemetry)");
    assert!(!of("codex_exec", &[("team", "Search")]).1, "the same in another case");
    assert!(!of("codex_exec", &[]).1);
    let (team, contradicted, why) = of("codex-app-server", &[("team", "gold")]);
    assert_eq!((team.as_str(), contradicted), ("search", false), "a daemon speaks for others anyway");
    assert!(why.contains("claims gold"), "{why}");
    // To say that one is somebody else helps nobody: the login counts.
    let mut all = told("codex_exec", Some("ann@x.y"), &[], &[0]);
    let attributes = [("user.email".to_string(), "eve@x.y".to_string())].into();
    all.push(context(SourceKind::Hook, &thread(1), Context { id: 2, attributes, ..Context::default() }));
    let s = Sighting { ctx: 2, turn: Some(turn(0)), ..Sighting::default() };
    all.push(sighting(SourceKind::Hook, &thread(1), 0, s));
    let o = owners(&all, list()).remove(0);
    assert_eq!((o.team.value.as_str(), o.user.value.as_str(), o.contradicted), ("search", "ann@x.y", true));
    // A rule that uses a claim has believed it.
    let rule = Rule { team: Some("bronze".into()), ..Rule::default() };
    let rules = Rules { rules: vec![rule], ..list() };
    let o = owners(&told("codex_exec", Some("ann@x.y"), &[("team", "gold")], &[0]), rules).remove(0);
    assert_eq!((o.team.value.as_str(), o.contradicted), ("bronze", false));
}

#[test]
fn a_rule_may_say_who_it_is() {
    let matchers = vec![Matcher { subject: Subject::Host, glob: "vm-*".into() }];
    let rule = Rule { matchers, user: Some("ANN@x.y".into()), ..Rule::default() };
    let rules = Rules { rules: vec![rule], ..members(vec![row(2, "ann@x.y", "search", Days::default())]) };
    let o = owners(&told("codex_exec", Some("other@x.y"), &[], &[0]), rules).remove(0);
    assert_eq!((o.team.value.as_str(), o.user.value.as_str()), ("search", "ANN@x.y"));
}

#[test]
fn shares_are_a_team_and_the_first_of_both_wins() {
    let shares = vec![("platform".to_string(), 2), ("search".to_string(), 1)];
    let shared = Rule { name: "s".into(), shares: shares.clone(), ..Rule::default() };
    let alone = Rule { name: "a".into(), team: Some("alone".into()), ..Rule::default() };
    let all = told("codex_exec", Some("ann@x.y"), &[], &[0]);
    for (rules, team, expected) in
        [(vec![shared.clone(), alone.clone()], "platform+search", shares), (vec![alone, shared], "alone", vec![])]
    {
        let rules = Rules { rules, ..members(vec![row(2, "ann@x.y", "gold", Days::default())]) };
        let r = sessions(&all, &with_rules(rules)).remove(0).responses.remove(0);
        assert_eq!((r.owner.team.value.as_str(), r.shares), (team, expected));
    }
}

#[test]
fn the_first_of_the_names_of_an_environment_counts() {
    let rule = |glob: &str| {
        let matchers = vec![Matcher { subject: Subject::Environment, glob: glob.into() }];
        Rules { rules: vec![Rule { matchers, team: Some("fits".into()), ..Rule::default() }], ..Rules::default() }
    };
    let all = told("codex_exec", None, &[("env", "dev"), ("deployment.environment", "pr%6Fd")], &[0]);
    assert_eq!((teams(&all, rule("prod"))[0].as_str(), teams(&all, rule("dev"))[0].as_str()), ("fits", "unattributed"));
    assert_eq!(teams(&told("codex_exec", None, &[("env", "dev")], &[0]), rule("dev")), ["fits"]);
}

/// What a rule of the property may look at, and whether that fits the session of the property.
const LOOKS: [(Subject, &str, bool); 12] = [
    (Subject::Repository, "acme/*", true),
    (Subject::Repository, "acme/web", false),
    (Subject::Directory, "/w/*", true),
    (Subject::Directory, "/x/*", false),
    (Subject::Host, "vm-?", true),
    (Subject::Email, "ann@*", true),
    (Subject::Email, "bob@*", false),
    (Subject::Client, "codex_exec", true),
    (Subject::Provider, "openai", true),
    (Subject::Provider, "azure", false),
    (Subject::Environment, "prod", true),
    (Subject::User, "*@x.y", true),
];

/// A rule by numbers: what it looks at, its first and last day, what it sets.
type Drawn = (Vec<usize>, Option<i64>, Option<i64>, [bool; 5]);

fn drawn() -> impl Strategy<Value = Drawn> {
    let days = || prop::option::of(0..6i64);
    (prop::collection::vec(0..LOOKS.len(), 0..3), days(), days(), any::<[bool; 5]>())
}

fn nth_day(n: i64) -> Day {
    at(n * DAY_MS).day()
}

fn made(n: usize, (looks, from, to, sets): &Drawn) -> Rule {
    let value = |is: bool, field: &str| is.then(|| format!("{field} {n}"));
    let matcher = |i: &usize| Matcher { subject: LOOKS[*i].0.clone(), glob: LOOKS[*i].1.into() };
    Rule {
        name: n.to_string(),
        matchers: looks.iter().map(matcher).collect(),
        days: Days { from: from.map(nth_day), to: to.map(nth_day) },
        team: value(sets[0], "team"),
        cost_centre: value(sets[1], "cost centre"),
        project: value(sets[2], "project"),
        user: value(sets[3], "user"),
        labels: value(sets[4], "label").map(|v| ("product".to_string(), v)).into_iter().collect(),
        ..Rule::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn for_each_field_the_first_rule_that_fits_wins_whatever_else_is_there(
        rules in prop::collection::vec(drawn(), 0..8),
        is_member in any::<bool>(),
        claims in any::<[bool; 2]>(),
        moments in prop::collection::vec(0..6i64, 1..4),
    ) {
        let mut said = vec![("deployment.environment", "prod"), ("env", "dev")];
        said.extend(claims[0].then_some(("team", "claimed")));
        said.extend(claims[1].then_some(("project", "claimed")));
        let moments: Vec<i64> = moments.into_iter().enumerate().map(|(i, d)| d * DAY_MS + i as i64 * 60_000).collect();
        let all = told("codex_exec", Some("ann@x.y"), &said, &moments);
        let list = if is_member { members(vec![row(2, "ann@x.y", "list", Days::default())]) } else { Rules::default() };
        let all_rules = Rules { rules: rules.iter().enumerate().map(|(n, r)| made(n, r)).collect(), ..list };
        for r in sessions(&all, &with_rules(all_rules)).remove(0).responses {
            let today = r.time.day();
            let holds = |(looks, from, to, _): &Drawn| {
                let (from, to) = (from.map(nth_day), to.map(nth_day));
                looks.iter().all(|i| LOOKS[*i].2) && from.is_none_or(|d| d <= today) && to.is_none_or(|d| today <= d)
            };
            let first = |field: usize| rules.iter().position(|rule| holds(rule) && rule.3[field]);
            let o = &r.owner;
            let unset = crate::model::OwnerField::unattributed("");
            let label = o.labels.get("product").unwrap_or(&unset);
            let fields = [(&o.team, "team"), (&o.cost_centre, "cost centre"), (&o.project, "project"), (&o.user, "user")];
            for (i, (field, name)) in fields.into_iter().chain([(label, "label")]).enumerate() {
                match first(i) {
                    Some(n) => {
                        prop_assert_eq!(&field.value, &format!("{name} {n}"));
                        prop_assert_eq!(field.strength, Strength::Rule);
                        let why = format!("rule {n}: ");
                        prop_assert!(field.why.starts_with(&why), "{}", field.why);
                    }
                    None => prop_assert!(!field.why.starts_with("rule "), "{}", field.why),
                }
            }
            if first(0).is_none() {
                // A user that a rule sets is nobody of the list; the login still is.
                let expected = match claims[0] {
                    _ if is_member => "list",
                    true => "claimed",
                    false => "unattributed",
                };
                prop_assert_eq!(&o.team.value, expected);
                prop_assert_eq!(o.contradicted, is_member && claims[0]);
            }
        }
    }

    #[test]
    fn dated_rules_and_members_do_not_hang_on_the_order_of_observations(
        rules in prop::collection::vec(drawn(), 0..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let all = told("codex_exec", Some("ann@x.y"), &[("team", "claimed")], &[0, DAY_MS, 2 * DAY_MS]);
        let rows = vec![
            row(2, "ann@x.y", "first", Days { from: None, to: Some(nth_day(1)) }),
            row(3, "ann@x.y", "second", Days { from: Some(nth_day(2)), to: None }),
        ];
        let rules = rules.iter().enumerate().map(|(n, r)| made(n, r)).collect();
        let options = with_rules(Rules { rules, ..members(rows) });
        let mut mixed = all.clone();
        for (i, at) in order.iter().enumerate() {
            mixed.push(at.get(&all).clone());
            let n = mixed.len();
            mixed.swap(i % n, at.index(n));
        }
        prop_assert_eq!(sessions(&all, &options), sessions(&mixed, &options));
    }
}
