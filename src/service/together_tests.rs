#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    sync::{Arc, Barrier, mpsc},
    time::Duration,
};

use rayon::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    cds::card::{Card, Coding, Indicator, Source},
    fhir::prefetch::{Gathered, KeyState},
    model::catalog::{Catalog, Definition},
    service::{Asked, Twin, services},
};

fn query(key: &str, template: &str, required: bool) -> Query {
    Query {
        key: key.to_owned(),
        template: template.to_owned(),
        required,
    }
}

fn said(summary: &str, indicator: Indicator, advice: bool, gain: f64) -> (String, Result<Said, LeftOut>) {
    let topic = Coding {
        system: "https://example.org".to_owned(),
        code: "t".to_owned(),
        display: None,
    };
    let card = Card {
        uuid: Uuid::new_v4(),
        summary: summary.to_owned(),
        detail: String::new(),
        indicator,
        source: Source {
            label: "twin".to_owned(),
            url: None,
            topic,
        },
        suggestions: Vec::new(),
        selection_behavior: None,
        override_reasons: Vec::new(),
        links: Vec::new(),
        extension: None,
    };
    let said = Said {
        card: Some(card),
        extension: None,
        advice,
        gain,
    };
    (summary.to_owned(), Ok(said))
}

fn silent(extension: Option<Value>) -> (String, Result<Said, LeftOut>) {
    let said = Said {
        card: None,
        extension,
        advice: true,
        gain: 0.0,
    };
    ("silent".to_owned(), Ok(said))
}

fn left_out(why: LeftOut) -> (String, Result<Said, LeftOut>) {
    ("left-out".to_owned(), Err(why))
}

fn summaries(response: &Response) -> Vec<&str> {
    response.cards.iter().map(|card| card.summary.as_str()).collect()
}

#[test]
fn the_most_important_three_are_shown() {
    let response = merge(vec![
        said("no data 1", Indicator::Info, false, 0.0),
        said("no data 2", Indicator::Info, false, 0.0),
        said("no data 3", Indicator::Info, false, 0.0),
        said("small gain", Indicator::Info, true, 0.1),
        said("large gain", Indicator::Info, true, 0.3),
        said("harm", Indicator::Critical, false, 0.0),
        silent(Some(json!({ "jumeau": { "on": "target" } }))),
    ])
    .unwrap();
    assert_eq!(summaries(&response), ["harm", "large gain", "small gain"]);
    assert_eq!(
        response.extension, None,
        "a picture without a card is for answers without cards"
    );
}

#[test]
fn warnings_come_before_information_and_advice_before_refusals() {
    let response = merge(vec![
        said("refusal", Indicator::Warning, false, 0.0),
        said("information", Indicator::Info, true, 0.9),
        said("advice", Indicator::Warning, true, 0.1),
    ])
    .unwrap();
    assert_eq!(summaries(&response), ["advice", "refusal", "information"]);
}

#[test]
fn equals_keep_the_order_of_the_catalogue() {
    let response = merge(vec![
        said("a", Indicator::Info, true, 0.2),
        said("b", Indicator::Info, true, 0.2),
    ])
    .unwrap();
    assert_eq!(summaries(&response), ["a", "b"]);
}

#[test]
fn who_is_left_out_is_told_and_silences_nobody() {
    let response = merge(vec![
        left_out(LeftOut::Late),
        left_out(LeftOut::Error(CallError::Internal)),
        said("advice", Indicator::Info, true, 0.2),
    ])
    .unwrap();
    assert_eq!(summaries(&response), ["advice"]);
    let list = &response.extension.unwrap()["jumeau_left_out"];
    assert_eq!(
        *list,
        json!([{ "twin": "left-out", "why": "late" }, { "twin": "left-out", "why": "failed" }])
    );
}

#[test]
fn errors_are_errors_when_nobody_answers() {
    let missing = CallError::MissingData("x".to_owned());
    let errors = vec![
        left_out(LeftOut::Error(CallError::Internal)),
        left_out(LeftOut::Error(missing.clone())),
    ];
    assert_eq!(merge(errors), Err(missing.clone()));
    let on_target = vec![silent(None), left_out(LeftOut::Error(missing.clone()))];
    assert!(merge(on_target).unwrap().cards.is_empty());
    let late = vec![left_out(LeftOut::Late), left_out(LeftOut::Error(missing))];
    assert!(merge(late).unwrap().cards.is_empty(), "no answer in time is no error");
    assert_eq!(merge(Vec::new()), Ok(Response::default()));
}

#[test]
fn equal_templates_are_asked_once() {
    let (a, b) = (
        [query("patient", "P", true), query("weight", "W", false)],
        [query("patient", "P", true), query("wt", "W", true)],
    );
    let union = Union::of([("a", a.as_slice()), ("b", b.as_slice())]);
    assert_eq!(union.queries, [query("patient", "P", true), query("weight", "W", true)]);
    assert_eq!(union.keys, [["patient", "weight"], ["patient", "weight"]]);
}

#[test]
fn a_key_with_two_meanings_is_told_apart_by_the_twin() {
    let (a, b, c) = (
        [query("level", "A", true)],
        [query("level", "B", true)],
        [query("level", "A", true)],
    );
    let twins = [("a", a.as_slice()), ("b", b.as_slice()), ("c", c.as_slice())];
    let union = Union::of(twins);
    assert_eq!(union.keys, [["level-a"], ["level-b"], ["level-a"]]);
    assert_eq!(
        union.queries,
        [query("level-a", "A", true), query("level-b", "B", true)]
    );
}

#[test]
fn the_union_of_all_twins_is_readable_and_complete() {
    let (catalog, _) = Catalog::load(None);
    let own: Vec<_> = catalog
        .twins
        .iter()
        .map(|twin| (twin.file.id.as_str(), services::queries(&twin.file)))
        .collect();
    assert!(own.len() > 1);
    let union = Union::of(own.iter().map(|(id, queries)| (*id, queries.as_slice())));
    let keys: BTreeSet<&str> = union.queries.iter().map(|q| q.key.as_str()).collect();
    let templates: BTreeSet<&str> = union.queries.iter().map(|q| q.template.as_str()).collect();
    assert_eq!(
        (keys.len(), templates.len()),
        (union.queries.len(), union.queries.len())
    );
    for key in &keys {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        assert!(key.bytes().all(plain) && key.len() <= 64, "{key}");
    }
    for key in ["patient", "administrations", "orders", "conditions"] {
        assert!(keys.contains(key), "{key}");
    }
    for ((id, queries), under) in own.iter().zip(&union.keys) {
        for (query, key) in queries.iter().zip(under) {
            let asked = union.queries.iter().find(|q| q.key == *key).unwrap();
            assert_eq!(asked.template, query.template, "{id} {key}");
            assert!(asked.required >= query.required);
        }
    }
}

#[test]
fn a_view_is_as_if_the_twin_had_been_asked_alone() {
    let own = [
        query("level", "A", true),
        query("notes", "N", false),
        query("later", "L", true),
    ];
    let mut gathered = Gathered::default();
    gathered
        .states
        .insert("level-a".to_owned(), KeyState::Fetched { partial: true });
    gathered.states.insert("level-b".to_owned(), KeyState::Unavailable);
    gathered.states.insert("notes".to_owned(), KeyState::Unavailable);
    let page = serde_json::value::RawValue::from_string("{}".to_owned()).unwrap();
    gathered.resources.insert("level-a".to_owned(), vec![page].into());
    let view = gathered.view(own.iter().zip(["level-a", "notes", "later"]));
    assert_eq!(view.partial().collect::<Vec<_>>(), ["level"]);
    assert_eq!(
        view.missing_required().count(),
        0,
        "what is optional may be missing; what was not asked yet is not"
    );
    assert_eq!(view.states.keys().collect::<Vec<_>>(), ["level", "notes"]);
    assert_eq!(view.resources["level"].len(), 1);
    let other = [query("level", "B", true)];
    let view = gathered.view(other.iter().zip(["level-b"]));
    assert_eq!(
        view.missing_required().collect::<Vec<_>>(),
        [("level", KeyState::Unavailable)]
    );
}

#[actix_web::test]
async fn who_is_late_or_panics_is_left_out() {
    let until = Instant::now() + Duration::from_millis(200);
    let (done, wait) = mpsc::channel::<()>();
    let late = within(until, move || wait.recv().is_err());
    let panics = within(until, || -> bool { panic!("on purpose") });
    let good = within(until, || true);
    let (late, panics, good) = futures_util::future::join3(late, panics, good).await;
    drop(done);
    assert_eq!(late, Err(LeftOut::Late));
    assert_eq!(panics, Err(LeftOut::Error(CallError::Internal)));
    assert_eq!(good, Ok(true));
    assert!(Instant::now() < until + Duration::from_secs(1));
}

#[test]
fn a_slow_computation_takes_no_threads_from_another() {
    let threads = Arc::new(Threads::default());
    let held = Arc::new(Barrier::new(2));
    let (end, wait) = mpsc::channel::<()>();
    let slow = std::thread::spawn({
        let (threads, held) = (Arc::clone(&threads), Arc::clone(&held));
        move || {
            threads.run(move || {
                held.wait();
                wait.recv().is_err()
            })
        }
    });
    held.wait();
    let sum: u64 = threads.run(|| (0..1000_u64).into_par_iter().sum());
    assert_eq!(sum, 499_500);
    drop(end);
    assert!(slow.join().unwrap());
    assert_eq!(threads.idle().len(), 2, "both sets are kept for those that come");
}

#[test]
fn nothing_is_asked_for_twins_that_a_call_does_not_concern() {
    let (catalog, _) = Catalog::load(None);
    let twin = |definition: &Arc<Definition>| Arc::new(Twin::new(Arc::clone(definition), 1));
    let asked = Asked::of(&catalog.twins.iter().map(twin).collect::<Vec<_>>());
    let nothing = Gathered::default();
    let first = asked.open(&asked.members, &nothing, true);
    let keys: BTreeSet<&str> = first.iter().map(|q| q.key.as_str()).collect();
    assert_eq!(
        keys,
        BTreeSet::from(["administrations", "orders", "patient", "statements"])
    );
    let one: Vec<_> = asked
        .members
        .iter()
        .filter(|m| m.twin.id() == "vancomycin")
        .cloned()
        .collect();
    let [member] = one.as_slice() else { panic!("one twin") };
    let templates = |queries: &[Query]| queries.iter().map(|q| q.template.clone()).collect::<BTreeSet<_>>();
    let all = asked.open(&one, &nothing, false);
    assert_eq!(templates(&all), templates(&member.twin.queries));
    let mut gathered = Gathered::default();
    gathered
        .states
        .extend(first.iter().map(|q| (q.key.clone(), KeyState::Nothing)));
    let rest = asked.open(&one, &gathered, false);
    assert_eq!(
        rest.len() + first.len(),
        all.len(),
        "what is there is not asked for again"
    );
    assert!(asked.open(&[], &nothing, false).is_empty());
}
