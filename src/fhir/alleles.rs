//! Genotypes as they are written: `*1/*3`, `CYP2C9*3/*1`, `−1639 G>A: GA`, brought to one form.

use std::collections::{BTreeMap, BTreeSet};

use super::codes::has_word;

/// Longer texts are reports, and no genotypes.
const LONGEST: usize = 200;
/// Words that say nothing of the alleles.
const FILLERS: [&str; 5] = ["genotype", "génotype", "diplotype", "gene", "gène"];

/// The levels of one category by their texts.
#[derive(Debug, Clone)]
pub struct Lexicon {
    gene: Option<String>,
    /// Place of the level; `None` for a text that two levels have.
    levels: BTreeMap<String, Option<usize>>,
    /// Places in the gene that the levels speak of: `9923231`, `1639`.
    places: BTreeSet<String>,
}

impl Lexicon {
    /// Of the levels, each with its texts, and the symbol of the gene.
    pub fn new(levels: &[Vec<String>], gene: Option<&str>) -> Self {
        let mut out = Lexicon {
            gene: gene.map(str::to_lowercase),
            levels: BTreeMap::new(),
            places: BTreeSet::new(),
        };
        for (place, texts) in levels.iter().enumerate() {
            for text in texts {
                let normal = out.normal(text);
                out.places.extend(numbers(&normal));
                let known = out.levels.entry(normal).or_insert(Some(place));
                if *known != Some(place) {
                    *known = None;
                }
            }
        }
        out
    }

    /// The level that a text names.
    pub fn level(&self, text: &str) -> Option<usize> {
        if text.len() > LONGEST {
            return None;
        }
        self.levels.get(&self.normal(text)).copied().flatten()
    }

    /// Whether the texts speak of a place in the gene that the levels speak of too, or of none.
    pub fn is_place(&self, texts: &[String]) -> bool {
        let mut named = texts
            .iter()
            .filter(|text| text.len() <= LONGEST)
            .flat_map(|text| numbers(&self.normal(text)))
            .peekable();
        named.peek().is_none() || named.any(|place| self.places.contains(&place))
    }

    /// One form for all ways of writing the same genotype.
    fn normal(&self, text: &str) -> String {
        let mut text = fold(text);
        if let Some(gene) = self.gene.as_deref().filter(|g| !g.is_empty()) {
            text = without_word(&text, gene);
        }
        let text = text.replace(" /", "/").replace("/ ", "/");
        let mut words: Vec<String> = text
            .split_whitespace()
            .filter(|w| !FILLERS.contains(w))
            .map(str::to_owned)
            .collect();
        let pair = words.iter().rposition(|w| w.matches('/').count() == 1);
        if let Some(word) = pair.and_then(|at| words.get_mut(at)) {
            *word = in_order(word);
        } else if let Some(word) = words.last_mut()
            && let Some(pair) = two_letters(word)
        {
            *word = in_order(&pair);
        }
        words.concat()
    }
}

/// Whether a text is a pair of star alleles.
pub fn is_diplotype(text: &str) -> bool {
    let text: String = fold(text).split_whitespace().collect();
    let Some((first, second)) = text.split_once('/') else {
        return false;
    };
    let starred = |s: &str| s.contains('*') && s.ends_with(|c: char| c.is_alphanumeric());
    starred(first) && second.contains('*')
}

/// Lower case; one sign for each of minus, star, slash and blank; no punctuation that means nothing.
fn fold(text: &str) -> String {
    let one = |c: char| match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}' => '-',
        '\u{2217}' | '\u{204e}' | '\u{ff0a}' | '\u{fe61}' | '\u{2731}' | '\u{22c6}' | '\u{66d}' => '*',
        '|' | '\u{2044}' | '\u{2215}' | '\u{ff0f}' => '/',
        ':' | ';' | ',' | '=' | '_' => ' ',
        c if c.is_whitespace() => ' ',
        c => c,
    };
    text.to_lowercase()
        .chars()
        .map(one)
        .collect::<String>()
        .split(' ')
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `text` without `word` wherever it stands as a whole word. Both in lower case.
fn without_word(text: &str, word: &str) -> String {
    if !has_word(text, word) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(word) {
        out.push_str(before);
        let joined = out.chars().next_back().is_some_and(char::is_alphanumeric)
            || after.chars().next().is_some_and(char::is_alphanumeric);
        if joined {
            out.push_str(word);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `-1639g/a` as `-1639a/g`: the alleles have no order of their own.
fn in_order(pair: &str) -> String {
    let Some((left, right)) = pair.split_once('/') else {
        return pair.to_owned();
    };
    let star = left.rfind('*');
    let start = star.unwrap_or_else(|| left.len() - run(left.chars().rev()));
    let length = match right.strip_prefix('*') {
        Some(rest) => 1 + rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len()),
        None => run(right.chars()),
    };
    let (Some((before, a)), Some((b, after))) = (left.split_at_checked(start), right.split_at_checked(length)) else {
        return pair.to_owned();
    };
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    format!("{before}{a}/{b}{after}")
}

/// Bytes of the letters, or else the digits, with which the text begins.
fn run(text: impl Iterator<Item = char> + Clone) -> usize {
    let bytes = |is: fn(&char) -> bool| text.clone().take_while(is).map(char::len_utf8).sum::<usize>();
    match bytes(|c| c.is_alphabetic()) {
        0 => bytes(char::is_ascii_digit),
        letters => letters,
    }
}

/// `ga` and `-1639ga` as `g/a` and `-1639g/a`.
fn two_letters(word: &str) -> Option<String> {
    let (before, pair) = word.split_at_checked(word.len().checked_sub(2)?)?;
    let bases = pair.chars().all(|c| matches!(c, 'a' | 'c' | 'g' | 't'));
    let alone = !before.ends_with(|c: char| c.is_alphabetic());
    let (a, b) = pair.split_at_checked(1)?;
    (bases && alone).then(|| format!("{before}{a}/{b}"))
}

/// Numbers of three digits and more.
fn numbers(text: &str) -> Vec<String> {
    let all = text.split(|c: char| !c.is_ascii_digit());
    all.filter(|n| n.len() >= 3).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexicon(gene: &str, levels: &[&[&str]]) -> Lexicon {
        let levels: Vec<Vec<String>> = levels
            .iter()
            .map(|texts| texts.iter().map(|t| (*t).to_owned()).collect())
            .collect();
        Lexicon::new(&levels, Some(gene))
    }

    #[test]
    fn star_alleles() {
        let l = lexicon("CYP2C9", &[&["*1/*1"], &["*1/*3", "carrier"], &["*3/*3"]]);
        for text in [
            "*1/*3",
            "*3/*1",
            "CYP2C9 *1/*3",
            "cyp2c9*3/*1",
            "CYP2C9: *1 / *3",
            "CYP2C9*1/CYP2C9*3",
            "\u{2217}1/\u{ff0a}3",
            "*1|*3",
            "Carrier",
            "CYP2C9 genotype *1/*3",
        ] {
            assert_eq!(l.level(text), Some(1), "{text}");
        }
        for text in [
            "*1/*30",
            "*1/*2",
            "*1",
            "CYP2C19 *1/*3",
            "*1/*1/*3",
            "",
            "/",
            "*/*",
            "é/é",
        ] {
            assert_eq!(l.level(text), None, "{text}");
        }
        assert_eq!(l.level(&"*1/*3 ".repeat(100)), None);
        assert!(is_diplotype("CYP2C9 *5 / *6") && !is_diplotype("G/A") && !is_diplotype("*1"));
    }

    #[test]
    fn bases() {
        let l = lexicon(
            "VKORC1",
            &[
                &["G/G", "rs9923231 C/C"],
                &["G/A", "-1639 G/A", "rs9923231 C/T"],
                &["A/A", "rs9923231 T/T"],
            ],
        );
        for text in [
            "G/A",
            "A/G",
            "GA",
            "ag",
            "VKORC1 -1639 G/A",
            "VKORC1 \u{2212}1639 A/G",
            "-1639GA",
            "rs9923231 C/T",
            "VKORC1 rs9923231 T/C",
            "rs9923231 TC",
        ] {
            assert_eq!(l.level(text), Some(1), "{text}");
        }
        let place = |text: &str| l.is_place(&[text.to_owned()]);
        assert!(place("VKORC1 -1639 G/A") && place("G/A") && place("rs9923231") && place("VKORC1 genotype"));
        assert!(!place("VKORC1 3730 G/A") && !place("rs7294"));
    }

    #[test]
    fn a_text_of_two_levels_names_neither() {
        let l = lexicon("X", &[&["a", "same"], &["b", "same"]]);
        assert_eq!((l.level("same"), l.level("b")), (None, Some(1)));
    }
}
