//! What `serve` passes on, and to whom.

use super::context::Context;
use crate::config::ForwardConfig;
use crate::serve::Forward;
use anyhow::bail;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// From the flag, else the configuration; nothing if neither says where to. `own` is where the sink listens.
pub(super) fn forward(context: &Context, url: Option<&str>, own: &[SocketAddr]) -> anyhow::Result<Option<Forward>> {
    let configured = context.config.forward.clone();
    let config = match (url, configured) {
        // Headers are for one receiver only.
        (Some(url), Some(config)) if config.url == url => Some(config),
        (Some(url), _) => Some(ForwardConfig::to(url)),
        (None, configured) => configured,
    };
    if let Some(address) = config.as_ref().and_then(|config| own_address(&config.url, own)) {
        bail!(
            "{address} is this sink itself: it would pass everything on to itself, for ever; name the receiver behind it, or let \
             the sink listen elsewhere (--http)"
        );
    }
    config.map(|config| start(context, &config)).transpose()
}

/// The sink's own address, if that is what a URL leads to.
fn own_address(url: &str, own: &[SocketAddr]) -> Option<SocketAddr> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let given = authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = given.unwrap_or((authority, if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 }));
    // A name is only asked for where the port is ours.
    let own = own.iter().filter(|own| own.port() == port);
    own.copied().find(|own| {
        // An address of this machine is one that can be listened on.
        let here = |to: SocketAddr| own.ip().is_unspecified() && TcpListener::bind((to.ip(), 0)).is_ok();
        let to = (host.trim_matches(['[', ']']), port).to_socket_addrs();
        to.is_ok_and(|mut to| to.any(|to| to.ip().to_canonical() == own.ip().to_canonical() || here(to)))
    })
}

#[cfg(feature = "remote")]
fn start(context: &Context, config: &ForwardConfig) -> anyhow::Result<Forward> {
    use crate::remote::{Answer, Receiver};
    use crate::serve::{Costs, Delivery, HOPS, Parcel};
    use std::sync::Arc;

    let receiver = Receiver::new(&config.url, &config.headers, config.plain)?;
    let deliver = move |parcel: &Parcel| {
        // What a sink passes on again says so, lest it goes round for ever.
        let hops = (HOPS, parcel.hops.saturating_add(1).to_string());
        let gzip = parcel.gzip.then(|| ("content-encoding", "gzip".to_string()));
        let more: Vec<_> = gzip.into_iter().chain([hops]).collect();
        match receiver.send(parcel.signal, parcel.content_type, &more, parcel.body.clone()) {
            Answer::Taken => Delivery::Done,
            Answer::Later(after, why) => Delivery::Later(after, why),
            Answer::Refused(why) => Delivery::Never(why),
        }
    };
    let (for_store, for_inputs) = (context.clone(), context.clone());
    let costs = config.costs.then(|| Costs {
        open: Arc::new(move || Ok(Box::new(for_store.open()?))),
        inputs: Arc::new(move || for_inputs.inputs()),
    });
    let (folder, most_bytes) = (context.home.join("forward"), config.queue_mib.saturating_mul(1 << 20));
    Ok(Forward { folder, most_bytes, deliver: Arc::new(deliver), costs })
}

#[cfg(not(feature = "remote"))]
fn start(_: &Context, config: &ForwardConfig) -> anyhow::Result<Forward> {
    anyhow::bail!("this program was built without access to the web and cannot pass telemetry on to {}", config.url);
}
