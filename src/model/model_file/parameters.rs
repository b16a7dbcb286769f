//! `[parameters]` and `[[omega]]`: typical values and how people differ.

use super::super::table::{Entry, Table};
use super::read::Reader;
use super::{ModelError, Parameter};
use crate::engine::{self, End, Link, Omega};
use crate::lang::{Equations, NodeId, Symbol, parser, suggest};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeValue;

/// A prior that is not Gaussian, as read.
pub(super) struct PriorText {
    /// Place of the random effect.
    pub(super) effect: usize,
    /// The distribution and its numbers.
    distribution: Distribution,
    /// The formula it is about, if not the parameter itself.
    on: Option<Spanned<String>>,
    /// The parameter.
    parameter: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Distribution {
    Gamma { shape: f64, scale: f64 },
    LogNormal { mu: f64, sigma: f64 },
    Normal { mean: f64, sd: f64 },
    Uniform { low: f64, high: f64 },
}

/// All that `[parameters]` says.
#[derive(Default)]
pub(super) struct Parameters {
    /// For people.
    pub(super) list: Vec<Parameter>,
    /// For the equations.
    pub(super) symbols: Vec<Symbol>,
    /// For the engine.
    pub(super) engine: Vec<engine::Parameter>,
    /// Random effects: names and variances; a placeholder for those with a prior of their own.
    pub(super) effects: Vec<(String, f64)>,
    /// Random effects between occasions.
    pub(super) occasion_effects: Vec<(String, f64)>,
    pub(super) priors: Vec<PriorText>,
    /// Nodes of the typical values.
    pub(super) nodes: Vec<NodeId>,
}

impl<'a> Reader<'a> {
    pub(super) fn parameters(&mut self, table: &Table<'_, 'a>) -> Result<Parameters, ModelError> {
        let mut all = Parameters::default();
        for entry in table.entries() {
            self.parameter(&entry, &mut all)?;
        }
        // An effect that is only named, never given a size.
        if let Some((name, _)) = all.effects.iter().find(|(_, variance)| *variance <= 0.0) {
            return Err(self.source.error_with(
                table.at(),
                format!("the random effect `{name}` has no size"),
                "give cv, omega_sd or omega2 with one of the parameters that name it",
            ));
        }
        Ok(all)
    }

    fn parameter(&mut self, entry: &Entry<'_, 'a>, all: &mut Parameters) -> Result<(), ModelError> {
        let name = entry.key;
        let mut table = self.named(entry, "the parameter")?;
        let formula = table.required_text("is", "the formula of the typical value")?;
        let unit = table.required_text("unit", "a UCUM code")?;
        let doc = table.text("doc")?.map(Spanned::into_inner).unwrap_or_default();
        let between_people = [
            ("cv", table.number("cv")?),
            ("omega_sd", table.number("omega_sd")?),
            ("omega2", table.number("omega2")?),
        ];
        let between_occasions = [
            ("occasion_cv", table.number("occasion_cv")?),
            ("occasion_sd", table.number("occasion_sd")?),
            ("occasion_omega2", table.number("occasion_omega2")?),
        ];
        let distribution = table.text("distribution")?;
        let lambda = table.number("lambda")?;
        let eta = table.text("eta")?;
        let prior = table.text("prior")?;
        let prior_on = table.text("prior_on")?;
        let stepwise = table.flag("stepwise")?;
        let within = self.within(&mut table, all)?;
        table.finish()?;
        let kind = distribution.as_ref().map_or("log-normal", |d| d.get_ref().as_str());
        let link = match (kind, within) {
            ("log-normal", None) => Link::LogNormal,
            ("log-normal", Some(_)) if prior.is_none() => {
                return Err(self.source.error_with(
                    entry.at,
                    format!("`{name}` has ends but is log-normal"),
                    "ends belong to distribution = \"logit-normal\", or to a `prior`",
                ));
            }
            ("log-normal", Some(ends)) | ("logit-normal", Some(ends @ (_, Some(_)))) => {
                self.link_of_ends(entry, ends)?
            }
            ("normal", None) => Link::Normal,
            ("proportional", None) => Link::Proportional,
            ("logit-normal", None) => Link::Between(End::Value(0.0), End::Value(1.0)),
            ("box-cox", None) => match &lambda {
                Some(lambda) => Link::BoxCox {
                    lambda: *lambda.get_ref(),
                },
                None => return Err(self.source.error(entry.at, "a box-cox distribution needs `lambda`")),
            },
            _ => {
                let at = distribution.as_ref().map_or(entry.at, |d| d.span().start);
                return Err(self.source.error_with(
                    at,
                    format!("`{kind}` with these ends is not a distribution known here"),
                    "log-normal (without saying so), normal, proportional, logit-normal (within = [a, b]), box-cox (lambda = ...)",
                ));
            }
        };
        let variance = self.variance(name, kind, &between_people)?;
        let occasion = self.variance(name, kind, &between_occasions)?;
        let link = match &prior {
            // A uniform prior says where its ends are.
            Some(text) if within.is_none() => match self.distribution(text)? {
                Distribution::Uniform { low, high } => Link::Between(End::Value(low), End::Value(high)),
                _ => link,
            },
            _ => link,
        };
        if stepwise && !matches!(link, Link::Between(End::Value(_), End::Value(_))) {
            return Err(self.source.error_with(
                entry.at,
                format!("`{name}` acts in steps, but where the steps end is not said"),
                "give it a uniform(a, b) prior, or within = [a, b] with numbers",
            ));
        }
        // A symmetric prior over the whole line needs a link that can reach it.
        let link = match (&prior, link, kind) {
            (Some(text), Link::LogNormal, _) if self.distribution(text)?.reaches_below_zero() => Link::Normal,
            _ => link,
        };
        let effect_name = eta.as_ref().map_or(name, |eta| eta.get_ref()).to_owned();
        let known = all.effects.iter().position(|(known, _)| *known == effect_name);
        let effect = match (variance, &prior, known) {
            (Some(_), Some(prior), _) => {
                return Err(self.source.error(
                    prior.span().start,
                    format!("`{name}` has both a variability and a prior of its own"),
                ));
            }
            (None, None, None) if eta.is_none() => None,
            (None, None, None) => {
                // Its size may be given with a later parameter.
                all.effects.push((effect_name, 0.0));
                Some(all.effects.len() - 1)
            }
            (None, None, Some(place)) => eta.is_some().then_some(place),
            (Some(variance), None, Some(place)) => {
                match all.effects.get_mut(place) {
                    Some((_, size)) if *size == 0.0 => *size = variance,
                    _ => {
                        return Err(self.source.error_with(
                            entry.at,
                            format!("the random effect `{effect_name}` has its size twice"),
                            "parameters that share an effect give its size once",
                        ));
                    }
                }
                Some(place)
            }
            (_, Some(_), Some(_)) => {
                return Err(self
                    .source
                    .error(entry.at, "an effect with a prior of its own cannot be shared"));
            }
            (variance, prior, None) => {
                let place = all.effects.len();
                all.effects.push((effect_name, variance.unwrap_or(1.0)));
                if let Some(text) = prior {
                    all.priors.push(PriorText {
                        effect: place,
                        distribution: self.distribution(text)?,
                        on: prior_on.clone(),
                        parameter: name.to_owned(),
                    });
                }
                Some(place)
            }
        };
        if let (Some(on), None) = (&prior_on, &prior) {
            return Err(self.source.error(
                on.span().start,
                "`prior_on` says what a `prior` is about; there is none",
            ));
        }
        let occasion_effect = occasion.map(|variance| {
            all.occasion_effects.push((name.to_owned(), variance));
            all.occasion_effects.len() - 1
        });
        let symbol_unit = self.unit(&unit)?;
        let node = self.formula(&formula)?;
        if self.scope_knows(name) || all.symbols.iter().any(|symbol| symbol.name == name) {
            return Err(self
                .source
                .error(entry.at, format!("the name `{name}` is already taken")));
        }
        let varies = effect.is_some() || occasion_effect.is_some();
        let ends = match link {
            _ if !varies => None,
            Link::LogNormal | Link::BoxCox { .. } => Some((End::Value(0.0), End::Value(f64::INFINITY))),
            Link::Between(low, high) => Some((low, high)),
            Link::Above(low) => Some((low, End::Value(f64::INFINITY))),
            Link::Normal | Link::Proportional => None,
        };
        all.nodes.push(node);
        all.symbols.push(Symbol::quantity(name, symbol_unit));
        all.engine.push(engine::Parameter {
            name: name.to_owned(),
            link,
            effect,
            occasion_effect,
            stepwise,
        });
        all.list.push(Parameter {
            name: name.to_owned(),
            unit: unit.into_inner(),
            formula: formula.into_inner(),
            omega2: effect
                .filter(|_| prior.is_none())
                .and_then(|e| all.effects.get(e))
                .map(|(_, v)| *v),
            prior: prior.map(Spanned::into_inner),
            ends,
            doc,
        });
        Ok(())
    }

    /// Ends of the range of a parameter: numbers, or names of earlier parameters. An upper end may be left open with "inf".
    fn within(&self, table: &mut Table<'_, 'a>, all: &Parameters) -> Result<Option<(End, Option<End>)>, ModelError> {
        let Some(value) = table.get("within") else {
            return Ok(None);
        };
        let bad = |at: usize| {
            self.source.error_with(
                at,
                "`within` is [low, high]",
                "each a number or the name of an earlier parameter; the upper one may be \"inf\"",
            )
        };
        let list = value.get_ref().as_array().ok_or_else(|| bad(value.span().start))?;
        let mut ends = Vec::new();
        for item in list {
            let end = match item.get_ref() {
                DeValue::String(text) if text == "inf" => None,
                DeValue::String(text) => {
                    let place = all.list.iter().position(|p| p.name == *text).ok_or_else(|| {
                        let known = all.list.iter().map(|p| p.name.as_str());
                        let message = format!("there is no earlier parameter `{text}`");
                        self.source
                            .error_with(item.span().start, message, suggest::hint(text, known))
                    })?;
                    Some(End::Parameter(place))
                }
                other => Some(End::Value(
                    super::super::table::number(other).ok_or_else(|| bad(item.span().start))?,
                )),
            };
            ends.push(end);
        }
        match ends.as_slice() {
            [Some(low), high] => Ok(Some((*low, *high))),
            _ => Err(bad(value.span().start)),
        }
    }

    fn link_of_ends(&self, entry: &Entry<'_, 'a>, (low, high): (End, Option<End>)) -> Result<Link, ModelError> {
        if let (End::Value(a), Some(End::Value(b))) = (low, high)
            && a >= b
        {
            return Err(self.source.error(entry.at, format!("nothing lies within {a} and {b}")));
        }
        Ok(match high {
            Some(high) => Link::Between(low, high),
            None => Link::Above(low),
        })
    }

    /// A variance from whichever way it is given.
    fn variance(
        &self,
        name: &str,
        kind: &str,
        given: &[(&str, Option<Spanned<f64>>)],
    ) -> Result<Option<f64>, ModelError> {
        let given: Vec<(&str, &Spanned<f64>)> = given
            .iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| (*key, value)))
            .collect();
        match given.as_slice() {
            [] => Ok(None),
            [(_, value)] if *value.get_ref() <= 0.0 => Err(self.source.error_with(
                value.span().start,
                format!("the variability of `{name}` must be above 0"),
                "leave it out if the parameter does not vary between people",
            )),
            [(key, value)] => {
                let x = *value.get_ref();
                if key.ends_with("cv") && kind == "normal" {
                    return Err(self.source.error_with(
                        value.span().start,
                        format!("`{name}` is normal: a coefficient of variation would depend on the person"),
                        "give omega_sd in the unit of the parameter, or distribution = \"proportional\"",
                    ));
                }
                let variance = match *key {
                    "cv" | "occasion_cv" if kind == "proportional" => (x / 100.0).powi(2),
                    "cv" | "occasion_cv" => (x / 100.0).powi(2).ln_1p(),
                    "omega_sd" | "occasion_sd" => x * x,
                    _ => x,
                };
                if !variance.is_normal() {
                    let message = format!("the variability of `{name}` is too small or too large: {x:e}");
                    return Err(self.source.error(value.span().start, message));
                }
                Ok(Some(variance))
            }
            [_, (key, second), ..] => Err(self.source.error_with(
                second.span().start,
                format!("the variability of `{name}` is given twice, here as `{key}`"),
                "give one of: cv (percent; omega^2 = ln(1 + (cv/100)^2)), omega_sd (of the random effect), omega2 (its variance)",
            )),
        }
    }

    /// `gamma(3.3, 5e-4)` and the like.
    fn distribution(&self, text: &Spanned<String>) -> Result<Distribution, ModelError> {
        let bad = |why: &str| {
            self.source.error_with(
                text.span().start,
                format!("`{}` is no prior: {why}", text.get_ref()),
                "write gamma(shape, scale), lognormal(mu, sigma), normal(mean, sd) or uniform(a, b)",
            )
        };
        let (name, rest) = text.get_ref().split_once('(').ok_or_else(|| bad("no parenthesis"))?;
        let inside = rest
            .trim_end()
            .strip_suffix(')')
            .ok_or_else(|| bad("no closing parenthesis"))?;
        let numbers: Vec<f64> = inside
            .split(',')
            .map(|x| x.trim().parse::<f64>().ok().filter(|x| x.is_finite()))
            .collect::<Option<_>>()
            .ok_or_else(|| bad("its arguments are numbers"))?;
        let [a, b] = *numbers.as_slice() else {
            return Err(bad("it takes two numbers"));
        };
        let found = match name.trim() {
            "gamma" => Distribution::Gamma { shape: a, scale: b },
            "lognormal" => Distribution::LogNormal { mu: a, sigma: b },
            "normal" => Distribution::Normal { mean: a, sd: b },
            "uniform" => Distribution::Uniform { low: a, high: b },
            _ => return Err(bad("an unknown name")),
        };
        let fine = match found {
            Distribution::Gamma { shape, scale } => shape > 0.0 && scale > 0.0,
            Distribution::LogNormal { sigma, .. } => sigma > 0.0,
            Distribution::Normal { sd, .. } => sd > 0.0,
            Distribution::Uniform { low, high } => low < high,
        };
        if fine {
            Ok(found)
        } else {
            Err(bad("its width must be above 0"))
        }
    }

    pub(super) fn omega(&self, tables: Vec<Table<'_, 'a>>, all: &Parameters) -> Result<Omega, ModelError> {
        let effects = &all.effects;
        let m = effects.len();
        let variance = |i: usize| effects.get(i).map_or(0.0, |(_, variance)| *variance);
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
                let free = |i: &usize| all.priors.iter().all(|prior| prior.effect != *i);
                let found = effects
                    .iter()
                    .position(|(known, _)| known == name.get_ref())
                    .filter(free);
                found.ok_or_else(|| {
                    let known = effects.iter().map(|(name, _)| name.as_str());
                    self.source.error_with(
                        name.span().start,
                        format!("`{}` is not a random effect with a variance", name.get_ref()),
                        suggest::hint(name.get_ref(), known),
                    )
                })
            };
            let (i, j) = match between.as_slice() {
                [a, b] => (find(a)?, find(b)?),
                _ => return Err(self.source.error(place, "an [[omega]] says between = [\"CL\", \"V1\"]")),
            };
            if i == j || !seen.insert((i.min(j), i.max(j))) {
                return Err(self.source.error(place, "this pair is named twice, or is one effect"));
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

    /// Minus twice the log density of each prior that is not Gaussian, as a formula in the graph of the equations.
    pub(super) fn penalties(
        &self,
        priors: &[PriorText],
        equations: &mut Equations,
    ) -> Result<Vec<engine::Density>, ModelError> {
        priors
            .iter()
            .map(|prior| {
                let name = Spanned::new(0..0, prior.parameter.clone());
                let on = prior.on.as_ref().unwrap_or(&name);
                let x = self.numbers(equations, on)?;
                let formula = prior.distribution.penalty();
                let penalty = parser::formula(&formula)
                    .ok()
                    .and_then(|expr| equations.penalty(&expr, x))
                    .ok_or_else(|| self.source.error(on.span().start, "this prior cannot be computed"))?;
                Ok(engine::Density {
                    effect: prior.effect,
                    penalty,
                })
            })
            .collect()
    }
}

impl Distribution {
    fn reaches_below_zero(self) -> bool {
        match self {
            Self::Normal { .. } => true,
            Self::Uniform { low, .. } => low < 0.0,
            Self::Gamma { .. } | Self::LogNormal { .. } => false,
        }
    }

    /// Minus twice the log density of `x`, normalised over the whole support of the distribution; a uniform density counts as 0
    /// wherever the ends of the parameter let it be.
    fn penalty(self) -> String {
        let two_pi = (2.0 * std::f64::consts::PI).ln();
        match self {
            Self::Gamma { shape, scale } => {
                let constant = 2.0 * (shape * scale.ln() + libm::lgamma(shape));
                format!("{constant} - 2*({}*ln(x) - x/{scale})", shape - 1.0)
            }
            Self::LogNormal { mu, sigma } => {
                let constant = two_pi + 2.0 * sigma.ln();
                format!("{constant} + 2*ln(x) + ((ln(x) - ({mu}))/{sigma})^2")
            }
            Self::Normal { mean, sd } => {
                let constant = two_pi + 2.0 * sd.ln();
                format!("{constant} + ((x - ({mean}))/{sd})^2")
            }
            Self::Uniform { .. } => "0*x".to_owned(),
        }
    }
}
