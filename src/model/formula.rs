//! Formulas of the clinician's file, over the values at hand about a patient.

use std::collections::{BTreeMap, BTreeSet};

use crate::lang::{
    Graph, LangError, Program,
    parser::{self, Expr, ExprKind},
    scope::{Scope, Value},
};

/// What is known about a patient, by name: numbers in the units of the file, flags as 0 or 1, categories as the place of
/// their level.
pub type Values = BTreeMap<String, f64>;

/// A formula in the language of the model files, computed on the numbers as they are.
#[derive(Debug, Clone)]
pub struct Formula {
    text: String,
    names: Vec<String>,
    program: Program,
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Formula {
    /// Reads a formula over `known` names.
    ///
    /// # Errors
    /// What does not parse, or a name that is not known, with its place in the text.
    pub fn parse(text: &str, known: &BTreeSet<String>) -> Result<Self, LangError> {
        let expr = parser::formula(text)?;
        let mut names = BTreeSet::new();
        collect(&expr, &mut names);
        let mut graph = Graph::new();
        let mut scope = Scope::of_numbers();
        let mut given = Vec::new();
        let mut read = Vec::new();
        for name in known {
            let node = graph.input(name);
            scope.define(name, Value::number(node));
            if names.contains(name) {
                given.push(node);
                read.push(name.clone());
            }
        }
        let value = scope.lower(&mut graph, &expr)?;
        Ok(Self {
            text: text.to_owned(),
            names: read,
            program: Program::over(&graph, &given, &[value.node]),
        })
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names that it reads.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its value; none where something it needs is not known, or where it has no finite value.
    #[must_use]
    pub fn value(&self, values: &Values) -> Option<f64> {
        let inputs: Vec<f64> = self
            .names
            .iter()
            .map(|name| values.get(name).copied().unwrap_or(f64::NAN))
            .collect();
        self.program
            .sound_values(&inputs)
            .first()
            .copied()
            .flatten()
            .filter(|value| value.is_finite())
    }

    /// Whether a condition holds; not when something it needs is not known.
    #[must_use]
    pub fn holds(&self, values: &Values) -> bool {
        self.value(values).is_some_and(|value| value != 0.0)
    }
}

/// The names in an expression.
fn collect(expr: &Expr, names: &mut BTreeSet<String>) {
    match &expr.kind {
        ExprKind::Name(name) => {
            names.insert(name.clone());
        }
        ExprKind::Number(_) | ExprKind::Quantity(..) | ExprKind::Text(_) => {}
        ExprKind::Unary(_, a) => collect(a, names),
        ExprKind::Binary(_, a, b) => [a, b].into_iter().for_each(|e| collect(e, names)),
        ExprKind::If(a, b, c) => [a, b, c].into_iter().for_each(|e| collect(e, names)),
        ExprKind::Call(_, list) => list.iter().for_each(|e| collect(e, names)),
    }
}

/// A number, or a formula that gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// As written.
    Plain(f64),
    /// Computed for each patient.
    Formula(Formula),
}

impl Number {
    /// For a patient; none where something the formula needs is not known.
    #[must_use]
    pub fn value(&self, values: &Values) -> Option<f64> {
        match self {
            Self::Plain(value) => Some(*value),
            Self::Formula(formula) => formula.value(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formula(text: &str) -> Formula {
        let known = ["wt", "scr", "scr_first"].map(str::to_owned).into();
        Formula::parse(text, &known).unwrap()
    }

    #[test]
    fn a_formula_reads_what_is_at_hand() {
        let values: Values = [("wt".to_owned(), 70.0), ("scr".to_owned(), 90.0)].into();
        assert_eq!(formula("wt/2").value(&values), Some(35.0));
        assert_eq!(formula("2*scr + 1").names(), ["scr"]);
        assert!(formula("scr > 80 && wt < 100").holds(&values));
    }

    #[test]
    fn what_is_not_known_makes_no_value_and_no_condition_true() {
        let values: Values = [("scr".to_owned(), 90.0)].into();
        assert_eq!(formula("scr/scr_first").value(&values), None);
        assert!(!formula("scr > 1.5*scr_first").holds(&values));
        assert!(!formula("!(scr > 1.5*scr_first)").holds(&values));
        // The branch that is not taken need not be known.
        assert_eq!(formula("if (scr > 1) 2 else scr_first").value(&values), Some(2.0));
    }

    #[test]
    fn an_unknown_name_is_an_error_with_its_place() {
        let known = ["wt".to_owned()].into();
        let error = Formula::parse("2*wgt", &known).unwrap_err();
        assert!(error.message.contains("wgt"), "{}", error.message);
        assert_eq!(error.span, 2..5);
    }
}
