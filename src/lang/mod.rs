//! The small language in which equations and formulas are written.
//!
//! A formula goes through four stages: [`lexer`] (text to tokens), [`parser`] (tokens to a syntax tree, by operator
//! precedence), [`scope`] (names resolved, units checked, lowered to the hash-consed [`graph`]), and [`program`] (the part
//! of the graph that is asked for, as a flat list of operations run over any [`number::Number`]: plain numbers or dual
//! numbers, which carry exact derivatives).
//!
//! The language: `+ - * / ^`, comparisons `< <= > >= == !=`, `&& || !`, `if (condition) a else b`, functions such as `exp ln
//! sqrt min expit`, numbers with a unit `3.8[ug/L]`, categories compared with a level `cyp == "*1/*2"`. Statements: results
//! `name = ...`, derivatives `d/dt(name) = ...`, initial values `name(0) = ...`, states that change at ticks of a clock
//! `next(name) = ...`. A statement ends with its line (or with `;`), except inside parentheses; `#` starts a comment.
//!
//! This module knows nothing of files, models or patients.

pub mod derivative;
pub mod equations;
pub mod graph;
pub mod lexer;
pub mod linear;
pub mod number;
pub mod parser;
pub mod program;
pub mod scope;
pub mod suggest;
pub mod units;

pub use derivative::Derivative;
pub use equations::{Equations, Surroundings, Symbol};
pub use graph::{Graph, NodeId};
pub use number::{Dual, Lanes, Number};
pub use program::{Frame, Program, Staged};
pub use units::Unit;

use std::ops::Range;

/// What is wrong in a text of the language, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LangError {
    /// Bytes of the text the message is about.
    pub span: Range<usize>,
    /// What was found and why it cannot stand.
    pub message: String,
    /// What was probably meant, when it can be guessed.
    pub help: Option<String>,
}

impl LangError {
    /// An error about the bytes `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            help: None,
        }
    }

    /// The same error with a hint.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
