//! The server's end of a WebSocket, for the transport that some providers of models support.

use std::io::{BufReader, Error, Write};
use std::net::TcpStream;

use serde_json::Value;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket as Frames};

pub struct WebSocket(Frames<TcpStream>);

impl WebSocket {
    /// Answers a request to switch to WebSocket that came with this key.
    pub fn accept(mut to: TcpStream, from: BufReader<TcpStream>, key: &str) -> std::io::Result<Self> {
        let accept = derive_accept_key(key.as_bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n";
        to.write_all(format!("{head}sec-websocket-accept: {accept}\r\n\r\n").as_bytes())?;
        let read = from.buffer().to_vec();
        Ok(Self(Frames::from_partially_read(to, read, Role::Server, None)))
    }

    /// The next text; None when the client has gone.
    pub fn read(&mut self) -> std::io::Result<Option<String>> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Ok(Some(text.to_string())),
                Ok(Message::Close(_)) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    pub fn write(&mut self, message: &Value) -> std::io::Result<()> {
        self.0.send(Message::text(message.to_string())).map_err(Error::other)
    }
}
