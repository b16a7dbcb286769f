//! Variability between people and error of measurements.

use super::super::table::Table;
use super::read::Reader;
use super::{ModelError, Parameter};
use crate::engine::{ErrorModel, Omega, Output};
use crate::lang::{Equations, Unit, suggest};
use std::collections::BTreeSet;
use toml::Spanned;

impl<'a> Reader<'a> {
    pub(super) fn omega(
        &self,
        tables: Vec<Table<'_, 'a>>,
        parameters: &[Parameter],
        effects: &[usize],
    ) -> Result<Omega, ModelError> {
        let m = effects.len();
        let variance = |i: usize| {
            effects
                .get(i)
                .and_then(|e| parameters.get(*e))
                .and_then(|p| p.omega2)
                .unwrap_or(0.0)
        };
        let mut matrix = vec![0.0; m * m];
        let mut seen = BTreeSet::new();
        for i in 0..m {
            matrix[i * m + i] = variance(i);
        }
        let mut place = 0;
        for mut table in tables {
            place = table.at();
            let between = table.texts("between")?;
            let (correlation, covariance) = (table.number("correlation")?, table.number("covariance")?);
            table.finish()?;
            let find = |name: &Spanned<String>| {
                effects
                    .iter()
                    .position(|e| parameters.get(*e).is_some_and(|p| p.name == *name.get_ref()))
                    .ok_or_else(|| {
                        let known = effects
                            .iter()
                            .filter_map(|e| parameters.get(*e))
                            .map(|p| p.name.as_str());
                        self.source.error_with(
                            name.span().start,
                            format!("`{}` is not a parameter with variability", name.get_ref()),
                            suggest::hint(name.get_ref(), known),
                        )
                    })
            };
            let (i, j) = match between.as_slice() {
                [a, b] => (find(a)?, find(b)?),
                _ => return Err(self.source.error(place, "an [[omega]] says between = [\"CL\", \"V1\"]")),
            };
            if i == j || !seen.insert((i.min(j), i.max(j))) {
                return Err(self
                    .source
                    .error(place, "this pair is named twice, or is one parameter"));
            }
            let value = match (correlation, covariance) {
                (Some(r), None) if r.get_ref().abs() < 1.0 => r.into_inner() * (variance(i) * variance(j)).sqrt(),
                (Some(r), None) => {
                    return Err(self.source.error(r.span().start, "a correlation lies between -1 and 1"));
                }
                (None, Some(c)) => c.into_inner(),
                _ => return Err(self.source.error(place, "give either a correlation or a covariance")),
            };
            matrix[i * m + j] = value;
            matrix[j * m + i] = value;
        }
        Omega::new(m, matrix).map_err(|error| self.source.error(place, error.to_string()))
    }

    pub(super) fn observed(
        &self,
        table: &Table<'_, 'a>,
        equations: &Equations,
        state_unit: &Unit,
    ) -> Result<Vec<Output>, ModelError> {
        let mut outputs = Vec::new();
        for entry in table.entries() {
            let mut table = self.inner(&entry, "the observed quantity")?;
            let unit = table.required_text("unit", "a UCUM code")?;
            let mut error = table.required_table("error", "{ additive = ..., proportional = ... }")?;
            let _doc = table.text("doc")?;
            table.finish()?;
            let at = error.at();
            let additive = self.spread(&mut error, "additive", "additive_variance")?;
            let proportional = self.spread(&mut error, "proportional", "proportional_variance")?;
            error.finish()?;
            if additive == 0.0 && proportional == 0.0 {
                return Err(self.source.error_with(
                    at,
                    format!("`{}` is observed without error", entry.key),
                    "give additive (in its unit), proportional (a fraction), or both",
                ));
            }
            let declared = self.unit(&unit)?;
            let (_, assigned) = equations.result(entry.key).map_err(|help| {
                self.source
                    .error_with(entry.at, format!("the equations do not define `{}`", entry.key), help)
            })?;
            let found = assigned.map_or(Some(state_unit), |assigned| assigned.unit.as_ref());
            if let Some(found) = found.filter(|found| !declared.same(found)) {
                return Err(self.source.error(
                    unit.span().start,
                    format!(
                        "the equations give `{}` another unit: {}",
                        entry.key,
                        declared.difference(found)
                    ),
                ));
            }
            outputs.push(Output {
                name: entry.key.to_owned(),
                unit: unit.into_inner(),
                error: ErrorModel { additive, proportional },
            });
        }
        if outputs.is_empty() {
            return Err(self.source.error(table.at(), "nothing is observed"));
        }
        Ok(outputs)
    }

    /// A standard deviation, or the root of a variance; 0 if neither is given.
    fn spread(&self, table: &mut Table<'_, 'a>, sd: &'static str, variance: &'static str) -> Result<f64, ModelError> {
        let (value, root) = match (table.number(sd)?, table.number(variance)?) {
            (None, None) => return Ok(0.0),
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
            (Some(_), Some(value)) => {
                return Err(self
                    .source
                    .error(value.span().start, format!("give either `{sd}` or `{variance}`")));
            }
        };
        let x = *value.get_ref();
        if x < 0.0 {
            return Err(self.source.error(value.span().start, "an error cannot be negative"));
        }
        Ok(if root { x.sqrt() } else { x })
    }
}
