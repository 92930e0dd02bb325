//! Bills in SQLite.

use super::SqliteStore;
use crate::model::{BillingFile, Charge, Timestamp};
use crate::store::{Bills, KeptBills};
use anyhow::Context as _;
use rusqlite::{Row, params};
use sha2::{Digest as _, Sha256};

/// What a file and its rows are, byte by byte. It stands behind the file's other fields.
struct Digests(Sha256);

impl Digests {
    const NAME: &str = ",\"digest\":\"";
    const END: &str = "\"}";

    fn of(sha256: &str, body: &str) -> Self {
        Digests(Sha256::new().chain_update(format!("{sha256} {body}\n")))
    }

    fn add(&mut self, row: i64, first: i64, end: i64, body: &str) {
        self.0.update(format!("{row} {first} {end} {body}\n"));
    }

    fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The file's body with the digest.
    fn written(self, body: &str) -> String {
        let open = body.strip_suffix('}').unwrap_or(body);
        format!("{open}{}{}{}", Self::NAME, self.hex(), Self::END)
    }

    /// The file's body as it was without the digest, and the digest.
    fn split(written: &str) -> Option<(String, &str)> {
        let (open, digest) = written.strip_suffix(Self::END)?.rsplit_once(Self::NAME)?;
        Some((format!("{open}}}"), digest))
    }
}

/// Text as it is stored; what is none is no longer what was.
fn text(row: &Row<'_>, at: usize) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(at)?.as_bytes().unwrap_or_default()).into_owned())
}

impl Bills for SqliteStore {
    fn add_bill(&mut self, file: &BillingFile, charges: &[Charge]) -> anyhow::Result<bool> {
        let tx = self.begin()?;
        let mut rows = Vec::new();
        for charge in charges {
            let body = serde_json::to_string(charge)?;
            rows.push((i64::try_from(charge.origin.row)?, charge.start.0, charge.end.0, body));
        }
        rows.sort();
        let body = serde_json::to_string(file)?;
        let mut digest = Digests::of(&file.sha256, &body);
        rows.iter().for_each(|(row, first, end, body)| digest.add(*row, *first, *end, body));
        let sql = "INSERT OR IGNORE INTO billing_file (sha256, body) VALUES (?1, ?2)";
        if tx.execute(sql, params![file.sha256, digest.written(&body)])? == 0 {
            return Ok(false);
        }
        let seq = tx.last_insert_rowid();
        let mut insert = tx.prepare_cached("INSERT INTO charge VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (row, first, end, body) in rows {
            insert.execute(params![seq, row, first, end, body])?;
        }
        drop(insert);
        tx.commit()?;
        Ok(true)
    }

    fn remove_bill(&mut self, sha256: &str) -> anyhow::Result<bool> {
        let tx = self.begin()?;
        let removed = tx.execute("DELETE FROM billing_file WHERE sha256 = ?1", [sha256])?;
        tx.commit()?;
        Ok(removed > 0)
    }

    fn billing_files(&self) -> anyhow::Result<Vec<BillingFile>> {
        let mut statement = self.db.prepare_cached("SELECT body FROM billing_file ORDER BY seq")?;
        let mut found = statement.query([])?;
        let mut files = Vec::new();
        while let Some(row) = found.next()? {
            files.push(serde_json::from_str(row.get_ref(0)?.as_str()?).context("a stored billing file is damaged")?);
        }
        Ok(files)
    }

    fn verify_bills(&self) -> anyhow::Result<KeptBills> {
        let mut files = self.db.prepare_cached("SELECT seq, sha256, body FROM billing_file ORDER BY seq")?;
        let mut rows =
            self.db.prepare_cached("SELECT row, first_ns, end_ns, body FROM charge WHERE file = ?1 ORDER BY row")?;
        let mut kept = KeptBills::default();
        let mut found = files.query([])?;
        while let Some(file) = found.next()? {
            kept.files += 1;
            let (sha256, written) = (text(file, 1)?, text(file, 2)?);
            let what = match Digests::split(&written) {
                None => "was stored without a digest, or has lost it",
                Some((body, said)) => {
                    let mut digest = Digests::of(&sha256, &body);
                    let mut of_file = rows.query([file.get::<_, i64>(0)?])?;
                    while let Some(row) = of_file.next()? {
                        digest.add(row.get(0)?, row.get(1)?, row.get(2)?, &text(row, 3)?);
                    }
                    if digest.hex() == said {
                        continue;
                    }
                    "is not what was imported"
                }
            };
            let name = serde_json::from_str::<BillingFile>(&written).map_or(sha256, |file| file.name);
            kept.damaged.push((name, what));
        }
        let strays = "SELECT COUNT(*) FROM charge WHERE file NOT IN (SELECT seq FROM billing_file)";
        kept.strays = u64::try_from(self.db.query_row(strays, [], |row| row.get::<_, i64>(0))?)?;
        Ok(kept)
    }

    fn charges(&self, (from, to): (Timestamp, Timestamp)) -> anyhow::Result<Vec<Charge>> {
        let sql = "SELECT body FROM charge WHERE end_ns > ?1 AND first_ns < ?2 ORDER BY file, row";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut found = statement.query([from.0, to.0])?;
        let mut charges = Vec::new();
        while let Some(row) = found.next()? {
            charges.push(serde_json::from_str(row.get_ref(0)?.as_str()?).context("a stored charge is damaged")?);
        }
        Ok(charges)
    }
}
