//! Lines of pixels: cut where values are missing, thinned to what the eye can see, written as SVG path data.

/// A place in pixels.
pub(super) type Pixel = (f64, f64);

/// How far a thinned line may lie from the full one, in pixels.
const OFF: f64 = 0.1;

/// The stretches without a gap.
pub(super) fn runs<T>(items: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let mut runs = vec![Vec::new()];
    for item in items {
        match (item, runs.last_mut()) {
            (Some(item), Some(run)) => run.push(item),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Leaves out points of a line that runs from left to right where nobody would miss them.
pub(super) fn thin(line: &[Pixel]) -> Vec<Pixel> {
    let columns = line
        .chunk_by(|a, b| a.0.floor() == b.0.floor())
        .flat_map(extremes)
        .collect::<Vec<_>>();
    straightened(&columns)
}

/// The first, highest, lowest and last point of a pixel column in their order.
fn extremes(column: &[Pixel]) -> Vec<Pixel> {
    if column.len() <= 4 {
        return column.to_vec();
    }
    let by_height = |&a: &usize, &b: &usize| column[a].1.total_cmp(&column[b].1);
    let last = column.len() - 1;
    let mut kept = vec![0, last];
    kept.extend((0..=last).min_by(by_height));
    kept.extend((0..=last).max_by(by_height));
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|i| column[i]).collect()
}

/// Leaves out points that lie on the straight line between their neighbours, in one pass.
fn straightened(line: &[Pixel]) -> Vec<Pixel> {
    const ANY: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
    const NONE: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);
    let Some(&first) = line.first() else { return Vec::new() };
    let mut kept = vec![first];
    let (mut from, mut last) = (first, first);
    // The slopes of lines from `from` that pass all points since.
    let mut slopes = ANY;
    for &point in &line[1..] {
        let slope = (point.1 - from.1) / (point.0 - from.0);
        if point.0 <= from.0 || slope < slopes.0 || slope > slopes.1 {
            if last != from {
                kept.push(last);
            }
            (from, slopes) = (last, ANY);
        }
        let width = point.0 - from.0;
        slopes = match width > 0.0 {
            true => (
                slopes.0.max((point.1 - OFF - from.1) / width),
                slopes.1.min((point.1 + OFF - from.1) / width),
            ),
            false => NONE,
        };
        last = point;
    }
    if last != from {
        kept.push(last);
    }
    kept
}

/// Path data through these points, to a tenth of a pixel; each step starts where the rounded one before it ended.
pub(super) fn path(line: &[Pixel]) -> String {
    let tenths = |v: f64| (v.clamp(-1e5, 1e5) * 10.0).round() as i64;
    let mut data = String::new();
    let mut at = (0, 0);
    for (i, &(x, y)) in line.iter().enumerate() {
        let to = (tenths(x), tenths(y));
        if i > 0 && to == at {
            continue;
        }
        data.push(match i {
            0 => 'M',
            _ if at == (tenths(line[0].0), tenths(line[0].1)) && !data.contains('l') => 'l',
            _ => ' ',
        });
        let down = number(to.1 - at.1);
        data.push_str(&number(to.0 - at.0));
        if !down.starts_with('-') {
            data.push(' ');
        }
        data.push_str(&down);
        at = to;
    }
    if !data.contains('l') {
        data.push_str("h0");
    }
    data
}

/// A number of tenths, as short as SVG allows.
fn number(tenths: i64) -> String {
    let sign = if tenths < 0 { "-" } else { "" };
    match (tenths.abs() / 10, tenths.abs() % 10) {
        (whole, 0) => format!("{sign}{whole}"),
        (0, rest) => format!("{sign}.{rest}"),
        (whole, rest) => format!("{sign}{whole}.{rest}"),
    }
}

/// A length or place, to a tenth of a pixel.
pub(super) fn px(value: f64) -> String {
    number((value.clamp(-1e5, 1e5) * 10.0).round() as i64)
}
