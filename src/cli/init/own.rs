//! What `init` writes into our own files in the home.

use super::super::context::Context;
use super::super::edits::{self, Change};
use super::super::serve;
use super::super::sink::{Listener, who_listens};
use super::Plan;
use crate::setup;
use anyhow::Context as _;
use std::net::{SocketAddr, TcpListener};

/// Ports that are tried if the usual one is somebody else's.
const PORTS: std::ops::Range<u16> = 4320..4420;

/// Where the sink listens: as our configuration says, else on the usual port or the next free one. It is written down.
pub(super) fn config(context: &Context, plan: &mut Plan) -> anyhow::Result<SocketAddr> {
    if let Some(http) = context.config.sink.http {
        return Ok(http);
    }
    let mine = |address| {
        let listener = who_listens(address, Some(&plan.token))?;
        anyhow::Ok(matches!(listener, Listener::Nobody | Listener::Ours(_)))
    };
    let mut http = serve::HTTP;
    if !mine(http)? {
        let free = PORTS.map(|port| SocketAddr::new(http.ip(), port)).find(|a| TcpListener::bind(a).is_ok());
        let free = free.context("no free port was found for the sink; write one into `[sink]` of its config.toml")?;
        plan.notes.push(format!("{http} is taken by another program, so the sink is to listen on {free}"));
        http = free;
    }
    // What Codex does not use must not keep the sink from starting.
    let usual: Option<SocketAddr> = serve::GRPC.parse().ok();
    let ours = matches!(who_listens(http, Some(&plan.token))?, Listener::Ours(_));
    let grpc = usual.filter(|usual| !ours && TcpListener::bind(usual).is_err()).map(|_| "none");
    let path = context.config_path();
    let old = edits::read(path)?;
    let new = setup::add_sink(old.as_deref().unwrap_or_default(), &http.to_string(), grpc)
        .map_err(|why| anyhow::anyhow!("{} is left as it is: {why}", path.display()))?;
    plan.record.own_grpc |= !plan.record.sink && context.config.sink.grpc.is_some();
    plan.record.sink = true;
    plan.record.http = Some(http.to_string());
    plan.record.created_config |= old.is_none();
    plan.changes.push(Change { path: path.to_path_buf(), old, new: Some(new), mode: 0o600 });
    Ok(http)
}

/// A rule that gives every session of this home to a team.
pub(super) fn team(context: &Context, team: Option<&str>, plan: &mut Plan) -> anyhow::Result<()> {
    let Some(team) = team else { return Ok(()) };
    let path = context.home.join("teams.toml");
    let value = toml::Value::from(team);
    let rule = format!(
        "# Whose the sessions of this machine are. More rules: docs/teams.md.\n[[rule]]\nname = \"init\"\nteam = {value}\n"
    );
    match edits::read(&path)? {
        Some(old) if old == rule => {}
        Some(_) => {
            plan.notes.push(format!("{} is there already and decides on teams; it stays as it is", path.display()))
        }
        None => plan.changes.push(Change { path, old: None, new: Some(rule), mode: 0o600 }),
    }
    Ok(())
}
