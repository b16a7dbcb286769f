//! End to end: the running server, real records, the files of the twins.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod architecture;
mod auth;
mod backend;
mod cards;
mod conformance;
mod docs;
mod forecast;
mod hl7v2;
mod metrics;
mod mimic;
mod misbehaving;
mod openapi;
mod operations;
mod outside;
mod postgres;
mod real_server;
mod server;
mod smart;
mod smart_ehr;
mod ssrf;
mod store;
mod study;
mod support;
mod tenants;
mod together;
mod tokens;
mod twins;
mod vancomycin;
mod warfarin;
