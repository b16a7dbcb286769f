//! `GET /smart/twin`: the twin's page. It is computed anew each time from the record, with the token of the launch.

use std::{fmt::Write, sync::Arc, time::Instant};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};

use super::{
    Smart, curves,
    person::Person,
    picture::Picture,
    query::Query,
    session::Session,
    tables,
    trouble::Trouble,
    view::{self, Page},
    words::Words,
};
use crate::{
    cds::{
        advisor::CallError,
        card::{Card, Indicator, Response},
        request::{FhirAccess, Hook, HookCall},
    },
    page::{
        html::{escaped, link},
        language, markdown,
    },
};

/// The page, or why there is none.
pub async fn twin(request: HttpRequest, smart: web::Data<Smart>) -> HttpResponse {
    let language = language::of(&request);
    match shown(&request, &smart, language).await {
        Ok(answer) => answer,
        Err((trouble, session)) => {
            tracing::warn!(why = trouble.id(), "a page was not shown");
            view::trouble(&smart, trouble, session.as_ref().map(|s| s.issuer.as_ref()), language)
        }
    }
}

async fn shown(
    request: &HttpRequest,
    smart: &Arc<Smart>,
    language: &'static str,
) -> Result<HttpResponse, (Trouble, Option<Arc<Session>>)> {
    let query = Query::of(request);
    let (session, name) = Session::of(request, &query, smart).map_err(|trouble| (trouble, None))?;
    let of = |trouble| (trouble, Some(Arc::clone(&session)));
    let asked = query.one("twin").map_err(of)?;
    let twin = match asked {
        Some(twin) if !smart.serves(twin) => return Err(of(Trouble::NoTwin)),
        Some(twin) => Some(twin.to_owned()),
        None => session.twin.clone(),
    };
    let words = Words::of(language, &smart.zone);
    let _turn = smart.turns.try_acquire().map_err(|_| of(Trouble::Busy))?;
    let person = person(smart, &session);
    let Some(twin) = twin else {
        let who = patient(person.await.as_ref(), &words);
        let page = Page {
            status: StatusCode::OK,
            title: words.plain("smart-choose", []),
            body: chooser(smart, &name, &who, &words),
            again: Some(format!("s={name}")),
            issuer: Some(&session.issuer),
        };
        return Ok(view::answer(smart, &page, &words));
    };
    let (person, said) = futures_util::future::join(person, ask(smart, &session, &twin, language)).await;
    let who = patient(person.as_ref(), &words);
    let (status, title, main) = match said {
        Ok(response) => told(&response, &session, &words),
        Err(error) => failed(&error, &session, &words),
    };
    let title = title.unwrap_or_else(|| smart.name(&twin).to_owned());
    let page = Page {
        status,
        body: format!("{who}{main}{}", others(smart, &name, &twin, &words)),
        title,
        again: Some(format!("s={name}&amp;twin={twin}")),
        issuer: Some(&session.issuer),
    };
    Ok(view::answer(smart, &page, &words))
}

/// Asks the twin as a hook would, but for all that it has.
async fn ask(smart: &Arc<Smart>, session: &Session, twin: &str, language: &'static str) -> Result<Response, CallError> {
    let call = HookCall {
        service_id: format!("{twin}-{}", Hook::PatientView.name()),
        hook: Hook::PatientView,
        hook_instance: uuid::Uuid::new_v4().to_string(),
        patient_id: session.patient.clone(),
        user_id: None,
        encounter_id: session.encounter.clone(),
        draft_orders: Vec::new(),
        selections: Vec::new(),
        prefetch: std::collections::BTreeMap::new(),
        fhir: Some(FhirAccess {
            server: session.issuer.base.clone(),
            token: Some(session.token.clone()),
        }),
        tenant: session.issuer.tenant.clone(),
        language,
        deadline: Instant::now() + smart.settings.deadline,
        page: true,
    };
    let advisor = Arc::clone(&smart.advisor);
    let task = async move { advisor.advise(call).await };
    smart.runtime.spawn(task).await.unwrap_or(Err(CallError::Internal))
}

async fn person(smart: &Smart, session: &Session) -> Option<Person> {
    let base = &session.issuer.base;
    let path = base.path().trim_end_matches('/');
    let url = base.join(&format!("{path}/Patient/{}", session.patient)).ok()?;
    let body = smart.outside.get(&url, Some(&session.token)).await.ok()?;
    Person::read(&body, &session.patient)
}

fn patient(person: Option<&Person>, words: &Words<'_>) -> String {
    let label = words.say("smart-patient", []);
    let Some(person) = person else {
        let unread = words.say("smart-patient-unread", []);
        return format!(r#"<section class="patient unread" aria-label="{label}"><p>{unread}</p></section>"#);
    };
    let gender = match person.gender.as_str() {
        "female" => "smart-gender-female",
        "male" => "smart-gender-male",
        "other" => "smart-gender-other",
        _ => "smart-gender-unknown",
    };
    let mut facts = words.say(gender, []);
    if !person.born.is_empty() {
        let _ = write!(
            facts,
            ", {}",
            words.say(
                "smart-born",
                [("date", crate::wording::day(&person.born, words.wording.language))]
            )
        );
    }
    format!(
        r#"<section class="patient" aria-label="{label}"><p><strong>{}</strong> <span>{facts}</span></p></section>"#,
        escaped(&person.name)
    )
}

/// Status, title and main part for what the twin said.
fn told(response: &Response, session: &Session, words: &Words<'_>) -> (StatusCode, Option<String>, String) {
    let Some(card) = response.cards.first() else {
        let late = response
            .extension
            .as_ref()
            .and_then(|e| e.get("jumeau_left_out"))
            .is_some();
        if late {
            let status = Trouble::Late.status();
            return (status, None, view::told(Trouble::Late, words, &missing(session, words)));
        }
        let body = format!(
            r#"<section class="panel"><h1>{}</h1><p>{}</p>{}</section>"#,
            words.say("smart-silent-what", []),
            words.say("smart-silent-help", []),
            missing(session, words)
        );
        return (StatusCode::OK, None, body);
    };
    let picture = Picture::of(card.extension.as_ref());
    let title = picture
        .as_ref()
        .map(|p| p.quantity.clone())
        .filter(|title| !title.is_empty());
    let title = title.or_else(|| card.source.topic.display.clone());
    let body = page(card, picture.as_ref(), title.as_deref(), session, words);
    (StatusCode::OK, title, body)
}

fn page(card: &Card, picture: Option<&Picture>, title: Option<&str>, session: &Session, words: &Words<'_>) -> String {
    let mut out = finding(card, picture, title, words);
    let section = |id: &str, title: &str, body: &str| {
        format!(r#"<section class="panel" aria-labelledby="{id}"><h2 id="{id}">{title}</h2>{body}</section>"#)
    };
    if let Some(picture) = picture {
        if let Some(figures) = curves::figures(picture, words) {
            let args = [
                ("quantity", picture.quantity.clone()),
                ("unit", crate::wording::unit(&picture.unit)),
            ];
            let mut body = format!(
                r#"<p class="quiet">{}</p>{figures}"#,
                words.say("smart-courses-about", args)
            );
            if let Some(table) = curves::table(picture, words) {
                let _ = write!(
                    body,
                    "<details><summary>{}</summary>{table}</details>",
                    words.say("smart-table", [])
                );
            }
            out.push_str(&section("courses", &words.say("smart-courses", []), &body));
        }
        out.push_str(&section(
            "options",
            &words.say("smart-options", []),
            &tables::options(picture, words),
        ));
    }
    out.push_str(&section(
        "why",
        &words.say("smart-why", []),
        &why(card, picture.is_some(), session, words),
    ));
    if let Some(picture) = picture {
        out.push_str(&section(
            "rests",
            &words.say("smart-rests", []),
            &tables::basis(picture, words),
        ));
    }
    let links: Vec<String> = card
        .links
        .iter()
        .filter(|l| l.app_context.is_none())
        .map(|l| format!("<li>{}</li>", link(&l.label, &l.url)))
        .collect();
    if !links.is_empty() {
        let list = format!(r#"<ul class="links">{}</ul>"#, links.concat());
        out.push_str(&section("links", &words.say("smart-links", []), &list));
    }
    out
}

/// What is read first: the twin, its status, the sentence of the card, when it was computed.
fn finding(card: &Card, picture: Option<&Picture>, title: Option<&str>, words: &Words<'_>) -> String {
    let (class, id, mark) = match card.indicator {
        Indicator::Info => ("info", "smart-indicator-info", "i"),
        Indicator::Warning => ("warning", "smart-indicator-warning", "!"),
        Indicator::Critical => ("critical", "smart-indicator-critical", "!!"),
    };
    let now = picture.and_then(|p| p.now).unwrap_or(words.now);
    format!(
        r#"<section class="panel finding {class}" aria-labelledby="twin"><div class="head"><h1 id="twin">{title}</h1><p class="status">{status}</p></div><p class="indicator"><span class="mark" aria-hidden="true">{mark}</span> {indicator}</p><p class="summary">{summary}</p><p class="quiet">{source}. {read}</p></section>"#,
        title = escaped(title.unwrap_or_default()),
        status = words.say("smart-status-tag", []),
        indicator = words.say(id, []),
        summary = escaped(&card.summary),
        source = escaped(&card.source.label),
        read = words.say("smart-read-at", [("time", words.time(now))]),
    )
}

/// The blocks of the card, and what could not be read. Options stand in the table where there is one.
fn why(card: &Card, table: bool, session: &Session, words: &Words<'_>) -> String {
    let options = words.plain("block-options", []);
    let options = options.trim_matches('*');
    let mut out = String::new();
    for block in markdown::blocks(&card.detail) {
        if table && block.title == Some(options) {
            continue;
        }
        out.push_str(r#"<div class="block">"#);
        if let Some(title) = block.title {
            let _ = write!(out, "<h3>{}</h3>", markdown::line(title));
        }
        if !block.text.is_empty() {
            let _ = write!(out, "<p>{}</p>", markdown::line(block.text));
        }
        if !block.items.is_empty() {
            out.push_str(&markdown::list(&block.items));
        }
        out.push_str("</div>");
    }
    format!(r#"<div class="blocks">{out}{}</div>"#, missing(session, words))
}

/// What the EHR did not let the app read.
fn missing(session: &Session, words: &Words<'_>) -> String {
    let text = if session.lacking.is_empty() {
        return String::new();
    } else {
        words.say("smart-not-granted", [("list", session.lacking.join(", "))])
    };
    format!(
        r#"<div class="block lacking"><h3>{}</h3><p>{text}</p></div>"#,
        words.say("smart-missing", [])
    )
}

fn failed(error: &CallError, session: &Session, words: &Words<'_>) -> (StatusCode, Option<String>, String) {
    let (trouble, detail) = match error {
        CallError::MissingData(text) => (Trouble::MissingData, Some(text)),
        CallError::Contradiction(_) => (Trouble::Contradiction, None),
        CallError::Busy => (Trouble::Busy, None),
        // A page asks nothing else that could be wrong.
        CallError::BadRequest(_) => (Trouble::NoTwin, None),
        CallError::Internal => (Trouble::Internal, None),
    };
    tracing::warn!(why = trouble.id(), "a page has no numbers");
    let mut more = detail.map_or_else(String::new, |text| {
        format!(r#"<p lang="en"><code>{}</code></p>"#, escaped(text))
    });
    more.push_str(&missing(session, words));
    let title = words.plain("smart-trouble-title", []);
    (trouble.status(), Some(title), view::told(trouble, words, &more))
}

/// Where the launch named no twin.
fn chooser(smart: &Smart, name: &str, who: &str, words: &Words<'_>) -> String {
    format!(
        r#"{who}<section class="panel"><h1>{}</h1><p>{}</p>{}</section>"#,
        words.say("smart-choose", []),
        words.say("smart-choose-about", []),
        list(smart, name, None, words)
    )
}

fn others(smart: &Smart, name: &str, twin: &str, words: &Words<'_>) -> String {
    let heading = words.say("smart-others", []);
    format!(
        r#"<nav class="panel others" aria-labelledby="others"><details><summary id="others">{heading}</summary>{}</details></nav>"#,
        list(smart, name, Some(twin), words)
    )
}

fn list(smart: &Smart, name: &str, but: Option<&str>, words: &Words<'_>) -> String {
    let lang = words.tag();
    let each = smart
        .twins
        .iter()
        .filter(|(id, _)| Some(id.as_str()) != but)
        .map(|(id, title)| {
            // Titles of services are English.
            format!(
                r#"<li><a href="?s={name}&amp;twin={id}&amp;lang={lang}" lang="en">{}</a></li>"#,
                escaped(title)
            )
        });
    format!("<ul>{}</ul>", each.collect::<String>())
}
