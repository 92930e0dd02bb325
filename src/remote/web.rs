//! The HTTP client: one GET with a deadline and a limit, encrypted, never led to another host.

use super::{LIMIT, allowed, instead};
use anyhow::{Context as _, anyhow, bail};
use reqwest::blocking::{Client, ClientBuilder, Response};
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Url, tls};
use std::io::Read as _;
use std::time::Duration;

/// How often a host may send us on within itself.
const REDIRECTS: usize = 3;

/// Reads what is behind a URL.
///
/// # Errors
/// It is not allowed, not reachable, not there, too slow or too large; each says what else to do.
pub fn fetch(url: &str, patience: Duration) -> anyhow::Result<Vec<u8>> {
    let parsed = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
    let loopback = parsed.host_str().is_some_and(is_loopback);
    allowed(parsed.scheme() == "https", parsed.scheme() == "http" && loopback, url)?;
    let work = || -> anyhow::Result<Vec<u8>> {
        let response = client(&parsed, loopback, patience)?.get(parsed.clone()).send()?;
        read(&parsed, response)
    };
    work().map_err(|e| anyhow!("cannot read {url}: {e:#}{}", instead(url)))
}

pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn client(url: &Url, loopback: bool, patience: Duration) -> anyhow::Result<Client> {
    let origin = url.origin();
    let same_host = Policy::custom(move |attempt| {
        let within = attempt.url().origin() == origin && attempt.previous().len() <= REDIRECTS;
        if within { attempt.follow() } else { attempt.stop() }
    });
    Ok(builder(url, loopback, patience).redirect(same_host).build()?)
}

/// What all clients have in common.
pub(super) fn builder(url: &Url, loopback: bool, patience: Duration) -> ClientBuilder {
    // Someone else's choice, if one was made before, is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("codex-tally/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience)
        .timeout(patience)
        .min_tls_version(tls::Version::TLS_1_2);
    if loopback {
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // Nothing is encrypted: the machine's certificates need not be there.
        builder = builder.tls_certs_only([]);
    }
    builder
}

fn read(url: &Url, response: Response) -> anyhow::Result<Vec<u8>> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
        bail!("{} leads on to {to}, which is not followed", url.host_str().unwrap_or_default());
    }
    if !status.is_success() {
        bail!("the answer is {status}");
    }
    body(response)
}

/// The content of an answer, if it is not too much.
pub(super) fn body(response: Response) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let too_large = || anyhow!("it is larger than {} MiB", LIMIT / 1024 / 1024);
    if response.content_length().is_some_and(|length| length > LIMIT) {
        return Err(too_large());
    }
    response.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT { Err(too_large()) } else { Ok(bytes) }
}
