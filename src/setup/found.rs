//! What of ours stands in a file of Codex, known by what it says: the record of it may be lost with its home.

use super::config_toml::{Otel, handlers, is_remarked, parse};
use super::{Added, EVENTS, hooks_json, is_ours, words};
use std::net::SocketAddr;
use toml_edit::Item;

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The handlers that run our hook: event and command.
    pub handlers: Vec<(String, String)>,
    /// The exporter, if it is one of ours.
    pub exporter: Option<Exporter>,
}

/// An exporter that has a sink's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporter {
    /// The value as the file has it.
    pub text: String,
    /// Where it sends to.
    pub endpoint: String,
    /// The token that it sends.
    pub token: String,
    /// It is to the byte what `init` writes. Otherwise somebody has changed it.
    pub exact: bool,
    /// `trace_exporter = "none"` stands on the next line, where `init` puts it.
    traces: bool,
}

impl Found {
    /// What a file of Codex has of ours; nothing if it is not understood.
    pub fn of(path: &std::path::Path, text: &str) -> Self {
        if path.extension().is_some_and(|extension| extension == "json") {
            let handlers = hooks_json::commands(text).unwrap_or_default();
            let handlers = handlers.into_iter().filter(|(_, command)| is_ours(command)).collect();
            return Found { handlers, exporter: None };
        }
        let Ok(doc) = parse(text) else { return Found::default() };
        let hooks = doc.as_table().get("hooks").and_then(Item::as_table_like);
        let events = hooks.into_iter().flat_map(|hooks| hooks.iter());
        let handlers = events.flat_map(|(event, item)| {
            let commands = handlers(item).into_iter().filter(|command| is_ours(command));
            commands.map(|command| (event.to_string(), command.to_string())).collect::<Vec<_>>()
        });
        let handlers = handlers.collect();
        Found { handlers, exporter: exporter(text, doc.as_table()) }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.handlers.is_empty() && self.exporter.is_none()
    }

    /// What is to be taken out: what was recorded, and the handlers (and the exporter, if it is to go) that were not.
    pub fn added(&self, recorded: Option<&Added>, exporter: bool) -> Added {
        let mut added = recorded.cloned().unwrap_or_default();
        let unknown = |event: &&str| !added.events.iter().any(|known| known == event);
        let new: Vec<&str> = EVENTS.iter().map(|(event, _)| *event).filter(unknown).collect();
        let is_new = |(event, _): &(String, String)| new.contains(&event.as_str());
        // Trust in them came with them.
        added.without_state |= self.handlers.iter().any(is_new);
        added.new_events.extend(new.iter().map(ToString::to_string));
        let known = |found: &&Exporter| added.exporter.as_ref() == Some(&found.text);
        if let Some(found) = self.exporter.as_ref().filter(|found| exporter && found.exact && !known(found)) {
            added.take_exporter(found);
        }
        added
    }
}

impl Added {
    /// The exporter was put in by us, and nothing stood there before as far as anybody knows.
    pub fn take_exporter(&mut self, found: &Exporter) {
        self.otel = vec![("exporter".to_string(), None)];
        self.otel.extend(found.traces.then(|| ("trace_exporter".to_string(), None)));
        self.exporter = Some(found.text.clone());
        self.created_otel = true;
    }
}

/// The home that a command names; without one it is that of the environment.
pub fn home_of(command: &str) -> Option<String> {
    let mut words = words(command).into_iter();
    words.find(|word| word == "--home")?;
    words.next()
}

/// What `init --system` has put into a file of the managed layer, by what it says; nothing if it is not understood.
pub fn managed(text: &str) -> Added {
    let Ok(doc) = parse(text) else { return Added::default() };
    let found = Found::of(std::path::Path::new(super::REQUIREMENTS), text);
    let mut added = found.added(None, false);
    added.events = found.handlers.into_iter().map(|(event, _)| event).collect();
    let hooks = doc.as_table().get("hooks").and_then(Item::as_table);
    added.created_hooks = hooks.is_some_and(|hooks| is_remarked(text, hooks));
    if let Some(text) = without_token(text, doc.as_table()) {
        added.otel = ["exporter", "trace_exporter"].map(|key| (key.to_string(), None)).to_vec();
        added.created_otel = true;
        added.exporter = Some(text);
    }
    added
}

/// The exporter that `init --system` writes, if it is to the byte what it writes.
fn without_token(text: &str, root: &toml_edit::Table) -> Option<String> {
    let item = root.get("otel")?.as_table()?.get("exporter")?;
    let http = item.as_table_like()?.get("otlp-http")?.as_table_like()?;
    let address = http.get("endpoint")?.as_str()?.strip_prefix("http://")?.strip_suffix("/v1/logs")?;
    let headers = http.get("headers").and_then(Item::as_table_like).into_iter().flat_map(|headers| headers.iter());
    let headers = headers.map(|(name, value)| Some((name.to_string(), value.as_str()?.to_string())));
    let headers: Vec<(String, String)> = headers.collect::<Option<_>>()?;
    let team = headers.iter().all(|(name, _)| name == "x-team");
    let written = Otel { headers, ..Otel::of_sink(address.parse().ok()?, None) }.value();
    (team && text[item.span()?] == written).then_some(written)
}

/// Our plugin, if Codex's configuration has it and it is not switched off.
pub fn plugin(config: &str) -> Option<String> {
    let table: toml::Table = config.parse().ok()?;
    let ours = |(id, plugin): (&String, &toml::Value)| {
        let on = plugin.get("enabled").and_then(toml::Value::as_bool) != Some(false);
        (on && id.split('@').next() == Some("codex-tally")).then(|| id.clone())
    };
    table.get("plugins")?.as_table()?.iter().find_map(ours)
}

/// The exporter that a value is, if it has the token of a sink.
pub fn exporter_of(text: &str) -> Option<Exporter> {
    let document = format!("[otel]\nexporter = {text}\n");
    exporter(&document, parse(&document).ok()?.as_table())
}

fn exporter(text: &str, root: &toml_edit::Table) -> Option<Exporter> {
    let otel = root.get("otel")?.as_table()?;
    let item = otel.get("exporter")?;
    let (_, transport) = item.as_table_like()?.iter().next()?;
    let transport = transport.as_table_like()?;
    let endpoint = transport.get("endpoint")?.as_str()?;
    let authorization = transport.get("headers")?.as_table_like()?.get("authorization")?.as_str()?;
    let token = authorization.strip_prefix("Bearer ")?;
    let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"))?;
    let host = ["127.", "localhost:", "[::1]:"].iter().any(|host| rest.starts_with(host));
    if !host || token.len() != 64 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let span = item.span();
    let value = span.clone().map(|span| text[span].to_string()).unwrap_or_default();
    let address = rest.strip_suffix("/v1/logs").and_then(|address| address.parse::<SocketAddr>().ok());
    let exact = address.is_some_and(|address| Otel::of_sink(address, Some(token)).value() == value);
    let next = span.and_then(|span| text[span.end..].split_once('\n')).map(|(_, next)| next);
    let traces = next.is_some_and(|next| next.lines().next() == Some("trace_exporter = \"none\""));
    Some(Exporter { text: value, endpoint: endpoint.to_string(), token: token.to_string(), exact, traces })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{AddToml, add_toml, remove_toml};
    use std::path::Path;

    #[test]
    fn all_of_it_is_found_and_goes_without_a_record() {
        let token = "0123456789abcdef".repeat(4);
        let otel = Otel::of_sink("127.0.0.1:4318".parse().unwrap(), Some(&token));
        let command = "'/opt/a b/codex-tally-hook' --home '/x y'";
        let wanted = AddToml { command: Some(command.to_string()), exporter: Some(otel), ..AddToml::default() };
        for text in ["", "model = \"x\"\n", "[otel]\nenvironment = \"x\"\n", "[otel.x]\ny = 1\n", "# a\r\nb = 1\r\n"] {
            let with = add_toml(text, &wanted).unwrap().text;
            let found = Found::of(Path::new("config.toml"), &with);
            assert_eq!(found.handlers.len(), EVENTS.len(), "{with}");
            assert!(found.handlers.iter().all(|(_, found)| found == command && home_of(found).unwrap() == "/x y"));
            let exporter = found.exporter.clone().unwrap();
            assert!(exporter.exact && exporter.token == token, "{with}");
            let out = remove_toml(&with, &|_, command| is_ours(command), &found.added(None, true), &[], &[]);
            assert_eq!(out.unwrap(), text);
        }
    }

    #[test]
    fn the_managed_layer_comes_back_without_a_record() {
        let otel = Otel::of_sink("127.0.0.1:4318".parse().unwrap(), None);
        let with_team = Otel { headers: vec![("x-team".into(), "search".into())], ..otel.clone() };
        for otel in [Some(otel), Some(with_team), None] {
            for text in
                ["", "allow_managed_hooks_only = true\n", "[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ncommand = \"mine\"\n"]
            {
                let wanted = AddToml {
                    command: Some("/opt/codex-tally-hook".into()),
                    managed_dir: Some("/opt".into()),
                    exporter: otel.clone(),
                    replaces: None,
                };
                let with = add_toml(text, &wanted).unwrap().text;
                let added = managed(&with);
                assert_eq!(added.events.len(), EVENTS.len(), "{with}");
                let out = remove_toml(&with, &|_, command| is_ours(command), &added, &[], &[]).unwrap();
                assert_eq!(out, text, "{with}");
            }
        }
        // An exporter that somebody else has demanded, and a folder that was there before, are theirs.
        let theirs = "[hooks]\nmanaged_dir = \"/opt\"\n\n[otel]\nexporter = { otlp-http = { endpoint = \"http://127.0.0.1:4318/v1/logs\", protocol = \"json\" } }\n";
        let added = managed(theirs);
        assert!(added.is_empty() && !added.created_hooks && added.exporter.is_none(), "{added:?}");
    }

    #[test]
    fn our_plugin_is_known() {
        let id = "[plugins.\"codex-tally@acme\"]\n";
        assert_eq!(plugin(&format!("{id}enabled = true\n")).as_deref(), Some("codex-tally@acme"));
        assert_eq!(plugin(&format!("{id}enabled = false\n")), None);
        assert_eq!(plugin("[plugins.\"other@codex-tally\"]\nenabled = true\n"), None);
    }

    #[test]
    fn what_others_wrote_is_theirs() {
        let vendor = "[otel]\nexporter = { otlp-http = { endpoint = \"https://x/v1/logs\", protocol = \"binary\", headers = { \"authorization\" = \"Bearer abc\" } } }\n";
        assert!(Found::of(Path::new("config.toml"), vendor).is_empty());
        let token = "0123456789abcdef".repeat(4);
        let changed = vendor.replace("https://x", "http://127.0.0.1:1").replace("abc", &token);
        assert!(Found::of(Path::new("config.toml"), &changed).exporter.unwrap().exact);
        let changed = changed.replace("binary", "json");
        assert!(!Found::of(Path::new("config.toml"), &changed).exporter.unwrap().exact, "but it has a token");
        assert_eq!(home_of("codex-tally-hook"), None);
        assert_eq!(home_of("codex-tally-hook --home /a").as_deref(), Some("/a"));
    }
}
