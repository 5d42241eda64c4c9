//! What was said about each setting, by whom, and who wins.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::ConfigError;
use super::table::{ALL, Setting};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value as text, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// As written.
    pub text: String,
    /// By whom.
    pub origin: Origin,
}

/// What was said about each setting, before it is understood.
#[derive(Clone, Debug)]
pub struct Settings(Vec<(Setting, Option<Value>)>);

impl Settings {
    /// Gathers defaults, the file (its path and content), variables and flags, later ones winning.
    /// `defaults` replace the defaults of [`ALL`]; flags are named by their setting.
    pub fn gather(
        defaults: &[(&'static str, String)],
        file: Option<(&Path, &str)>,
        variables: &[(String, String)],
        flags: &[(&'static str, String)],
    ) -> Result<Self, ConfigError> {
        let default = |text: &str| Value {
            text: text.to_owned(),
            origin: Origin::Default,
        };
        let mut settings = Self(
            ALL.iter()
                .map(|setting| (*setting, setting.default.map(default)))
                .collect(),
        );
        for (key, text) in defaults {
            settings.put(key, default(text))?;
        }
        if let Some((path, content)) = file {
            settings.read_file(path, content)?;
        }
        settings.read_variables(variables)?;
        for (key, text) in flags {
            let name = format!("--{}", key.replace(['_', '.'], "-"));
            settings.put(
                key,
                Value {
                    text: text.clone(),
                    origin: Origin::Flag(name),
                },
            )?;
        }
        Ok(settings)
    }

    /// Each setting with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&Setting, Option<&Value>)> {
        self.0
            .iter()
            .map(|(setting, value)| (setting, value.as_ref()))
    }

    /// As written; an empty text is as good as none.
    pub fn text(&self, key: &'static str) -> Option<&str> {
        self.value(key).map(|value| value.text.as_str())
    }

    /// As written, if anybody said anything: not a default.
    pub fn said(&self, key: &'static str) -> Option<&str> {
        let said = self.value(key)?;
        (said.origin != Origin::Default).then_some(said.text.as_str())
    }

    /// A path.
    pub fn path(&self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.text(key).map(PathBuf::from))
    }

    /// Something with a `FromStr` whose error says what was expected.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(
        &self,
        key: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        self.value(key)
            .map(|value| {
                value
                    .text
                    .parse()
                    .map_err(|error: T::Err| wrong(key, value, error.to_string()))
            })
            .transpose()
    }

    /// Something with a default.
    pub fn expected<T: FromStr + Expected>(&self, key: &'static str) -> Result<T, ConfigError> {
        let value = self
            .value(key)
            .ok_or_else(|| ConfigError::required(key, T::EXPECTED))?;
        value
            .text
            .parse()
            .map_err(|_| wrong(key, value, T::EXPECTED.to_owned()))
    }

    /// A number within bounds.
    pub fn within(&self, key: &'static str, least: u64, most: u64) -> Result<u64, ConfigError> {
        let expected = || format!("a number from {least} to {most}");
        let value = self
            .value(key)
            .ok_or_else(|| ConfigError::required(key, expected()))?;
        match value.text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(wrong(key, value, expected())),
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let expected = || {
            let names: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("one of {}", names.join(", "))
        };
        let value = self
            .value(key)
            .ok_or_else(|| ConfigError::required(key, expected()))?;
        let found = words.iter().find(|(word, _)| *word == value.text);
        found
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| wrong(key, value, expected()))
    }

    fn value(&self, key: &'static str) -> Option<&Value> {
        let found = self.0.iter().find(|(setting, _)| setting.key == key);
        found
            .and_then(|(_, value)| value.as_ref())
            .filter(|value| !value.text.is_empty())
    }

    fn put(&mut self, key: &str, value: Value) -> Result<(), ConfigError> {
        match self.0.iter_mut().find(|(setting, _)| setting.key == key) {
            Some((_, place)) => {
                *place = Some(value);
                Ok(())
            }
            None => Err(ConfigError::UnknownKey {
                key: key.to_owned(),
                origin: value.origin,
                nearest: nearest(key),
            }),
        }
    }

    fn read_file(&mut self, path: &Path, content: &str) -> Result<(), ConfigError> {
        let table: toml::Table = content.parse().map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source,
        })?;
        let origin = Origin::File(path.to_owned());
        for (key, value) in flatten(table) {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(truth) => truth.to_string(),
                other => {
                    // Unknown sections come here as well; the name is what helps.
                    let text = other.type_str().to_owned();
                    self.put(
                        &key,
                        Value {
                            text: text.clone(),
                            origin: origin.clone(),
                        },
                    )?;
                    let known = ALL
                        .iter()
                        .find(|setting| setting.key == key)
                        .map_or("", |setting| setting.key);
                    return Err(ConfigError::Value {
                        key: known,
                        origin,
                        text: format!("a TOML {text}"),
                        expected: "a text, a whole number, `true` or `false`".to_owned(),
                    });
                }
            };
            self.put(
                &key,
                Value {
                    text,
                    origin: origin.clone(),
                },
            )?;
        }
        Ok(())
    }

    /// Variables with `__` are ours for certain, so an unknown one is a typing error that would
    /// otherwise be silently without effect. Other `LANYARD_…` names belong to the client commands.
    fn read_variables(&mut self, variables: &[(String, String)]) -> Result<(), ConfigError> {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix("LANYARD_") else {
                continue;
            };
            let key = rest.to_lowercase().replace("__", ".");
            let value = Value {
                text: text.clone(),
                origin: Origin::Variable(name.clone()),
            };
            if rest.contains("__") || ALL.iter().any(|setting| setting.key == key) {
                self.put(&key, value)?;
            }
        }
        Ok(())
    }
}

/// What a value of this type looks like, in words.
pub trait Expected {
    /// Follows "expected".
    const EXPECTED: &'static str;
}

impl Expected for std::net::SocketAddr {
    const EXPECTED: &'static str = "an address and port such as `127.0.0.1:8420`";
}

impl Expected for bool {
    const EXPECTED: &'static str = "`true` or `false`";
}

fn wrong(key: &'static str, value: &Value, expected: String) -> ConfigError {
    ConfigError::Value {
        key,
        origin: value.origin.clone(),
        text: value.text.clone(),
        expected,
    }
}

/// `[section] key` becomes `section.key`; deeper tables stay values, and are refused as such.
fn flatten(table: toml::Table) -> Vec<(String, toml::Value)> {
    let mut flat = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(section) => {
                flat.extend(
                    section
                        .into_iter()
                        .map(|(inner, value)| (format!("{key}.{inner}"), value)),
                );
            }
            value => flat.push((key, value)),
        }
    }
    flat
}

/// The setting whose name shares most letters with a mistyped one.
fn nearest(key: &str) -> Option<&'static str> {
    let best = ALL
        .iter()
        .map(|setting| (distance(key, setting.key), setting.key))
        .min()?;
    (best.0 <= 3).then_some(best.1)
}

/// Levenshtein's distance: how many letters to insert, delete or replace.
fn distance(left: &str, right: &str) -> usize {
    let mut previous: Vec<usize> = (0..=right.chars().count()).collect();
    for (row, from) in left.chars().enumerate() {
        let mut current = vec![row + 1];
        for ((to, diagonal), above) in right.chars().zip(&previous).zip(previous.iter().skip(1)) {
            let beside = current.last().copied().unwrap_or(row);
            current.push(
                (diagonal + usize::from(from != to))
                    .min(above + 1)
                    .min(beside + 1),
            );
        }
        previous = current;
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn flags_win_over_variables_over_the_file_over_defaults_and_each_is_remembered() {
        let file = (
            Path::new("lanyard.toml"),
            "listen = \"127.0.0.1:1\"\n[tokens]\nlifetime = 60",
        );
        let variables = [
            variable("LANYARD_LISTEN", "127.0.0.1:2"),
            variable("LANYARD_TOKENS__LIFETIME", "90"),
        ];
        let flags = [("listen", "127.0.0.1:3".to_owned())];
        let settings = Settings::gather(&[], Some(file), &variables, &flags).unwrap();
        let value = |key| settings.value(key).unwrap().clone();
        assert_eq!(
            value("listen"),
            Value {
                text: "127.0.0.1:3".into(),
                origin: Origin::Flag("--listen".into())
            }
        );
        assert_eq!(
            value("tokens.lifetime").origin,
            Origin::Variable("LANYARD_TOKENS__LIFETIME".into())
        );
        assert_eq!(value("admin_listen").origin, Origin::Default);
        let settings = Settings::gather(&[], Some(file), &[], &[]).unwrap();
        assert_eq!(
            settings.value("tokens.lifetime").unwrap().origin,
            Origin::File("lanyard.toml".into())
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_with_the_one_that_was_meant() {
        for (toml, expected) in [
            (
                "lisen = \"x\"",
                "unknown setting `lisen` in lanyard.toml: did you mean `listen`?",
            ),
            (
                "[tokens]\nlife = 1",
                "unknown setting `tokens.life` in lanyard.toml",
            ),
            (
                "[vault]\nkey = 1",
                "unknown setting `vault.key` in lanyard.toml",
            ),
            (
                "[tls]\ncert_file = [1]",
                "`tls.cert_file` in lanyard.toml is `a TOML array`",
            ),
        ] {
            let error = Settings::gather(&[], Some((Path::new("lanyard.toml"), toml)), &[], &[])
                .unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        let error = Settings::gather(&[], None, &[variable("LANYARD_SEAL__KEYFILE", "x")], &[])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown setting `seal.keyfile` in LANYARD_SEAL__KEYFILE: did you mean `seal.key_file`?"
        );
        Settings::gather(
            &[],
            None,
            &[variable("LANYARD_ADMIN_TOKEN", "x"), variable("HOME", "/")],
            &[],
        )
        .unwrap();
    }
}
