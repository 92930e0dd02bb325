//! A transcript's lines as observations, with a state that survives between reads.

use super::copied::Copied;
use super::head::{Head, Worth, starts_within, without_long_texts};
use super::known::is_unused;
use super::migrated::{is_paginated, parents_of_migrated, session_of, turn_of};
use super::remote::without_credentials;
use super::token_count::{Counts, Place};
use super::wire::{Kind, Line, SessionMeta, SettingsEvent, TokenCount, TokenUsageRecord, TurnContext, TurnEvent};
use crate::ingest::version::is_from;
use crate::model::{
    Body, Capture, Content, KeyBuilder, Meta, Observation, Response, SourceKind, ThreadId, Timestamp, Turn,
    uuid_v7_millis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the reader remembers of a file between two reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The file's own thread.
    thread: Option<ThreadId>,
    /// Parents whose `session_meta` was copied into the file, the nearest first.
    parents: Vec<ThreadId>,
    pub(super) copied: Copied,
    provider: Option<String>,
    pub(super) model: Option<String>,
    /// The turn whose context named the model.
    pub(super) model_turn: Option<String>,
    /// The model of the last settings, and that of the last turn that was completed.
    settings_model: Option<String>,
    pub(super) completed_model: Option<String>,
    effort: Option<String>,
    tier: Option<String>,
    pub(super) turn: Option<String>,
    counts: Counts,
    /// The file was migrated, and names of its parents only the nearest one.
    migrated: bool,
    /// The file is a paginated one: it copies nothing, and its totals may begin anew.
    paginated: bool,
    /// Where each thread's count stands: a fork's file holds its parent's responses too.
    places: BTreeMap<ThreadId, Place>,
    /// Response ids of the current turn with how often they came: some providers repeat one id for ever.
    response_ids: BTreeMap<String, u32>,
    response_turn: Option<String>,
}

/// Reads a transcript line by line.
pub struct Reader {
    pub(super) state: State,
    /// What was seen; the caller takes it away.
    pub observations: Vec<Observation>,
    /// What could not be read or is unknown, by reason.
    pub counters: BTreeMap<String, u64>,
    /// What was said and done, as far as that is wanted; the caller takes it away.
    pub contents: Vec<Content>,
    pub(super) capture: Capture,
    /// Room for a payload without its long texts.
    room: Vec<u8>,
    /// Nothing was read of the file yet.
    at_start: bool,
}

impl Reader {
    /// A reader of a file whose name holds `thread`, going on from `state`.
    pub fn new(thread: Option<ThreadId>, mut state: State) -> Self {
        let at_start = state == State::default();
        if state.thread.is_none() {
            state.thread = thread;
        }
        let (observations, contents, counters) = (Vec::new(), Vec::new(), BTreeMap::new());
        Reader { state, observations, counters, contents, capture: Capture::default(), room: Vec::new(), at_start }
    }

    /// What to remember for the next read.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Reads one whole line.
    pub fn line(&mut self, bytes: &[u8]) {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            return;
        }
        self.record(bytes);
        self.at_start = false;
        if self.capture.is_on() {
            self.content(bytes);
        }
    }

    fn record(&mut self, bytes: &[u8]) {
        if let Some(head) = Head::of(bytes) {
            let taken = match head.worth() {
                Worth::Nothing => head.is_alone(),
                Worth::Payload if self.is_counted(&head) => head.is_alone(),
                Worth::Payload => self.payload(&head).is_some(),
                Worth::Unknown => false,
            };
            if taken {
                return;
            }
        }
        self.unusual(bytes);
    }

    /// Whether this is a `token_count` of a thread whose own records say it all.
    fn is_counted(&self, head: &Head<'_>) -> bool {
        let of = |owner: &ThreadId| self.state.places.get(owner).is_some_and(|p| p.closed);
        head.kind == "event_msg" && head.part == Some("token_count") && self.owner_of(None).is_some_and(of)
    }

    /// Reads the payload of a line of the usual form alone. `None`, and nothing has changed, if it is not what it seems.
    fn payload(&mut self, head: &Head<'_>) -> Option<()> {
        // The longest field that is read: a folder, and an id elsewhere; both may be full of escapes.
        let longest = if head.kind == "session_meta" { 2 * 4096 } else { 4 * 256 };
        let mut room = std::mem::take(&mut self.room);
        let taken = without_long_texts(head.payload, longest, &mut room).and_then(|payload| {
            let time = Timestamp::parse_rfc3339(head.timestamp);
            self.take(head.kind, head.part, payload, time).ok()
        });
        self.room = room;
        taken
    }

    /// Parses the whole line, or each of several that stand in it: a process that was killed in the middle of a line leaves a torn
    /// one, and the next one appends to it.
    fn unusual(&mut self, bytes: &[u8]) {
        if self.whole(bytes).is_some() {
            return;
        }
        let (mut from, starts) = (0, starts_within(bytes));
        if starts.is_empty() {
            return self.count("transcript.bad_line");
        }
        for to in starts.into_iter().chain([bytes.len()]) {
            if self.whole(&bytes[from..to]).is_none() {
                self.count("transcript.bad_line");
            }
            from = to;
        }
    }

    /// Parses one whole line; `None` if it is none.
    fn whole(&mut self, bytes: &[u8]) -> Option<()> {
        let line = serde_json::from_slice::<Line>(bytes).ok()?;
        let (kind, payload) = (line.kind.get()?, line.payload?);
        let time = line.timestamp.get().and_then(Timestamp::parse_rfc3339);
        self.take(kind, None, payload.get().as_bytes(), time).ok()
    }

    /// Takes in a payload, whose own type is `part` if it is known already. An error changes nothing.
    fn take(
        &mut self,
        kind: &str,
        part: Option<&str>,
        payload: &[u8],
        time: Option<Timestamp>,
    ) -> serde_json::Result<()> {
        match (kind, part) {
            ("session_meta", _) => self.session_meta(&serde_json::from_slice(payload)?, time),
            ("turn_context", _) => self.turn_context(&serde_json::from_slice(payload)?, time),
            ("token_usage_record", _) => self.token_usage_record(&serde_json::from_slice(payload)?, time),
            ("event_msg", Some(part)) => self.event(part, payload, time)?,
            ("response_item", Some(part)) => self.response_item(part, payload, time)?,
            ("event_msg" | "response_item", None) => {
                let part = serde_json::from_slice::<Kind>(payload)?.kind;
                self.take(kind, Some(part.get().unwrap_or("")), payload, time)?;
            }
            ("world_state" | "compacted" | "inter_agent_communication_metadata", _) => {}
            _ => self.count("transcript.unknown_type"),
        }
        Ok(())
    }

    pub(super) fn unknown_part(&mut self, kind: &str, part: &str) {
        if !is_unused(kind, part) {
            self.count("transcript.unknown_type");
        }
    }

    fn count(&mut self, name: &str) {
        *self.counters.entry(name.to_string()).or_default() += 1;
    }

    pub(super) fn see(&mut self, thread: &ThreadId, key: KeyBuilder, time: Option<Timestamp>, body: Body) {
        let time = time.or_else(|| thread.created_millis().map(Timestamp::from_millis)).unwrap_or(Timestamp(0));
        let (thread, key) = (thread.clone(), key.build());
        self.observations.push(Observation { thread, key, source: SourceKind::Transcript, time, body });
    }

    /// The file's own thread; lines before it is known cannot be placed.
    pub(super) fn own(&mut self) -> Option<ThreadId> {
        if self.state.thread.is_none() {
            self.count("transcript.no_thread");
        }
        self.state.thread.clone()
    }

    /// Whether a line of this time is a copy of a parent's: its turn is older than the file's thread.
    pub(super) fn is_copy(&self, time: Option<Timestamp>) -> bool {
        self.owner_of(time) != self.state.thread.as_ref()
    }

    /// The thread that a line of the current turn belongs to: the youngest of the file's own and its parents that is not
    /// younger than the turn, and without a turn the nearest parent as long as the copy goes on. Only files with a parent's
    /// `session_meta` hold foreign lines.
    fn owner_of(&self, time: Option<Timestamp>) -> Option<&ThreadId> {
        let own = self.state.thread.as_ref()?;
        let State { parents, migrated, .. } = &self.state;
        if parents.is_empty() && !migrated {
            return Some(own);
        }
        let Some(turn) = self.state.turn.as_deref().and_then(uuid_v7_millis) else {
            return if self.state.copied.holds(time) { parents.first() } else { Some(own) };
        };
        let all = std::iter::once(own).chain(parents);
        let older = all.filter(|t| t.created_millis().is_some_and(|created| created <= turn));
        older.max_by_key(|t| t.created_millis()).or(parents.last().filter(|_| !migrated))
    }

    fn session_meta(&mut self, meta: &SessionMeta, time: Option<Timestamp>) {
        let Some(id) = meta.id.get().and_then(ThreadId::new) else { return self.count("transcript.bad_line") };
        // From 0.154 on each response has its own record, and the `token_count` of a new file may repeat a parent's last one.
        if meta.cli_version.get().is_some_and(|version| is_from(version, 154)) {
            self.state.places.entry(id.clone()).or_default().closed = true;
        }
        // A file that was copied under another name is still that of the thread with which it begins.
        if !self.at_start && self.state.thread.as_ref().is_some_and(|own| *own != id) {
            if !self.state.parents.contains(&id) {
                self.state.parents.push(id);
            }
            self.state.copied.begin(time);
            return;
        }
        self.state.thread = Some(id.clone());
        if let Some(parents) = parents_of_migrated(meta) {
            self.state.migrated = true;
            self.state.parents = parents;
        }
        self.state.provider = meta.model_provider.cut(128);
        self.state.paginated = is_paginated(meta);
        let thread = |text: &crate::ingest::lenient::Text| text.get().and_then(ThreadId::new);
        let body = Meta {
            session: session_of(meta),
            parent: thread(&meta.parent_thread_id).or_else(|| ThreadId::new(meta.source.parent.as_deref()?)),
            forked_from: thread(&meta.forked_from_id),
            source: meta.source.name.clone(),
            originator: meta.originator.cut(128),
            cli_version: meta.cli_version.cut(64),
            cwd: meta.cwd.cut(4096),
            git_remote: meta
                .git
                .0
                .as_ref()
                .and_then(|g| g.repository_url.cut(1024))
                .map(|url| without_credentials(&url)),
            provider: self.state.provider.clone(),
            account: meta.creator_account_id.cut(128),
            agent: meta.agent_path.cut(256).or_else(|| meta.agent_nickname.cut(256)),
        };
        self.see(&id, KeyBuilder::new("meta").part(id.as_str()), time, Body::Meta(Box::new(body)));
    }

    fn turn_context(&mut self, context: &TurnContext, time: Option<Timestamp>) {
        self.state.model = context.model.cut(128).or(self.state.model.take());
        self.state.effort = context.effort.cut(64);
        if let Some(turn) = turn_of(&context.turn_id) {
            self.state.model_turn = Some(turn.clone());
            self.start_turn(turn, time);
        }
    }

    fn start_turn(&mut self, turn: String, time: Option<Timestamp>) {
        if self.state.turn.as_ref() == Some(&turn) {
            return;
        }
        self.state.turn = Some(turn.clone());
        let Some(owner) = self.owner_of(time).cloned() else { return };
        if !self.is_copy(time) {
            let time = uuid_v7_millis(&turn).map(Timestamp::from_millis).or(time);
            let key = KeyBuilder::new("turn").part(owner.as_str()).part(&turn);
            self.see(&owner, key, time, Body::Turn(Turn { turn }));
        }
    }

    fn token_usage_record(&mut self, record: &TokenUsageRecord, time: Option<Timestamp>) {
        let (Some(own), turn) = (self.own(), record.turn_id.cut(128)) else { return };
        let thread = record.thread_id.get().and_then(ThreadId::new).unwrap_or_else(|| own.clone());
        self.state.places.entry(thread.clone()).or_default().closed = true;
        let Some(usage) = record.usage.0.and_then(|u| u.tokens()) else {
            return self.count("transcript.record_without_usage");
        };
        let id = self.unique_response_id(turn.as_deref(), record.response_id.cut(256));
        let replayed = thread != own;
        self.response(&thread, turn, id, usage, time, replayed, false);
    }

    /// A response id that comes again within a turn is another response: transcripts hold each record once.
    fn unique_response_id(&mut self, turn: Option<&str>, id: Option<String>) -> String {
        if self.state.response_turn.as_deref() != turn {
            self.state.response_turn = turn.map(str::to_string);
            self.state.response_ids.clear();
        }
        let id = id.unwrap_or_default();
        let n = self.state.response_ids.entry(id.clone()).or_default();
        *n += 1;
        if *n == 1 { id } else { format!("{id}~{n}") }
    }

    #[allow(clippy::too_many_arguments)]
    fn response(
        &mut self,
        thread: &ThreadId,
        turn: Option<String>,
        id: String,
        usage: crate::model::TokenUsage,
        time: Option<Timestamp>,
        replayed: bool,
        from_token_count: bool,
    ) {
        // A copy carries the time of the fork; that of the turn, else of the thread, is the same in every copy.
        let copied = turn.as_deref().and_then(uuid_v7_millis).or(thread.created_millis()).map(Timestamp::from_millis);
        let time = if replayed { copied.or(time) } else { time };
        let kind = if replayed { "tur-copy" } else { "tur" };
        let key = KeyBuilder::new(kind).part(thread.as_str()).part(turn.as_deref().unwrap_or("")).part(&id);
        // A compaction at the start of a turn may be the work of the model before, or of that of the turn (Codex 0.169).
        let state = &self.state;
        let differs = |model: &Option<String>| model.as_ref().is_some_and(|m| Some(m) != state.model.as_ref());
        let early = turn != state.model_turn && !from_token_count;
        let model_in_doubt = early && (differs(&state.settings_model) || state.completed_model != state.model);
        let body = Response {
            model_in_doubt,
            turn,
            response_id: Some(id),
            usage,
            model: self.state.model.clone(),
            tier: self.state.tier.clone(),
            effort: self.state.effort.clone(),
            provider: self.state.provider.clone(),
            replayed,
            from_token_count,
            ..Response::default()
        };
        self.see(thread, key, time, Body::Response(Box::new(body)));
    }

    fn event(&mut self, part: &str, payload: &[u8], time: Option<Timestamp>) -> serde_json::Result<()> {
        match part {
            "token_count" => self.token_count(&serde_json::from_slice(payload)?, time),
            "task_started" => match turn_of(&serde_json::from_slice::<TurnEvent>(payload)?.turn_id) {
                Some(turn) => self.start_turn(turn, time),
                None if self.state.migrated => self.state.copied.may_begin(time),
                None => {}
            },
            "task_complete" | "turn_aborted" => {
                self.turn_end(&serde_json::from_slice(payload)?, time, part == "turn_aborted");
            }
            "thread_settings_applied" => {
                // Written at every start of a process from 0.148, before its first turn.
                if self.state.paginated {
                    self.state.counts.restart();
                }
                if let Some(settings) = serde_json::from_slice::<SettingsEvent>(payload)?.thread_settings.0 {
                    self.state.tier = settings.service_tier.cut(32);
                    self.state.settings_model = settings.model.cut(128).or(self.state.settings_model.take());
                    self.state.provider = settings.model_provider_id.cut(128).or(self.state.provider.take());
                }
            }
            "user_message" => {
                serde_json::from_slice::<Kind>(payload)?;
                self.prompt(time, None);
            }
            "item_completed" => self.item_completed(serde_json::from_slice(payload)?, time),
            "exec_command_end" => self.tool_end(&serde_json::from_slice(payload)?, time, Some("Bash")),
            "patch_apply_end" => self.tool_end(&serde_json::from_slice(payload)?, time, Some("apply_patch")),
            "mcp_tool_call_end" => self.tool_end(&serde_json::from_slice(payload)?, time, None),
            _ => self.unknown_part("event_msg", part),
        }
        Ok(())
    }

    fn token_count(&mut self, event: &TokenCount, time: Option<Timestamp>) {
        let Some(usage) = self.state.counts.take(event.info.0.as_ref()) else { return };
        let prompt = self.state.copied.response(time);
        if prompt.is_some() {
            self.prompt(prompt, None);
        }
        let Some(owner) = self.owner_of(time).cloned() else { return drop(self.own()) };
        let turn = self.state.turn.clone();
        let place = self.state.places.entry(owner.clone()).or_default();
        if !place.closed {
            let index = place.next(turn.as_deref());
            let replayed = self.is_copy(time);
            self.response(&owner, turn, format!("#{index}"), usage, time, replayed, true);
        }
    }
}
