//! `lanyard drift …`.

mod chosen;
mod explain;
mod orders;
mod plot;
mod spark;
mod verdict;
mod would;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::{Asks, Call, CliError, output, segment, text_of};

/// `lanyard drift …`.
#[derive(Debug, Subcommand)]
pub enum DriftCommand {
    /// List the latest verdicts, and what is being deployed
    List {
        /// Only of this identity (id)
        #[arg(long)]
        identity: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one with its evidence and what was done
    Show {
        /// Id of the verdict
        verdict: String,
    },
    /// Explain one: what was expected, the history behind it, the calls that weighed most
    Explain {
        /// Id of the verdict
        verdict: String,
        /// Draw how the identity's windows went over time into this file
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Say that it was fine: what was suspended by it goes on, and its behaviour is learned
    Clear {
        /// Id of the verdict
        verdict: String,
        /// Why, for the log
        #[arg(long)]
        reason: String,
    },
    /// Say that a role is being deployed: what is new in it is learned for a while, not held against it
    Deploy(DeployArgs),
    /// Show how often the pager may ring and how often it did, or set it
    Budget(BudgetArgs),
    /// Rehearse: what another mode, other thresholds or other policies would have done in the last days
    Would(WouldArgs),
    /// Export recorded windows, one line of JSON each
    Windows {
        /// Of the last so many days
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
    /// Show what each kind of identity is judged by
    Thresholds,
    /// Judge a kind of identity by thresholds that were rehearsed within the last day
    Freeze {
        /// Which kind
        #[arg(long)]
        kind: JudgedKind,
        /// File with the thresholds, TOML
        #[arg(long, value_name = "FILE")]
        thresholds: PathBuf,
        /// Id of the rehearsal, from `lanyard drift would`
        #[arg(long)]
        rehearsal: String,
    },
}

/// `lanyard drift deploy …`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The role: its kind and all its tags, as `service+payments+prod`
    #[arg(long, value_name = "KIND+TAGS", required_unless_present = "identity")]
    role: Option<String>,
    /// The role of this identity
    #[arg(long, conflicts_with = "role")]
    identity: Option<String>,
    /// For how long, at most a day: `90m`, `2h`
    #[arg(long = "for", value_name = "TIME", value_parser = orders::seconds)]
    length: u64,
    /// Why, for the log
    #[arg(long)]
    reason: Option<String>,
}

/// `lanyard drift budget …`.
#[derive(Debug, Args)]
pub struct BudgetArgs {
    /// Ring on so many windows a day
    #[arg(long, value_name = "N")]
    alarms_per_day: Option<f64>,
    /// Ring on this share of windows: `0.01` or `1%`
    #[arg(long, value_name = "SHARE", conflicts_with = "alarms_per_day", value_parser = orders::share)]
    share: Option<f64>,
}

/// `lanyard drift would …`.
#[derive(Debug, Args)]
pub struct WouldArgs {
    /// On windows of the last so many days
    #[arg(long, default_value_t = 7)]
    days: u32,
    /// Whether statistics act; as they do now when it is not said
    #[arg(long)]
    mode: Option<ActingMode>,
    /// File with other thresholds, TOML: what it leaves out is the product's
    #[arg(long, value_name = "FILE")]
    thresholds: Option<PathBuf>,
    /// The kind that the thresholds are for; all kinds when it is not said
    #[arg(long, requires = "thresholds")]
    kind: Option<JudgedKind>,
    /// Folder with other policies: those of responses in it are tried
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
}

/// Whether statistics act.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ActingMode {
    /// Written down only
    Observe,
    /// Carried out
    Enforce,
}

/// A kind of identity that is judged.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum JudgedKind {
    /// Our own programs
    Service,
    /// Programs of somebody else
    Integration,
    /// AI agents
    Agent,
}

impl Asks for DriftCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::List { identity, limit } => {
                let mut path = format!("v1/drift/verdicts?limit={limit}");
                if let Some(identity) = identity {
                    path.push_str("&identity=");
                    path.push_str(segment(identity)?);
                }
                Call::get(path, verdict::list)
            }
            Self::Show { verdict } => Call::get(
                format!("v1/drift/verdicts/{}", segment(verdict)?),
                verdict::show,
            ),
            Self::Explain { verdict, svg } => {
                let path = format!("v1/drift/verdicts/{}/explanation", segment(verdict)?);
                let call = Call::get(path, explain::text);
                match svg {
                    Some(file) => call.drawn(file.clone(), plot::svg),
                    None => call,
                }
            }
            Self::Clear { verdict, reason } => Call::post(
                format!("v1/drift/verdicts/{}/clear", segment(verdict)?),
                json!({"reason": reason}),
                output::members,
            ),
            Self::Deploy(args) => Call::post(
                "v1/drift/deployments",
                orders::deployment(args)?,
                orders::opened,
            ),
            Self::Budget(args) => match orders::goal(args) {
                Some(goal) => Call::post("v1/drift/budget", goal, orders::budget),
                None => Call::get("v1/drift/budget", orders::budget),
            },
            Self::Would(args) => Call::post("v1/drift/would", would::asked(args)?, would::text),
            Self::Windows { days } => Call::lines(format!("v1/drift/windows?days={days}")),
            Self::Thresholds => Call::get("v1/drift/thresholds", would::in_force),
            Self::Freeze {
                kind,
                thresholds,
                rehearsal,
            } => Call::post(
                "v1/drift/thresholds",
                json!({
                    "kind": word(*kind),
                    "thresholds": would::thresholds(thresholds)?,
                    "rehearsal": rehearsal,
                }),
                would::in_force,
            ),
        })
    }
}

/// As the API writes it.
fn word(value: impl ValueEnum) -> String {
    let named = value.to_possible_value();
    named.map_or_else(String::new, |named| named.get_name().to_owned())
}

/// A member that is an object; an empty one when it is not.
fn object<'a>(answer: &'a Value, member: &str) -> std::borrow::Cow<'a, Map<String, Value>> {
    match answer.get(member).and_then(Value::as_object) {
        Some(object) => std::borrow::Cow::Borrowed(object),
        None => std::borrow::Cow::Owned(Map::new()),
    }
}

/// `service (payments prod)`.
fn role(answer: &Value) -> String {
    let tags = super::items(answer, "tags").iter();
    let tags: Vec<&str> = tags.filter_map(Value::as_str).collect();
    let kind = text_of(answer, "kind");
    output::line(&match tags.is_empty() {
        true => kind.to_owned(),
        false => format!("{kind} ({})", tags.join(" ")),
    })
}
