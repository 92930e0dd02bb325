//! `manifest.json`: what the other files are, how they were made, and their hashes.

use super::About;
use crate::report::format::json::{CoverageJson, CurrencyJson, Row};
use crate::report::{Range, Report};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The name of the manifest. It is in every folder of a chargeback, and tells that one is.
pub const MANIFEST: &str = "manifest.json";

/// What a manifest begins with.
const KIND: &str = "codex-tally chargeback";

/// A team and its files.
#[derive(Debug, Serialize)]
pub(super) struct Team<'a> {
    pub team: &'a str,
    pub csv: String,
    pub statement: String,
}

#[derive(Serialize)]
struct Manifest<'a> {
    kind: &'a str,
    schema: u32,
    program: &'a str,
    period: String,
    since: Option<String>,
    until: Option<String>,
    tz: String,
    basis: &'a str,
    status: &'a str,
    seal: Option<&'a str>,
    price_book_sha256: &'a str,
    rules_sha256: &'a str,
    default_channel: Option<&'a str>,
    teams: &'a [Team<'a>],
    totals: Row<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<CurrencyJson<'a>>,
    coverage: CoverageJson<'a>,
    files: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    size: usize,
    sha256: String,
}

#[derive(Deserialize)]
struct Written {
    kind: String,
    files: Vec<Entry>,
}

/// The version of the program that writes.
pub(super) const PROGRAM: &str = concat!("codex-tally ", env!("CARGO_PKG_VERSION"));

/// The manifest of files, which are in the order of their names.
pub(super) fn manifest(
    about: &About,
    period: String,
    status: &str,
    lines: &Report,
    teams: &[Team<'_>],
    files: &[super::File],
) -> Vec<u8> {
    let Range { since, until, zone } = lines.range;
    let entry = |(name, bytes): &super::File| Entry { name: name.clone(), size: bytes.len(), sha256: sha256(bytes) };
    let manifest = Manifest {
        kind: KIND,
        schema: 1,
        program: PROGRAM,
        period,
        since: since.map(|day| day.to_string()),
        until: until.map(|day| day.to_string()),
        tz: zone.to_string(),
        basis: about.basis.name(),
        status,
        seal: about.seal.as_deref(),
        price_book_sha256: &about.price_book,
        rules_sha256: &about.rules,
        default_channel: about.default_channel,
        teams,
        totals: Row { columns: &lines.columns, cells: &lines.totals, skip_missing_text: true },
        currency: lines.currency.as_ref().map(CurrencyJson),
        coverage: CoverageJson { coverage: &lines.coverage, unreadable: false },
        files: files.iter().map(entry).collect(),
    };
    // Only strings, integers and maps with string keys are written, which cannot fail.
    let mut bytes = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The files that a manifest lists, each with its SHA-256; nothing if the bytes are no manifest of a chargeback.
pub fn written(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let manifest: Written = serde_json::from_slice(bytes).ok()?;
    // A name that is more than a name would lead out of the folder.
    let plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    let ours = manifest.kind == KIND && manifest.files.iter().all(|file| plain(&file.name));
    ours.then(|| manifest.files.into_iter().map(|file| (file.name, file.sha256)).collect())
}

/// SHA-256 in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_leads_nowhere_else() {
        let with = |kind: &str, name: &str| {
            let text =
                serde_json::json!({"kind": kind, "files": [{"name": name, "size": 1, "sha256": "ab"}], "more": 1});
            written(text.to_string().as_bytes())
        };
        assert_eq!(with(KIND, "team-a-1.csv"), Some(vec![("team-a-1.csv".into(), "ab".into())]));
        for name in ["", "..", ".ssh", "../x", "/etc/passwd", "a/b", "a\\b"] {
            assert_eq!(with(KIND, name), None, "{name}");
        }
        assert_eq!(with("something else", "a.csv"), None);
        assert_eq!(written(b"{}"), None);
    }
}
