//! A sink that speaks TLS, reached as Codex's exporter reaches it.

#[cfg(feature = "remote")]
use super::web::{body, builder, is_loopback};
#[cfg(feature = "remote")]
use anyhow::Context as _;
#[cfg(feature = "remote")]
use reqwest::{Certificate, Identity, Url, blocking::Client, header::CONTENT_TYPE, redirect::Policy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// `tls` of Codex's exporter (0.169).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerTls {
    /// `ca-certificate`: the only authority that is believed; without one, those of the machine.
    pub authority: Option<PathBuf>,
    /// `client-certificate` and `client-private-key`.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A sink elsewhere, or one that speaks TLS.
#[derive(Debug)]
pub struct Peer {
    #[cfg(feature = "remote")]
    url: Url,
    #[cfg(feature = "remote")]
    client: Client,
}

#[cfg(feature = "remote")]
impl Peer {
    /// `url` is where logs are sent: `https://tally.example.com:4318/v1/logs`.
    ///
    /// # Errors
    /// It is no URL, or a file of `tls` cannot be used; the message names it.
    pub fn new(url: &str, tls: &PeerTls, patience: Duration) -> anyhow::Result<Self> {
        let url = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
        let mut builder = builder(&url, url.host_str().is_some_and(is_loopback), patience).redirect(Policy::none());
        if let Some(path) = &tls.authority {
            let authority = Certificate::from_pem_bundle(&read(path)?);
            builder =
                builder.tls_certs_only(authority.with_context(|| format!("{} has no certificate", path.display()))?);
        }
        if let Some((certificate, key)) = &tls.identity {
            let identity = Identity::from_pem(&[read(certificate)?, b"\n".to_vec(), read(key)?].concat());
            let both = || format!("{} and {} are no certificate with its key", certificate.display(), key.display());
            builder = builder.identity(identity.with_context(both)?);
        }
        Ok(Peer { url, client: builder.build()? })
    }

    /// Asks for another path of the same host, with a query; returns what is answered.
    ///
    /// # Errors
    /// It cannot be reached, or its certificate is not believed.
    pub fn get(&self, path: &str, query: &str) -> anyhow::Result<String> {
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(Some(query));
        let answer = body(self.client.get(url).send().map_err(reqwest::Error::without_url)?)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends logs as the exporter does, with its headers; returns the status.
    ///
    /// # Errors
    /// As of `get`.
    pub fn send(&self, headers: &BTreeMap<String, String>, kind: &str, body: Vec<u8>) -> anyhow::Result<u16> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, kind).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        Ok(request.send().map_err(reqwest::Error::without_url)?.status().as_u16())
    }
}

#[cfg(feature = "remote")]
fn read(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(not(feature = "remote"))]
impl Peer {
    /// Says that this program cannot.
    ///
    /// # Errors
    /// Always.
    pub fn new(url: &str, _: &PeerTls, _: Duration) -> anyhow::Result<Self> {
        anyhow::bail!("this program was built without access to the web, so {url} is not asked")
    }

    /// There is none to ask.
    ///
    /// # Errors
    /// Always.
    pub fn get(&self, _: &str, _: &str) -> anyhow::Result<String> {
        anyhow::bail!("this program was built without access to the web")
    }

    /// There is none to send to.
    ///
    /// # Errors
    /// Always.
    pub fn send(&self, _: &BTreeMap<String, String>, _: &str, _: Vec<u8>) -> anyhow::Result<u16> {
        anyhow::bail!("this program was built without access to the web")
    }
}
