//! The little statistics a report needs.

/// One minus the confidence of a bound.
const DOUBT: f64 = 0.05;

/// The mean below which a count this small would be improbable (exact, Poisson): 3.0 for none.
pub(super) fn upper_bound(count: u64) -> f64 {
    let (mut low, mut high) = (count as f64, 2.0 * count as f64 + 20.0);
    // Sixty halvings are more than a double can tell apart.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(count, middle) > DOUBT {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The value below which this share of them lies; `None` of none.
pub(super) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get((share * last as f64).round() as usize).copied()
}

/// The chance of at most so many, by the logarithm of each term.
fn at_most(count: u64, mean: f64) -> f64 {
    let mut logarithm = -mean;
    let mut sum = logarithm.exp();
    for n in 1..=count {
        logarithm += (mean / n as f64).ln();
        sum += logarithm.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_means_at_most_three() {
        assert!((upper_bound(0) - 2.996).abs() < 0.001);
        assert!((upper_bound(1) - 4.744).abs() < 0.001);
        assert!((upper_bound(10) - 16.962).abs() < 0.001);
        let many = upper_bound(10_000);
        assert!((10_150.0..10_180.0).contains(&many), "{many}");
    }

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0], 0.95), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
