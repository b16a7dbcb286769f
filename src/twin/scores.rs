//! Values that are computed from others of the same time, where the record does not give them: disease activity scores.

use crate::{
    model::{
        formula::Values,
        twin_file::{Score, TwinFile},
    },
    patient::facts::{Bound, Facts, Measurement},
};

/// Adds the scores of the file to the facts.
pub fn complete(file: &TwinFile, facts: &mut Facts) {
    for item in &file.items {
        let Some(score) = &item.score else { continue };
        let recorded = facts.measured.get(&item.name).cloned().unwrap_or_default();
        let near = |a: &Measurement, b: &Measurement| a.time.duration_since(b.time).abs() <= score.apart;
        let computed = computed(score, facts);
        let new = computed
            .into_iter()
            .filter(|value| !recorded.iter().any(|known| near(known, value)));
        let mut all = recorded.clone();
        all.extend(new);
        if !all.is_empty() {
            all.sort_by(|a, b| (a.time, &a.source).cmp(&(b.time, &b.source)));
            facts.measured.insert(item.name.clone(), all);
        }
    }
}

/// One score for each value of the first part for which the others can be found.
fn computed(score: &Score, facts: &Facts) -> Vec<Measurement> {
    let series = |name: &str| facts.measured.get(name).map(Vec::as_slice).unwrap_or_default();
    let Some((first, others)) = score.from.split_first() else {
        return Vec::new();
    };
    let exact = |m: &&Measurement| m.bound == Bound::Exact;
    let with_parts = |lead: &Measurement| {
        let mut values: Values = [(first.clone(), lead.value)].into();
        let (mut time, mut preliminary) = (lead.time, lead.preliminary);
        for name in others {
            let away = |m: &Measurement| m.time.duration_since(lead.time).abs();
            let nearest = series(name).iter().filter(exact).min_by_key(|m| away(m))?;
            if away(nearest) > score.apart {
                return None;
            }
            values.insert(name.clone(), nearest.value);
            time = time.max(nearest.time);
            preliminary |= nearest.preliminary;
        }
        Some(Measurement {
            value: score.is.value(&values)?,
            bound: Bound::Exact,
            time,
            converted_from: None,
            preliminary,
            recorded_as: String::new(),
            source: lead.source.clone(),
        })
    };
    series(first).iter().filter(exact).filter_map(with_parts).collect()
}
