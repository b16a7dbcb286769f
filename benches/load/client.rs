//! As much HTTP as is needed: POST on kept-alive connections, as many as calls are under way.

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Connections to one server.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    idle: Rc<RefCell<Vec<TcpStream>>>,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn has_card(&self) -> bool {
        let sought = b"\"summary\"";
        self.body.windows(sought.len()).any(|bytes| bytes == sought)
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Rc::default(),
        }
    }

    pub async fn get(&self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: load\r\n\r\n").as_bytes())
            .await
    }

    /// A request, head and body. One that finds its kept connection closed is sent again on a new one.
    pub async fn send(&self, request: &[u8]) -> io::Result<Answer> {
        let kept = self.idle.borrow_mut().pop();
        if let Some(stream) = kept
            && let Ok(answer) = self.ask(stream, request).await
        {
            return Ok(answer);
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        self.ask(stream, request).await
    }

    async fn ask(&self, mut stream: TcpStream, request: &[u8]) -> io::Result<Answer> {
        stream.write_all(request).await?;
        let mut bytes = Vec::with_capacity(32 * 1024);
        let head_end = loop {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
        let field = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
        };
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let length: usize = field("content-length:").and_then(|n| n.parse().ok()).unwrap_or(0);
        while bytes.len() < head_end + length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if field("connection:").as_deref() != Some("close") {
            self.idle.borrow_mut().push(stream);
        }
        Ok(Answer {
            status,
            body: bytes.split_off(head_end),
            head,
        })
    }
}
