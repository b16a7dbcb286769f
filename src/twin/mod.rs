//! A patient's twin: the values at hand and the ledger of facts it was fitted to, the posterior that came of it, and plans
//! simulated over it.

pub mod cache;
mod fast;
mod follow;
mod future;
pub mod interval;
pub mod ledger;
pub mod personalise;
pub mod plan;
pub mod scores;
pub mod simulate;
mod take;
pub mod values;
