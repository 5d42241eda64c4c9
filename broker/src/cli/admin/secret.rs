//! `lanyard secret`: credentials of third parties. Values come from a file or standard input, never from
//! the command line, where other processes and the shell's history see them; no command prints one.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::CliError;
use super::super::client::Way;
use super::super::output::{self, Output};
use super::{Asks, Call, Noun, items, text_of};

mod prompt;
mod rotate;

/// `lanyard secret …`.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keep a value, as the first or the next version, in force at once
    Put {
        /// A path such as `payments/stripe/api-key`
        name: String,
        /// Who answers for it; needed the first time
        #[arg(long)]
        owner: Option<String>,
        /// Where the value is, instead of standard input; one line break at its end is cut off
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Only keep it: `lanyard secret activate` puts it in force
        #[arg(long)]
        pending: bool,
        /// What the third party calls it, such as an access key's id; not secret
        #[arg(long)]
        reference: Option<String>,
    },
    /// All secrets
    List,
    /// One secret and its versions
    Show {
        /// Its path or id
        secret: String,
    },
    /// Who had which version at an instant
    Who {
        /// Its path or id
        secret: String,
        /// The instant, such as 2026-11-25T20:00:00Z; now if not said
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Put a version in force; the one before is drained
    Activate {
        /// Its path or id
        secret: String,
        /// Which version
        #[arg(value_name = "VERSION")]
        number: u32,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take a version, or all of them, out of use for good
    #[command(group = clap::ArgGroup::new("which").required(true).args(["number", "all"]))]
    Retire {
        /// Its path or id
        secret: String,
        /// Which version; not the one in force
        #[arg(value_name = "VERSION")]
        number: Option<u32>,
        /// The secret as a whole
        #[arg(long)]
        all: bool,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Exchange secrets at their third parties; `lanyard rotation plan` says how
    Rotate(RotateArgs),
    /// Another owner answers for it
    Transfer {
        /// Its path or id
        secret: String,
        /// The new owner
        #[arg(long, value_name = "OWNER")]
        to: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
}

/// What `lanyard secret rotate` exchanges.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The secrets, by path or id
    #[arg(required_unless_present = "all", value_name = "SECRET")]
    pub(in crate::cli) secrets: Vec<String>,
    /// All secrets that have a plan
    #[arg(long, conflicts_with = "secrets")]
    pub(in crate::cli) all: bool,
    /// With --all: only those of this owner
    #[arg(long, value_name = "OWNER", requires = "all")]
    pub(in crate::cli) owner: Option<String>,
    /// Wait until every one is over, and fail when one of them was not exchanged
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}

/// Exchanging many is more than one call.
pub fn run(noun: Noun<SecretCommand>, output: Output) -> Result<(), CliError> {
    match noun.command {
        SecretCommand::Rotate(args) => {
            rotate::run(&args, &Way::Any(noun.connect).client()?, output)
        }
        _ => super::run(noun, output),
    }
}

impl Asks for SecretCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::Rotate(_) => {
                return Err(CliError::Usage(
                    "exchanging is more than one call".to_owned(),
                ));
            }
            Self::Put {
                name,
                owner,
                file,
                pending,
                reference,
            } => {
                route_of(name)?;
                crate::broker::no_dumps();
                let value = read(file)?;
                let body = json!({
                    "name": name, "owner": owner, "value": value.as_str(),
                    "reference": reference, "pending": pending,
                });
                Call::post("v1/secrets", body, shown)
            }
            Self::List => Call::get("v1/secrets", list),
            Self::Show { secret } => Call::get(route_of(secret)?, shown),
            Self::Who { secret, at } => {
                let mut route = format!("{}/who", route_of(secret)?);
                if let Some(at) = at {
                    let at: String = form_urlencoded::byte_serialize(at.as_bytes()).collect();
                    route = format!("{route}?at={at}");
                }
                Call::get(route, who)
            }
            Self::Activate {
                secret,
                number,
                reason,
            } => {
                let body = json!({"version": number, "reason": reason});
                Call::post(format!("{}/activate", route_of(secret)?), body, shown)
            }
            Self::Retire {
                secret,
                number,
                all,
                reason,
            } => {
                let body = json!({"version": number, "all": all, "reason": reason});
                Call::post(format!("{}/retire", route_of(secret)?), body, shown)
            }
            Self::Transfer { secret, to, reason } => {
                let body = json!({"to": to, "reason": reason});
                Call::post(format!("{}/transfer", route_of(secret)?), body, shown)
            }
        })
    }
}

/// The route of a secret; its name's slashes must not look like the route's.
pub(in crate::cli) fn route_of(name: &str) -> Result<String, CliError> {
    let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/');
    if name.is_empty() || name.len() > 512 || !name.chars().all(plain) || name.contains("..") {
        // Not repeated: somebody may have put the value in the name's place.
        return Err(CliError::Usage(
            "that is no secret's name: a path such as `payments/stripe/api-key`, or an id"
                .to_owned(),
        ));
    }
    Ok(format!("v1/secrets/{}", name.replace('/', "%2F")))
}

fn read(file: &Option<PathBuf>) -> Result<Zeroizing<String>, CliError> {
    let stdin = std::io::stdin();
    let text = match file {
        Some(path) => {
            let opened = File::open(path).and_then(all_of);
            opened.map_err(|error| {
                CliError::cannot(format_args!("read `{}`", path.display()), &error)
            })?
        }
        None if stdin.is_terminal() => prompt::hidden("value (not shown): ")?,
        None => {
            all_of(stdin.lock()).map_err(|error| CliError::cannot("read standard input", &error))?
        }
    };
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    Ok(Zeroizing::new(line.to_owned()))
}

/// A little more than the broker takes, so that it says what is too long.
const MOST: u64 = 70_000;

fn all_of(from: impl Read) -> std::io::Result<Zeroizing<String>> {
    // Room from the start: what grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(70_001));
    from.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

fn list(answer: &Value) -> String {
    let secrets = items(answer, "secrets").iter().map(|secret| {
        let mut secret = secret.clone();
        let state = json!(state_of(&secret));
        if let Some(members) = secret.as_object_mut() {
            members.insert("state".to_owned(), state);
        }
        secret
    });
    let columns = [
        "name",
        "owner",
        "state",
        "active",
        "created_at",
        "planned",
        "rotation_queued",
    ];
    output::table(&secrets.collect::<Vec<_>>(), &columns)
}

/// Where a secret stands as a whole: as its version that is nearest to being handed out.
fn state_of(secret: &Value) -> &'static str {
    let versions = items(secret, "versions");
    let is_there = |state: &&str| {
        let mut versions = versions.iter();
        versions.any(|version| text_of(version, "state") == *state)
    };
    let states = ["active", "draining", "pending", "retired"];
    states.into_iter().find(is_there).unwrap_or("-")
}

fn shown(answer: &Value) -> String {
    let mut members = answer.clone();
    if let Some(object) = members.as_object_mut() {
        object.remove("versions");
    }
    let columns = [
        "version",
        "state",
        "since",
        "reference",
        "data_key",
        "exposed",
    ];
    let versions = output::table(items(answer, "versions"), &columns);
    format!("{}\n{versions}", output::members(&members))
}

fn who(answer: &Value) -> String {
    let version = |member: &str| output::shown(member, answer.get(member));
    let head = format!(
        "{} at {}: version {} in force, {} draining\n",
        text_of(answer, "name"),
        output::shown("at", answer.get("at")),
        version("active"),
        match items(answer, "draining") {
            [] => "none".to_owned(),
            _ => version("draining"),
        },
    );
    let had = match items(answer, "holders") {
        [] => format!("{head}nobody had one"),
        holders => {
            let columns = [
                "name",
                "identity",
                "version",
                "from",
                "until",
                "integration",
                "policies",
            ];
            format!("{head}\n{}", output::table(holders, &columns))
        }
    };
    let used = match items(answer, "users") {
        [] => format!("{had}\n\nnobody told of using one within a minute of then"),
        users => {
            let columns = ["gateway", "integration", "version", "first", "last"];
            format!(
                "{had}\n\nused within a minute of then\n{}",
                output::table(users, &columns)
            )
        }
    };
    match items(answer, "uses") {
        [] => used,
        uses => {
            let columns = ["gateway", "integration", "version", "calls", "last_at"];
            format!(
                "{used}\n\nused until now, whenever they had it\n{}",
                output::table(uses, &columns)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_not_repeated() {
        assert_eq!(route_of("a/b.c").unwrap(), "v1/secrets/a%2Fb.c");
        for bad in [
            "",
            "sk_LIVE_51H8",
            "a b",
            "a%2fb",
            "../owners",
            "a?b",
            "a#b",
        ] {
            let Err(CliError::Usage(words)) = route_of(bad) else {
                panic!("{bad}")
            };
            assert!(bad.is_empty() || !words.contains(bad), "{words}");
        }
    }

    #[test]
    fn one_line_break_at_the_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("value");
        for (text, value) in [
            ("key", "key"),
            ("key\n", "key"),
            ("key\r\n", "key"),
            ("key\n\n", "key\n"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&Some(file.clone())).unwrap().as_str(), value);
        }
    }
}
