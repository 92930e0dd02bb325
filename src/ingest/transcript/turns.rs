//! Turns in transcripts: how they ended, and what the user asked.

use super::decode::Reader;
use super::migrated::turn_of;
use super::wire::TurnEvent;
use crate::model::{Body, KeyBuilder, Prompt, Timestamp, TurnEnd};

impl Reader {
    pub(super) fn turn_end(&mut self, event: &TurnEvent, time: Option<Timestamp>, aborted: bool) {
        let (Some(own), Some(turn)) = (self.own(), turn_of(&event.turn_id)) else { return };
        if !aborted && self.state.model_turn.as_ref() == Some(&turn) {
            self.state.completed_model = self.state.model.clone();
        }
        if !self.is_copy(time) {
            let key = KeyBuilder::new("turn-end").part(own.as_str()).part(&turn);
            let body = TurnEnd { turn, aborted, duration_ms: event.duration_ms.0 };
            self.see(&own, key, time, Body::TurnEnd(body));
        }
    }

    pub(super) fn prompt(&mut self, time: Option<Timestamp>, item: Option<&str>) {
        let Some(own) = self.own() else { return };
        let turn = self.state.turn.clone();
        if self.is_copy(time) {
            return if turn.is_none() {
                self.state.copied.prompt(time)
            };
        }
        let key = KeyBuilder::new("prompt").part(own.as_str()).part(turn.as_deref().unwrap_or(""));
        let key = match item {
            Some(id) => key.part(id),
            None => key.number(time.map_or(0, |t| t.0)),
        };
        self.see(&own, key, time, Body::Prompt(Prompt { turn }));
    }
}
