//! FHIR R4: from what a server sends to the facts that a twin needs, and back to what it can store.
//!
//! [`facts::read`] is the way in. Below it, one file has one subject: [`bundle`] takes Bundles apart, [`peek`] looks
//! at a resource without reading it, [`versions`] keeps the newest, [`references`] tells whose it is, [`codes`] and
//! [`terminology`] what it is; [`observations`], [`doses`], [`orders`], [`conditions`] and [`person`] read one type
//! each; [`results`], [`categories`] and [`medications`] read types that others read too, for flags and categories;
//! [`choose`] decides between contradicting values, [`sums`] adds up parts, [`inferred`] fills in doses that only an
//! order shows.

pub mod alleles;
pub mod bundle;
pub mod categories;
pub mod choose;
pub mod client;
pub mod codes;
pub mod conditions;
pub mod dosage;
pub mod doses;
pub mod drafts;
pub mod drugs;
pub mod effective;
pub mod facts;
pub mod heed;
pub mod inferred;
pub mod medications;
pub mod observations;
pub mod orders;
pub mod outcome;
pub mod page;
pub mod peek;
pub mod person;
pub mod prefetch;
pub mod references;
pub mod remarks;
pub mod results;
pub mod server_version;
pub mod strength;
pub mod sums;
pub mod template;
pub mod terminology;
pub mod time;
pub mod timing;
pub mod typed;
pub mod units;
pub mod versions;
pub mod words;

#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;
