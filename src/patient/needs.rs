//! What a twin needs from the record, as its `twin.toml` declares it.

use jiff::SignedDuration;

/// A code with its system, for example LOINC `2160-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// Canonical system URI, for example `http://loinc.org`.
    pub system: String,
    /// The code itself.
    pub code: String,
}

/// LOINC.
pub const LOINC: &str = "http://loinc.org";
/// RxNorm.
pub const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
/// Anatomical Therapeutic Chemical classification.
pub const ATC: &str = "http://www.whocc.no/atc";
/// SNOMED CT.
pub const SNOMED: &str = "http://snomed.info/sct";
/// Unified Code for Units of Measure.
pub const UCUM: &str = "http://unitsofmeasure.org";

/// A measured quantity that the twin reads from Observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Name in the model files: a covariate (`scr`) or an observed output (`C`).
    pub name: String,
    /// Codes under which it may be recorded.
    pub codes: Vec<Code>,
    /// UCUM unit into which every value is converted.
    pub unit: String,
    /// g/mol, for conversion between amount and mass concentration.
    pub molar_mass: Option<f64>,
    /// What one per cent of normal is in `unit`, where laboratories report per cent (1 % of a clotting factor is 1 IU/dL).
    pub percent: Option<f64>,
    /// Values outside are taken for errors of the record: ignored and said so. In `unit`.
    pub plausible: Option<(f64, f64)>,
    /// For a covariate: a value older than this does not count.
    pub within: Option<SignedDuration>,
    /// Whether several values in time are used (a level) or the newest (a covariate).
    pub use_as: UseAs,
    /// Whether the values of one day are parts of a whole, to be added up (the lesions of a tumour).
    pub sum_per_day: bool,
}

/// How the values of a [`Measured`] are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseAs {
    /// One value describes the patient: the newest, with earlier ones kept for checks of stability.
    Covariate,
    /// Each value is an observation of the model's output of the same name.
    Observation,
}

/// A yes-or-no fact, for example dialysis, pregnancy, an interacting drug, a positive test.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flag {
    /// Name in the files.
    pub name: String,
    /// Any of these codes, on a Condition that is active or a Procedure that was done within `within`, makes it true.
    pub codes: Vec<Code>,
    /// Drugs, by ingredient or class: ordered now, given, or ended within `within`, each makes it true.
    pub drugs: Vec<Code>,
    /// Texts by which an uncoded drug may be recognised.
    pub synonyms: Vec<String>,
    /// Tests (Observations): the newest result within `within` makes it true when positive, and false when negative.
    pub tests: Vec<Code>,
    /// A numeric result above this is positive, in the unit as recorded.
    pub positive_above: Option<f64>,
    /// What is older than this does not count; Conditions count while active.
    pub within: Option<SignedDuration>,
}

/// A category of the models read from Observations, for example a genotype.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Name in the files.
    pub name: String,
    /// Gene symbol (HGNC), where the category is a genotype: `CYP2C9`.
    pub gene: Option<String>,
    /// Codes of the Observation that gives it, beside the general ones of the genomics reporting guide.
    pub codes: Vec<Code>,
    /// The levels, each with the texts by which it is written; the first is its name in the models.
    pub levels: Vec<Vec<String>>,
}

/// The drug whose doses and orders the twin reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drug {
    /// Name in the files, for example `vancomycin`.
    pub name: String,
    /// Ingredient and class codes; product codes are found through the terminology file.
    pub codes: Vec<Code>,
    /// Texts by which an uncoded order may be recognised; a match by text is always said on the card.
    pub synonyms: Vec<String>,
    /// UCUM unit of a dose, `mg`.
    pub unit: String,
    /// Routes of administration that the model covers, as codes and lower-case texts (`26643006`, `iv`, `intravenous`).
    /// Empty: any.
    pub routes: Vec<String>,
}

/// All that one twin needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Needs {
    /// Quantities from Observations.
    pub measured: Vec<Measured>,
    /// Flags from Conditions, Procedures, medications and tests.
    pub flags: Vec<Flag>,
    /// Categories from Observations.
    pub categories: Vec<Category>,
    /// The drug, when the twin is about one.
    pub drug: Option<Drug>,
    /// Doses and observations older than this are not used.
    pub history: SignedDuration,
    /// Length of infusion to assume, hours per unit of dose and at least, when the record gives none.
    pub assumed_infusion: AssumedInfusion,
}

/// Length of infusion that stands in for one the record does not give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AssumedInfusion {
    /// Hours per unit of dose (1 h per 1000 mg = 0.001).
    pub hours_per_unit: f64,
    /// Shortest, hours.
    pub at_least: f64,
}
