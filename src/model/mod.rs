//! The files in which models are written.

pub mod model_file;
pub mod table;
