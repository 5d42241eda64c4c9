//! Verdicts and what was done about them, as telemetry: told once they are durable, within the trace of
//! the report that led to them.

use lanyard_drift::Level;

use crate::store::Event;
use crate::store::event::Judgement;

/// Tells what these events mean to an operator.
pub(super) fn tell(events: &[Event]) {
    for event in events {
        match event {
            Event::Judged(judgement) => verdict(judgement),
            Event::Responded {
                verdict,
                identity,
                response: kind,
                enforced,
                held_back,
                chosen,
                ..
            } => {
                tracing::info!(
                    name: "lanyard.response",
                    {
                        lanyard.verdict = %verdict, lanyard.identity = %identity,
                        lanyard.decision = kind.word(), lanyard.enforced = enforced,
                        lanyard.asked = chosen.as_ref().map(|chosen| chosen.asked.word()),
                        lanyard.policies = chosen.as_ref().map(|chosen| chosen.policies.join(" "))
                    },
                    "a verdict was answered"
                );
                if let Some(held_back) = held_back {
                    tracing::warn!(
                        name: "lanyard.response.held_back",
                        {
                            lanyard.verdict = %verdict, lanyard.identity = %identity,
                            lanyard.decision = held_back.word()
                        },
                        "one gateway alone says so: a second one or a person is needed, see `lanyard drift show`"
                    );
                }
            }
            Event::Revoked { node, cause, .. } => tracing::info!(
                name: "lanyard.revoked",
                { lanyard.node = %node, lanyard.reason = cause.word() },
                "revoked"
            ),
            // What a pager is pointed at: within the budget, once a day for an identity.
            Event::Paged {
                identity, verdict, ..
            } => tracing::warn!(
                name: "lanyard.drift.page",
                { lanyard.verdict = %verdict, lanyard.identity = %identity },
                "somebody should look at this verdict"
            ),
            _ => {}
        }
    }
}

fn verdict(judgement: &Judgement) {
    tracing::info!(
        name: "lanyard.drift.verdict",
        {
            lanyard.verdict = %judgement.id,
            lanyard.identity = %judgement.identity,
            lanyard.credential.id = %judgement.token,
            lanyard.decision = level(judgement.verdict.level),
            lanyard.reason = judgement.sentence(),
        },
        "a credential left its baseline"
    );
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Benign => "benign",
        Level::Anomalous => "anomalous",
        Level::Malicious => "malicious",
    }
}
