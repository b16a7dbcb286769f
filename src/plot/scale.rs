//! Axes: from values to fractions of the axis, and round numbers for its ticks.

/// Steps of a time axis in hours that go with days and weeks.
const HOURS: [f64; 11] = [1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 72.0, 168.0, 336.0, 672.0];

/// A range of values, smallest first.
pub(super) type Span = (f64, f64);

/// One axis.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// The ends, as logarithms if `log`.
    ends: Span,
    log: bool,
    /// Values with their labels.
    pub ticks: Vec<(f64, String)>,
    /// Values between them that get a small tick only.
    pub minor: Vec<f64>,
}

/// Whether a number can be drawn; beyond these magnitudes differences overflow.
pub(super) fn usable(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e100
}

/// The range of the numbers that can be drawn.
pub(super) fn span(values: impl Iterator<Item = f64>) -> Option<Span> {
    values.filter(|&v| usable(v)).fold(None, |span, v| match span {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// The range that covers all of these.
pub(super) fn cover(spans: impl Iterator<Item = Span>) -> Option<Span> {
    span(spans.flat_map(|(low, high)| [low, high]))
}

impl Scale {
    /// A time axis with a little room at both ends.
    pub(super) fn time(span: Span, hours: bool, ticks: f64) -> Self {
        let (low, high) = widened(span);
        let step = step((high - low) / ticks, hours);
        let room = (high - low) * 0.025;
        let ends = (low - room, high + room);
        Self {
            ends,
            log: false,
            ticks: multiples(ends, step),
            minor: Vec::new(),
        }
    }

    /// A linear axis that starts at zero unless all values are far from it, with a little room at its other ends.
    pub(super) fn linear(span: Span, ticks: f64) -> Self {
        let (mut low, mut high) = widened(span);
        if low > 0.0 && low < 0.6 * high {
            low = 0.0;
        } else if high < 0.0 && high > 0.6 * low {
            high = 0.0;
        }
        let step = step((high - low) / ticks, false);
        let room = |end: f64| if end == 0.0 { 0.0 } else { (high - low) * 0.04 };
        let ends = (low - room(low), high + room(high));
        Self {
            ends,
            log: false,
            ticks: multiples(ends, step),
            minor: Vec::new(),
        }
    }

    /// A logarithmic axis of positive values that ends on 1, 2 or 5 times a power of ten.
    pub(super) fn log((low, high): Span) -> Self {
        let low = round_log(low.log10() + 1e-9, true);
        let mut high = round_log(high.log10() - 1e-9, false);
        if high - low < 0.2 {
            high = low + 1.0;
        }
        let decades = (low.floor() as i32)..=(high.ceil() as i32);
        let inside = |v: f64| (low - 1e-9..=high + 1e-9).contains(&v.log10());
        let at = |digit: i32, power: i32| format!("{digit}e{power}").parse().unwrap_or(f64::NAN);
        let (digits, every): (&[i32], _) = match high - low {
            d if d < 1.6 => (&[1, 2, 5], 1),
            d if d < 2.2 => (&[1, 3], 1),
            d => (&[1], (d / 5.0).ceil() as i32),
        };
        let ticks = decades
            .clone()
            .filter(|power| power % every == 0)
            .flat_map(|power| digits.iter().map(move |&digit| (digit, power)))
            .map(|(digit, power)| (at(digit, power), log_label(digit, power)))
            .filter(|(v, _)| inside(*v))
            .collect();
        let minor = match every {
            1 => decades
                .flat_map(|p| (1..10).map(move |d| at(d, p)))
                .filter(|&v| inside(v))
                .collect(),
            _ => decades.map(|p| at(1, p)).filter(|&v| inside(v)).collect(),
        };
        Self {
            ends: (low, high),
            log: true,
            ticks,
            minor,
        }
    }

    /// Where a value lies between the ends, from 0 to 1 and beyond; none if the axis cannot show it.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let value = match self.log {
            true if value > 0.0 => value.log10(),
            true => return None,
            false => value,
        };
        let (low, high) = self.ends;
        usable(value).then(|| (value - low) / (high - low))
    }
}

/// A range that is not a point, so that it can be divided.
fn widened((low, high): Span) -> Span {
    let size = low.abs().max(high.abs());
    match high - low {
        width if width > 1e-9 * size && width > 1e-90 => (low, high),
        _ if size < 1e-90 => (0.0, 1.0),
        _ => (low - 0.1 * size, high + 0.1 * size),
    }
}

/// The round step at or above a rough one.
fn step(rough: f64, hours: bool) -> f64 {
    if hours
        && rough > 0.5
        && let Some(step) = HOURS.into_iter().find(|step| *step >= 0.999 * rough)
    {
        return step;
    }
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= 0.999 * rough)
        .unwrap_or(10.0 * power)
}

/// The multiples of a step within the ends.
fn multiples((low, high): Span, step: f64) -> Vec<(f64, String)> {
    let first = (low / step - 1e-6).ceil();
    let last = (high / step + 1e-6).floor();
    let largest = low.abs().max(high.abs());
    (0..32)
        .map(|i| first + f64::from(i))
        .take_while(|i| *i <= last)
        .map(|i| (i * step, label(i * step, step, largest)))
        .collect()
}

/// A tick of a linear axis, with the digits its step needs.
fn label(value: f64, step: f64, largest: f64) -> String {
    let power = (step.log10() + 1e-9).floor();
    if value.abs() < 0.5 * step {
        return "0".into();
    }
    if largest < 1e5 && power > -5.0 {
        return format!("{value:.*}", (-power).max(0.0) as usize).replace('-', "−");
    }
    let digits = (value.abs().log10() + 1e-9).floor() - power;
    let text = format!("{value:.*e}", digits.clamp(0.0, 15.0) as usize);
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}×10{}", digits.replace('-', "−"), superscript(power))
}

/// A tick of a logarithmic axis.
fn log_label(digit: i32, power: i32) -> String {
    let exponent = || superscript(&power.to_string());
    match (digit, power) {
        (_, -3..=-1) => format!(
            "{:.*}",
            power.unsigned_abs() as usize,
            f64::from(digit) * 10f64.powi(power)
        ),
        (_, 0..=4) => format!("{digit}{}", "0".repeat(power.unsigned_abs() as usize)),
        (1, _) => format!("10{}", exponent()),
        _ => format!("{digit}×10{}", exponent()),
    }
}

fn superscript(number: &str) -> String {
    let raised = |c| "−0123456789".chars().position(|d| d == c);
    let number = number.replace('-', "−");
    number
        .chars()
        .filter_map(|c| "⁻⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(raised(c)?))
        .collect()
}

/// The logarithm of the next 1, 2 or 5 times a power of ten.
fn round_log(log: f64, down: bool) -> f64 {
    let whole = log.floor();
    let stops = [0.0, 2f64.log10(), 5f64.log10(), 1.0];
    let found = match down {
        true => stops.into_iter().rev().find(|s| whole + s <= log),
        false => stops.into_iter().find(|s| whole + s >= log),
    };
    whole + found.unwrap_or(0.0)
}
