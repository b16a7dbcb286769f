//! Jumeau: clinical decision support from patient digital twins, spoken in CDS Hooks.
//!
//! A hook call flows one way: [`http`] reads it into [`cds`] types, [`service`] gathers the record through [`fhir`],
//! which makes [`patient`] facts of it; [`twin`] personalises the models of [`model`] with the [`engine`] and keeps the
//! result in the [`store`]; [`advice`] compares treatments; [`service`] puts the outcome into [`wording`] and cards.
//! Beside it stands the command line for those who write models: [`dataset`] reads their data files, [`study`] simulates and fits
//! them, [`plot`] draws. `docs/architecture.md` has the picture and the arrows that are allowed.

pub mod advice;
pub mod app;
pub mod auth;
pub mod backend;
pub mod cds;
pub mod cli;
pub mod dataset;
pub mod demo;
pub mod docs;
pub mod engine;
pub mod fhir;
pub mod hl7v2;
pub mod http;
pub mod lang;
pub mod metrics;
pub mod model;
pub mod operations;
pub mod outbound;
pub mod page;
pub mod patient;
pub mod plot;
pub mod service;
pub mod settings;
pub mod smart;
pub mod store;
pub mod study;
pub mod telemetry;
pub mod twin;
pub mod wording;
