//! The evidence over time, as SVG: how far each window of an identity went, and which one this
//! verdict is about.

use std::error::Error;

use plotters::prelude::*;
use serde_json::Value;

use super::super::{items, output, text_of};
use super::spark::reach;

const SIZE: (u32, u32) = (960, 420);
/// Up to the bar a plain scale, above it one step for each doubling: a thief goes a hundred times as
/// far, and the ordinary must stay visible beside it.
const BAR: f64 = 1.0;

/// Draws the explanation of a verdict.
pub(super) fn svg(answer: &Value) -> Result<String, String> {
    let mut text = String::new();
    draw(answer, &mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(answer: &Value, text: &mut String) -> Result<(), Box<dyn Error + Send + Sync>> {
    let points: Vec<Point> = items(answer, "series").iter().map(Point::of).collect();
    let first = points.first().map_or(0.0, |point| point.at);
    let last = points.last().map_or(first, |point| point.at);
    let highest = points.iter().map(|point| point.height).fold(2.0, f64::max);
    // A single window has a minute around it.
    let span = first - 30_000.0..(last + 30_000.0).max(first + 30_000.0);
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let name = answer.get("name").and_then(Value::as_str);
    let name = output::line(name.unwrap_or_else(|| text_of(answer, "identity")));
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("Windows of {name}"), ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d(span.clone(), 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(5)
        .x_label_formatter(&|at| moment(*at))
        .y_desc("times the bar")
        .y_label_formatter(&|height| format!("{:.1}", unscaled(*height)))
        .draw()?;
    chart.draw_series(LineSeries::new(
        points.iter().map(|point| (point.at, point.height)),
        BLACK.mix(0.35),
    ))?;
    chart
        .draw_series(LineSeries::new([(span.start, BAR), (span.end, BAR)], RED))?
        .label("the bar: from here on it is not benign")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], RED));
    chart.draw_series(
        points
            .iter()
            .map(|point| Circle::new((point.at, point.height), 3, point.color().filled())),
    )?;
    let this = answer.get("id").and_then(Value::as_str);
    let marked = points
        .iter()
        .filter(|point| this.is_some() && point.verdict.as_deref() == this);
    chart
        .draw_series(
            marked.map(|point| Circle::new((point.at, point.height), 8, RED.stroke_width(2))),
        )?
        .label("this verdict")
        .legend(|(x, y)| Circle::new((x + 9, y), 5, RED.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

struct Point {
    at: f64,
    height: f64,
    level: String,
    verdict: Option<String>,
}

impl Point {
    fn of(point: &Value) -> Self {
        let verdict = point.get("verdict").and_then(Value::as_str);
        Self {
            at: point.get("at").and_then(Value::as_f64).unwrap_or(0.0),
            height: scaled(reach(point)),
            level: text_of(point, "level").to_owned(),
            verdict: verdict.map(str::to_owned),
        }
    }

    fn color(&self) -> RGBAColor {
        match self.level.as_str() {
            "malicious" => RED.to_rgba(),
            "anomalous" => RGBColor(230, 140, 0).to_rgba(),
            _ => RGBColor(40, 120, 60).to_rgba(),
        }
    }
}

fn scaled(reach: f64) -> f64 {
    if reach <= BAR {
        reach
    } else {
        BAR + reach.log2()
    }
}

fn unscaled(height: f64) -> f64 {
    if height <= BAR {
        height
    } else {
        (height - BAR).exp2()
    }
}

/// `2026-01-01 00:00`: the year to the minute.
fn moment(at: f64) -> String {
    let text = output::shown("at", Some(&Value::from(at.max(0.0) as u64)));
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(series: &Value) -> Value {
        json!({
            "id": "0000010000000009", "identity": "0000010000000002", "name": "bill<ing>&co",
            "series": series,
        })
    }

    #[test]
    fn windows_the_bar_and_the_verdict_are_drawn() {
        let at = |minute: u64| 1_767_225_600_000 + minute * 60_000;
        let series = json!([
            {"at": at(0), "reach": 0.2, "level": "benign"},
            {"at": at(1), "reach": 40.0, "level": "malicious", "verdict": "0000010000000009"},
            {"at": at(2), "reach": 1.5, "level": "anomalous", "verdict": "0000010000000011"},
        ]);
        let drawn = svg(&answer(&series)).unwrap();
        assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"));
        // Three windows, one mark around one of them, one mark in the legend.
        assert_eq!(drawn.matches("<circle").count(), 5, "{drawn}");
        assert!(drawn.contains("this verdict") && drawn.contains("2026-01-01 00:0"));
        assert!(drawn.contains("bill&lt;ing&gt;&amp;co") && !drawn.contains("<ing>"));
    }

    #[test]
    fn nothing_to_draw_is_an_empty_picture_and_no_panic() {
        for series in [json!([]), json!(null), json!([{"at": "x", "reach": "y"}])] {
            assert!(svg(&answer(&series)).unwrap().contains("</svg>"));
        }
    }

    #[test]
    fn the_scale_is_plain_to_the_bar_and_doubles_above() {
        for reach in [0.0, 0.5, 1.0, 2.0, 64.0] {
            assert!((unscaled(scaled(reach)) - reach).abs() < 1e-9, "{reach}");
        }
    }
}
