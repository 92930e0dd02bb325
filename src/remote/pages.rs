//! Pages of a provider's API: with a key that goes to one origin only, at the pace that the provider asks for.

use super::Ask;
use super::web::{body, builder, is_loopback};
use anyhow::{Context as _, anyhow, bail};
use reqwest::blocking::{Client, Response};
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use std::collections::HashSet;
use std::time::Duration;

/// How often one page is asked for.
const TRIES: u32 = 5;

/// How long the program waits at most before it asks again.
const LONGEST: Duration = Duration::from_secs(120);

/// How long it waits after a first failure that does not say how long; twice as long after each further one.
const FIRST: Duration = Duration::from_millis(500);

/// The most pages of one export.
const PAGES: usize = 10_000;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    has_more: bool,
    next_page: Option<String>,
}

/// Reads all pages, and gives them one after the other, each as it was answered. `on` is told what it waits for.
///
/// # Errors
/// The origin is not allowed, the key is not accepted, or the provider does not answer as it should; each says what to do.
pub fn fetch_pages(ask: &Ask<'_>, on: &mut dyn FnMut(&str)) -> anyhow::Result<Vec<u8>> {
    let origin = Url::parse(ask.origin).with_context(|| format!("{} is no URL", ask.origin))?;
    let loopback = origin.host_str().is_some_and(is_loopback);
    let plain =
        origin.path() == "/" && origin.query().is_none() && origin.username().is_empty() && origin.password().is_none();
    if !plain {
        bail!("{} is not an origin; write https://HOST", ask.origin);
    }
    if origin.scheme() != "https" && !(origin.scheme() == "http" && loopback) {
        bail!("{} is not encrypted, and the key is not sent there; use https", ask.origin);
    }
    let client = builder(&origin, loopback, ask.patience).redirect(Policy::none()).build()?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", ask.key.secret()))?;
    bearer.set_sensitive(true);
    let mut url = origin.join(&ask.path)?;
    url.query_pairs_mut().extend_pairs(&ask.query);
    let mut all = Vec::new();
    let (mut next, mut seen): (Option<String>, HashSet<String>) = (None, HashSet::new());
    for n in 1..=PAGES {
        let mut page = url.clone();
        if let Some(cursor) = &next {
            page.query_pairs_mut().append_pair("page", cursor);
        }
        on(&format!("page {n}"));
        let bytes = get(&client, &page, &bearer, on)
            .map_err(|e| anyhow!("page {n} of {}{} was not read: {e:#}; nothing was imported", ask.origin, ask.path))?;
        let said: Page =
            serde_json::from_slice(&bytes).map_err(|_| anyhow!("page {n} of {} is no page in JSON", ask.path))?;
        all.extend(bytes);
        all.push(b'\n');
        match said.next_page.filter(|_| said.has_more) {
            None if said.has_more => bail!("page {n} of {} says that there is more, but not where", ask.path),
            None => return Ok(all),
            Some(cursor) if !seen.insert(cursor.clone()) => {
                bail!("page {n} of {} leads back to an earlier one", ask.path)
            }
            cursor => next = cursor,
        }
    }
    bail!("{} has more than {PAGES} pages; ask for fewer days", ask.path)
}

fn get(client: &Client, url: &Url, bearer: &HeaderValue, on: &mut dyn FnMut(&str)) -> anyhow::Result<Vec<u8>> {
    let mut pause = FIRST;
    for left in (0..TRIES).rev() {
        let answer = client.get(url.clone()).header(AUTHORIZATION, bearer.clone()).send();
        let (why, wait) = match answer {
            Ok(answer) if answer.status().is_success() => match body(answer) {
                Ok(bytes) => return Ok(bytes),
                Err(e) if left == 0 => return Err(e),
                Err(e) => (e.to_string(), None),
            },
            Ok(answer) => (refusal(&answer)?, retry_after(&answer)),
            // What it says holds the URL, which is long and known.
            Err(e) => (format!("{:#}", anyhow::Error::from(e.without_url())), None),
        };
        let wait = wait.unwrap_or(pause);
        if left == 0 {
            bail!("{why}, {TRIES} times; try again later");
        }
        if wait > LONGEST {
            bail!("{why}, and to be asked again only in {} s; try again then", wait.as_secs());
        }
        on(&format!("{why}; asking again in {} s", seconds(wait)));
        std::thread::sleep(wait);
        pause *= 2;
    }
    bail!("it was not asked for")
}

fn seconds(wait: Duration) -> String {
    format!("{}.{}", wait.as_secs(), wait.subsec_millis() / 100)
}

/// Why an answer is none: an error where asking again does not help.
fn refusal(answer: &Response) -> anyhow::Result<String> {
    let status = answer.status();
    match status {
        StatusCode::TOO_MANY_REQUESTS => Ok("the provider asks to slow down (429)".to_string()),
        _ if status.is_server_error() => Ok(format!("the provider has a problem ({})", status.as_u16())),
        StatusCode::UNAUTHORIZED => bail!(
            "the key was not accepted (401): organization exports need an admin key (sk-admin-...), a workspace's a key with the scope \
             codex.enterprise.analytics.read"
        ),
        StatusCode::FORBIDDEN => bail!("the key may not read this (403): it needs the scope for usage and costs"),
        StatusCode::NOT_FOUND => {
            bail!("there is no such thing (404): check the workspace's id and the URL below [billing]")
        }
        _ if status.is_redirection() => {
            bail!("it leads elsewhere ({}), and the key is not sent there", status.as_u16())
        }
        _ => bail!("the answer is {status}"),
    }
}

/// How long to wait, as the provider says; in whole seconds, as these do.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
