//! Which arguments of which operations are destinations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use url::Url;

/// By operation, the names of the arguments that say where something goes.
#[derive(Debug, Clone, Default)]
pub(in crate::drift_eval) struct Dictionary(BTreeMap<String, Vec<String>>);

/// The dictionary cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::drift_eval) enum DictionaryError {
    /// In none of the places where it may lie.
    #[error(
        "`{FILE}` is neither in nor beside the folder `{folder}`, nor in the folder that LANYARD_DATA names"
    )]
    Missing { folder: PathBuf },
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("`{path}` is no list of arguments by operation")]
    Form {
        path: PathBuf,
        source: serde_json::Error,
    },
}

const FILE: &str = "agentdojo-destinations.json";
/// How the sessions' own language writes an argument that was not given.
const NOT_GIVEN: &str = "none";

impl Dictionary {
    /// Looks in a folder of recordings, beside it, and where `elsewhere` says.
    pub(in crate::drift_eval) fn find(
        folder: &Path,
        elsewhere: Option<&Path>,
    ) -> Result<Self, DictionaryError> {
        let places = [Some(folder), folder.parent(), elsewhere];
        let path = places
            .into_iter()
            .flatten()
            .map(|place| place.join(FILE))
            .find(|path| path.exists())
            .ok_or_else(|| DictionaryError::Missing {
                folder: folder.to_owned(),
            })?;
        let text = fs::read(&path).map_err(|source| DictionaryError::Read {
            path: path.clone(),
            source,
        })?;
        serde_json::from_slice(&text)
            .map(Self)
            .map_err(|source| DictionaryError::Form { path, source })
    }

    /// Whether an operation goes somewhere.
    pub(super) fn names(&self, operation: &str) -> bool {
        self.0.contains_key(operation)
    }

    /// The destinations among a call's arguments, `key=value|key=value`.
    pub(super) fn destinations(&self, operation: &str, arguments: &str) -> Vec<String> {
        let Some(keys) = self.0.get(operation) else {
            return Vec::new();
        };
        arguments
            .split('|')
            .filter_map(|argument| argument.split_once('='))
            .filter(|(key, _)| keys.iter().any(|wanted| wanted == key))
            .flat_map(|(_, value)| value.split(','))
            .map(destination)
            .filter(|to| !to.is_empty() && to != NOT_GIVEN)
            .collect()
    }
}

/// Lower case, without the brackets and quotes of a list; a URL is its host.
fn destination(value: &str) -> String {
    let plain = value.trim_matches(|c: char| c.is_whitespace() || "[]()\"'".contains(c));
    let host = Url::parse(plain)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let plain = host.as_deref().unwrap_or(plain);
    plain.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary() -> Dictionary {
        Dictionary(BTreeMap::from([
            ("send".to_owned(), vec!["to".to_owned()]),
            ("open".to_owned(), vec!["url".to_owned()]),
        ]))
    }

    #[test]
    fn lists_are_split_addresses_lower_cased_and_urls_cut_to_their_host() {
        let dictionary = dictionary();
        assert_eq!(
            dictionary.destinations("send", "text=Hi|to=['Bob@Example.com', \"eve@x.org\"]"),
            ["bob@example.com", "eve@x.org"]
        );
        assert_eq!(
            dictionary.destinations("open", "url=http://Example.com/a?b=1"),
            ["example.com"]
        );
        assert_eq!(
            dictionary.destinations("open", "url=www.example.com"),
            ["www.example.com"]
        );
    }

    #[test]
    fn an_argument_that_was_not_given_is_no_destination() {
        let dictionary = dictionary();
        assert!(dictionary.destinations("send", "to=None").is_empty());
        assert!(dictionary.destinations("send", "to=").is_empty());
        assert!(dictionary.destinations("read", "to=bob").is_empty());
        assert!(dictionary.names("send") && !dictionary.names("read"));
    }

    #[test]
    fn a_missing_dictionary_names_the_places_where_it_may_lie() {
        let error = Dictionary::find(Path::new("/nowhere/at/all"), None).unwrap_err();
        let words = error.to_string();
        assert!(
            words.contains(FILE) && words.contains("LANYARD_DATA"),
            "{words}"
        );
    }
}
