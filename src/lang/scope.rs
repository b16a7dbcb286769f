//! Names to nodes, with the units checked on the way.

use super::LangError;
use super::graph::{Graph, NodeId};
use super::parser::{BinaryOp, Expr, ExprKind, UnaryOp};
use super::suggest;
use super::units::Unit;
use std::collections::HashMap;
use std::sync::Arc;

/// A value of the language: a node, and its unit where units are followed.
#[derive(Debug, Clone)]
pub struct Value {
    /// The expression.
    pub node: NodeId,
    /// Its unit. `None` means any: the number 0, or a scope in which units are not followed.
    pub unit: Option<Unit>,
    /// Levels of a category; its value is the place of its level.
    pub levels: Option<Arc<[String]>>,
}

impl Value {
    /// A plain number.
    pub fn number(node: NodeId) -> Self {
        Self {
            node,
            unit: None,
            levels: None,
        }
    }

    /// A quantity with its unit.
    pub fn quantity(node: NodeId, unit: Unit) -> Self {
        Self {
            unit: Some(unit),
            ..Self::number(node)
        }
    }
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

    /// Whether units are followed.
    pub fn follows_units(&self) -> bool {
        self.follow_units
    }

    /// The same names for formulas computed on the numbers as they are.
    pub fn as_numbers(&self) -> Self {
        Self {
            follow_units: false,
            ..self.clone()
        }
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
                    unit,
                    ..Value::number(graph.constant(*value))
                })
            }
            ExprKind::Quantity(value, code) => {
                let unit = Unit::parse(code).map_err(|why| LangError::new(expr.span.clone(), why))?;
                Ok(Value {
                    unit: self.unit(unit),
                    ..Value::number(graph.constant(*value))
                })
            }
            ExprKind::Name(name) => match (self.names.get(name), name.as_str()) {
                (Some(value), _) if value.levels.is_some() => Err(LangError::new(
                    expr.span.clone(),
                    format!("`{name}` is a category, not a number"),
                )
                .with_help("compare it with one of its levels: `name == \"level\"`")),
                (Some(value), _) => Ok(value.clone()),
                (None, "pi") => Ok(Value {
                    unit: self.unit(Unit::ONE),
                    ..Value::number(graph.constant(std::f64::consts::PI))
                }),
                (None, _) => {
                    let error = LangError::new(expr.span.clone(), format!("`{name}` is not defined here"));
                    Err(match name.as_str() {
                        "t" => error.with_help("only equations and what is made of them may depend on the time `t`"),
                        "time" => error.with_help("the time is called `t`, in equations"),
                        _ => error.with_help(suggest::hint(name, self.names())),
                    })
                }
            },
            ExprKind::Text(text) => Err(LangError::new(
                expr.span.clone(),
                format!("the text \"{text}\" can only be compared with a category"),
            )
            .with_help("write `name == \"level\"`")),
            ExprKind::Call(name, list) => self.call(graph, name, list, expr),
            ExprKind::Unary(op, a) => {
                let a_value = self.lower(graph, a)?;
                let unit = match op {
                    UnaryOp::Neg | UnaryOp::Abs => a_value.unit.clone(),
                    UnaryOp::Sqrt => a_value.unit.as_ref().map(|unit| unit.power(0.5)),
                    UnaryOp::Floor | UnaryOp::Trunc => a_value.unit.clone(),
                    _ => {
                        pure(a_value.unit.as_ref(), a, "this function takes a pure number")?;
                        self.unit(Unit::ONE)
                    }
                };
                let node = graph.unary(*op, a_value.node);
                if graph.value(node).is_some_and(|x| !x.is_finite()) {
                    return Err(LangError::new(expr.span.clone(), "this has no finite value"));
                }
                Ok(Value {
                    unit,
                    ..Value::number(node)
                })
            }
            ExprKind::Binary(op @ (BinaryOp::Eq | BinaryOp::Ne), a, b)
                if matches!(a.kind, ExprKind::Text(_)) || matches!(b.kind, ExprKind::Text(_)) =>
            {
                self.level(graph, *op, a, b)
            }
            ExprKind::Binary(op, a, b) => {
                let a_value = self.lower(graph, a)?;
                let b_value = self.lower(graph, b)?;
                let unit = self.binary_unit(graph, *op, (a, &a_value), (b, &b_value))?;
                let node = graph.binary(*op, a_value.node, b_value.node);
                if graph.value(node).is_some_and(|x| !x.is_finite()) {
                    return Err(LangError::new(expr.span.clone(), "this has no finite value"));
                }
                Ok(Value {
                    unit,
                    ..Value::number(node)
                })
            }
            ExprKind::If(condition, yes, no) => {
                let c = self.lower(graph, condition)?;
                let y = self.lower(graph, yes)?;
                let n = self.lower(graph, no)?;
                let unit = alike("both cases must have one unit", y.unit, (no, n.unit))?;
                Ok(Value {
                    unit,
                    ..Value::number(graph.select(c.node, y.node, n.node))
                })
            }
        }
    }

    /// A category compared with one of its levels.
    fn level(&self, graph: &mut Graph, op: BinaryOp, a: &Expr, b: &Expr) -> Result<Value, LangError> {
        let (text, other) = match (&a.kind, &b.kind) {
            (ExprKind::Text(text), _) => (text, b),
            (_, ExprKind::Text(text)) => (text, a),
            _ => {
                return Err(LangError::new(
                    a.span.clone(),
                    "one side must be the level of a category",
                ));
            }
        };
        let value = match &other.kind {
            ExprKind::Name(name) => self.names.get(name).cloned(),
            ExprKind::Text(_) => None,
            _ => Some(self.lower(graph, other)?),
        };
        let Some((value, levels)) = value.and_then(|value| value.levels.clone().map(|levels| (value, levels))) else {
            return Err(
                LangError::new(other.span.clone(), "only a category can be compared with a text")
                    .with_help("an input is a category if it has `kind = \"category\"` and `levels = [...]`"),
            );
        };
        let Some(place) = levels.iter().position(|level| level == text) else {
            return Err(
                LangError::new(other.span.clone(), format!("this category has no level \"{text}\""))
                    .with_help(suggest::hint(text, levels.iter().map(String::as_str))),
            );
        };
        #[expect(clippy::cast_precision_loss, reason = "a category has few levels")]
        let place = graph.constant(place as f64);
        Ok(Value {
            unit: self.unit(Unit::ONE),
            ..Value::number(graph.binary(op, value.node, place))
        })
    }

    /// Functions that are not one operation.
    fn call(&self, graph: &mut Graph, name: &str, list: &[Expr], expr: &Expr) -> Result<Value, LangError> {
        let pure_number = |node| Value {
            unit: self.unit(Unit::ONE),
            ..Value::number(node)
        };
        match (name, list) {
            ("expit" | "logit", [a]) => {
                let x = self.lower(graph, a)?;
                pure(x.unit.as_ref(), a, "this function takes a pure number")?;
                let node = if name == "expit" {
                    graph.expit(x.node)
                } else {
                    graph.logit(x.node)
                };
                Ok(pure_number(node))
            }
            ("mod", [a, b]) => {
                let x = self.lower(graph, a)?;
                let y = self.lower(graph, b)?;
                let unit = alike("both values must have one unit", x.unit, (b, y.unit))?;
                Ok(Value {
                    unit,
                    ..Value::number(graph.modulo(x.node, y.node))
                })
            }
            ("delay", [a, b]) => {
                let x = self.lower(graph, a)?;
                let lag = self.lower(graph, b)?;
                let delayed = graph.delayed(x.node, lag.node).ok_or_else(|| {
                    LangError::new(a.span.clone(), "only an input can be read with a delay")
                        .with_help("an input is what stands under [inputs]; for a state, write a chain of states")
                })?;
                Ok(Value {
                    unit: x.unit,
                    ..Value::number(delayed)
                })
            }
            ("expit" | "logit", _) => Err(LangError::new(
                expr.span.clone(),
                format!("`{name}` takes one value, found {}", list.len()),
            )),
            ("mod" | "delay", _) => Err(LangError::new(
                expr.span.clone(),
                format!("`{name}` takes two values, found {}", list.len()),
            )),
            _ => Err(LangError::new(
                expr.span.clone(),
                format!("`{name}` looks at a whole course and can only stand in [measures]"),
            )),
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
