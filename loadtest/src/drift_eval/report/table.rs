//! The report as a table for people.

use std::fmt::Write;

use super::{Agents, Figures, Report, Schonlau, Shares};
use crate::drift_eval::schonlau::{BUDGETS, CALL_RATES, HISTORIES, RAMPS, RATES};
use crate::drift_eval::trails::{CloudTrail, Visitors};

/// The whole table.
pub(in crate::drift_eval) fn of(report: &Report) -> String {
    let mut text = String::new();
    if let Some(schonlau) = &report.schonlau {
        text.push_str(&masquerades(schonlau));
    }
    if let Some(agents) = &report.agentdojo {
        text.push_str(&sessions(agents));
    }
    if let Some(trail) = &report.cloudtrail {
        text.push_str(&cloud(trail));
    }
    if let Some(visitors) = &report.web {
        text.push_str(&web(visitors));
    }
    text.push_str(&state(report));
    text
}

fn masquerades(schonlau: &Schonlau) -> String {
    let mut columns = vec![("", &schonlau.figures)];
    let mut head = "masquerades (Schonlau)".to_owned();
    if let Some(both) = &schonlau.directions {
        columns = vec![
            ("mean", &schonlau.figures),
            ("a to b", &both.a_to_b),
            ("b to a", &both.b_to_a),
        ];
        head.push_str(": the halves tune for each other; delays are pooled");
    }
    let mut text = format!("{head}\n");
    let names: String = columns
        .iter()
        .map(|(name, _)| format!("{name:>24}"))
        .collect();
    if columns.len() > 1 {
        let _ = writeln!(text, "  {:<46}{names}", "");
    }
    let mut line = |name: &str, value: &dyn Fn(&Figures) -> String| {
        let _ = write!(text, "  {name:<46}");
        for (_, figures) in &columns {
            let _ = write!(text, "{:>24}", value(figures));
        }
        text.push('\n');
    };
    line("AUC", &|figures| format!("{:.4}", figures.auc));
    for rate in RATES {
        line(&format!("hits at {rate} % false alarms"), &|figures| {
            found(figures.hits_at.get(rate), percent)
        });
    }
    line("threshold of the population: cost", &|figures| {
        point(figures.fixed)
    });
    line("best threshold on the data: cost", &|figures| {
        point(figures.best)
    });
    for rate in CALL_RATES {
        line(
            &format!("runs caught at {rate} in 10,000 calls, delay"),
            &|figures| {
                let caught = figures.per_request.as_ref().and_then(|all| all.get(rate));
                found(caught, |caught| match caught.median_delay {
                    Some(delay) => format!("{}, {delay} calls", percent(&caught.runs_caught)),
                    None => percent(&caught.runs_caught),
                })
            },
        );
    }
    line("level of the population at 1 in 10,000, nats", &|figures| {
        format!("{:.0}", figures.alarm_level)
    });
    for ramp in RAMPS {
        line(
            &format!("take-over flagged after a ramp of {ramp} windows"),
            &|figures| found(figures.poisoning.get(ramp), percent),
        );
    }
    for history in HISTORIES {
        line(
            &format!("hits at 2.5 % with {history} own calls"),
            &|figures| found(figures.cold_start.get(history), percent),
        );
    }
    for budget in BUDGETS {
        line(
            &format!("alarms for a budget of {budget} %, worst quarter"),
            &|figures| {
                found(figures.budget.get(budget), |paging| {
                    format!(
                        "{}, {}",
                        percent(&paging.realised),
                        percent(&paging.worst_quarter)
                    )
                })
            },
        );
    }
    text
}

fn sessions(agents: &Agents) -> String {
    let (clean, hijacked, resisted) = agents.sessions;
    let mut text = format!(
        "hijacked agents (AgentDojo): {clean} clean sessions, {hijacked} hijacked, {resisted} resisted; \
         {} of a task without a scope\n",
        agents.without_scope
    );
    let _ = writeln!(
        text,
        "  {:<32}{:>10}{:>14}{:>28}{:>18}",
        "", "hits", "false alarms", "at or before malicious call", "resisted flagged"
    );
    let mut line = |name: &str, shares: &Shares| {
        let _ = writeln!(
            text,
            "  {name:<32}{:>10}{:>14}{:>28}{:>18}",
            percent(&shares.hits),
            percent(&shares.false_alarms),
            percent(&shares.at_or_before_malicious_call),
            percent(&shares.resisted_flagged)
        );
    };
    line("task scope", &agents.task_scope);
    line(
        "task scope, reading restricted",
        &agents.task_scope_every_operation,
    );
    line("role only", &agents.role_only);
    text
}

fn cloud(trail: &CloudTrail) -> String {
    let mut text = "cloud trails\n".to_owned();
    if let Some(found) = &trail.invictus {
        let delay = found.median_delay.map_or_else(
            || "never".to_owned(),
            |delay| format!("after {delay} calls"),
        );
        let _ = writeln!(
            text,
            "  account: {} of {} attacking credentials flagged, {delay}; {} of {} attacking calls, {} of {} windows \
             with one; {} of {} windows without, {} of their {} calls",
            found.attackers_flagged,
            found.attackers,
            percent(&found.attack_calls_flagged),
            found.attack_calls,
            percent(&found.attack_windows_flagged),
            found.attack_windows,
            percent(&found.false_alarms),
            found.benign_windows,
            percent(&found.benign_calls_flagged),
            found.benign_calls
        );
    }
    if let Some(found) = &trail.stratus {
        let _ = writeln!(
            text,
            "  techniques spliced into its honest part: {} of {} noticed, {} from the owner's own machine",
            found.noticed, found.techniques, found.noticed_from_within
        );
    }
    text
}

fn web(found: &Visitors) -> String {
    let delay = found.median_delay.map_or_else(
        || "never".to_owned(),
        |delay| format!("after {delay} calls"),
    );
    format!(
        "web\n  {} of {} scanners flagged, {delay}, in {} of {} windows; {} of {} ordinary visitors\n",
        found.scanners_flagged,
        found.scanners,
        percent(&found.scanner_windows_flagged),
        found.scanner_windows,
        percent(&found.visitors_flagged),
        found.visitors
    )
}

fn state(report: &Report) -> String {
    let state = &report.state;
    format!(
        "state\n  {} bytes an identity, {} bytes a live token\n  a call: {:.0} ns at a gateway; judged and learned \
         {:.0} ns hot, {:.0} ns over {} identities in random order (reports of 100 calls)\n",
        state.bytes_per_identity,
        state.bytes_per_token,
        state.ns_token,
        state.ns_hot,
        state.ns_million,
        state.identities
    )
}

fn found<T>(value: Option<&T>, write: impl Fn(&T) -> String) -> String {
    value.map_or_else(|| "not measured".to_owned(), write)
}

fn percent(share: &f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn point(point: crate::drift_eval::metrics::windows::Point) -> String {
    format!(
        "{:.1} ({} at {})",
        point.cost,
        percent(&point.hits),
        percent(&point.false_alarms)
    )
}
