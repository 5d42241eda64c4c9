//! What an identity does in an hour and in a day, week after week: the scales that no token lives long enough to
//! show.
//!
//! **Catches** whoever sits in the owner's workload and takes more than the owner does, with calls like the
//! owner's: twice the bytes for half a day, strange objects one by one in between. Bytes and distinct
//! objects of each hour are put beside what the same part of the week used to bring; what is beyond that
//! adds up in a one-sided cumulative sum (Page), in units of the identity's own deviation. So an excess of
//! three deviations shows after three hours, one of a single deviation after sixteen. An excess below the
//! slack of an hour, half a deviation, never adds up there; but a day is the sum of many hours, whose noise
//! evens out, so it is many of a *day's* deviations. So the same is done day by day, beside the same day of the
//! week: half as much again shows after some three days, a quarter after some five.
//!
//! **Misses** less than half a day's deviation more, for ever; a ramp so slow that a week's profile follows it;
//! and whoever is the owner's better half from the first week on. An identity that works now and then (an agent)
//! deviates by so much that twice its bytes is nothing. A day on which the identity was silent until now has no
//! usual amount: only the hours speak then.
//!
//! **Warms up** with a week of hours, or of whole days: before, there is nothing to put them beside. **Recovers**
//! by itself: an hour, or a day, as usual takes half a deviation off. While a sum is high its scale learns
//! nothing, so a thief does not become the profile within its own theft; what lasts for three days nonetheless
//! (a week, on the scale of days) is a new habit, has been told of every day, and is learned for a week.
//!
//! Why not the mean of the last days: it takes Monday for a theft after a quiet Sunday, and on Sunday it
//! sees none. Why logarithms: see the rate module; whole numbers, so equal histories are equal bytes. Why a
//! sum and not a bar per hour: twice as much is within the noise of any one hour of a quiet service. Why not only
//! days: they tell of twice the bytes days later.
//!
//! An hour in which the gateways counted no bytes, or saw no objects, before they ever did is absent and not
//! zero; a day without any is absent always, since who was away is no stranger on his return. Fixed size: [`Slow`]
//! fits in 640 bytes.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::evidence::{Evidence, Measure};
use crate::report::TokenReport;
use crate::sketch::Sketch;
use crate::thresholds::Bar;

mod track;

use track::{DAYS, HOURS, Track};

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
/// The same for days, of which there are fewer: once in two years too, and three times as far. Two days cannot
/// reach it unless each is at its most.
const DAY_BAR: Bar = Bar {
    notable: 5.0,
    strong: 15.0,
};
/// Hours in a day.
const DAY: u64 = 24;
/// Cells of a week: two hours each, so that each is seen twice a week; and its days.
const PARTS_OF_WEEK: usize = 84;
const DAYS_OF_WEEK: usize = 7;

/// What an identity does in an hour and in a day. All of it is by the clock of its calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slow {
    /// The hour that is not over, counted from the origin of time; 0 before the first report.
    hour: u64,
    /// Hours that are over.
    seen: u16,
    bytes_now: u64,
    objects_now: Sketch,
    bytes: Track<PARTS_OF_WEEK>,
    objects: Track<PARTS_OF_WEEK>,
    /// Absent from what was written before there were days.
    #[serde(default)]
    days: Days,
}

/// The same by days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Days {
    bytes_now: u64,
    objects_now: Sketch,
    bytes: Track<DAYS_OF_WEEK>,
    objects: Track<DAYS_OF_WEEK>,
}

impl Default for Slow {
    fn default() -> Self {
        Self {
            hour: 0,
            seen: 0,
            bytes_now: 0,
            objects_now: Sketch::default(),
            bytes: Track::new(&HOURS),
            objects: Track::new(&HOURS),
            days: Days::default(),
        }
    }
}

impl Default for Days {
    fn default() -> Self {
        Self {
            bytes_now: 0,
            objects_now: Sketch::default(),
            bytes: Track::new(&DAYS),
            objects: Track::new(&DAYS),
        }
    }
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
        let hours = both.into_iter().filter_map(|(measure, track)| {
            Evidence::weigh(measure, track.since_it_began(), track.sum(), BAR)
        });
        hours.chain(self.days.evidence())
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
        let part = (self.hour % WEEK) as usize / 2;
        let known = u64::from(self.seen) >= WEEK;
        self.bytes.close(self.bytes_now, part, known, &HOURS);
        let objects = u64::from(self.objects_now.estimate());
        self.objects.close(objects, part, known, &HOURS);
        self.seen = self.seen.saturating_add(1);
        self.days.add(self.bytes_now, &self.objects_now);
        if self.hour % DAY == DAY - 1 {
            let of_week = (self.hour / DAY) as usize % DAYS_OF_WEEK;
            self.days.close(of_week, u64::from(self.seen) >= DAY);
        }
        self.bytes_now = 0;
        self.objects_now.clear();
    }
}

impl Days {
    /// An hour of the day is over.
    fn add(&mut self, bytes: u64, objects: &Sketch) {
        self.bytes_now = self.bytes_now.saturating_add(bytes);
        self.objects_now.merge(objects);
    }

    /// The day is over. One that began before anything was known of the identity says too little.
    fn close(&mut self, of_week: usize, whole: bool) {
        let objects = u64::from(self.objects_now.estimate());
        let both = [
            (self.bytes_now, &mut self.bytes),
            (objects, &mut self.objects),
        ];
        for (amount, track) in both.into_iter().filter(|(amount, _)| whole && *amount > 0) {
            track.is_seen();
            track.close(amount, of_week, true, &DAYS);
        }
        self.bytes_now = 0;
        self.objects_now.clear();
    }

    fn evidence(&self) -> impl Iterator<Item = Evidence> {
        let both = [
            (Measure::BytesOverDays, &self.bytes),
            (Measure::ObjectsOverDays, &self.objects),
        ];
        both.into_iter().filter_map(|(measure, track)| {
            Evidence::weigh(measure, track.since_it_began(), track.sum(), DAY_BAR)
        })
    }
}

#[cfg(test)]
mod tests;
