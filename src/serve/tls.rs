//! Encrypted doors: the sink's own certificate, and whose certificates clients must have.

use anyhow::{Context as _, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// How both doors are encrypted.
#[derive(Clone)]
pub struct Tls {
    http: Arc<ServerConfig>,
    grpc: Arc<ServerConfig>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads a certificate with its chain and its key, and, for mutual TLS, the authority that signs clients' certificates; all PEM.
    ///
    /// # Errors
    /// A file cannot be read, is empty, or does not fit the others; the message names it.
    pub fn read(certificate: &Path, key: &Path, clients: Option<&Path>) -> anyhow::Result<Self> {
        let chain = certificates(certificate)?;
        let secret = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("{} has no private key that can be read", key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).with_context(|| format!("{} has a bad certificate", path.display()))?;
                }
                builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
                )
            }
        };
        let config = builder.with_single_cert(chain, secret);
        let config = config.with_context(|| format!("{} and {} do not fit", certificate.display(), key.display()))?;
        let with = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        Ok(Tls { http: with(b"http/1.1"), grpc: with(b"h2") })
    }

    /// For OTLP/HTTP.
    pub(super) fn http(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.http))
    }

    /// For OTLP/gRPC.
    #[cfg(feature = "grpc")]
    pub(super) fn grpc(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.grpc))
    }
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read {}", path.display()))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().with_context(|| format!("{} is no PEM file", path.display()))?;
    if all.is_empty() {
        bail!("{} has no certificate", path.display());
    }
    Ok(all)
}
