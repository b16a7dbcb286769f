//! The part of a graph that is asked for, as a flat list of operations.
//!
//! A program works on a [`Frame`]: one register for each input, each constant and each operation. Inputs stay in their
//! registers between runs, so that only what changes has to be written again, and constants are written once.

use super::graph::{Graph, Node, NodeId, apply_binary, apply_unary};
use super::number::Number;
use super::parser::{BinaryOp, UnaryOp};
use std::collections::HashMap;

/// One operation; its result goes to the register of its own number, after inputs and constants.
#[derive(Debug, Clone, Copy)]
enum Step {
    Unary(UnaryOp, u32),
    Binary(BinaryOp, u32, u32),
    Select(u32, u32, u32),
}

/// A compiled set of expressions: runs on plain numbers, several at once, and dual numbers alike.
#[derive(Debug, Clone, Default)]
pub struct Program {
    inputs: usize,
    constants: Vec<f64>,
    steps: Vec<Step>,
    outputs: Vec<u32>,
}

/// The registers of a program.
#[derive(Debug, Clone)]
pub struct Frame<T> {
    registers: Vec<T>,
    inputs: usize,
}

impl<T> Default for Frame<T> {
    fn default() -> Self {
        Self {
            registers: Vec::new(),
            inputs: 0,
        }
    }
}

impl<T: Number> Frame<T> {
    /// The inputs, to be written before a run. All are NaN at first, so that a mistake in the caller cannot pass unnoticed.
    pub fn inputs(&mut self) -> &mut [T] {
        let inputs = self.inputs;
        self.registers.get_mut(..inputs).unwrap_or_default()
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Program {
    /// Compiles the expressions `outputs` and whatever they need, nothing else. Inputs are those of the graph, in its order.
    pub fn new(graph: &Graph, outputs: &[NodeId]) -> Self {
        let inputs: Vec<NodeId> = graph.input_nodes().collect();
        Self::over(graph, &inputs, outputs)
    }

    /// Compiles `outputs` with the values of `given` nodes as inputs, in that order. An input of the graph that is needed and
    /// not given reads as NaN.
    pub fn over(graph: &Graph, given: &[NodeId], outputs: &[NodeId]) -> Self {
        let inputs: HashMap<NodeId, usize> = given.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let size = graph.len();
        let mut needed = vec![false; size];
        for id in outputs {
            if let Some(cell) = needed.get_mut(id.index()) {
                *cell = true;
            }
        }
        // Arguments always come before the node that uses them, so one pass from the end finds everything needed.
        for index in (0..size).rev() {
            let id = NodeId(place(index));
            if needed.get(index).copied().unwrap_or(false) && !inputs.contains_key(&id) {
                for a in graph.arguments(id) {
                    if let Some(cell) = needed.get_mut(a.index()) {
                        *cell = true;
                    }
                }
            }
        }
        let kept: Vec<NodeId> = (0..size)
            .filter(|index| needed.get(*index).copied().unwrap_or(false))
            .map(|index| NodeId(place(index)))
            .collect();
        let mut register = vec![0_u32; size];
        let mut set = |id: NodeId, to: usize| {
            if let Some(cell) = register.get_mut(id.index()) {
                *cell = place(to);
            }
        };
        let mut constants = Vec::new();
        let mut next = given.len();
        for id in &kept {
            let constant = match (inputs.get(id), graph.node(*id)) {
                (Some(input), _) => {
                    set(*id, *input);
                    continue;
                }
                (None, Node::Constant(bits)) => f64::from_bits(bits),
                (None, Node::Input(_)) => f64::NAN,
                _ => continue,
            };
            set(*id, next);
            constants.push(constant);
            next += 1;
        }
        for id in &kept {
            let is_step = !matches!(graph.node(*id), Node::Constant(_) | Node::Input(_));
            if is_step && !inputs.contains_key(id) {
                set(*id, next);
                next += 1;
            }
        }
        let at = |id: NodeId| register.get(id.index()).copied().unwrap_or(0);
        let steps = kept
            .iter()
            .filter(|id| !inputs.contains_key(id))
            .filter_map(|id| match graph.node(*id) {
                Node::Constant(_) | Node::Input(_) => None,
                Node::Unary(op, a) => Some(Step::Unary(op, at(a))),
                Node::Binary(op, a, b) => Some(Step::Binary(op, at(a), at(b))),
                Node::Select(c, a, b) => Some(Step::Select(at(c), at(a), at(b))),
            })
            .collect();
        Self {
            inputs: given.len(),
            constants,
            steps,
            outputs: outputs.iter().map(|id| at(*id)).collect(),
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

    /// Registers for runs of this program.
    pub fn frame<T: Number>(&self) -> Frame<T> {
        let mut registers = Vec::with_capacity(self.inputs + self.constants.len() + self.steps.len());
        registers.resize(self.inputs, T::constant(f64::NAN));
        registers.extend(self.constants.iter().map(|value| T::constant(*value)));
        registers.resize(registers.len() + self.steps.len(), T::constant(f64::NAN));
        Frame {
            registers,
            inputs: self.inputs,
        }
    }

    /// Runs the program on the inputs in `frame`, which must come from [`Self::frame`].
    #[inline]
    pub fn execute<T: Number>(&self, frame: &mut Frame<T>) {
        let registers = frame.registers.as_mut_slice();
        let first = self.inputs + self.constants.len();
        for (i, step) in self.steps.iter().enumerate() {
            let value = match *step {
                Step::Binary(BinaryOp::Add, a, b) => registers[a as usize] + registers[b as usize],
                Step::Binary(BinaryOp::Sub, a, b) => registers[a as usize] - registers[b as usize],
                Step::Binary(BinaryOp::Mul, a, b) => registers[a as usize] * registers[b as usize],
                Step::Binary(BinaryOp::Div, a, b) => registers[a as usize] / registers[b as usize],
                Step::Unary(UnaryOp::Neg, a) => -registers[a as usize],
                Step::Unary(op, a) => apply_unary(op, registers[a as usize]),
                Step::Binary(op, a, b) => apply_binary(op, registers[a as usize], registers[b as usize]),
                Step::Select(c, a, b) => T::select(registers[c as usize], registers[a as usize], registers[b as usize]),
            };
            registers[first + i] = value;
        }
    }

    /// Runs the program although some inputs are not known, and finds which results do not depend on those: a result is known
    /// if every value that leads to it is, branches not taken left out. `unknown` says it of each input; `known` is scratch space.
    pub fn execute_known<T: Number>(&self, frame: &mut Frame<T>, unknown: &[bool], known: &mut Vec<bool>) {
        self.execute(frame);
        let first = self.inputs + self.constants.len();
        known.clear();
        known.extend(unknown.iter().map(|unknown| !unknown));
        known.resize(first, true);
        for step in &self.steps {
            let is = |a: u32| known[a as usize];
            let found = match *step {
                Step::Unary(_, a) => is(a),
                Step::Binary(_, a, b) => is(a) && is(b),
                Step::Select(c, a, b) => {
                    let condition = frame.registers[c as usize];
                    let (some, all) = (condition.size() != 0.0, condition.least() != 0.0);
                    is(c) && (!some || is(a)) && (all || is(b))
                }
            };
            known.push(found);
        }
    }

    /// Whether result `index` was known in the last run of [`Self::execute_known`].
    pub fn is_known(&self, known: &[bool], index: usize) -> bool {
        self.outputs
            .get(index)
            .is_some_and(|register| known.get(*register as usize).copied().unwrap_or(false))
    }

    /// Result `index` of the last run.
    #[inline]
    pub fn result<T: Number>(&self, frame: &Frame<T>, index: usize) -> T {
        frame.registers[self.outputs[index] as usize]
    }

    /// Writes the results of the last run, in their order.
    #[inline]
    pub fn results<T: Number>(&self, frame: &Frame<T>, into: &mut [T]) {
        for (result, register) in into.iter_mut().zip(&self.outputs) {
            *result = frame.registers[*register as usize];
        }
    }

    /// Runs the program once: `results` receives one value an output. A missing input reads as NaN.
    pub fn run<T: Number>(&self, inputs: &[T], frame: &mut Frame<T>, results: &mut [T]) {
        if frame.registers.len() != self.inputs + self.constants.len() + self.steps.len() {
            *frame = self.frame();
        }
        let nan = T::constant(f64::NAN);
        for (i, cell) in frame.inputs().iter_mut().enumerate() {
            *cell = inputs.get(i).copied().unwrap_or(nan);
        }
        self.execute(frame);
        self.results(frame, results);
    }

    /// Runs the program once on plain numbers.
    pub fn values(&self, inputs: &[f64]) -> Vec<f64> {
        let mut out = vec![f64::NAN; self.outputs.len()];
        self.run(inputs, &mut self.frame(), &mut out);
        out
    }

    /// Runs the program once on plain numbers and follows whether each result is sound: `None` if any step that led to it
    /// (the branch not taken left out) had no finite value, even if a `min` or `max` would hide that.
    pub fn sound_values(&self, inputs: &[f64]) -> Vec<Option<f64>> {
        let mut frame = self.frame();
        let mut out = vec![f64::NAN; self.outputs.len()];
        self.run(inputs, &mut frame, &mut out);
        let first = self.inputs + self.constants.len();
        let mut sound: Vec<bool> = frame.registers.iter().take(first).map(|x| x.is_finite()).collect();
        for (step, value) in self.steps.iter().zip(frame.registers.iter().skip(first)) {
            let is = |a: u32| sound.get(a as usize).copied().unwrap_or(false);
            let arguments = match *step {
                Step::Unary(_, a) => is(a),
                Step::Binary(_, a, b) => is(a) && is(b),
                Step::Select(c, a, b) => {
                    let taken = frame.registers.get(c as usize).is_some_and(|c| *c != 0.0);
                    is(c) && if taken { is(a) } else { is(b) }
                }
            };
            sound.push(arguments && value.is_finite());
        }
        self.outputs
            .iter()
            .zip(out)
            .map(|(register, value)| sound.get(*register as usize).copied().unwrap_or(false).then_some(value))
            .collect()
    }
}

/// A set of expressions in two programs: what can be computed once, and what must be computed again and again.
#[derive(Debug, Clone, Default)]
pub struct Staged {
    /// From the early inputs to the values the late program needs.
    pub early: Program,
    /// From the late inputs, followed by the results of `early`, to the outputs.
    pub late: Program,
}

impl Staged {
    /// Splits `outputs`: whatever depends on none of the inputs in `late_inputs` is computed early. The early program reads
    /// the inputs `early_inputs` in that order.
    pub fn new(graph: &Graph, early_inputs: &[NodeId], late_inputs: &[NodeId], outputs: &[NodeId]) -> Self {
        let late_set: std::collections::HashSet<NodeId> = late_inputs.iter().copied().collect();
        let is_late = graph.depends_on(&late_set);
        let late = |id: NodeId| is_late.get(id.index()).copied().unwrap_or(false);
        // The frontier: early nodes, not constant, that an output is or that a late node reads.
        let mut frontier = Vec::new();
        let mut seen = vec![false; graph.len()];
        let mut todo: Vec<NodeId> = outputs.to_vec();
        while let Some(id) = todo.pop() {
            match seen.get_mut(id.index()) {
                Some(cell) if !*cell => *cell = true,
                _ => continue,
            }
            if late(id) {
                todo.extend(graph.arguments(id));
            } else if graph.value(id).is_none() {
                frontier.push(id);
            }
        }
        frontier.sort();
        let given: Vec<NodeId> = late_inputs.iter().chain(&frontier).copied().collect();
        Self {
            early: Program::over(graph, early_inputs, &frontier),
            late: Program::over(graph, &given, outputs),
        }
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
        assert_eq!(p.len(), 2);
        assert_eq!(p.values(&[2.0, 3.0]), [25.0, 2.0]);
        let mut out = [Dual::<2>::constant(0.0); 2];
        p.run(
            &[Dual::seeded(2.0, 0, 1.0), Dual::seeded(3.0, 1, 1.0)],
            &mut p.frame(),
            &mut out,
        );
        assert_eq!(out[0].slope, [10.0, 10.0]);
        assert!(p.values(&[2.0]).first().is_some_and(|v| v.is_nan()));
    }

    #[test]
    fn knows_what_does_not_depend() {
        let mut g = Graph::new();
        let (a, b, x) = (g.input("a"), g.input("b"), g.input("x"));
        let zero = g.constant(0.0);
        let eats = g.binary(BinaryOp::Lt, zero, a);
        let kept = g.select(eats, x, b);
        let compared = g.binary(BinaryOp::Lt, x, b);
        let p = Program::new(&g, &[kept, compared]);
        let mut frame = p.frame();
        let mut known = Vec::new();
        let unknown = [false, false, true];
        frame.inputs().copy_from_slice(&[0.0, 7.0, f64::NAN]);
        p.execute_known(&mut frame, &unknown, &mut known);
        assert!(p.is_known(&known, 0) && !p.is_known(&known, 1));
        assert_eq!(p.result(&frame, 0), 7.0);
        frame.inputs().copy_from_slice(&[1.0, 7.0, f64::NAN]);
        p.execute_known(&mut frame, &unknown, &mut known);
        assert!(!p.is_known(&known, 0));
    }

    #[test]
    fn hoists_what_does_not_change() {
        let mut g = Graph::new();
        let (cl, v, x) = (g.input("CL"), g.input("V"), g.input("x"));
        let k = g.binary(BinaryOp::Div, cl, v);
        let flow = g.binary(BinaryOp::Mul, k, x);
        let staged = Staged::new(&g, &[cl, v], &[x], &[flow, k, v]);
        assert_eq!((staged.early.len(), staged.late.len()), (1, 1));
        let early = staged.early.values(&[3.0, 2.0]);
        let late: Vec<f64> = [10.0].into_iter().chain(early).collect();
        assert_eq!(staged.late.values(&late), [15.0, 1.5, 2.0]);
    }
}
