//! Who pays for a response: each field decided on its own, with its reason.

use super::rules::{self, Subjects};
use super::threads::Group;
use crate::model::{
    Body, Context, Day, Meta, Observation, Owner, OwnerField, Rules, SourceKind, Strength, Subject, Timestamp,
    uuid_v7_millis,
};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// Where telemetry says whether it is of production or of something else, the most explicit one first: the last is what Codex
/// sends by itself for `otel.environment` (0.169).
const ENVIRONMENT: [&str; 3] = ["deployment.environment.name", "deployment.environment", "env"];

/// Where an owner is claimed, the most explicit name first.
const TEAM: &[&str] = &["CODEX_TALLY_TEAM", "team.id", "team", "department"];
const COST_CENTRE: &[&str] = &["cost_centre", "cost_center"];
const PROJECT: &[&str] = &["project"];
const USER: &[&str] = &["user.email"];

/// Everything that a context claims under these names.
fn claims<'c>(context: &'c Context, names: &'static [&'static str]) -> impl Iterator<Item = String> + 'c {
    let header = context.team_header.as_ref().filter(|_| names == TEAM);
    let all = names.iter().filter_map(|name| context.attributes.get(*name)).chain(header);
    all.map(|raw| raw.trim()).filter(|raw| !raw.is_empty()).map(percent_decode)
}

/// What is known of a moment besides its claims.
#[derive(Clone, Copy)]
pub(super) struct Moment<'m> {
    pub time: Timestamp,
    /// The program the user started.
    pub client: &'m str,
    /// The model provider.
    pub provider: Option<&'m str>,
    /// The context of the telemetry's own record of it, if there is one.
    pub told_by: Option<u64>,
}

/// The teams that share a cost, with their weights.
pub(super) type Shares = Vec<(String, u64)>;

/// What the processes of a session said, and when. Subagents, reviews and guardians are always the root's.
pub(super) struct Claims<'a> {
    contexts: HashMap<u64, &'a Context>,
    otlp: BTreeMap<Timestamp, u64>,
    /// By the time of the turn: a hook's own clock is not Codex's.
    hook: BTreeMap<Timestamp, u64>,
    /// By the hook's clock, of hooks that belong to no turn; used if there are no others.
    hook_clock: BTreeMap<Timestamp, u64>,
    file_owner: Option<&'a str>,
    meta: Option<&'a Meta>,
    /// The session's working directory as a hook told it.
    cwd: Option<&'a str>,
    /// What was decided last: responses that follow each other mostly have all in common that decides.
    last: RefCell<Option<(Deciding, (Owner, Shares))>>,
}

/// What decides, within a session and under the same rules: the contexts in force and of the record, the day, the provider.
type Deciding = ([Option<u64>; 3], Day, Option<String>);

impl<'a> Claims<'a> {
    pub fn of(group: &Group<'a>) -> Self {
        let mut claims = Claims {
            contexts: HashMap::new(),
            otlp: BTreeMap::new(),
            hook: BTreeMap::new(),
            hook_clock: BTreeMap::new(),
            file_owner: None,
            meta: group.root().meta().or_else(|| group.threads.iter().find_map(|t| t.meta())),
            cwd: None,
            last: RefCell::default(),
        };
        for o in group.observations() {
            if let Body::Context(context) = &o.body {
                claims.contexts.insert(context.id, context);
                if o.source == SourceKind::Transcript {
                    claims.file_owner = claims.file_owner.or(context.os_user.as_deref());
                }
            }
        }
        group.root().observations.iter().for_each(|o| claims.sight(o));
        // What was lost of the root its subagents may have: they run in the same process.
        let lost = [claims.otlp.is_empty(), claims.hooks().is_empty()];
        for o in group.observations().filter(|o| lost[usize::from(o.source == SourceKind::Hook)]) {
            claims.sight(o);
        }
        claims
    }

    fn sight(&mut self, o: &'a Observation) {
        let (ctx, turn) = match &o.body {
            Body::Sighting(s) => {
                self.cwd = self.cwd.or(s.cwd.as_deref());
                (Some(s.ctx), s.turn.as_deref())
            }
            Body::Response(r) => (r.ctx, r.turn.as_deref()),
            _ => (None, None),
        };
        let Some(ctx) = ctx.filter(|ctx| self.contexts.contains_key(ctx)) else { return };
        let turn = turn.and_then(uuid_v7_millis).map(Timestamp::from_millis);
        match (o.source, turn) {
            (SourceKind::Hook, Some(time)) => self.hook.insert(time, ctx),
            (SourceKind::Hook, None) => self.hook_clock.insert(o.time, ctx),
            _ => self.otlp.insert(o.time, ctx),
        };
    }

    fn hooks(&self) -> &BTreeMap<Timestamp, u64> {
        if self.hook.is_empty() { &self.hook_clock } else { &self.hook }
    }

    /// The context in force at a moment: the last one seen before it, else the first one after.
    fn at(&self, sightings: &BTreeMap<Timestamp, u64>, time: Timestamp) -> Option<&'a Context> {
        let ctx = sightings.range(..=time).next_back().or_else(|| sightings.iter().next())?.1;
        self.contexts.get(ctx).copied()
    }

    /// The telemetry context of a moment.
    pub fn otlp_at(&self, time: Timestamp) -> Option<&'a Context> {
        self.at(&self.otlp, time)
    }

    /// Decides the owner at a moment, and which teams share the cost. The rules and the client are always the same.
    pub fn owner(&self, moment: Moment<'_>, rules: &Rules) -> (Owner, Shares) {
        let says = self.says(moment.time);
        let day = moment.time.day();
        let id = |context: Option<&Context>| context.map(|c| c.id);
        let deciding = ([id(says.otlp), id(says.hook), moment.told_by], day, moment.provider.map(str::to_string));
        if let Some((_, decided)) = self.last.borrow().as_ref().filter(|(same, _)| *same == deciding) {
            return decided.clone();
        }
        let decided = self.decide(&says, moment, rules);
        *self.last.borrow_mut() = Some((deciding, decided.clone()));
        decided
    }

    fn decide(&self, says: &Says<'_>, moment: Moment<'_>, rules: &Rules) -> (Owner, Shares) {
        let mut owner = self.claimed(says);
        let mut shares = Shares::new();
        if !rules.is_empty() {
            let subjects = self.subjects_of(says, &owner, moment);
            shares = rules::apply(rules, &subjects, moment.time.day(), &mut owner);
        }
        (owner, shares)
    }

    /// What rules can look at, at a moment, in a fixed order.
    pub fn subjects(&self, moment: Moment<'_>) -> Vec<(Subject, String)> {
        let says = self.says(moment.time);
        self.subjects_of(&says, &self.claimed(&says), moment).list()
    }

    /// What the processes say at a moment.
    fn says(&self, time: Timestamp) -> Says<'a> {
        let (otlp, hook) = (self.otlp_at(time), self.at(self.hooks(), time));
        let service = otlp.and_then(|c| c.service.as_deref());
        let source = self.meta.and_then(|m| m.source.as_deref());
        let first_hand = match service {
            Some(service) => matches!(service, "codex_exec" | "codex_cli_rs"),
            None => matches!(source, Some("exec" | "cli")),
        };
        Says { first_hand, speaker: service.or(source).unwrap_or("an unknown process"), otlp, hook }
    }

    /// The owner without any rule.
    fn claimed(&self, says: &Says<'_>) -> Owner {
        let team = says.field("team", TEAM, true);
        let cost_centre = says.field("cost centre", COST_CENTRE, false);
        let project = says.field("project", PROJECT, false);
        let project = if project.is_attributed() { project } else { self.inferred_project().unwrap_or(project) };
        Owner { team, cost_centre, project, user: self.user(says), labels: BTreeMap::new(), contradicted: false }
    }

    /// What rules can look at, whoever says it.
    fn subjects_of<'s>(&'s self, says: &Says<'s>, owner: &Owner, moment: Moment<'s>) -> Subjects<'s> {
        let contexts = || says.hook.into_iter().chain(says.otlp);
        // Who delivers a record cannot choose whose credential it is, whatever session it says that it is of.
        let own = moment.told_by.and_then(|ctx| self.contexts.get(&ctx).copied());
        let login = says.otlp.and_then(|c| c.email.as_deref());
        let mut subjects =
            Subjects { attributes: contexts().map(|c| &c.attributes).collect(), login, ..Subjects::default() };
        subjects.claims = [TEAM, COST_CENTRE, PROJECT, USER]
            .map(|names| contexts().chain(own).flat_map(|context| claims(context, names)).collect());
        let mut add = |subject: Subject, text: Option<Cow<'s, str>>| {
            subjects.texts.extend(text.map(|text| (subject, text)));
        };
        let lent = |text: Option<&'s str>| text.map(Cow::Borrowed);
        add(Subject::Credential, lent(own.or(says.otlp).and_then(|c| c.credential.as_deref())));
        add(Subject::Header, lent(says.otlp.and_then(|c| c.team_header.as_deref())));
        add(Subject::Email, lent(login));
        contexts().for_each(|c| add(Subject::Email, lent(c.attributes.get("user.email").map(String::as_str))));
        add(Subject::Account, lent(says.otlp.and_then(|c| c.account.as_deref())));
        add(Subject::Account, lent(self.meta.and_then(|m| m.account.as_deref()).filter(|a| !a.is_empty())));
        add(Subject::Repository, self.repository().map(Cow::Owned));
        add(Subject::Directory, lent(self.meta.and_then(|m| m.cwd.as_deref())));
        add(Subject::Directory, lent(self.cwd));
        contexts().for_each(|c| add(Subject::Host, lent(c.host.as_deref())));
        for context in contexts() {
            let environment = ENVIRONMENT.iter().find_map(|name| context.attributes.get(*name));
            add(Subject::Environment, environment.map(|v| Cow::Owned(percent_decode(v.trim()))));
        }
        add(Subject::Client, lent(Some(moment.client)));
        add(Subject::Provider, moment.provider.map(|p| Cow::Owned(p.to_ascii_lowercase())));
        add(Subject::User, owner.user.is_attributed().then(|| Cow::Owned(owner.user.value.clone())));
        subjects
    }

    fn repository(&self) -> Option<String> {
        self.meta.and_then(|m| m.git_remote.as_deref()).and_then(repository_of)
    }

    fn inferred_project(&self) -> Option<OwnerField> {
        let inferred = |value: String, why: &str| OwnerField {
            value,
            strength: Strength::Inferred,
            why: format!("inferred: {why}"),
        };
        let remote = self.repository();
        let cwd = self.meta.and_then(|m| m.cwd.as_deref());
        remote
            .map(|value| inferred(value, "git remote"))
            .or_else(|| cwd.map(|c| inferred(c.to_string(), "the session's working directory")))
            .or_else(|| self.cwd.map(|c| inferred(c.to_string(), "the session's working directory, told by a hook")))
    }

    fn user(&self, says: &Says<'_>) -> OwnerField {
        let inferred = |value: &str, why: &str| OwnerField {
            value: value.to_string(),
            strength: Strength::Inferred,
            why: format!("inferred: {why}"),
        };
        let declared = says.field("user", USER, false);
        if declared.is_attributed() {
            return declared;
        }
        let email = says.otlp.and_then(|c| c.email.as_deref());
        let account = says.otlp.and_then(|c| c.account.as_deref());
        // An account that is there and has no name tells that there is a login, and not whose.
        let account = account.or(self.meta.and_then(|m| m.account.as_deref())).filter(|account| !account.is_empty());
        let ci =
            says.hook.and_then(|c| ["GITHUB_REPOSITORY", "CI_PROJECT_PATH"].iter().find_map(|v| c.attributes.get(*v)));
        let os_user = says.hook.and_then(|c| c.os_user.as_deref());
        email
            .map(|v| inferred(v, "user.email of the login"))
            .or_else(|| account.map(|v| inferred(v, "account id of the login")))
            .or_else(|| ci.map(|v| inferred(&format!("ci:{v}"), "the CI's repository")))
            .or_else(|| os_user.map(|v| inferred(v, "operating system user of the hook")))
            .or_else(|| self.file_owner.map(|v| inferred(v, "owner of the transcript file")))
            .unwrap_or(declared)
    }
}

/// What the processes of a moment say of themselves, and whether they may.
struct Says<'a> {
    first_hand: bool,
    speaker: &'a str,
    otlp: Option<&'a Context>,
    hook: Option<&'a Context>,
}

impl Says<'_> {
    /// The first of these attributes that anyone claims. A daemon's claim is that of its first terminal: shown, never used.
    fn field(&self, what: &str, names: &[&str], team: bool) -> OwnerField {
        let attributes = names.iter().find_map(|name| {
            let of =
                |c: Option<&Context>| c.and_then(|c| c.attributes.get(*name)).filter(|v| !v.trim().is_empty()).cloned();
            of(self.hook)
                .map(|v| (v, format!("{name} in the hook's environment")))
                .or_else(|| of(self.otlp).map(|v| (v, format!("{name} in the telemetry"))))
        });
        let header = || {
            let value = self.otlp.and_then(|c| c.team_header.clone()).filter(|_| team);
            value.map(|v| (v, "the exporter's X-Team header".to_string()))
        };
        let Some((raw, where_from)) = attributes.or_else(header) else {
            return OwnerField::unattributed(format!("nothing declares a {what}"));
        };
        let value = percent_decode(raw.trim());
        if self.first_hand {
            OwnerField { value, strength: Strength::FirstHand, why: format!("declared: {where_from}") }
        } else {
            let why = format!("{} claims {value} ({where_from}), but speaks for others: not used", self.speaker);
            OwnerField { strength: Strength::SecondHand, ..OwnerField::unattributed(why) }
        }
    }
}

/// `OTEL_RESOURCE_ATTRIBUTES` is percent-encoded by its users and sent still encoded (Codex 0.169).
pub(super) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match hex.filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_string())
}

/// `owner/name` of a git remote, without host, credentials and `.git`.
fn repository_of(remote: &str) -> Option<String> {
    let path = match remote.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => remote.split_once(':').map_or(remote, |(_, path)| path),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!path.is_empty()).then(|| path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_name_repositories() {
        for remote in [
            "git@github.com:acme/api.git",
            "https://github.com/acme/api.git",
            "https://user:secret@github.com/acme/api",
            "ssh://git@github.com/acme/api.git/",
        ] {
            assert_eq!(repository_of(remote).as_deref(), Some("acme/api"), "{remote}");
        }
        assert_eq!(repository_of("https://github.com"), None);
    }

    #[test]
    fn percent_encoding_is_undone_where_it_is_one() {
        assert_eq!(percent_decode("R%26D%20core"), "R&D core");
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%ff"), "%zz%ff");
        assert_eq!(percent_decode("é%"), "é%");
    }
}
