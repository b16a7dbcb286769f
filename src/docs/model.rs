//! The section of one model: the publication, the equations as written, the numbers, what is in doubt.

use std::collections::BTreeMap;

use toml::Value;

use super::{
    markdown::{Document, Table, code, doi, plain},
    words::{ends, exact, quantity, rounded, unit},
    written::{Doses, Variability, Written, shown},
};
use crate::model::model_file::{Input, InputKind, Model, Parameter};

/// The section.
pub(super) fn section(page: &mut Document, model: &Model, written: &Written, link: &str) {
    page.heading(3, &plain(&model.id));
    page.block(&format!("**{}**", plain(&model.title)));
    page.list(&[
        format!("**Published in**: {} {}", plain(&model.citation), doi(&model.doi))
            .trim_end()
            .to_owned(),
        format!(
            "**File**: [{0}.toml]({link}/{0}.toml), version {1}",
            model.id,
            plain(&model.version)
        ),
        format!(
            "**Units**: time in {}, amounts in {}",
            unit(&model.time_unit),
            unit(&model.amount_unit)
        ),
        format!("**Solved**: {}", solved(model)),
        format!("**Worked checks**: {}", checks(written)),
    ]);
    if !model.notes.is_empty() {
        page.block("What a reader must know:");
    }
    page.list(&model.notes.iter().map(|note| plain(note)).collect::<Vec<_>>());
    if !model.unchecked.is_empty() {
        page.block(&format!(
            "The units of its equations are not followed: {}",
            plain(&model.unchecked)
        ));
    }
    numbers(page, model, written);
    page.block("Equations as written:");
    page.code("", model.equations_text());
    page.list(&extras(written));
    values(page, model, written);
}

/// Inputs, covariates and parameters.
fn numbers(page: &mut Document, model: &Model, written: &Written) {
    let mut inputs = Table::new(["input", "what it is", "unit", "without it", "the model holds for"]);
    for input in model.inputs() {
        inputs.row([
            code(&input.name),
            plain(&input.doc),
            kind(input),
            default(input),
            input
                .population
                .map(|range| ends(range, &input.unit))
                .unwrap_or_default(),
        ]);
    }
    page.block(&inputs.text());
    let mut covariates = Table::new(["covariate", "what it is", "formula", "unit", "the model holds for"]);
    for covariate in model.covariates() {
        covariates.row([
            code(&covariate.name),
            plain(&covariate.doc),
            code(&covariate.formula),
            unit(&covariate.unit),
            covariate
                .population
                .map(|range| ends(range, &covariate.unit))
                .unwrap_or_default(),
        ]);
    }
    page.block(&covariates.text());
    let mut parameters = Table::new([
        "parameter",
        "what it is",
        "typical value",
        "unit",
        "varies between people",
        "between occasions",
    ]);
    for parameter in model.parameters() {
        let how = written.parameters.get(&parameter.name);
        parameters.row([
            code(&parameter.name),
            plain(&parameter.doc),
            code(&parameter.formula),
            unit(&parameter.unit),
            how.map(|how| between_people(parameter, how)).unwrap_or_default(),
            how.map(|how| between_occasions(parameter, how)).unwrap_or_default(),
        ]);
    }
    page.block(&parameters.text());
    correlations(page, written);
}

/// What the model gives.
fn values(page: &mut Document, model: &Model, written: &Written) {
    let mut seen = Table::new(["value", "what it is", "unit", "residual error or formula"]);
    for output in model.outputs() {
        let own = written.observed.get(&output.name);
        seen.row([
            format!("{}, observed", code(&output.name)),
            own.map(|own| plain(&own.doc)).unwrap_or_default(),
            unit(&output.unit),
            own.map(|own| residual(&own.error, &output.unit)).unwrap_or_default(),
        ]);
    }
    for output in model.shown() {
        let doc = written.outputs.get(&output.name).map(|own| plain(&own.doc));
        seen.row([
            code(&output.name),
            doc.unwrap_or_default(),
            unit(&output.unit),
            String::new(),
        ]);
    }
    for measure in model.measures() {
        let own = written.measures.get(&measure.name);
        seen.row([
            format!("{}, of the course", code(&measure.name)),
            own.map(|own| plain(&own.doc)).unwrap_or_default(),
            unit(&measure.unit),
            own.and_then(|own| own.is.as_deref()).map(code).unwrap_or_default(),
        ]);
    }
    page.block(&seen.text());
}

/// How the states are solved, in words.
fn solved(model: &Model) -> String {
    let system = model.system();
    let [closed, sums, integrated] = system.solution().map(|names| names.len());
    let ways = [
        (closed + sums, "in closed form"),
        (integrated, "integrated"),
        (system.clocked().len(), "at ticks of a clock"),
    ];
    let ways: Vec<String> = ways
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, how)| format!("{n} {how}"))
        .collect();
    if ways.is_empty() {
        "it has no states".to_owned()
    } else {
        format!("of its states, {}", ways.join(", "))
    }
}

fn checks(written: &Written) -> String {
    let mut sources: Vec<&str> = written.checks.iter().map(|check| check.source.trim()).collect();
    sources.sort_unstable();
    sources.dedup();
    if sources.is_empty() {
        return "none".to_owned();
    }
    let examples = if written.checks.len() == 1 {
        "example"
    } else {
        "examples"
    };
    format!(
        "{} worked {examples} that `jumeau check` recomputes; from: {}",
        written.checks.len(),
        plain(&sources.join("; "))
    )
}

fn kind(input: &Input) -> String {
    match &input.kind {
        InputKind::Quantity if input.interpolated => format!("{}, interpolated", quantity("", &input.unit).trim()),
        InputKind::Quantity => unit(&input.unit),
        InputKind::Flag => "0 or 1".to_owned(),
        InputKind::Category { levels, .. } => levels.iter().map(|level| plain(level)).collect::<Vec<_>>().join(", "),
    }
}

/// What the model does when an input is not known.
fn default(input: &Input) -> String {
    match (&input.kind, input.default) {
        (InputKind::Category { levels, .. }, Some(place)) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the place of a level"
            )]
            let level = levels.get(place as usize);
            level.map(|level| plain(level)).unwrap_or_default()
        }
        (InputKind::Category { frequency, .. }, None) if !frequency.is_empty() => {
            let shares: Vec<String> = frequency
                .iter()
                .map(|share| format!("{} %", rounded(100.0 * share)))
                .collect();
            format!("mixed: {}", shares.join(", "))
        }
        (_, Some(value)) => exact(value),
        (_, None) => "refused".to_owned(),
    }
}

/// How big a random effect is, for people: CV where the parameter is multiplied, SD where something is added.
fn size(variance: f64, distribution: &str, ucum: &str) -> String {
    let sd = variance.sqrt();
    match distribution {
        "normal" => quantity(&format!("SD {}", rounded(sd)), ucum),
        "proportional" => format!("CV {} %, normal", rounded(100.0 * sd)),
        "logit-normal" => format!("SD {} of the logit", rounded(sd)),
        "box-cox" => format!("SD {} of the logarithm, Box-Cox", rounded(sd)),
        _ => format!("CV {} %", rounded(100.0 * variance.exp_m1().sqrt())),
    }
}

/// The variance of a random effect from the key its author chose; `cv` is of a log-normal distribution, or of a proportional one.
fn variance(cv: Option<f64>, sd: Option<f64>, omega2: Option<f64>, distribution: &str) -> Option<f64> {
    let of_cv = cv.map(|cv| cv / 100.0).map(|cv| match distribution {
        "proportional" => cv * cv,
        _ => (cv * cv).ln_1p(),
    });
    of_cv.or(sd.map(|sd| sd * sd)).or(omega2)
}

fn between_people(parameter: &Parameter, how: &Variability) -> String {
    let distribution = how.distribution.as_deref().unwrap_or_default();
    let mut parts: Vec<String> = Vec::new();
    if let Some(variance) = variance(how.cv, how.omega_sd, how.omega2, distribution) {
        parts.push(size(variance, distribution, &parameter.unit));
    }
    if let Some(lambda) = how.lambda {
        parts.push(format!("λ = {}", exact(lambda)));
    }
    if let Some(prior) = &how.prior {
        let on = how.prior_on.as_ref().map(|on| format!(" on {}", code(on)));
        parts.push(format!("prior {}{}", code(prior), on.unwrap_or_default()));
    }
    if let Some(ends) = &how.within {
        let ends: Vec<String> = ends.iter().map(shown).collect();
        parts.push(format!("within {}", plain(&ends.join(" to "))));
    }
    if let Some(eta) = how.eta.as_ref().filter(|eta| **eta != parameter.name) {
        parts.push(format!("effect {}", code(eta)));
    }
    parts.join(", ")
}

fn between_occasions(parameter: &Parameter, how: &Variability) -> String {
    let distribution = how.distribution.as_deref().unwrap_or_default();
    let variance = variance(how.occasion_cv, how.occasion_sd, how.occasion_omega2, distribution);
    variance
        .map(|variance| size(variance, distribution, &parameter.unit))
        .unwrap_or_default()
}

fn correlations(page: &mut Document, written: &Written) {
    let mut items = Vec::new();
    for pair in &written.omega {
        let names: Vec<String> = pair.between.iter().map(|name| code(name)).collect();
        let said = pair
            .correlation
            .map(|r| format!("correlation {}", exact(r)))
            .or(pair.covariance.map(|c| format!("covariance {}", exact(c))));
        items.push(format!("{}: {}", names.join(" and "), said.unwrap_or_default()));
    }
    if !items.is_empty() {
        page.block("Random effects that go together:");
        page.list(&items);
    }
}

/// Doses, clock and cycle.
fn extras(written: &Written) -> Vec<String> {
    let keys = |table: &BTreeMap<String, Value>| {
        let pairs = table
            .iter()
            .map(|(key, value)| format!("{key} {}", code(&shown(value))));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let mut items = Vec::new();
    if let Some(Doses { state, to, how }) = &written.doses {
        let state = state.iter().map(|state| format!("go into {}", code(state)));
        let how = Some(keys(how)).filter(|how| !how.is_empty());
        items.push(format!("Doses {}", state.chain(how).collect::<Vec<_>>().join(", ")));
        for (state, how) in to {
            let how = Some(keys(how))
                .filter(|how| !how.is_empty())
                .map(|how| format!(", {how}"));
            items.push(format!(
                "Doses may also go into {}{}",
                code(state),
                how.unwrap_or_default()
            ));
        }
    }
    items.extend(written.clock.as_ref().map(|clock| format!("Clock: {}", keys(clock))));
    items.extend(written.cycle.as_ref().map(|cycle| format!("Cycle: {}", keys(cycle))));
    items
}

/// A residual error in words.
fn residual(error: &BTreeMap<String, Value>, ucum: &str) -> String {
    let parts = error.iter().map(|(key, value)| {
        let number = value.as_float().or(value
            .as_integer()
            .and_then(|whole| i32::try_from(whole).ok())
            .map(f64::from));
        match (key.as_str(), number) {
            ("additive", Some(sd)) => quantity(&format!("additive SD {}", exact(sd)), ucum),
            ("additive_variance", Some(variance)) => {
                quantity(&format!("additive SD {}", rounded(variance.sqrt())), ucum)
            }
            ("proportional", Some(share)) => format!("proportional {} %", rounded(100.0 * share)),
            ("proportional_variance", Some(variance)) => format!("proportional {} %", rounded(100.0 * variance.sqrt())),
            ("log", Some(sd)) => format!("SD {} of the logarithm", exact(sd)),
            ("log", None) => format!("SD of the logarithm {}", code(&shown(value))),
            ("power", _) => match value.as_array().map(Vec::as_slice) {
                Some([factor, power]) => format!("SD = {} · prediction^{}", shown(factor), shown(power)),
                _ => format!("power {}", code(&shown(value))),
            },
            (key, _) => format!("{} {}", key.replace('_', " "), code(&shown(value))),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variability_is_a_cv_or_an_sd() {
        let of_cv = variance(Some(39.8), None, None, "").unwrap();
        assert_eq!(size(of_cv, "", "L/h"), "CV 39.8 %");
        assert_eq!(
            size(variance(None, None, Some(0.09), "").unwrap(), "", "L/h"),
            "CV 30.7 %"
        );
        assert_eq!(
            size(variance(None, Some(0.5), None, "normal").unwrap(), "normal", "mg/L"),
            "SD 0.5 mg/L"
        );
        assert_eq!(
            size(
                variance(Some(20.0), None, None, "proportional").unwrap(),
                "proportional",
                "L"
            ),
            "CV 20 %, normal"
        );
    }

    #[test]
    fn residual_errors_in_words() {
        let error: BTreeMap<String, Value> = toml::from_str("additive = 3.4\nproportional = 0.227").unwrap();
        assert_eq!(residual(&error, "mg/L"), "additive SD 3.4 mg/L, proportional 22.7 %");
        let error: BTreeMap<String, Value> = toml::from_str("log = 'if (a == 1) 0.1 else 0.3'").unwrap();
        assert_eq!(
            residual(&error, "mg/L"),
            "SD of the logarithm `if (a == 1) 0.1 else 0.3`"
        );
    }
}
