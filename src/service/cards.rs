//! Advice and refusals as cards.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    advice::{
        decide::{Decision, Evaluated},
        gates::{Refusal, Urgency, covariate},
        outcome::{Advised, LISTED},
        present::KnownFrom,
    },
    cds::card::{Action, ActionType, Card, Coding, Indicator, Link, LinkType, SelectionBehavior, Source, Suggestion},
    model::{
        catalog::Definition,
        twin_file::{Caution, Status, TwinFile},
    },
    patient::facts::Facts,
    twin::plan::{Kind, infusion_hours},
};

use super::{
    detail,
    orders::{DraftDose, DraftDrug, Subject, level_request, medication_request},
    words::{Reader, summary},
};

/// System of our own codes.
pub const CODES: &str = "https://jumeau.org/fhir/CodeSystem";

/// What a card is made from.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The twin's files.
    pub definition: &'a Definition,
    /// The record.
    pub facts: &'a Facts,
    /// Who reads.
    pub reader: Reader<'a>,
    /// Patient and encounter in context.
    pub subject: Subject<'a>,
    /// The draft order in the clinician's hands, as sent.
    pub draft: Option<&'a str>,
    /// Codes of the drug on that draft.
    pub draft_codes: &'a [(String, String)],
}

impl Case<'_> {
    fn file(&self) -> &TwinFile {
        &self.definition.file
    }

    fn source(&self) -> Source {
        let file = self.file();
        let models: Vec<&str> = self.definition.models.iter().map(|m| m.id.as_str()).collect();
        Source {
            label: format!("Jumeau {} {} ({})", file.id, file.version, models.join(", ")),
            url: Some(file.link.clone()),
            topic: Coding {
                system: format!("{CODES}/topic"),
                code: format!("{}-dosing", file.id),
                display: Some(self.reader.text(&file.title).to_owned()),
            },
        }
    }

    fn override_reasons(&self) -> Vec<Coding> {
        self.file()
            .overrides
            .iter()
            .map(|reason| Coding {
                system: format!("{CODES}/override-reason"),
                code: reason.code.clone(),
                display: Some(self.reader.text(&reason.say).to_owned()),
            })
            .collect()
    }

    fn links(&self) -> Vec<Link> {
        let guideline = Link {
            label: self.reader.say("link-guideline", []),
            url: self.file().link.clone(),
            kind: LinkType::Absolute,
        };
        let models = self
            .definition
            .models
            .iter()
            .filter(|m| !m.doi.is_empty())
            .map(|m| Link {
                label: self.reader.say("link-model", [("model", m.id.clone())]),
                url: format!("https://doi.org/{}", m.doi),
                kind: LinkType::Absolute,
            });
        std::iter::once(guideline).chain(models).collect()
    }

    fn card(&self, summary: String, detail: String, indicator: Indicator, suggestions: Vec<Suggestion>) -> Card {
        Card {
            uuid: Uuid::new_v4(),
            summary,
            detail,
            indicator,
            source: self.source(),
            selection_behavior: (!suggestions.is_empty()).then_some(SelectionBehavior::AtMostOne),
            suggestions,
            override_reasons: self.override_reasons(),
            links: self.links(),
            extension: None,
        }
    }

    fn level_suggestion(&self) -> Option<Suggestion> {
        let reader = self.reader;
        let drug = reader.text(&self.file().treatment.name).to_owned();
        let text = reader.say("level-name", [("drug", drug.clone())]);
        let resource = level_request(self.subject, &self.file().level.order_loinc, &text).ok()?;
        Some(Suggestion {
            uuid: Uuid::new_v4(),
            label: reader.say("suggest-level", []),
            is_recommended: false,
            actions: vec![Action {
                kind: ActionType::Create,
                description: reader.say("action-level", [("drug", drug)]),
                resource: Some(resource),
            }],
        })
    }

    fn dose_suggestion(&self, option: &Evaluated, changes: bool, recommended: bool) -> Option<Suggestion> {
        let (reader, file) = (self.reader, self.file());
        let regimen = option.plan.regimen?;
        let drug = reader.text(&file.treatment.name).to_owned();
        let long = reader.plan(file, &option.plan, true);
        let mut doses = Vec::new();
        if let Some(loading) = option.plan.loading {
            doses.push(DraftDose {
                amount: loading,
                interval_hours: None,
                duration_hours: infusion_hours(&file.treatment, loading),
                text: format!("{} {}", reader.number(loading), file.treatment.unit),
            });
        }
        doses.push(DraftDose {
            amount: regimen.amount,
            interval_hours: Some(regimen.interval_hours),
            duration_hours: regimen.duration_hours,
            text: reader.regimen_long(file, &regimen),
        });
        let codes = if self.draft_codes.is_empty() {
            file.treatment
                .codes
                .iter()
                .map(|c| (c.system.clone(), c.code.clone()))
                .collect()
        } else {
            self.draft_codes.to_vec()
        };
        let route = file
            .treatment
            .route
            .as_ref()
            .map(|r| (reader.text(&r.text).to_owned(), r.snomed.clone()));
        let draft = DraftDrug {
            text: drug.clone(),
            codes,
            unit: file.treatment.unit.clone(),
            route,
        };
        let (kind, resource) = medication_request(self.subject, &draft, &doses, self.draft).ok()?;
        let id = match kind {
            ActionType::Update => "action-update",
            _ if changes => "action-order",
            _ => "action-start",
        };
        Some(Suggestion {
            uuid: Uuid::new_v4(),
            label: reader.say(
                if changes { "suggest-change" } else { "suggest-start" },
                [("regimen", long.clone())],
            ),
            is_recommended: recommended,
            actions: vec![Action {
                kind,
                description: reader.say(id, [("drug", drug), ("regimen", long)]),
                resource: Some(resource),
            }],
        })
    }

    /// The card of a refusal: what is wrong, what would help, never a dose.
    #[must_use]
    pub fn refused(&self, refusal: &Refusal) -> Card {
        let reader = self.reader;
        let name = reader.text(&self.file().name).to_owned();
        let what = reader.wording.phrase(&refusal.what);
        let summary = summary([
            reader.say("summary-refused", [("name", name.clone()), ("what", what)]),
            reader.say("summary-refused-short", [("name", name)]),
        ]);
        let suggestions = if refusal.order_level {
            self.level_suggestion().into_iter().collect()
        } else {
            Vec::new()
        };
        let indicator = match refusal.urgency {
            Urgency::Info => Indicator::Info,
            Urgency::Warning => Indicator::Warning,
            Urgency::Critical => Indicator::Critical,
        };
        self.card(summary, detail::refusal(self, refusal), indicator, suggestions)
    }

    /// The card of advice; none when the present plan is on target.
    #[must_use]
    pub fn advised(&self, advised: &Advised, extension: Value) -> Option<Card> {
        let (twin, advice) = (&advised.twin, &advised.advice);
        let (reader, file) = (self.reader, self.file());
        let keep = advice.keep.and_then(|i| advice.options.get(i));
        let [low, high] = file.goal.within;
        let common = |option: &Evaluated| {
            vec![
                ("name", reader.text(&file.name).to_owned()),
                ("label", reader.text(&file.goal.label).to_owned()),
                ("low", reader.number(low)),
                ("high", reader.number(high)),
                ("option", reader.plan(file, &option.plan, false)),
                ("value", reader.prediction(option.goal.p50)),
                ("chance", reader.percent(option.chance_goal)),
            ]
        };
        let present = |args: &mut Vec<(&str, String)>| {
            if let Some(keep) = keep {
                args.push(("current", reader.plan(file, &keep.plan, false)));
                args.push(("now", reader.prediction(keep.goal.p50)));
                args.push(("direction", reader.direction(keep)));
                let draft = advised
                    .present
                    .as_ref()
                    .is_some_and(|p| p.known_from == KnownFrom::Draft);
                args.push((
                    "which",
                    reader.say(if draft { "which-draft" } else { "which-present" }, []),
                ));
            }
        };
        let say = |id: &str, option: &Evaluated| {
            let mut args = common(option);
            present(&mut args);
            reader.wording.say(id, args)
        };
        let text = match (advice.decision, keep) {
            (Decision::OnTarget, Some(keep)) => {
                let caution = self.caution()?;
                let mut args = common(keep);
                present(&mut args);
                args.push(("caution", reader.text(&caution.say).to_owned()));
                summary([reader.wording.say("summary-caution", args)])
            }
            (Decision::OnTarget, None) => return None,
            (Decision::Recommend(i), Some(_)) => {
                let option = advice.options.get(i)?;
                summary(["summary-change", "summary-change-short", "summary-start"].map(|id| say(id, option)))
            }
            (Decision::Recommend(i), None) => summary([say("summary-start", advice.options.get(i)?)]),
            (Decision::NoClearAdvantage, Some(keep)) => summary([say("summary-unclear", keep)]),
            (Decision::NothingSuitable, Some(keep)) => summary([say("summary-unsuitable", keep)]),
            (_, None) => {
                let name = reader.text(&file.name).to_owned();
                summary([reader.say("summary-nothing-suitable", [("name", name)])])
            }
        };
        let recommended = match advice.decision {
            Decision::Recommend(i) => Some(i),
            _ => None,
        };
        let mut suggestions: Vec<Suggestion> = advice
            .alternatives(LISTED)
            .into_iter()
            .filter_map(|i| self.dose_suggestion(advice.options.get(i)?, keep.is_some(), recommended == Some(i)))
            .collect();
        if !twin.is_personal() && keep.is_some() {
            suggestions.truncate(LISTED - 1);
            suggestions.extend(self.level_suggestion());
        }
        let indicator = indicator(keep, recommended.is_some());
        let mut card = self.card(text, detail::advice(self, advised), indicator, suggestions);
        card.extension = Some(extension);
        Some(card)
    }

    /// A caution of the twin's file that holds for this patient.
    #[must_use]
    pub fn caution(&self) -> Option<&Caution> {
        let high = |c: &&Caution| {
            covariate(self.file(), self.facts, &c.input, self.reader.now).is_some_and(|m| m.value > c.above)
        };
        self.file().cautions.iter().find(high)
    }

    /// Whether the twin is not validated for clinical use.
    #[must_use]
    pub fn investigational(&self) -> bool {
        self.file().status != Status::Active
    }
}

/// Critical only when the present plan is more likely than not harmful, warning when it misses, information otherwise.
fn indicator(keep: Option<&Evaluated>, better: bool) -> Indicator {
    match keep {
        Some(keep) if keep.blocked && keep.plan.kind == Kind::Keep && keep.chance_harm > 0.9 => Indicator::Critical,
        Some(_) if better => Indicator::Warning,
        _ => Indicator::Info,
    }
}
