//! The texts of a bundle: a folder's, or those that came with the program.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use super::broken::Broken;
use crate::store::event::ContentHash;

/// The most bytes of one file: a thousand policies are some hundred thousand.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// The most grants of a folder.
const MAX_GRANTS: usize = 4_096;

/// A file and what is in it.
pub(super) struct Text {
    pub(super) file: PathBuf,
    pub(super) text: Cow<'static, str>,
}

/// Everything a bundle is made of.
pub(super) struct Sources {
    pub(super) schema: Text,
    pub(super) catalogue: Option<Text>,
    /// The grants' names and policies, in order.
    pub(super) grants: Vec<(String, Text)>,
}

impl Sources {
    /// Reads a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Broken> {
        let mut grants = Vec::new();
        for grant in grants_of(folder)? {
            let text = read(folder.join(&grant).join("policy.cedar"))?;
            grants.push((grant, text));
        }
        if grants.is_empty() {
            return Err(Broken::file(folder, "no folder in it has a policy.cedar"));
        }
        let catalogue = folder.join("catalogue.json");
        Ok(Self {
            schema: read(folder.join("schema.cedarschema"))?,
            catalogue: catalogue.exists().then(|| read(catalogue)).transpose()?,
            grants,
        })
    }

    /// What applies as long as no folder is named: everybody gets what it was registered for, administrators do what
    /// their roles allow, and gateways use the secrets of their integrations. The other grants of the repository's folder are examples to copy, and would give to
    /// whoever happens to carry their tags.
    pub(super) fn embedded() -> Self {
        Self {
            schema: Text {
                file: PathBuf::from("policies/schema.cedarschema"),
                text: Cow::Borrowed(include_str!("../../../policies/schema.cedarschema")),
            },
            catalogue: None,
            grants: vec![
                (
                    "administration".to_owned(),
                    Text {
                        file: PathBuf::from("policies/administration/policy.cedar"),
                        text: Cow::Borrowed(include_str!(
                            "../../../policies/administration/policy.cedar"
                        )),
                    },
                ),
                (
                    "egress".to_owned(),
                    Text {
                        file: PathBuf::from("policies/egress/policy.cedar"),
                        text: Cow::Borrowed(include_str!("../../../policies/egress/policy.cedar")),
                    },
                ),
                (
                    "registered".to_owned(),
                    Text {
                        file: PathBuf::from("policies/registered/policy.cedar"),
                        text: Cow::Borrowed(include_str!(
                            "../../../policies/registered/policy.cedar"
                        )),
                    },
                ),
            ],
        }
    }

    /// What is done about drift as long as a bundle has no word about it.
    pub(super) fn responses() -> Self {
        Self {
            grants: vec![(
                "response".to_owned(),
                Text {
                    file: PathBuf::from("policies/response/policy.cedar"),
                    text: Cow::Borrowed(include_str!("../../../policies/response/policy.cedar")),
                },
            )],
            ..Self::embedded()
        }
    }

    /// Policies that somebody sends, with the schema they are written for.
    pub(super) fn sent(schema: String, policies: String) -> Self {
        let text = |file: &str, text| Text {
            file: PathBuf::from(file),
            text: Cow::Owned(text),
        };
        Self {
            schema: text("schema.cedarschema", schema),
            catalogue: None,
            grants: vec![("sent".to_owned(), text("policy.cedar", policies))],
        }
    }

    /// Names what is in it, wherever it lies: the same texts under the same names have the same hash.
    pub(super) fn hash(&self) -> ContentHash {
        let mut context = Context::new(&SHA256);
        let mut add = |name: &str, text: &str| {
            for part in [name, text] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part.as_bytes());
            }
        };
        add("schema", &self.schema.text);
        add(
            "catalogue",
            self.catalogue.as_ref().map_or("", |text| &text.text),
        );
        for (grant, text) in &self.grants {
            add(grant, &text.text);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        ContentHash(hash)
    }
}

/// The folders with a `policy.cedar`, in order.
fn grants_of(folder: &Path) -> Result<Vec<String>, Broken> {
    let unread = |error| Broken::file(folder, format!("cannot be read: {error}"));
    let mut grants = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        if !entry.path().join("policy.cedar").is_file() {
            continue;
        }
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| Broken::file(&entry.path(), "has a name that is no UTF-8"))?;
        grants.push(name);
        if grants.len() > MAX_GRANTS {
            return Err(Broken::file(
                folder,
                format!("has more than {MAX_GRANTS} grants"),
            ));
        }
    }
    grants.sort();
    Ok(grants)
}

fn read(file: PathBuf) -> Result<Text, Broken> {
    let unread = |error| Broken::file(&file, format!("cannot be read: {error}"));
    let length = std::fs::metadata(&file).map_err(unread)?.len();
    if length > MAX_FILE_BYTES {
        let words = format!("is {length} bytes long, and at most {MAX_FILE_BYTES} are read");
        return Err(Broken::file(&file, words));
    }
    let text = std::fs::read_to_string(&file).map_err(unread)?;
    Ok(Text {
        text: Cow::Owned(text),
        file,
    })
}
