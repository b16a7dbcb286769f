//! From a patient's facts to advice: who may be advised, what the options are, how each would do, which is best, or why
//! nothing can be said. Knows no HTTP and no CDS Hooks; [`crate::service`] turns its outcome into cards.

pub mod decide;
pub mod gates;
pub mod outcome;
pub mod present;
pub mod recent;
