//! Expressions as a graph in which equal expressions are one node.
//!
//! Sharing makes common sub-expressions free. Constants fold on the way in, and the laws `x+0`, `x*1`, `x*0`, `x/1`, `x^1`,
//! `--x` are applied, so the coefficients taken out of equations stay as small as a person would write them.

use super::number::Number;
use super::parser::{BinaryOp, UnaryOp};
use std::collections::HashMap;

/// A node of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a node is; a constant is kept by its bits so that it can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Constant(u64),
    Input(u32),
    Unary(UnaryOp, NodeId),
    Binary(BinaryOp, NodeId, NodeId),
    Select(NodeId, NodeId, NodeId),
}

/// A set of shared expressions over named inputs.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
    inputs: Vec<String>,
}

/// One operation of one argument on any number.
pub(crate) fn apply_unary<T: Number>(op: UnaryOp, a: T) -> T {
    match op {
        UnaryOp::Neg => -a,
        UnaryOp::Not => truth(a.value() == 0.0),
        UnaryOp::Exp => a.exp(),
        UnaryOp::Ln => a.ln(),
        UnaryOp::Log10 => a.ln() * T::constant(std::f64::consts::LOG10_E),
        UnaryOp::Sqrt => a.sqrt(),
        UnaryOp::Abs => {
            if a.value() < 0.0 {
                -a
            } else {
                a
            }
        }
        UnaryOp::Floor => T::constant(a.value().floor()),
    }
}

/// One operation of two arguments on any number.
pub(crate) fn apply_binary<T: Number>(op: BinaryOp, a: T, b: T) -> T {
    let (x, y) = (a.value(), b.value());
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Pow => a.pow(b),
        BinaryOp::Min => {
            if y < x || y.is_nan() {
                b
            } else {
                a
            }
        }
        BinaryOp::Max => {
            if y > x || y.is_nan() {
                b
            } else {
                a
            }
        }
        BinaryOp::Lt => truth(x < y),
        BinaryOp::Le => truth(x <= y),
        BinaryOp::Eq => truth(x == y),
        BinaryOp::Ne => truth(x != y),
        BinaryOp::And => truth(x != 0.0 && y != 0.0),
        BinaryOp::Or => truth(x != 0.0 || y != 0.0),
    }
}

fn truth<T: Number>(condition: bool) -> T {
    T::constant(if condition { 1.0 } else { 0.0 })
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The input called `name`, added if new. Inputs are numbered in the order they are added.
    pub fn input(&mut self, name: &str) -> NodeId {
        let index = self.inputs.iter().position(|known| known == name).unwrap_or_else(|| {
            self.inputs.push(name.to_owned());
            self.inputs.len() - 1
        });
        self.intern(Node::Input(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// A constant.
    pub fn constant(&mut self, value: f64) -> NodeId {
        self.intern(Node::Constant((if value == 0.0 { 0.0 } else { value }).to_bits()))
    }

    /// An operation of one argument, folded where possible.
    pub fn unary(&mut self, op: UnaryOp, a: NodeId) -> NodeId {
        if let Some(x) = self.value(a) {
            return self.constant(apply_unary(op, x));
        }
        match (op, self.node(a)) {
            (UnaryOp::Neg, Node::Unary(UnaryOp::Neg, inner)) => inner,
            _ => self.intern(Node::Unary(op, a)),
        }
    }

    /// An operation of two arguments, folded where possible.
    pub fn binary(&mut self, op: BinaryOp, a: NodeId, b: NodeId) -> NodeId {
        let (x, y) = (self.value(a), self.value(b));
        if let (Some(x), Some(y)) = (x, y) {
            return self.constant(apply_binary(op, x, y));
        }
        let (zero, one) = (Some(0.0), Some(1.0));
        match op {
            BinaryOp::Add if x == zero => return b,
            BinaryOp::Add | BinaryOp::Sub if y == zero => return a,
            BinaryOp::Sub if x == zero => return self.unary(UnaryOp::Neg, b),
            BinaryOp::Sub if a == b => return self.constant(0.0),
            BinaryOp::Mul if x == one => return b,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Pow if y == one => return a,
            BinaryOp::Mul if x == zero || y == zero => return self.constant(0.0),
            BinaryOp::Div if x == zero => return self.constant(0.0),
            BinaryOp::Pow if y == zero => return self.constant(1.0),
            _ => {}
        }
        // One order for commutative operations, so that a+b and b+a are one node.
        let commutes = matches!(op, BinaryOp::Add | BinaryOp::Mul);
        let (a, b) = if commutes && b < a { (b, a) } else { (a, b) };
        self.intern(Node::Binary(op, a, b))
    }

    /// `if (condition) yes else no`, decided now if the condition is constant.
    pub fn select(&mut self, condition: NodeId, yes: NodeId, no: NodeId) -> NodeId {
        match self.value(condition) {
            Some(x) => {
                if x == 0.0 {
                    no
                } else {
                    yes
                }
            }
            None if yes == no => yes,
            None => self.intern(Node::Select(condition, yes, no)),
        }
    }

    /// The value of a node that is a constant.
    pub fn value(&self, id: NodeId) -> Option<f64> {
        match self.node(id) {
            Node::Constant(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Names of the inputs in their order.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    pub(crate) fn node(&self, id: NodeId) -> Node {
        self.nodes
            .get(id.index())
            .copied()
            .unwrap_or(Node::Constant(f64::NAN.to_bits()))
    }

    fn intern(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.known.get(&node) {
            return *id;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node);
        self.known.insert(node, id);
        id
    }

    /// The expression as text, for messages.
    pub fn print(&self, id: NodeId) -> String {
        self.print_at(id, 0, 40)
    }

    fn print_at(&self, id: NodeId, floor: u8, budget: usize) -> String {
        if budget == 0 {
            return "...".to_owned();
        }
        let go = |id, floor| self.print_at(id, floor, budget - 1);
        let (text, strength) = match self.node(id) {
            Node::Constant(bits) => (f64::from_bits(bits).to_string(), 9),
            Node::Input(index) => (self.inputs.get(index as usize).cloned().unwrap_or_default(), 9),
            Node::Unary(UnaryOp::Neg, a) => (format!("-{}", go(a, 6)), 6),
            Node::Unary(UnaryOp::Not, a) => (format!("!{}", go(a, 6)), 6),
            Node::Unary(op, a) => (format!("{}({})", format!("{op:?}").to_lowercase(), go(a, 0)), 9),
            Node::Select(c, a, b) => (format!("if ({}) {} else {}", go(c, 0), go(a, 0), go(b, 0)), 0),
            Node::Binary(op, a, b) => {
                let (symbol, strength) = match op {
                    BinaryOp::Or => (" || ", 1),
                    BinaryOp::And => (" && ", 2),
                    BinaryOp::Lt => (" < ", 3),
                    BinaryOp::Le => (" <= ", 3),
                    BinaryOp::Eq => (" == ", 3),
                    BinaryOp::Ne => (" != ", 3),
                    BinaryOp::Add => (" + ", 4),
                    BinaryOp::Sub => (" - ", 4),
                    BinaryOp::Mul => ("*", 5),
                    BinaryOp::Div => ("/", 5),
                    BinaryOp::Pow => ("^", 7),
                    BinaryOp::Min => return format!("min({}, {})", go(a, 0), go(b, 0)),
                    BinaryOp::Max => return format!("max({}, {})", go(a, 0), go(b, 0)),
                };
                (format!("{}{symbol}{}", go(a, strength), go(b, strength + 1)), strength)
            }
        };
        if strength < floor { format!("({text})") } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_folds_and_prints() {
        let mut g = Graph::new();
        let (a, b) = (g.input("a"), g.input("b"));
        let ab = g.binary(BinaryOp::Add, a, b);
        assert_eq!(ab, g.binary(BinaryOp::Add, b, a));
        let zero = g.constant(0.0);
        assert_eq!(g.binary(BinaryOp::Mul, ab, zero), zero);
        let two = g.constant(2.0);
        let four = g.binary(BinaryOp::Pow, two, two);
        assert_eq!(g.value(four), Some(4.0));
        let d = g.binary(BinaryOp::Div, two, ab);
        assert_eq!(g.print(d), "2/(a + b)");
    }
}
