//! How windows went over time, in one line of a terminal.

use serde_json::Value;

use super::super::items;

/// Windows shown: a line of a terminal.
const SHOWN: usize = 60;
/// The bar lies in the middle: four steps below it, and a doubling for each above.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BELOW: f64 = 4.0;

/// The newest windows, oldest first; empty without any.
pub(super) fn line(answer: &Value) -> String {
    let series = items(answer, "series");
    let newest = series.get(series.len().saturating_sub(SHOWN)..);
    let reaches = newest.unwrap_or_default().iter().map(reach);
    reaches.map(step).collect()
}

/// How far a window went, in multiples of the bar.
pub(super) fn reach(point: &Value) -> f64 {
    let reach = point.get("reach").and_then(Value::as_f64);
    reach.unwrap_or(0.0).max(0.0)
}

fn step(reach: f64) -> char {
    let height = if reach < 1.0 {
        reach * BELOW
    } else {
        BELOW + reach.log2()
    };
    // From 0 to 7; what is further out is as far out as any.
    let at = height.min(7.0) as usize;
    STEPS.get(at).copied().unwrap_or('█')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bar_is_in_the_middle_and_each_doubling_is_a_step() {
        let reaches = [0.0, 0.3, 0.6, 0.99, 1.0, 2.0, 4.0, 8.0, 1e9];
        let series: Vec<_> = reaches
            .iter()
            .map(|reach| json!({"reach": reach}))
            .collect();
        assert_eq!(line(&json!({"series": series})), "▁▂▃▄▅▆▇██");
        assert_eq!(line(&json!({})), "");
    }

    #[test]
    fn only_the_newest_fit_a_line() {
        let mut series = vec![json!({"reach": 9}); 500];
        series.extend(vec![json!({"reach": 0}); 60]);
        assert_eq!(line(&json!({"series": series})), "▁".repeat(60));
    }
}
