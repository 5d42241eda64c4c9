//! A curve as SVG, both scales logarithmic: from one to a million, a straight scale shows the last point alone.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use crate::bench::curve::Curve;

const SIZE: (u32, u32) = (960, 560);

/// Writes the picture. One without a point above zero is not drawn: it would have no scale.
pub(super) fn draw(file: &Path, curve: &Curve) -> Result<(), Box<dyn Error>> {
    let points = || curve.lines.iter().flat_map(|line| &line.points);
    let across = range(points().map(|(across, _)| *across));
    let up = range(points().map(|(_, up)| *up));
    let (Some(across), Some(up)) = (across, up) else {
        return Ok(());
    };
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(curve.title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(across.log_scale(), up.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(curve.across)
        .y_desc(curve.up)
        .draw()?;
    for (place, line) in curve.lines.iter().enumerate() {
        let color = Palette99::pick(place).to_rgba();
        let drawn = line.points.iter().copied().filter(|(_, up)| *up > 0.0);
        chart
            .draw_series(LineSeries::new(drawn, color.stroke_width(2)))?
            .label(line.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

/// From a little below the lowest to a little above the highest.
fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let (mut lowest, mut highest) = (f64::INFINITY, 0.0_f64);
    for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
        lowest = lowest.min(value);
        highest = highest.max(value);
    }
    (highest > 0.0).then_some(lowest * 0.8..highest * 1.25)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::curve::Line;

    #[test]
    fn a_picture_has_its_lines_by_name_and_points_of_zero_do_not_hinder_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("curve.svg");
        let line = Line::new("a line", vec![(1.0, 0.0), (10.0, 2.0), (1e6, 3.0)]);
        let axes = ("tokens", "ns");
        draw(&file, &Curve::of("curve", "a title", axes, vec![line])).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("a line") && text.contains("a title"),
            "{text}"
        );
    }

    #[test]
    fn nothing_above_zero_is_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("curve.svg");
        let line = Line::new("nothing", vec![(1.0, 0.0)]);
        draw(
            &file,
            &Curve::of("curve", "a title", ("x", "y"), vec![line]),
        )
        .unwrap();
        assert!(!file.exists());
    }
}
