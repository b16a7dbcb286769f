//! Guessing the name that was meant.

/// The known name nearest to `found`, if one is near enough to be a slip of the keyboard.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (found.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| {
            let distance = if name.eq_ignore_ascii_case(found) {
                0
            } else {
                edit_distance(&found.to_lowercase(), &name.to_lowercase())
            };
            (distance, name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// A hint "did you mean", or the list of what is known.
pub fn hint<'a>(found: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(found, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let list: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
            if list.is_empty() {
                "no name is known here".to_owned()
            } else {
                format!("known here: {}", list.join(", "))
            }
        }
    }
}

/// Edits between two words: a letter added, left out or changed, or two neighbours swapped.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let mut best = last[j] + usize::from(ca != cb);
            best = best.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *cb && b[j - 1] == *ca {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_stays_silent_otherwise() {
        assert_eq!(nearest("wieght", ["weight", "height"]), Some("weight"));
        assert_eq!(nearest("cl", ["CL", "V1"]), Some("CL"));
        assert_eq!(nearest("banana", ["CL", "V1"]), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("dio", "doi"), 1);
    }
}
