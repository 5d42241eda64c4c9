//! A request that is asked over and over: written once, sent as it is.

use std::fmt::Write as _;

use http::StatusCode;

/// The bytes of a request, and the status that is expected.
#[derive(Clone)]
pub struct Question {
    bytes: Vec<u8>,
    pub(super) expected: StatusCode,
}

impl Question {
    /// `GET path` with these headers; the answer is expected to be 200.
    pub fn get(host: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::new("GET", host, path, headers, b"")
    }

    /// `POST path` of a form.
    pub fn post_form(host: &str, path: &str, headers: &[(&str, &str)], form: &str) -> Self {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        Self::new("POST", host, path, &headers, form.as_bytes())
    }

    /// `POST path` of a JSON document.
    pub fn post_json(host: &str, path: &str, headers: &[(&str, &str)], json: &str) -> Self {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json"));
        Self::new("POST", host, path, &headers, json.as_bytes())
    }

    /// Another status is the right answer.
    #[must_use]
    pub const fn expecting(mut self, status: StatusCode) -> Self {
        self.expected = status;
        self
    }

    /// The status that is the right answer.
    pub const fn expected(&self) -> StatusCode {
        self.expected
    }

    /// As sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn new(method: &str, host: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, value) in headers {
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(head, "content-length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self {
            bytes,
            expected: StatusCode::OK,
        }
    }
}
