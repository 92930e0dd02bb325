//! What in the environment keeps telemetry or hook from us, as far as this shell has it. Each of these was tried with Codex 0.169.

use super::Checks;
use super::codex::Seen;
use super::telemetry::address;
use crate::cli::context::Context;
use crate::config::Env;
use crate::setup::codex::COMPRESSION;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// With no more than this nothing or little arrives (0.169). Often seconds are meant.
const TOO_FEW_MILLIS: u64 = 10;

/// Less than this may not be enough for a sink that syncs to disk before it answers, on a machine that is busy.
const LEAST_MILLIS: u64 = 1_000;

/// A turn has more records than this at once; what finds no room is dropped without a word.
const LEAST_QUEUE: u64 = 256;

/// Headers that the environment sets over those of the configuration, and with which the sink does not understand a request.
const HEADERS: [&str; 6] =
    ["authorization", "content-type", "content-encoding", "content-length", "transfer-encoding", "host"];

/// What is wrong, and what to do.
type Finding = (String, String);

/// Says of each variable that does harm what it does.
pub(super) fn check(context: &Context, seen: &Seen, token: Option<&str>, checks: &mut Checks) {
    let (found, tight) = (findings(context, seen, token), timeout(&context.env, TOO_FEW_MILLIS + 1, LEAST_MILLIS));
    if found.is_empty() && tight.is_none() {
        checks.ok("environment", "no variable silences or diverts hook or telemetry, as far as this shell has them");
    }
    tight.into_iter().for_each(|(says, next)| checks.warn("environment", says, next));
    found.into_iter().for_each(|(says, next)| checks.fail("environment", says, next));
}

/// All that is wrong.
pub(super) fn findings(context: &Context, seen: &Seen, token: Option<&str>) -> Vec<Finding> {
    let off = context.home.join("off");
    let mut found: Vec<Finding> = Vec::new();
    found.extend(proxy(context, seen));
    let env = &context.env;
    let silent = |name: &&&str| env.text(name).is_some_and(|value| value != "none");
    let silent: Vec<&str> = COMPRESSION.iter().filter(silent).copied().collect();
    if !silent.is_empty() {
        let next = format!("unset {}: Codex then exports again", silent.join(" "));
        found.push((format!("{} makes Codex export nothing at all", silent.join(", ")), next));
    }
    found.extend(headers(env, |sent| is_ours(context, token, sent)));
    found.extend(limits(env));
    if env.text("CODEX_TALLY_OFF").as_deref() == Some("1") {
        found.push(("CODEX_TALLY_OFF=1 switches the hook off".into(), "unset CODEX_TALLY_OFF".into()));
    }
    if off.exists() {
        found.push((format!("{} switches the hook off", off.display()), format!("rm {}", off.display())));
    }
    found
}

/// Codex asks the proxy for its sink, too, and gives it the token, unless the list of exceptions has the sink's address.
fn proxy(context: &Context, seen: &Seen) -> Option<Finding> {
    let said = seen.exporter["otlp-http"]["endpoint"].as_str();
    if said.is_none() && seen.asked {
        // Over gRPC Codex asks no proxy.
        return None;
    }
    let ours = format!("http://{}/v1/logs", address(context));
    let (scheme, rest) = said.unwrap_or(&ours).split_once("://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    let near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    // Elsewhere a proxy may be the only way, and over TLS it sees nothing.
    if !near && scheme == "https" {
        return None;
    }
    let env = &context.env;
    let of_scheme = if scheme == "https" { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let name = first_set(env, of_scheme).or_else(|| first_set(env, ["ALL_PROXY", "all_proxy"]))?;
    let list = ["NO_PROXY", "no_proxy"].into_iter().find(|name| env.is_set(name)).unwrap_or("NO_PROXY");
    let exceptions = env.text(list).unwrap_or_default();
    if is_excepted(host, &exceptions) {
        return None;
    }
    let now = if exceptions.is_empty() { host.to_string() } else { format!("\"${list},{host}\"") };
    let token = context.home.join("token");
    Some((
        format!("{name} sends telemetry for {host}, with the sink's token, to the proxy: nothing arrives here"),
        format!(
            "export {list}={now} where Codex starts (neither `*` nor `127.*` excepts an address); if the proxy is not yours \
             alone: rm {}, then `codex-tally init` makes another token",
            token.display()
        ),
    ))
}

/// The first of two that is set counts, also if it is empty.
fn first_set(env: &Env, names: [&'static str; 2]) -> Option<&'static str> {
    names.into_iter().find(|name| env.is_set(name)).filter(|name| env.text(name).is_some())
}

/// Whether this list of exceptions has a host, as Codex's HTTP client understands it: addresses and networks for an address;
/// for a name itself, the domains that it is in, or `*`.
fn is_excepted(host: &str, list: &str) -> bool {
    let mut entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let Ok(ip) = host.parse::<IpAddr>() else {
        let host = host.to_ascii_lowercase();
        return entries.any(|entry| {
            let domain = entry.trim_start_matches('.').to_ascii_lowercase();
            entry == "*" || host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
        });
    };
    entries.any(|entry| {
        let (net, size) = entry.split_once('/').map_or((entry, None), |(net, size)| (net, Some(size)));
        let bits = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32),
            IpAddr::V6(ip) => (u128::from(ip), 128),
        };
        let Ok(net) = net.parse::<IpAddr>() else { return false };
        let ((net, most), (ip, of_ip)) = (bits(net), bits(ip));
        let size = size.map_or(Ok(most), str::parse::<u32>);
        size.is_ok_and(|size| size <= most && most == of_ip && (net ^ ip).checked_shr(128 - size).unwrap_or(0) == 0)
    })
}

/// Headers of the environment are stronger than those that `init` writes. Those for logs stand in the place of the others.
fn headers(env: &Env, is_ours: impl Fn(&str) -> bool) -> Option<Finding> {
    let names = ["OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    let (name, value) = names.into_iter().find_map(|name| Some((name, env.text(name)?)))?;
    let pairs = value.split(',').filter_map(|pair| pair.split_once('='));
    let harmful = |(header, value): (&str, &str)| {
        let header = header.trim().to_ascii_lowercase();
        let value = value.trim();
        let known = HEADERS.contains(&header.as_str()) && !value.is_empty();
        (known && !(header == "authorization" && is_ours(&value.replace("%20", " ")))).then_some(header)
    };
    let header = pairs.filter_map(harmful).next()?;
    let what = if header == "authorization" { "instead of the sink's token" } else { "that the sink cannot take" };
    Some((
        format!("{name} makes Codex send a header `{header}` {what}: the sink refuses what comes"),
        format!("unset {name} where Codex starts; headers for another receiver go into `[forward]` (docs/service.md)"),
    ))
}

/// Whether the sink takes this for the token, or one of those with a name.
pub(super) fn is_ours(context: &Context, token: Option<&str>, sent: &str) -> bool {
    let Some(sent) = sent.strip_prefix("Bearer ") else { return false };
    let hash: [u8; 32] = Sha256::digest(sent).into();
    token == Some(sent) || context.config.sink_tokens.iter().any(|known| known.hashes().any(|known| known == hash))
}

/// Limits within which nothing, or not everything, gets through.
fn limits(env: &Env) -> Vec<Finding> {
    let queue = number(env, "OTEL_BLRP_MAX_QUEUE_SIZE").filter(|(_, size)| *size < LEAST_QUEUE);
    let queue = queue.map(|(name, size)| {
        let says = format!("{name}={size} lets Codex drop records, or all of them, without a word");
        (says, format!("unset {name}: 2048 is usual"))
    });
    timeout(env, 0, TOO_FEW_MILLIS + 1).into_iter().chain(queue).collect()
}

fn number(env: &Env, name: &'static str) -> Option<(&'static str, u64)> {
    Some((name, env.text(name)?.trim().parse().ok()?))
}

/// A timeout of at least so many milliseconds, and less than so many.
fn timeout(env: &Env, least: u64, below: u64) -> Option<Finding> {
    let names = ["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
    let (name, millis) = names.into_iter().find_map(|name| number(env, name))?;
    let says = format!("{name}={millis} lets Codex wait {millis} milliseconds for the sink: what takes longer is lost");
    let next = format!("unset {name}, or give it the milliseconds that are meant: 10000 is usual");
    (least..below).contains(&millis).then_some((says, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Codex 0.169 was seen to do.
    #[test]
    fn exceptions_are_understood_as_codex_does() {
        for list in ["127.0.0.1", "x, 127.0.0.1 ,y", "127.0.0.0/8", "::1,127.0.0.1/32", "0.0.0.0/0"] {
            assert!(is_excepted("127.0.0.1", list), "{list}");
        }
        for list in
            ["", "*", "127.*", "localhost", "127.0.0.1:4318", ".127.0.0.1", ".0.0.1", "::/0", "127.0.0.1/33", "10/8"]
        {
            assert!(!is_excepted("127.0.0.1", list), "{list}");
        }
        assert!(is_excepted("::1", "::/64") && !is_excepted("::1", "127.0.0.1"));
        for list in ["*", "localhost", ".localhost", "LOCALHOST"] {
            assert!(is_excepted("localhost", list), "{list}");
        }
        assert!(is_excepted("a.example.com", "example.com") && !is_excepted("badexample.com", "example.com"));
        assert!(!is_excepted("localhost", "127.0.0.1"));
    }

    #[test]
    fn headers_of_the_environment_are_those_for_logs_first() {
        let found = |pairs: &[(&'static str, &'static str)]| {
            headers(&Env::from_pairs(pairs.iter().copied()), |sent| sent == "Bearer t").map(|(says, _)| says)
        };
        let (all, logs) = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS");
        for value in
            ["authorization=Bearer x", "x-a=1, Authorization = Bearer%20x", "content-type=text/plain", "host=h"]
        {
            assert!(found(&[(all, value)]).is_some_and(|says| says.starts_with(all)), "{value}");
        }
        for value in ["x-api-key=k", "authorization=", "authorization=Bearer t", "authorization=Bearer%20t"] {
            assert_eq!(found(&[(all, value)]), None, "{value}");
        }
        assert!(found(&[(logs, "authorization=x"), (all, "x-a=1")]).is_some_and(|says| says.starts_with(logs)));
        assert_eq!(found(&[(logs, "x-a=1"), (all, "authorization=x")]), None);
    }

    #[test]
    fn limits_that_lose_records_are_told() {
        let found = |pairs: &[(&'static str, &'static str)]| limits(&Env::from_pairs(pairs.iter().copied())).len();
        let (all, logs) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT");
        for (n, pairs) in [
            (1, &[(all, "10")][..]),
            (0, &[(all, "10000")]),
            (0, &[(all, "ten")]),
            (0, &[(all, "50")]),
            (1, &[(logs, "1"), (all, "10000")]),
            (0, &[(logs, "10000"), (all, "1")]),
            (1, &[(logs, "x"), (all, "1")]),
            (1, &[("OTEL_BLRP_MAX_QUEUE_SIZE", "1")]),
            (0, &[("OTEL_BLRP_MAX_QUEUE_SIZE", "2048")]),
        ] {
            assert_eq!(found(pairs), n, "{pairs:?}");
        }
        let warned = |millis| timeout(&Env::from_pairs([(all, millis)]), TOO_FEW_MILLIS + 1, LEAST_MILLIS).is_some();
        assert_eq!(["10", "11", "50", "999", "1000"].map(warned), [false, true, true, true, false]);
    }
}
