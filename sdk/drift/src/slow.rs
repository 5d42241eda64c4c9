//! What an identity does in an hour, hour after hour: the scales that no token lives long enough to show.
//!
//! **Catches** whoever sits in the owner's workload and takes more than the owner does, with calls like the
//! owner's: twice the bytes for half a day, strange objects one by one in between. Bytes and distinct
//! objects of each hour are put beside what the same part of the week used to bring; what is beyond that
//! adds up in a one-sided cumulative sum (Page), in units of the identity's own deviation. So an excess of
//! three deviations shows after three hours, one of a single deviation after sixteen, and a day or three are
//! only more hours: a scale of its own for days would see the same bytes later.
//!
//! **Misses** less than half a deviation more, for ever; a ramp so slow that a week's profile follows it; and
//! whoever is the owner's better half from the first week on. An identity that works now and then (an agent)
//! deviates by so much that twice its bytes is nothing.
//!
//! **Warms up** with a week of hours: before, there is nothing to put them beside. **Recovers** by itself:
//! an hour as usual takes half a deviation off. While the sum is high nothing is learned, so a thief does not
//! become the profile within its own theft; what lasts for three days nonetheless is a new habit, has been told
//! of every day, and is learned for a week.
//!
//! Why not the mean of the last days: it takes Monday for a theft after a quiet Sunday, and on Sunday it
//! sees none. Why logarithms: see the rate module; whole numbers, so equal histories are equal bytes. Why a
//! sum and not a bar per hour: twice as much is within the noise of any one hour of a quiet service.
//!
//! An hour in which the gateways counted no bytes, or saw no objects, before they ever did is absent and not
//! zero. Fixed size: [`Slow`] fits in 512 bytes.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::evidence::{Evidence, Measure};
use crate::report::TokenReport;
use crate::sketch::Sketch;
use crate::thresholds::Bar;

mod track;

use track::Track;

/// An hour, in milliseconds.
const HOUR: u64 = 3_600_000;
/// Hours in a week.
const WEEK: u64 = 168;
/// Sum of excess from which it counts. Of independent, normal hours without any excess it is reached about
/// once in two years (Siegmund's approximation), and about three times as far only by what goes on.
const BAR: Bar = Bar {
    notable: 8.0,
    strong: 24.0,
};

/// What an identity does in an hour. All of it is by the clock of its calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slow {
    /// The hour that is not over, counted from the origin of time; 0 before the first report.
    hour: u64,
    /// Hours that are over.
    seen: u16,
    bytes_now: u64,
    objects_now: Sketch,
    bytes: Track,
    objects: Track,
}

impl Slow {
    /// Adds a report of any of the identity's tokens. One that comes late counts for the current hour.
    pub(crate) fn note(&mut self, report: &TokenReport) {
        let Some((_, last)) = report.span() else {
            return;
        };
        let hour = (last.0 / HOUR).max(1);
        if self.hour == 0 {
            self.hour = hour;
        }
        // Longer than a week away: every hour of the week was silent once, more says no more.
        let silent = hour.saturating_sub(self.hour).min(WEEK);
        for _ in 0..silent {
            self.close();
            self.hour += 1;
        }
        self.hour = self.hour.max(hour);
        if let Some((request, response)) = report.bytes() {
            self.bytes.is_seen();
            self.bytes_now = self
                .bytes_now
                .saturating_add(request)
                .saturating_add(response);
        }
        for (_, used) in report.objects.entries() {
            self.objects.is_seen();
            self.objects_now.merge(&used.objects);
        }
    }

    /// What has added up, as far as it counts.
    pub(crate) fn evidence(&self) -> impl Iterator<Item = Evidence> {
        let both = [
            (Measure::BytesOverHours, &self.bytes),
            (Measure::ObjectsOverHours, &self.objects),
        ];
        both.into_iter().filter_map(|(measure, track)| {
            Evidence::weigh(measure, track.since_it_began(), track.sum(), BAR)
        })
    }

    /// Nothing was ever noted.
    pub(crate) const fn is_empty(&self) -> bool {
        self.hour == 0
    }

    /// Reads what was written. Only hours that never began are left out, so whatever else is without a
    /// beginning was not written here.
    pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Self::deserialize(deserializer)?;
        if read.is_empty() && read != Self::default() {
            return Err(D::Error::custom("hours that never began"));
        }
        Ok(read)
    }

    fn close(&mut self) {
        let of_week = (self.hour % WEEK) as usize;
        let known = u64::from(self.seen) >= WEEK;
        self.bytes.close(self.bytes_now, of_week, known);
        let objects = u64::from(self.objects_now.estimate());
        self.objects.close(objects, of_week, known);
        self.bytes_now = 0;
        self.objects_now.clear();
        self.seen = self.seen.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
