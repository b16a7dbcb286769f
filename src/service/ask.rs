//! Twins asked outside a hook: about a record that is sent along or lies on a FHIR server, for all that they have to say. The way is
//! that of a hook call; only what comes out is not a card but a [`Finding`].

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use serde_json::value::RawValue;
use uuid::Uuid;

use super::{TwinAdvisor, finding::Finding, inquire::Inquiry, services};
use crate::{
    cds::request::{FhirAccess, Hook, HookCall},
    model::catalog::Definition,
    store::{StoreError, TwinKey},
};

pub use super::together::{Lacking, LeftOut};

/// A question about one patient.
pub struct Ask {
    /// Whose patient it is.
    pub tenant: String,
    /// Logical id of the patient.
    pub patient: String,
    /// Which twin; without one, all those on whose treatment the patient is.
    pub twin: Option<String>,
    /// Where the record is.
    pub record: Record,
    /// MedicationRequests that are to be compared instead of the options of the twin's file; empty: those options.
    pub treatments: Vec<Box<RawValue>>,
    /// Language of words, `en` or `fr`.
    pub language: &'static str,
    /// When the answer must be there.
    pub deadline: Instant,
}

/// Where a record is.
pub enum Record {
    /// In the call: a Bundle with all that the caller has.
    Sent(Box<RawValue>),
    /// On a FHIR server.
    On(FhirAccess),
}

/// What one twin said.
pub struct Answer {
    /// The twin.
    pub twin: Arc<Definition>,
    /// What it found, or why it has no answer.
    pub said: Result<Finding, LeftOut>,
}

impl TwinAdvisor {
    /// The twins that a tenant can ask, in the order of the catalogue.
    pub fn twins(&self, tenant: &str) -> impl Iterator<Item = &Arc<Definition>> {
        let all = self
            .tenant(tenant)
            .offering
            .asked(&services::together_id(Hook::PatientView));
        all.into_iter()
            .flat_map(|all| &all.members)
            .map(|member| &member.twin.definition)
    }

    fn common_twins(&self) -> impl Iterator<Item = &Arc<Definition>> {
        let all = self.common.offering.asked(&services::together_id(Hook::PatientView));
        let members = all.into_iter().flat_map(|all| &all.members);
        members.map(|member| &member.twin.definition)
    }

    /// Asks one twin, or all that a patient's treatment concerns. An empty answer: it concerns none of them.
    pub async fn ask(self: &Arc<Self>, ask: Ask) -> Vec<Answer> {
        let service_id = match &ask.twin {
            Some(twin) => format!("{twin}-{}", Hook::PatientView.name()),
            None => services::together_id(Hook::PatientView),
        };
        let Some(asked) = self.tenant(&ask.tenant).offering.asked(&service_id).cloned() else {
            return Vec::new();
        };
        let (record, fhir) = match ask.record {
            Record::Sent(record) => (Some(record), None),
            Record::On(access) => (None, Some(access)),
        };
        let call = HookCall {
            service_id,
            hook: Hook::PatientView,
            hook_instance: Uuid::new_v4().to_string(),
            patient_id: ask.patient,
            user_id: None,
            encounter_id: None,
            draft_orders: Vec::new(),
            selections: Vec::new(),
            prefetch: BTreeMap::new(),
            fhir,
            tenant: ask.tenant,
            language: ask.language,
            deadline: ask.deadline,
            // A twin that is asked for by name answers whether the patient is on its treatment or not.
            page: ask.twin.is_some(),
        };
        let inquiry = Inquiry {
            call,
            record,
            treatments: ask.treatments,
            whole: true,
        };
        let answers = Arc::clone(self).inquire(&asked, inquiry, Finding::of).await;
        let answer = |(twin, said): (Arc<super::Twin>, _)| Answer {
            twin: Arc::clone(&twin.definition),
            said,
        };
        answers.into_iter().map(answer).collect()
    }

    /// Forgets every twin of a patient, and what messages said; gives the ids of those that there were. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails: then some may be left, and the call is to be repeated.
    pub fn forget(&self, tenant: &str, patient: &str) -> Result<Vec<String>, StoreError> {
        let mut forgotten = Vec::new();
        // Also those that the tenant sees no more.
        for twin in self.common_twins() {
            let id = &twin.file.id;
            if self.stores.twins.remove(&TwinKey::new(tenant, patient, id.clone()))? {
                forgotten.push(id.clone());
            }
        }
        let messages = self.messages.inbox.forget(tenant, patient);
        messages.map_err(StoreError::Broken)?;
        // Answers of the last moments hold the same numbers; whose they are cannot be told any more.
        self.recent.clear();
        Ok(forgotten)
    }
}
