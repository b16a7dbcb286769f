//! The `[hl7v2]` section.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use jiff::SignedDuration;
use serde::Deserialize;

/// The `[hl7v2]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hl7v2Settings {
    /// Where to listen for MLLP. Default: nowhere.
    pub listen: Option<SocketAddr>,
    /// Addresses that may connect; without it those of this machine.
    pub peers: Vec<IpAddr>,
    /// Tenant whose patients the messages are about; without `[[tenant]]` the base URL of the FHIR server, or `local`.
    pub tenant: String,
    /// The assigning authority (PID-3.4, namespace or universal id) whose number of the patient counts. Default: the first number.
    pub authority: Option<String>,
    /// `Patient.identifier.system` of that number. Default: the number is the id of the Patient resource.
    pub patient_system: Option<String>,
    /// FHIR systems of coding systems named in messages (CWE.3), added to those that are known.
    pub systems: BTreeMap<String, String>,
    /// Days that what messages say is kept.
    pub keep_days: u32,
    /// Connections at one time.
    pub connections: usize,
    /// Bytes of one message.
    pub largest: usize,
    /// Also messages that say to be for training or debugging (MSH-11). Default: not.
    pub accept_tests: bool,
}

impl Default for Hl7v2Settings {
    fn default() -> Self {
        Self {
            listen: None,
            peers: Vec::new(),
            tenant: "local".to_owned(),
            authority: None,
            patient_system: None,
            systems: BTreeMap::new(),
            keep_days: 90,
            connections: 32,
            largest: 1024 * 1024,
            accept_tests: false,
        }
    }
}

impl Hl7v2Settings {
    /// Looks for values that cannot work.
    ///
    /// # Errors
    /// Which setting, and what it must be.
    pub fn check(&self, tenants: &[&str], durable: bool) -> Result<(), String> {
        let Some(listen) = self.listen else { return Ok(()) };
        if !durable {
            return Err(
                "hl7v2.listen needs store.directory or store.postgres: what is acknowledged must not be lost"
                    .to_owned(),
            );
        }
        if !listen.ip().is_loopback() && self.peers.is_empty() {
            return Err(format!(
                "hl7v2.listen {listen} can be reached from other machines: list in hl7v2.peers the addresses that may connect; \
                 MLLP has no other way to tell who calls"
            ));
        }
        if !tenants.is_empty() && !tenants.contains(&self.tenant.as_str()) {
            return Err(format!(
                "hl7v2.tenant {:?} is none of the tenants: {}",
                self.tenant,
                tenants.join(", ")
            ));
        }
        if !(1..=3660).contains(&self.keep_days) {
            return Err("hl7v2.keep_days must be 1 to 3660".to_owned());
        }
        if !(1..=1000).contains(&self.connections) || !(1024..=16 * 1024 * 1024).contains(&self.largest) {
            return Err("hl7v2.connections must be 1 to 1000, hl7v2.largest 1024 to 16777216 bytes".to_owned());
        }
        Ok(())
    }

    /// How long what messages say is kept.
    #[must_use]
    pub fn keep(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.keep_days))
    }

    /// Whether messages from an address are taken.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        match self.peers.is_empty() {
            true => peer.is_loopback(),
            false => self.peers.iter().any(|listed| listed.to_canonical() == peer),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_cannot_work_or_is_open_to_everybody_is_refused() {
        let at = |listen: &str| Hl7v2Settings {
            listen: Some(listen.parse().unwrap()),
            ..Hl7v2Settings::default()
        };
        assert_eq!(Hl7v2Settings::default().check(&[], false), Ok(()), "off");
        assert_eq!(at("127.0.0.1:2575").check(&[], true), Ok(()));
        let problem =
            |settings: Hl7v2Settings, tenants: &[&str], durable| settings.check(tenants, durable).unwrap_err();
        assert!(problem(at("127.0.0.1:2575"), &[], false).contains("store.directory"));
        assert!(problem(at("0.0.0.0:2575"), &[], true).contains("hl7v2.peers"));
        assert!(problem(at("127.0.0.1:2575"), &["north"], true).contains("north"));
        let brief = Hl7v2Settings {
            keep_days: 0,
            ..at("127.0.0.1:2575")
        };
        assert!(problem(brief, &[], true).contains("hl7v2.keep_days"));
        let listed = Hl7v2Settings {
            peers: vec!["10.1.2.3".parse().unwrap()],
            ..at("0.0.0.0:2575")
        };
        assert_eq!(listed.check(&[], true), Ok(()));
        assert!(listed.admits("::ffff:10.1.2.3".parse().unwrap()) && !listed.admits("127.0.0.1".parse().unwrap()));
        assert!(
            at("127.0.0.1:1").admits("::1".parse().unwrap()) && !at("127.0.0.1:1").admits("10.1.2.3".parse().unwrap())
        );
    }
}
