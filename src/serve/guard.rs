//! Who may ask. A web page must not reach the sink through the user's browser, nor another user through the port.

use super::{Auth, Credential};
use hyper::Version;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use subtle::ConstantTimeEq;

/// The hosts by which the sink may be called. A name that a page's owner can point at 127.0.0.1 (DNS rebinding) is none.
#[derive(Debug)]
pub(super) struct Hosts(Vec<Host>);

/// A host is compared as what it is, never as a prefix or a suffix of a text.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl Hosts {
    /// Loopback, the addresses listened on (unless one is "all"), and the configured ones.
    pub(super) fn new(listening: &[IpAddr], configured: &[String]) -> Self {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let mut hosts: Vec<Host> = loopback.into_iter().map(Host::Address).collect();
        hosts.push(Host::Name("localhost".to_string()));
        hosts.extend(listening.iter().filter(|address| !address.is_unspecified()).copied().map(Host::Address));
        hosts.extend(configured.iter().map(|host| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            bare.parse().map_or_else(|_| Host::Name(host.to_ascii_lowercase()), Host::Address)
        }));
        Hosts(hosts)
    }

    /// Whether exactly one host is named, and it is one of ours. In HTTP/2 the authority takes the place of the header.
    pub(super) fn allow(&self, head: &Parts) -> bool {
        let known = |host: &str| parse_host(host).is_some_and(|host| self.0.contains(&host));
        let authority = head.uri.authority();
        let mut named = head.headers.get_all(HOST).iter();
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().is_ok_and(known),
            (None, _) => head.version == Version::HTTP_2 && authority.is_some(),
            (Some(_), Some(_)) => false,
        };
        host && authority.is_none_or(|authority| known(authority.as_str()))
    }
}

/// Reads `HOST[:PORT]`. Any port will do: a tunnel may change it, and a page cannot gain by it.
fn parse_host(text: &str) -> Option<Host> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (Host::Address(IpAddr::V6(address.parse().ok()?)), port)
        }
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let host =
                name.parse().map_or_else(|_| Host::Name(name.to_ascii_lowercase()), |v4| Host::Address(IpAddr::V4(v4)));
            (host, port)
        }
    };
    let digits = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let in_range = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let good_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| digits(port) && in_range(port));
    good_port.then_some(host)
}

/// Whether a browser sent the request on behalf of a page. Exporters send neither header.
pub(super) fn is_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.get_all("sec-fetch-site").iter().any(|site| site != "none")
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The name of the credential that was shown; none is that of the sink's own token, or of nobody.
    pub credential: Option<String>,
}

/// Who the request is of, if it may be let in. Tokens are compared in a time that does not depend on where they differ, nor on
/// which of them it is.
pub(super) fn caller(auth: &Auth, credentials: &[Credential], headers: &HeaderMap) -> Option<Caller> {
    let given = bearer(headers);
    let of = |given: &[u8]| {
        let hash = Sha256::digest(given);
        let found = credentials.iter().fold(None, |found, credential| {
            if bool::from(credential.sha256[..].ct_eq(&hash[..])) { Some(credential) } else { found }
        });
        found.map(|credential| credential.name.clone())
    };
    let credential = given.and_then(of);
    let own = match auth {
        Auth::None => true,
        Auth::Token(token) => given.is_some_and(|given| bool::from(given.ct_eq(token.as_bytes()))),
    };
    (own || credential.is_some()).then_some(Caller { credential })
}

/// The one token of a request.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(given), None) = (given.next(), given.next()) else { return None };
    let (scheme, given) = given.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_hosts_are_ours() {
        let hosts =
            Hosts::new(&[IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5))], &["Ledger.example".into(), "[fd00::1]".into()]);
        let known = |host: &str| parse_host(host).is_some_and(|host| hosts.0.contains(&host));
        let good = [
            "127.0.0.1",
            "127.0.0.1:4318",
            "127.0.0.1:1",
            "127.0.0.1:65535",
            "localhost",
            "LocalHost:4318",
            "[::1]",
            "[::1]:4318",
            "[0:0:0:0:0:0:0:1]:80",
            "10.0.0.5:4318",
            "ledger.example",
            "LEDGER.EXAMPLE:443",
            "[fd00::1]:9",
        ];
        for host in good {
            assert!(known(host), "{host}");
        }
        let bad = [
            "",
            " ",
            ":",
            ":4318",
            "127.evil.com",
            "127.0.0.1.evil.com",
            "127.0.0.1.",
            "localhost.",
            "localhost.evil.com",
            "evil-localhost",
            "user@localhost",
            "user:pw@127.0.0.1",
            "localhost@evil.com",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:+80",
            "127.0.0.1:80:80",
            "127.0.0.1:8 0",
            "127.0.0.1:x",
            "127.0.0.1:000080",
            "127.1",
            "127.0.0.01",
            "0x7f.1",
            "2130706433",
            "0.0.0.0",
            "127.0.0.2",
            "10.0.0.6",
            "::1",
            "::1:4318",
            "[::1",
            "[::1]4318",
            "[::1].",
            "[::1]:",
            "[::ffff:127.0.0.1]",
            "[::]",
            "[127.0.0.1]",
            "localhost,evil.com",
            "localhost/",
            "localhost#",
            "ledger.example.",
            "example",
            "\u{ff11}27.0.0.1",
        ];
        for host in bad {
            assert!(!known(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_compared_whole() {
        let auth = Auth::Token("secret".into());
        let given = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            caller(&auth, &[], &headers).is_some()
        };
        assert!(given("Bearer secret") && given("bearer secret"));
        for bad in
            ["Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer  secret", "Basic secret", "secret", ""]
        {
            assert!(!given(bad), "{bad}");
        }
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, "Bearer secret".parse().unwrap());
        twice.append(AUTHORIZATION, "Bearer other".parse().unwrap());
        let is_let_in = |auth: &Auth, headers: &HeaderMap| caller(auth, &[], headers).is_some();
        assert!(!is_let_in(&auth, &twice) && !is_let_in(&auth, &HeaderMap::new()));
        assert!(is_let_in(&Auth::None, &HeaderMap::new()));
        assert!(!format!("{auth:?}").contains("secret"));
    }

    #[test]
    fn a_credential_is_known_by_the_hash_of_its_token() {
        let credential =
            |name: &str, token: &str| Credential { name: name.into(), sha256: Sha256::digest(token).into() };
        let known = [credential("a", "token of a"), credential("b", "token of b")];
        let of = |auth: &Auth, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            caller(auth, &known, &headers).map(|caller| caller.credential)
        };
        let own = Auth::Token("secret".into());
        assert_eq!(of(&own, "Bearer token of a"), Some(Some("a".into())));
        assert_eq!(of(&own, "Bearer token of b"), Some(Some("b".into())));
        assert_eq!((of(&own, "Bearer secret"), of(&own, "Bearer token of c")), (Some(None), None));
        assert_eq!(of(&own, "Bearer a"), None, "a name is no token");
        let hash: String = known[0].sha256.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(of(&own, &format!("Bearer {hash}")), None, "nor is a hash");
        // Where anyone may send, who shows a token is known by it.
        assert_eq!(
            (of(&Auth::None, "Bearer token of b"), of(&Auth::None, "Bearer x")),
            (Some(Some("b".into())), Some(None))
        );
    }
}
