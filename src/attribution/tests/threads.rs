//! Which threads make a session, and what is nobody's.

use super::*;
use crate::model::Prompt;

fn prompt(source: SourceKind, thread: &ThreadId, ms: i64) -> Observation {
    let body = Body::Prompt(Prompt { turn: (source == SourceKind::Hook).then(|| turn(0)) });
    observe(thread, source, key(&format!("{source:?} prompt {ms}")), at(ms), body)
}

#[test]
fn threads_are_linked_by_transcript_hook_agent_message_and_parent() {
    let (root, kid, grandchild) = (thread(1), thread(2), thread(3));
    let parent = |of: &ThreadId| meta(&kid, Meta { parent: Some(of.clone()), ..Meta::default() });
    let links: [(&str, Vec<Observation>); 5] = [
        ("transcript", vec![child(&kid, &root, "review")]),
        ("hook", vec![link(SourceKind::Hook, &kid, &root)]),
        ("agent message", vec![link(SourceKind::Otlp, &kid, &root)]),
        ("parent", vec![parent(&root)]),
        ("transcript before the others", vec![child(&kid, &root, "x"), link(SourceKind::Otlp, &kid, &grandchild)]),
    ];
    for (name, links) in links {
        let session = only(&[vec![otlp(&root, 1, 5), otlp(&kid, 2, 6)], links].concat());
        assert_eq!((&session.session, session.responses.len()), (&root, 2), "{name}");
        assert!(session.responses.iter().all(|r| r.session == root && !r.auxiliary));
    }
    // Agent messages name the sender, which may be a subagent itself.
    let nested = [link(SourceKind::Otlp, &grandchild, &kid), link(SourceKind::Otlp, &kid, &root), otlp(&root, 1, 5)];
    let session = only(&nested);
    assert_eq!((session.session.clone(), session.threads.len()), (root.clone(), 3));
    assert_eq!(session.threads[0].kind, "root");
}

#[test]
fn circles_and_strange_ids_make_sessions_all_the_same() {
    let ids: Vec<_> = ["a", "b", "c", "'; drop table thread; --".trim_matches(' ')]
        .iter()
        .filter_map(|id| ThreadId::new(id))
        .collect();
    let circle = [
        link(SourceKind::Otlp, &ids[0], &ids[1]),
        link(SourceKind::Otlp, &ids[1], &ids[0]),
        link(SourceKind::Hook, &ids[2], &ids[1]),
        link(SourceKind::Hook, &ids[0], &ids[0]),
    ];
    let session = only(&circle);
    assert_eq!((session.session.as_str(), session.threads.len()), ("a", 3));
}

#[test]
fn a_session_whose_root_was_never_seen_has_no_prompts_of_its_own() {
    let (root, kid) = (thread(1), thread(2));
    let forked = Meta {
        session: Some(root.clone()),
        parent: Some(root.clone()),
        forked_from: Some(root.clone()),
        source: Some("subagent".into()),
        ..Meta::default()
    };
    let all = [meta(&kid, forked), prompt(SourceKind::Hook, &kid, 5), tur(&kid, &turn(0), "r", 9, 5)];
    let session = only(&all);
    assert_eq!((session.session, session.prompts, session.forked_from), (root, 0, None));
    assert_eq!(session.threads[0].kind, "subagent");
    assert_eq!(session.responses.len(), 1);
}

#[test]
fn title_threads_are_auxiliary_and_subagents_are_not() {
    let (title, root) = (thread(5), thread(1));
    let service = |name: &str| {
        context(SourceKind::Otlp, &title, Context { id: 1, service: Some(name.into()), ..Context::default() })
    };
    let sandbox = |policy: &str| {
        let s = Sighting { ctx: 1, sandbox: Some(policy.into()), ..Sighting::default() };
        sighting(SourceKind::Otlp, &title, 0, s)
    };
    let base = vec![service("codex-app-server"), sandbox("read-only"), otlp(&title, 3, 5)];
    let auxiliary = only(&base);
    assert!(auxiliary.auxiliary && auxiliary.responses[0].auxiliary);
    assert_eq!((auxiliary.prompts, auxiliary.threads[0].kind), (0, "auxiliary"));
    let tool = call(SourceKind::Otlp, &title, "c", 4, ToolCall { call_id: "c".into(), ..ToolCall::default() });
    for (name, all) in [
        ("exec", vec![service("codex_exec"), sandbox("read-only"), otlp(&title, 3, 5)]),
        ("it may write", vec![service("codex-app-server"), sandbox("workspace-write"), otlp(&title, 3, 5)]),
        ("it calls tools", [base.clone(), vec![tool]].concat()),
        ("a hook saw it", [base.clone(), vec![hook(&title, &turn(0), 4, 1, 9)]].concat()),
        ("a transcript saw it", [base.clone(), vec![meta(&title, Meta::default())]].concat()),
        ("an agent message links it to an unseen root", [base, vec![link(SourceKind::Otlp, &title, &root)]].concat()),
    ] {
        assert!(!only(&all).auxiliary, "{name}");
    }
}

#[test]
fn prompts_are_the_transcripts_else_the_larger_count() {
    let t = thread(1);
    let of = |source, times: &[i64]| times.iter().map(|ms| prompt(source, &t, *ms)).collect::<Vec<_>>();
    let (transcript, hooks) = (of(SourceKind::Transcript, &[1]), of(SourceKind::Hook, &[2, 3_000]));
    let otlps = of(SourceKind::Otlp, &[1, 2_000, 4_000]);
    assert_eq!(only(&[transcript, hooks.clone(), otlps.clone()].concat()).prompts, 1);
    assert_eq!(only(&[hooks.clone(), otlps].concat()).prompts, 3);
    assert_eq!(only(&hooks).prompts, 2);
    assert_eq!(only(&of(SourceKind::Hook, &[2, 30, 3_000, 3_050])).prompts, 2, "a hook that is registered twice");
}

#[test]
fn a_forks_session_is_its_own() {
    let (parent, fork) = (thread(1), thread(2));
    let of = Meta { session: Some(fork.clone()), forked_from: Some(parent.clone()), ..Meta::default() };
    let all = facts(&[tur(&parent, &turn(0), "a", 1, 5), tur(&fork, &turn(50), "b", 60, 6), meta(&fork, of)]);
    assert_eq!(all.len(), 2);
    assert_eq!(all.iter().find(|s| s.session == fork).unwrap().forked_from, Some(parent));
}
