//! What other systems said of a patient by messages: read beside the record, as if it stood in it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{json, value::to_raw_value};

use super::TwinAdvisor;
use crate::{
    cds::{advisor::CallError, request::HookCall},
    fhir::{facts::explode, prefetch::Gathered},
    metrics,
    store::{
        StoreError,
        inbox::{Fact, Inbox},
    },
};

/// Where messages are, and whose.
pub struct Messages {
    /// What they said.
    pub inbox: Arc<Inbox>,
    /// The tenant whose patients they are about; `None` while none are received: then none are read.
    pub tenant: Option<String>,
    /// `Patient.identifier.system` of the number that they bear; without it that is the id of the Patient.
    pub patient_system: Option<String>,
}

#[derive(Deserialize)]
struct Patient {
    #[serde(rename = "resourceType", default)]
    resource_type: String,
    id: Option<String>,
    #[serde(default)]
    identifier: Vec<Identifier>,
}

#[derive(Deserialize)]
struct Identifier {
    system: Option<String>,
    value: Option<String>,
}

impl Messages {
    /// The numbers of the patient of a call; `None` where its Patient resource is needed and not there yet.
    fn numbers(&self, call: &HookCall, gathered: &Gathered) -> Option<Vec<String>> {
        let Some(system) = &self.patient_system else {
            return Some(vec![call.patient_id.clone()]);
        };
        let pages = gathered.resources.values().flat_map(|pages| pages.iter());
        let mut patients = pages
            .flat_map(|page| explode(page))
            .filter_map(|raw| serde_json::from_str::<Patient>(raw.get()).ok());
        let is_patient =
            |found: &Patient| found.resource_type == "Patient" && found.id.as_ref() == Some(&call.patient_id);
        let patient = patients.find(is_patient)?;
        let numbers = patient.identifier.into_iter();
        let numbers = numbers.filter(|number| number.system.as_ref() == Some(system));
        Some(numbers.filter_map(|number| number.value).collect())
    }

    /// Reads what is known of some numbers. Blocks.
    fn facts(&self, tenant: &str, patient: &str, numbers: &[String]) -> Result<Vec<Fact>, StoreError> {
        let mut facts = Vec::new();
        for number in numbers {
            let found = self.inbox.of(tenant, number, Timestamp::now())?;
            if number != patient && !found.is_empty() {
                self.inbox.link(tenant, patient, number)?;
            }
            facts.extend(found);
        }
        Ok(facts)
    }
}

impl TwinAdvisor {
    /// Puts what messages said of the patient beside what was gathered, if it is not there yet and can be told.
    ///
    /// # Errors
    /// When the store fails: advice without doses that are known of would be wrong.
    pub(super) async fn add_messages(
        self: &Arc<Self>,
        call: &HookCall,
        gathered: &mut Gathered,
    ) -> Result<(), CallError> {
        if gathered.beside.is_some() || self.messages.tenant.as_ref() != Some(&call.tenant) {
            return Ok(());
        }
        let Some(numbers) = self.messages.numbers(call, gathered) else {
            return Ok(());
        };
        let (this, tenant, patient) = (Arc::clone(self), call.tenant.clone(), call.patient_id.clone());
        let read = tokio::task::spawn_blocking(move || this.messages.facts(&tenant, &patient, &numbers)).await;
        let facts = match read {
            Ok(Ok(facts)) => facts,
            Ok(Err(error)) => {
                metrics::store_failed("inbox");
                tracing::error!(%error, "what messages said of a patient could not be read");
                return Err(CallError::Internal);
            }
            Err(_) => return Err(CallError::Internal),
        };
        let subject = json!({ "reference": format!("Patient/{}", call.patient_id) });
        let entries = facts.into_iter().filter_map(|fact| {
            let mut resource = fact.resource?;
            resource["subject"] = subject.clone();
            Some(json!({ "resource": resource }))
        });
        let entries: Vec<_> = entries.collect();
        let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": entries });
        gathered.beside = Some(to_raw_value(&bundle).map_err(|_| CallError::Internal)?.into());
        Ok(())
    }
}
