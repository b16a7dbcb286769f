//! Taking the coefficients out of an expression that is linear in the states.

use super::graph::{Graph, Node, NodeId};
use super::parser::{BinaryOp, UnaryOp};
use std::collections::BTreeMap;

/// `sum of coefficient * state, plus a constant`; no coefficient contains a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affine {
    /// Coefficient of each state that appears, by the state's place in the list given.
    pub coefficients: BTreeMap<usize, NodeId>,
    /// What is left without any state.
    pub constant: NodeId,
}

/// The term that is not linear in the states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotLinear(pub NodeId);

/// Writes `node` as an [`Affine`] form of `states`.
///
/// # Errors
/// The smallest term that is not linear.
pub fn affine(graph: &mut Graph, node: NodeId, states: &[NodeId]) -> Result<Affine, NotLinear> {
    if let Some(place) = states.iter().position(|state| *state == node) {
        let one = graph.constant(1.0);
        return Ok(Affine {
            coefficients: BTreeMap::from([(place, one)]),
            constant: graph.constant(0.0),
        });
    }
    match graph.node(node) {
        Node::Constant(_) | Node::Input(_) => Ok(free(node)),
        Node::Unary(op, a) => {
            let a = affine(graph, a, states)?;
            match op {
                UnaryOp::Neg => Ok(map(graph, &a, |graph, x| graph.unary(UnaryOp::Neg, x))),
                _ if a.coefficients.is_empty() => Ok(free(node)),
                _ => Err(NotLinear(node)),
            }
        }
        Node::Binary(op, a_node, b_node) => {
            let a = affine(graph, a_node, states)?;
            let b = affine(graph, b_node, states)?;
            let (a_free, b_free) = (a.coefficients.is_empty(), b.coefficients.is_empty());
            match op {
                _ if a_free && b_free => Ok(free(node)),
                BinaryOp::Add | BinaryOp::Sub => Ok(join(graph, op, &a, &b)),
                BinaryOp::Mul if b_free => Ok(map(graph, &a, |graph, x| graph.binary(op, x, b_node))),
                BinaryOp::Mul if a_free => Ok(map(graph, &b, |graph, x| graph.binary(op, a_node, x))),
                BinaryOp::Div if b_free => Ok(map(graph, &a, |graph, x| graph.binary(op, x, b_node))),
                _ => Err(NotLinear(node)),
            }
        }
        Node::Select(c_node, a, b) => {
            let c = affine(graph, c_node, states)?;
            let a = affine(graph, a, states)?;
            let b = affine(graph, b, states)?;
            if a.coefficients.is_empty() && b.coefficients.is_empty() && c.coefficients.is_empty() {
                return Ok(free(node));
            }
            if !c.coefficients.is_empty() {
                return Err(NotLinear(node));
            }
            let zero = graph.constant(0.0);
            let mut coefficients = BTreeMap::new();
            for place in a.coefficients.keys().chain(b.coefficients.keys()) {
                let pick = |from: &Affine| from.coefficients.get(place).copied().unwrap_or(zero);
                coefficients.insert(*place, graph.select(c_node, pick(&a), pick(&b)));
            }
            Ok(Affine {
                coefficients,
                constant: graph.select(c_node, a.constant, b.constant),
            })
        }
    }
}

fn free(node: NodeId) -> Affine {
    Affine {
        coefficients: BTreeMap::new(),
        constant: node,
    }
}

fn map(graph: &mut Graph, form: &Affine, mut f: impl FnMut(&mut Graph, NodeId) -> NodeId) -> Affine {
    Affine {
        coefficients: form
            .coefficients
            .iter()
            .map(|(place, x)| (*place, f(graph, *x)))
            .collect(),
        constant: f(graph, form.constant),
    }
}

fn join(graph: &mut Graph, op: BinaryOp, a: &Affine, b: &Affine) -> Affine {
    let zero = graph.constant(0.0);
    let mut coefficients = a.coefficients.clone();
    for (place, x) in &b.coefficients {
        let before = coefficients.get(place).copied().unwrap_or(zero);
        coefficients.insert(*place, graph.binary(op, before, *x));
    }
    Affine {
        coefficients,
        constant: graph.binary(op, a.constant, b.constant),
    }
}
