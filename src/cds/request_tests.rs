use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parse_as(body: &[u8], hooks: &[Hook]) -> Result<HookCall, Malformed> {
    HookCall::parse(
        body,
        Envelope {
            service_id: "s",
            hooks,
            language: "en",
            deadline: Instant::now(),
            tenant: None,
        },
    )
}

fn parse(body: &Value) -> Result<HookCall, Malformed> {
    parse_as(body.to_string().as_bytes(), &Hook::ALL)
}

fn place(body: &Value) -> String {
    parse(body).err().and_then(|e| e.expression).unwrap_or_default()
}

fn view() -> Value {
    json!({ "hook": "patient-view", "hookInstance": "i", "context": { "userId": "Practitioner/a", "patientId": "p-1" } })
}

fn select() -> Value {
    let order = json!({ "resourceType": "MedicationRequest", "id": "d", "category": {} });
    json!({ "hook": "order-select", "hookInstance": "i", "context": { "userId": "Practitioner/a", "patientId": "p-1",
        "selections": ["MedicationRequest/d"], "draftOrders": { "resourceType": "Bundle", "entry": [{ "resource": order }] } } })
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(parent).expect("a parent")[name] = value;
    body
}

#[test]
fn the_smallest_call() -> Result<(), Malformed> {
    let call = parse(&view())?;
    assert_eq!(
        (call.hook, call.patient_id.as_str(), call.user_id.as_deref()),
        (Hook::PatientView, "p-1", Some("Practitioner/a"))
    );
    assert_eq!(call.tenant, "local");
    assert!(call.fhir.is_none() && call.prefetch.is_empty() && call.encounter_id.is_none());
    Ok(())
}

#[test]
fn required_members_are_named() {
    for name in ["hook", "hookInstance", "context"] {
        for value in [json!(null), json!(5), json!([]), json!("")] {
            assert_eq!(place(&with(view(), &format!("/{name}"), value)), name);
        }
    }
    for name in ["userId", "patientId", "selections", "draftOrders"] {
        for value in [json!(null), json!(7), json!("")] {
            assert_eq!(
                place(&with(select(), &format!("/context/{name}"), value)),
                format!("context.{name}")
            );
        }
    }
    assert_eq!(
        place(&with(select(), "/context/selections", json!([5]))),
        "context.selections[0]"
    );
    assert_eq!(
        place(&with(select(), "/context/draftOrders/resourceType", json!("Patient"))),
        "context.draftOrders.resourceType"
    );
    assert_eq!(
        place(&with(select(), "/context/draftOrders/entry", json!("x"))),
        "context.draftOrders.entry"
    );
    assert_eq!(
        place(&with(view(), "/context/encounterId", json!({}))),
        "context.encounterId"
    );
    assert_eq!(place(&with(view(), "/prefetch", json!([]))), "prefetch");
}

#[test]
fn ids_are_ids() {
    for id in [
        "../x",
        "a/b",
        "a b",
        "a?b",
        "a%2e",
        "é",
        "..",
        "",
        "x\u{0}",
        &"x".repeat(65),
    ] {
        assert_eq!(
            place(&with(view(), "/context/patientId", json!(id))),
            "context.patientId",
            "{id}"
        );
    }
    for id in [
        "no-slash",
        "Practitioner/",
        "/a",
        "Practitioner/a/b",
        "practitioner/a",
        "Practitioner/a?x",
        "http://x/Practitioner/a",
    ] {
        assert_eq!(
            place(&with(view(), "/context/userId", json!(id))),
            "context.userId",
            "{id}"
        );
    }
}

#[test]
fn the_hook_must_be_one_of_the_service() {
    let body = view().to_string();
    assert!(parse_as(body.as_bytes(), &[Hook::PatientView]).is_ok());
    let refused = parse_as(body.as_bytes(), &[Hook::OrderSign]).expect_err("refused");
    assert_eq!(
        (refused.fault, refused.expression.as_deref()),
        (Fault::NotSupported, Some("hook"))
    );
    assert!(refused.message.contains("order-sign"));
    assert_eq!(place(&with(view(), "/hook", json!("PATIENT-VIEW"))), "hook");
}

#[test]
fn draft_orders_are_read_leniently() -> Result<(), Malformed> {
    let call = parse(&select())?;
    assert_eq!((call.draft_orders.len(), call.selections.len()), (1, 1));
    for drafts in [
        json!({}),
        json!({ "resourceType": "Bundle" }),
        json!({ "entry": [{ "fullUrl": "x" }, { "resource": null }] }),
    ] {
        assert!(
            parse(&with(select(), "/context/draftOrders", drafts))?
                .draft_orders
                .is_empty()
        );
    }
    let sign = with(
        with(select(), "/hook", json!("order-sign")),
        "/context/selections",
        json!(null),
    );
    assert_eq!(parse(&sign)?.draft_orders.len(), 1);
    Ok(())
}

#[test]
fn extensions_and_unknown_members_are_ignored() {
    let body = with(
        with(view(), "/extension", json!({ "a": [] })),
        "/context/futureField",
        json!({ "b": null }),
    );
    assert!(parse(&body).is_ok());
}

#[test]
fn prefetch_tells_nothing_failed_and_data_apart() -> Result<(), Malformed> {
    let prefetch = json!({ "gone": null, "failed": { "resourceType": "OperationOutcome", "issue": [] }, "html": "<html>", "list": [],
        "untyped": {}, "typed": { "resourceType": 7 }, "patient": { "resourceType": "Patient", "id": "p-1" } });
    let call = parse(&with(view(), "/prefetch", prefetch))?;
    assert!(matches!(call.prefetch.get("gone"), Some(Prefetched::Nothing)));
    for key in ["failed", "html", "list", "untyped", "typed"] {
        assert!(matches!(call.prefetch.get(key), Some(Prefetched::Failed)), "{key}");
    }
    assert!(matches!(call.prefetch.get("patient"), Some(Prefetched::Data(raw)) if raw.get().contains("p-1")));
    assert!(!call.prefetch.contains_key("absent"));
    assert!(!format!("{:?}", call.prefetch).contains("p-1"));
    Ok(())
}

fn access() -> Value {
    json!({ "access_token": "abc.DEF-1~", "token_type": "Bearer", "expires_in": 300, "scope": "user/*.rs", "subject": "x" })
}

#[test]
fn fhir_server() -> Result<(), Malformed> {
    for (text, tenant) in [
        ("https://EHR.example.org:443/fhir/", "https://ehr.example.org/fhir"),
        ("http://127.0.0.1:1/fhir", "http://127.0.0.1:1/fhir"),
        ("http://2130706433/a/../b", "http://127.0.0.1/b"),
        ("https://ehr.example.org", "https://ehr.example.org"),
    ] {
        assert_eq!(parse(&with(view(), "/fhirServer", json!(text)))?.tenant, tenant);
    }
    for value in [
        json!("file:///etc/passwd"),
        json!("gopher://127.0.0.1:1/"),
        json!("not a url"),
        json!(""),
        json!("//127.0.0.1:1/fhir"),
        json!(5),
        json!(null),
        json!({}),
        json!("http://[::"),
        json!("http://h/fhir/?x=y#z"),
        json!("http://u:p@h/fhir"),
        json!("http://@h/"),
        json!("http://h\\@evil/"),
        json!("http:h/fhir"),
        json!("https://h/\u{e9}"),
        json!("https://h/ x"),
        json!("http://"),
    ] {
        let call = parse(&with(view(), "/fhirServer", value.clone()))?;
        assert!(call.fhir.is_none() && call.tenant == "local", "{value}");
    }
    Ok(())
}

#[test]
fn fhir_authorization() -> Result<(), Malformed> {
    let body = with(view(), "/fhirServer", json!("https://h/fhir"));
    let token = |authorization: Value| -> Result<Option<Secret>, Malformed> {
        let call = parse(&with(body.clone(), "/fhirAuthorization", authorization))?;
        Ok(call.fhir.expect("a server").token)
    };
    assert_eq!(token(access())?.as_ref().map(Secret::reveal), Some("abc.DEF-1~"));
    assert_eq!(format!("{:?}", token(access())?), "Some(Secret(…))");
    for (name, value) in [
        ("access_token", json!(null)),
        ("access_token", json!(5)),
        ("access_token", json!("")),
        ("access_token", json!("a\r\nX: y")),
        ("token_type", json!("mac")),
        ("token_type", json!(5)),
        ("expires_in", json!(0)),
        ("expires_in", json!(-5)),
    ] {
        assert!(token(with(access(), &format!("/{name}"), value))?.is_none(), "{name}");
    }
    for odd in [json!("Bearer abc"), json!(null), json!([]), json!({})] {
        assert!(token(odd)?.is_none());
    }
    assert_eq!(place(&with(view(), "/fhirAuthorization", access())), "fhirServer");
    Ok(())
}

#[test]
fn refusals_repeat_nothing() {
    for pointer in [
        "/hook",
        "/context/userId",
        "/context/patientId",
        "/context/encounterId",
        "/context/draftOrders",
    ] {
        let refused = parse(&with(select(), pointer, json!("SECRET value"))).expect_err("refused");
        assert!(!format!("{refused:?}").contains("SECRET"), "{pointer}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_as(&body, &Hook::ALL);
    }

    #[test]
    fn arbitrary_members_never_panic(pointer in prop::sample::select(vec!["/hook", "/hookInstance", "/context", "/context/userId",
        "/context/patientId", "/context/selections", "/context/draftOrders", "/context/draftOrders/entry", "/prefetch", "/fhirServer",
        "/fhirAuthorization"]), text in ".*", number in any::<f64>(), kind in 0..5) {
        let value = match kind { 0 => json!(text), 1 => json!(number), 2 => json!([text]), 3 => json!({ text: number }), _ => json!(null) };
        let _ = parse(&with(select(), pointer, value));
    }
}
