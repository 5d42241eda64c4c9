//! Sessions of agents, and apart from them how they ended.

use std::collections::BTreeMap;

use super::dictionary::Dictionary;
use crate::replay::{Label, Recording};

/// All sessions of a recording that made a call.
pub(in crate::drift_eval) struct Sessions {
    pub(super) sessions: Vec<Session>,
    /// For scoring, and for choosing the clean sessions of a population to learn from.
    outcomes: BTreeMap<String, Outcome>,
}

/// One run of an agent, without its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    id: String,
    pub(super) role: String,
    /// The model and what is wrapped around it.
    pipeline: String,
    /// What it was asked to do.
    task: String,
    pub(super) calls: Vec<ToolCall>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolCall {
    pub(super) operation: String,
    /// Where it sends something or what it destroys; empty for calls that only read.
    pub(super) destinations: Vec<String>,
    /// Whether calls of this kind go somewhere at all.
    pub(super) goes_somewhere: bool,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nobody tried anything.
    Clean,
    /// Somebody tried, and the agent did not do it.
    Resisted,
    /// It did.
    Hijacked,
}

impl Sessions {
    pub(in crate::drift_eval) fn of(recording: &Recording, dictionary: &Dictionary) -> Self {
        let mut sessions: Vec<Session> = Vec::new();
        let mut outcomes = BTreeMap::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let rows = recording
            .calls
            .iter()
            .zip(&recording.labels)
            .zip(&recording.scenarios);
        for ((call, label), scenario) in rows {
            let id = call.session.as_deref().unwrap_or(&call.identity);
            let place = *places.entry(id).or_insert_with(|| {
                outcomes.insert(id.to_owned(), Outcome::of(label));
                sessions.push(Session {
                    id: id.to_owned(),
                    role: call.identity.clone(),
                    pipeline: call.agent.clone().unwrap_or_default(),
                    task: scenario.clone(),
                    calls: Vec::new(),
                });
                sessions.len() - 1
            });
            if let Some(session) = sessions.get_mut(place) {
                let arguments = call.resource.as_deref().unwrap_or_default();
                session.calls.push(ToolCall {
                    destinations: dictionary.destinations(&call.operation, arguments),
                    goes_somewhere: dictionary.names(&call.operation),
                    operation: call.operation.clone(),
                });
            }
        }
        Self { sessions, outcomes }
    }

    pub(super) fn clean(&self) -> impl Iterator<Item = &Session> {
        self.sessions
            .iter()
            .filter(|session| self.outcome(session) == Outcome::Clean)
    }

    pub(super) fn outcome(&self, session: &Session) -> Outcome {
        // Every session was entered with its outcome.
        self.outcomes
            .get(&session.id)
            .copied()
            .unwrap_or(Outcome::Resisted)
    }

    /// Two halves that share no pipeline: by turns, in the order of the recording.
    pub(in crate::drift_eval) fn halves(&self) -> (Self, Self) {
        let mut pipelines: Vec<&str> = Vec::new();
        for session in &self.sessions {
            if !pipelines.contains(&session.pipeline.as_str()) {
                pipelines.push(&session.pipeline);
            }
        }
        let by_turns = |odd: usize| {
            let half: Vec<&str> = pipelines.iter().skip(odd).step_by(2).copied().collect();
            let mine = |session: &&Session| half.contains(&session.pipeline.as_str());
            Self {
                sessions: self.sessions.iter().filter(mine).cloned().collect(),
                outcomes: self.outcomes.clone(),
            }
        };
        (by_turns(0), by_turns(1))
    }
}

impl Session {
    /// Tasks of different roles may have the same name.
    pub(super) fn task(&self) -> (&str, &str) {
        (&self.role, &self.task)
    }
}

impl Outcome {
    fn of(label: &Label) -> Self {
        match label.0.as_str() {
            "clean" => Self::Clean,
            "hijacked" => Self::Hijacked,
            _ => Self::Resisted,
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::{Session, ToolCall};

    pub(in crate::drift_eval::agents) fn session(task: &str, calls: Vec<ToolCall>) -> Session {
        Session {
            id: format!("{task} {calls:?}"),
            role: "clerk".to_owned(),
            pipeline: "a model".to_owned(),
            task: task.to_owned(),
            calls,
        }
    }

    pub(in crate::drift_eval::agents) fn call(operation: &str, to: &[&str]) -> ToolCall {
        ToolCall {
            operation: operation.to_owned(),
            destinations: to.iter().map(|to| (*to).to_owned()).collect(),
            goes_somewhere: !to.is_empty(),
        }
    }
}
