//! Chance that is the same on every machine: xoshiro256++ seeded by splitmix64 (Blackman and Vigna).
//!
//! Every caller of a world draws from a stream of its own, so that adding one attacker does not change
//! what anybody else does. Not for secrets. A crate would do as well; these thirty lines never change
//! under a reported seed.

use std::f64::consts::TAU;

/// One stream of chance.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream with this number under a seed.
    #[must_use]
    pub fn seeded(seed: u64, stream: u64) -> Self {
        let mut from = spread(seed).wrapping_add(spread(!stream));
        Self {
            state: std::array::from_fn(|_| {
                from = from.wrapping_add(0x9e37_79b9_7f4a_7c15);
                spread(from)
            }),
        }
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let drawn = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }

    /// Evenly from 0 (included) to 1 (not included).
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds.
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly from 0 to below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(limit);
        (wide >> 64) as u64
    }

    /// Evenly from `low` to `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A pause before the next of many independent arrivals.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Around 0 with deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// Sizes and pauses: half of them below the median, the deviation is that of the logarithm.
    pub fn log_normal(&mut self, median: f64, deviation: f64) -> f64 {
        median * (deviation * self.normal()).exp()
    }

    /// A rank from 0 to below `count`; the chance of rank r falls as 1/(r+1) (Zipf).
    pub fn zipf(&mut self, count: u64) -> u64 {
        let drawn = ((count as f64 + 1.0).ln() * self.unit()).exp();
        (drawn as u64)
            .saturating_sub(1)
            .min(count.saturating_sub(1))
    }

    /// One of them, evenly; `None` of none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }

    /// So many of them, each at most once, in the order they were drawn.
    pub fn draw<T: Clone>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut left = from.to_vec();
        let mut drawn = Vec::with_capacity(count.min(left.len()));
        while drawn.len() < count && !left.is_empty() {
            let at = self.below(left.len() as u64) as usize;
            drawn.push(left.swap_remove(at));
        }
        drawn
    }

    /// One of them by weight.
    pub fn weighted<'a, T>(&mut self, from: &'a [(f64, T)]) -> Option<&'a T> {
        let total: f64 = from.iter().map(|(weight, _)| weight).sum();
        let mut left = total * self.unit();
        for (weight, item) in from {
            left -= weight;
            if left < 0.0 {
                return Some(item);
            }
        }
        from.last().map(|(_, item)| item)
    }
}

/// Every input bit changes half of the output bits: seeds, and numbers that must look scattered.
#[must_use]
pub fn spread(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_and_stream_give_one_sequence_and_others_give_others() {
        let drawn = |seed, stream| {
            let mut random = Random::seeded(seed, stream);
            [random.bits(), random.bits(), random.bits()]
        };
        assert_eq!(drawn(7, 1), drawn(7, 1));
        assert_ne!(drawn(7, 1), drawn(7, 2));
        assert_ne!(drawn(7, 1), drawn(8, 1));
    }

    #[test]
    fn means_are_what_was_asked_for() {
        let mut random = Random::seeded(1, 1);
        let mut mean = |draw: &mut dyn FnMut(&mut Random) -> f64| {
            (0..100_000).map(|_| draw(&mut random)).sum::<f64>() / 100_000.0
        };
        assert!((mean(&mut |r| r.unit()) - 0.5).abs() < 0.01);
        assert!((mean(&mut |r| r.exponential(3.0)) - 3.0).abs() < 0.05);
        assert!(mean(&mut |r| r.normal()).abs() < 0.02);
        assert!((mean(&mut |r| r.normal().powi(2)) - 1.0).abs() < 0.03);
        assert!((mean(&mut |r| r.below(10) as f64) - 4.5).abs() < 0.05);
    }

    #[test]
    fn the_most_popular_object_is_twice_as_popular_as_the_second() {
        let mut random = Random::seeded(1, 1);
        let (mut first, mut second) = (0, 0);
        for _ in 0..200_000 {
            match random.zipf(10_000) {
                0 => first += 1,
                1 => second += 1,
                rank => assert!(rank < 10_000),
            }
        }
        let ratio = f64::from(first) / f64::from(second);
        // The continuous inverse gives ln 2 / ln 1.5.
        assert!((1.5..2.2).contains(&ratio), "{ratio}");
        assert_eq!(random.zipf(0), 0);
    }
}
