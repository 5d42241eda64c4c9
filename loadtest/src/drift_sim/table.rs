//! The summary for people.

use std::fmt::Write as _;

use super::ledger::PerMillion;
use super::summary::{BenignSummary, ClassSummary, Summary};

/// The whole of it, as text.
pub(super) fn table(summary: &Summary) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, summary);
    text
}

fn write(text: &mut String, summary: &Summary) -> std::fmt::Result {
    if !summary.attackers.is_empty() {
        writeln!(
            text,
            "{:<20} {:>4} {:>7} {:>7} {:>7} {:>15} {:>15} {:>17} {:>9} {:>11}",
            "attacker",
            "n",
            "caught",
            "chance",
            "cut off",
            "requests",
            "objects lost",
            "seconds",
            "unharmed",
            "owner fails"
        )?;
        for (class, found) in &summary.attackers {
            row(text, &format!("{class:?}"), found)?;
        }
        writeln!(text, "(middle / 95 %, until caught)\n")?;
    }
    writeln!(
        text,
        "{:<12} {:>10} {:>20} {:>18} {:>16} {:>16} {:>16} {:>16} {:>16}",
        "benign",
        "requests",
        "recycles",
        "narrowings",
        "failed",
        "suspensions",
        "revocations",
        "alerts",
        "on identities"
    )?;
    for (kind, found) in &summary.benign {
        benign(text, kind, found)?;
    }
    writeln!(
        text,
        "(count, per million requests, at most with 95 % confidence); {} deployments, {:.0} calls/s",
        summary.deployments, summary.calls_per_second
    )?;
    let mut reasons: Vec<_> = summary.recycles_because_of.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (reason, count) in reasons {
        writeln!(text, "  recycled because of {reason}: {count}")?;
    }
    Ok(())
}

fn row(text: &mut String, class: &str, found: &ClassSummary) -> std::fmt::Result {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let both = |values: Option<[f64; 2]>| {
        values.map_or(String::new(), |[middle, most]| {
            format!("{middle:.0} / {most:.0}")
        })
    };
    let delay = &found.until_caught;
    writeln!(
        text,
        "{class:<20} {:>4} {:>7} {:>7} {:>7} {:>15} {:>15} {:>17} {:>9} {:>11}",
        found.attacks,
        percent(found.caught),
        percent(found.by_chance),
        percent(found.cut_off),
        both(delay.requests),
        both(delay.objects),
        both(delay.seconds),
        found.unharmed.map(percent).unwrap_or_default(),
        found.owner_failed,
    )?;
    let reasons: Vec<String> = found
        .because_of
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    write!(text, "    {}", reasons.join(", "))?;
    if let Some(share) = found.forged_in_time {
        write!(text, "; {} of forged tokens within 2 s", percent(share))?;
    }
    if found.suspended + found.revoked > 0 {
        write!(
            text,
            "; {} suspensions, {} revocations",
            found.suspended, found.revoked
        )?;
    }
    writeln!(text)
}

fn benign(text: &mut String, kind: &str, found: &BenignSummary) -> std::fmt::Result {
    let rate = |rate: PerMillion| {
        format!(
            "{} {:.1} <{:.1}",
            rate.count, rate.per_million, rate.at_most
        )
    };
    writeln!(
        text,
        "{kind:<12} {:>10} {:>20} {:>18} {:>16} {:>16} {:>16} {:>16} {:>16}",
        found.requests,
        rate(found.recycles),
        rate(found.narrowings),
        rate(found.failed),
        rate(found.suspensions),
        rate(found.revocations),
        rate(found.alerts),
        rate(found.identity_alerts),
    )
}
