//! Expressions as a graph in which equal expressions are one node.
//!
//! Sharing makes common sub-expressions free. Constants fold on the way in, and the laws `x+0`, `x*1`, `x*0`, `x/1`, `x^1`,
//! `--x` are applied, so the coefficients taken out of equations stay as small as a person would write them.

use super::number::Number;
use super::parser::{BinaryOp, UnaryOp};
use std::collections::{HashMap, HashSet};

/// A node of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
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
    delays: Vec<Delay>,
}

/// An input as it was some time ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// The input that is read, by its number.
    pub input: usize,
    /// How long ago.
    pub lag: NodeId,
    /// The input that stands for the earlier value, by its number.
    pub stands_for: usize,
}

/// Where an expression may bend or jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bend {
    /// When this passes zero.
    Turn(NodeId),
    /// When this passes a whole number.
    Steps(NodeId),
}

/// One operation of one argument on any number.
#[inline(always)]
pub(crate) fn apply_unary<T: Number>(op: UnaryOp, a: T) -> T {
    match op {
        UnaryOp::Neg => -a,
        UnaryOp::Not => a.not(),
        UnaryOp::Exp => a.exp(),
        UnaryOp::Ln => a.ln(),
        UnaryOp::Log10 => a.ln() * T::constant(std::f64::consts::LOG10_E),
        UnaryOp::Sqrt => a.sqrt(),
        UnaryOp::Abs => a.abs(),
        UnaryOp::Floor => a.floor(),
        UnaryOp::Trunc => a.trunc(),
        UnaryOp::Sin => a.sin(),
        UnaryOp::Cos => a.cos(),
        UnaryOp::Tanh => a.tanh(),
        UnaryOp::Phi => a.phi(),
        UnaryOp::Probit => a.probit(),
    }
}

/// One operation of two arguments on any number.
#[inline(always)]
pub(crate) fn apply_binary<T: Number>(op: BinaryOp, a: T, b: T) -> T {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Pow => a.pow(b),
        BinaryOp::Min => a.min(b),
        BinaryOp::Max => a.max(b),
        BinaryOp::Lt => a.lt(b),
        BinaryOp::Le => a.le(b),
        BinaryOp::Eq => a.eq(b),
        BinaryOp::Ne => a.ne(b),
        BinaryOp::And => a.and(b),
        BinaryOp::Or => a.or(b),
    }
}

/// Whole powers up to this one are written as products.
const MOST_FACTORS: u8 = 8;

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
            BinaryOp::Pow => {
                // A product costs a fraction of a power; and it is as exact.
                let whole = (2_u8..=MOST_FACTORS).find(|n| y == Some(f64::from(*n)));
                if let Some(n) = whole {
                    return self.product_of(a, n);
                }
            }
            _ => {}
        }
        // One order for commutative operations, so that a+b and b+a are one node.
        let commutes = matches!(op, BinaryOp::Add | BinaryOp::Mul);
        let (a, b) = if commutes && b < a { (b, a) } else { (a, b) };
        self.intern(Node::Binary(op, a, b))
    }

    /// `n` times the same factor.
    fn product_of(&mut self, factor: NodeId, n: u8) -> NodeId {
        if n < 2 {
            return factor;
        }
        let half = self.product_of(factor, n / 2);
        let square = self.binary(BinaryOp::Mul, half, half);
        match n % 2 {
            0 => square,
            _ => self.binary(BinaryOp::Mul, square, factor),
        }
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

    /// The input `node` as it was `lag` earlier: another input, filled by whoever runs the program. `None` if `node` is no input.
    pub fn delayed(&mut self, node: NodeId, lag: NodeId) -> Option<NodeId> {
        let Node::Input(index) = self.node(node) else {
            return None;
        };
        let input = index as usize;
        let name = format!("delay({}, {})", self.inputs.get(input)?, lag.0);
        let stands_for = self.input(&name);
        if let Node::Input(place) = self.node(stands_for) {
            let delay = Delay {
                input,
                lag,
                stands_for: place as usize,
            };
            if !self.delays.contains(&delay) {
                self.delays.push(delay);
            }
        }
        Some(stands_for)
    }

    /// Inputs that stand for earlier values of others.
    pub fn delays(&self) -> &[Delay] {
        &self.delays
    }

    /// Names of the inputs in their order.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The arguments of a node.
    pub(crate) fn arguments(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let list = match self.node(id) {
            Node::Constant(_) | Node::Input(_) => [None, None, None],
            Node::Unary(_, a) => [Some(a), None, None],
            Node::Binary(_, a, b) => [Some(a), Some(b), None],
            Node::Select(c, a, b) => [Some(c), Some(a), Some(b)],
        };
        list.into_iter().flatten()
    }

    /// For every node, whether it is or contains one of `these`.
    pub(crate) fn depends_on(&self, these: &HashSet<NodeId>) -> Vec<bool> {
        let mut out: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for i in 0..self.nodes.len() {
            let id = NodeId(u32::try_from(i).unwrap_or(u32::MAX));
            let inside = self.arguments(id).any(|a| out.get(a.index()).copied().unwrap_or(false));
            out.push(inside || these.contains(&id));
        }
        out
    }

    /// The nodes of the inputs, in their order.
    pub(crate) fn input_nodes(&self) -> impl Iterator<Item = NodeId> {
        (0..self.inputs.len()).map(|index| {
            let node = Node::Input(u32::try_from(index).unwrap_or(u32::MAX));
            self.known.get(&node).copied().unwrap_or(NodeId(u32::MAX))
        })
    }

    /// Where the expressions `roots` may bend or jump.
    pub(crate) fn bends(&mut self, roots: &[NodeId]) -> Vec<Bend> {
        let mut seen = HashSet::new();
        let mut todo = roots.to_vec();
        let mut found = Vec::new();
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            todo.extend(self.arguments(id));
            match self.node(id) {
                Node::Unary(UnaryOp::Floor | UnaryOp::Trunc, a) => found.push(Bend::Steps(a)),
                Node::Unary(UnaryOp::Abs, a) => found.push(Bend::Turn(a)),
                Node::Binary(BinaryOp::Min | BinaryOp::Max | BinaryOp::Lt | BinaryOp::Le, a, b) => {
                    found.push(Bend::Turn(self.binary(BinaryOp::Sub, a, b)));
                }
                _ => {}
            }
        }
        found
    }

    /// `1/(1 + exp(-x))`, without overflow on either side.
    pub fn expit(&mut self, x: NodeId) -> NodeId {
        let (one, zero) = (self.constant(1.0), self.constant(0.0));
        let size = self.unary(UnaryOp::Abs, x);
        let minus = self.unary(UnaryOp::Neg, size);
        let e = self.unary(UnaryOp::Exp, minus);
        let below = self.binary(BinaryOp::Add, one, e);
        let negative = self.binary(BinaryOp::Lt, x, zero);
        let low = self.binary(BinaryOp::Div, e, below);
        let high = self.binary(BinaryOp::Div, one, below);
        self.select(negative, low, high)
    }

    /// `ln(p/(1 - p))`.
    pub fn logit(&mut self, p: NodeId) -> NodeId {
        let one = self.constant(1.0);
        let rest = self.binary(BinaryOp::Sub, one, p);
        let odds = self.binary(BinaryOp::Div, p, rest);
        self.unary(UnaryOp::Ln, odds)
    }

    /// What is left of `a` after whole multiples of `b`; between 0 and `b`.
    pub fn modulo(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let quotient = self.binary(BinaryOp::Div, a, b);
        let whole = self.unary(UnaryOp::Floor, quotient);
        let multiple = self.binary(BinaryOp::Mul, whole, b);
        self.binary(BinaryOp::Sub, a, multiple)
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
