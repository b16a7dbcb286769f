//! `[record]`, `[genotype]`, `[flag]`, `[person]`: what is read of a patient, and the names it gets.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::place::{Place, coded};
use crate::model::twin_file::{Item, Named, RecordedAs, Role, Score, Text, TwinFileError, Use};
use crate::{
    model::formula::Formula,
    patient::needs::{ATC, Category, Code, Flag, LOINC, Measured, RXNORM, SNOMED, UseAs},
};

/// System of ICD-10-CM.
const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
/// System of ICD-10-PCS.
const ICD10_PCS: &str = "http://www.cms.gov/Medicare/Coding/ICD10";
/// System of CPT.
const CPT: &str = "http://www.ama-assn.org/go/cpt";
/// System of the international ICD-10.
const ICD10_WHO: &str = "http://hl7.org/fhir/sid/icd-10";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPerson {
    pub(super) age: Option<String>,
    pub(super) female: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMeasured {
    title: Text,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    observed: bool,
    not_before: Option<Spanned<String>>,
    order_loinc: Option<String>,
    #[serde(default, rename = "use")]
    used: Use,
    #[serde(default)]
    loinc: Vec<String>,
    #[serde(default)]
    codes: Vec<Spanned<String>>,
    unit: Spanned<String>,
    molar_mass: Option<f64>,
    percent: Option<f64>,
    plausible: Option<[f64; 2]>,
    within: Option<Spanned<String>>,
    #[serde(default)]
    sum: bool,
    score: Option<RawScore>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScore {
    is: Spanned<String>,
    from: Spanned<Vec<String>>,
    apart: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGenotype {
    title: Text,
    #[serde(default)]
    optional: bool,
    gene: Option<String>,
    #[serde(default)]
    loinc: Vec<String>,
    levels: Spanned<Vec<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFlag {
    title: Text,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    snomed: Vec<String>,
    #[serde(default)]
    icd10: Vec<String>,
    #[serde(default)]
    icd10pcs: Vec<String>,
    #[serde(default)]
    cpt: Vec<String>,
    #[serde(default)]
    rxnorm: Vec<String>,
    #[serde(default)]
    atc: Vec<String>,
    #[serde(default)]
    synonyms: Vec<String>,
    #[serde(default)]
    loinc: Vec<String>,
    above: Option<f64>,
    recorded_as: Option<RawRecordedAs>,
    within: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecordedAs {
    item: Spanned<String>,
    loinc: Vec<String>,
}

/// All that these tables say.
#[derive(Default)]
pub(super) struct Record {
    pub(super) measured: Vec<Measured>,
    pub(super) items: Vec<Item>,
    pub(super) categories: Vec<Category>,
    pub(super) flags: Vec<Flag>,
    pub(super) recorded_as: Vec<RecordedAs>,
    pub(super) named: BTreeMap<String, Named>,
    /// Names of the values that are at hand when all of this is known.
    pub(super) names: BTreeSet<String>,
}

impl Record {
    /// A name may be given once.
    fn claim(&mut self, place: &Place<'_>, at: usize, name: &str, named: Named) -> Result<(), TwinFileError> {
        if self.named.insert(name.to_owned(), named).is_some() {
            return Err(place.error(at, format!("the name \"{name}\" is given twice")));
        }
        Ok(())
    }

    pub(super) fn person(&mut self, person: &RawPerson) {
        self.names.extend(person.age.iter().chain(&person.female).cloned());
        let of_doses = [
            "doses",
            "hours_since_dose",
            "hours_since_first_dose",
            "plan_dose",
            "plan_interval",
        ];
        self.names.extend(of_doses.map(str::to_owned));
    }

    pub(super) fn measured(
        &mut self,
        place: &Place<'_>,
        raw: BTreeMap<String, RawMeasured>,
    ) -> Result<(), TwinFileError> {
        let names: BTreeSet<String> = raw.keys().cloned().collect();
        let mut keys = BTreeSet::new();
        for (name, item) in raw {
            let at = item.unit.span().start;
            if !keys.insert(name.to_ascii_lowercase()) {
                let message = format!("[record.{name}]: two items differ only in capital letters");
                return Err(place.error(at, message));
            }
            let mut codes: Vec<Code> = coded(LOINC, item.loinc).collect();
            for code in item.codes {
                let Some((system, code)) = code.get_ref().split_once('|') else {
                    return Err(place.error(code.span().start, "write a code as \"system|code\""));
                };
                codes.push(Code {
                    system: system.to_owned(),
                    code: code.to_owned(),
                });
            }
            if codes.is_empty() && item.score.is_none() {
                return Err(place.error(at, format!("[record.{name}] has no code: add loinc or codes")));
            }
            let within = item.within.as_ref().map(|w| place.duration(w)).transpose()?;
            if !item.observed && (item.not_before.is_some() || item.order_loinc.is_some()) {
                let message = format!("[record.{name}]: not_before and order_loinc are for what is observed");
                return Err(place.error(at, message));
            }
            let not_before = item.not_before.as_ref().map(|w| place.duration(w)).transpose()?;
            let score = item
                .score
                .map(|score| -> Result<Score, TwinFileError> {
                    let from = score.from.get_ref();
                    if from.is_empty() || from.iter().any(|f| !names.contains(f) || *f == name) {
                        let message = format!("[record.{name}]: a score is computed from other record items");
                        return Err(place.error(score.from.span().start, message));
                    }
                    Ok(Score {
                        is: place.formula(&score.is, &from.iter().cloned().collect())?,
                        from: score.from.into_inner(),
                        apart: place.duration(&score.apart)?,
                    })
                })
                .transpose()?;
            self.measured.push(Measured {
                name: name.clone(),
                codes,
                unit: item.unit.into_inner(),
                molar_mass: item.molar_mass,
                percent: item.percent,
                plausible: item.plausible.map(|[low, high]| (low, high)),
                within,
                use_as: if item.observed {
                    UseAs::Observation
                } else {
                    UseAs::Covariate
                },
                sum_per_day: item.sum,
            });
            self.names
                .extend([name.clone(), format!("{name}_first"), format!("{name}_hours")]);
            if item.observed {
                self.names.insert(format!("n_{name}"));
            }
            self.items.push(Item {
                name: name.clone(),
                role: if item.observed {
                    Role::Observed {
                        not_before,
                        order_loinc: item.order_loinc,
                    }
                } else {
                    Role::Covariate(item.used)
                },
                score,
            });
            let named = Named {
                title: item.title,
                optional: item.optional || item.observed,
            };
            self.claim(place, at, &name, named)?;
        }
        Ok(())
    }

    pub(super) fn genotypes(
        &mut self,
        place: &Place<'_>,
        raw: BTreeMap<String, RawGenotype>,
    ) -> Result<(), TwinFileError> {
        for (name, item) in raw {
            let at = item.levels.span().start;
            if item.gene.is_none() && item.loinc.is_empty() {
                return Err(place.error(at, format!("[genotype.{name}] has neither gene nor loinc")));
            }
            let levels = item.levels.into_inner();
            if levels.len() < 2 || levels.iter().any(Vec::is_empty) {
                return Err(place.error(
                    at,
                    format!("[genotype.{name}] needs two levels or more, each with its name"),
                ));
            }
            self.categories.push(Category {
                name: name.clone(),
                gene: item.gene,
                codes: coded(LOINC, item.loinc).collect(),
                levels,
            });
            self.names.insert(name.clone());
            let named = Named {
                title: item.title,
                optional: item.optional,
            };
            self.claim(place, at, &name, named)?;
        }
        Ok(())
    }

    pub(super) fn flags(&mut self, place: &Place<'_>, raw: BTreeMap<String, RawFlag>) -> Result<(), TwinFileError> {
        for (name, item) in raw {
            let within = item.within.as_ref().map(|w| place.duration(w)).transpose()?;
            if let Some(by_code) = item.recorded_as {
                if !self.items.iter().any(|i| i.name == *by_code.item.get_ref()) {
                    let message = format!("\"{0}\" is not measured: add [record.{0}]", by_code.item.get_ref());
                    return Err(place.error(by_code.item.span().start, message));
                }
                self.recorded_as.push(RecordedAs {
                    flag: name.clone(),
                    item: by_code.item.into_inner(),
                    codes: coded(LOINC, by_code.loinc).collect(),
                });
            }
            self.flags.push(Flag {
                name: name.clone(),
                codes: coded(SNOMED, item.snomed)
                    .chain(coded(ICD10, item.icd10.clone()))
                    .chain(coded(ICD10_WHO, item.icd10))
                    .chain(coded(ICD10_PCS, item.icd10pcs))
                    .chain(coded(CPT, item.cpt))
                    .collect(),
                drugs: coded(RXNORM, item.rxnorm).chain(coded(ATC, item.atc)).collect(),
                synonyms: item.synonyms,
                tests: coded(LOINC, item.loinc).collect(),
                positive_above: item.above,
                within,
            });
            self.names.insert(name.clone());
            let named = Named {
                title: item.title,
                optional: item.optional,
            };
            self.claim(place, 0, &name, named)?;
        }
        Ok(())
    }

    /// Adds a computed value; the formula may read whatever came before.
    pub(super) fn derived(
        &mut self,
        place: &Place<'_>,
        name: &Spanned<String>,
        is: &Spanned<String>,
    ) -> Result<Formula, TwinFileError> {
        let formula = place.formula(is, &self.names)?;
        if !self.names.insert(name.get_ref().clone()) {
            let message = format!("the name \"{}\" is given twice", name.get_ref());
            return Err(place.error(name.span().start, message));
        }
        Ok(formula)
    }
}
