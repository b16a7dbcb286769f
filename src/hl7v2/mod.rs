//! HL7 v2 over MLLP, for engines that speak nothing else: results (ORU^R01) and doses (RAS^O17, RDE^O11) that other systems send become
//! FHIR resources of the patient, and are read beside the record by whoever asks a twin. Off unless it is configured.
//!
//! A message is acknowledged when it is on the disk. Specification: HL7 v2.5.1, chapters 2 (messages, acknowledgement), 4 (orders,
//! doses) and 7 (results); "Transport Specification: MLLP, Release 1". `docs/integration/hl7v2.md` says what is read of them.

pub mod answer;
pub mod doses;
pub mod frame;
pub mod listener;
pub mod message;
pub mod read;
pub mod resources;
pub mod results;
pub mod settings;
