//! Which third party: the settings of a plan, and the driver that they make.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::aws_iam::{self, AwsIam};
use super::certificates::believing;
use super::driver::{Driver, Unsuitable};
use super::http::{self, Described};
use super::machine::Reference;
use super::plan::Table;
use super::postgres::{self, Postgres};
use crate::clock::Clock;
use crate::outbound::Caller;
use crate::store::event::RotationPlan;

/// Where a plan's credentials are listed; nobody knows it of a plan that cannot be read.
pub(super) fn listed_at(plan: &RotationPlan) -> Option<String> {
    let third_party: ThirdParty = serde_json::from_value(plan.third_party.clone()).ok()?;
    Some(third_party.listed_at().to_string())
}

/// What a plan can change at which server: references there, beside the one that is in force.
pub(super) fn touched_at(plan: &RotationPlan) -> Option<(String, Vec<Reference>)> {
    let third_party: ThirdParty = serde_json::from_value(plan.third_party.clone()).ok()?;
    Some(match third_party {
        ThirdParty::Postgres(settings) => {
            let server = format!("{}:{}", settings.host, settings.port);
            let roles = settings.roles.map(Reference);
            (server, roles.into())
        }
        ThirdParty::AwsIam(settings) => (format!("{} {}", settings.iam, settings.user), Vec::new()),
        ThirdParty::Http(settings) => (settings.base.to_string(), Vec::new()),
    })
}

/// A third party and how it is spoken to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ThirdParty {
    /// Two roles of a PostgreSQL.
    Postgres(postgres::Settings),
    /// The access keys of an IAM user.
    AwsIam(aws_iam::Settings),
    /// A described HTTP interface.
    Http(Box<http::Settings>),
}

impl ThirdParty {
    /// Reads what somebody wrote: `kind`, and the members of that kind.
    pub(super) fn read(mut table: Table) -> Result<Self, Unsuitable> {
        const KINDS: &str = "`postgres`, `aws_iam` or `http`";
        let kind: String = table.required("kind", KINDS)?;
        match kind.as_str() {
            "postgres" => postgres::Settings::read(table).map(Self::Postgres),
            "aws_iam" => aws_iam::Settings::read(table).map(Self::AwsIam),
            "http" => http::Settings::read(table).map(|settings| Self::Http(Box::new(settings))),
            _ => Err(Unsuitable::Settings(format!(
                "`{}` is {KINDS}",
                table.path("kind")
            ))),
        }
    }

    /// What drives it, within the reach of `outside`.
    pub fn driver(
        self,
        outside: &Caller,
        clock: &Arc<dyn Clock>,
        longest_call: Duration,
    ) -> Result<Box<dyn Driver>, Unsuitable> {
        Ok(match self {
            Self::Postgres(settings) => {
                let reach = outside.reach().clone();
                Box::new(Postgres::new(settings, reach, longest_call)?)
            }
            Self::AwsIam(settings) => {
                let outside = believing(outside, settings.ca_file.as_deref())?;
                let clock = Arc::clone(clock);
                Box::new(AwsIam::new(settings, outside, clock, longest_call)?)
            }
            Self::Http(settings) => {
                let outside = believing(outside, settings.ca_file.as_deref())?;
                Box::new(Described::new(*settings, outside, longest_call)?)
            }
        })
    }

    /// Where its credentials are listed. Of two that are listed at the same place each would take what the other one makes
    /// meanwhile for its own.
    fn listed_at(&self) -> serde_json::Value {
        match self {
            Self::Postgres(settings) => {
                let mut roles = settings.roles.clone();
                roles.sort();
                serde_json::json!([settings.host, settings.port, roles])
            }
            Self::AwsIam(settings) => serde_json::json!([settings.iam, settings.user]),
            Self::Http(settings) => serde_json::json!([settings.base, settings.find]),
        }
    }

    /// As events and answers write it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::AwsIam(_) => "aws_iam",
            Self::Http(_) => "http",
        }
    }
}
