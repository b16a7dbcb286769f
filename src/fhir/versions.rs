//! One version of each resource: the newest (FHIR R4, Resource, `meta.versionId` and `meta.lastUpdated`).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::patient::facts::Source;

use super::facts::{Item, Kind};
use super::peek::Text;
use super::remarks::Notes;
use super::time::{When, parse};

/// Keeps the newest version of every resource and sorts them, so that nothing later depends on the order of the text.
///
/// Where two different texts claim to be the same resource and nothing tells which is newer, neither is used.
pub fn newest<'a>(items: Vec<Item<'a>>, notes: &mut Notes) -> Vec<Item<'a>> {
    let mut groups: BTreeMap<(Kind, String), Vec<Item<'a>>> = BTreeMap::new();
    let mut kept = Vec::new();
    for item in items {
        // Without an id there is nothing to be a version of.
        match item.peek.id.is_some() || item.full_url.is_some() {
            true => groups
                .entry((item.kind, item.source.reference.clone()))
                .or_default()
                .push(item),
            false => kept.push(item),
        }
    }
    for group in groups.into_values() {
        match choose(group) {
            Ok(item) => kept.push(item),
            Err((kind, source)) => notes.ignore("remark-versions", &[("type", kind.name())], Some(&source)),
        }
    }
    kept.sort_by(|a, b| (a.kind, &a.source, a.raw.get()).cmp(&(b.kind, &b.source, b.raw.get())));
    kept
}

fn choose(mut group: Vec<Item<'_>>) -> Result<Item<'_>, (Kind, Source)> {
    // In an order of its own first, so that ties do not depend on the order of the text.
    group.sort_by(|a, b| a.raw.get().cmp(b.raw.get()));
    group.dedup_by(|a, b| a.raw.get() == b.raw.get());
    if group.len() > 1 {
        let versions: Option<Vec<u64>> = group.iter().map(version).collect();
        let times: Option<Vec<Timestamp>> = group.iter().map(updated).collect();
        let best = match (versions, times) {
            (Some(keys), _) if !tied(&keys) => last(&keys),
            (_, Some(keys)) if !tied(&keys) => last(&keys),
            _ => None,
        };
        if let Some(best) = best {
            return Ok(group.swap_remove(best));
        }
        let same = |a: &Item<'_>, b: &Item<'_>| {
            let value = |i: &Item<'_>| serde_json::from_str::<serde_json::Value>(i.raw.get()).ok();
            value(a).is_some() && value(a) == value(b)
        };
        let first = group.swap_remove(0);
        return if group.iter().all(|other| same(&first, other)) {
            Ok(first)
        } else {
            Err((first.kind, first.source))
        };
    }
    // A group is never empty.
    Ok(group.swap_remove(0))
}

fn version(item: &Item<'_>) -> Option<u64> {
    item.peek
        .meta
        .as_ref()?
        .version_id
        .as_ref()
        .map(Text::as_str)?
        .parse()
        .ok()
}

fn updated(item: &Item<'_>) -> Option<Timestamp> {
    match parse(item.peek.meta.as_ref()?.last_updated.as_ref()?.as_str())? {
        When::Instant(at) => Some(at),
        _ => None,
    }
}

/// Whether the greatest key is not the only one of its size.
fn tied<K: Ord>(keys: &[K]) -> bool {
    let greatest = keys.iter().max();
    keys.iter().filter(|k| Some(*k) == greatest).count() != 1
}

fn last<K: Ord>(keys: &[K]) -> Option<usize> {
    keys.iter().enumerate().max_by_key(|(_, k)| *k).map(|(i, _)| i)
}
