//! Which third party: the settings of a plan, and the driver that they make.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::aws_iam::{self, AwsIam};
use super::driver::{Driver, Unsuitable};
use super::http::{self, Described};
use super::postgres::{self, Postgres};
use crate::clock::Clock;

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
    /// What drives it. `client` follows no redirects, uses no proxy, and connects only where it may.
    pub fn driver(
        self,
        client: &reqwest::Client,
        clock: &Arc<dyn Clock>,
        longest_call: Duration,
    ) -> Result<Box<dyn Driver>, Unsuitable> {
        Ok(match self {
            Self::Postgres(settings) => Box::new(Postgres::new(settings, longest_call)?),
            Self::AwsIam(settings) => {
                let (client, clock) = (client.clone(), Arc::clone(clock));
                Box::new(AwsIam::new(settings, client, clock, longest_call)?)
            }
            Self::Http(settings) => {
                Box::new(Described::new(*settings, client.clone(), longest_call)?)
            }
        })
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
