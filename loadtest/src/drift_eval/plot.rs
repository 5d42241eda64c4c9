//! The curve of the windows beside what others have published, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use super::metrics::windows::Roc;

/// Published costs (misses and six times the false alarms, in percent): lines of equal cost, since hits and false
/// alarms were not always published apart.
const PUBLISHED: [(&str, f64); 3] = [
    ("ECM 2004, cost 42.7", 42.7),
    ("SGA with updating 2008, cost 42.8", 42.8),
    ("naive Bayes with updating 2002, cost 46.3", 46.3),
];
/// The picture ends where false alarms stop being of use, in percent.
const MOST_FALSE_ALARMS: f64 = 10.0;
const SIZE: (u32, u32) = (960, 640);

/// Writes the picture.
pub(super) fn write(file: &Path, curves: &[(&str, &Roc)]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Masquerades, windows of 100 calls", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..MOST_FALSE_ALARMS, 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc("false alarms, % of the owners' windows")
        .y_desc("hits, % of the others' windows")
        .draw()?;
    for (place, (name, cost)) in PUBLISHED.into_iter().enumerate() {
        let color = Palette99::pick(place + 3).to_rgba();
        // Misses are what the cost leaves once the false alarms are paid.
        let hits = |false_alarms: f64| 100.0 - cost + 6.0 * false_alarms;
        let ends = [0.0, MOST_FALSE_ALARMS.min(cost / 6.0)];
        chart
            .draw_series(LineSeries::new(ends.map(|at| (at, hits(at))), color))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    for (place, (name, roc)) in curves.iter().enumerate() {
        let color = Palette99::pick(place).to_rgba();
        let points = roc.curve().into_iter();
        let points = points.map(|(false_alarms, hits)| (false_alarms * 100.0, hits * 100.0));
        let shown = points.take_while(|(false_alarms, _)| *false_alarms <= MOST_FALSE_ALARMS);
        chart
            .draw_series(LineSeries::new(shown, color.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
