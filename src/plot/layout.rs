//! What goes where: the grid, the scales of each panel, and what could not be drawn.

use super::scale::{Scale, Span, cover, span, usable};
use super::{Figure, Panel, Point};

/// Widths of a panel with its labels when there are one to four columns.
const WIDTHS: [f64; 4] = [760.0, 520.0, 384.0, 300.0];
/// Height of a plot for its width with labels.
const SHAPE: f64 = 0.54;

/// Sizes of the grid and scales of the panels.
#[derive(Debug)]
pub(super) struct Layout {
    pub columns: usize,
    /// Width of a panel with its labels.
    pub cell: f64,
    /// Size of the plot itself.
    pub plot: (f64, f64),
    /// Room for the labels of the vertical axis.
    pub left: f64,
    /// Room for dose ticks between the horizontal axis and the lowest value.
    pub rug: f64,
    /// Time and value scale of each panel; none where there is nothing to draw.
    pub scales: Vec<Option<(Scale, Scale)>>,
    /// What the reader must be told below the panels.
    pub notes: Vec<String>,
}

impl Layout {
    /// None if nothing can be drawn.
    pub(super) fn of(figure: &Figure) -> Option<Self> {
        let columns = (1..4).find(|c| c * c >= figure.panels.len()).unwrap_or(4);
        Self::sized(figure, columns, WIDTHS[columns - 1], None)
    }

    /// With so many columns of that width, and a range of values that is to be seen on each panel.
    pub(super) fn sized(figure: &Figure, columns: usize, cell: f64, seen: Option<Span>) -> Option<Self> {
        let panels = &figure.panels;
        let height = (cell * SHAPE).round();

        let values: Vec<_> = panels
            .iter()
            .map(|panel| cover(value_span(panel, figure.log_scale).into_iter().chain(seen)))
            .collect();
        let times: Vec<_> = panels
            .iter()
            .zip(&values)
            .map(|(p, v)| v.and_then(|_| time_span(p)))
            .collect();
        let shared_time = shared(times.iter().flatten(), |all, one| {
            4.0 * (one.1 - one.0) >= all.1 - all.0
        });
        let hours = figure.time_label.trim_end().ends_with("(h)");

        let mut notes = Vec::new();
        if shared_time.is_none() {
            notes.push("Time scales differ from panel to panel.".into());
        }
        let mut own_values = false;
        let mut scales = Vec::with_capacity(panels.len());
        for (panel, (value, time)) in panels.iter().zip(values.iter().zip(&times)) {
            let (Some(value), Some(time)) = (value, time) else {
                scales.push(None);
                continue;
            };
            let alike = panels
                .iter()
                .zip(&values)
                .filter(|(p, _)| p.value_label == panel.value_label);
            let common = shared(alike.filter_map(|(_, v)| v.as_ref()), |all, one| {
                match figure.log_scale {
                    true => all.1 / all.0 <= 1e4,
                    false => 5.0 * one.0.abs().max(one.1.abs()) >= all.0.abs().max(all.1.abs()),
                }
            });
            own_values |= common.is_none();
            let value = common.unwrap_or(*value);
            let value = match figure.log_scale {
                true => Scale::log(value),
                false => Scale::linear(value, (height / 32.0).clamp(5.0, 8.0)),
            };
            scales.push(Some((
                Scale::time(shared_time.unwrap_or(*time), hours, (cell / 55.0).min(8.0)),
                value,
            )));
        }
        let labels = scales
            .iter()
            .flatten()
            .flat_map(|(_, value)| &value.ticks)
            .map(|(_, label)| label.chars().count());
        // With no label there is no scale, and so nothing to draw.
        let left = labels.max()? as f64 * 6.8 + 12.0;

        if own_values {
            notes.push("Value scales differ from panel to panel.".into());
        }
        let numbers = |p: &Panel| {
            p.observed
                .iter()
                .flat_map(|o| [o.time, o.value])
                .chain(curves(p))
                .collect::<Vec<_>>()
        };
        let lost = panels.iter().flat_map(numbers).filter(|&v| !usable(v)).count();
        if lost > 0 {
            notes.push(format!("Not drawn because not finite: {}.", count(lost, "number")));
        }
        let off = |o: &&Point| figure.log_scale && usable(o.value) && o.value <= 0.0;
        let off = panels.iter().flat_map(|p| &p.observed).filter(off).count();
        if off > 0 {
            notes.push(format!(
                "Not on the logarithmic scale: {} of zero or less.",
                count(off, "observation")
            ));
        }
        let rug = if panels.iter().any(|p| !p.doses.is_empty()) {
            12.0
        } else {
            0.0
        };
        Some(Self {
            columns,
            cell,
            plot: (cell - left - 24.0, height),
            left,
            rug,
            scales,
            notes,
        })
    }
}

/// A number with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// All values of the curves and their times.
fn curves(panel: &Panel) -> impl Iterator<Item = f64> {
    let all = [
        &panel.times,
        &panel.individual,
        &panel.population,
        &panel.low,
        &panel.high,
        &panel.doses,
    ];
    all.into_iter().flatten().copied()
}

/// The range of all of these, if each of them can still be read on it.
fn shared<'a>(spans: impl Iterator<Item = &'a Span> + Clone, readable: impl Fn(Span, Span) -> bool) -> Option<Span> {
    let all = cover(spans.clone().copied())?;
    spans.copied().all(|one| readable(all, one)).then_some(all)
}

fn time_span(panel: &Panel) -> Option<Span> {
    span(
        panel
            .observed
            .iter()
            .map(|o| o.time)
            .chain(panel.times.iter().chain(&panel.doses).copied()),
    )
}

/// The range of what is drawn; on a logarithmic scale, curves that die away do not stretch it.
pub(super) fn value_span(panel: &Panel, log: bool) -> Option<Span> {
    let drawn = |v: &f64| usable(*v) && (!log || *v > 1e-100);
    let observed = panel
        .observed
        .iter()
        .filter(|o| usable(o.time))
        .map(|o| o.value)
        .filter(drawn);
    let curves = [&panel.individual, &panel.population, &panel.low, &panel.high].map(|curve| {
        span(
            panel
                .times
                .iter()
                .zip(curve)
                .filter(|(t, _)| usable(**t))
                .map(|(_, v)| *v)
                .filter(drawn),
        )
    });
    let observed = span(observed);
    let all = cover(observed.into_iter().chain(curves.into_iter().flatten()))?;
    if !log {
        return Some(all);
    }
    let [individual, population, ..] = curves;
    let tops = [individual, population].into_iter().flatten().map(|(_, top)| top);
    let needed = tops.chain(observed.map(|(bottom, _)| bottom)).fold(all.1, f64::min);
    Some((all.0.max(needed / 10.0), all.1))
}
