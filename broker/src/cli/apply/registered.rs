//! Identities as files register them: for trying what a change of the files would do, without a broker.

use std::path::PathBuf;

use super::super::CliError;
use super::file::Desired;
use crate::policy::trial::Fixture;

/// How files register identities.
#[derive(Debug, Default)]
pub(in crate::cli) struct Registrations(Desired);

impl Registrations {
    /// Reads the files.
    pub(in crate::cli) fn read(files: &[PathBuf]) -> Result<Self, CliError> {
        Ok(Self(Desired::read(files)?))
    }

    /// The identity as it would be registered; one that no file names stays as it is.
    pub(in crate::cli) fn of(&self, identity: &Fixture) -> Fixture {
        let Some(wanted) = self.0.identities.get(&identity.name) else {
            return identity.clone();
        };
        let scopes = wanted.scopes.as_ref();
        Fixture {
            tags: wanted.tags.clone(),
            audiences: wanted.audiences.clone(),
            scopes: scopes.unwrap_or(&identity.scopes).clone(),
            max_lifetime: wanted.max_lifetime.unwrap_or(identity.max_lifetime),
            ..identity.clone()
        }
    }

    /// Whom the files name, gateways among them.
    pub(in crate::cli) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.identities.keys().map(String::as_str)
    }
}
