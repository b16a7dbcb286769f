//! Figures of observed and predicted values: small multiples as one self-contained SVG text.
//!
//! Written by hand rather than with `plotters`: its SVG backend places everything on whole pixels, which makes curves
//! ragged, draws every dash of a dashed line as an element of its own, and has neither `<title>` and `<desc>` nor
//! groups; the same twelve panels took several times the bytes.

mod draw;
mod layout;
mod line;
mod scale;
#[cfg(test)]
mod tests;
mod tiles;

pub use tiles::{Mark, Sheet, Tile, samples, tiles};

use layout::Layout;

/// Most panels of one figure.
pub const MOST_PANELS: usize = 200;

/// A grid of panels under one title and one legend.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figure {
    /// What the figure shows.
    pub title: String,
    /// What a reader must know besides: the model, the data, the date.
    pub subtitle: String,
    /// The horizontal axis with its unit, as in `time (h)`; in hours, ticks fall on parts of a day.
    pub time_label: String,
    /// The panels, drawn row by row.
    pub panels: Vec<Panel>,
    /// Whether values are on a logarithmic scale.
    pub log_scale: bool,
}

/// One output of one subject. A curve is empty or has one value for each of `times`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panel {
    /// Whose values these are, as in `subject 3`.
    pub title: String,
    /// The vertical axis with its unit, as in `C (mg/L)`; panels that share it share their scale where that reads well.
    pub value_label: String,
    /// What was measured.
    pub observed: Vec<Point>,
    /// The times of the four curves.
    pub times: Vec<f64>,
    /// Predictions for this subject.
    pub individual: Vec<f64>,
    /// Predictions for a typical subject like this one.
    pub population: Vec<f64>,
    /// Lower end of the 90 % interval of the individual prediction.
    pub low: Vec<f64>,
    /// Upper end of that interval.
    pub high: Vec<f64>,
    /// When doses were given.
    pub doses: Vec<f64>,
}

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When it was taken.
    pub time: f64,
    /// The value, or the limit it lies beyond.
    pub value: f64,
    /// Whether it is the value or a limit.
    pub kind: Kind,
}

/// How a measured value is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The value itself.
    Exact,
    /// Somewhere below the limit given.
    Below,
    /// Somewhere above the limit given.
    Above,
}

/// Why a figure cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlotError {
    /// No panel has anything that can be drawn.
    #[error("nothing can be drawn: no panel has a finite observation or prediction that its scale can show")]
    Nothing,
    /// More panels than a page can carry.
    #[error("{0} panels are too many for one figure: draw at most {MOST_PANELS}, as several figures")]
    TooMany(usize),
    /// A curve that does not go with its times.
    #[error("panel \"{panel}\": {curve} has {found} values for {expected} times; give one for each or none")]
    Length {
        /// The title of the panel.
        panel: String,
        /// The name of the curve.
        curve: &'static str,
        /// How many times there are.
        expected: usize,
        /// How many values there are.
        found: usize,
    },
}

/// Draws a figure as SVG. The same figure always gives the same text.
///
/// Numbers that are not finite are left out and counted below the panels, as are observations that a logarithmic scale
/// cannot show.
///
/// # Errors
/// If there are too many panels, a curve has other than one value a time, or nothing can be drawn.
pub fn svg(figure: &Figure) -> Result<String, PlotError> {
    if figure.panels.len() > MOST_PANELS {
        return Err(PlotError::TooMany(figure.panels.len()));
    }
    for panel in &figure.panels {
        let curves = [
            ("individual", &panel.individual),
            ("population", &panel.population),
            ("low", &panel.low),
            ("high", &panel.high),
        ];
        let expected = panel.times.len();
        if let Some((curve, values)) = curves.into_iter().find(|(_, v)| !v.is_empty() && v.len() != expected) {
            return Err(PlotError::Length {
                panel: panel.title.clone(),
                curve,
                expected,
                found: values.len(),
            });
        }
    }
    let layout = Layout::of(figure).ok_or(PlotError::Nothing)?;
    Ok(draw::figure(figure, &layout))
}
