//! Cloud trails and web logs: real attacks on real accounts, too few for curves, so they are counted.
//!
//! Here the engine is used as a broker uses it: a tracker for each token, reports on change, else every minute, and
//! a judgement of each report against the baseline of its identity, which learns what the judgement allows. A window
//! is what one report covers; it is flagged when its verdict is not benign.

mod cloud;
mod watch;
mod web;

use std::error::Error;

use serde::Serialize;

use super::folder::{self, Folder};
pub(super) use cloud::{Attacks, Techniques};
pub(super) use web::Visitors;

/// What was found on the trails of a cloud account.
#[derive(Debug, Serialize)]
pub(super) struct CloudTrail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invictus: Option<Attacks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stratus: Option<Techniques>,
}

/// An account whose owner's keys do infrastructure work and attacks, and techniques spliced into its honest part.
pub(super) fn cloud(
    population: &Folder,
    data: &Folder,
) -> Result<Option<CloudTrail>, Box<dyn Error>> {
    let account = data.read(folder::INVICTUS)?;
    let techniques = data.read(folder::STRATUS)?;
    let before = if population.is(data) {
        None
    } else {
        population.read(folder::INVICTUS)?
    };
    let habits = before.as_ref().or(account.as_ref());
    let found = CloudTrail {
        invictus: account
            .as_ref()
            .map(|account| cloud::attacks(before.as_ref(), account)),
        stratus: techniques
            .as_ref()
            .zip(habits)
            .map(|(techniques, account)| cloud::splice(account, techniques)),
    };
    let any = found.invictus.is_some() || found.stratus.is_some();
    Ok(any.then_some(found))
}

/// Scanners among ordinary visitors.
pub(super) fn web(population: &Folder, data: &Folder) -> Result<Option<Visitors>, Box<dyn Error>> {
    let ordinary = data.read(folder::WEBLOG)?;
    let scans = data.read(folder::WEBSCAN)?;
    let before = if population.is(data) {
        None
    } else {
        population.read(folder::WEBLOG)?
    };
    let (Some(ordinary), Some(scans)) = (ordinary, scans) else {
        return Ok(None);
    };
    Ok(Some(web::visitors(before.as_ref(), &ordinary, &scans)))
}
