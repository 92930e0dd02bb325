//! What is kept of what is read: who users are, and what was said and done.

use crate::model::{Body, Capture, Content, Context, KeyBuilder, Observation, SourceKind, Timestamp, Users};
use crate::store::{Purge, Store};
use std::time::{SystemTime, UNIX_EPOCH};

/// What is kept of what is read.
#[derive(Debug, Clone, Default)]
pub struct Keeping {
    /// The name of the user that this process runs as; files of others are theirs.
    pub os_user: String,
    /// As whom users are known.
    pub users: Users,
    /// Which contents are kept.
    pub capture: Capture,
}

impl Keeping {
    /// Takes away contents that are too old by now, also if none are kept any more.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn expire(&self, store: &mut dyn Store) -> anyhow::Result<u64> {
        store.purge(&Purge::Before(self.capture.since(now())))
    }

    /// Contents that are not too old to be kept.
    pub(super) fn young(&self, mut contents: Vec<Content>) -> Vec<Content> {
        if !contents.is_empty() {
            let since = self.capture.since(now());
            contents.retain(|content| content.time >= since);
        }
        contents
    }

    /// Adds whose a transcript is, which it does not say itself, and lets users be known as they are to be.
    pub(super) fn users_of(&self, observations: &mut Vec<Observation>, owner: &str) {
        let mut owners = Vec::new();
        let owner = self.users.known_as(owner);
        for o in observations.iter_mut() {
            let Body::Meta(meta) = &mut o.body else { continue };
            // That there is an account tells of the login, whoever it is.
            meta.account = meta.account.take().map(|account| self.users.known_as(&account).unwrap_or_default());
            let Some(owner) = &owner else { continue };
            let context = Context { os_user: Some(owner.clone()), ..Context::default() };
            owners.push(Observation {
                thread: o.thread.clone(),
                key: KeyBuilder::new("file-owner").part(o.thread.as_str()).part(owner).build(),
                source: SourceKind::Transcript,
                time: Timestamp(0),
                body: Body::Context(Box::new(context)),
            });
        }
        observations.extend(owners);
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
