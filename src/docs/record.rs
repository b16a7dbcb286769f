//! What a twin reads of the record, and what it makes of it.

use std::collections::BTreeMap;

use super::{
    Twin,
    markdown::{Document, Table, code, plain},
    page::title,
    words::{both, codes, ends, exact, length, unit},
};
use crate::{
    model::{
        formula::{Formula, Number},
        twin_file::{Cautioned, Doses, Enters, Role, TwinFile, Use},
    },
    patient::needs::Flag,
};

/// The part of the page.
pub(super) fn read(page: &mut Document, twin: &Twin) {
    let file = &twin.definition.file;
    let uses = Uses::of(twin);
    page.heading(2, "What is read from the record");
    let mut person = Vec::new();
    if let Some(name) = &file.age_input {
        person.push(format!(
            "Age in years, from the date of birth: {}, {}",
            code(name),
            uses.say(name)
        ));
    }
    if let Some(name) = &file.female_input {
        person.push(format!(
            "Sex, 1 for female and 0 for male: {}, {}",
            code(name),
            uses.say(name)
        ));
    }
    page.list(&person);
    items(page, file, &uses);
    let mut categories = Table::new([
        "category",
        "name",
        "gene",
        "codes",
        "levels",
        "may be missing",
        "used for",
    ]);
    for category in &file.needs.categories {
        let levels: Vec<String> = category
            .levels
            .iter()
            .filter_map(|level| level.first())
            .map(|l| plain(l))
            .collect();
        categories.row([
            named(file, &category.name),
            code(&category.name),
            category.gene.as_deref().map(plain).unwrap_or_default(),
            codes(&category.codes),
            levels.join(", "),
            optional(file, &category.name),
            uses.say(&category.name),
        ]);
    }
    if !file.needs.categories.is_empty() {
        page.heading(3, "Genotypes and other categories");
        page.block(&categories.text());
    }
    let mut flags = Table::new(["flag", "name", "true by", "no older than", "used for"]);
    for flag in &file.needs.flags {
        flags.row([
            named(file, &flag.name),
            code(&flag.name),
            made_true(file, flag),
            flag.within.map(length).unwrap_or_default(),
            uses.say(&flag.name),
        ]);
    }
    if !file.needs.flags.is_empty() {
        page.heading(3, "Flags");
        page.block("Conditions count while they are active; the age is that of procedures, drugs and tests.");
        page.block(&flags.text());
    }
    let mut derived = Table::new(["computed", "name", "unit", "formula", "used for"]);
    for input in &file.derived {
        derived.row([
            input.title.as_ref().map(both).unwrap_or_default(),
            code(&input.name),
            unit(&input.unit),
            code(input.is.text()),
            uses.say(&input.name),
        ]);
    }
    if !file.derived.is_empty() {
        page.heading(3, "Computed from these");
        page.block(&derived.text());
    }
}

fn named(file: &TwinFile, name: &str) -> String {
    file.named.get(name).map(|named| both(&named.title)).unwrap_or_default()
}

fn optional(file: &TwinFile, name: &str) -> String {
    let optional = file.named.get(name).is_some_and(|named| named.optional);
    if optional { "yes" } else { "" }.to_owned()
}

fn items(page: &mut Document, file: &TwinFile, uses: &Uses) {
    let head = [
        "value",
        "name",
        "codes",
        "unit",
        "g/mol",
        "plausible",
        "which values",
        "no older than",
        "may be missing",
        "used for",
    ];
    let mut table = Table::new(head);
    for measured in &file.needs.measured {
        let item = file.item(&measured.name);
        let mut which = vec![match item.map(|item| &item.role) {
            Some(Role::Observed {
                not_before,
                order_loinc,
            }) => {
                let not_before = not_before.map(|t| format!(", not sooner than {} after the end of a dose", length(t)));
                let order = order_loinc
                    .as_ref()
                    .map(|loinc| format!("; a new one is ordered as [{loinc}](https://loinc.org/{loinc})"));
                format!(
                    "each, as an observation{}{}",
                    not_before.unwrap_or_default(),
                    order.unwrap_or_default()
                )
            }
            Some(Role::Covariate(Use::Baseline)) => "the newest before the first dose".to_owned(),
            Some(Role::Covariate(Use::Each)) => "each, from its time on".to_owned(),
            Some(Role::Covariate(Use::Newest)) | None => "the newest".to_owned(),
        }];
        if measured.sum_per_day {
            which.push("values of one day are added up".to_owned());
        }
        if let Some(score) = item.and_then(|item| item.score.as_ref()) {
            let (is, from) = (code(score.is.text()), score.from.join(", "));
            which.push(format!(
                "or computed: {is} from {}, at most {} apart",
                plain(&from),
                length(score.apart)
            ));
        }
        table.row([
            named(file, &measured.name),
            code(&measured.name),
            codes(&measured.codes),
            unit(&measured.unit),
            measured.molar_mass.map(exact).unwrap_or_default(),
            measured.plausible.map(|range| ends(range, "1")).unwrap_or_default(),
            which.join("; "),
            measured.within.map(length).unwrap_or_default(),
            optional(file, &measured.name),
            uses.say(&measured.name),
        ]);
    }
    page.block(&table.text());
}

/// What makes a flag true.
fn made_true(file: &TwinFile, flag: &Flag) -> String {
    let mut ways = Vec::new();
    if !flag.codes.is_empty() {
        ways.push(format!("a condition or procedure: {}", codes(&flag.codes)));
    }
    if !flag.drugs.is_empty() {
        ways.push(format!("a drug: {}", codes(&flag.drugs)));
    }
    if !flag.synonyms.is_empty() {
        let names: Vec<String> = flag.synonyms.iter().map(|s| plain(s)).collect();
        ways.push(format!("a drug by name: {}", names.join(", ")));
    }
    if !flag.tests.is_empty() {
        let above = flag.positive_above.map(|limit| format!(" (above {})", exact(limit)));
        ways.push(format!(
            "a positive test{}: {}",
            above.unwrap_or_default(),
            codes(&flag.tests)
        ));
    }
    for by_code in file.recorded_as.iter().filter(|by_code| by_code.flag == flag.name) {
        ways.push(format!(
            "{} recorded as {}",
            title(file, &by_code.item),
            codes(&by_code.codes)
        ));
    }
    ways.join("; ")
}

/// What each name is used for, in the order of the page.
struct Uses {
    by_name: BTreeMap<String, Vec<String>>,
}

impl Uses {
    fn of(twin: &Twin) -> Self {
        let file = &twin.definition.file;
        let mut uses = Self {
            by_name: BTreeMap::new(),
        };
        for name in twin
            .models()
            .flat_map(|(model, _)| model.inputs())
            .map(|input| &input.name)
        {
            let readers = twin
                .models()
                .filter(|(model, _)| model.inputs().iter().any(|input| input.name == *name));
            let readers: Vec<String> = readers.map(|(model, _)| plain(&model.id)).collect();
            uses.add(name, &format!("input of {}", readers.join(", ")));
        }
        for item in file.observed() {
            uses.add(&item.name, "observed");
        }
        for item in &file.items {
            for part in item.score.iter().flat_map(|score| &score.from) {
                uses.add(part, &code(&item.name));
            }
        }
        for derived in &file.derived {
            uses.formula(&derived.is, &code(&derived.name));
        }
        for limit in &file.applies {
            uses.add(&limit.input, "limits of use");
        }
        for refuse in &file.refuse {
            uses.formula(&refuse.when, "refusal");
            if let Some(flag) = &refuse.flag {
                uses.add(flag, "refusal");
            }
        }
        for unstable in &file.unstable {
            uses.add(&unstable.input, "refusal");
        }
        for screen in &file.screens {
            uses.add(&screen.flag, "one-click orders");
        }
        uses.of_treatment(file);
        for by in file.measures.iter().filter_map(|measure| measure.by.as_ref()) {
            uses.formula(by, "measures");
        }
        let goals = file.goals.iter().map(|goal| &goal.within);
        let harms = file
            .harms
            .iter()
            .flat_map(|harm| std::iter::once(&harm.within).chain(&harm.blocked));
        let rules = file
            .rules
            .iter()
            .filter_map(|rule| rule.predicted.as_ref())
            .map(|(_, within, _)| within);
        for range in goals.chain(harms).chain(rules) {
            uses.numbers([&range.low, &range.high].into_iter().flatten(), "goals and harms");
        }
        for when in file.rules.iter().filter_map(|rule| rule.when.as_ref()) {
            uses.formula(when, "rules");
        }
        for caution in &file.cautions {
            match &caution.when {
                Cautioned::When(formula) => uses.formula(formula, "cautions"),
                Cautioned::Missing(name) => uses.add(name, "cautions"),
            }
        }
        uses
    }

    fn of_treatment(&mut self, file: &TwinFile) {
        const DOSE: &str = "doses";
        let treatment = &file.treatment;
        if let Doses::Per { per, .. } = &treatment.doses {
            self.formula(per, DOSE);
        }
        if let Enters::Input { is, .. } = &treatment.into {
            self.formula(is, DOSE);
        }
        if let Some(loading) = &treatment.loading {
            self.add(&loading.input, DOSE);
        }
        self.numbers([&treatment.single_max, &treatment.daily_max].into_iter(), DOSE);
    }

    fn add(&mut self, name: &str, what: &str) {
        let list = self.by_name.entry(name.to_owned()).or_default();
        if !list.iter().any(|known| known == what) {
            list.push(what.to_owned());
        }
    }

    /// A formula may also read the first value of an item, its age and how many there are.
    fn formula(&mut self, formula: &Formula, what: &str) {
        for name in formula.names() {
            let item = name
                .strip_suffix("_first")
                .or(name.strip_suffix("_hours"))
                .or(name.strip_prefix("n_"));
            for name in std::iter::once(name.as_str()).chain(item) {
                self.add(name, what);
            }
        }
    }

    fn numbers<'n>(&mut self, numbers: impl Iterator<Item = &'n Number>, what: &str) {
        for number in numbers {
            if let Number::Formula(formula) = number {
                self.formula(formula, what);
            }
        }
    }

    fn say(&self, name: &str) -> String {
        self.by_name
            .get(name)
            .map_or_else(|| "shown only".to_owned(), |list| list.join(", "))
    }
}

/// Characteristics of a person that a model card must speak of, each with the words by which an input of that kind is known.
const PERSONAL: [(&str, &[&str]); 7] = [
    (
        "Race and ethnicity",
        &[
            "race",
            "ethnicity",
            "ethnic",
            "black",
            "african",
            "asian",
            "caucasian",
            "hispanic",
        ],
    ),
    ("Preferred language", &["language"]),
    ("Sexual orientation", &["orientation"]),
    ("Gender identity", &["gender"]),
    (
        "Social determinants of health",
        &[
            "deprivation",
            "income",
            "education",
            "postcode",
            "housing",
            "employment",
            "insurance",
        ],
    ),
    ("Smoking and alcohol", &["smoke", "smoker", "smoking", "alcohol"]),
    ("Genotype", &["genotype", "diplotype", "allele", "alleles"]),
];

/// Which characteristics of a person are inputs.
pub(super) fn personal(twin: &Twin) -> Vec<(&'static str, String)> {
    let file = &twin.definition.file;
    let uses = Uses::of(twin);
    let by_field = |name: &Option<String>| {
        name.as_ref().map_or("not read".to_owned(), |name| {
            format!("{}: {}", code(name), uses.say(name))
        })
    };
    let mut found = vec![
        ("Age", by_field(&file.age_input)),
        ("Sex", by_field(&file.female_input)),
    ];
    for (characteristic, words) in PERSONAL {
        let mut inputs: BTreeMap<String, String> = BTreeMap::new();
        let is_one = |texts: &[&str]| {
            let mut all = texts.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
            all.any(|word| words.contains(&word.to_lowercase().as_str()))
        };
        for (name, named) in &file.named {
            let genotype = characteristic == "Genotype"
                && file
                    .needs
                    .categories
                    .iter()
                    .any(|category| category.name == *name && category.gene.is_some());
            if genotype || is_one(&[name, &named.title.en]) {
                inputs.insert(name.clone(), format!("{}: {}", code(name), uses.say(name)));
            }
        }
        for (model, _) in twin.models() {
            for input in model.inputs().iter().filter(|input| is_one(&[&input.name, &input.doc])) {
                let default = input
                    .default
                    .map_or_else(String::new, |value| format!(", left at {}", exact(value)));
                inputs.entry(input.name.clone()).or_insert_with(|| {
                    format!(
                        "{}: input of {} that nothing of the record fills{default}",
                        code(&input.name),
                        model.id
                    )
                });
            }
        }
        let answer = inputs.into_values().collect::<Vec<_>>().join("; ");
        found.push((
            characteristic,
            if answer.is_empty() {
                "not read".to_owned()
            } else {
                answer
            },
        ));
    }
    found
}
