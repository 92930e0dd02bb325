//! Spool lines as observations.

use super::SpoolLine;
use crate::model::{
    Attempt, Body, Context, KeyBuilder, Link, Observation, Prompt, Response, Sighting, SourceKind, ThreadId, Timestamp,
    TokenUsage, ToolCall, Turn, Users,
};
use std::collections::BTreeMap;

/// What a spool line says.
#[derive(Debug, Default)]
pub struct Decoded {
    /// What was seen.
    pub observations: Vec<Observation>,
    /// Transcripts that it names: hints where sessions are.
    pub transcripts: Vec<String>,
    /// Why it could not be used.
    pub unreadable: Option<String>,
    /// The line is of a format that only a newer version understands: it must wait for that.
    pub newer: bool,
}

/// The newest format of spool lines that is understood here. It only grows when a line means something else than before; new
/// fields are read past.
const FORMAT: u32 = 1;

/// All that a line of any format tells.
#[derive(serde::Deserialize)]
struct Format {
    v: u32,
}

/// Events of Codex 0.169; others are kept as sightings and counted.
const KNOWN_EVENTS: [&str; 14] = [
    "SessionStart",
    "SessionEnd",
    "UserPromptSubmit",
    "PreModelRequest",
    "PostModelRequest",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PreCompact",
    "PostCompact",
    "SubagentStart",
    "SubagentStop",
    "Stop",
    "Interrupt",
];

/// Decodes one line of the spool.
pub fn decode_line(line: &[u8]) -> Decoded {
    decode_line_as(line, &Users::Plain)
}

/// The same, with users known as this says: a hook that ran before it was said wrote their names.
pub fn decode_line_as(line: &[u8], users: &Users) -> Decoded {
    let read = serde_json::from_slice::<SpoolLine>(line);
    let format = || serde_json::from_slice::<Format>(line).map_or(0, |format| format.v);
    if read.as_ref().map_or_else(|_| format(), |line| line.v) > FORMAT {
        return Decoded { newer: true, ..Decoded::default() };
    }
    let Ok(line) = read else {
        return Decoded { unreadable: Some("spool.bad_line".into()), ..Decoded::default() };
    };
    if let Some(why) = &line.bad {
        return Decoded { unreadable: Some(format!("hook.{why}")), ..Decoded::default() };
    }
    let mut out = Decoded::default();
    out.transcripts.extend(line.transcript.iter().chain(&line.agent_transcript).cloned());
    let Some((thread, session)) = threads(&line) else {
        out.unreadable = Some("hook.no_session".into());
        return out;
    };
    if line.event.as_deref().is_none_or(|e| !KNOWN_EVENTS.contains(&e)) {
        out.unreadable = Some("hook.unknown_event".into());
    }
    let time = Timestamp(line.id.ns);
    let see = |key: KeyBuilder, body: Body| Observation {
        thread: thread.clone(),
        key: key.build(),
        source: SourceKind::Hook,
        time,
        body,
    };
    let key = |kind: &str| KeyBuilder::new(kind).part(thread.as_str());
    if thread != session {
        let link = Link { session: session.clone() };
        out.observations
            .push(Observation { time: Timestamp(0), ..see(key("hook-link").part(session.as_str()), Body::Link(link)) });
    }
    let context = context(&line, users);
    let ctx = context.id;
    out.observations.push(Observation {
        time: Timestamp(0),
        ..see(key("hook-ctx").number(ctx as i64), Body::Context(Box::new(context)))
    });
    let own = |kind: &str| key(kind).number(line.id.ns).number(line.id.pid.into()).number(line.id.rnd as i64);
    if let Some(turn) = &line.turn {
        let time = crate::model::uuid_v7_millis(turn).map_or(time, Timestamp::from_millis);
        let start = Body::Turn(Turn { turn: turn.clone() });
        out.observations.push(Observation { time, ..see(key("hook-turn").part(turn), start) });
        let (seen, body) = in_turn(&line, turn, ctx, key("hook-seen"));
        out.observations.push(Observation { time, ..see(seen, body) });
    }
    if let Some(body) = event_body(&line, ctx) {
        out.observations.push(see(own("hook"), body));
    }
    out
}

/// The thread that ran the hook and its session's root thread.
///
/// A subagent's events carry its thread as `agent_id`; a review's do not, but its transcript's name does. The transcript of
/// SubagentStop is the parent's, so the agent comes first.
fn threads(line: &SpoolLine) -> Option<(ThreadId, ThreadId)> {
    let session = line.session.as_deref().and_then(ThreadId::new);
    let agent = line.agent.as_deref().and_then(ThreadId::new);
    let named = line.transcript.as_deref().and_then(crate::ingest::transcript::thread_of_path);
    let thread = agent.or(named).or_else(|| session.clone())?;
    let session = session.unwrap_or_else(|| thread.clone());
    Some((thread, session))
}

/// The context in force in a turn, once for each: whatever events are registered, any of them tells whose the turn is.
fn in_turn(line: &SpoolLine, turn: &str, ctx: u64, key: KeyBuilder) -> (KeyBuilder, Body) {
    // That of a tool is the tool's own.
    let cwd = line.cwd.clone().filter(|_| line.event.as_deref() == Some("UserPromptSubmit"));
    let key = key.part(turn).number(ctx.cast_signed()).part(cwd.as_deref().unwrap_or(""));
    (key, Body::Sighting(Sighting { ctx, turn: Some(turn.to_string()), cwd, ..Sighting::default() }))
}

fn event_body(line: &SpoolLine, ctx: u64) -> Option<Body> {
    match line.event.as_deref()? {
        "PostModelRequest" => Some(match line.tokens {
            Some(tokens) => Body::Response(Box::new(response(line, tokens, ctx))),
            None => Body::Attempt(Attempt {
                turn: line.turn.clone(),
                kind: "stream".into(),
                status: line.status.clone(),
                model: line.model.clone(),
                usage: None,
            }),
        }),
        "PostToolUse" => {
            let call_id = line.call.clone()?;
            let name = line.tool.clone();
            Some(Body::ToolCall(Box::new(ToolCall { call_id, turn: line.turn.clone(), name, ..ToolCall::default() })))
        }
        "UserPromptSubmit" => Some(Body::Prompt(Prompt { turn: line.turn.clone() })),
        "SessionStart" => {
            let cwd = line.cwd.clone();
            Some(Body::Sighting(Sighting { ctx, cwd, ..Sighting::default() }))
        }
        "SessionEnd" => Some(Body::Sighting(Sighting { ctx, ..Sighting::default() })),
        _ => None,
    }
}

fn response(line: &SpoolLine, [input, cached_input, cache_write, output, reasoning]: [u64; 5], ctx: u64) -> Response {
    Response {
        turn: line.turn.clone(),
        usage: TokenUsage { input, cached_input, cache_write, output, reasoning },
        model: line.model.clone(),
        ctx: Some(ctx),
        hook: Some((line.id.pid, line.hash.unwrap_or(0))),
        ..Response::default()
    }
}

fn context(line: &SpoolLine, users: &Users) -> Context {
    let mut attributes = BTreeMap::new();
    for (name, value) in &line.env.vars {
        if name == ATTRIBUTES {
            let known = |(name, value): (String, String)| Some((users.attribute(&name, &value)?, name));
            attributes.extend(parse_resource_attributes(value).filter_map(known).map(|(value, name)| (name, value)));
        } else {
            attributes.insert(name.clone(), value.clone());
        }
    }
    let some = |text: &str| (!text.is_empty()).then(|| text.to_string());
    let user = some(&line.env.user).and_then(|user| users.known_as(&user)).unwrap_or_default();
    let mut context = Context { os_user: some(&user), host: some(&line.env.host), attributes, ..Context::default() };
    let key = KeyBuilder::new("hook-ctx").part(&user).part(&line.env.host);
    let key = context.attributes.iter().fold(key, |key, (name, value)| key.part(name).part(value));
    context.id = key.short();
    context
}

/// The variable with resource attributes.
pub const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The value of that variable with users known as this says.
pub fn attributes_as(text: &str, users: &Users) -> String {
    if *users == Users::Plain {
        return text.to_string();
    }
    let known = |(name, value): (String, String)| Some(format!("{name}={}", users.attribute(&name, &value)?));
    parse_resource_attributes(text).filter_map(known).collect::<Vec<_>>().join(",")
}

/// Splits `OTEL_RESOURCE_ATTRIBUTES` (`key=value,key=value`) the way Codex 0.169 does: malformed items are dropped, values
/// are not percent-decoded.
fn parse_resource_attributes(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let pair = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        (!name.is_empty() && !value.is_empty()).then(|| (name.to_string(), value.to_string()))
    };
    text.split(',').filter_map(pair).take(64)
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Identity, reduce};
    use super::*;

    fn observe(payload: &str) -> Decoded {
        let vars = [("OTEL_RESOURCE_ATTRIBUTES".to_string(), "team.id=platform,bad,x=".to_string())].into();
        let env = Environment { host: "vm".into(), user: "dev".into(), vars };
        let line = reduce(payload.as_bytes(), Identity { ns: 5, pid: 7, rnd: 9 }, env);
        decode_line(&serde_json::to_vec(&line).unwrap())
    }

    #[test]
    fn a_model_request_brings_its_tokens() {
        let d = observe(
            r#"{"session_id":"s","turn_id":"t","hook_event_name":"PostModelRequest","model":"gpt-5.5","status":"completed",
                "token_usage":{"input_tokens":10,"cached_input_tokens":4,"output_tokens":3,"new_field":[1]}}"#,
        );
        let Some(Body::Response(r)) = d.observations.last().map(|o| &o.body) else { panic!("{d:?}") };
        assert_eq!(r.usage, TokenUsage { input: 10, cached_input: 4, output: 3, ..TokenUsage::default() });
        assert_eq!((r.turn.as_deref(), r.model.as_deref()), (Some("t"), Some("gpt-5.5")));
        assert_eq!(r.hook.unwrap().0, 7);
    }

    #[test]
    fn threads_of_subagents_and_reviews_are_linked_to_the_session() {
        let path = "/h/sessions/2026/11/21/rollout-2026-11-21T02-26-58-01a1fbed-a7d3-7a00-bc69-59a3e1097ad7.jsonl";
        let review =
            observe(&format!(r#"{{"session_id":"root","transcript_path":"{path}","hook_event_name":"Stop"}}"#));
        assert_eq!(review.observations[0].thread.as_str(), "01a1fbed-a7d3-7a00-bc69-59a3e1097ad7");
        assert!(matches!(&review.observations[0].body, Body::Link(l) if l.session.as_str() == "root"));
        assert_eq!(review.transcripts, [path]);
        let child = observe(r#"{"session_id":"root","agent_id":"kid","hook_event_name":"SubagentStart"}"#);
        assert_eq!(child.observations[0].thread.as_str(), "kid");
    }

    #[test]
    fn any_event_of_a_turn_tells_the_context_in_force() {
        let turn = "01a1fbc1-b2d8-74a2-955e-70a1f37fabfe";
        for event in ["PostToolUse", "Stop", "UserPromptSubmit", "PostModelRequest"] {
            let d = observe(&format!(
                r#"{{"session_id":"s","turn_id":"{turn}","cwd":"/tool","hook_event_name":"{event}"}}"#
            ));
            let seen: Vec<_> = d
                .observations
                .iter()
                .filter_map(|o| match &o.body {
                    Body::Sighting(s) => Some((o.time, s.turn.as_deref(), s.cwd.as_deref())),
                    _ => None,
                })
                .collect();
            // The time is the turn's and not the hook's, so that all events of a turn tell the same.
            let cwd = (event == "UserPromptSubmit").then_some("/tool");
            assert_eq!(seen, [(Timestamp::from_millis(1_795_225_137_880), Some(turn), cwd)], "{event}");
        }
    }

    #[test]
    fn content_never_passes() {
        let d = observe(
            r#"{"session_id":"s","hook_event_name":"UserPromptSubmit","prompt":"SECRET","tool_input":{"a":"SECRET"},
                "tool_response":"SECRET","last_assistant_message":"SECRET","error":"SECRET"}"#,
        );
        assert!(!format!("{d:?}").contains("SECRET"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let why = |payload: &str| observe(payload).unreadable;
        assert_eq!(why("").as_deref(), Some("hook.empty"));
        assert_eq!(why("{\"session_id\":").as_deref(), Some("hook.malformed"));
        assert_eq!(why("{}").as_deref(), Some("hook.no_session"));
        assert_eq!(why(r#"{"session_id":"s","hook_event_name":"Brandnew"}"#).as_deref(), Some("hook.unknown_event"));
        assert_eq!(why(r#"{"session_id":"s","hook_event_name":"Stop","turn_id":7}"#), None);
        assert_eq!(decode_line(b"{torn").unreadable.as_deref(), Some("spool.bad_line"));
    }

    #[test]
    fn equal_payloads_of_two_processes_are_two_observations() {
        let line = |rnd| {
            let payload = br#"{"session_id":"s","hook_event_name":"UserPromptSubmit"}"#;
            let line = reduce(payload, Identity { ns: 5, pid: 7, rnd }, Environment::default());
            decode_line(&serde_json::to_vec(&line).unwrap()).observations.pop().unwrap().key
        };
        assert_ne!(line(1), line(2));
        assert_eq!(line(1), line(1));
    }
}
