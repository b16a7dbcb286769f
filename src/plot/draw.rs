//! The SVG text of a figure. Attributes only, no style sheet and no ids: several figures may stand in one page.

use super::layout::{Layout, count};
use super::line::{Pixel, path, px, runs, thin};
use super::scale::{Scale, usable};
use super::{Figure, Kind, Panel};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The palette of Okabe and Ito, which readers with any colour vision tell apart.
pub(super) const BLUE: &str = "#0072B2";
pub(super) const SKY: &str = "#56B4E9";
pub(super) const VERMILION: &str = "#D55E00";
pub(super) const GREEN: &str = "#009E73";
pub(super) const INK: &str = "#1a1a1a";
pub(super) const GREY: &str = "#555";

pub(super) const FONT: &str = "Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif";
/// Room around the figure.
const MARGIN: f64 = 20.0;
/// From the top of a panel to its plot, and from its plot to the next panel.
const ABOVE: f64 = 26.0;
const BELOW: f64 = 32.0;

/// The whole figure.
pub(super) fn figure(figure: &Figure, layout: &Layout) -> String {
    let width = layout.columns as f64 * layout.cell + 2.0 * MARGIN;
    let room = width - 2.0 * MARGIN;
    let mut body = String::new();
    let mut y = MARGIN;
    for line in wrapped(&figure.title, room / 20.0) {
        y += 24.0;
        let _ = write!(
            body,
            r#"<text x="{MARGIN}" y="{}" font-size="20" font-weight="bold">{line}</text>"#,
            px(y - 6.0)
        );
    }
    for line in wrapped(&figure.subtitle, room / 14.0) {
        y += 20.0;
        let _ = write!(
            body,
            r#"<text x="{MARGIN}" y="{}" font-size="14" fill="{GREY}">{line}</text>"#,
            px(y - 4.0)
        );
    }
    body.push('\n');
    y = legend(&mut body, figure, y + 8.0, MARGIN + room);
    let row = ABOVE + layout.plot.1 + BELOW;
    for (i, (panel, scales)) in figure.panels.iter().zip(&layout.scales).enumerate() {
        let (down, across) = (i / layout.columns, i % layout.columns);
        let left = MARGIN + across as f64 * layout.cell + layout.left;
        let top = y + down as f64 * row + ABOVE;
        let _ = write!(body, r#"<g transform="translate({} {})">"#, px(left), px(top));
        heading(&mut body, panel, layout);
        match scales {
            Some((time, value)) => {
                axes(&mut body, time, value, layout);
                marks(&mut body, panel, time, value, layout);
            }
            None => {
                let (x, y) = (px(layout.plot.0 / 2.0), px(layout.plot.1 / 2.0));
                let _ = write!(
                    body,
                    r#"<text x="{x}" y="{y}" text-anchor="middle" fill="{GREY}">no data to draw</text>"#
                );
            }
        }
        if i + layout.columns >= figure.panels.len() && scales.is_some() {
            let (x, y) = (px(layout.plot.0 / 2.0), px(layout.plot.1 + 36.0));
            let label = clean(&figure.time_label);
            let _ = write!(body, r#"<text x="{x}" y="{y}" text-anchor="middle">{label}</text>"#);
        }
        body.push_str("</g>\n");
    }
    y += figure.panels.len().div_ceil(layout.columns) as f64 * row + 14.0;
    for line in wrapped(&layout.notes.join(" "), room / 12.0) {
        y += 18.0;
        let _ = write!(
            body,
            r#"<text x="{MARGIN}" y="{}" fill="{GREY}">{line}</text>"#,
            px(y - 4.0)
        );
    }
    let (width, height) = (px(width), px(y + MARGIN));
    let (title, about) = (clean(&figure.title), clean(&description(figure, layout)));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{FONT}" font-size="12" fill="{INK}">
<title>{title}</title>
<desc>{about}</desc>
<rect width="100%" height="100%" fill="white"/>
{body}</svg>
"#
    )
}

/// What someone who cannot see the figure would want to know of it.
fn description(figure: &Figure, layout: &Layout) -> String {
    let labels: BTreeSet<_> = figure.panels.iter().map(|p| p.value_label.as_str()).collect();
    let labels = labels.into_iter().collect::<Vec<_>>().join(", ");
    let number = |kind| {
        figure
            .panels
            .iter()
            .flat_map(|p| &p.observed)
            .filter(|o| o.kind == kind)
            .count()
    };
    let scale = if figure.log_scale {
        " on a logarithmic scale"
    } else {
        ""
    };
    let names: Vec<_> = figure.panels.iter().map(|p| p.title.as_str()).collect();
    format!(
        "{}. {}: {labels}{scale} against {}. {} observed, {} below and {} above a limit, with the individual and the \
         population prediction and the 90 % interval of the individual one. Panels: {}. {}",
        figure.subtitle.trim().trim_end_matches('.'),
        count(figure.panels.len(), "panel"),
        figure.time_label,
        count(number(Kind::Exact), "value"),
        number(Kind::Below),
        number(Kind::Above),
        names.join(", "),
        layout.notes.join(" "),
    )
}

/// Draws what the figure has of these, once, and returns where the panels begin.
fn legend(out: &mut String, figure: &Figure, top: f64, right: f64) -> f64 {
    let any = |has: fn(&Panel) -> bool| figure.panels.iter().any(has);
    let seen = |kind: Kind| figure.panels.iter().any(|p| p.observed.iter().any(|o| o.kind == kind));
    let line = |style: &str| format!(r#"<path d="M0 0h28" {style}/>"#);
    let band = format!(
        r#"<path d="M0-6h28v12h-28z" fill="{SKY}" fill-opacity=".3"/><path d="M0-6h28m0 12h-28" {}/>"#,
        edge()
    );
    let dose =
        format!(r#"<path d="M0 5h28" stroke="{GREY}"/><path d="M14 4v-9" stroke="{GREEN}" stroke-width="2.5"/>"#);
    let items = [
        (seen(Kind::Exact), marker(Kind::Exact, (14.0, 0.0)), "observed"),
        (
            seen(Kind::Below),
            marker(Kind::Below, (14.0, 0.0)),
            "observed below limit",
        ),
        (
            seen(Kind::Above),
            marker(Kind::Above, (14.0, 0.0)),
            "observed above limit",
        ),
        (
            any(|p| !p.individual.is_empty()),
            line(&solid()),
            "individual prediction",
        ),
        (any(|p| !p.low.is_empty() && !p.high.is_empty()), band, "90 % interval"),
        (
            any(|p| !p.population.is_empty()),
            line(&dashed()),
            "population prediction",
        ),
        (any(|p| !p.doses.is_empty()), dose, "dose"),
    ];
    let (mut x, mut y) = (MARGIN, top + 10.0);
    for (_, sample, name) in items.iter().filter(|(there, ..)| *there) {
        let width = 36.0 + 13.0 * ems(name) + 24.0;
        if x + width - 24.0 > right {
            (x, y) = (MARGIN, y + 22.0);
        }
        let at = format!("translate({} {})", px(x), px(y));
        let _ = write!(
            out,
            r#"<g transform="{at}">{sample}<text x="36" y="4.3" font-size="13">{name}</text></g>"#
        );
        x += width;
    }
    out.push('\n');
    y + 22.0
}

/// The title of a panel and, less loud, what its vertical axis shows.
fn heading(out: &mut String, panel: &Panel, layout: &Layout) {
    let room = (layout.cell - 24.0) / 12.0;
    // The unit, which ends the label, must stay.
    let (label, unit) = panel
        .value_label
        .trim()
        .rsplit_once(' ')
        .unwrap_or(("", &panel.value_label));
    let label = format!("{} {unit}", cut(label, (0.65 * room - ems(unit)).max(2.0)));
    let label = cut(label.trim(), room);
    // Bold letters are wider and a little larger.
    let title = cut(&panel.title, (room - ems(&label) - 1.0).max(2.0) / 1.2);
    let (x, whole, heads) = (px(-layout.left), clean(&panel.title), clean(&panel.value_label));
    let (title, label) = (clean(&title), clean(&label));
    let _ = write!(
        out,
        r#"<text x="{x}" y="-12"><title>{whole}: {heads}</title><tspan font-size="13" font-weight="bold">{title}</tspan><tspan dx="8" fill="{GREY}">{label}</tspan></text>"#
    );
}

/// Axes with ticks and labels, and lines across at the values.
pub(super) fn axes(out: &mut String, time: &Scale, value: &Scale, layout: &Layout) {
    let (width, height) = layout.plot;
    let across = |v: &f64| time.at(*v).map(|f| f * width);
    let up = |v: &f64| value.at(*v).map(|f| (1.0 - f) * (height - layout.rug));
    let ticks = |scale: &[(f64, String)]| scale.iter().map(|(v, _)| *v).collect::<Vec<_>>();
    let times: Vec<_> = ticks(&time.ticks).iter().filter_map(across).collect();
    let values: Vec<_> = ticks(&value.ticks).iter().filter_map(up).collect();
    let each = |at: &[f64], draw: &dyn Fn(String) -> String| at.iter().map(|v| draw(px(*v))).collect::<String>();

    let lines = each(&values, &|y| format!("M0 {y}h{}", px(width)));
    let _ = write!(out, r##"<path d="{lines}" stroke="#e4e4e4"/>"##);
    let mut frame = format!("M0 0V{h}H{w}", h = px(height), w = px(width));
    frame.push_str(&each(&times, &|x| format!("M{x} {}v5", px(height))));
    frame.push_str(&each(&values, &|y| format!("M0 {y}h-5")));
    frame.push_str(&each(&value.minor.iter().filter_map(up).collect::<Vec<_>>(), &|y| {
        format!("M0 {y}h-3")
    }));
    let _ = write!(out, r#"<path d="{frame}" fill="none" stroke="{GREY}"/>"#);
    out.push_str(r#"<g text-anchor="middle">"#);
    for (x, (_, label)) in times.iter().zip(&time.ticks) {
        let _ = write!(out, r#"<text x="{}" y="{}">{label}</text>"#, px(*x), px(height + 18.0));
    }
    out.push_str(r#"</g><g text-anchor="end">"#);
    for (y, (_, label)) in values.iter().zip(&value.ticks) {
        let _ = write!(out, r#"<text x="-8" y="{}">{label}</text>"#, px(y + 4.2));
    }
    out.push_str("</g>");
}

/// Everything measured, predicted and given.
pub(super) fn marks(out: &mut String, panel: &Panel, time: &Scale, value: &Scale, layout: &Layout) {
    let (width, height) = (layout.plot.0, layout.plot.1 - layout.rug);
    let across = |t: f64| time.at(t).map(|f| f * width);
    let up = |v: f64| value.at(v).map(|f| (1.0 - f) * height);
    let mut order: Vec<_> = (0..panel.times.len()).filter(|&i| usable(panel.times[i])).collect();
    order.sort_by(|&a, &b| panel.times[a].total_cmp(&panel.times[b]));

    // An inner image clips what it holds without needing an id.
    let _ = write!(
        out,
        r#"<svg width="{}" height="{}" fill="none">"#,
        px(width),
        px(height + 1.0)
    );
    let band = order.iter().map(|&i| {
        let (low, high) = (*panel.low.get(i)?, *panel.high.get(i)?);
        let (low, high) = (low.min(high), low.max(high));
        // On a logarithmic scale an interval may reach down to nothing.
        let bottom = up(low).or_else(|| (low <= 0.0).then_some(height + 9.0))?;
        let x = across(panel.times[i])?;
        (usable(low) && usable(high)).then_some(())?;
        Some(((x, up(high)?), (x, bottom)))
    });
    for run in runs(band) {
        let (top, mut bottom): (Vec<Pixel>, Vec<Pixel>) = run.into_iter().unzip();
        let top = thin(&top);
        bottom = thin(&bottom);
        let edges = [path(&top), path(&bottom)].concat();
        bottom.reverse();
        let area = path(&[top, bottom].concat());
        let _ = write!(
            out,
            r#"<path d="{area}z" fill="{SKY}" fill-opacity=".3"/><path d="{edges}" {}/>"#,
            edge()
        );
    }
    for (curve, style) in [(&panel.population, dashed()), (&panel.individual, solid())] {
        let line = order
            .iter()
            .map(|&i| Some((across(panel.times[i])?, up(*curve.get(i)?)?)));
        let data: String = runs(line).iter().map(|run| path(&thin(run))).collect();
        if !data.is_empty() {
            let _ = write!(out, r#"<path d="{data}" {style}/>"#);
        }
    }
    out.push_str("</svg>");

    let doses: BTreeSet<_> = panel
        .doses
        .iter()
        .filter_map(|t| across(*t))
        .map(|x| x.round() as i64)
        .collect();
    if !doses.is_empty() {
        let y = px(layout.plot.1 - 1.0);
        let ticks: String = doses.iter().map(|x| format!("M{x} {y}v-9")).collect();
        let _ = write!(out, r#"<path d="{ticks}" stroke="{GREEN}" stroke-width="2.5"/>"#);
    }
    let mut seen = BTreeSet::new();
    for observed in &panel.observed {
        if let (Some(x), Some(y)) = (across(observed.time), up(observed.value)) {
            let shape = marker(observed.kind, (x, y));
            if seen.insert(shape.clone()) {
                out.push_str(&shape);
            }
        }
    }
}

pub(super) fn solid() -> String {
    format!(r#"stroke="{BLUE}" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round""#)
}

pub(super) fn dashed() -> String {
    format!(r#"stroke="{VERMILION}" stroke-width="2" stroke-dasharray="6 4" stroke-linejoin="round""#)
}

pub(super) fn edge() -> String {
    format!(r#"stroke="{BLUE}" stroke-opacity=".55" stroke-width=".8" fill="none""#)
}

/// A dot, or a triangle that points to where the value lies.
pub(super) fn marker(kind: Kind, (x, y): Pixel) -> String {
    let (y, turn) = match kind {
        Kind::Exact => {
            return format!(r#"<circle cx="{}" cy="{}" r="3.2" stroke="white"/>"#, px(x), px(y));
        }
        Kind::Below => (y - 3.0, "l4.5 7.5 4.5-7.5z"),
        Kind::Above => (y + 3.0, "l4.5-7.5 4.5 7.5z"),
    };
    format!(
        r#"<path d="M{} {}{turn}" fill="white" stroke="{INK}" stroke-width="1.4"/>"#,
        px(x - 4.5),
        px(y)
    )
}

/// Text for XML: escaped, and without the characters it forbids.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// About how wide a text is, in units of its font size.
fn ems(text: &str) -> f64 {
    let width = |c| match c {
        ' ' | '\'' | '(' | ')' | ',' | '-' | '.' | '/' | ':' | ';' | 'I' | 'f' | 'i' | 'j' | 'l' | 'r' | 't' => 0.29,
        'M' | 'W' | 'm' | 'w' | '%' | '…' => 0.88,
        c if c.is_uppercase() => 0.7,
        c if c.is_ascii() || c.is_alphabetic() && c < '\u{1100}' => 0.56,
        _ => 1.0,
    };
    text.chars().map(width).sum()
}

/// As much of a text as has room.
fn cut(text: &str, most: f64) -> String {
    if ems(text) <= most {
        return text.into();
    }
    let mut width = ems("…");
    let fits = |c: &char| {
        width += ems(c.encode_utf8(&mut [0; 4]));
        width <= most
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Lines that have room, ready for XML.
fn wrapped(text: &str, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if ems(line) + ems(word) + ems(" ") <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(cut(word, most)),
        }
    }
    lines.iter().map(|line| clean(line)).collect()
}
