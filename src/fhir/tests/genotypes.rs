//! Categories.

use super::*;
use crate::patient::needs::Category;

fn levels(levels: &[&[&str]]) -> Vec<Vec<String>> {
    let texts = |texts: &&[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
    levels.iter().map(texts).collect()
}

fn needs_genotypes() -> Needs {
    let mut needs = needs();
    needs.categories = vec![
        Category {
            name: "cyp".into(),
            gene: Some("CYP2C9".into()),
            codes: vec![],
            levels: levels(&[&["*1/*1"], &["*1/*3"], &["*3/*3"]]),
        },
        Category {
            name: "vk".into(),
            gene: Some("VKORC1".into()),
            codes: vec![code("urn:lab", "VK")],
            levels: levels(&[
                &["G/G", "rs9923231 C/C"],
                &["G/A", "-1639 G/A", "rs9923231 C/T"],
                &["A/A", "rs9923231 T/T"],
            ]),
        },
    ];
    needs
}

fn concept(text: &str) -> Value {
    json!({"text": text})
}

/// As the genomics reporting guide has it.
fn reported(id: &str, gene: Value, value: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": LOINC, "code": "84413-4", "display": "Genotype display name"}]},
        "effectiveDateTime": "2019-04-01", "valueCodeableConcept": concept(value),
        "component": [{"code": {"coding": [{"system": LOINC, "code": "48018-6"}]}, "valueCodeableConcept": gene}]})
}

fn hgnc(id: &str, symbol: &str) -> Value {
    json!({"coding": [{"system": "http://www.genenames.org/geneId", "code": id, "display": symbol}]})
}

fn cyp(id: &str, value: &str) -> Value {
    reported(id, hgnc("HGNC:2623", "CYP2C9"), value)
}

/// As laboratories write it.
fn plain(id: &str, code: &str, value: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"text": code}, "effectiveDateTime": "2019-04-01", "valueString": value})
}

fn got(resources: &[Value]) -> Facts {
    facts_for(&needs_genotypes(), resources)
}

fn level(name: &str, resource: Value) -> Option<usize> {
    got(&[resource]).categories.get(name).map(|f| f.level)
}

#[test]
fn the_genomics_reporting_guide() {
    for value in ["CYP2C9*1/*3", "*3/*1", "CYP2C9 *1/*3", "\u{2217}1/\u{2217}3"] {
        let got = got(&[cyp("a", value)]);
        assert_eq!(got.categories["cyp"].level, 1, "{value}");
        assert_eq!(got.categories["cyp"].text, value);
        assert_eq!(got.categories["cyp"].source.reference, "Observation/a");
        assert!(got.ignored.is_empty() && got.categories.len() == 1);
    }
    for gene in [
        concept("CYP2C9"),
        json!({"coding": [{"code": "HGNC:2623"}]}),
        hgnc("HGNC:2623", "x"),
    ] {
        assert_eq!(level("cyp", reported("a", gene, "*3/*3")), Some(2));
    }
    // The gene studied is another one, whatever the text.
    let other = reported("a", hgnc("HGNC:2621", "CYP2C19"), "CYP2C9 *1/*3");
    assert!(got(&[other]).categories.is_empty());
    let mut component = without(cyp("a", ""), "valueCodeableConcept");
    component["component"]
        .as_array_mut()
        .unwrap()
        .push(json!({"code": {"coding": [{"system": LOINC, "code": "84413-4"}]}, "valueString": "*1/*1"}));
    assert_eq!(level("cyp", component), Some(0));
    let variant = with(cyp("a", "*1/*3"), "/code/coding/0/code", json!("47998-0"));
    assert_eq!(level("cyp", variant), Some(1));
}

#[test]
fn other_ways() {
    assert_eq!(level("cyp", plain("a", "CYP2C9 genotype", "*1/*3")), Some(1));
    assert_eq!(level("cyp", plain("a", "Génotype", "CYP2C9 *1/*3")), Some(1));
    assert_eq!(level("cyp", plain("a", "CYP2C9 *1/*3", "detected")), Some(1));
    assert_eq!(level("cyp", plain("a", "CYP2C9 *1/*3", "not detected")), None);
    assert_eq!(
        level("cyp", without(plain("a", "CYP2C9 *1/*3", ""), "valueString")),
        Some(1)
    );
    assert_eq!(level("vk", plain("a", "VKORC1 -1639", "G/A")), Some(1));
    assert_eq!(level("vk", plain("a", "VKORC1 \u{2212}1639 A/G", "present")), Some(1));
    assert_eq!(level("vk", plain("a", "VKORC1", "rs9923231 T/C")), Some(1));
    assert_eq!(level("vk", plain("a", "VKORC1 rs9923231", "C/T")), Some(1));
    // Another place in the same gene.
    assert_eq!(level("vk", plain("a", "VKORC1 3730", "G/A")), None);
    assert_eq!(level("vk", plain("a", "rs9923231", "C/T")), None);
    let by_code = with(
        plain("a", "x", "A/A"),
        "/code",
        json!({"coding": [{"system": "urn:lab", "code": "VK"}]}),
    );
    assert_eq!(level("vk", by_code.clone()), Some(2));
    let coded = with(
        without(by_code, "valueString"),
        "/valueCodeableConcept",
        json!({"coding": [{"code": "G/A"}]}),
    );
    assert_eq!(level("vk", coded), Some(1));
}

#[test]
fn contradictions_and_unknown_texts() {
    let same = got(&[cyp("a", "*1/*3"), plain("b", "CYP2C9", "*3/*1")]);
    assert_eq!((same.categories["cyp"].level, same.ignored.len()), (1, 0));
    let newer = with(cyp("b", "*1/*1"), "/effectiveDateTime", json!("2026-01-01"));
    let apart = got(&[cyp("a", "*1/*3"), newer]);
    assert_eq!(
        (apart.categories.len(), ids(&apart.ignored)),
        (0, vec!["remark-category-contradiction"])
    );
    assert_eq!(apart.ignored[0].args["other"], "*1/*1");
    let unknown = got(&[cyp("a", "*1/*11")]);
    assert_eq!(
        (unknown.categories.len(), ids(&unknown.ignored)),
        (0, vec!["remark-category-unknown"])
    );
    // A diplotype that is none of the levels contradicts one that is.
    let both = got(&[cyp("a", "*1/*1"), cyp("b", "*1/*11")]);
    assert_eq!(both.categories.len(), 0);
    // A word about the phenotype says nothing of the genotype, and takes nothing away.
    let phenotype = got(&[cyp("a", "*1/*1"), plain("b", "CYP2C9 metaboliser status", "normal")]);
    assert_eq!((phenotype.categories["cyp"].level, phenotype.ignored.len()), (0, 0));
    let two = with(
        cyp("a", "*1/*1"),
        "/valueCodeableConcept",
        json!({"text": "*1/*1", "coding": [{"display": "*1/*3"}]}),
    );
    assert!(got(&[two]).categories.is_empty());
    let none = got(&[without(cyp("a", ""), "valueCodeableConcept")]);
    assert_eq!(ids(&none.ignored), ["remark-no-value"]);
}

#[test]
fn what_does_not_count() {
    for (resource, id) in [
        (
            with(cyp("a", "*1/*3"), "/status", json!("entered-in-error")),
            "remark-entered-in-error-bare",
        ),
        (with(cyp("a", "*1/*3"), "/status", json!("cancelled")), "remark-status"),
        (
            with(cyp("a", "*1/*3"), "/subject/reference", json!("Patient/q")),
            "remark-other-subject",
        ),
        (
            with(cyp("a", "*1/*3"), "/focus", json!([{"reference": "Patient/q"}])),
            "remark-other-subject",
        ),
        (
            with(cyp("a", "*1/*3"), "/modifierExtension", json!([{"url": "x"}])),
            "remark-modified",
        ),
        (
            with(cyp("a", "*1/*3"), "/valueCodeableConcept", json!("*1/*3")),
            "remark-unreadable",
        ),
    ] {
        let got = got(std::slice::from_ref(&resource));
        assert_eq!((got.categories.len(), ids(&got.ignored)), (0, vec![id]), "{resource}");
    }
    let retracted = with(cyp("b", "*1/*1"), "/status", json!("entered-in-error"));
    assert_eq!(got(&[cyp("a", "*1/*3"), retracted]).categories["cyp"].level, 1);
    let preliminary = got(&[with(cyp("a", "*1/*3"), "/status", json!("preliminary"))]);
    assert_eq!(
        (preliminary.categories.len(), ids(&preliminary.assumed)),
        (1, vec!["remark-preliminary"])
    );
    // The gene in a note only.
    let noted = with(
        plain("a", "potassium", "4.1"),
        "/note",
        json!([{"text": "CYP2C9 *1/*3"}]),
    );
    assert!(got(&[noted]).categories.is_empty());
}

#[test]
fn endless_lists() {
    let many: Vec<Value> = (0..20_000).map(|i| json!({"display": format!("*{i}/*{i}")})).collect();
    let huge = with(cyp("a", "x"), "/valueCodeableConcept/coding", json!(many));
    assert!(got(&[huge]).categories.is_empty());
    let many: Vec<Value> = (0..20_000).map(|_| json!({"display": "CYP2C9"})).collect();
    let huge = with(cyp("a", "*1/*3"), "/code/coding", json!(many));
    assert_eq!(level("cyp", huge), Some(1));
}
