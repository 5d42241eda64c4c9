//! `[[integration]]`: what egress may call at a third party, as a file says it.
//!
//! The form is the one of `lanyard integration add --file`, with who answers for it and who carries it beside. It
//! names a secret and holds no value.

use std::collections::BTreeSet;

use lanyard_token::integration::Integration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::file::{at, shown};
use crate::cli::admin::integration::check_routes;
use crate::issue::administration::Name;
use crate::store::event::WrittenIntegration;

/// An integration as it stands in a file.
#[derive(Deserialize)]
pub(super) struct IntegrationEntry {
    pub(super) name: String,
    owner: String,
    gateways: Vec<String>,
    /// The integration itself, which refuses what it does not know.
    #[serde(flatten)]
    rest: toml::Table,
}

/// An integration as the files want it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) owner: String,
    pub(super) gateways: BTreeSet<String>,
    pub(super) integration: Integration,
    /// Where it stands, for messages.
    pub(super) place: String,
}

/// An integration there is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PresentIntegration {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) gateways: Vec<PresentCarrier>,
    pub(super) integration: WrittenIntegration,
}

/// A gateway that carries one.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PresentCarrier {
    pub(super) name: String,
}

impl Wanted {
    /// Reads an entry, as far as that goes without a broker.
    pub(super) fn read(file: &str, entry: IntegrationEntry) -> Result<Self, String> {
        let place = format!("{file}: integration `{}`", shown(&entry.name));
        Name::parse("owner", &entry.owner).map_err(|why| at(&place, why))?;
        if entry.gateways.is_empty() {
            return Err(at(&place, "`gateways` names none: nobody would carry it"));
        }
        for gateway in &entry.gateways {
            Name::parse("gateways", gateway).map_err(|why| at(&place, why))?;
        }
        let mut written = entry.rest;
        written.insert("name".to_owned(), entry.name.into());
        let integration: Integration = serde_json::to_value(written)
            .and_then(serde_json::from_value)
            .map_err(|error| at(&place, shown(&error.to_string())))?;
        check_routes(&integration).map_err(|why| at(&place, shown(&why)))?;
        Ok(Self {
            owner: entry.owner,
            gateways: entry.gateways.into_iter().collect(),
            integration,
            place,
        })
    }

    /// As it is carried as long as these gateways are missing.
    pub(super) fn without(&self, missing: &[String]) -> Self {
        let mut gateways = self.gateways.clone();
        gateways.retain(|gateway| !missing.contains(gateway));
        Self {
            gateways,
            ..self.clone()
        }
    }

    /// As `POST /v1/integrations` takes it.
    pub(super) fn body(&self) -> Value {
        json!({"owner": self.owner, "gateways": self.gateways, "integration": self.integration})
    }
}
