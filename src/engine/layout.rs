//! Which states are solved in which way.
//!
//! States whose derivatives are linear in each other with coefficients that stand still between events have a closed form; states
//! that only add up others have one too; states that add up what stands still need no more than a product; the rest is
//! integrated, driven by the former.

use crate::lang::linear::affine;
use crate::lang::{Derivative, Equations, NodeId, Program, Staged};
use std::collections::HashSet;

/// Equations compiled for one way of solving them.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// States with a closed form.
    pub(crate) linear: Vec<usize>,
    /// States that add up those.
    pub(crate) sums: Vec<usize>,
    /// States that add up what stands still between events.
    pub(crate) stepped: Vec<usize>,
    /// States to integrate.
    pub(crate) integrated: Vec<usize>,
    /// From fixed values to coefficients: for each linear state and then each sum a row of as many numbers as there are linear
    /// states, then its constant.
    pub(crate) coefficients: Program,
    /// Derivatives of the stepped states.
    pub(crate) held: Staged,
    /// Derivatives of the integrated states.
    pub(crate) field: Staged,
    /// Entries of their Jacobian: see `jacobian_places`.
    pub(crate) jacobian: Staged,
    /// Row and column of each entry. Columns: integrated states, then time, then the linear states.
    pub(crate) jacobian_places: Vec<(usize, usize)>,
    /// Linear states (places in `linear`) that drive the integrated ones.
    pub(crate) drivers: Vec<usize>,
}

/// Both ways of solving the same states.
#[derive(Debug, Clone)]
pub(crate) struct Layouts {
    /// Whatever has a closed form in closed form, the rest integrated.
    pub(crate) split: Layout,
    /// Everything integrated.
    pub(crate) whole: Layout,
}

/// Times at which the equations may bend.
#[derive(Debug, Clone)]
pub(crate) struct Breaks {
    /// From fixed values: times of single breaks, then pairs (offset, slope) such that `offset + slope*t` breaks at whole numbers.
    pub(crate) program: Program,
    /// How many of the results are single breaks.
    pub(crate) single: usize,
}

/// Which states the change of each state, and each other expression, depends on.
pub(super) struct Reads {
    /// For each state, the nodes that depend on it.
    by_state: Vec<Vec<bool>>,
}

impl Reads {
    pub(super) fn of(e: &Equations) -> Self {
        let nodes = e.states.iter().map(|state| state.node);
        Self {
            by_state: nodes.map(|node| e.graph.depends_on(&[node].into())).collect(),
        }
    }

    fn reads(&self, node: NodeId, state: usize) -> bool {
        self.by_state
            .get(state)
            .is_some_and(|nodes| nodes.get(node.index()).copied().unwrap_or(false))
    }

    /// Whether the change of any of the `wanted` states depends on a state.
    fn drives(&self, e: &Equations, state: usize, wanted: &[bool]) -> bool {
        let changes = e
            .states
            .iter()
            .zip(wanted)
            .filter(|(_, wanted)| **wanted)
            .map(|(state, _)| state.change);
        let mut all = changes.chain(e.clocked.iter().map(|state| state.change));
        all.any(|change| self.reads(change, state))
    }

    /// The states that `nodes` need, directly or through others. States that change at ticks are always followed.
    pub(super) fn needed(&self, e: &Equations, nodes: &[NodeId]) -> Vec<bool> {
        let mut todo: Vec<NodeId> = nodes
            .iter()
            .copied()
            .chain(e.clocked.iter().map(|state| state.change))
            .collect();
        let mut needed = vec![false; e.states.len()];
        while let Some(node) = todo.pop() {
            for (i, state) in e.states.iter().enumerate() {
                if !needed[i] && self.reads(node, i) {
                    needed[i] = true;
                    todo.push(state.change);
                }
            }
        }
        needed
    }
}

/// One row of coefficients over the linear states, and the constant.
type Row = (Vec<NodeId>, NodeId);

/// Both ways of solving the `wanted` states.
pub(super) fn layouts(
    e: &mut Equations,
    fixed: &[NodeId],
    late: &[NodeId],
    interpolated: &[bool],
    delayed: &[usize],
    reads: &Reads,
    wanted: &[bool],
) -> Layouts {
    let late_set: HashSet<NodeId> = late.iter().copied().collect();
    let (linear, sums, rows) = closed_form(e, &late_set, reads, wanted);
    // What moves between events: time, states, inputs that are interpolated.
    let mut moving: HashSet<NodeId> = e.states.iter().map(|state| state.node).chain([e.time]).collect();
    let inputs = e
        .inputs
        .iter()
        .zip(interpolated)
        .filter(|(_, on)| **on)
        .map(|(node, _)| *node);
    moving.extend(inputs);
    if delayed
        .iter()
        .any(|input| interpolated.get(*input).copied().unwrap_or(false))
    {
        moving.extend(late);
    }
    let moves = e.graph.depends_on(&moving);
    let rest = (0..e.states.len()).filter(|i| wanted[*i] && !linear.contains(i) && !sums.contains(i));
    let (stepped, integrated) = rest.partition(|i| {
        let still = !moves.get(e.states[*i].change.index()).copied().unwrap_or(true);
        still && !reads.drives(e, *i, wanted)
    });
    let split = Solved {
        linear,
        sums,
        stepped,
        integrated,
    };
    let whole = Solved {
        integrated: (0..e.states.len()).filter(|i| wanted[*i]).collect(),
        ..Solved::default()
    };
    Layouts {
        split: layout(e, fixed, late, split, rows),
        whole: layout(e, fixed, late, whole, Vec::new()),
    }
}

/// States by how they are solved.
#[derive(Default)]
struct Solved {
    linear: Vec<usize>,
    sums: Vec<usize>,
    stepped: Vec<usize>,
    integrated: Vec<usize>,
}

/// Finds the states with a closed form: linear in each other with coefficients that stand still. Returns the states that
/// others depend on, those that only add up, and their coefficients.
fn closed_form(
    e: &mut Equations,
    late: &HashSet<NodeId>,
    reads: &Reads,
    wanted: &[bool],
) -> (Vec<usize>, Vec<usize>, Vec<Row>) {
    let states: Vec<NodeId> = e.states.iter().map(|state| state.node).collect();
    let changes: Vec<NodeId> = e.states.iter().map(|state| state.change).collect();
    let mut forms = Vec::with_capacity(states.len());
    for change in &changes {
        forms.push(affine(&mut e.graph, *change, &states).ok());
    }
    let moves = e.graph.depends_on(late);
    let still = |node: NodeId| !moves.get(node.index()).copied().unwrap_or(true);
    let mut chosen: Vec<bool> = forms
        .iter()
        .map(|form| {
            form.as_ref()
                .is_some_and(|f| still(f.constant) && f.coefficients.values().all(|c| still(*c)))
        })
        .collect();
    // A state that depends on one without closed form has none itself.
    loop {
        let before = chosen.clone();
        for (i, form) in forms.iter().enumerate() {
            let fine = form.as_ref().is_some_and(|f| f.coefficients.keys().all(|j| before[*j]));
            chosen[i] = chosen[i] && fine;
        }
        if chosen == before {
            break;
        }
    }
    let (mut core, mut sums) = (Vec::new(), Vec::new());
    for i in (0..states.len()).filter(|i| chosen[*i] && wanted[*i]) {
        if reads.drives(e, i, wanted) {
            core.push(i);
        } else {
            sums.push(i);
        }
    }
    let zero = e.graph.constant(0.0);
    let rows = core
        .iter()
        .chain(&sums)
        .filter_map(|i| {
            let form = forms[*i].as_ref()?;
            let row = core
                .iter()
                .map(|j| form.coefficients.get(j).copied().unwrap_or(zero))
                .collect();
            Some((row, form.constant))
        })
        .collect();
    (core, sums, rows)
}

fn layout(e: &mut Equations, fixed: &[NodeId], late: &[NodeId], solved: Solved, rows: Vec<Row>) -> Layout {
    let Solved {
        linear,
        sums,
        stepped,
        integrated,
    } = solved;
    let zero = e.graph.constant(0.0);
    let node_of = |e: &Equations, i: usize| e.states[i].node;
    let outputs: Vec<NodeId> = integrated.iter().map(|i| e.states[*i].change).collect();
    let mut columns: Vec<NodeId> = integrated.iter().map(|i| node_of(e, *i)).collect();
    columns.push(e.time);
    columns.extend(linear.iter().map(|i| node_of(e, *i)));
    let mut places = Vec::new();
    let mut entries = Vec::new();
    for (column, input) in columns.iter().enumerate() {
        let mut derivative = Derivative::new(*input);
        for (row, output) in outputs.iter().enumerate() {
            let node = derivative.of(&mut e.graph, *output);
            if node != zero {
                places.push((row, column));
                entries.push(node);
            }
        }
    }
    let first_linear = integrated.len() + 1;
    let needed: Vec<usize> = (0..linear.len())
        .filter(|k| {
            let only: HashSet<NodeId> = [node_of(e, linear[*k])].into();
            let depends = e.graph.depends_on(&only);
            outputs
                .iter()
                .chain(&entries)
                .any(|node| depends.get(node.index()).copied().unwrap_or(true))
                || places.iter().any(|(_, column)| *column == first_linear + k)
        })
        .collect();
    let coefficients: Vec<NodeId> = rows
        .into_iter()
        .flat_map(|(row, constant)| row.into_iter().chain([constant]))
        .collect();
    Layout {
        coefficients: Program::over(&e.graph, fixed, &coefficients),
        held: Staged::new(
            &e.graph,
            fixed,
            late,
            &stepped.iter().map(|i| e.states[*i].change).collect::<Vec<_>>(),
        ),
        stepped,
        field: Staged::new(&e.graph, fixed, late, &outputs),
        jacobian: Staged::new(&e.graph, fixed, late, &entries),
        jacobian_places: places,
        drivers: needed,
        linear,
        sums,
        integrated,
    }
}

/// Where conditions on the time turn: there a step must end, or the solver would have to feel its way to the corner.
pub(super) fn breaks(e: &mut Equations, fixed: &[NodeId], late: &HashSet<NodeId>) -> Breaks {
    use crate::lang::graph::Bend;
    let changes: Vec<NodeId> = e.states.iter().chain(&e.clocked).map(|state| state.change).collect();
    let bends = e.graph.bends(&changes);
    let (mut single, mut repeated) = (Vec::new(), Vec::new());
    for bend in bends {
        let margin = match bend {
            Bend::Turn(margin) | Bend::Steps(margin) => margin,
        };
        let Ok(form) = affine(&mut e.graph, margin, &[e.time]) else {
            continue;
        };
        let Some(slope) = form.coefficients.get(&0).copied() else {
            continue;
        };
        let moves = e.graph.depends_on(late);
        let still = |node: NodeId| !moves.get(node.index()).copied().unwrap_or(true);
        if !still(slope) || !still(form.constant) {
            continue;
        }
        match bend {
            Bend::Turn(_) => {
                let over = e.graph.binary(crate::lang::parser::BinaryOp::Div, form.constant, slope);
                single.push(e.graph.unary(crate::lang::parser::UnaryOp::Neg, over));
            }
            Bend::Steps(_) => repeated.extend([form.constant, slope]),
        }
    }
    single.sort();
    single.dedup();
    let count = single.len();
    single.extend(repeated);
    Breaks {
        program: Program::over(&e.graph, fixed, &single),
        single: count,
    }
}
