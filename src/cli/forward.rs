//! What `serve` passes on, and to whom.

use super::context::Context;
use crate::config::ForwardConfig;
use crate::serve::Forward;

/// From the flag, else the configuration; nothing if neither says where to.
pub(super) fn forward(context: &Context, url: Option<&str>) -> anyhow::Result<Option<Forward>> {
    let configured = context.config.forward.clone();
    let config = match (url, configured) {
        // Headers are for one receiver only.
        (Some(url), Some(config)) if config.url == url => Some(config),
        (Some(url), _) => Some(ForwardConfig::to(url)),
        (None, configured) => configured,
    };
    config.map(|config| start(context, &config)).transpose()
}

#[cfg(feature = "remote")]
fn start(context: &Context, config: &ForwardConfig) -> anyhow::Result<Forward> {
    use crate::remote::{Answer, Receiver};
    use crate::serve::{Costs, Delivery, Parcel};
    use std::sync::Arc;

    let receiver = Receiver::new(&config.url, &config.headers, config.plain)?;
    let deliver = move |parcel: &Parcel| match receiver.send(
        parcel.signal,
        parcel.content_type,
        parcel.gzip,
        parcel.body.clone(),
    ) {
        Answer::Taken => Delivery::Done,
        Answer::Later(after, why) => Delivery::Later(after, why),
        Answer::Refused(why) => Delivery::Never(why),
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
