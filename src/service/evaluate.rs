//! From gathered data to the answer: the part of a call that computes.

use serde_json::value::RawValue;

use crate::{
    advice::outcome::{Outcome, Question, consider},
    cds::{
        advisor::CallError,
        card::Response,
        request::{Hook, HookCall},
    },
    fhir::{
        facts::{ReadContext, RecordError, read, read_draft_orders},
        prefetch::Gathered,
    },
    model::catalog::Definition,
    patient::facts::{Order, Remark},
    store::TwinKey,
    twin::cache::Cache,
    wording::{Language, Wording},
};

use super::{TwinAdvisor, cards::Case, clock, orders::Subject, picture, words::Reader};

/// A draft order for the twin's drug, with the text it was read from.
pub struct Draft {
    /// As read.
    pub order: Order,
    /// As sent.
    pub text: Option<String>,
}

/// The draft orders that concern a twin.
#[derive(Default)]
pub struct Drafts {
    /// Orders for its drug.
    pub orders: Vec<Draft>,
    /// Whether the drug is ordered by a way that the twin does not cover.
    pub other_way: bool,
}

/// The draft orders that are about this twin's drug; of an order-select, those that are selected.
pub fn drafts(advisor: &TwinAdvisor, definition: &Definition, call: &HookCall) -> Drafts {
    let mut found = Drafts::default();
    if call.hook == Hook::PatientView {
        return found;
    }
    let context = ReadContext {
        patient_id: &call.patient_id,
        now: clock::now(advisor.as_of, &[]),
        zone: advisor.zone.clone(),
    };
    let selected = |raw: &RawValue| call.selections.is_empty() || call.selections.iter().any(|s| is(raw, s));
    for raw in call.draft_orders.iter().filter(|raw| selected(raw)) {
        let (orders, remarks) =
            read_draft_orders(&[raw.as_ref()], &definition.file.needs, &advisor.terminology, &context);
        found.other_way |= remarks.iter().any(|r| r.id == "remark-order-route");
        found.orders.extend(orders.into_iter().map(|order| Draft {
            order,
            text: Some(raw.get().to_owned()),
        }));
    }
    found
}

/// Whether a selection (`MedicationRequest/abc`, or a bare id) points at this resource.
fn is(resource: &RawValue, selection: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Named {
        id: Option<String>,
    }
    let id = selection.rsplit('/').next().unwrap_or(selection);
    serde_json::from_str::<Named>(resource.get()).is_ok_and(|named| named.id.as_deref() == Some(id))
}

/// Computes the answer.
///
/// # Errors
/// [`CallError`] when the record is not that of the patient in context, or holds no patient.
pub fn evaluate(
    advisor: &TwinAdvisor,
    definition: &Definition,
    call: &HookCall,
    gathered: &Gathered,
) -> Result<Response, CallError> {
    let record: Vec<&RawValue> = gathered.resources.values().flatten().map(AsRef::as_ref).collect();
    let now = clock::now(advisor.as_of, &record);
    let context = ReadContext {
        patient_id: &call.patient_id,
        now,
        zone: advisor.zone.clone(),
    };
    let mut facts =
        read(&record, &definition.file.needs, &advisor.terminology, &context).map_err(|error| match error {
            RecordError::OtherPatient => CallError::Contradiction(error.to_string()),
            _ => CallError::MissingData(error.to_string()),
        })?;
    // Whether pages are missing is known from the gathering: a page that announces another may stand beside it.
    facts.ignored.retain(|r| r.id != "remark-page-missing");
    for key in gathered.partial() {
        let args = [("key".to_owned(), key.to_owned())].into();
        facts.ignored.push(Remark {
            id: "remark-partial".to_owned(),
            args,
            source: None,
        });
    }
    for (key, _) in gathered
        .states
        .iter()
        .filter(|(_, state)| !state.has_data() && **state != crate::fhir::prefetch::KeyState::Nothing)
    {
        let args = [("key".to_owned(), key.clone())].into();
        facts.ignored.push(Remark {
            id: "remark-unread".to_owned(),
            args,
            source: None,
        });
    }
    let drafts = drafts(advisor, definition, call);
    let draft = drafts.orders.first();
    // While an order is being drafted, a dose that is not there yet is no fault; anything else that is unclear is.
    let not_yet =
        |id: &str| call.hook == Hook::OrderSelect && matches!(id, "order-unclear-no-dosage" | "order-unclear-no-dose");
    let draft_unclear = draft
        .filter(|d| d.order.regimen.is_none())
        .map(|d| {
            d.order
                .unclear
                .clone()
                .unwrap_or_else(|| "order-unclear-no-dosage".to_owned())
        })
        .filter(|id| !not_yet(id));
    let language = Language::from_tag(call.language);
    let key = TwinKey::new(call.tenant.clone(), call.patient_id.clone(), definition.file.id.clone());
    let question = Question {
        definition,
        facts: &facts,
        draft: draft.map(|d| &d.order),
        other_way: drafts.orders.is_empty() && drafts.other_way,
        draft_unclear,
        several_drafts: drafts.orders.len() > 1,
        partial: gathered
            .partial()
            .any(|key| super::services::decides(&definition.file, key)),
        now,
        zone: &advisor.zone,
        language: language.tag(),
        draws: advisor.draws,
        cache: Cache {
            store: advisor.stores.twins.as_ref(),
            key: &key,
        },
        recent: &advisor.recent,
    };
    let outcome = consider(&question);
    let reader = Reader {
        wording: Wording::of(language),
        now,
        zone: &advisor.zone,
    };
    let draft_codes = draft.map(|d| d.order.medication_codes.as_slice()).unwrap_or_default();
    let case = Case {
        definition,
        facts: &facts,
        reader,
        subject: Subject {
            patient: &call.patient_id,
            encounter: call.encounter_id.as_deref(),
        },
        draft: draft.and_then(|d| d.text.as_deref()),
        draft_codes,
    };
    let mut extension = None;
    let card = match &outcome {
        Outcome::Silent => None,
        Outcome::Refused(refusal) => {
            tracing::info!(twin = definition.file.id, reason = refusal.reason, "refused");
            Some(case.refused(refusal))
        }
        Outcome::Advised(advised) => {
            tracing::info!(twin = definition.file.id, reused = advised.twin.reused, decision = ?advised.advice.decision, "advised");
            let picture = picture::picture(&case, advised);
            let card = case.advised(advised, picture.clone());
            if card.is_none() {
                // Nobody is interrupted; pages of ours can still draw the curve.
                extension = Some(picture);
            }
            card
        }
    };
    Ok(Response {
        cards: card.into_iter().collect(),
        extension,
    })
}
