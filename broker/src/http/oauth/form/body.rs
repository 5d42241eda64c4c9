//! Reading a form's body with bounded memory.
//!
//! A token of a megabyte gets the answer of any other bad token, not one about bodies: whoever asks
//! must not be able to tell one refusal from another by size. So a body may be far longer than what is
//! kept of it. Of a long one only the beginning of each parameter is kept, more than any parameter may
//! have, with a NUL behind it, so that no reader takes the beginning for the whole.

use axum::body::Body;
use futures::StreamExt;
use http::StatusCode;

use crate::http::problem::Problem;

/// What is kept: both tokens, a task with both lists full, and room for escapes.
const MOST_KEPT: usize = 64 * 1024;
/// What is kept of each parameter of a longer body: several times the longest token.
const MOST_KEPT_OF_EACH: usize = 16 * 1024;
/// What is read at all.
const MOST_READ: usize = 2 * 1024 * 1024;

/// Reads a form, or the beginnings of its parameters.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut kept, mut read) = (Kept::default(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::invalid_request("the body cannot be read").because("malformed_body")
        })?;
        read = read.saturating_add(chunk.len());
        if read > MOST_READ || !kept.take(&chunk) {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request",
                "the body is too large",
            )
            .because("body_size"));
        }
    }
    Ok(kept.bytes)
}

/// The body so far.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// How much there is of the last parameter, once parameters are cut.
    last: Option<usize>,
}

impl Kept {
    /// `false`: even the beginnings are too much.
    fn take(&mut self, chunk: &[u8]) -> bool {
        if self.last.is_none() && self.bytes.len() + chunk.len() > MOST_KEPT {
            let whole = std::mem::take(&mut self.bytes);
            self.last = Some(0);
            self.cut(&whole);
        }
        if self.last.is_some() {
            self.cut(chunk);
        } else {
            self.bytes.extend_from_slice(chunk);
        }
        self.bytes.len() <= MOST_KEPT
    }

    fn cut(&mut self, chunk: &[u8]) {
        for (index, part) in chunk.split(|byte| *byte == b'&').enumerate() {
            let mut last = self.last.unwrap_or_default();
            if index > 0 {
                self.bytes.push(b'&');
                last = 0;
            }
            let room = MOST_KEPT_OF_EACH.saturating_sub(last);
            self.bytes.extend(part.iter().take(room));
            if part.len() > room && last <= MOST_KEPT_OF_EACH {
                self.bytes.push(0);
                // One past the most: the NUL is there.
                last = MOST_KEPT_OF_EACH + 1;
            } else {
                last = last.saturating_add(part.len());
            }
            self.last = Some(last);
            if self.bytes.len() > MOST_KEPT {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(body: &[u8], chunk: usize) -> Option<Vec<u8>> {
        let mut kept = Kept::default();
        body.chunks(chunk)
            .all(|chunk| kept.take(chunk))
            .then_some(kept.bytes)
    }

    #[test]
    fn a_body_of_ordinary_length_is_kept_as_it_is() {
        let body = b"a=1&b=%26&&c=".to_vec();
        assert_eq!(kept(&body, 3), Some(body.clone()));
        let full = vec![b'a'; MOST_KEPT];
        assert_eq!(kept(&full, 1_000), Some(full.clone()));
    }

    #[test]
    fn of_a_long_body_each_parameters_beginning_is_kept_however_it_arrives() {
        let token = "t".repeat(1024 * 1024);
        let body = format!("grant_type=x&subject_token={token}&scope=a&actor_token={token}&last=1");
        for chunk in [1_000, 1_021, 65_536, body.len()] {
            let kept = kept(body.as_bytes(), chunk).unwrap();
            let parts: Vec<_> = kept.split(|byte| *byte == b'&').collect();
            assert_eq!(parts.len(), 5, "{chunk}");
            assert_eq!(
                (parts[0], parts[2], parts[4]),
                (&b"grant_type=x"[..], &b"scope=a"[..], &b"last=1"[..])
            );
            for (long, name) in [(parts[1], "subject_token="), (parts[3], "actor_token=")] {
                assert!(long.starts_with(name.as_bytes()));
                assert_eq!((long.len(), long.last()), (MOST_KEPT_OF_EACH + 1, Some(&0)));
                assert_eq!(long.iter().filter(|byte| **byte == 0).count(), 1);
            }
        }
    }

    #[test]
    fn many_long_parameters_are_too_much() {
        let body = format!("a={}&", "x".repeat(20_000)).repeat(5);
        assert_eq!(kept(body.as_bytes(), 4_096), None);
        assert_eq!(kept("&".repeat(MOST_KEPT + 1).as_bytes(), 4_096), None);
    }
}
