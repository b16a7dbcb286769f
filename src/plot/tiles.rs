//! Panels as images of their own, on common scales: for pages that flow, have words of their own around them and are read on
//! narrow screens.

use std::fmt::Write;

use super::{
    Figure, Kind, Panel, PlotError,
    draw::{BLUE, FONT, GREEN, GREY, INK, SKY, axes, clean, dashed, edge, marker, marks, solid},
    layout::{Layout, value_span},
    line::px,
    scale::{Span, cover, usable},
};

/// Width of a tile in units of its own; a page may scale it.
const WIDTH: f64 = 380.0;
/// From the top of a tile to its plot, and from its plot to the lower edge.
const ABOVE: f64 = 12.0;
const BELOW: f64 = 44.0;
const TARGET: &str = "#009E73";

/// Tiles that share their scales.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sheet {
    /// The horizontal axis with its unit; ends in `(h)` where ticks are to fall on parts of a day.
    pub time_label: String,
    /// Whether values are on a logarithmic scale.
    pub log_scale: bool,
    /// Whether numbers on the axes have a decimal comma.
    pub decimal_comma: bool,
    /// The moment between what was and what is foreseen.
    pub now: Option<f64>,
    /// The range aimed at; an end may be infinite.
    pub target: Option<(f64, f64)>,
    /// The images.
    pub tiles: Vec<Tile>,
}

/// One image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tile {
    /// What is drawn; its title and label name the image to those who cannot see it.
    pub panel: Panel,
    /// What there is to be seen, in words.
    pub description: String,
}

/// Draws each tile. The same sheet always gives the same texts.
///
/// # Errors
/// If no tile has anything that can be drawn.
pub fn tiles(sheet: &Sheet) -> Result<Vec<String>, PlotError> {
    let figure = Figure {
        time_label: sheet.time_label.clone(),
        log_scale: sheet.log_scale,
        panels: sheet.tiles.iter().map(|tile| tile.panel.clone()).collect(),
        ..Figure::default()
    };
    let ends = sheet.target.map(|(low, high)| [low, high]);
    let seen = ends.into_iter().flatten().filter(|end| usable(*end) && *end > 0.0);
    // All are on one scale, also one on which nothing happens.
    let values = figure
        .panels
        .iter()
        .filter_map(|panel| value_span(panel, figure.log_scale));
    let seen = cover(seen.map(|end| (end, end)).chain(values));
    let mut layout = Layout::sized(&figure, 1, WIDTH, seen).ok_or(PlotError::Nothing)?;
    if sheet.decimal_comma {
        let scales = layout.scales.iter_mut().flatten();
        for (_, label) in scales.flat_map(|(time, value)| time.ticks.iter_mut().chain(&mut value.ticks)) {
            *label = label.replace('.', ",");
        }
    }
    let drawn = |(place, tile): (usize, &Tile)| one(sheet, tile, &layout, place);
    Ok(sheet.tiles.iter().enumerate().map(drawn).collect())
}

fn one(sheet: &Sheet, tile: &Tile, layout: &Layout, place: usize) -> String {
    let (width, height) = (WIDTH, ABOVE + layout.plot.1 + BELOW);
    let mut body = String::new();
    let _ = write!(
        body,
        r#"<g transform="translate({} {ABOVE})">"#,
        px(layout.left),
        ABOVE = px(ABOVE)
    );
    if let Some(Some((time, value))) = layout.scales.get(place) {
        let (wide, high) = (layout.plot.0, layout.plot.1 - layout.rug);
        let up = |v: f64| value.at(v).map(|f| ((1.0 - f) * high).clamp(0.0, high));
        if let Some((low, top)) = sheet.target {
            target(
                &mut body,
                (up(low), up(top)),
                (low.is_finite(), top.is_finite()),
                (wide, high),
            );
        }
        axes(&mut body, time, value, layout);
        if let Some(x) = sheet
            .now
            .and_then(|now| time.at(now))
            .filter(|at| (0.0..=1.0).contains(at))
        {
            let (x, y) = (px(x * wide), px(layout.plot.1));
            let _ = write!(
                body,
                r#"<path d="M{x} 0v{y}" stroke="{INK}" stroke-dasharray="2 3" fill="none"/>"#
            );
        }
        marks(&mut body, &tile.panel, time, value, layout);
        let (x, y) = (px(wide / 2.0), px(layout.plot.1 + 36.0));
        let label = clean(&sheet.time_label);
        let _ = write!(body, r#"<text x="{x}" y="{y}" text-anchor="middle">{label}</text>"#);
    }
    body.push_str("</g>");
    let title = clean(&format!("{}. {}", tile.panel.title, tile.panel.value_label));
    let about = clean(&tile.description);
    let (width, height) = (px(width), px(height));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{FONT}" font-size="13" fill="{INK}"><title>{title}</title><desc>{about}</desc>{body}</svg>"#
    )
}

/// The range aimed at, with a line at each end that it has.
fn target(out: &mut String, (low, top): (Option<f64>, Option<f64>), ends: (bool, bool), (wide, high): Span) {
    let bottom = if ends.0 { low.unwrap_or(high) } else { high };
    let above = if ends.1 { top.unwrap_or(0.0) } else { 0.0 };
    if bottom - above < 0.5 {
        return;
    }
    let wide = px(wide);
    let _ = write!(
        out,
        r#"<path d="M0 {}h{wide}V{}H0z" fill="{TARGET}" fill-opacity=".13"/>"#,
        px(above),
        px(bottom)
    );
    for y in [(ends.0, bottom), (ends.1, above)]
        .into_iter()
        .filter_map(|(there, y)| there.then_some(y))
    {
        let _ = write!(
            out,
            r#"<path d="M0 {}h{wide}" stroke="{TARGET}" stroke-dasharray="8 3 2 3" fill="none"/>"#,
            px(y)
        );
    }
}

/// What a sheet has to explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A measured value.
    Observed,
    /// The prediction.
    Individual,
    /// The 90 % interval.
    Interval,
    /// A typical subject's prediction.
    Population,
    /// A dose given.
    Dose,
    /// The range aimed at.
    Target,
    /// The present.
    Now,
}

/// A small image of each kind of mark that the sheet has, in the order of a legend.
#[must_use]
pub fn samples(sheet: &Sheet) -> Vec<(Mark, String)> {
    let any = |has: fn(&Panel) -> bool| sheet.tiles.iter().any(|tile| has(&tile.panel));
    let line = |style: &str| format!(r#"<path d="M0 9h28" {style} fill="none"/>"#);
    let drawn = [
        (
            Mark::Observed,
            any(|p| !p.observed.is_empty()),
            marker(Kind::Exact, (14.0, 9.0)),
        ),
        (Mark::Individual, any(|p| !p.individual.is_empty()), line(&solid())),
        (
            Mark::Interval,
            any(|p| !p.low.is_empty() && !p.high.is_empty()),
            format!(
                r#"<path d="M0 3h28v12h-28z" fill="{SKY}" fill-opacity=".3"/><path d="M0 3h28m0 12h-28" {}/>"#,
                edge()
            ),
        ),
        (Mark::Population, any(|p| !p.population.is_empty()), line(&dashed())),
        (
            Mark::Dose,
            any(|p| !p.doses.is_empty()),
            format!(r#"<path d="M0 14h28" stroke="{GREY}"/><path d="M14 13v-9" stroke="{GREEN}" stroke-width="2.5"/>"#),
        ),
        (
            Mark::Target,
            sheet.target.is_some(),
            format!(
                r#"<path d="M0 4h28v10H0z" fill="{TARGET}" fill-opacity=".13"/><path d="M0 4h28M0 14h28" stroke="{TARGET}" stroke-dasharray="8 3 2 3" fill="none"/>"#
            ),
        ),
        (
            Mark::Now,
            sheet.now.is_some(),
            format!(r#"<path d="M14 1v16" stroke="{BLUE}" stroke-dasharray="2 3"/>"#).replace(BLUE, INK),
        ),
    ];
    drawn
        .into_iter()
        .filter(|(_, there, _)| *there)
        .map(|(mark, _, body)| {
            let image = format!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 18" width="28" height="18" aria-hidden="true" fill="{INK}">{body}</svg>"#
            );
            (mark, image)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let panel = |scale: f64| Panel {
            title: "a & b".to_owned(),
            value_label: "C (mg/L)".to_owned(),
            times: vec![-2.0, 0.0, 0.0, 12.0],
            individual: vec![scale, 1.5 * scale, f64::NAN, 2.5 * scale],
            low: vec![0.5, 1.0, f64::NAN, 2.0],
            high: vec![2.0, 2.0, f64::NAN, 4.0],
            ..Panel::default()
        };
        let tile = |scale| Tile {
            panel: panel(scale),
            description: "from <1 to 2".to_owned(),
        };
        Sheet {
            time_label: "time (h)".to_owned(),
            decimal_comma: true,
            now: Some(0.0),
            target: Some((6.5, f64::INFINITY)),
            tiles: vec![tile(1.0), tile(2.0)],
            ..Sheet::default()
        }
    }

    #[test]
    fn tiles_share_their_scale_and_show_the_target() {
        let drawn = tiles(&sheet()).unwrap();
        let [first, second] = drawn.as_slice() else { panic!() };
        // The target lies above all curves, and is on the axis all the same.
        for svg in [first, second] {
            assert!(svg.contains(r#"<path d="M0 0h"#), "{svg}");
            assert!(svg.contains("<title>a &amp; b. C (mg/L)</title><desc>from &lt;1 to 2</desc>"));
            assert!(!svg.contains("NaN"));
        }
        let ticks = |svg: &str| svg.split(r#"text-anchor="end">"#).nth(1).map(str::len);
        assert!(ticks(first).is_some());
        let axis = |svg: &str| {
            svg.split("<g text-anchor=\"end\">")
                .nth(1)
                .and_then(|rest| rest.split("</g>").next())
                .map(str::to_owned)
        };
        assert_eq!(axis(first), axis(second));
    }

    #[test]
    fn only_what_is_there_is_explained() {
        let names: Vec<Mark> = samples(&sheet()).into_iter().map(|(mark, _)| mark).collect();
        assert_eq!(names, [Mark::Individual, Mark::Interval, Mark::Target, Mark::Now]);
        assert_eq!(tiles(&Sheet::default()), Err(PlotError::Nothing));
    }
}
