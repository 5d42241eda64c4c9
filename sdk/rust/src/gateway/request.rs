//! What a gateway is told about a call.

use std::net::IpAddr;

use http::Method;
use lanyard_token::Rev;

/// One call, as it stood on the wire. What a gateway cannot see is `None`: an absent channel is not
/// a zero.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, not decoded, without the query.
    pub path: &'a str,
    /// What stood after the question mark, not decoded.
    pub query: Option<&'a str>,
    /// Where the call came from: the nearest hop that is not a trusted proxy.
    pub source: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
    /// The caller wants a decision that knows at least this place of the log (`Lanyard-Min-Rev`).
    pub min_rev: Option<Rev>,
}

impl<'a> Request<'a> {
    /// A call of which only method and path are known.
    #[must_use]
    pub const fn new(method: &'a Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            query: None,
            source: None,
            user_agent: None,
            min_rev: None,
        }
    }
}
