//! The files in which twins are written: the clinician's, the modeller's, and the catalogue of all.

pub mod catalog;
pub mod formula;
pub mod model_file;
pub mod table;
pub mod twin_file;
