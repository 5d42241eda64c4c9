//! Everything that is asked for, in the order in which it is asked for: a report lists all of it, and what it has no
//! figure for with the reason.

use serde::Serialize;

use super::What;
use super::absent::Absent;
use super::target::Target;

/// A target, the part of the benchmarks that measures it, and the unit of its figure.
const ASKED: [(&str, What, &str); 30] = [
    ("P1-hot", What::Micro, "x"),
    ("P1-10k", What::Micro, "x"),
    ("P1-100k", What::Micro, "x"),
    ("P1-allocations", What::Micro, ""),
    ("P2", What::Micro, "x"),
    ("P3", What::Micro, "%"),
    ("P4", What::Micro, "%"),
    ("P5", What::Micro, "ns"),
    ("P5-flood", What::Micro, "x"),
    ("P6-rps", What::Gateway, "%"),
    ("P6-cpu", What::Gateway, "us"),
    ("P6-cpu-ext-authz", What::Gateway, "x"),
    ("P8-openbao", What::Broker, "x"),
    ("P8-openbao-cpu", What::Broker, "x"),
    ("P8-oidc-provider", What::Broker, "x"),
    ("P8-oidc-provider-cpu", What::Broker, "x"),
    ("P8-p99-fsync", What::Broker, "x"),
    ("P9-openbao", What::Broker, "x"),
    ("P9-oidc-provider", What::Broker, "x"),
    ("P10-oidc-provider", What::Broker, "x"),
    ("P10-openbao", What::Broker, "x"),
    ("P11-bytes", What::Memory, "B"),
    ("P11-idle-mib", What::Memory, "MiB"),
    ("P12-8-p99-ms", What::Revocation, "ms"),
    ("P12-64-p99-ms", What::Revocation, "ms"),
    ("P12-storm-p99-ms", What::Revocation, "ms"),
    ("P12-streams-p99-ms", What::Revocation, "ms"),
    ("P13-ms", What::Memory, "ms"),
    ("P14-ns", What::Micro, "ns"),
    ("P14-restart-s", What::Memory, "s"),
];

/// A target with its figure, or without one and why.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Listed {
    Measured(Target),
    Missing(Unmeasured),
}

/// A target without a figure.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Unmeasured {
    pub(super) id: &'static str,
    measured: Option<f64>,
    unit: &'static str,
    minimum: Option<f64>,
    maximum: Option<f64>,
    /// What measures it.
    command: String,
    pub(super) reason: String,
}

/// All that is asked for in its order, then what was measured besides.
pub(super) fn all(ran: What, measured: &[Target], missing: &[Absent]) -> Vec<Listed> {
    let mut listed: Vec<Listed> = ASKED
        .iter()
        .map(|(id, part, unit)| {
            let found = measured.iter().find(|target| target.id == *id);
            found.cloned().map_or_else(
                || Listed::Missing(unmeasured(ran, (id, *part, unit), missing)),
                Listed::Measured,
            )
        })
        .collect();
    let besides = measured
        .iter()
        .filter(|target| ASKED.iter().all(|(id, ..)| *id != target.id));
    listed.extend(besides.cloned().map(Listed::Measured));
    listed
}

/// The targets of a part.
pub(super) fn of(part: What) -> Vec<&'static str> {
    let all = ASKED.iter().filter(|(_, asked, _)| part.includes(*asked));
    all.map(|(id, ..)| *id).collect()
}

fn unmeasured(
    ran: What,
    (id, part, unit): (&'static str, What, &'static str),
    missing: &[Absent],
) -> Unmeasured {
    let reason = match ran.includes(part) {
        false => "not a part of this run".to_owned(),
        true => {
            let mut reasons = missing.iter().filter_map(|absent| absent.reason_of(id));
            reasons
                .next()
                .unwrap_or("this run gave no figure")
                .to_owned()
        }
    };
    Unmeasured {
        id,
        unit,
        reason,
        measured: None,
        minimum: None,
        maximum: None,
        command: format!("lanyard-loadtest bench {}", part.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::Goal;
    use super::*;

    fn ids(listed: &[Listed]) -> Vec<&'static str> {
        listed
            .iter()
            .map(|listed| match listed {
                Listed::Measured(target) => target.id,
                Listed::Missing(missing) => missing.id,
            })
            .collect()
    }

    #[test]
    fn all_that_is_asked_for_is_listed_in_order_and_what_is_besides_comes_after() {
        let target = |id| Target::of(id, "x", "none", Goal::AtLeast(1.0), [1.0]).unwrap();
        let listed = all(What::Micro, &[target("P99"), target("P2")], &[]);
        let ids = ids(&listed);
        assert_eq!(ids.len(), ASKED.len() + 1);
        assert_eq!((ids[0], ids[ids.len() - 1]), ("P1-hot", "P99"));
        assert!(matches!(&listed[4], Listed::Measured(target) if target.id == "P2"));
    }

    #[test]
    fn a_target_without_a_figure_is_null_and_says_why() {
        let missing = [
            Absent::of("oidc-provider is not installed", &["P8-oidc-provider"]),
            Absent::of("OpenBao is not installed", &["P8-openbao"]),
        ];
        let listed = serde_json::to_value(all(What::Broker, &[], &missing)).unwrap();
        assert!(listed[0]["measured"].is_null());
        assert_eq!(listed[0]["reason"], "not a part of this run");
        assert_eq!(listed[12]["id"], "P8-openbao");
        assert_eq!(listed[12]["reason"], "OpenBao is not installed");
        assert_eq!(listed[16]["id"], "P8-p99-fsync");
        assert_eq!(listed[16]["reason"], "this run gave no figure");
    }
}
