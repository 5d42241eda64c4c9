//! `lanyard drift deploy` and `lanyard drift budget`: what operators say.

use serde_json::{Map, Value, json};

use super::super::{CliError, items, output, segment};
use super::{BudgetArgs, DeployArgs, object, role};

/// The body that announces a deployment.
pub(super) fn deployment(args: &DeployArgs) -> Result<Value, CliError> {
    let mut body = json!({"seconds": args.length});
    let whom = match (&args.role, &args.identity) {
        (Some(role), _) => ("role", parts(role)?),
        (None, Some(identity)) => ("identity", json!(segment(identity)?)),
        (None, None) => return Err(CliError::Usage("say --role or --identity".to_owned())),
    };
    if let Some(body) = body.as_object_mut() {
        body.insert(whom.0.to_owned(), whom.1);
        body.extend(
            args.reason
                .iter()
                .map(|reason| ("reason".to_owned(), json!(reason))),
        );
    }
    Ok(body)
}

/// What was opened.
pub(super) fn opened(answer: &Value) -> String {
    format!(
        "until {} what is new in {} members of the role {} is learned; hard rules and amounts are judged as ever\n",
        output::shown("until", answer.get("until")),
        output::shown("members", answer.get("members")),
        role(answer.get("role").unwrap_or(&Value::Null)),
    )
}

/// What is being deployed, under a list of verdicts.
pub(super) fn under_way(answer: &Value) -> String {
    let lines = items(answer, "deployments").iter().map(|deployment| {
        let mut line = format!(
            "deploying {} until {}",
            role(deployment.get("role").unwrap_or(&Value::Null)),
            output::shown("until", deployment.get("until")),
        );
        if let Some(reason) = deployment.get("reason").and_then(Value::as_str) {
            line.push_str(&format!(": {}", output::line(reason)));
        }
        line.push('\n');
        line
    });
    lines.collect()
}

/// The goal to set; `None`: only look.
pub(super) fn goal(args: &BudgetArgs) -> Option<Value> {
    match (args.alarms_per_day, args.share) {
        (Some(alarms), _) => Some(json!({"alarms_per_day": alarms})),
        (None, Some(share)) => Some(json!({"share": share})),
        (None, None) => None,
    }
}

/// What may ring, and what did.
pub(super) fn budget(answer: &Value) -> String {
    let number = |member: &str| answer.get(member).and_then(Value::as_f64).unwrap_or(0.0);
    let goal = object(answer, "goal");
    let goal = match (goal.get("alarms_per_day"), goal.get("share")) {
        (Some(alarms), _) => format!("{} alarms a day", plain(alarms.as_f64().unwrap_or(0.0))),
        (None, share) => {
            let share = share.and_then(Value::as_f64).unwrap_or(0.0);
            format!("{} of all windows", percent(share))
        }
    };
    let set = match answer.get("set") {
        Some(set) => format!(", set {}", output::shown("at", set.get("at"))),
        None => ", as shipped".to_owned(),
    };
    let mut facts = Map::new();
    facts.insert("goal".to_owned(), json!(format!("{goal}{set}")));
    facts.insert(
        "windows a day".to_owned(),
        json!(plain(number("windows_per_day"))),
    );
    let share = match answer.get("share").and_then(Value::as_f64) {
        Some(share) => format!(
            "{} asked, {} rang ({} of {} windows)",
            percent(share),
            percent(number("realised")),
            plain(number("pages")),
            plain(number("windows")),
        ),
        None => "not known: no window has closed yet".to_owned(),
    };
    facts.insert("share".to_owned(), json!(share));
    let rings = match answer.get("threshold").and_then(Value::as_f64) {
        Some(threshold) => format!("above {threshold:.2} times the bar"),
        None => "nothing now: too few windows, or too many pages".to_owned(),
    };
    facts.insert("rings".to_owned(), json!(rings));
    let days = items(answer, "by_day").iter().map(|day| {
        let (at, pages) = (day.get(0), day.get(1));
        let at = output::shown("at", at);
        let day = at.get(..10).unwrap_or(&at).to_owned();
        format!("{day}: {}", output::shown("pages", pages))
    });
    facts.insert(
        "pages".to_owned(),
        json!(days.collect::<Vec<_>>().join(", ")),
    );
    output::members(&Value::Object(facts))
}

/// `90m`, `2h`, `1d` as seconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a number with s, m, h or d behind it, as in `2h`".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

/// `0.01` or `1%`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, part) = match text.strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text, 1.0),
    };
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_| "a share, as in `0.01` or `1%`".to_owned())?;
    Ok(number * part)
}

/// `service+payments+prod` by its parts.
fn parts(text: &str) -> Result<Value, CliError> {
    let mut parts = text.split('+');
    let kind = parts.next().unwrap_or_default();
    if !["service", "integration", "agent"].contains(&kind) {
        return Err(CliError::Usage(format!(
            "`{text}` does not begin with `service`, `integration` or `agent`"
        )));
    }
    let tags: Vec<&str> = parts.collect();
    Ok(json!({"kind": kind, "tags": tags}))
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn plain(number: f64) -> String {
    if number.fract().abs() < 0.005 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_are_read_as_people_write_them() {
        for (text, expected) in [("30s", 30), ("90m", 5_400), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(seconds(text), Ok(expected));
        }
        for wrong in [
            "",
            "h",
            "2",
            "2w",
            "-1h",
            "2 h",
            "99999999999999999999d",
            "ä",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(share("0.05"), Ok(0.05));
        assert!((share("2.5%").unwrap() - 0.025).abs() < 1e-12);
        assert!(share("much").is_err());
    }

    #[test]
    fn a_role_is_its_kind_and_its_tags() {
        let role = parts("service+payments+prod").unwrap();
        assert_eq!(
            role,
            json!({"kind": "service", "tags": ["payments", "prod"]})
        );
        assert_eq!(
            parts("agent").unwrap(),
            json!({"kind": "agent", "tags": []})
        );
        assert!(parts("gateway+edge").is_err());
    }

    #[test]
    fn a_budget_is_told_in_lines_for_people() {
        let answer = json!({
            "goal": {"alarms_per_day": 5.0}, "set": {"at": 1_767_225_600_000_u64},
            "windows_per_day": 1440.0, "share": 0.003_472, "realised": 0.0031, "windows": 14_400,
            "pages": 45, "threshold": 3.456,
            "by_day": [[1_767_139_200_000_u64, 4], [1_767_225_600_000_u64, 6]],
        });
        let expected = "\
goal           5 alarms a day, set 2026-01-01T00:00:00Z
pages          2025-12-31: 4, 2026-01-01: 6
rings          above 3.46 times the bar
share          0.35 % asked, 0.31 % rang (45 of 14400 windows)
windows a day  1440
";
        let mut lines: Vec<&str> = budget(&answer).leak().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines.join("\n") + "\n", expected);
    }

    #[test]
    fn a_budget_of_nothing_yet_is_no_share() {
        let answer = json!({
            "goal": {"alarms_per_day": 5.0}, "windows_per_day": 0.0, "realised": 0.0, "windows": 0, "pages": 0,
            "by_day": [],
        });
        let told = budget(&answer);
        assert!(
            told.contains("not known: no window has closed yet"),
            "{told}"
        );
        assert!(!told.contains('%'), "{told}");
    }

    #[test]
    fn a_deployment_is_told_with_its_end() {
        let deployment = json!({
            "role": {"kind": "service", "tags": ["prod"]}, "until": 1_767_225_600_000_u64,
            "members": 3, "reason": "release 7\u{7}",
        });
        assert!(opened(&deployment).starts_with(
            "until 2026-01-01T00:00:00Z what is new in 3 members of the role service (prod) is learned"
        ));
        assert_eq!(
            under_way(&json!({"deployments": [deployment]})),
            "deploying service (prod) until 2026-01-01T00:00:00Z: release 7\\u{7}\n"
        );
    }
}
