//! What is known of one patient, after the record has been read: dated, in declared units, each with its source.
//!
//! Plain data. It knows neither FHIR nor HTTP nor any drug by name: [`needs`] says what a twin wants to know,
//! [`facts`] what was found.

pub mod facts;
pub mod needs;
