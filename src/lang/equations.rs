//! A system of equations: states with their derivatives, and named results.

use super::graph::{Graph, NodeId};
use super::parser::{Target, statements};
use super::scope::{Scope, Value};
use super::units::Unit;
use super::{LangError, suggest};
use std::ops::Range;

/// A name the equations may read, and its unit.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// The name.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
}

/// A state and its derivative.
#[derive(Debug, Clone)]
pub struct State {
    /// The name.
    pub name: String,
    /// The node that stands for its value.
    pub node: NodeId,
    /// Its derivative.
    pub derivative: NodeId,
    /// Where the derivative is written.
    pub span: Range<usize>,
}

/// A named result of the states and parameters.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// The name.
    pub name: String,
    /// The expression.
    pub node: NodeId,
    /// Its unit; `None` if it is the number 0.
    pub unit: Option<Unit>,
    /// Where it is written.
    pub span: Range<usize>,
}

/// Equations with names resolved and units checked.
#[derive(Debug, Clone)]
pub struct Equations {
    /// The expressions.
    pub graph: Graph,
    /// States in the order of their first derivative.
    pub states: Vec<State>,
    /// Named results in their order.
    pub assigned: Vec<Assigned>,
}

impl Equations {
    /// Reads equations over `parameters`. Every state has the unit `state_unit`, and its derivative must have that unit over
    /// `time_unit`. The first inputs of the graph are the parameters in their order; the states follow.
    ///
    /// # Errors
    /// Anything that does not parse, a name that is unknown or defined twice, units that do not fit, no state at all.
    pub fn parse(text: &str, parameters: &[Symbol], state_unit: &Unit, time_unit: &Unit) -> Result<Self, LangError> {
        let list = statements(text)?;
        let mut graph = Graph::new();
        let mut scope = Scope::with_units();
        for symbol in parameters {
            let node = graph.input(&symbol.name);
            scope.define(
                &symbol.name,
                Value {
                    node,
                    unit: Some(symbol.unit.clone()),
                },
            );
        }
        // Derivatives name the states, so that equations may use them in any order.
        for statement in &list {
            if let Target::Derivative(name) = &statement.target {
                let node = graph.input(name);
                if !scope.define(
                    name,
                    Value {
                        node,
                        unit: Some(state_unit.clone()),
                    },
                ) {
                    return Err(LangError::new(
                        statement.target_span.clone(),
                        format!("`{name}` is already the name of a parameter or of a state with its derivative"),
                    ));
                }
            }
        }
        let mut states = Vec::new();
        let mut assigned = Vec::new();
        for statement in list {
            let value = scope.lower(&mut graph, &statement.value)?;
            match statement.target {
                Target::Derivative(name) => {
                    let wanted = state_unit.over(time_unit);
                    if let Some(found) = value.unit.as_ref().filter(|unit| !wanted.same(unit)) {
                        return Err(LangError::new(
                            statement.value.span,
                            format!(
                                "the derivative of `{name}` has the wrong unit: {}",
                                wanted.difference(found)
                            ),
                        )
                        .with_help("a derivative has the unit of its state over the unit of time"));
                    }
                    let node = graph.input(&name);
                    states.push(State {
                        name,
                        node,
                        derivative: value.node,
                        span: statement.value.span,
                    });
                }
                Target::Name(name) => {
                    if !scope.define(&name, value.clone()) {
                        return Err(
                            LangError::new(statement.target_span, format!("`{name}` is already defined"))
                                .with_help("give each result its own name"),
                        );
                    }
                    assigned.push(Assigned {
                        name,
                        node: value.node,
                        unit: value.unit,
                        span: statement.value.span,
                    });
                }
            }
        }
        if states.is_empty() {
            return Err(LangError::new(0..text.len(), "no state is defined").with_help("write `d/dt(name) = ...`"));
        }
        Ok(Self {
            graph,
            states,
            assigned,
        })
    }

    /// The result or state called `name`: its node, and its unit if it is a result.
    ///
    /// # Errors
    /// The hint to show if there is none.
    pub fn result(&self, name: &str) -> Result<(NodeId, Option<&Assigned>), String> {
        if let Some(found) = self.assigned.iter().find(|assigned| assigned.name == name) {
            return Ok((found.node, Some(found)));
        }
        if let Some(found) = self.states.iter().find(|state| state.name == name) {
            return Ok((found.node, None));
        }
        let names = self
            .assigned
            .iter()
            .map(|a| a.name.as_str())
            .chain(self.states.iter().map(|s| s.name.as_str()));
        Err(suggest::hint(name, names))
    }
}

#[cfg(test)]
mod tests {
    use super::super::linear::affine;
    use super::*;

    fn symbols() -> Vec<Symbol> {
        [("CL", "L/h"), ("V", "L"), ("Vmax", "mg/h"), ("Km", "mg/L")]
            .map(|(name, unit)| Symbol {
                name: name.into(),
                unit: Unit::parse(unit).unwrap(),
            })
            .to_vec()
    }

    fn parse(text: &str) -> Result<Equations, LangError> {
        Equations::parse(
            text,
            &symbols(),
            &Unit::parse("mg").unwrap(),
            &Unit::parse("h").unwrap(),
        )
    }

    #[test]
    fn reads_and_checks() {
        let mut e = parse("k = CL/V\nd/dt(A) = -k*A\nC = A/V").unwrap();
        assert_eq!(e.states.len(), 1);
        assert!(e.assigned[1].unit.as_ref().unwrap().same(&Unit::parse("mg/L").unwrap()));
        let state = e.states[0].node;
        let form = affine(&mut e.graph, e.states[0].derivative, &[state]).unwrap();
        assert_eq!(e.graph.print(form.coefficients[&0]), "-(CL/V)");
    }

    #[test]
    fn units_that_do_not_fit() {
        let error = parse("d/dt(A) = -CL*A").unwrap_err();
        assert!(error.message.contains("wrong unit"), "{error}");
        assert!(
            parse("d/dt(A) = -CL/V*A\nC = A + V")
                .unwrap_err()
                .message
                .contains("only like")
        );
        assert!(
            parse("d/dt(A) = -CL/V*A\nC = exp(A)")
                .unwrap_err()
                .message
                .contains("pure number")
        );
        assert!(parse("d/dt(A) = 0").is_ok());
    }

    #[test]
    fn names_the_term_that_is_not_linear() {
        let mut e = parse("C = A/V\nd/dt(A) = -Vmax*C/(Km + C)").unwrap();
        let state = e.states[0].node;
        let error = affine(&mut e.graph, e.states[0].derivative, &[state]).unwrap_err();
        assert!(e.graph.print(error.0).contains("Km"), "{}", e.graph.print(error.0));
    }

    #[test]
    fn names() {
        assert!(parse("d/dt(A) = -kel*A").unwrap_err().help.is_some());
        assert!(parse("d/dt(CL) = 0").is_err());
        assert!(parse("CL = 1").is_err());
        assert!(parse("d/dt(A)=0\nd/dt(A)=0").is_err());
        assert!(parse("x = V").unwrap_err().message.contains("no state"));
        assert!(parse("d/dt(A) = t*A").unwrap_err().help.unwrap().contains("time"));
    }
}
