//! `lanyard policy unused`: what identities are registered for and do not use.

use clap::Args;
use serde_json::Value;

use super::super::client::{Connect, Way};
use super::{Asked, Asks, Call, CliError, items, output, segment};

/// `lanyard policy unused`.
#[derive(Clone, Debug, Args)]
pub struct UnusedRightsArgs {
    /// Not used for so many whole days; what is done once a month needs more than thirty
    #[arg(long, default_value_t = 30, value_name = "N")]
    days: u64,
    /// Only this identity's
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Only those of this owner's identities
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Operations too: what its scopes let it call, others do, and it does not
    #[arg(long)]
    operations: bool,
    #[command(flatten)]
    connect: Connect,
}

/// `GET /v1/unused-rights`.
pub struct UnusedRights(UnusedRightsArgs);

impl From<UnusedRightsArgs> for Asked<UnusedRights> {
    fn from(args: UnusedRightsArgs) -> Self {
        Self {
            way: Way::Any(args.connect.clone()),
            command: UnusedRights(args),
        }
    }
}

impl Asks for UnusedRights {
    fn call(&self) -> Result<Call, CliError> {
        let Self(args) = self;
        let mut path = format!("v1/unused-rights?days={}", args.days);
        for (member, name) in [("identity", &args.identity), ("owner", &args.owner)] {
            if let Some(name) = name {
                path.push_str(&format!("&{member}={}", segment(name)?));
            }
        }
        if args.operations {
            path.push_str("&operations=true");
        }
        Ok(Call::get(path, text))
    }
}

fn text(answer: &Value) -> String {
    let rights = items(answer, "rights");
    if rights.is_empty() {
        let days = answer.get("days").and_then(Value::as_u64).unwrap_or(0);
        return format!("nothing that is registered was left unused for {days} days\n");
    }
    let columns = [
        "owner",
        "identity",
        "what",
        "right",
        "audience",
        "quiet_days",
        "last_used",
        "witness",
        "last_named",
    ];
    output::table(rights, &columns)
}
