//! A system of equations: states with their derivatives, and named results.

use super::graph::{Graph, NodeId};
use super::parser::{Expr, Statement, Target, statements};
use super::scope::{Scope, Value};
use super::units::Unit;
use super::{LangError, suggest};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// A name the equations may read, and its unit.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// The name.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// Levels, if it is a category.
    pub levels: Option<Arc<[String]>>,
}

impl Symbol {
    /// A quantity.
    pub fn quantity(name: impl Into<String>, unit: Unit) -> Self {
        Self {
            name: name.into(),
            unit,
            levels: None,
        }
    }
}

/// What equations are written over.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Parameters of the person.
    pub parameters: Vec<Symbol>,
    /// What is read about the person; may change in time.
    pub inputs: Vec<Symbol>,
    /// What is computed from the inputs.
    pub covariates: Vec<Symbol>,
    /// Unit of a state that has none of its own.
    pub amount: Unit,
    /// Units of other states.
    pub states: BTreeMap<String, Unit>,
    /// Unit of time.
    pub time: Unit,
    /// Whether units are followed.
    pub follow_units: bool,
}

/// A state and how it changes.
#[derive(Debug, Clone)]
pub struct State {
    /// The name.
    pub name: String,
    /// The node that stands for its value.
    pub node: NodeId,
    /// Its derivative, or its value after a tick of the clock.
    pub change: NodeId,
    /// Its value at the start.
    pub initial: NodeId,
    /// Its unit.
    pub unit: Unit,
    /// Where the change is written.
    pub span: Range<usize>,
}

/// A named result of the states and parameters.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// The name.
    pub name: String,
    /// The expression.
    pub node: NodeId,
    /// Its unit; `None` if it is the number 0 or units are not followed.
    pub unit: Option<Unit>,
    /// Where it is written.
    pub span: Range<usize>,
}

/// Equations with names resolved and units checked.
#[derive(Debug, Clone)]
pub struct Equations {
    /// The expressions.
    pub graph: Graph,
    /// Parameters, in the order given.
    pub parameters: Vec<NodeId>,
    /// Inputs, in the order given.
    pub inputs: Vec<NodeId>,
    /// Covariates, in the order given.
    pub covariates: Vec<NodeId>,
    /// The time.
    pub time: NodeId,
    /// States that change all the time, in the order of their first statement.
    pub states: Vec<State>,
    /// States that change at ticks of a clock.
    pub clocked: Vec<State>,
    /// Named results in their order.
    pub assigned: Vec<Assigned>,
    scope: Scope,
}

impl Equations {
    /// Reads equations. A derivative must have the unit of its state over the unit of time.
    ///
    /// # Errors
    /// Anything that does not parse, a name that is unknown or defined twice, units that do not fit, an initial value that
    /// depends on a state or on time, nothing defined at all.
    pub fn parse(text: &str, around: &Surroundings) -> Result<Self, LangError> {
        let list = statements(text)?;
        let mut reader = Self {
            graph: Graph::new(),
            parameters: Vec::new(),
            inputs: Vec::new(),
            covariates: Vec::new(),
            time: NodeId::default(),
            states: Vec::new(),
            clocked: Vec::new(),
            assigned: Vec::new(),
            scope: if around.follow_units {
                Scope::with_units()
            } else {
                Scope::of_numbers()
            },
        };
        reader.parameters = reader.declare(&around.parameters);
        reader.inputs = reader.declare(&around.inputs);
        reader.covariates = reader.declare(&around.covariates);
        reader.time = reader.declare(&[Symbol::quantity("t", around.time.clone())])[0];
        // Changes name the states, so that equations may use them in any order.
        for statement in &list {
            if let Target::Derivative(name) | Target::Next(name) = &statement.target {
                let clocked = matches!(statement.target, Target::Next(_));
                reader.state(name, clocked, statement.target_span.clone(), around)?;
            }
        }
        for statement in list {
            reader.statement(statement, around)?;
        }
        if reader.states.is_empty() && reader.clocked.is_empty() && reader.assigned.is_empty() {
            return Err(LangError::new(0..text.len(), "nothing is defined here")
                .with_help("write `d/dt(name) = ...` for a state, or `name = ...` for a result"));
        }
        Ok(reader)
    }

    fn declare(&mut self, symbols: &[Symbol]) -> Vec<NodeId> {
        let declare = |symbol: &Symbol| {
            let node = self.graph.input(&symbol.name);
            let value = Value {
                unit: self.scope.follows_units().then(|| symbol.unit.clone()),
                levels: symbol.levels.clone(),
                ..Value::number(node)
            };
            self.scope.define(&symbol.name, value);
            node
        };
        symbols.iter().map(declare).collect()
    }

    fn state(&mut self, name: &str, clocked: bool, span: Range<usize>, around: &Surroundings) -> Result<(), LangError> {
        let unit = around.states.get(name).unwrap_or(&around.amount).clone();
        if self.scope.get(name).is_some() {
            return Err(LangError::new(
                span,
                format!("`{name}` is already the name of something, or of a state whose change is written elsewhere"),
            ));
        }
        let node = self.declare(&[Symbol::quantity(name, unit.clone())])[0];
        let zero = self.graph.constant(0.0);
        let state = State {
            name: name.to_owned(),
            node,
            change: zero,
            initial: zero,
            unit,
            span,
        };
        if clocked {
            self.clocked.push(state);
        } else {
            self.states.push(state);
        }
        Ok(())
    }

    fn statement(&mut self, statement: Statement, around: &Surroundings) -> Result<(), LangError> {
        let value = self.formula(&statement.value)?;
        let span = statement.value.span;
        let fits = |wanted: &Unit, what: &str, help: &str| match value.unit.as_ref().filter(|unit| !wanted.same(unit)) {
            Some(found) => Err(LangError::new(
                span.clone(),
                format!("{what} has the wrong unit: {}", wanted.difference(found)),
            )
            .with_help(help)),
            None => Ok(()),
        };
        match statement.target {
            Target::Derivative(name) => {
                if let Some(state) = self.states.iter_mut().find(|state| state.name == name) {
                    fits(
                        &state.unit.over(&around.time),
                        &format!("the derivative of `{name}`"),
                        "a derivative has the unit of its state over the unit of time; a state has the unit of amount unless \
                         `states = { name = \"unit\" }` says otherwise",
                    )?;
                    state.change = value.node;
                    state.span = span;
                }
            }
            Target::Next(name) => {
                if let Some(state) = self.clocked.iter_mut().find(|state| state.name == name) {
                    fits(
                        &state.unit,
                        &format!("the next value of `{name}`"),
                        "a state has the unit of amount unless `states = { name = \"unit\" }` says otherwise",
                    )?;
                    state.change = value.node;
                    state.span = span;
                }
            }
            Target::Initial(name) => {
                let moving = self.moving();
                if moving.get(value.node.index()).copied().unwrap_or(true) {
                    return Err(LangError::new(
                        span,
                        format!("the initial value of `{name}` depends on the time or on a state"),
                    )
                    .with_help("it may be made of parameters, inputs and covariates"));
                }
                let known = self.states.iter().chain(&self.clocked).map(|state| state.name.as_str());
                let help = suggest::hint(&name, known);
                let mut states = self.states.iter_mut().chain(&mut self.clocked);
                let Some(state) = states.find(|state| state.name == name) else {
                    return Err(
                        LangError::new(statement.target_span, format!("there is no state `{name}`")).with_help(help),
                    );
                };
                fits(
                    &state.unit,
                    &format!("the initial value of `{name}`"),
                    "a state has the unit of amount unless `states = { name = \"unit\" }` says otherwise",
                )?;
                state.initial = value.node;
            }
            Target::Name(name) => {
                if !self.scope.define(&name, value.clone()) {
                    return Err(
                        LangError::new(statement.target_span, format!("`{name}` is already defined"))
                            .with_help("give each result its own name"),
                    );
                }
                self.assigned.push(Assigned {
                    name,
                    node: value.node,
                    unit: value.unit,
                    span,
                });
            }
        }
        Ok(())
    }

    /// Lowers a further formula over the names of the equations.
    ///
    /// # Errors
    /// As for the equations.
    pub fn formula(&mut self, expr: &Expr) -> Result<Value, LangError> {
        let known = self.graph.delays().len();
        let value = self.scope.lower(&mut self.graph, expr)?;
        self.check_delays(known, expr)?;
        Ok(value)
    }

    /// Whether every delay beyond the first `known` reads an input, with a lag that stands still.
    fn check_delays(&self, known: usize, expr: &Expr) -> Result<(), LangError> {
        let inputs: Vec<NodeId> = self.graph.input_nodes().collect();
        for delay in self.graph.delays().iter().skip(known) {
            let node = inputs.get(delay.input).copied().unwrap_or_default();
            if !self.inputs.contains(&node) {
                return Err(
                    LangError::new(expr.span.clone(), "only an input can be read with a delay")
                        .with_help("an input is what stands under [inputs]; for a state, write a chain of states"),
                );
            }
            if self.moves(delay.lag) {
                return Err(
                    LangError::new(expr.span.clone(), "the lag of a `delay` must not change with time")
                        .with_help("it may be made of parameters, inputs and covariates"),
                );
            }
        }
        Ok(())
    }

    /// The same for a formula computed on the numbers as they are, without units.
    ///
    /// # Errors
    /// As for the equations.
    pub fn numbers(&mut self, expr: &Expr) -> Result<NodeId, LangError> {
        let known = self.graph.delays().len();
        let node = self.scope.as_numbers().lower(&mut self.graph, expr)?.node;
        self.check_delays(known, expr)?;
        Ok(node)
    }

    /// A formula of one value called `x`, which `x` stands for.
    pub fn penalty(&mut self, expr: &Expr, x: NodeId) -> Option<NodeId> {
        let mut scope = Scope::of_numbers();
        scope.define("x", Value::number(x));
        scope.lower(&mut self.graph, expr).ok().map(|value| value.node)
    }

    /// Adds a value that whoever runs a program fills in. `None` if the name is taken.
    pub fn declare_value(&mut self, name: &str, unit: Option<Unit>) -> Option<NodeId> {
        let node = self.graph.input(name);
        let value = Value {
            unit: unit.filter(|_| self.scope.follows_units()),
            ..Value::number(node)
        };
        self.scope.define(name, value).then_some(node)
    }

    /// Whether a name is taken.
    pub fn knows(&self, name: &str) -> bool {
        self.scope.get(name).is_some()
    }

    /// Whether a node depends on any of `these`.
    fn depends(&self, node: NodeId, these: impl Iterator<Item = NodeId>) -> bool {
        let depends = self.graph.depends_on(&these.collect::<HashSet<_>>());
        depends.get(node.index()).copied().unwrap_or(true)
    }

    /// Whether a node depends on the time or on a state.
    pub fn moves(&self, node: NodeId) -> bool {
        self.depends_on_state(node) || self.depends(node, [self.time].into_iter())
    }

    /// Whether a node depends on a state.
    pub fn depends_on_state(&self, node: NodeId) -> bool {
        self.depends(node, self.states.iter().chain(&self.clocked).map(|state| state.node))
    }

    /// Whether a node depends on a parameter.
    pub fn depends_on_parameter(&self, node: NodeId) -> bool {
        self.depends(node, self.parameters.iter().copied())
    }

    /// For every node, whether it depends on the time or on a state.
    pub(crate) fn moving(&self) -> Vec<bool> {
        let moving = self.states.iter().chain(&self.clocked).map(|state| state.node);
        self.graph
            .depends_on(&moving.chain([self.time]).collect::<HashSet<_>>())
    }

    /// The result or state called `name`: its node, its unit, and where it is written.
    ///
    /// # Errors
    /// The hint to show if there is none.
    pub fn result(&self, name: &str) -> Result<(NodeId, Option<Unit>, Range<usize>), String> {
        if let Some(found) = self.assigned.iter().find(|assigned| assigned.name == name) {
            return Ok((found.node, found.unit.clone(), found.span.clone()));
        }
        let mut states = self.states.iter().chain(&self.clocked);
        if let Some(found) = states.find(|state| state.name == name) {
            let unit = self.scope.follows_units().then(|| found.unit.clone());
            return Ok((found.node, unit, found.span.clone()));
        }
        let names = self
            .assigned
            .iter()
            .map(|a| a.name.as_str())
            .chain(self.states.iter().chain(&self.clocked).map(|s| s.name.as_str()));
        Err(suggest::hint(name, names))
    }
}

#[cfg(test)]
mod tests {
    use super::super::linear::affine;
    use super::*;

    fn parse(text: &str) -> Result<Equations, LangError> {
        let unit = |code: &str| Unit::parse(code).unwrap();
        let symbol = |(name, code): (&str, &str)| Symbol::quantity(name, unit(code));
        Equations::parse(
            text,
            &Surroundings {
                parameters: [("CL", "L/h"), ("V", "L"), ("Vmax", "mg/h"), ("Km", "mg/L")]
                    .map(symbol)
                    .to_vec(),
                inputs: vec![
                    symbol(("wt", "kg")),
                    Symbol {
                        levels: Some(vec!["GG".to_owned(), "GA".to_owned()].into()),
                        ..symbol(("vk", "1"))
                    },
                ],
                covariates: Vec::new(),
                amount: unit("mg"),
                states: [("E".to_owned(), unit("1"))].into(),
                time: unit("h"),
                follow_units: true,
            },
        )
    }

    #[test]
    fn reads_and_checks() {
        let mut e = parse("k = CL/V\nd/dt(A) = -k*A\nC = A/V").unwrap();
        assert_eq!(e.states.len(), 1);
        assert!(e.assigned[1].unit.as_ref().unwrap().same(&Unit::parse("mg/L").unwrap()));
        let state = e.states[0].node;
        let form = affine(&mut e.graph, e.states[0].change, &[state]).unwrap();
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
        let error = affine(&mut e.graph, e.states[0].change, &[state]).unwrap_err();
        assert!(e.graph.print(error.0).contains("Km"), "{}", e.graph.print(error.0));
    }

    #[test]
    fn names() {
        assert!(parse("d/dt(A) = -kel*A").unwrap_err().help.is_some());
        assert!(parse("d/dt(CL) = 0").is_err());
        assert!(parse("CL = 1").is_err());
        assert!(parse("d/dt(A)=0\nd/dt(A)=0").is_err());
        assert!(
            parse("d/dt(A) = -CL/V*A\nA(0) = A")
                .unwrap_err()
                .message
                .contains("initial")
        );
        assert!(
            parse("d/dt(A) = -CL/V*A\nB(0) = 1")
                .unwrap_err()
                .message
                .contains("no state")
        );
        assert!(parse("").unwrap_err().message.contains("nothing"));
        assert!(parse("vk2 = if (vk == \"GA\") 1 else 2").is_ok());
        assert!(
            parse("x = if (vk == \"GT\") 1 else 2")
                .unwrap_err()
                .message
                .contains("no level")
        );
        assert!(
            parse("x = if (wt == \"GT\") 1 else 2")
                .unwrap_err()
                .message
                .contains("category")
        );
    }

    #[test]
    fn states_of_every_kind() {
        let e = parse(
            "d/dt(A) = -CL/V*A\nA(0) = 3[mg]\nC = A/V\nnext(E) = if (C > 2[mg/L] && t > 3[h]) 1 else E\nD = delay(wt, 2)",
        )
        .unwrap();
        assert_eq!((e.states.len(), e.clocked.len(), e.graph.delays().len()), (1, 1, 1));
        assert!(
            parse("d/dt(A) = -CL/V*A\nA(0) = 3[g]")
                .unwrap_err()
                .message
                .contains("wrong unit")
        );
        assert!(
            parse("d/dt(A) = -CL/V*A\nC = A/V + 3[ug/L]")
                .unwrap_err()
                .message
                .contains("only like")
        );
        assert!(
            parse("d/dt(A) = -CL/V*A\nx = delay(A, 2)")
                .unwrap_err()
                .message
                .contains("input")
        );
        assert!(parse("d/dt(A) = 0\nnext(A) = 1").is_err());
    }
}
