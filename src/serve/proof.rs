//! How a sink shows that it has the token without being given it: who asks sends a random text, and gets its HMAC under the
//! token back. Whoever sits on the port instead has no answer, and one who passes the question on is found by the port in it.

use hyper::Uri;
use sha2::{Digest, Sha256};

/// Where the question is asked.
pub(super) const PATH: &str = "/sink";

/// The longest text that is answered.
const MAX_NONCE: usize = 128;

/// What a sink that listens on this port answers; in hexadecimal digits.
pub fn proof(token: &str, nonce: &str, port: u16) -> String {
    hmac(token.as_bytes(), format!("codex-tally sink\n{port}\n{nonce}").as_bytes())
}

/// The answer to a question, as JSON; `None` if it is not one.
pub(super) fn answer(uri: &Uri, token: Option<&str>, port: u16) -> Option<String> {
    let nonce = uri.query()?.strip_prefix("nonce=")?;
    if nonce.is_empty() || nonce.len() > MAX_NONCE || !nonce.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let proof = token.map(|token| proof(token, nonce, port));
    let version = env!("CARGO_PKG_VERSION");
    Some(serde_json::json!({"sink": "codex-tally", "version": version, "proof": proof}).to_string())
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> String {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize();
    outer.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_standard_one() {
        // RFC 4231, test cases 2 and 6.
        let two = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hmac(b"Jefe", b"what do ya want for nothing?"), two);
        let six = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"), six);
        assert_ne!(proof("a", "n", 1), proof("a", "n", 2));
    }

    #[test]
    fn only_questions_are_answered() {
        let ask = |uri: &'static str| answer(&Uri::from_static(uri), Some("token"), 4318);
        assert!(ask("/sink?nonce=abc123").unwrap().contains(&proof("token", "abc123", 4318)));
        for other in ["/sink", "/sink?nonce=", "/sink?nonce=a%20b", "/sink?x=1"] {
            assert_eq!(ask(other), None, "{other}");
        }
    }
}
