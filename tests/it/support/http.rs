//! Just enough HTTP/1.1 to be the other end of a client under test.

use std::io::{BufRead, Read};

/// A request with its body decoded.
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Behind the question mark.
    pub query: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one request; None when the client has closed the connection.
    pub fn read(stream: &mut impl BufRead) -> std::io::Result<Option<Self>> {
        let Some(first) = line(stream)? else { return Ok(None) };
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let mut headers = Vec::new();
        while let Some(header) = line(stream)?.filter(|header| !header.is_empty()) {
            if let Some((name, value)) = header.split_once(':') {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let mut request = Self { method, path, query, headers, body: Vec::new() };
        let sent = request.read_body(stream)?;
        request.body = match request.header("content-encoding") {
            None | Some("identity") => sent,
            Some("gzip") => inflate(flate2::read::GzDecoder::new(&sent[..]))?,
            Some("zstd") => zstd::stream::decode_all(&sent[..])?,
            Some(other) => return Err(std::io::Error::other(format!("content-encoding {other}"))),
        };
        Ok(Some(request))
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The headers, one a line.
    pub fn header_lines(&self) -> String {
        self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    fn read_body(&self, stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            loop {
                let size = line(stream)?.unwrap_or_default();
                let size = size.split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
                stream.take(size).read_to_end(&mut body)?;
                // The line that ends a chunk; after the last one, the line that ends the body.
                line(stream)?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let length = self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        stream.take(length).read_to_end(&mut body)?;
        Ok(body)
    }
}

/// The next line without its end; None at the end of the stream.
fn line(stream: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn inflate(mut stream: impl Read) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    stream.read_to_end(&mut plain)?;
    Ok(plain)
}

/// A whole response with a JSON body; the connection stays open.
pub fn json_response(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn request_bodies_are_decoded_however_they_were_sent() {
    let plain = br#"{"input":"hello"}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::stream::encode_all(&plain[..], 1).unwrap();
    for (encoding, sent) in [("identity", plain.to_vec()), ("gzip", gzip), ("zstd", zstd)] {
        let (one, two) = sent.split_at(sent.len() / 2);
        let whole = [format!("content-length: {}\r\n\r\n", sent.len()).into_bytes(), sent.clone()].concat();
        let chunk =
            |part: &[u8]| [format!("{:x}\r\n", part.len()).into_bytes(), part.to_vec(), b"\r\n".to_vec()].concat();
        let chunked = [&b"Transfer-Encoding: chunked\r\n\r\n"[..], &chunk(one), &chunk(two), b"0\r\n\r\n"].concat();
        for framed in [whole, chunked] {
            let head = format!("POST /v1/responses?a=b HTTP/1.1\r\nContent-Encoding: {encoding}\r\n");
            let bytes = [head.into_bytes(), framed].concat();
            let mut stream = &bytes[..];
            let request = Request::read(&mut stream).unwrap().unwrap();
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/responses"));
            assert_eq!(request.body, plain, "{encoding}");
            assert!(Request::read(&mut stream).unwrap().is_none(), "{encoding}: nothing is left over");
        }
    }
}
