//! Advice and refusals as cards.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    advice::{
        decide::{Decision, Evaluated},
        gates::{Refusal, Urgency},
        outcome::{Advised, LISTED},
        present::KnownFrom,
    },
    cds::card::{Action, ActionType, Card, Coding, Indicator, Link, LinkType, SelectionBehavior, Source, Suggestion},
    model::{
        catalog::Definition,
        formula::Values,
        twin_file::{Caution, Cautioned, Limits, Role, Status, TwinFile},
    },
    patient::facts::Facts,
    twin::plan::{Kind, infusion_hours},
};
use jiff::SignedDuration;

use super::{
    detail,
    orders::{DraftDose, DraftDrug, Subject, level_request, medication_request, other_request},
    words::{Reader, shorter_and_shorter, summary},
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
    /// Where the EHR launches the twin's page; none where that is not configured.
    pub launch: Option<&'a str>,
    /// `hookInstance` of the call.
    pub hook_instance: &'a str,
    /// Whether a page asks, which shows what no card is made for.
    pub page: bool,
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
            app_context: None,
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
                app_context: None,
            });
        self.page_link().into_iter().chain([guideline]).chain(models).collect()
    }

    /// The link to the twin's page. What the EHR hands on says which twin, and to which call the card belonged; nothing of the patient.
    fn page_link(&self) -> Option<Link> {
        let mut context = json!({ "twin": self.file().id });
        // A hookInstance that is no UUID could hold anything.
        if let (Ok(call), Some(members)) = (Uuid::parse_str(self.hook_instance), context.as_object_mut()) {
            members.insert("hookInstance".to_owned(), Value::String(call.to_string()));
        }
        Some(Link {
            label: self.reader.say("link-twin", []),
            url: self.launch?.to_owned(),
            kind: LinkType::Smart,
            app_context: Some(context.to_string()),
        })
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

    /// An order for a new level, where the twin has one.
    pub(super) fn level_suggestion(&self) -> Option<Suggestion> {
        let reader = self.reader;
        let order_loinc = self.file().observed().find_map(|item| match &item.role {
            Role::Observed { order_loinc, .. } => order_loinc.as_deref(),
            Role::Covariate(_) => None,
        })?;
        let drug = reader.text(&self.file().treatment.name).to_owned();
        let text = reader.say("level-name", [("drug", drug.clone())]);
        let resource = level_request(self.subject, order_loinc, &text).ok()?;
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

    /// The orders that the rules which hold offer.
    pub(super) fn rule_suggestions(&self, advised: &Advised) -> Vec<Suggestion> {
        let reader = self.reader;
        let rules = advised.rules.iter().filter_map(|place| self.file().rules.get(*place));
        rules
            .filter_map(|rule| {
                let order = rule.order.as_ref()?;
                let drug = reader.text(&order.text).to_owned();
                let codes: Vec<_> = order.codes.iter().map(|c| (c.system.clone(), c.code.clone())).collect();
                let how = order.dosage.as_ref().map(|d| reader.text(d));
                let resource = other_request(self.subject, &drug, &codes, how).ok()?;
                Some(Suggestion {
                    uuid: Uuid::new_v4(),
                    label: reader.say("suggest-rule", [("drug", drug.clone())]),
                    is_recommended: false,
                    actions: vec![Action {
                        kind: ActionType::Create,
                        description: reader.say("action-rule", [("drug", drug)]),
                        resource: Some(resource),
                    }],
                })
            })
            .collect()
    }

    /// An order for an option.
    pub(super) fn dose_suggestion(&self, option: &Evaluated, changes: bool, recommended: bool) -> Option<Suggestion> {
        let (reader, file) = (self.reader, self.file());
        let regimen = option.plan.regimen?;
        let drug = reader.text(&file.treatment.name).to_owned();
        let long = reader.plan(file, &option.plan, true);
        let mut doses = Vec::new();
        if let Some(loading) = option.plan.loading {
            doses.push(DraftDose {
                amount: loading,
                interval_hours: None,
                times: 1,
                start: None,
                duration_hours: infusion_hours(&file.treatment, loading),
                text: format!("{} {}", reader.number(loading), file.treatment.unit),
            });
        }
        // A pattern is so many doses in its round.
        let times = u32::try_from(option.plan.pattern.len().max(1)).unwrap_or(1);
        let put_off = SignedDuration::try_from_secs_f64(option.plan.delay * 3600.0).ok();
        doses.push(DraftDose {
            amount: regimen.amount,
            interval_hours: (file.treatment.times != Some(1)).then(|| option.plan.round()),
            times,
            start: put_off
                .filter(|delay| delay.is_positive())
                .and_then(|delay| reader.now.checked_add(delay).ok())
                .map(|at| at.to_zoned_datetime(reader.zone.clone()).date().to_string()),
            duration_hours: regimen.duration_hours,
            text: long.clone(),
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
        let said = shorter_and_shorter(&what).map(|what| {
            let args = [("name", name.clone()), ("what", what.to_owned())];
            reader.say("summary-refused", args)
        });
        let short = reader.say("summary-refused-short", [("name", name.clone())]);
        let summary = summary(said.into_iter().chain([short]));
        let suggestions = if refusal.order_level {
            self.level_suggestion().into_iter().collect()
        } else {
            Vec::new()
        };
        let indicator = level_of(refusal.urgency);
        self.card(summary, detail::refusal(self, refusal), indicator, suggestions)
    }

    /// The card of advice; none when the present plan is on target and nothing must be heard.
    #[must_use]
    pub fn advised(&self, advised: &Advised, extension: Value) -> Option<Card> {
        let (twin, advice, file) = (&advised.twin, &advised.advice, self.file());
        let keep = advice.keep.and_then(|i| advice.options.get(i));
        let text = self.headline(advised)?;
        let recommended = match advice.decision {
            Decision::Recommend(i) => Some(i),
            _ => None,
        };
        // What is not suitable is shown, and not offered.
        let offered = match advice.decision {
            Decision::NothingSuitable => Vec::new(),
            _ => advised.listed.clone(),
        };
        let mut suggestions: Vec<Suggestion> = offered
            .into_iter()
            .filter_map(|i| self.dose_suggestion(advice.options.get(i)?, keep.is_some(), recommended == Some(i)))
            .collect();
        if !twin.is_personal()
            && keep.is_some()
            && let Some(level) = self.level_suggestion()
        {
            suggestions.truncate(LISTED - 1);
            suggestions.push(level);
        }
        suggestions.extend(self.rule_suggestions(advised));
        if !advised.screens.is_empty() {
            suggestions.clear();
        }
        let rules = advised.rules.iter().filter_map(|place| file.rules.get(*place));
        let by_rule = rules.map(|rule| level_of(rule.urgency));
        let indicator = by_rule
            .chain([indicator(keep, recommended.is_some())])
            .max_by_key(|i| *i as u8)
            .unwrap_or(Indicator::Info);
        let mut card = self.card(text, detail::advice(self, advised), indicator, suggestions);
        card.extension = Some(extension);
        Some(card)
    }

    /// The sentence that is read first; none when nobody needs to be interrupted.
    fn headline(&self, advised: &Advised) -> Option<String> {
        let advice = &advised.advice;
        let (reader, file) = (self.reader, self.file());
        let keep = advice.keep.and_then(|i| advice.options.get(i));
        let (goal, measure) = file.headline()?;
        let open = Limits {
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
        };
        let range = reader.range(advised.targets.goals.first().copied().flatten().unwrap_or(open));
        let name = || reader.text(&file.name).to_owned();
        let value = |option: &Evaluated| {
            let found = option.measure(goal.measure);
            found.map_or_else(|| "-".to_owned(), |m| reader.prediction(m.p50))
        };
        let say = |id: &str, option: &Evaluated| {
            let mut args = vec![
                ("name", name()),
                ("label", reader.text(&measure.label).to_owned()),
                ("range", range.clone()),
                ("option", reader.plan(file, &option.plan, false)),
                ("value", value(option)),
                ("chance", reader.percent(option.chance_goal())),
            ];
            if let Some(keep) = keep {
                args.push(("current", reader.plan(file, &keep.plan, false)));
                args.push(("now", value(keep)));
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
            if let Some(caution) = self.loud_caution(&advised.twin.values) {
                args.push(("caution", reader.text(&caution.say).to_owned()));
            }
            reader.wording.say(id, args)
        };
        let rule = || {
            let rule = advised.rules.first().and_then(|place| file.rules.get(*place))?;
            let said = shorter_and_shorter(reader.text(&rule.say)).map(|rule| {
                let args = [("name", name()), ("rule", rule.to_owned())];
                reader.say("summary-rule", args)
            });
            let short = reader.say("summary-rule-short", [("name", name())]);
            Some(summary(said.into_iter().chain([short])))
        };
        Some(match (advice.decision, keep) {
            (Decision::OnTarget | Decision::Watch, _) if advised.must_be_heard(file) => rule()?,
            (Decision::OnTarget, Some(keep)) => match self.loud_caution(&advised.twin.values) {
                Some(_) => summary([say("summary-caution", keep)]),
                None if self.page => summary([say("summary-on-target", keep)]),
                None => return None,
            },
            (Decision::OnTarget, None) if self.page => summary([reader.say("summary-not-needed", [("name", name())])]),
            (Decision::OnTarget, None) => return None,
            (Decision::Watch, _) => summary([say("summary-watch", keep.or(advice.options.first())?)]),
            (Decision::Recommend(i), Some(_)) => {
                let option = advice.options.get(i)?;
                summary(["summary-change", "summary-change-short", "summary-start"].map(|id| say(id, option)))
            }
            (Decision::Recommend(i), None) => summary([say("summary-start", advice.options.get(i)?)]),
            (Decision::NoClearAdvantage, Some(keep)) => summary([say("summary-unclear", keep)]),
            (Decision::NothingSuitable, Some(keep)) => summary([say("summary-unsuitable", keep)]),
            (_, None) => summary([reader.say("summary-nothing-suitable", [("name", name())])]),
        })
    }

    /// Whether a caution of the twin's file holds for this patient.
    #[must_use]
    pub fn holds(&self, caution: &Caution, values: &Values) -> bool {
        match &caution.when {
            Cautioned::When(when) => when.holds(values),
            Cautioned::Missing(name) => !values.contains_key(name),
        }
    }

    /// A caution that is said even when the plan is on target.
    fn loud_caution(&self, values: &Values) -> Option<&Caution> {
        let cautions = self.definition.file.cautions.iter();
        cautions.filter(|c| c.loud).find(|c| self.holds(c, values))
    }

    /// Whether the twin is not validated for clinical use.
    #[must_use]
    pub fn investigational(&self) -> bool {
        self.file().status != Status::Active
    }
}

fn level_of(urgency: Urgency) -> Indicator {
    match urgency {
        Urgency::Info => Indicator::Info,
        Urgency::Warning => Indicator::Warning,
        Urgency::Critical => Indicator::Critical,
    }
}

/// Critical only when the present plan is more likely than not harmful, warning when it misses, information otherwise.
fn indicator(keep: Option<&Evaluated>, better: bool) -> Indicator {
    match keep {
        Some(keep) if keep.blocked && keep.plan.kind == Kind::Keep && keep.chance_harm() > 0.9 => Indicator::Critical,
        Some(_) if better => Indicator::Warning,
        _ => Indicator::Info,
    }
}
