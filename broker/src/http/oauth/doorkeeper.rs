//! The issue room lets callers in at the broker's own doors.

use lanyard_token::Rejection;

use crate::clock::UnixMillis;
use crate::http::caller::{Caller, Door, Doorkeeper};
use crate::issue::Issue;

impl Doorkeeper for Issue {
    fn admit(
        &self,
        token: &str,
        door: Door,
        scope: &str,
        now: UnixMillis,
    ) -> Result<Caller, Rejection> {
        let audience = match door {
            Door::Public => self.own_audience(),
            Door::Admin => self.admin_audience(),
        };
        let (identity, token, scopes) = Self::admit(self, token, audience, scope, now)?;
        Ok(Caller {
            identity,
            token,
            scopes,
        })
    }
}
