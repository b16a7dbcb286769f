//! Names to nodes, with the units checked on the way.

use super::LangError;
use super::graph::{Graph, NodeId};
use super::parser::{BinaryOp, Expr, ExprKind, UnaryOp};
use super::suggest;
use super::units::Unit;
use std::collections::HashMap;

/// A value of the language: a node, and its unit where units are followed.
#[derive(Debug, Clone)]
pub struct Value {
    /// The expression.
    pub node: NodeId,
    /// Its unit. `None` means any: the number 0, or a scope in which units are not followed.
    pub unit: Option<Unit>,
}

/// The names a formula may use.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    names: HashMap<String, Value>,
    order: Vec<String>,
    follow_units: bool,
}

impl Scope {
    /// A scope for equations, in which every operation is checked for its units.
    pub fn with_units() -> Self {
        Self {
            follow_units: true,
            ..Self::default()
        }
    }

    /// A scope for empirical formulas, computed on the numbers as they are in their declared units.
    pub fn of_numbers() -> Self {
        Self::default()
    }

    /// Adds a name; returns false if it is taken.
    pub fn define(&mut self, name: &str, value: Value) -> bool {
        if self.names.contains_key(name) {
            return false;
        }
        self.names.insert(name.to_owned(), value);
        self.order.push(name.to_owned());
        true
    }

    /// What a name stands for.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.names.get(name)
    }

    /// All names in the order they were defined.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.order.iter().map(String::as_str)
    }

    /// Adds a formula to the graph.
    ///
    /// # Errors
    /// An unknown name, or an operation whose units do not fit; with the place in the text.
    pub fn lower(&self, graph: &mut Graph, expr: &Expr) -> Result<Value, LangError> {
        match &expr.kind {
            ExprKind::Number(value) => {
                let unit = if *value == 0.0 { None } else { self.unit(Unit::ONE) };
                Ok(Value {
                    node: graph.constant(*value),
                    unit,
                })
            }
            ExprKind::Name(name) => self.names.get(name).cloned().ok_or_else(|| {
                let error = LangError::new(expr.span.clone(), format!("`{name}` is not defined here"));
                match name.as_str() {
                    "t" | "time" => error.with_help("coefficients must not depend on time in this version"),
                    _ => error.with_help(suggest::hint(name, self.names())),
                }
            }),
            ExprKind::Unary(op, a) => {
                let a_value = self.lower(graph, a)?;
                let unit = match op {
                    UnaryOp::Neg | UnaryOp::Abs => a_value.unit.clone(),
                    UnaryOp::Sqrt => a_value.unit.as_ref().map(|unit| unit.power(0.5)),
                    UnaryOp::Not | UnaryOp::Exp | UnaryOp::Ln | UnaryOp::Log10 | UnaryOp::Floor => {
                        if *op != UnaryOp::Floor {
                            pure(a_value.unit.as_ref(), a, "this function takes a pure number")?;
                            self.unit(Unit::ONE)
                        } else {
                            a_value.unit.clone()
                        }
                    }
                };
                Ok(Value {
                    node: graph.unary(*op, a_value.node),
                    unit,
                })
            }
            ExprKind::Binary(op, a, b) => {
                let a_value = self.lower(graph, a)?;
                let b_value = self.lower(graph, b)?;
                let unit = self.binary_unit(graph, *op, (a, &a_value), (b, &b_value))?;
                Ok(Value {
                    node: graph.binary(*op, a_value.node, b_value.node),
                    unit,
                })
            }
            ExprKind::If(condition, yes, no) => {
                let c = self.lower(graph, condition)?;
                let y = self.lower(graph, yes)?;
                let n = self.lower(graph, no)?;
                let unit = alike("both cases must have one unit", y.unit, (no, n.unit))?;
                Ok(Value {
                    node: graph.select(c.node, y.node, n.node),
                    unit,
                })
            }
        }
    }

    fn unit(&self, unit: Unit) -> Option<Unit> {
        self.follow_units.then_some(unit)
    }

    fn binary_unit(
        &self,
        graph: &Graph,
        op: BinaryOp,
        (a_expr, a): (&Expr, &Value),
        (b_expr, b): (&Expr, &Value),
    ) -> Result<Option<Unit>, LangError> {
        if !self.follow_units {
            return Ok(None);
        }
        match op {
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Min | BinaryOp::Max => alike(
                "only like can be added or compared",
                a.unit.clone(),
                (b_expr, b.unit.clone()),
            ),
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Eq | BinaryOp::Ne => {
                alike(
                    "only like can be added or compared",
                    a.unit.clone(),
                    (b_expr, b.unit.clone()),
                )?;
                Ok(Some(Unit::ONE))
            }
            BinaryOp::And | BinaryOp::Or => Ok(Some(Unit::ONE)),
            BinaryOp::Mul => Ok(match (&a.unit, &b.unit) {
                (Some(x), Some(y)) => Some(x.times(y)),
                _ => None,
            }),
            BinaryOp::Div => Ok(match (&a.unit, &b.unit) {
                (Some(x), Some(y)) => Some(x.over(y)),
                _ => None,
            }),
            BinaryOp::Pow => {
                pure(b.unit.as_ref(), b_expr, "an exponent is a pure number")?;
                match (&a.unit, graph.value(b.node)) {
                    (None, _) => Ok(None),
                    (Some(x), _) if x.is_one() => Ok(Some(Unit::ONE)),
                    (Some(x), Some(power)) => Ok(Some(x.power(power))),
                    (Some(x), None) => Err(LangError::new(
                        a_expr.span.clone(),
                        format!("a quantity ({x}) to a power that is not a fixed number has no unit"),
                    )
                    .with_help("divide it by a reference value first")),
                }
            }
        }
    }
}

fn pure(unit: Option<&Unit>, expr: &Expr, why: &str) -> Result<(), LangError> {
    match unit {
        Some(unit) if !unit.is_one() => Err(LangError::new(
            expr.span.clone(),
            format!("{why}: {}", Unit::ONE.difference(unit)),
        )
        .with_help("divide it by a reference value in the same unit")),
        _ => Ok(()),
    }
}

fn alike(why: &str, a: Option<Unit>, (expr, b): (&Expr, Option<Unit>)) -> Result<Option<Unit>, LangError> {
    match (a, b) {
        (Some(a), Some(b)) if !a.same(&b) => Err(LangError::new(
            expr.span.clone(),
            format!("{why}: {}", a.difference(&b)),
        )
        .with_help("declare the quantities in units that fit together")),
        (Some(a), _) => Ok(Some(a)),
        (None, b) => Ok(b),
    }
}
