//! The hours and days that honest work follows.
//!
//! Worlds begin at midnight of a Monday that is the 23rd of a month of thirty days, so a week later the
//! month ends. People are awake by day; machines that serve them follow, with a tail at night and half of
//! it all on Saturday and Sunday.

use lanyard_drift::Millis;

/// A minute, in milliseconds.
pub const MINUTE: u64 = 60_000;
/// An hour, in milliseconds.
pub const HOUR: u64 = 60 * MINUTE;
/// A day, in milliseconds.
pub const DAY: u64 = 24 * HOUR;

/// When worlds begin: far enough from zero that nothing depends on it, at a midnight.
pub const BEGIN: Millis = Millis(20_000 * DAY);

/// The first day's number in its month.
const FIRST_DAY: u64 = 23;
/// Days in a month.
const MONTH: u64 = 30;
/// What is left of the load in the deepest night, of the busiest hour's.
const NIGHT: f64 = 0.15;
/// What is left of the load on Saturday and Sunday.
const WEEKEND: f64 = 0.5;

/// Whole days since the world began.
#[must_use]
pub const fn day(now: Millis) -> u64 {
    now.since(BEGIN) / DAY
}

/// Milliseconds since midnight.
#[must_use]
pub const fn time_of_day(now: Millis) -> u64 {
    now.since(BEGIN) % DAY
}

/// The moment at which a day begins.
#[must_use]
pub const fn midnight(day: u64) -> Millis {
    BEGIN.plus(day * DAY)
}

/// Saturday or Sunday.
#[must_use]
pub const fn is_weekend(now: Millis) -> bool {
    day(now) % 7 >= 5
}

/// The last day of a month.
#[must_use]
pub const fn is_month_end(now: Millis) -> bool {
    (FIRST_DAY - 1 + day(now)) % MONTH == MONTH - 1
}

/// How much of the busiest hour's load there is now; 1 on a working day at two in the afternoon.
#[must_use]
pub fn load(now: Millis) -> f64 {
    let hour = time_of_day(now) as f64 / HOUR as f64;
    let wave = f64::midpoint(1.0, (std::f64::consts::TAU * (hour - 14.0) / 24.0).cos());
    let day = NIGHT + (1.0 - NIGHT) * wave.powf(1.3);
    if is_weekend(now) { day * WEEKEND } else { day }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn afternoons_are_busy_nights_are_quiet_and_weekends_are_half() {
        let at = |day, hour| load(midnight(day).plus(hour * HOUR));
        assert!((at(0, 14) - 1.0).abs() < 0.01);
        assert!(at(0, 2) < 0.2);
        assert!((at(5, 14) / at(4, 14) - 0.5).abs() < 0.01);
        assert!((at(7, 14) - at(0, 14)).abs() < 1e-9);
    }

    #[test]
    fn the_month_ends_on_the_eighth_day_and_thirty_days_later() {
        let ends: Vec<u64> = (0..40).filter(|day| is_month_end(midnight(*day))).collect();
        assert_eq!(ends, [7, 37]);
    }
}
