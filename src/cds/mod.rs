//! CDS Hooks 2.0.1 as types: what an EHR sends and what it is answered. No HTTP, no medicine.

pub mod advisor;
pub mod card;
pub mod discovery;
pub mod faults;
pub mod feedback;
pub mod json;
pub mod malformed;
pub mod request;
