//! One keep-alive HTTP/1.1 connection, as little work as can be: what the client needs of the processor, a server on
//! the same machine does not get. Not a client for anything else: it follows nothing, and reads no more of an answer
//! than its status and where it ends.

use std::net::SocketAddr;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Question;

/// No answer that is measured has more.
const MOST_HEADERS: usize = 64;
/// The longest answer that is read: more is a server that does not end.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The connection ended, or what came back is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// It cannot be opened, or broke.
    #[error("the connection broke")]
    Broken(#[from] std::io::Error),
    /// The other side closed it before it had answered.
    #[error("closed before the answer was whole")]
    Closed,
    /// Not HTTP/1.1.
    #[error("this is no HTTP answer")]
    Form(#[from] httparse::Error),
    /// Neither a length nor chunks, or longer than anything that is measured.
    #[error("nobody can say where the answer ends")]
    Endless,
}

/// Where an answer's body ends.
enum Ends {
    After(usize),
    WithLastChunk,
}

/// A connection.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> Result<Self, ConnectionError> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::with_capacity(16 * 1024),
        })
    }

    /// Asks, and reads the answer to its end.
    pub async fn ask(&mut self, question: &Question) -> Result<StatusCode, ConnectionError> {
        self.stream.write_all(question.bytes()).await?;
        self.read.clear();
        let (status, head, ends) = loop {
            if let Some(answer) = self.head()? {
                break answer;
            }
            self.more().await?;
        };
        loop {
            let body = self.read.get(head..).unwrap_or_default();
            let whole = match ends {
                Ends::After(length) => body.len() >= length,
                Ends::WithLastChunk => last_chunk_is_in(body)?,
            };
            if whole {
                return Ok(status);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), ConnectionError> {
        if self.read.len() > LONGEST_ANSWER {
            return Err(ConnectionError::Endless);
        }
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(ConnectionError::Closed),
            _ => Ok(()),
        }
    }

    /// Status, length of the head, and where the body ends, once the head is whole.
    fn head(&self) -> Result<Option<(StatusCode, usize, Ends)>, ConnectionError> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = answer.parse(&self.read)? else {
            return Ok(None);
        };
        let status = answer
            .code
            .and_then(|code| StatusCode::from_u16(code).ok())
            .ok_or(ConnectionError::Endless)?;
        let value = |name: &str| {
            let mut found = answer
                .headers
                .iter()
                .filter(|header| header.name.eq_ignore_ascii_case(name));
            found
                .next()
                .and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let ends = match (value("content-length"), value("transfer-encoding")) {
            (Some(length), _) => Ends::After(
                length
                    .trim()
                    .parse()
                    .map_err(|_| ConnectionError::Endless)?,
            ),
            (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => Ends::WithLastChunk,
            (None, None) if status == StatusCode::NO_CONTENT => Ends::After(0),
            _ => return Err(ConnectionError::Endless),
        };
        Ok(Some((status, length, ends)))
    }
}

/// Whether the chunks in `body` come to their end (RFC 9112 section 7.1); trailers are not expected.
fn last_chunk_is_in(mut body: &[u8]) -> Result<bool, ConnectionError> {
    loop {
        let size = httparse::parse_chunk_size(body).map_err(|_| ConnectionError::Endless)?;
        let httparse::Status::Complete((line, size)) = size else {
            return Ok(false);
        };
        let size = usize::try_from(size).map_err(|_| ConnectionError::Endless)?;
        let chunk = line.saturating_add(size).saturating_add(2);
        let Some(rest) = body.get(chunk..) else {
            return Ok(false);
        };
        if size == 0 {
            return Ok(true);
        }
        body = rest;
    }
}
