//! The audiences and scopes there are, as far as a bundle knows them (`catalogue.json`, Cedar's entities in JSON).
//!
//! Only whoever asks for "everything" needs it: a scope that is not in it can be asked for by name and is judged
//! like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lanyard_token::{Audience, Scope, ScopeSet};
use serde::Deserialize;

use super::broken::Broken;
use super::sources::Text;

/// Audiences, and the scopes of each.
pub(super) type Catalogue = BTreeMap<Audience, BTreeSet<Scope>>;

/// Reads it; a folder without one knows none.
pub(super) fn read(source: Option<&Text>) -> Result<Catalogue, Broken> {
    let mut catalogue = Catalogue::new();
    let Some(Text { file, text }) = source else {
        return Ok(catalogue);
    };
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|error| Broken {
        place: format!("{}:{}:{}", file.display(), error.line(), error.column()),
        words: error.to_string(),
        advice: None,
    })?;
    for entry in entries {
        let id = entry.uid.id.clone();
        let (audience, scope) = entry.read(file)?;
        let scopes = catalogue.entry(audience).or_default();
        scopes.extend(scope);
        if scopes.len() > ScopeSet::MAX_SCOPES {
            let words = format!("`{id}` is one too many");
            return Err(Broken::file(file, words).advise(format!(
                "a token carries at most {} scopes",
                ScopeSet::MAX_SCOPES
            )));
        }
    }
    Ok(catalogue)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    uid: Uid,
    attrs: Members,
    parents: Vec<Uid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Uid {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    name: Option<String>,
    audience: Option<String>,
}

impl Entry {
    fn read(self, file: &Path) -> Result<(Audience, Option<Scope>), Broken> {
        let id = &self.uid.id;
        let wrong = |why: String| Broken::file(file, format!("`{id}` {why}"));
        let audience = |text: &str| {
            text.parse::<Audience>()
                .map_err(|error| wrong(format!("is refused: {error}")))
        };
        match self.uid.kind.as_str() {
            "Lanyard::Audience" => Ok((audience(id)?, None)),
            "Lanyard::Scope" => {
                let (at, name) = id
                    .rsplit_once('#')
                    .ok_or_else(|| wrong("is no scope: write `AUDIENCE#SCOPE`".to_owned()))?;
                let at = audience(at)?;
                let scope = name
                    .parse::<Scope>()
                    .map_err(|error| wrong(format!("is refused: {error}")))?;
                let fits = self.attrs.name.as_deref() == Some(name)
                    && self.attrs.audience.as_deref() == Some(at.as_str())
                    && self.parents.iter().any(|parent| parent.id == at.as_str());
                if !fits {
                    let why = "has another name, audience or parent than its id says";
                    return Err(wrong(why.to_owned()));
                }
                Ok((at, Some(scope)))
            }
            other => Err(wrong(format!(
                "is a `{other}`: only audiences and scopes stand here"
            ))),
        }
    }
}
