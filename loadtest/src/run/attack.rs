//! What strangers and thieves send. None of it is like another of it, or a cache would be measured.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use ring::digest::{SHA256, digest};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::load::Question;

/// A byte now and then: slower than any head should come.
const A_BYTE_EVERY: Duration = Duration::from_secs(1);
/// A client that was thrown out comes back after this.
const BACK_AFTER: Duration = Duration::from_millis(200);

/// Tokens that nobody issued: every second one is no token at all, the others are like one of ours but for their
/// signature and their number.
pub(super) fn junk(path: &str, token: &str, count: usize) -> Vec<Question> {
    let forged = |number: usize| {
        let mut parts = token.split('.');
        let (header, claims) = (parts.next()?, parts.next()?);
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let claims = String::from_utf8(claims).ok()?;
        // A number of sixteen digits, as ours are.
        let jti = claims.find("\"jti\":\"")? + "\"jti\":\"".len();
        let rest = claims.get(jti + 16..)?;
        let claims = format!("{}{number:016x}{rest}", claims.get(..jti)?);
        let signature = [noise(number), noise(number ^ 1)].concat();
        Some(format!(
            "{header}.{}.{}",
            URL_SAFE_NO_PAD.encode(claims),
            URL_SAFE_NO_PAD.encode(signature)
        ))
    };
    let text = |number: usize| match number % 2 {
        0 => URL_SAFE_NO_PAD.encode(noise(number).repeat(number % 60 + 1)),
        _ => forged(number).unwrap_or_default(),
    };
    (0..count)
        .map(|number| {
            let bearer = format!("Bearer {}", text(number));
            let question = Question::get("localhost", path, &[("authorization", bearer.as_str())]);
            question.expecting(StatusCode::UNAUTHORIZED)
        })
        .collect()
}

/// Keys that nobody has, at the token endpoint.
pub(super) fn junk_keys(count: usize) -> Vec<Question> {
    (0..count)
        .map(|number| {
            let secret = URL_SAFE_NO_PAD.encode(noise(number));
            let form = format!(
                "grant_type=client_credentials&client_id={number:016x}&client_secret=lyk_{secret}"
            );
            let question = Question::post_form("localhost", "/oauth/token", &[], &form);
            question.expecting(StatusCode::UNAUTHORIZED)
        })
        .collect()
}

/// A valid token, another object and another program each time; every fourth call is of a route that does not exist.
pub(super) fn novelties(token: &str, count: usize) -> Vec<Question> {
    let bearer = format!("Bearer {token}");
    (0..count)
        .map(|number| {
            let word = URL_SAFE_NO_PAD.encode(noise(number));
            let agent = format!("{word}/{number}");
            let headers = [
                ("authorization", bearer.as_str()),
                ("user-agent", agent.as_str()),
            ];
            match number % 4 {
                0 => Question::get("localhost", &format!("/{word}/{number}"), &headers)
                    .expecting(StatusCode::FORBIDDEN),
                _ => Question::get("localhost", &format!("/orders/{word}"), &headers),
            }
        })
        .collect()
}

/// So many clients that begin a request and never come to its end, for this long; how often one was thrown out.
pub(super) async fn slow(to: SocketAddr, count: usize, lasting: Duration) -> u64 {
    let mut clients = JoinSet::new();
    let until = tokio::time::Instant::now() + lasting;
    // One after the other: all within one moment would measure how long a queue of connections is.
    let pause = (lasting / 4).div_f64(count.max(1) as f64);
    for _ in 0..count {
        tokio::time::sleep(pause).await;
        clients.spawn(async move {
            let mut thrown_out = 0;
            while tokio::time::Instant::now() < until {
                // The rest of its time, at most: whoever is never thrown out must end as well.
                if tokio::time::timeout_at(until, dawdle(to)).await.is_ok() {
                    thrown_out += 1;
                    tokio::time::sleep(BACK_AFTER).await;
                }
            }
            thrown_out
        });
    }
    let mut all = 0;
    while let Some(thrown_out) = clients.join_next().await {
        all += thrown_out.unwrap_or(0);
    }
    all
}

/// Until the other side has had enough.
async fn dawdle(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream
        .write_all(b"GET /orders/1 HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        .await?;
    loop {
        stream.write_all(b"a").await?;
        tokio::time::sleep(A_BYTE_EVERY).await;
    }
}

/// Bytes without a pattern, the same in every run.
fn noise(number: usize) -> Vec<u8> {
    digest(&SHA256, &number.to_le_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lanyard_token::testing::TestIssuer;
    use lanyard_token::{Algorithm, UnverifiedToken};

    use super::*;

    #[test]
    fn no_two_pieces_of_junk_are_alike_and_every_second_one_looks_like_a_token() {
        let issuer = TestIssuer::new(
            Algorithm::EdDsa,
            "https://broker.example",
            "https://api.example",
            1_800_000_000,
        );
        let all = junk("/orders/1", &issuer.token(), 100);
        let different: BTreeSet<&[u8]> = all.iter().map(Question::bytes).collect();
        assert_eq!(different.len(), 100);
        let tokens = all.iter().filter_map(|question| {
            let text = std::str::from_utf8(question.bytes()).ok()?;
            text.split("Bearer ").nth(1)?.split("\r\n").next()
        });
        let well_formed = tokens.filter(|token| UnverifiedToken::parse(token).is_ok());
        assert_eq!(well_formed.count(), 50);
    }

    #[tokio::test]
    async fn slow_clients_are_counted_when_they_are_thrown_out_and_end_when_they_are_not() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let to = listener.local_addr().unwrap();
        let lasting = Duration::from_millis(300);
        // The backlog takes them, and nobody reads.
        assert_eq!(slow(to, 2, lasting).await, 0);
        drop(listener);
        assert!(slow(to, 2, lasting).await > 0);
    }
}
