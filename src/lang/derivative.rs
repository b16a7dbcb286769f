//! Symbolic derivatives.

use super::graph::{Graph, Node, NodeId};
use super::parser::{BinaryOp, UnaryOp};
use std::collections::HashMap;

/// Derivatives of many expressions in one input; shared parts are derived once.
#[derive(Debug)]
pub struct Derivative {
    input: NodeId,
    known: HashMap<NodeId, NodeId>,
}

impl Derivative {
    /// Derivatives in `input`.
    pub fn new(input: NodeId) -> Self {
        Self {
            input,
            known: HashMap::new(),
        }
    }

    /// The derivative of `node`. Jumps (`floor`, comparisons) count as flat.
    pub fn of(&mut self, graph: &mut Graph, node: NodeId) -> NodeId {
        if node == self.input {
            return graph.constant(1.0);
        }
        if let Some(found) = self.known.get(&node) {
            return *found;
        }
        let zero = graph.constant(0.0);
        // Nothing an older node is made of can contain a younger one.
        let found = if node < self.input {
            zero
        } else {
            match graph.node(node) {
                Node::Constant(_) | Node::Input(_) => zero,
                Node::Unary(op, a) => {
                    let slope = self.of(graph, a);
                    if slope == zero {
                        zero
                    } else {
                        unary(graph, op, node, a, slope)
                    }
                }
                Node::Binary(op, a, b) => {
                    let (da, db) = (self.of(graph, a), self.of(graph, b));
                    if da == zero && db == zero {
                        zero
                    } else {
                        binary(graph, op, node, (a, da), (b, db))
                    }
                }
                Node::Select(c, a, b) => {
                    let (da, db) = (self.of(graph, a), self.of(graph, b));
                    graph.select(c, da, db)
                }
            }
        };
        self.known.insert(node, found);
        found
    }
}

fn unary(graph: &mut Graph, op: UnaryOp, node: NodeId, a: NodeId, slope: NodeId) -> NodeId {
    let zero = graph.constant(0.0);
    let one = graph.constant(1.0);
    match op {
        UnaryOp::Neg => graph.unary(UnaryOp::Neg, slope),
        UnaryOp::Exp => graph.binary(BinaryOp::Mul, node, slope),
        UnaryOp::Ln => graph.binary(BinaryOp::Div, slope, a),
        UnaryOp::Log10 => {
            let ten = graph.constant(std::f64::consts::LN_10);
            let below = graph.binary(BinaryOp::Mul, a, ten);
            graph.binary(BinaryOp::Div, slope, below)
        }
        UnaryOp::Sqrt => {
            let two = graph.constant(2.0);
            let below = graph.binary(BinaryOp::Mul, two, node);
            graph.binary(BinaryOp::Div, slope, below)
        }
        UnaryOp::Abs => {
            let negative = graph.binary(BinaryOp::Lt, a, zero);
            let minus = graph.unary(UnaryOp::Neg, slope);
            graph.select(negative, minus, slope)
        }
        UnaryOp::Sin => {
            let cos = graph.unary(UnaryOp::Cos, a);
            graph.binary(BinaryOp::Mul, cos, slope)
        }
        UnaryOp::Cos => {
            let sin = graph.unary(UnaryOp::Sin, a);
            let minus = graph.unary(UnaryOp::Neg, sin);
            graph.binary(BinaryOp::Mul, minus, slope)
        }
        UnaryOp::Tanh => {
            let square = graph.binary(BinaryOp::Mul, node, node);
            let rest = graph.binary(BinaryOp::Sub, one, square);
            graph.binary(BinaryOp::Mul, rest, slope)
        }
        UnaryOp::Phi => {
            let density = normal_density(graph, a);
            graph.binary(BinaryOp::Mul, density, slope)
        }
        UnaryOp::Probit => {
            let density = normal_density(graph, node);
            graph.binary(BinaryOp::Div, slope, density)
        }
        UnaryOp::Not | UnaryOp::Floor | UnaryOp::Trunc => zero,
    }
}

fn normal_density(graph: &mut Graph, x: NodeId) -> NodeId {
    let square = graph.binary(BinaryOp::Mul, x, x);
    let half = graph.constant(-0.5);
    let exponent = graph.binary(BinaryOp::Mul, half, square);
    let e = graph.unary(UnaryOp::Exp, exponent);
    let scale = graph.constant(1.0 / (2.0 * std::f64::consts::PI).sqrt());
    graph.binary(BinaryOp::Mul, scale, e)
}

fn binary(
    graph: &mut Graph,
    op: BinaryOp,
    node: NodeId,
    (a, da): (NodeId, NodeId),
    (b, db): (NodeId, NodeId),
) -> NodeId {
    let zero = graph.constant(0.0);
    match op {
        BinaryOp::Add | BinaryOp::Sub => graph.binary(op, da, db),
        BinaryOp::Mul => {
            let left = graph.binary(BinaryOp::Mul, da, b);
            let right = graph.binary(BinaryOp::Mul, a, db);
            graph.binary(BinaryOp::Add, left, right)
        }
        BinaryOp::Div => {
            let carried = graph.binary(BinaryOp::Mul, node, db);
            let above = graph.binary(BinaryOp::Sub, da, carried);
            graph.binary(BinaryOp::Div, above, b)
        }
        BinaryOp::Pow => {
            // b * a^(b-1), not b * a^b / a, which is 0/0 at a = 0.
            let one = graph.constant(1.0);
            let less = graph.binary(BinaryOp::Sub, b, one);
            let power = graph.binary(BinaryOp::Pow, a, less);
            let steep = graph.binary(BinaryOp::Mul, b, power);
            let left = graph.binary(BinaryOp::Mul, steep, da);
            if db == zero {
                return left;
            }
            let log = graph.unary(UnaryOp::Ln, a);
            let by_exponent = graph.binary(BinaryOp::Mul, node, log);
            let right = graph.binary(BinaryOp::Mul, by_exponent, db);
            graph.binary(BinaryOp::Add, left, right)
        }
        BinaryOp::Min => {
            let other = graph.binary(BinaryOp::Lt, b, a);
            graph.select(other, db, da)
        }
        BinaryOp::Max => {
            let other = graph.binary(BinaryOp::Lt, a, b);
            graph.select(other, db, da)
        }
        BinaryOp::Lt | BinaryOp::Le | BinaryOp::Eq | BinaryOp::Ne | BinaryOp::And | BinaryOp::Or => zero,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parser;
    use super::super::program::Program;
    use super::super::scope::{Scope, Value};
    use super::*;

    #[test]
    fn derivatives_match_differences() {
        for text in [
            "x*x*y + y/x - x^3",
            "exp(-x/y)*ln(x + y) + log10(x)",
            "x^y + y^x + sqrt(x*y)",
            "sin(x*y) + cos(x) + tanh(x - y) + phi(x - y) + probit(x/(x + y))",
            "if (x > y) x*x else y*x",
            "min(x, 2*y) + max(x*x, y) + abs(x - 3*y) + floor(x)",
            "expit(x - y) + logit(x/(x + 3)) + mod(x*10, 3)",
        ] {
            let mut graph = Graph::new();
            let mut scope = Scope::of_numbers();
            for name in ["x", "y"] {
                let node = graph.input(name);
                scope.define(name, Value::number(node));
            }
            let node = scope.lower(&mut graph, &parser::formula(text).unwrap()).unwrap().node;
            let x = graph.input("x");
            let slope = Derivative::new(x).of(&mut graph, node);
            let program = Program::new(&graph, &[node, slope]);
            for (x, y) in [(0.37, 1.21), (1.93, 0.64), (2.51, 2.03)] {
                let h = 1e-6;
                let at = |x: f64| program.values(&[x, y])[0];
                let expected = (at(x + h) - at(x - h)) / (2.0 * h);
                let found = program.values(&[x, y])[1];
                assert!(
                    (found - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                    "{text}: {found} {expected}"
                );
            }
        }
    }
}
