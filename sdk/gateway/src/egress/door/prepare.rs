//! A call as the third party sees it: cleaned, with the credential in it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, request};

use super::Door;
use crate::egress::answer::Problem;
use crate::egress::bearer::Bearer;
use crate::egress::headers::clean_request;
use crate::egress::inject::{Credential, Outgoing, Payload, inject};
use crate::egress::scrub::Needles;
use crate::egress::station::{Leased, Station};

/// A call as the third party sees it.
pub(in crate::egress) struct Prepared {
    pub(in crate::egress) request: Request<()>,
    /// What is to be hidden in its answer.
    pub(in crate::egress) needles: Arc<Needles>,
    /// The token in it, where a secret is not sent itself.
    pub(in crate::egress) bearer: Option<Arc<Bearer>>,
}

impl Door {
    /// The call as the third party sees it, and what is to be hidden in its answer.
    pub(in crate::egress) async fn outgoing(
        &self,
        parts: &request::Parts,
        mut headers: HeaderMap,
        station: &Arc<Station>,
        leased: &Leased,
        payload: Option<&Bytes>,
    ) -> Result<Prepared, Problem> {
        let held = &leased.held;
        let injection = station.integration().injection();
        let upstream = station.integration().upstream();
        let below = parts
            .uri
            .path()
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(station.name()))
            .ok_or(Problem::Unknown)?;
        clean_request(&mut headers, injection);
        let mut outgoing = Outgoing {
            method: parts.method.clone(),
            upstream,
            path: format!("{}{below}", upstream.base()),
            query: parts.uri.query().map(str::to_owned),
            headers,
        };
        let bearer = self.bearer(station, leased).await?;
        // It held when it was looked up; a token may have been waited for since.
        if !self.holds(station, leased) {
            return Err(Problem::NoLease);
        }
        let credential = Credential {
            value: bearer
                .as_ref()
                .map_or(held.value.expose(), |bearer| bearer.token.expose()),
            reference: held.reference.as_deref(),
        };
        let payload = payload.map_or(Payload::Stream, |bytes| Payload::Known(bytes));
        let now = lanyard_sdk::UnixMillis(self.broker_time());
        let unusable = |error| {
            tracing::error!(
                name: "lanyard.egress.cannot_inject",
                { error = %error, lanyard.integration = station.name() },
                "a credential cannot be put into a call"
            );
            Problem::Unusable
        };
        inject(&mut outgoing, injection, credential, payload, now).map_err(unusable)?;
        let mut request = Request::new(());
        *request.uri_mut() = outgoing.uri().map_err(unusable)?;
        *request.method_mut() = outgoing.method;
        *request.headers_mut() = outgoing.headers;
        let needles = bearer
            .as_ref()
            .map_or(&held.needles, |bearer| &bearer.needles);
        Ok(Prepared {
            request,
            needles: Arc::clone(needles),
            bearer,
        })
    }
}
