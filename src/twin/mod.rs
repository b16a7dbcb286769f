//! A patient's twin: the ledger of facts it was fitted to, and the posterior that came of it.

pub mod cache;
pub mod interval;
pub mod ledger;
pub mod personalise;
pub mod plan;
pub mod simulate;
