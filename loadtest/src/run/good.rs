//! What good callers do all the time: calls at the service, and new tokens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::RunArgs;
use super::stage::Stage;
use crate::load::{Answers, Question, open};

const CONNECTIONS: usize = 8;

/// Good traffic, ready to be sent.
pub(super) struct Good {
    service: SocketAddr,
    calls: Arc<[Question]>,
    calls_per_second: f64,
    broker: Option<SocketAddr>,
    mints: Arc<[Question]>,
    mints_per_second: f64,
}

/// How it went at both doors.
pub(super) struct Went {
    pub(super) service: Answers,
    pub(super) broker: Option<Answers>,
}

impl Good {
    pub(super) fn new(args: &RunArgs, stage: &Stage) -> Self {
        let calls = stage.callers.iter().map(|caller| {
            let bearer = format!("Bearer {}", caller.token);
            let headers = [("authorization", bearer.as_str())];
            Question::get("localhost", &stage.service.path, &headers)
        });
        let mints = stage.callers.iter().map(|caller| {
            let basic = basic(&caller.member);
            let headers = [("authorization", basic.as_str())];
            let form = "grant_type=client_credentials";
            Question::post_form("localhost", "/oauth/token", &headers, form)
        });
        Self {
            service: stage.service.address,
            calls: calls.collect(),
            calls_per_second: args.calls,
            broker: stage.broker.address(),
            mints: mints.collect(),
            mints_per_second: args.mints,
        }
    }

    /// For this long.
    pub(super) async fn traffic(&self, lasting: Duration) -> Went {
        let calls = Arc::clone(&self.calls);
        let service = open(
            self.service,
            calls,
            CONNECTIONS,
            self.calls_per_second,
            lasting,
        );
        let broker = async {
            let mints = Arc::clone(&self.mints);
            let to = self.broker?;
            Some(open(to, mints, CONNECTIONS, self.mints_per_second, lasting).await)
        };
        let (service, broker) = tokio::join!(service, broker);
        Went { service, broker }
    }
}

/// How an identity proves itself.
pub(super) fn basic(member: &crate::broker::Member) -> String {
    let pair = format!("{}:{}", member.id, member.secret.expose());
    format!("Basic {}", STANDARD.encode(pair))
}
