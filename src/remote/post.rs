//! An OTLP/HTTP receiver elsewhere, to which requests are passed on.

use super::Answer;
use super::web::is_loopback;
use anyhow::{Context as _, bail};
use reqwest::blocking::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url, tls};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// A receiver with its headers.
#[derive(Debug)]
pub struct Receiver {
    base: Url,
    /// The same as it may be told: without a name and a password.
    shown: String,
    client: Client,
}

impl Receiver {
    /// `url` is the base, to which `/v1/logs` and so on are added.
    ///
    /// # Errors
    /// It is no URL, not encrypted although it is elsewhere and `plain` does not allow that, or a header is none.
    pub fn new(url: &str, headers: &BTreeMap<String, String>, plain: bool) -> anyhow::Result<Self> {
        let base = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
        let mut shown = base.clone();
        // A URL of HTTP can always do without them.
        let _ = (shown.set_username(""), shown.set_password(None));
        let shown = shown.as_str().trim_end_matches('/').to_string();
        let loopback = base.host_str().is_some_and(is_loopback);
        match base.scheme() {
            "https" => {}
            "http" if loopback || plain => {}
            "http" => bail!("{shown} is not encrypted; use https, or say `plain = true` under [forward]"),
            other => bail!("{other} is not spoken here; telemetry is passed on over https or http"),
        }
        if base.query().is_some() || base.fragment().is_some() {
            bail!("the receiver's URL is a base to which /v1/logs is added: it cannot have a query");
        }
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let key = HeaderName::try_from(name).with_context(|| format!("`{name}` is no header's name"))?;
            // The value may be a key, so it is not told.
            let mut value =
                HeaderValue::try_from(value).with_context(|| format!("the value of header {name} is none"))?;
            value.set_sensitive(true);
            all.insert(key, value);
        }
        // Someone else's choice, if one was made before, is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("codex-tally/", env!("CARGO_PKG_VERSION")))
            .default_headers(all)
            // Another host must not get the headers.
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .min_tls_version(tls::Version::TLS_1_2);
        if loopback {
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        Ok(Receiver { base, shown, client: builder.build()? })
    }

    /// Sends one request to `/v1/` of this signal, with more headers.
    pub fn send(
        &self,
        signal: &str,
        content_type: &'static str,
        more: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Answer {
        let url = format!("{}/v1/{signal}", self.base.as_str().trim_end_matches('/'));
        let mut request = self.client.post(&url).header(CONTENT_TYPE, content_type);
        for (name, value) in more {
            request = request.header(*name, value);
        }
        let response = match request.body(body).send() {
            Ok(response) => response,
            Err(e) => return Answer::Later(None, format!("{}: {}", self.shown, e.without_url())),
        };
        let status = response.status();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        let why = format!("{}/v1/{signal} answers {status}", self.shown);
        match status {
            s if s.is_success() => Answer::Taken,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Answer::Later(seconds.map(Duration::from_secs), why),
            // Wrong headers or a wrong address are put right by the user; what waits is not lost until then.
            s if s.is_redirection() => Answer::Later(None, why),
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            | StatusCode::REQUEST_TIMEOUT => Answer::Later(None, why),
            _ => Answer::Refused(why),
        }
    }
}
