//! `lanyard secret rotate`: begins rotations, and with `--wait` shows how they get on.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{RotateArgs, route_of};
use crate::cli::CliError;
use crate::cli::client::AdminClient;
use crate::cli::output::{self, Output};

/// How often it is asked how they get on.
const PERIOD: Duration = Duration::from_millis(250);

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
    let answer = client.call(Method::GET, "v1/secrets", None).await?;
    let mut names = Vec::new();
    for secret in answer
        .get("secrets")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |member: &str| secret.get(member).and_then(Value::as_str);
        let is_planned = secret.get("planned").and_then(Value::as_bool) == Some(true);
        let is_meant = owner.is_none_or(|owner| text("owner") == Some(owner));
        if let (true, Some(name)) = (is_planned && is_meant, text("name")) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// A rotation that somebody has to look at is still waited for: it goes on by itself when it can.
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
    loop {
        let mut over = 0;
        for rotation in &mut rotations {
            let is_over = |rotation: &Value| {
                rotation
                    .get("outcome")
                    .is_some_and(|outcome| !outcome.is_null())
            };
            if !is_over(rotation) {
                let id = rotation
                    .get("id")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let route = format!("v1/rotations/{id}");
                *rotation = client.call(Method::GET, &route, None).await?;
            }
            if is_over(rotation) {
                over += 1;
            } else if let Some(alarm) = rotation.get("alarm").filter(|alarm| !alarm.is_null()) {
                let member = |name: &str| alarm.get(name).and_then(Value::as_str);
                let words = [member("alarm"), member("why")];
                let words: Vec<&str> = words.into_iter().flatten().collect();
                let id = rotation
                    .get("id")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let line = format!(
                    "{}: somebody has to look (`lanyard rotation show {id}`); it is tried on",
                    output::line(&words.join(": "))
                );
                // Once, also where no bar is drawn.
                if told.insert(line.clone()) {
                    bar.suspend(|| output::message(format_args!("{line}")));
                }
            }
        }
        bar.set_position(over);
        if usize::try_from(over).is_ok_and(|over| over == rotations.len()) {
            bar.finish_and_clear();
            return Ok(rotations);
        }
        tokio::time::sleep(PERIOD).await;
    }
}
