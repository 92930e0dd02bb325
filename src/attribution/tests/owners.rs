//! Who pays, and why.

use super::*;
use crate::model::{Matcher, Owner, Rule, Rules, Strength, Subject, UNATTRIBUTED};

const EXEC: &str = "codex_exec";
const DAEMON: &str = "codex-app-server";

fn telemetry(id: u64, service: &str, attributes: &[(&str, &str)]) -> Context {
    let attributes = attributes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Context { id, service: Some(service.into()), attributes, ..Context::default() }
}

fn environment(id: u64, attributes: &[(&str, &str)]) -> Context {
    Context { service: None, os_user: Some("dev".into()), ..telemetry(id, "", attributes) }
}

/// A response at 10 ms with these contexts in force.
fn session(otlp_context: Option<Context>, hook_context: Option<Context>, source: Option<&str>) -> Vec<Observation> {
    let (t, u) = (thread(1), turn(0));
    let mut all = vec![tur(&t, &u, "r", 10, 5)];
    if let Some(c) = otlp_context {
        all.extend([with(otlp(&t, 11, 5), |r| r.ctx = Some(c.id)), context(SourceKind::Otlp, &t, c)]);
    }
    if let Some(c) = hook_context {
        let s = Sighting { ctx: c.id, turn: Some(u), ..Sighting::default() };
        all.extend([sighting(SourceKind::Hook, &t, 0, s), context(SourceKind::Hook, &t, c)]);
    }
    let source = source.map(str::to_string);
    all.push(meta(&t, Meta { source, cwd: Some("/code/api".into()), ..Meta::default() }));
    all
}

fn owner(all: &[Observation]) -> Owner {
    let session = only(all);
    assert_eq!(session.owner, session.responses[0].owner);
    session.owner
}

#[test]
fn a_process_may_speak_for_itself_and_not_for_others() {
    let claim = [("team.id", "platform")];
    let told = |service: &str| Some(telemetry(1, service, &claim));
    let env = || Some(environment(2, &claim));
    let yes = ("platform", Strength::FirstHand);
    let no = (UNATTRIBUTED, Strength::SecondHand);
    let none = (UNATTRIBUTED, Strength::Unattributed);
    let cases = [
        ("exec's telemetry", session(told(EXEC), None, None), yes),
        ("stand-alone terminal's", session(told("codex_cli_rs"), None, None), yes),
        ("daemon's", session(told(DAEMON), None, Some("cli")), no),
        ("old daemon's", session(told("codex_app_server"), None, Some("exec")), no),
        ("hook of exec", session(None, env(), Some("exec")), yes),
        ("hook of a terminal", session(None, env(), Some("cli")), yes),
        ("hook of a daemon", session(None, env(), Some("vscode")), no),
        ("hook of nothing known", session(None, env(), None), no),
        ("hook beside exec's telemetry", session(Some(telemetry(1, EXEC, &[])), env(), None), yes),
        ("hook beside a daemon's telemetry", session(Some(telemetry(1, DAEMON, &[])), env(), Some("cli")), no),
        ("nobody", session(None, None, Some("exec")), none),
        ("blank", session(Some(telemetry(1, EXEC, &[("team.id", " ")])), None, None), none),
    ];
    for (name, all, expected) in cases {
        let team = owner(&all).team;
        assert_eq!((team.value.as_str(), team.strength), expected, "{name}: {}", team.why);
    }
}

#[test]
fn each_field_is_decided_on_its_own() {
    let mut c = telemetry(1, EXEC, &[("department", "sales"), ("cost_center", "42"), ("project", "shop")]);
    c.team_header = Some("edge".into());
    let o = owner(&session(Some(c.clone()), None, None));
    assert_eq!([o.team.value, o.cost_centre.value, o.project.value], ["sales", "42", "shop"]);
    c.attributes.clear();
    let o = owner(&session(Some(c.clone()), None, None));
    assert_eq!([&o.team.value, &o.cost_centre.value, &o.project.value], ["edge", UNATTRIBUTED, "/code/api"]);
    assert_eq!((o.project.strength, o.team.strength), (Strength::Inferred, Strength::FirstHand));
    // A daemon's project is not used; what is inferred is.
    let o = owner(&session(Some(telemetry(1, DAEMON, &[("project", "shop")])), None, None));
    assert_eq!(o.project.value, "/code/api");
}

#[test]
fn values_are_percent_decoded_once() {
    let o = owner(&session(Some(telemetry(1, EXEC, &[("team.id", " R%26D%20core%2520 ")])), None, None));
    assert_eq!(o.team.value, "R&D core%20");
}

#[test]
fn the_user_is_the_login_then_the_ci_then_the_system_user() {
    let ci = [("GITHUB_REPOSITORY", "acme/api")];
    let mut login = telemetry(1, DAEMON, &[]);
    (login.email, login.account) = (Some("a@b.c".into()), Some("acc".into()));
    let account = Context { email: None, ..login.clone() };
    let file = Context { id: 9, os_user: Some("filer".into()), ..Context::default() };
    let by_file =
        || [session(None, None, None), vec![context(SourceKind::Transcript, &thread(1), file.clone())]].concat();
    let cases = [
        ("email", session(Some(login), Some(environment(2, &ci)), None), "a@b.c"),
        ("account", session(Some(account), Some(environment(2, &ci)), None), "acc"),
        ("ci", session(None, Some(environment(2, &ci)), None), "ci:acme/api"),
        ("gitlab", session(None, Some(environment(2, &[("CI_PROJECT_PATH", "g/p")])), None), "ci:g/p"),
        ("system user", session(None, Some(environment(2, &[])), None), "dev"),
        ("owner of the file", by_file(), "filer"),
        ("declared", session(Some(telemetry(1, EXEC, &[("user.email", "me@x.y")])), None, None), "me@x.y"),
        ("nobody", session(None, None, None), UNATTRIBUTED),
    ];
    for (name, all, user) in cases {
        assert_eq!(owner(&all).user.value, user, "{name}");
    }
}

#[test]
fn the_project_is_the_remote_then_the_sessions_directory() {
    let (t, u) = (thread(1), turn(0));
    let all = |meta_: Meta| vec![tur(&t, &u, "r", 10, 5), meta(&t, meta_)];
    let (cwd, git_remote) = (Some("/w".to_string()), Some("git@github.com:acme/api.git".to_string()));
    assert_eq!(owner(&all(Meta { cwd: cwd.clone(), git_remote, ..Meta::default() })).project.value, "acme/api");
    assert_eq!(owner(&all(Meta { cwd, ..Meta::default() })).project.value, "/w");
    let s = Sighting { ctx: 2, cwd: Some("/hooked".into()), ..Sighting::default() };
    let hooked = [hook(&t, &u, 3, 1, 5), sighting(SourceKind::Hook, &t, 2, s)];
    assert_eq!(owner(&hooked).project.value, "/hooked");
}

#[test]
fn children_are_always_the_roots() {
    let root = thread(1);
    for kind in ["subagent", "review", "guardian"] {
        let kid = thread(2);
        let mut all = session(Some(telemetry(1, EXEC, &[("team.id", "a")])), None, Some("exec"));
        // Whatever the child's own records say.
        let other = context(SourceKind::Otlp, &kid, telemetry(7, EXEC, &[("team.id", "b")]));
        all.extend([child(&kid, &root, kind), tur(&kid, &turn(20), "k", 30, 6), other]);
        all.push(with(otlp(&kid, 31, 6), |r| r.ctx = Some(7)));
        let session = only(&all);
        assert_eq!(session.responses.len(), 2);
        assert!(session.responses.iter().all(|r| r.owner.team.value == "a"), "{kind}");
        assert_eq!(session.threads[1].kind, kind);
    }
}

#[test]
fn what_was_lost_of_the_root_its_children_have() {
    // The exporter was down while the root spoke; hooks of the root went on.
    let (root, kid) = (thread(1), thread(2));
    let mut all = session(None, Some(environment(2, &[])), Some("exec"));
    let claim = context(SourceKind::Otlp, &kid, telemetry(7, EXEC, &[("team.id", "a")]));
    all.extend([child(&kid, &root, "subagent"), claim, with(otlp(&kid, 31, 6), |r| r.ctx = Some(7))]);
    assert_eq!(only(&all).owner.team.value, "a");
}

#[test]
fn the_owner_is_that_of_the_moment() {
    // One thread, resumed from another team's shell.
    let (t, u, v) = (thread(1), turn(0), turn(60_000));
    let mut all = vec![tur(&t, &u, "a", 10, 5), tur(&t, &v, "b", 60_010, 6), child(&t, &t, "exec")];
    for (id, name, of) in [(2, "first", &u), (3, "second", &v)] {
        all.push(context(SourceKind::Hook, &t, environment(id, &[("team", name)])));
        // The hook's clock is an hour ahead: the turn tells when.
        let s = Sighting { ctx: id, turn: Some(of.clone()), ..Sighting::default() };
        all.push(sighting(SourceKind::Hook, &t, 3_600_000 + id as i64, s));
        all.push(with(hook(&t, of, 3_600_000 + id as i64, 1, id), |r| r.ctx = Some(id)));
    }
    let teams: Vec<_> = only(&all).responses.into_iter().map(|r| r.owner.team.value).collect();
    assert_eq!(teams, ["first", "second"]);
}

#[test]
fn a_rule_may_use_what_a_daemon_claims_and_is_stronger_than_what_exec_says() {
    let matchers = vec![Matcher { subject: Subject::Attribute("team.id".into()), glob: "plat*".into() }];
    let rule = Rule { name: "p".into(), matchers, team: Some("platform".into()), ..Rule::default() };
    let options = Options { rules: Rules { rules: vec![rule], ..Rules::default() }, ..Options::default() };
    for service in [EXEC, DAEMON] {
        let of = |claim| {
            let all = session(Some(telemetry(1, service, &[("team.id", claim)])), None, None);
            sessions(&all, &options).remove(0).responses.remove(0).owner.team
        };
        let team = of("plat-old");
        assert_eq!((team.value.as_str(), team.strength), ("platform", Strength::Rule), "{}", team.why);
        assert!(of("sales").strength < Strength::Rule, "{service}");
    }
}

#[test]
fn who_delivers_a_record_cannot_make_another_pay_for_it() {
    // A response that says to be of a thread of another's session, delivered with the token of `a`.
    let (root, kid) = (thread(1), thread(2));
    let context_of = |id: u64, name: &str| Context { credential: Some(name.into()), ..telemetry(id, EXEC, &[]) };
    let mut all = session(Some(context_of(1, "b")), None, Some("exec"));
    all.extend([child(&kid, &root, "subagent"), context(SourceKind::Otlp, &kid, context_of(7, "a"))]);
    all.push(with(otlp(&kid, 31, 6), |r| r.ctx = Some(7)));
    let of = |name: &str| Rule { name: name.into(), team: Some(name.into()), ..Rule::default() };
    let credentials = ["a", "b"].map(|name| (name.to_string(), of(name))).into();
    let options = Options { rules: Rules { credentials, ..Rules::default() }, ..Options::default() };
    let responses = sessions(&all, &options).remove(0).responses;
    let teams: Vec<_> = responses.iter().map(|r| (r.owner.team.value.as_str(), r.owner.team.strength)).collect();
    assert_eq!(teams, [("b", Strength::Credential), ("a", Strength::Credential)]);
    assert!(responses.iter().all(|r| !r.owner.contradicted));
}

#[test]
fn whatever_claims_another_owner_than_the_credential_is_told() {
    let of_a = Rule { name: "a".into(), team: Some("a".into()), ..Rule::default() };
    let rules = Rules { credentials: [("a".to_string(), of_a)].into(), ..Rules::default() };
    let options = Options { rules, ..Options::default() };
    let by_a = |service: &str, claim: &[(&str, &str)]| Context {
        credential: Some("a".into()),
        ..telemetry(1, service, claim)
    };
    let header = Context { team_header: Some("b".into()), ..by_a(EXEC, &[]) };
    let (yes, no) = ([("team.id", "%41")], [("department", "b")]);
    for (name, otlp, hook, contradicted) in [
        ("nothing claimed", by_a(EXEC, &[]), None, false),
        ("the same in another case", by_a(EXEC, &yes), None, false),
        ("another team", by_a(EXEC, &no), None, true),
        ("another in the header", header, None, true),
        ("a daemon's", by_a(DAEMON, &no), None, true),
        ("the hook's", by_a(EXEC, &[]), Some(environment(2, &no)), true),
        ("behind the hook's own", by_a(EXEC, &no), Some(environment(2, &yes)), true),
        ("what is not decided", by_a(EXEC, &[("project", "p")]), None, false),
    ] {
        let owner = sessions(&session(Some(otlp), hook, None), &options).remove(0).responses.remove(0).owner;
        assert_eq!((owner.team.value.as_str(), owner.team.strength), ("a", Strength::Credential), "{name}");
        assert_eq!(
            (owner.contradicted, owner.team.why.contains("contradicts")),
            (contradicted, contradicted),
            "{name}"
        );
    }
}
