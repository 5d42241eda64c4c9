//! A way to one server that was connected to, for a library that looks names up by itself.
//!
//! ```text
//! sqlx ── socket of this process ── passage ── TLS, by the name of the plan ── the address that was judged
//! ```
//! sqlx would look the name up again, which may lead elsewhere the second time; it connects to a Unix socket instead. The
//! socket is an abstract one, so that a broker which is killed leaves no file behind. Its name cannot be guessed, one
//! connection of this very process is let in, and then it is gone.
//!
//! **What a server sends is bounded here.** The library believes the length that a message claims, up to 4 GiB, and makes
//! room for it: where there is none the broker would end.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;

use crate::crypto::{self, CryptoError};

/// The longest message of a server: an error with all its fields, or a row of names, has some hundred bytes.
const LONGEST_MESSAGE: u32 = 64 * 1024;
/// The most bytes of a server in one connection: a login and a few rows have 2 KiB.
const MOST_BYTES: u64 = 1024 * 1024;
/// Longest that a connection lives, however slowly somebody sends: twice the longest call.
const LONGEST_LIFE: Duration = Duration::from_secs(120);

/// Open until somebody is through. Dropped before [`Passage::used`], it closes.
pub(super) struct Passage {
    folder: String,
    task: Option<AbortHandle>,
}

impl Passage {
    /// Opens one to a server. `port` is what sqlx puts behind the folder.
    pub(super) fn open<S>(server: S, port: u16) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let folder = format!("\0lanyard-{}", unguessable().map_err(io::Error::other)?);
        let listener = UnixListener::bind(format!("{folder}/.s.PGSQL.{port}"))?;
        let task = tokio::spawn(async move {
            let passed = async {
                let client = own_connection(&listener).await?;
                // Nobody else finds it.
                drop(listener);
                pass(client, server).await
            };
            // Whatever came of it, sqlx sees that its connection ended.
            let _ = tokio::time::timeout(LONGEST_LIFE, passed).await;
        });
        Ok(Self {
            folder,
            task: Some(task.abort_handle()),
        })
    }

    /// What sqlx takes for the folder of the socket.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// It is connected through: from here on it lives as long as the connection.
    pub(super) fn used(mut self) {
        self.task = None;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

fn unguessable() -> Result<String, CryptoError> {
    let bytes = crypto::random::<16>()?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// The first connection of this process. Others of this machine may try their luck.
async fn own_connection(listener: &UnixListener) -> io::Result<UnixStream> {
    let own = i32::try_from(std::process::id()).ok();
    loop {
        let (stream, _) = listener.accept().await?;
        if own.is_some() && stream.peer_cred()?.pid() == own {
            return Ok(stream);
        }
    }
}

/// Until either side is done: whoever waited for the other one then would wait for ever.
async fn pass<S>(client: UnixStream, server: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    tokio::select! {
        asked = tokio::io::copy(&mut from_client, &mut to_server) => asked.map(|_| ()),
        told = pass_messages(&mut from_server, &mut to_client) => told,
    }
}

/// Whole messages of a server, as many at once as have come: whoever reads is woken once for all of them.
async fn pass_messages<R, W>(from: &mut R, to: &mut W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (mut come, mut left) = (BytesMut::new(), MOST_BYTES);
    while from.read_buf(&mut come).await? > 0 {
        let messages = come.split_to(whole(&come)?);
        let length = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        left = left.checked_sub(length).ok_or_else(too_much)?;
        to.write_all(&messages).await?;
    }
    Ok(())
}

/// The length of all messages that have come as a whole: each is a letter, a length that counts itself, and what it says.
fn whole(come: &[u8]) -> io::Result<usize> {
    let (mut whole, mut rest) = (0, come);
    while let Some((_, behind)) = rest.split_first()
        && let Some(length) = behind.first_chunk::<4>()
    {
        let length = u32::from_be_bytes(*length);
        if !(4..=LONGEST_MESSAGE).contains(&length) {
            return Err(too_much());
        }
        let message = usize::try_from(length).map_err(io::Error::other)? + 1;
        let Some(next) = rest.get(message..) else {
            break;
        };
        (whole, rest) = (whole + message, next);
    }
    Ok(whole)
}

fn too_much() -> io::Error {
    io::Error::other("the server says more than a server has to say")
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn two_ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(
            TcpStream::connect(listener.local_addr().unwrap()),
            listener.accept()
        );
        (near.unwrap(), far.unwrap().0)
    }

    async fn connected() -> (UnixStream, TcpStream, String) {
        let (near, far) = two_ends().await;
        let passage = Passage::open(near, 5_432).unwrap();
        let socket = format!("{}/.s.PGSQL.5432", passage.folder());
        let client = UnixStream::connect(&socket).await.unwrap();
        passage.used();
        (client, far, socket)
    }

    /// `ReadyForQuery`.
    const READY: &[u8] = b"Z\0\0\0\x05I";

    #[tokio::test]
    async fn it_leads_one_connection_to_the_server_that_was_connected_to() {
        let (mut client, mut far, socket) = connected().await;
        client.write_all(b"ask").await.unwrap();
        let mut asked = [0; 3];
        far.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"ask");
        far.write_all(READY).await.unwrap();
        drop(far);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, READY);
        let another = UnixStream::connect(&socket).await;
        assert!(another.is_err(), "it is there for one");
    }

    #[tokio::test]
    async fn one_that_nobody_uses_closes() {
        let (near, mut far) = two_ends().await;
        drop(Passage::open(near, 5_432).unwrap());
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }

    #[test]
    fn messages_are_told_apart_wherever_they_are_cut() {
        let two = [READY, b"N\0\0\0\x04"].concat();
        for cut in 0..=two.len() {
            let expected = match cut {
                0..6 => 0,
                6..11 => 6,
                _ => 11,
            };
            assert_eq!(whole(&two[..cut]).unwrap(), expected, "{cut}");
        }
        assert!(whole(b"N\0\0\0\x03").is_err());
        assert!(whole(b"N\0\x01\0\x01").is_err());
    }

    #[tokio::test]
    async fn a_server_that_claims_or_says_too_much_is_cut_off() {
        for message in [
            &b"E\xff\xff\xff\xff"[..],
            b"E\0\x01\0\x01",
            b"E\0\0\0\0",
            READY,
        ] {
            let (mut client, mut far, _) = connected().await;
            let telling = tokio::spawn(async move {
                let some = message.repeat(10_000);
                while far.write_all(&some).await.is_ok() {}
            });
            let mut told = Vec::new();
            let _ = client.read_to_end(&mut told).await;
            assert!(told.len() as u64 <= MOST_BYTES, "{}", told.len());
            telling.await.unwrap();
        }
    }
}
