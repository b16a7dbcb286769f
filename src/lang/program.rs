//! The part of a graph that is asked for, as a flat list of operations.

use super::graph::{Graph, Node, NodeId, apply_binary, apply_unary};
use super::number::Number;
use super::parser::{BinaryOp, UnaryOp};

/// One operation; its result goes to the register of its own number.
#[derive(Debug, Clone, Copy)]
enum Step {
    Constant(f64),
    Input(usize),
    Unary(UnaryOp, usize),
    Binary(BinaryOp, usize, usize),
    Select(usize, usize, usize),
}

/// A compiled set of expressions: runs on plain numbers and on dual numbers alike.
#[derive(Debug, Clone)]
pub struct Program {
    steps: Vec<Step>,
    outputs: Vec<usize>,
    inputs: usize,
}

impl Program {
    /// Compiles the expressions `outputs` and whatever they need, nothing else. Inputs are those of the graph, in its order.
    pub fn new(graph: &Graph, outputs: &[NodeId]) -> Self {
        let size = outputs.iter().map(|id| id.index() + 1).max().unwrap_or(0);
        let mut needed = vec![false; size];
        for id in outputs {
            if let Some(cell) = needed.get_mut(id.index()) {
                *cell = true;
            }
        }
        // Arguments always come before the node that uses them, so one pass from the end finds everything needed.
        let mut mark = |from: usize| -> bool {
            if !needed.get(from).copied().unwrap_or(false) {
                return false;
            }
            let id = NodeId(u32::try_from(from).unwrap_or(u32::MAX));
            let arguments: [Option<NodeId>; 3] = match graph.node(id) {
                Node::Constant(_) | Node::Input(_) => [None, None, None],
                Node::Unary(_, a) => [Some(a), None, None],
                Node::Binary(_, a, b) => [Some(a), Some(b), None],
                Node::Select(c, a, b) => [Some(c), Some(a), Some(b)],
            };
            for a in arguments.into_iter().flatten() {
                if let Some(cell) = needed.get_mut(a.index()) {
                    *cell = true;
                }
            }
            true
        };
        let kept: Vec<usize> = (0..size).rev().filter(|from| mark(*from)).collect();
        let mut register = vec![0_usize; size];
        let mut steps = Vec::with_capacity(kept.len());
        for from in kept.into_iter().rev() {
            let at = |id: NodeId| register.get(id.index()).copied().unwrap_or(0);
            let step = match graph.node(NodeId(u32::try_from(from).unwrap_or(u32::MAX))) {
                Node::Constant(bits) => Step::Constant(f64::from_bits(bits)),
                Node::Input(index) => Step::Input(index as usize),
                Node::Unary(op, a) => Step::Unary(op, at(a)),
                Node::Binary(op, a, b) => Step::Binary(op, at(a), at(b)),
                Node::Select(c, a, b) => Step::Select(at(c), at(a), at(b)),
            };
            if let Some(cell) = register.get_mut(from) {
                *cell = steps.len();
            }
            steps.push(step);
        }
        let outputs = outputs
            .iter()
            .map(|id| register.get(id.index()).copied().unwrap_or(0))
            .collect();
        Self {
            steps,
            outputs,
            inputs: graph.inputs().len(),
        }
    }

    /// How many inputs the program reads.
    pub fn input_count(&self) -> usize {
        self.inputs
    }

    /// How many results it gives.
    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// How many operations it takes.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs the program: `registers` is scratch space, `results` receives one value an output.
    ///
    /// A missing input reads as NaN, so a mistake in the caller cannot pass unnoticed.
    pub fn run<T: Number>(&self, inputs: &[T], registers: &mut Vec<T>, results: &mut [T]) {
        registers.clear();
        let nan = T::constant(f64::NAN);
        for step in &self.steps {
            let value = match *step {
                Step::Constant(value) => T::constant(value),
                Step::Input(index) => inputs.get(index).copied().unwrap_or(nan),
                Step::Unary(op, a) => apply_unary(op, registers[a]),
                Step::Binary(BinaryOp::Add, a, b) => registers[a] + registers[b],
                Step::Binary(BinaryOp::Mul, a, b) => registers[a] * registers[b],
                Step::Binary(BinaryOp::Div, a, b) => registers[a] / registers[b],
                Step::Binary(op, a, b) => apply_binary(op, registers[a], registers[b]),
                Step::Select(c, a, b) => {
                    if registers[c].value() != 0.0 {
                        registers[a]
                    } else {
                        registers[b]
                    }
                }
            };
            registers.push(value);
        }
        for (result, register) in results.iter_mut().zip(&self.outputs) {
            *result = registers[*register];
        }
    }

    /// Runs the program once on plain numbers.
    pub fn values(&self, inputs: &[f64]) -> Vec<f64> {
        let mut out = vec![f64::NAN; self.outputs.len()];
        self.run(inputs, &mut Vec::with_capacity(self.steps.len()), &mut out);
        out
    }
}

impl Program {
    /// Runs the program once on plain numbers and follows whether each result is sound: `None` if any step that led to it
    /// (the branch not taken left out) had no finite value, even if a `min` or `max` would hide that.
    pub fn sound_values(&self, inputs: &[f64]) -> Vec<Option<f64>> {
        let mut registers = Vec::with_capacity(self.steps.len());
        let mut out = vec![f64::NAN; self.outputs.len()];
        self.run(inputs, &mut registers, &mut out);
        let mut sound: Vec<bool> = Vec::with_capacity(registers.len());
        for (step, value) in self.steps.iter().zip(&registers) {
            let arguments = match *step {
                Step::Constant(_) | Step::Input(_) => true,
                Step::Unary(_, a) => sound[a],
                Step::Binary(_, a, b) => sound[a] && sound[b],
                Step::Select(c, a, b) => sound[c] && if registers[c] != 0.0 { sound[a] } else { sound[b] },
            };
            sound.push(arguments && value.is_finite());
        }
        self.outputs
            .iter()
            .zip(out)
            .map(|(register, value)| sound[*register].then_some(value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::number::Dual;
    use super::*;

    #[test]
    fn computes_only_what_is_asked() {
        let mut g = Graph::new();
        let (a, b) = (g.input("a"), g.input("b"));
        let sum = g.binary(BinaryOp::Add, a, b);
        let _unused = g.unary(UnaryOp::Exp, sum);
        let product = g.binary(BinaryOp::Mul, sum, sum);
        let p = Program::new(&g, &[product, a]);
        assert_eq!(p.len(), 4);
        assert_eq!(p.values(&[2.0, 3.0]), [25.0, 2.0]);
        let mut out = [Dual::<2>::constant(0.0); 2];
        p.run(
            &[Dual::seeded(2.0, 0, 1.0), Dual::seeded(3.0, 1, 1.0)],
            &mut Vec::new(),
            &mut out,
        );
        assert_eq!(out[0].slope, [10.0, 10.0]);
        assert!(p.values(&[2.0]).first().is_some_and(|v| v.is_nan()));
    }
}
