//! What a replay found, as a table or as JSON.

use std::collections::BTreeMap;
use std::error::Error;

use serde::Serialize;

use super::drive::{Fate, Outcome};

/// Labels of calls that somebody else than the owner made.
const HOSTILE: [&str; 3] = ["attack", "masquerade", "hijacked"];

#[derive(Serialize)]
struct Report<'a> {
    identities: Vec<Line<'a>>,
    requests: u64,
    verdicts: usize,
    credential_revocations: u64,
    rows_without_call: usize,
    reports_dropped: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    identity: &'a str,
    requests: u64,
    served: u64,
    refused: &'a BTreeMap<u16, u64>,
    labels: BTreeMap<&'a str, u64>,
    levels: BTreeMap<String, u64>,
    /// How often each response was carried out, or (in observe mode) only written down.
    responses: BTreeMap<String, u64>,
    /// Calls from the first one until the first verdict was written.
    calls_to_first_verdict: Option<u64>,
    /// Calls from the first one labelled as hostile until the next verdict was written.
    calls_from_attack_to_verdict: Option<u64>,
    first_sentence: Option<&'a str>,
}

/// Prints it.
#[expect(clippy::print_stdout, reason = "the table is this command's answer")]
pub(super) fn print(outcome: &Outcome, json: bool) -> Result<(), Box<dyn Error>> {
    let report = report(outcome);
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    for line in &report.identities {
        println!("{}", line.identity);
        println!(
            "  requests   {} sent, {} served{}",
            line.requests,
            line.served,
            refused(line.refused)
        );
        println!("  labels     {}", counts(&line.labels));
        println!("  verdicts   {}", counts(&line.levels));
        println!("  responses  {}", counts(&line.responses));
        println!("  delay      {}", delay(line));
        if let Some(sentence) = line.first_sentence {
            println!("  in words   {sentence}");
        }
    }
    println!(
        "{} requests, {} verdicts, {} credential revocations, {} reports dropped",
        report.requests, report.verdicts, report.credential_revocations, report.reports_dropped
    );
    Ok(())
}

fn report(outcome: &Outcome) -> Report<'_> {
    let identities: Vec<_> = outcome
        .identities
        .iter()
        .map(|(name, fate)| line(name, fate))
        .collect();
    let revocations = identities
        .iter()
        .filter_map(|line| line.responses.get("revoke"))
        .sum();
    Report {
        requests: identities.iter().map(|line| line.requests).sum(),
        verdicts: outcome
            .identities
            .values()
            .map(|fate| fate.verdicts.len())
            .sum(),
        credential_revocations: revocations,
        rows_without_call: outcome.without_call,
        reports_dropped: outcome.reports_dropped,
        identities,
    }
}

fn line<'a>(identity: &'a str, fate: &'a Fate) -> Line<'a> {
    let (mut labels, mut levels, mut responses) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (_, label) in &fate.sent {
        *labels.entry(label.0.as_str()).or_default() += 1;
    }
    for verdict in &fate.verdicts {
        let level = verdict
            .verdict
            .get("level")
            .and_then(|level| level.as_str())
            .unwrap_or("?");
        *levels.entry(level.to_owned()).or_default() += 1;
        for taken in &verdict.responses {
            let word = if taken.enforced {
                taken.response.clone()
            } else {
                format!("{} (not enforced)", taken.response)
            };
            *responses.entry(word).or_default() += 1;
        }
    }
    let attack = fate
        .sent
        .iter()
        .find(|(_, label)| HOSTILE.contains(&label.0.as_str()))
        .map(|(at, _)| *at);
    Line {
        identity,
        requests: fate.requests,
        served: fate.served,
        refused: &fate.refused,
        labels,
        levels,
        responses,
        calls_to_first_verdict: calls_until_verdict(fate, 0),
        calls_from_attack_to_verdict: attack.and_then(|at| calls_until_verdict(fate, at)),
        first_sentence: fate
            .verdicts
            .first()
            .map(|verdict| verdict.sentence.as_str()),
    }
}

/// How many calls were sent from `start` on until the next verdict; `None` when there was none.
fn calls_until_verdict(fate: &Fate, start: u64) -> Option<u64> {
    let verdict = fate.verdicts.iter().find(|verdict| verdict.at >= start)?;
    Some(
        fate.sent
            .iter()
            .filter(|(at, _)| (start..=verdict.at).contains(at))
            .count() as u64,
    )
}

fn refused(refused: &BTreeMap<u16, u64>) -> String {
    let one = |(status, count): (&u16, &u64)| match status {
        0 => format!(", {count} without a token"),
        _ => format!(", {count} refused with {status}"),
    };
    refused.iter().map(one).collect()
}

fn counts<K: AsRef<str> + Ord>(counts: &BTreeMap<K, u64>) -> String {
    let one = |(word, count): (&K, &u64)| match word.as_ref() {
        "" => format!("{count} without"),
        word => format!("{count} {word}"),
    };
    let text = counts.iter().map(one).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

fn delay(line: &Line<'_>) -> String {
    match (
        line.calls_from_attack_to_verdict,
        line.calls_to_first_verdict,
    ) {
        (Some(calls), _) => format!("{calls} calls from the first hostile one to a verdict"),
        (None, Some(calls)) => format!("{calls} calls to the first verdict"),
        (None, None) => "no verdict".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::Label;
    use super::*;

    fn fate(sent: &[(u64, &str)], verdicts: &[u64]) -> Fate {
        let verdict = |at: &u64| {
            serde_json::from_value(serde_json::json!({
                "at": at, "identity": "x", "sentence": "s", "verdict": {"level": "anomalous"},
                "responses": [{"response": "recycle", "enforced": false}],
            }))
            .unwrap()
        };
        Fate {
            requests: sent.len() as u64,
            sent: sent
                .iter()
                .map(|(at, label)| (*at, Label((*label).to_owned())))
                .collect(),
            verdicts: verdicts.iter().map(verdict).collect(),
            ..Fate::default()
        }
    }

    #[test]
    fn delay_counts_from_the_first_hostile_call() {
        let fate = fate(
            &[
                (1, ""),
                (2, ""),
                (3, "attack"),
                (4, "attack"),
                (9, "attack"),
            ],
            &[2, 5],
        );
        let line = line("x", &fate);
        assert_eq!(line.calls_to_first_verdict, Some(2));
        assert_eq!(line.calls_from_attack_to_verdict, Some(2));
        assert_eq!(line.responses["recycle (not enforced)"], 2);
    }

    #[test]
    fn without_a_verdict_there_is_no_delay() {
        let fate = fate(&[(1, "attack")], &[]);
        assert_eq!(line("x", &fate).calls_from_attack_to_verdict, None);
        assert_eq!(delay(&line("x", &fate)), "no verdict");
    }
}
