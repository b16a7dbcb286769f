//! From gathered data to the answer: the part of a call that computes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use crate::{
    advice::{
        decide::Decision,
        outcome::{Advised, Outcome, Question, consider},
        present::{drafted, on_treatment},
    },
    cds::{
        advisor::CallError,
        card::Card,
        request::{Hook, HookCall},
    },
    fhir::{
        facts::{ReadContext, RecordError, read, read_draft_orders},
        prefetch::{Gathered, KeyState},
    },
    model::{catalog::Definition, twin_file::Doses},
    patient::{
        facts::{Facts, Order, Regimen, Remark},
        needs::Needs,
    },
    store::TwinKey,
    twin::{cache::Cache, scores},
    wording::{Language, Wording},
};

use super::{TwinAdvisor, cards::Case, clock, inquire::Inquiry, orders::Subject, picture, words::Reader};

/// A draft order for the twin's drug, with the text it was read from.
pub struct Draft {
    /// As read.
    pub order: Order,
    /// As sent.
    pub text: Option<String>,
    /// Its place among the drafts of the call.
    pub place: usize,
}

/// The draft orders that concern a twin.
#[derive(Default)]
pub struct Drafts {
    /// Orders for its drug.
    pub orders: Vec<Draft>,
    /// Places of drafts that order it by a way that the twin does not cover.
    pub other_way: BTreeSet<usize>,
}

/// What one twin said.
#[derive(Debug)]
pub struct Said {
    /// What is shown, if anybody is to be interrupted.
    pub card: Option<Card>,
    /// For pages of ours, where no card is shown.
    pub extension: Option<Value>,
    /// Whether it is advice and no refusal.
    pub advice: bool,
    /// Score of what is recommended above that of the present plan.
    pub gain: f64,
}

/// Why a call is a twin's business: drafts of its drug or, where a chart is opened, that the patient may be on its treatment, which
/// is told without the data that only a fit needs. `None`: it is not, and nothing more need be known.
pub fn concern(advisor: &TwinAdvisor, definition: &Definition, call: &HookCall, gathered: &Gathered) -> Option<Drafts> {
    let drafts = drafts(advisor, definition, call);
    let concerned = match call.hook {
        _ if call.page => true,
        Hook::PatientView => may_be_on_treatment(advisor, definition, call, gathered),
        Hook::OrderSelect | Hook::OrderSign => !drafts.orders.is_empty() || !drafts.other_way.is_empty(),
    };
    concerned.then_some(drafts)
}

/// Also when that cannot be told: then the evaluation says why.
fn may_be_on_treatment(advisor: &TwinAdvisor, definition: &Definition, call: &HookCall, gathered: &Gathered) -> bool {
    if lacking(gathered).next().is_some() {
        return true;
    }
    let record = record(gathered);
    let context = context(advisor, call, &record);
    let needs = Needs {
        measured: Vec::new(),
        flags: Vec::new(),
        categories: Vec::new(),
        ..definition.file.needs.clone()
    };
    read(&record, &needs, &advisor.terminology, &context).map_or(true, |facts| {
        !facts.person.deceased && on_treatment(&facts, &definition.file.treatment, context.now)
    })
}

/// The required keys that could not be had. A search that found nothing is no lack.
pub fn lacking(gathered: &Gathered) -> impl Iterator<Item = &str> {
    let missing = gathered.missing_required();
    missing
        .filter(|(_, state)| *state != KeyState::Nothing)
        .map(|(key, _)| key)
}

fn record(gathered: &Gathered) -> Vec<&RawValue> {
    let pages = gathered.resources.values().flat_map(|pages| pages.iter());
    pages.map(AsRef::as_ref).chain(gathered.beside.as_deref()).collect()
}

fn context<'c>(advisor: &TwinAdvisor, call: &'c HookCall, record: &[&RawValue]) -> ReadContext<'c> {
    ReadContext {
        patient_id: &call.patient_id,
        now: clock::now(advisor.as_of, record),
        zone: advisor.zone.clone(),
    }
}

/// The draft orders that are about this twin's drug; of an order-select, those that are selected.
fn drafts(advisor: &TwinAdvisor, definition: &Definition, call: &HookCall) -> Drafts {
    let mut found = Drafts::default();
    if call.hook == Hook::PatientView {
        return found;
    }
    let context = context(advisor, call, &[]);
    let selected = |raw: &RawValue| call.selections.is_empty() || call.selections.iter().any(|s| is(raw, s));
    for (place, raw) in call.draft_orders.iter().enumerate().filter(|(_, raw)| selected(raw)) {
        let (orders, remarks) =
            read_draft_orders(&[raw.as_ref()], &definition.file.needs, &advisor.terminology, &context);
        if remarks.iter().any(|r| r.id == "remark-order-route") {
            found.other_way.insert(place);
        }
        found.orders.extend(orders.into_iter().map(|order| Draft {
            order,
            text: Some(raw.get().to_owned()),
            place,
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

/// Turns what came of a question into what is answered: cards for hooks, findings for operations.
pub type Tell<R> = fn(&Case<'_>, &Outcome) -> R;

/// Computes what a twin says of a call that concerns it.
///
/// # Errors
/// [`CallError`] when the record is not that of the patient in context, or holds no patient, or a given treatment cannot be read.
pub(super) fn evaluate<R>(
    advisor: &TwinAdvisor,
    definition: &Definition,
    inquiry: &Inquiry,
    drafts: &Drafts,
    gathered: &Gathered,
    tell: Tell<R>,
) -> Result<(&'static str, R), CallError> {
    let call = &inquiry.call;
    let (facts, now) = facts(advisor, definition, call, gathered)?;
    let draft = drafts.orders.first();
    // While an order is being drafted, a dose that is not there yet is no fault; anything else that is unclear is.
    let not_yet =
        |id: &str| call.hook == Hook::OrderSelect && matches!(id, "order-unclear-no-dosage" | "order-unclear-no-dose");
    let draft_unclear = draft
        .filter(|d| {
            let treatment = &definition.file.treatment;
            treatment.doses != Doses::None && drafted(&d.order, treatment).is_none()
        })
        .map(|d| {
            d.order
                .unclear
                .clone()
                .unwrap_or_else(|| "order-unclear-no-dosage".to_owned())
        })
        .filter(|id| !not_yet(id));
    let language = Language::from_tag(call.language);
    let wording = Wording::of(language);
    let given = treatments(advisor, definition, inquiry, now, wording)?;
    let key = TwinKey::new(call.tenant.clone(), call.patient_id.clone(), definition.file.id.clone());
    let question = Question {
        definition,
        facts: &facts,
        draft: draft.map(|d| &d.order),
        other_way: drafts.orders.is_empty() && !drafts.other_way.is_empty(),
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
        whole: inquiry.whole,
        given: &given,
    };
    let outcome = consider(&question);
    let reader = Reader {
        wording,
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
        launch: advisor.launch.get().map(String::as_str),
        hook_instance: &call.hook_instance,
        page: inquiry.whole,
    };
    let twin = definition.file.id.as_str();
    let name = match &outcome {
        Outcome::Silent => "silent",
        Outcome::Refused(refusal) => {
            tracing::info!(twin, reason = refusal.reason, "refused");
            "refused"
        }
        Outcome::Advised(advised) => {
            tracing::info!(twin, reused = advised.twin.reused, decision = ?advised.advice.decision, "advised");
            "advised"
        }
    };
    Ok((name, tell(&case, &outcome)))
}

/// The regimens of the treatments that the caller gave to be simulated.
fn treatments(
    advisor: &TwinAdvisor,
    definition: &Definition,
    inquiry: &Inquiry,
    now: Timestamp,
    wording: &Wording,
) -> Result<Vec<Regimen>, CallError> {
    let file = &definition.file;
    if !inquiry.treatments.is_empty() && file.treatment.doses == Doses::None {
        let message = "this twin follows a course and compares no doses: leave the treatments out";
        return Err(CallError::BadRequest(message.to_owned()));
    }
    let context = ReadContext {
        now,
        ..context(advisor, &inquiry.call, &[])
    };
    let one = |(n, raw): (usize, &RawValue)| {
        let wrong = |why: &str| {
            let message = format!("treatment {}: {why}", n + 1);
            CallError::BadRequest(message)
        };
        let (orders, _) = read_draft_orders(&[raw], &file.needs, &advisor.terminology, &context);
        let order = orders.first().ok_or_else(|| {
            wrong("not a MedicationRequest for this twin's drug and patient; code the drug as the twin's file does and name the patient as subject")
        })?;
        let plan = drafted(order, &file.treatment);
        plan.map(|plan| plan.regimen).ok_or_else(|| {
            let id = order.unclear.as_deref().unwrap_or("order-unclear-no-dosage");
            wrong(&wording.say(id, []))
        })
    };
    let treatments = inquiry.treatments.iter().map(AsRef::as_ref);
    treatments.enumerate().map(one).collect()
}

/// What a hook is told.
pub fn said(case: &Case<'_>, outcome: &Outcome) -> Said {
    let silent = Said {
        card: None,
        extension: None,
        advice: false,
        gain: 0.0,
    };
    match outcome {
        Outcome::Silent => silent,
        Outcome::Refused(refusal) => Said {
            card: Some(case.refused(refusal)),
            ..silent
        },
        Outcome::Advised(advised) => {
            let picture = picture::picture(case, advised);
            let card = case.advised(advised, picture.clone());
            Said {
                // Where nobody is interrupted, pages of ours can still draw the curve.
                extension: card.is_none().then_some(picture),
                card,
                advice: true,
                gain: gain(advised),
            }
        }
    }
}

/// What the record says, with what could not be had of it, and the present.
fn facts(
    advisor: &TwinAdvisor,
    definition: &Definition,
    call: &HookCall,
    gathered: &Gathered,
) -> Result<(Facts, Timestamp), CallError> {
    let record = record(gathered);
    let context = context(advisor, call, &record);
    let mut facts =
        read(&record, &definition.file.needs, &advisor.terminology, &context).map_err(|error| match error {
            RecordError::OtherPatient => CallError::Contradiction(error.to_string()),
            _ => CallError::MissingData(error.to_string()),
        })?;
    scores::complete(&definition.file, &mut facts);
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
        .filter(|(_, state)| !state.has_data() && **state != KeyState::Nothing)
    {
        let args = [("key".to_owned(), key.clone())].into();
        facts.ignored.push(Remark {
            id: "remark-unread".to_owned(),
            args,
            source: None,
        });
    }
    Ok((facts, context.now))
}

/// What the recommended plan scores above the present one or, without one, above no treatment.
fn gain(advised: &Advised) -> f64 {
    let advice = &advised.advice;
    let score = |place: usize| advice.options.get(place).map(|option| option.score);
    let Decision::Recommend(best) = advice.decision else {
        return 0.0;
    };
    let now = advice.keep.or(advice.stop).and_then(score).unwrap_or(0.0);
    score(best).map_or(0.0, |best| best - now)
}
