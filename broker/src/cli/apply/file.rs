//! Files of owners, identities, grants, gateways and integrations, read into what shall be.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};

use lanyard_token::{Audience, ScopeSet};
use serde::Deserialize;

use super::grant::{self, Grant, GrantEntry};
use super::integration::{IntegrationEntry, Wanted};
use super::policies::PolicyEntry;
use crate::cli::CliError;
use crate::cli::output::line;
use crate::http::wording::without_secrets;
use crate::issue::administration::Name;
use crate::store::event::Kind;

/// The longest file: ten thousand identities take about two megabytes.
const LONGEST_FILE: u64 = 16 * 1024 * 1024;
/// The most of everything together: each is a call, and a plan that nobody can read is no plan.
const MOST_ENTRIES: usize = 100_000;

/// What shall be.
#[derive(Debug, Default)]
pub(super) struct Desired {
    pub(super) owners: BTreeMap<String, Owner>,
    pub(super) identities: BTreeMap<String, Identity>,
    pub(super) integrations: BTreeMap<String, Wanted>,
    /// Those that are not merged yet.
    pub(super) grants: Vec<Grant>,
    /// Folders of policies that the broker must decide by.
    pub(super) policies: Vec<PathBuf>,
    /// Where the enrolments of new gateways go; `None`: a person enrols them.
    pub(super) enrolments: Option<PathBuf>,
}

/// An owner as the files want it.
#[derive(Debug)]
pub(super) struct Owner {
    /// `None`: however it is.
    pub(super) contact: Option<String>,
    /// Where it stands, for messages.
    pub(super) place: String,
}

/// An identity as the files want it; gateways are among them.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) owner: String,
    pub(super) kind: Kind,
    pub(super) tags: Vec<String>,
    pub(super) audiences: Vec<Audience>,
    /// `None`: a gateway's, which are always the same.
    pub(super) scopes: Option<ScopeSet>,
    /// `None`: however it is, or the trust domain's.
    pub(super) max_lifetime: Option<u64>,
    /// Whether a gateway is given secrets of third parties; `None`: however it is, and not if it is not there.
    pub(super) egress: Option<bool>,
    /// Whether a gateway's word about hard rules stands alone; `None`: likewise.
    pub(super) sole_witness: Option<bool>,
    /// What of it grants have added.
    pub(super) grants: Vec<Grant>,
    /// Where it stands, for messages.
    pub(super) place: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    policy: Option<PolicyEntry>,
    #[serde(default, rename = "owner")]
    owners: Vec<OwnerEntry>,
    #[serde(default, rename = "identity")]
    identities: Vec<IdentityEntry>,
    #[serde(default, rename = "grant")]
    grants: Vec<GrantEntry>,
    #[serde(default, rename = "gateway")]
    gateways: Vec<GatewayEntry>,
    #[serde(default, rename = "integration")]
    integrations: Vec<IntegrationEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnerEntry {
    name: String,
    contact: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityEntry {
    name: String,
    owner: String,
    kind: Kind,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    max_lifetime: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayEntry {
    name: String,
    owner: String,
    audiences: Vec<String>,
    egress: Option<bool>,
    sole_witness: Option<bool>,
}

impl Desired {
    /// Reads all files; together they are what shall be.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, CliError> {
        let mut desired = Self::default();
        for path in files {
            desired.add(path, &text(path)?).map_err(CliError::Usage)?;
        }
        desired.merged().map_err(CliError::Usage)
    }

    /// With everything that grants add.
    pub(super) fn merged(mut self) -> Result<Self, String> {
        grant::merge(&mut self)?;
        Ok(self)
    }

    /// Adds a file's content.
    pub(super) fn add(&mut self, path: &Path, content: &str) -> Result<(), String> {
        let file = path.display().to_string();
        let document: Document =
            toml::from_str(content).map_err(|error| syntax(&file, content, &error))?;
        let entries = self.owners.len()
            + self.identities.len()
            + self.grants.len()
            + self.integrations.len()
            + document.owners.len()
            + document.identities.len()
            + document.grants.len()
            + document.gateways.len()
            + document.integrations.len();
        if entries > MOST_ENTRIES {
            return Err(at(
                &file,
                format_args!(
                    "more than {MOST_ENTRIES} owners, identities, grants and integrations together: apply them in parts"
                ),
            ));
        }
        if let Some(PolicyEntry { bundle }) = document.policy {
            let beside = path.parent().unwrap_or(Path::new(""));
            self.policies.push(beside.join(bundle));
        }
        for OwnerEntry { name, contact } in document.owners {
            let place = format!("{file}: owner `{}`", shown(&name));
            Name::parse("name", &name).map_err(|why| at(&place, why))?;
            let owner = Owner {
                contact,
                place: place.clone(),
            };
            if let Some(before) = self.owners.insert(name, owner) {
                return Err(at(
                    &place,
                    format_args!("it is there already: {}", before.place),
                ));
            }
        }
        for entry in document.identities {
            if entry.kind == Kind::Gateway {
                let place = format!("{file}: identity `{}`", shown(&entry.name));
                return Err(at(&place, "a gateway is an entry `[[gateway]]`"));
            }
            let scopes = Some(entry.scopes.join(" "));
            let identity = Entry {
                owner: entry.owner,
                kind: entry.kind,
                tags: entry.tags,
                audiences: entry.audiences,
                scopes,
                max_lifetime: entry.max_lifetime,
                egress: None,
                sole_witness: None,
            };
            self.add_identity(&file, "identity", entry.name, identity)?;
        }
        for entry in document.grants {
            self.grants.push(Grant::read(&file, entry)?);
        }
        for entry in document.gateways {
            let identity = Entry {
                owner: entry.owner,
                kind: Kind::Gateway,
                tags: Vec::new(),
                audiences: entry.audiences,
                scopes: None,
                max_lifetime: None,
                egress: entry.egress,
                sole_witness: entry.sole_witness,
            };
            self.add_identity(&file, "gateway", entry.name, identity)?;
        }
        for entry in document.integrations {
            let name = entry.name.clone();
            let wanted = Wanted::read(&file, entry)?;
            let place = wanted.place.clone();
            if let Some(before) = self.integrations.insert(name, wanted) {
                return Err(at(
                    &place,
                    format_args!("it is there already: {}", before.place),
                ));
            }
        }
        Ok(())
    }

    fn add_identity(
        &mut self,
        file: &str,
        sort: &str,
        name: String,
        entry: Entry,
    ) -> Result<(), String> {
        let place = format!("{file}: {sort} `{}`", shown(&name));
        for (member, text) in [("name", &name), ("owner", &entry.owner)] {
            Name::parse(member, text).map_err(|why| at(&place, why))?;
        }
        let mut tags = entry.tags;
        for tag in &tags {
            Name::parse("tags", tag).map_err(|why| at(&place, why))?;
        }
        tags.sort();
        tags.dedup();
        let mut audiences = Vec::with_capacity(entry.audiences.len());
        for text in &entry.audiences {
            let audience: Audience = text
                .parse()
                .map_err(|why| at(&place, format_args!("`audiences` is refused: {why}")))?;
            audiences.push(audience);
        }
        audiences.sort();
        audiences.dedup();
        let scopes = entry.scopes.map(|scopes| scopes.parse());
        let scopes = scopes
            .transpose()
            .map_err(|why| at(&place, format_args!("`scopes` is refused: {why}")))?;
        let identity = Identity {
            owner: entry.owner,
            kind: entry.kind,
            tags,
            audiences,
            scopes,
            max_lifetime: entry.max_lifetime,
            egress: entry.egress,
            sole_witness: entry.sole_witness,
            grants: Vec::new(),
            place: place.clone(),
        };
        match self.identities.insert(name, identity) {
            None => Ok(()),
            Some(before) => Err(at(
                &place,
                format_args!("the name is taken already: {}", before.place),
            )),
        }
    }
}

/// An identity or gateway as it stands in the file.
struct Entry {
    owner: String,
    kind: Kind,
    tags: Vec<String>,
    audiences: Vec<String>,
    scopes: Option<String>,
    max_lifetime: Option<u64>,
    egress: Option<bool>,
    sole_witness: Option<bool>,
}

pub(super) fn at(place: &str, why: impl Display) -> String {
    format!("{place}: {why}")
}

/// Which line, and why; never the line itself, which a pipeline would print with whatever stands there.
fn syntax(file: &str, content: &str, error: &toml::de::Error) -> String {
    let before = error
        .span()
        .and_then(|span| content.get(..span.start))
        .unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    format!("{file}: line {number}: {}", shown(error.message()))
}

/// A text of somebody's, which may be anything: one line, short, and no secret.
pub(super) fn shown(text: &str) -> String {
    let short: String = without_secrets(text).chars().take(256).collect();
    line(&short)
}

fn text(path: &Path) -> Result<String, CliError> {
    let cannot =
        |error: std::io::Error| CliError::cannot(format_args!("read `{}`", path.display()), &error);
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = String::new();
    let read = file
        .take(LONGEST_FILE + 1)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    if read as u64 > LONGEST_FILE {
        return Err(CliError::Usage(format!(
            "{}: longer than {LONGEST_FILE} bytes: apply it in parts",
            path.display()
        )));
    }
    Ok(text)
}
