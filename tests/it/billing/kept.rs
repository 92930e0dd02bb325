//! What is stored of bills is what was imported: any flipped bit is found.

use super::{import, import_fixture};
use crate::support::TestEnv;
use rusqlite::Connection;

#[test]
fn any_flipped_bit_of_a_bill_is_found() {
    let env = TestEnv::new();
    for name in ["usage.json", "costs.json", "invoice.csv"] {
        let _ = import_fixture(&env, name).ok();
    }
    let said = env.run(&["ledger", "verify"]).ok().stderr;
    assert!(said.contains("3 billing files are what was imported"), "{said}");
    let db = env.home().join("tally.db");
    let change = |sql: &str| Connection::open(&db).unwrap().execute_batch(sql).unwrap();
    let read = |sql: &str| Connection::open(&db).unwrap().query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    for (table, column) in [("billing_file", "body"), ("billing_file", "sha256"), ("charge", "body")] {
        let first = if table == "charge" { "file = 2 AND row = 2" } else { "seq = 2" };
        let text = read(&format!("SELECT {column} FROM {table} WHERE {first}"));
        for at in (0..text.len()).step_by(text.len() / 9 + 1).chain([text.len() - 3, text.len() - 1]) {
            let set = |bytes: &[u8]| {
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                change(&format!("UPDATE {table} SET {column} = CAST(x'{hex}' AS TEXT) WHERE {first}"));
            };
            let mut flipped = text.clone().into_bytes();
            flipped[at] ^= 1;
            set(&flipped);
            let said = env.run(&["ledger", "verify"]).fails(1).stderr;
            assert_eq!(said.matches("billing file ").count(), 1, "{column} {at}: {said}");
            set(text.as_bytes());
        }
    }
    let _ = env.run(&["ledger", "verify"]).ok();
    // A time that it is looked for by, a row, a file.
    let remedy = "import it again";
    for (damage, remedy) in [
        ("UPDATE charge SET end_ns = end_ns - 1 WHERE file = 1 AND row = 1", remedy),
        ("DELETE FROM charge WHERE file = 3 AND row = (SELECT max(row) FROM charge WHERE file = 3)", remedy),
        (
            "PRAGMA foreign_keys = 0; DELETE FROM billing_file WHERE seq = 3",
            "6 rows are of billing files that were taken",
        ),
    ] {
        let copy = std::fs::read(&db).unwrap();
        change(&format!("{damage}; PRAGMA wal_checkpoint(TRUNCATE)"));
        let said = env.run(&["ledger", "verify"]).fails(1).stderr;
        assert!(said.contains(remedy), "{damage}: {said}");
        std::fs::write(&db, copy).unwrap();
    }
    // What differs is mended by importing it again.
    change("UPDATE charge SET body = replace(body, '19967600000', '99967600000') WHERE file = 2");
    let said = env.run(&["ledger", "verify"]).fails(1).stderr;
    assert!(
        said.contains("billing file costs.json: is not what was imported; `codex-tally billing remove` it"),
        "{said}"
    );
    let hash = read("SELECT sha256 FROM billing_file WHERE seq = 2");
    let _ = env.run(&["billing", "remove", &hash]).ok();
    let costs = crate::support::fixture("billing/costs.json");
    let _ = import(&env, "costs.json", &costs, &[]).ok();
    let _ = env.run(&["ledger", "verify"]).ok();
}
