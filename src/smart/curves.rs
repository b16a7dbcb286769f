//! The course of the twin's quantity under each option: pictures, what they show in words, and the same numbers as a table.

use std::fmt::Write;

use super::{
    picture::{Choice, Curve, Picture},
    words::Words,
};
use crate::{
    page::html::escaped,
    plot::{Kind, Mark, Panel, Point, Sheet, Tile, samples, tiles},
    wording::unit,
};

/// Rows of the table.
const ROWS: usize = 13;
/// From this ratio of high to low values on, the axis is logarithmic.
const WIDE: f64 = 60.0;

/// Unit of the time axis: its message, and its hours.
fn axis(span: f64) -> (&'static str, f64) {
    match span {
        span if span <= 120.0 => ("smart-axis-hours", 1.0),
        span if span <= 24.0 * 60.0 => ("smart-axis-days", 24.0),
        _ => ("smart-axis-weeks", 168.0),
    }
}

/// The options with a course, as they are shown: the present plan, what is offered, no treatment.
#[must_use]
pub fn shown(picture: &Picture) -> Vec<&Choice> {
    let of = |kind: &'static str| picture.options.iter().filter(move |option| option.kind == kind);
    of("keep").chain(of("change")).chain(of("stop")).collect()
}

/// Where the pictures begin and end, in hours: as far back as ahead, and further for a measured value that is near.
fn extent(picture: &Picture, curves: &[&Curve]) -> (f64, f64) {
    let last = curves
        .iter()
        .filter_map(|c| c.hours.last())
        .fold(1.0, |a: f64, b| a.max(*b));
    let own = picture
        .points
        .iter()
        .filter(|p| p.output == picture.output)
        .map(|p| p.hours);
    let known = picture.past.iter().flat_map(|past| past.hours.first()).copied();
    let earliest = known
        .chain(own.clone())
        .chain(picture.doses.iter().map(|d| d.hours))
        .fold(0.0, f64::min);
    let wanted = own
        .filter(|hours| *hours >= -2.0 * last)
        .map(|hours| hours - 0.04 * last)
        .fold(-1.15 * last, f64::min);
    (wanted.max(earliest), last)
}

/// The sheet of all options that have a course.
#[must_use]
pub fn sheet(picture: &Picture, words: &Words<'_>) -> Option<Sheet> {
    let options: Vec<(&Choice, &Curve)> = shown(picture)
        .into_iter()
        .filter_map(|option| Some((option, option.curve.as_ref().filter(|curve| !curve.is_empty())?)))
        .collect();
    let curves: Vec<&Curve> = options.iter().map(|(_, curve)| *curve).collect();
    if curves.is_empty() {
        return None;
    }
    let (first, last) = extent(picture, &curves);
    let (label, per) = axis(last - first);
    let panels = options.iter().map(|(option, ahead)| Tile {
        panel: panel(picture, option, ahead, (first, per)),
        description: description(picture, ahead, words),
    });
    Some(Sheet {
        time_label: words.plain(label, []),
        log_scale: wide(picture, &options, first),
        decimal_comma: words.tag() == "fr",
        now: Some(0.0),
        target: picture.drawn_target().map(|(_, ends)| ends),
        tiles: panels.collect(),
    })
}

fn panel(picture: &Picture, option: &Choice, ahead: &Curve, (first, per): (f64, f64)) -> Panel {
    let past = picture
        .past
        .iter()
        .flat_map(Curve::each)
        .filter(|(hour, _)| (first..=0.0).contains(hour));
    let all: Vec<_> = past.chain(ahead.each()).collect();
    let own = |point: &&super::picture::Point| point.output == picture.output && point.hours >= first;
    Panel {
        title: option.label.clone(),
        value_label: format!("{} ({})", picture.quantity, unit(&picture.unit)),
        observed: picture
            .points
            .iter()
            .filter(own)
            .map(|point| Point {
                time: point.hours / per,
                value: point.value,
                kind: match point.bound.as_str() {
                    "below" => Kind::Below,
                    "above" => Kind::Above,
                    _ => Kind::Exact,
                },
            })
            .collect(),
        times: all.iter().map(|(hour, _)| hour / per).collect(),
        individual: all.iter().map(|(_, band)| band.median).collect(),
        low: all.iter().map(|(_, band)| band.p05).collect(),
        high: all.iter().map(|(_, band)| band.p95).collect(),
        doses: picture
            .doses
            .iter()
            .map(|d| d.hours)
            .filter(|h| *h >= first)
            .map(|h| h / per)
            .collect(),
        population: Vec::new(),
    }
}

/// Whether values lie so far apart that a linear axis would show the highest only. No treatment, which ends at nothing, does not count.
fn wide(picture: &Picture, options: &[(&Choice, &Curve)], first: f64) -> bool {
    let matter = options
        .iter()
        .filter(|(option, _)| option.kind != "stop" || options.len() == 1);
    let values = matter.flat_map(|(_, curve)| curve.p50.iter().copied());
    let points = picture
        .points
        .iter()
        .filter(|p| p.output == picture.output && p.hours >= first);
    let mut all: Vec<f64> = values.chain(points.map(|p| p.value)).filter(|v| *v > 0.0).collect();
    all.sort_by(f64::total_cmp);
    let low = all.get(all.len() / 20).copied().unwrap_or(1.0);
    all.last().is_some_and(|high| *high >= WIDE * low)
}

fn description(picture: &Picture, ahead: &Curve, words: &Words<'_>) -> String {
    let medians = || ahead.p50.iter().copied();
    let Some((_, end)) = ahead.each().last() else {
        return String::new();
    };
    let unit = unit(&picture.unit);
    let args = [
        ("low", words.prediction(medians().fold(f64::INFINITY, f64::min))),
        ("high", words.prediction(medians().fold(f64::NEG_INFINITY, f64::max))),
        ("unit", unit.clone()),
        ("end", words.prediction(end.median)),
        ("p05", words.prediction(end.p05)),
        ("p95", words.prediction(end.p95)),
    ];
    let mut text = words.plain("smart-describe", args);
    let own = picture.points.iter().filter(|p| p.output == picture.output);
    if let Some((point, time)) = own.filter_map(|p| Some((p, p.time?))).max_by_key(|(_, time)| *time) {
        let args = [
            ("value", format!("{}{}", point.sign(), words.number(point.value))),
            ("unit", unit),
            ("time", words.time(time)),
        ];
        text = format!("{text} {}", words.plain("smart-describe-last", args));
    }
    text
}

/// The pictures, each under the words of its option; the legend before them.
#[must_use]
pub fn figures(picture: &Picture, words: &Words<'_>) -> Option<String> {
    let sheet = sheet(picture, words)?;
    let drawn = tiles(&sheet).ok()?;
    let mut out = legend(&sheet, picture, words);
    let mut drawn = drawn.into_iter();
    let mut place = 0;
    out.push_str(r#"<ol class="tiles">"#);
    for option in shown(picture) {
        place += usize::from(option.kind == "change");
        let has = option.curve.as_ref().is_some_and(|curve| !curve.is_empty());
        let image = has.then(|| drawn.next()).flatten();
        let image = image.unwrap_or_else(|| format!(r#"<p class="quiet">{}</p>"#, words.say("smart-no-course", [])));
        let class = if option.recommended { "tile best" } else { "tile" };
        let _ = write!(
            out,
            r#"<li class="{class}"><h3>{}{}</h3>{image}<p>{}</p></li>"#,
            heading(picture, option, place, words),
            tag(picture, option, words),
            escaped(&in_words(picture, option, words))
        );
    }
    out.push_str("</ol>");
    Some(out)
}

/// An option with its place among those that are offered.
#[must_use]
pub fn heading(picture: &Picture, option: &Choice, place: usize, words: &Words<'_>) -> String {
    let label = capital(&option.label);
    match option.kind.as_str() {
        "change" if !picture.nothing_suits() => {
            words.say("smart-rank", [("place", place.to_string()), ("option", label)])
        }
        _ => escaped(&label),
    }
}

/// What is to be known of an option beside its name.
#[must_use]
pub fn tag(picture: &Picture, option: &Choice, words: &Words<'_>) -> String {
    let id = match option.kind.as_str() {
        _ if option.recommended => "smart-recommended",
        "keep" => "smart-present",
        "change" if picture.nothing_suits() => "smart-unsuitable",
        _ => return String::new(),
    };
    format!(r#" <span class="tag">{}</span>"#, words.say(id, []))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What an option is predicted to do.
fn in_words(picture: &Picture, option: &Choice, words: &Words<'_>) -> String {
    if picture.ends(option) {
        return words.plain("smart-ends", []);
    }
    let chances = [
        ("chance", words.chance(option.on_target)),
        ("below", words.chance(option.below)),
        ("harm", words.chance(option.harm)),
    ];
    let main = picture.target.as_ref().map(|target| target.measure.as_str());
    let measure = picture
        .measures
        .iter()
        .find(|measure| Some(measure.name.as_str()) == main);
    let Some((measure, found)) = measure.and_then(|measure| Some((measure, option.measures.get(&measure.name)?)))
    else {
        return capital(&words.plain("smart-rank-words-short", chances));
    };
    let [chance, below, harm] = chances;
    let args = [
        ("label", measure.label.clone()),
        ("value", words.prediction(found.median)),
        ("unit", unit(&measure.unit)),
        ("low", words.prediction(found.p05)),
        ("high", words.prediction(found.p95)),
        chance,
        below,
        harm,
    ];
    capital(&words.plain("smart-rank-words", args))
}

fn legend(sheet: &Sheet, picture: &Picture, words: &Words<'_>) -> String {
    let mut out = String::from(r#"<ul class="legend">"#);
    for (mark, image) in samples(sheet) {
        let name = match mark {
            Mark::Observed => words.say("smart-mark-observed", []),
            Mark::Individual | Mark::Population => words.say("smart-mark-individual", []),
            Mark::Interval => words.say("smart-mark-interval", []),
            Mark::Dose => words.say("smart-mark-dose", []),
            Mark::Target => {
                let label = picture.target.as_ref().map(|target| target.label.clone());
                words.say("smart-mark-target", [("label", label.unwrap_or_default())])
            }
            Mark::Now => words.say("smart-mark-now", []),
        };
        let _ = write!(out, "<li>{image} {name}</li>");
    }
    out.push_str("</ul>");
    out
}

/// The curves as numbers, for those who do not see them or want to read them off.
#[must_use]
pub fn table(picture: &Picture, words: &Words<'_>) -> Option<String> {
    let options: Vec<(&Choice, &Curve)> = shown(picture)
        .into_iter()
        .filter_map(|option| Some((option, option.curve.as_ref().filter(|curve| !curve.is_empty())?)))
        .collect();
    let (_, longest) = options.iter().max_by_key(|(_, curve)| curve.len())?;
    let now = picture.now?;
    let mut out = format!(
        r#"<p class="quiet">{about}</p><div class="scroller" role="group" tabindex="0" aria-label="{label}"><table><caption class="unseen">{label}</caption><thead><tr><th scope="col">{time}</th>"#,
        label = words.say("smart-table", []),
        about = words.say(
            "smart-table-about",
            [("quantity", picture.quantity.clone()), ("unit", unit(&picture.unit))]
        ),
        time = words.say("smart-time", []),
    );
    for (option, _) in &options {
        let _ = write!(out, r#"<th scope="col">{}</th>"#, escaped(&capital(&option.label)));
    }
    out.push_str("</tr></thead><tbody>");
    let (from, to) = (longest.hours.first().copied()?, longest.hours.last().copied()?);
    let step = (to - from) / (ROWS - 1) as f64;
    for row in 0..ROWS {
        let hour = from + step * row as f64;
        let seconds = jiff::SignedDuration::try_from_secs_f64(hour * 3600.0).ok()?;
        let _ = write!(
            out,
            r#"<tr><th scope="row">{}</th>"#,
            escaped(&words.time(now.checked_add(seconds).ok()?))
        );
        for (_, curve) in &options {
            let near = curve
                .each()
                .min_by(|(a, _), (b, _)| (a - hour).abs().total_cmp(&(b - hour).abs()));
            let text = near.map_or_else(String::new, |(_, band)| {
                format!(
                    "{} ({}\u{2013}{})",
                    words.prediction(band.median),
                    words.prediction(band.p05),
                    words.prediction(band.p95)
                )
            });
            let _ = write!(out, "<td>{}</td>", escaped(&text));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    Some(out)
}

#[cfg(test)]
#[path = "curves_tests.rs"]
mod tests;
