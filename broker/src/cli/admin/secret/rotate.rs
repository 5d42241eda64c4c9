//! `lanyard secret rotate`: begins rotations, and with `--wait` shows how they get on.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{RotateArgs, route_of};
use crate::cli::CliError;
use crate::cli::admin::{items, segment, text_of};
use crate::cli::client::AdminClient;
use crate::cli::output::{self, Output};

/// How often it is asked how they get on.
const PERIOD: Duration = Duration::from_millis(250);
/// And while nobody answers.
const REST: Duration = Duration::from_secs(1);
/// How long nobody may answer: a broker that starts anew reads its log first, and is restored in minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Begins them all, whatever becomes of one; then says what was begun and what was not.
pub(super) fn run(args: &RotateArgs, client: &AdminClient, output: Output) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::cannot("start", &error))?;
    runtime.block_on(async {
        let secrets = if args.all {
            planned(client, args.owner.as_deref()).await?
        } else {
            args.secrets.clone()
        };
        let (mut rotations, mut refused) = (Vec::new(), 0);
        for secret in &secrets {
            let route = format!("{}/rotate", route_of(secret)?);
            match client.call(Method::POST, &route, Some(&json!({}))).await {
                Ok(begun) => rotations.push(begun),
                Err(error) => {
                    refused += 1;
                    output::message(format_args!("{secret}: {}", error.words()));
                }
            }
        }
        if args.wait {
            rotations = wait_for(client, rotations).await?;
        }
        let unhappy = rotations
            .iter()
            .filter(|rotation| {
                args.wait && rotation.get("outcome").and_then(Value::as_str) != Some("rotated")
            })
            .count();
        output.print(&json!({ "rotations": rotations }), |answer| {
            let list = answer.get("rotations").and_then(Value::as_array);
            output::table(
                list.map_or(&[], Vec::as_slice),
                &["id", "secret", "step", "alarm", "outcome"],
            )
        });
        match (refused, unhappy) {
            (0, 0) => Ok(()),
            (0, unhappy) => Err(CliError::Failed(format!(
                "{unhappy} were not exchanged: `lanyard rotation list`"
            ))),
            (refused, _) => Err(CliError::Failed(format!("{refused} were not begun"))),
        }
    })
}

async fn planned(client: &AdminClient, owner: Option<&str>) -> Result<Vec<String>, CliError> {
    let owner = match owner {
        Some(said) => Some(owner_called(client, said).await?),
        None => None,
    };
    let answer = client.call(Method::GET, "v1/secrets", None).await?;
    let mut names = Vec::new();
    for secret in items(&answer, "secrets") {
        let is_planned = secret.get("planned").and_then(Value::as_bool) == Some(true);
        let is_meant = owner
            .as_ref()
            .is_none_or(|owner| text_of(secret, "owner") == owner);
        if is_planned && is_meant {
            names.push(text_of(secret, "name").to_owned());
        }
    }
    if names.is_empty() {
        let whose = owner.map_or_else(String::new, |owner| format!(" of `{owner}`"));
        output::message(format_args!("no secret{whose} has a plan"));
    }
    Ok(names)
}

/// The name of an owner that was said by name or id. One that is not there is none whose secrets are all exchanged.
async fn owner_called(client: &AdminClient, said: &str) -> Result<String, CliError> {
    let route = format!("v1/owners/{}", segment(said)?);
    match client.call(Method::GET, &route, None).await {
        Ok(owner) => Ok(text_of(&owner, "name").to_owned()),
        // Whoever may exchange secrets need not be allowed to look at owners.
        Err(CliError::Refused { status: 403, .. }) => Ok(said.to_owned()),
        Err(error) => Err(error),
    }
}

/// A rotation that somebody has to look at is still waited for: it goes on by itself when it can. So it does while the
/// broker is away.
async fn wait_for(client: &AdminClient, begun: Vec<Value>) -> Result<Vec<Value>, CliError> {
    let bar = ProgressBar::with_draw_target(
        u64::try_from(begun.len()).ok(),
        ProgressDrawTarget::stderr(),
    );
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let mut rotations = begun;
    let mut told = BTreeSet::new();
    let mut patience = Patience::begin(Instant::now());
    loop {
        let looked = look(client, &mut rotations).await;
        let rest = match looked {
            Ok(()) => {
                patience = Patience::begin(Instant::now());
                PERIOD
            }
            Err(error) => {
                if let Some(line) = patience.bear(&error, Instant::now())? {
                    bar.suspend(|| output::message(format_args!("{line}")));
                }
                REST
            }
        };
        let over = rotations.iter().filter(|rotation| is_over(rotation));
        let over = over.count();
        for line in rotations.iter().filter_map(alarm_of) {
            // Once, also where no bar is drawn.
            if told.insert(line.clone()) {
                bar.suspend(|| output::message(format_args!("{line}")));
            }
        }
        bar.set_position(u64::try_from(over).unwrap_or(u64::MAX));
        if over == rotations.len() {
            bar.finish_and_clear();
            return Ok(rotations);
        }
        tokio::time::sleep(rest).await;
    }
}

/// Asks how those get on that are not over; up to the first that is not answered.
async fn look(client: &AdminClient, rotations: &mut [Value]) -> Result<(), CliError> {
    for rotation in rotations.iter_mut().filter(|rotation| !is_over(rotation)) {
        let route = format!("v1/rotations/{}", text_of(rotation, "id"));
        *rotation = client.call(Method::GET, &route, None).await?;
    }
    Ok(())
}

fn is_over(rotation: &Value) -> bool {
    let outcome = rotation.get("outcome");
    outcome.is_some_and(|outcome| !outcome.is_null())
}

/// What somebody has to look at, in words.
fn alarm_of(rotation: &Value) -> Option<String> {
    let alarm = rotation.get("alarm").filter(|alarm| !alarm.is_null())?;
    if is_over(rotation) {
        return None;
    }
    let member = |name: &str| alarm.get(name).and_then(Value::as_str);
    let words = [member("alarm"), member("why")];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    Some(format!(
        "{}: somebody has to look (`lanyard rotation show {}`); it is tried on",
        output::line(&words.join(": ")),
        text_of(rotation, "id")
    ))
}

/// What is borne while nobody answers, since the last answer.
struct Patience {
    since: Instant,
    is_told: bool,
}

impl Patience {
    const fn begin(since: Instant) -> Self {
        Self {
            since,
            is_told: false,
        }
    }

    /// A line that is to be said now, the first time; or the error, when it is not over by itself, or not for too long. What
    /// was begun goes on whatever becomes of this command.
    fn bear(&mut self, error: &CliError, now: Instant) -> Result<Option<String>, CliError> {
        let words = error.words();
        if !error.may_pass() || now.duration_since(self.since) >= PATIENCE {
            return Err(CliError::Failed(format!(
                "{words}; what was begun goes on without this command: see `lanyard rotation list`"
            )));
        }
        let first = !std::mem::replace(&mut self.is_told, true);
        Ok(first.then(|| format!("{words}; it is asked again, for {} s", PATIENCE.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_away_is_waited_for_and_then_it_is_said_how_to_see_what_goes_on() {
        let began = Instant::now();
        let away = CliError::Unreachable("nobody is there".to_owned());
        let full = CliError::Refused {
            words: "no space".to_owned(),
            status: 503,
        };
        let mut patience = Patience::begin(began);
        let said = patience.bear(&away, began).ok().unwrap().unwrap();
        assert!(said.contains("nobody is there"), "{said}");
        let later = began + PATIENCE - REST;
        assert_eq!(patience.bear(&full, later).ok().unwrap(), None, "once");
        let Err(given_up) = patience.bear(&away, began + PATIENCE) else {
            panic!("it waits for ever")
        };
        assert!(given_up.words().contains("lanyard rotation list"));

        let no_more = CliError::Refused {
            words: "the token has ended".to_owned(),
            status: 401,
        };
        let Err(no_more) = Patience::begin(began).bear(&no_more, began) else {
            panic!("it is not over by itself")
        };
        let words = no_more.words();
        assert!(
            words.contains("has ended") && words.contains("lanyard rotation list"),
            "{words}"
        );
    }
}
