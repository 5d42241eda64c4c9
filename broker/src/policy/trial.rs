//! What a policy folder brings so that its policies can be tried without a broker: identities to ask with,
//! cases that say what comes out, and classes of identities for the matrix.
//!
//! Nothing of it decides anything in a running broker.

mod act;
mod asking;
mod case;
mod class;
mod fixture;
mod scopes;
mod using;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use act::{ActCase, Acting};
pub use asking::{Asking, Limits};
pub use case::{Case, Expectation, Outcome, Reason, Verdict};
pub use class::{Circumstance, Class, Classes};
pub use fixture::{Fixture, Fixtures, Kind};
pub use using::{NamedUse, OwnedSecret, UseCase, Using};

use super::respond::ResponseCase;

/// A file that cannot be read: which, where, and what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Look at permissions and spelling.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Correct what stands there.
    #[error("{place}: {words}")]
    Content {
        /// `file:line:column`.
        place: String,
        /// What is wrong with it.
        words: String,
    },
}

impl Unreadable {
    pub(super) fn content(path: &Path, words: impl Into<String>) -> Self {
        Self::Content {
            place: path.display().to_string(),
            words: words.into(),
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Who asks.
    pub fixtures: Fixtures,
    /// The cases of each grant, by the name of its folder.
    pub cases: BTreeMap<String, Vec<Case>>,
    /// The cases of each folder about what is done about drift.
    pub responses: BTreeMap<String, Vec<ResponseCase>>,
    /// The cases of each folder about administration.
    pub acts: BTreeMap<String, Vec<ActCase>>,
    /// The cases of each folder about what gateways use.
    pub uses: BTreeMap<String, Vec<UseCase>>,
    /// Rows of the matrix; absent when the folder has none.
    pub classes: Option<Classes>,
}

impl Trial {
    /// Reads the folder.
    pub fn load(folder: &Path) -> Result<Self, Unreadable> {
        let fixtures = Fixtures::load(&folder.join("fixtures"))?;
        let (mut cases, mut acts) = (BTreeMap::new(), BTreeMap::new());
        let (mut responses, mut uses) = (BTreeMap::new(), BTreeMap::new());
        for grant in grants(folder)? {
            let path = folder.join(&grant).join("cases.json");
            if path.exists() {
                // Cases of one file are all of one kind, so that a mistake is told where it stands.
                let first = json::<Vec<Value>>(&path)?.into_iter().next();
                if first.as_ref().is_some_and(using::is_use) {
                    let read: Vec<UseCase> = json(&path)?;
                    let named = read
                        .iter()
                        .map(|case| (case.name.as_str(), vec![case.request.identity.as_str()]));
                    check(named, &fixtures, &path)?;
                    uses.insert(grant.clone(), read);
                } else if first.as_ref().is_some_and(act::is_act) {
                    let read: Vec<ActCase> = json(&path)?;
                    check(read.iter().map(acted_on), &fixtures, &path)?;
                    acts.insert(grant.clone(), read);
                } else {
                    let read: Vec<Case> = json(&path)?;
                    check(read.iter().map(spoken_of), &fixtures, &path)?;
                    cases.insert(grant.clone(), read);
                }
            }
            let path = folder.join(&grant).join("responses.json");
            if path.exists() {
                let read: Vec<ResponseCase> = json(&path)?;
                let named = read
                    .iter()
                    .map(|case| (case.name.as_str(), vec![case.drift.identity.as_str()]));
                check(named, &fixtures, &path)?;
                responses.insert(grant, read);
            }
        }
        let path = folder.join("classes.json");
        let classes = path.exists().then(|| json::<Classes>(&path)).transpose()?;
        if let Some(classes) = &classes {
            classes
                .check(&fixtures)
                .map_err(|words| Unreadable::content(&path, words))?;
        }
        Ok(Self {
            fixtures,
            cases,
            responses,
            acts,
            uses,
            classes,
        })
    }

    /// Every case with the folder it stands in.
    pub fn all_cases(&self) -> impl Iterator<Item = (&str, &Case)> {
        self.cases
            .iter()
            .flat_map(|(grant, cases)| cases.iter().map(move |case| (grant.as_str(), case)))
    }

    /// Every case about administration with the folder it stands in.
    pub fn act_cases(&self) -> impl Iterator<Item = (&str, &ActCase)> {
        self.acts
            .iter()
            .flat_map(|(grant, cases)| cases.iter().map(move |case| (grant.as_str(), case)))
    }

    /// Every case about what gateways use with the folder it stands in.
    pub fn use_cases(&self) -> impl Iterator<Item = (&str, &UseCase)> {
        self.uses
            .iter()
            .flat_map(|(grant, cases)| cases.iter().map(move |case| (grant.as_str(), case)))
    }

    /// Every case about responses with the folder it stands in.
    pub fn response_cases(&self) -> impl Iterator<Item = (&str, &ResponseCase)> {
        self.responses
            .iter()
            .flat_map(|(grant, cases)| cases.iter().map(move |case| (grant.as_str(), case)))
    }
}

/// The folders that hold a policy, by name.
pub fn grants(folder: &Path) -> Result<Vec<String>, Unreadable> {
    let unreadable = |source| Unreadable::File {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.path().join("policy.cedar").exists() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// A case, and the identities it speaks of.
type Named<'c> = (&'c str, Vec<&'c str>);

fn spoken_of(case: &Case) -> Named<'_> {
    let actor = case.request.actor.as_deref();
    let names = std::iter::once(case.request.identity.as_str()).chain(actor);
    (&case.name, names.collect())
}

fn acted_on(case: &ActCase) -> Named<'_> {
    let target = case.request.target.as_deref();
    let names = std::iter::once(case.request.identity.as_str()).chain(target);
    (&case.name, names.collect())
}

/// A case has a name of its own, and speaks of identities there are.
fn check<'c>(
    cases: impl Iterator<Item = Named<'c>>,
    fixtures: &Fixtures,
    path: &Path,
) -> Result<(), Unreadable> {
    let mut names = std::collections::BTreeSet::new();
    for (case, speaks_of) in cases {
        if !names.insert(case) {
            let words = format!("two cases are called `{case}`");
            return Err(Unreadable::content(path, words));
        }
        for name in speaks_of {
            if fixtures.get(name).is_none() {
                let words = format!("case `{case}` speaks of `{name}`, which is not in fixtures/");
                return Err(Unreadable::content(path, words));
            }
        }
    }
    Ok(())
}

/// A JSON file as what it should be.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Unreadable> {
    let text = std::fs::read_to_string(path).map_err(|source| Unreadable::File {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|error| {
        let whole = error.to_string();
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        Unreadable::Content {
            place: format!("{}:{}:{}", path.display(), error.line(), error.column()),
            words: whole.strip_suffix(&suffix).unwrap_or(&whole).to_owned(),
        }
    })
}
