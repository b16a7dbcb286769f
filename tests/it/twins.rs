//! What a specialist would see of every twin but vancomycin: each sample patient, what the answer should be, and why.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use jiff::Timestamp;
use jumeau::settings::{AsOf, Offer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Server, draft, sample, stable};

/// The patients of whom this file says something, in the order of the index.
const PATIENTS: [&str; 27] = [
    "zielinska",
    "andersen",
    "papadakis",
    "varga",
    "delacroix",
    "oconnell",
    "bianchi",
    "dvorak",
    "silva",
    "kowalska",
    "ferreira",
    "lindgren",
    "novak",
    "rasmussen",
    "marchetti",
    "virtanen",
    "oconnor",
    "dimitrova",
    "schneider",
    "halvorsen",
    "wisniewska",
    "korhonen",
    "desmet",
    "bellini",
    "stavrou",
    "hoekstra",
    "prochazkova",
];

/// One server for all tests that run at the same time.
fn server() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::patient());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// Patients other than those of vancomycin, each with its twin and first hook.
fn index() -> Vec<(String, String, String)> {
    let index: toml::Table = fs::read_to_string("src/demo/patients.toml").unwrap().parse().unwrap();
    let patients = index["patient"].as_array().unwrap().iter();
    patients
        .map(|p| (&p["id"], &p["twin"], &p["hooks"][0]))
        .map(|(id, twin, hook)| [id, twin, hook].map(|v| v.as_str().unwrap().to_owned()))
        .filter(|[_, twin, _]| twin != "vancomycin")
        .map(|[id, twin, hook]| (id, twin, hook))
        .collect()
}

/// The folder of a twin's files and the twin's own file.
fn twin_file(twin: &str) -> (PathBuf, toml::Table) {
    let folders = fs::read_dir("models").unwrap().map(|f| f.unwrap().path());
    folders
        .filter_map(|folder| Some((fs::read_to_string(folder.join("twin.toml")).ok()?, folder)))
        .map(|(text, folder)| (folder, text.parse::<toml::Table>().unwrap()))
        .find(|(_, file)| file["twin"]["id"].as_str() == Some(twin))
        .unwrap()
}

/// The answer to the first hook of a patient, with the patient's twin and hook.
fn fire(name: &str) -> (Value, String, String) {
    let (_, twin, hook) = index().into_iter().find(|(id, ..)| id == name).unwrap();
    let order = (hook != "patient-view").then(|| draft(name));
    let server = server();
    let request = server.request_of(&twin, &hook, &sample(name), order.as_ref());
    let card = server.card_of(&twin, &hook, &request);
    (card.unwrap_or_else(|| panic!("{name}: a card")), twin, hook)
}

fn text<'a>(card: &'a Value, member: &str) -> &'a str {
    card[member].as_str().unwrap()
}

fn options<'a>(card: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = card["extension"]["jumeau"]["options"].as_array().unwrap();
    all.iter().filter(|o| o["kind"] == kind).collect()
}

/// The plan that was drafted or is in force.
fn keep(card: &Value) -> &Value {
    options(card, "keep").first().expect("the present plan")
}

/// The course without further treatment.
fn stop(card: &Value) -> &Value {
    options(card, "stop").first().expect("the course without treatment")
}

fn recommended(card: &Value) -> &Value {
    let changes = options(card, "change").into_iter();
    let best: Vec<&Value> = changes.filter(|o| o["recommended"] == true).collect();
    assert_eq!(best.len(), 1, "one recommendation: {}", card["summary"]);
    best[0]
}

fn median(option: &Value, measure: &str) -> f64 {
    option["measures"][measure]["median"]
        .as_f64()
        .unwrap_or_else(|| panic!("{measure} of {option}"))
}

fn number(value: &Value) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| panic!("a number: {value}"))
}

fn suggestions(card: &Value) -> &[Value] {
    card.get("suggestions")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Orders with a dose in figures: those of the twin's own drug.
fn dosed(card: &Value) -> Vec<&Value> {
    suggestions(card)
        .iter()
        .map(|s| &s["actions"][0]["resource"])
        .filter(|r| r["dosageInstruction"][0].get("doseAndRate").is_some())
        .collect()
}

/// Amount and, unless it is one dose, interval in hours of the order that the card recommends.
fn ordered(card: &Value) -> (f64, Option<f64>) {
    let suggestion = suggestions(card).iter().find(|s| s["isRecommended"] == true);
    let resource = &suggestion.expect("a recommended order")["actions"][0]["resource"];
    let instruction = resource["dosageInstruction"].as_array().unwrap().last().unwrap();
    let repeat = &instruction["timing"]["repeat"];
    let interval = repeat.get("period").map(|period| {
        let unit = match repeat["periodUnit"].as_str().unwrap() {
            "h" => 1.0,
            "d" => 24.0,
            "wk" => 168.0,
            other => panic!("{other}"),
        };
        number(period) * unit / number(&repeat["frequency"])
    });
    (
        number(&instruction["doseAndRate"][0]["doseQuantity"]["value"]),
        interval,
    )
}

fn says(card: &Value, words: &[&str]) {
    for words in words {
        assert!(text(card, "detail").contains(words), "{words}: {}", card["detail"]);
    }
}

/// A card with advice, after what must be true of each.
fn advised(name: &str) -> Value {
    let (card, twin, hook) = fire(name);
    assert!(text(&card, "summary").chars().count() < 140);
    let extension = &card["extension"]["jumeau"];
    assert_eq!(extension["twin"], *twin, "{name}");
    says(
        &card,
        &[
            "**Based on**",
            "**Prediction**",
            "**Options**",
            "**Limits**",
            "**About**",
            "not clinically validated",
        ],
    );
    // By the models of the twin's file, as they lie there.
    let (folder, _) = twin_file(&twin);
    let models = extension["models"].as_array().unwrap();
    assert!(!models.is_empty());
    for model in models {
        let file = fs::read(folder.join(format!("{}.toml", text(model, "id")))).unwrap();
        let digest: String = Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text(model, "sha256"), digest);
        says(
            &card,
            &[&format!(
                "{} {} (SHA-256 {})",
                text(model, "id"),
                text(model, "version"),
                &digest[..12]
            )],
        );
    }
    let weights: f64 = models.iter().map(|m| m["weight"].as_f64().unwrap()).sum();
    assert!((weights - 1.0).abs() < 0.01, "{name}: {weights}");
    // What happens without treatment is always to be seen, on the card and as a curve; so is the present plan.
    let course = |option: &Value| {
        let [hours, low, middle, high] =
            ["hours", "p05", "p50", "p95"].map(|line| option["curve"][line].as_array().unwrap().clone());
        assert!(hours.len() > 10 && [&low, &middle, &high].iter().all(|l| l.len() == hours.len()));
        assert!(hours.iter().map(number).is_sorted());
        for ((low, middle), high) in low.iter().zip(&middle).zip(&high) {
            assert!(
                number(low) <= number(middle) && number(middle) <= number(high),
                "{name}"
            );
        }
    };
    course(stop(&card));
    assert_eq!(
        (options(&card, "stop").len(), number(&stop(&card)["daily_dose"])),
        (1, 0.0)
    );
    says(&card, &["no further doses"]);
    for option in options(&card, "keep") {
        assert_eq!(option["current"], true);
        course(option);
    }
    for option in extension["options"].as_array().unwrap() {
        for chance in ["on_target", "below", "harm"] {
            assert!(
                (0.0..=1.0).contains(&option[chance].as_f64().unwrap()),
                "{name}: {option}"
            );
        }
    }
    // One click changes the very draft that is about to be signed, or makes a draft; at most one is recommended.
    assert!(suggestions(&card).iter().filter(|s| s["isRecommended"] == true).count() <= 1);
    for resource in dosed(&card) {
        assert_eq!(resource["subject"]["reference"], format!("Patient/{name}"));
        if hook != "patient-view" {
            assert_eq!(resource["id"], draft(name)["id"]);
        }
    }
    card
}

/// A card that gives no dose: why, in the words of the twin's file, what helps, and how loud.
fn refused(name: &str, why: &str, indicator: &str) -> Value {
    let (card, twin, _) = fire(name);
    assert!(text(&card, "summary").chars().count() < 140);
    says(
        &card,
        &[
            why,
            "**Why no dose**",
            "**What would help**",
            "not clinically validated",
        ],
    );
    let (_, file) = twin_file(&twin);
    let listed = ["refuse", "unstable"]
        .into_iter()
        .filter_map(|kind| file.get(kind)?.as_array())
        .flatten();
    let mut reasons = listed
        .filter(|r| r["say"]["en"].as_str().unwrap().contains(why))
        .peekable();
    if reasons.peek().is_some() {
        let reason = reasons.find(|r| text(&card, "detail").contains(r["say"]["en"].as_str().unwrap()));
        says(
            &card,
            &[reason.expect("the text of the file")["help"]["en"].as_str().unwrap()],
        );
    }
    assert!(
        text(&card, "summary").contains("no dose suggested"),
        "{}",
        card["summary"]
    );
    assert!(!text(&card, "detail").contains("**Options**"));
    assert!(
        card.get("extension")
            .is_none_or(|e| e["jumeau"].get("options").is_none())
    );
    for suggestion in suggestions(&card) {
        assert_eq!(
            suggestion["actions"][0]["resource"]["resourceType"], "ServiceRequest",
            "{name}: no drug"
        );
    }
    assert_eq!(card["indicator"], indicator, "{name}: {}", card["summary"]);
    card
}

/// The card as a reader sees it. The hash of a file changes with every edit of it; it is not what this is about.
fn looks_like_this(name: &str, card: &Value) {
    let mut shown = format!(
        "[{}] {}\n\n{}\n",
        text(card, "indicator"),
        text(card, "summary"),
        text(card, "detail")
    );
    for suggestion in suggestions(card) {
        shown.push_str(&format!("\n[{}]", text(suggestion, "label")));
    }
    let mut parts = shown.split("SHA-256 ");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        plain.push_str("SHA-256 …");
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    insta::assert_snapshot!(format!("{name}-en"), plain);
}

#[test]
fn every_sample_patient_is_judged_here() {
    let ids: Vec<String> = index().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, PATIENTS);
}

/// Cystic fibrosis: she clears faster than most, so the exposure of a day is below the window although the peak is high enough.
/// 320 mg gives about 71, so 100 takes 420 to 460 mg; once a day, since a low trough spares the kidneys.
#[test]
fn tobramycin_is_raised_to_the_window_of_a_day() {
    let card = advised("zielinska");
    let (amount, interval) = ordered(&card);
    assert!((400.0..=480.0).contains(&amount), "{amount}");
    assert_eq!(interval, Some(24.0));
    assert!((60.0..80.0).contains(&median(keep(&card), "auc24")));
    let best = recommended(&card);
    assert!((85.0..=115.0).contains(&median(best, "auc24")));
    assert!(median(best, "trough") < 1.0 && best["harm"].as_f64().unwrap() < 0.05);
    assert!(median(keep(&card), "peak_mic") > 8.0, "it is not the peak that fails");
    for option in options(&card, "change") {
        assert!(
            option["daily_dose"].as_f64() > keep(&card)["daily_dose"].as_f64(),
            "never less: {option}"
        );
    }
    assert_eq!(card["indicator"], "warning");
    looks_like_this("zielinska", &card);
}

/// Kidneys failing on an aminoglycoside: creatinine lags behind, so nothing can be calculated from it. The dose that is about to be
/// signed does harm, so this is no mere information: it is to be held until a level is below 1 mg/L.
#[test]
fn tobramycin_waits_while_kidneys_fail() {
    let card = refused(
        "andersen",
        "Creatinine changed by more than 50 % in 48 hours",
        "warning",
    );
    says(
        &card,
        &[
            "Hold the next dose until a level is below 1 mg/L",
            "reconsider the drug",
        ],
    );
    assert_eq!(
        suggestions(&card)[0]["actions"][0]["resource"]["resourceType"],
        "ServiceRequest"
    );
}

/// An INR of 3.1 that still rises on 5 mg in a man who makes little CYP2C9 and is sensitive (VKORC1 G/A): his pair of genes needs 3
/// to 4 mg, and he responds more strongly than it says. 5 mg ends near 4.
#[test]
fn warfarin_is_lowered_before_the_inr_is_out_of_range() {
    let card = advised("papadakis");
    let (amount, interval) = ordered(&card);
    assert!((2.0..=3.0).contains(&amount), "{amount}");
    assert_eq!(interval, Some(24.0));
    let harm = keep(&card)["harm"].as_f64().unwrap();
    assert!((0.3..=0.65).contains(&harm), "more than 4 with about even odds: {harm}");
    assert!((3.4..=4.3).contains(&median(keep(&card), "inr_goal")));
    let best = recommended(&card);
    assert!((2.2..=2.8).contains(&median(best, "inr_goal")) && best["harm"].as_f64().unwrap() < 0.1);
    assert!(
        median(stop(&card), "inr_goal") < 2.0,
        "without it he is not protected from a stroke"
    );
    for option in options(&card, "change") {
        assert!(option["daily_dose"].as_f64().unwrap() < 5.0, "never more: {option}");
    }
    // The INR from before treatment is where he started, not the newest one.
    let inputs = card["extension"]["jumeau"]["inputs"].as_array().unwrap();
    let start = inputs.iter().find(|i| i["name"] == "inr0").unwrap();
    assert_eq!(start["value"], 1.1);
    says(&card, &["CYP2C9", "VKORC1"]);
    assert!(
        ["next INR in 5 days", "next INR in 3 days"]
            .iter()
            .any(|w| text(&card, "detail").contains(w)),
        "when to measure again"
    );
    assert!(
        !text(&card, "detail").contains("length of infusion"),
        "a tablet is not infused"
    );
    looks_like_this("papadakis", &card);
}

/// INR 5.8: the question is bleeding and what to omit, not a maintenance dose. No vitamin K as a matter of course below 10.
#[test]
fn warfarin_is_held_at_an_inr_of_nearly_six() {
    let card = refused("varga", "INR above 4.5", "critical");
    says(
        &card,
        &[
            "bleeding",
            "repeat the INR within 24 hours",
            "vitamin K by mouth above 10",
        ],
    );
    assert!(suggestions(&card).is_empty());
}

/// Loss of response with a low trough and no antibodies: more drug. For a trough a shorter interval does more than a larger dose,
/// so 10 mg/kg every 8 weeks (about 2 mg/L) is not in front, and 10 mg/kg every 4 weeks would be more than is known to help.
#[test]
fn infliximab_is_given_more_often() {
    let card = advised("delacroix");
    let (amount, interval) = ordered(&card);
    assert!(
        [4.0, 6.0].map(|weeks| Some(weeks * 168.0)).contains(&interval),
        "{interval:?}"
    );
    assert!((400.0..=830.0).contains(&amount));
    assert!((0.6..2.0).contains(&median(keep(&card), "trough")));
    assert!((5.0..=12.0).contains(&median(recommended(&card), "trough")));
    assert!(
        options(&card, "change")
            .iter()
            .all(|o| !text(o, "label").contains("every 8 wk"))
    );
    assert!(
        options(&card, "change")
            .iter()
            .all(|o| !text(o, "label").starts_with("820 mg every 4 wk"))
    );
    assert!(
        !text(&card, "detail").contains("change to another drug"),
        "no antibodies"
    );
    // Tuberculosis was looked for, so it can be ordered with one click.
    assert!(!dosed(&card).is_empty() && !text(&card, "detail").contains("No negative test for tuberculosis"));
    let models = card["extension"]["jumeau"]["models"].as_array().unwrap();
    assert_eq!(models.len(), 2, "extent and Mayo score are known: both vote");
    looks_like_this("delacroix", &card);
}

/// Antibodies, and hardly a trace of drug at twice the dose: even 10 mg/kg every 4 weeks stays near 1.5 mg/L. More of it helps nobody.
#[test]
fn infliximab_is_given_up_when_antibodies_eat_it() {
    let card = advised("oconnell");
    for option in options(&card, "change").into_iter().chain([keep(&card)]) {
        assert!(
            option["on_target"].as_f64().unwrap() < 0.05 && option["recommended"] == false,
            "{option}"
        );
        assert!(median(option, "trough") < 3.0);
    }
    let most = options(&card, "change")
        .into_iter()
        .find(|o| text(o, "label").starts_with("700 mg every 4 wk"));
    assert!((0.8..2.5).contains(&median(most.unwrap(), "trough")));
    says(&card, &["change to another drug", "Left out: faelens-2021"]);
    assert!(dosed(&card).is_empty(), "nothing to click on");
    assert_eq!(card["indicator"], "warning");
    let models = card["extension"]["jumeau"]["models"].as_array().unwrap();
    assert_eq!((models.len(), &models[0]["id"]), (1, &json!("fasanmade-2009")));
}

/// Acute severe colitis: the drug leaves with the stool, which no model knows.
#[test]
fn infliximab_of_acute_severe_colitis_is_no_calculation() {
    let card = refused("bianchi", "Albumin below 25 g/L", "warning");
    says(&card, &["lost into the bowel", "surgeon"]);
}

/// Every third day leaves about 40 hours a week below 1 IU/dL. Half-life decides: the same dose every other day covers him, within
/// 130 IU/kg a week (9750 IU); no larger dose every third day does.
#[test]
fn factor_viii_is_given_more_often() {
    let card = advised("dvorak");
    let (amount, interval) = ordered(&card);
    assert_eq!(interval, Some(48.0));
    assert!((1500.0..=2500.0).contains(&amount), "{amount}");
    assert!((25.0..=55.0).contains(&median(keep(&card), "below1")));
    let best = recommended(&card);
    assert!(median(best, "below1") < 8.0 && median(best, "lowest") > 1.0 && median(best, "week") <= 9750.0);
    assert!(
        options(&card, "change")
            .iter()
            .all(|o| !text(o, "label").contains("every 72 h"))
    );
    // A level below the limit of the assay is a level.
    let points = card["extension"]["jumeau"]["points"].as_array().unwrap();
    assert!(points.len() == 4 && points.iter().all(|p| p["used"] == true));
    looks_like_this("dvorak", &card);
}

/// An inhibitor: a larger dose would be neutralised too. Confirm, and call the centre.
#[test]
fn factor_viii_is_not_dosed_against_an_inhibitor() {
    let card = refused("silva", "Inhibitor of 0.6 Bethesda units or more", "critical");
    says(&card, &["Confirm on a second sample", "haemophilia centre"]);
    assert!(suggestions(&card).is_empty());
}

/// Quiet joints and sinking neutrophils: 150 mg keeps the joints quiet and halves the danger; the label goes to 150 mg for it. On
/// 200 mg the chance of fewer than 1.0 is a third to a half. Without it the disease returns.
#[test]
fn sarilumab_is_lowered_for_neutrophils() {
    let card = advised("kowalska");
    let (amount, interval) = ordered(&card);
    assert_eq!((amount, interval), (150.0, Some(2.0 * 168.0)));
    let best = recommended(&card);
    let harm = |o: &Value| o["harm"].as_f64().unwrap();
    assert!((0.25..=0.65).contains(&harm(keep(&card))), "{}", harm(keep(&card)));
    assert!(harm(best) < 0.75 * harm(keep(&card)));
    assert!(best["on_target"].as_f64().unwrap() > 0.85);
    assert!(median(best, "anc_lowest") > median(keep(&card), "anc_lowest"));
    assert!(median(stop(&card), "das28_12wk") > 3.2);
    says(&card, &["Repeat neutrophils"]);
    assert!(
        !text(&card, "detail").contains("length of infusion"),
        "it is injected under the skin"
    );
    looks_like_this("kowalska", &card);
}

/// Pneumonia: CRP and joints rise for another reason, and the drug is withheld.
#[test]
fn sarilumab_is_withheld_in_infection() {
    let card = refused("ferreira", "Active infection", "warning");
    says(&card, &["Treat the infection"]);
}

/// 4 mg/kg after four infusions and still eight tender joints: the label's step is 8 mg/kg (560 mg at 70 kg). The goal stays
/// unlikely, so a switch is to be discussed as well.
#[test]
fn tocilizumab_is_raised_to_eight_mg_per_kg() {
    let card = advised("lindgren");
    assert_eq!(ordered(&card), (560.0, Some(4.0 * 168.0)));
    let das = |o: &Value| median(o, "das28_12wk");
    let best = recommended(&card);
    assert!(das(best) < das(keep(&card)) - 0.5 && das(keep(&card)) < das(stop(&card)));
    assert!((4.0..=5.3).contains(&das(keep(&card))));
    assert!(best["on_target"].as_f64().unwrap() < 0.5);
    says(&card, &["discuss a switch"]);
    looks_like_this("lindgren", &card);
}

/// The potency hangs on interleukin 6 from before treatment to the power of -4.4: nothing may be put in its place.
#[test]
fn tocilizumab_is_not_guessed_without_interleukin_6() {
    let card = refused("novak", "no usable interleukin 6 before treatment", "info");
    says(&card, &["Record or order interleukin 6"]);
}

/// Neutrophils at 0.27 after the first 146 mg: grade 4 again is nearly sure, and 60 to 75 % (88 to 110 mg) ends it while the drug still
/// bites (0.5 to 1.5). Where the dose has to be kept, as in curative treatment, G-CSF is the other way.
#[test]
fn docetaxel_is_reduced_after_a_deep_nadir() {
    let card = advised("rasmussen");
    let (amount, interval) = ordered(&card);
    assert!(
        (85.0..=115.0).contains(&amount) && interval.is_none(),
        "{amount} {interval:?}"
    );
    assert!(median(keep(&card), "nadir") < 0.5 && keep(&card)["harm"].as_f64().unwrap() > 0.85);
    assert!((0.55..=1.1).contains(&median(recommended(&card), "nadir")));
    assert!(median(recommended(&card), "day22") >= 1.5, "the next cycle on time");
    says(&card, &["G-CSF", "Alpha-1 acid glycoprotein", "60 mg/m"]);
    let gcsf = suggestions(&card)
        .iter()
        .find(|s| text(s, "label").contains("Pegfilgrastim"))
        .unwrap();
    assert_ne!(gcsf["isRecommended"], true, "a thing to weigh, not to add");
    looks_like_this("rasmussen", &card);
}

/// Fewer than 1.5: the label forbids it today.
#[test]
fn docetaxel_waits_for_neutrophils() {
    let card = refused("marchetti", "Neutrophils below 1.5", "critical");
    says(&card, &["Put the cycle off"]);
    assert!(suggestions(&card).is_empty());
}

/// A creatinine of 49 µmol/L taken as it is makes kidneys too good: with the floor of 0.7 mg/dL and the adjusted weight they filter about
/// 84 mL/min, so that 880 mg is an AUC of 8, and 5 takes 540 to 550 mg.
#[test]
fn carboplatin_of_a_low_creatinine_is_reduced() {
    let card = advised("virtanen");
    let (amount, interval) = ordered(&card);
    assert!(
        (520.0..=570.0).contains(&amount) && interval.is_none(),
        "{amount} {interval:?}"
    );
    assert!((7.7..=8.6).contains(&median(keep(&card), "auc")));
    assert!((4.7..=5.3).contains(&median(recommended(&card), "auc")));
    assert!(keep(&card)["harm"].as_f64().unwrap() > 0.5);
    assert!(options(&card, "change").iter().all(|o| median(o, "auc") < 7.0));
    says(&card, &["0.7 is used", "adjusted weight", "Population estimate"]);
    looks_like_this("virtanen", &card);
}

/// Platelets of 78: not today.
#[test]
fn carboplatin_waits_for_platelets() {
    let card = refused("oconnor", "Platelets below 100", "critical");
    says(&card, &["Repeat the count in a week"]);
    assert!(suggestions(&card).is_empty());
}

/// It grows through five cycles: no AUC rescues it, a partial response is all but excluded, and what is to be discussed is another
/// treatment. Nothing of carboplatin is offered.
#[test]
fn a_tumour_that_grows_on_carboplatin_needs_another_drug() {
    let card = advised("dimitrova");
    for option in options(&card, "change").into_iter().chain([keep(&card)]) {
        assert_eq!(option["recommended"], false);
        assert!(
            option["on_target"].as_f64().unwrap() < 0.05,
            "partial response: {option}"
        );
        assert!(
            option["measures"]["progression"]["p05"].as_f64().unwrap() > 0.5 && median(option, "progression") > 1.5
        );
    }
    assert!(
        options(&card, "change").iter().any(|o| median(o, "exposure") > 5.5),
        "AUC 6 was tried"
    );
    assert!(median(stop(&card), "ratio_12wk") >= median(keep(&card), "ratio_12wk"));
    says(&card, &["discuss a change of treatment"]);
    assert!(dosed(&card).is_empty());
    assert_eq!(card["indicator"], "warning");
    looks_like_this("dimitrova", &card);
}

/// The surgeon made the sum fall, not the drug.
#[test]
fn a_tumour_that_was_cut_is_not_compared() {
    let card = refused("schneider", "Surgery or radiotherapy in the last 4 months", "info");
    says(&card, &["new baseline scan"]);
}

/// Three troughs near 6 on 5 mg where 10 to 15 is wanted, in a carrier of CYP3A5*1: levels scale with the dose, so 8 to 9.5 mg. Without
/// it the graft is rejected.
#[test]
fn tacrolimus_is_raised_in_proportion() {
    let card = advised("halvorsen");
    let trough = |o: &Value| median(o, "c0");
    assert!((5.5..=7.0).contains(&trough(keep(&card))) && keep(&card)["on_target"].as_f64().unwrap() < 0.1);
    let best = recommended(&card);
    assert!((10.0..=13.0).contains(&trough(best)));
    assert_eq!(
        card["extension"]["jumeau"]["models"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|m| m["id"] == "storset-2014")
            .count(),
        1
    );
    says(&card, &["CYP3A5", "rejection", "storset-2014", "andrews-2019"]);
    assert!(
        options(&card, "change")
            .iter()
            .all(|o| o["score"].as_f64() > keep(&card)["score"].as_f64())
    );
    assert!(stop(&card)["harm"].as_f64().unwrap() > 0.9, "rejection");
    assert!(
        !text(&card, "detail").contains("length of infusion"),
        "a capsule is not infused"
    );
    let (amount, interval) = ordered(&card);
    assert_eq!(interval, Some(12.0));
    assert!(amount > 7.5, "{amount}");
    looks_like_this("halvorsen", &card);
}

/// On 5 mg he has settled at 6, so that levels end at 1.2 µg/L for each mg: 11 mg is 13, with a 90 % interval to
/// above 15; no more may be recommended. In the third week the range even goes down to 8 to 12.
#[test]
fn tacrolimus_is_not_raised_beyond_what_accumulates() {
    let card = advised("halvorsen");
    let (amount, _) = ordered(&card);
    assert!((7.5..=11.0).contains(&amount), "{amount}");
}

/// Fluconazole for two days: clearance falls and has not settled, so that the troughs so far say nothing about the next.
#[test]
fn tacrolimus_with_an_azole_is_not_calculated() {
    let card = refused("wisniewska", "A drug that inhibits CYP3A is being taken", "warning");
    says(&card, &["Reduce by the rule for that drug", "every 1 to 3 days"]);
}

/// Methotrexate that does not leave, creatinine three times what it was: more than 5 µmol/L at 48 h, so glucarpidase; 100 mg/m² of
/// leucovorin and not the 15 that are drafted; water; and it takes days. Methotrexate itself is not in question.
#[test]
fn methotrexate_that_stays_is_rescued() {
    let card = advised("korhonen");
    assert_eq!(card["indicator"], "critical");
    let course = stop(&card);
    assert!(
        (5.0..=15.0).contains(&median(course, "c48")),
        "{}",
        median(course, "c48")
    );
    assert!(median(course, "c36") < 30.0, "the rule of 36 h is not reached");
    assert!(median(course, "cleared") > 96.0);
    assert!(options(&card, "change").is_empty() && options(&card, "keep").is_empty() && dosed(&card).is_empty());
    says(
        &card,
        &[
            "Glucarpidase may be indicated: above 5 umol/L at 48 h",
            "High-dose leucovorin: 100 mg/m2 every 6 h",
            "raise hydration",
            "only after 72 h",
        ],
    );
    let orders: Vec<&str> = suggestions(&card).iter().map(|s| text(s, "label")).collect();
    assert!(
        orders.iter().any(|o| o.contains("Glucarpidase")) && orders.iter().any(|o| o.contains("Leucovorin")),
        "{orders:?}"
    );
    assert!(suggestions(&card).iter().all(|s| s["isRecommended"] != true));
    looks_like_this("korhonen", &card);
}

/// Fluid in the chest: methotrexate hides there and returns for days. Drain it or put the infusion off; nothing is predicted.
#[test]
fn methotrexate_is_not_predicted_with_an_effusion() {
    let card = refused("desmet", "Pleural effusion or ascites", "warning");
    says(&card, &["drain, or put it off"]);
    assert!(!text(&card, "detail").contains("**Rules**"));
}

/// A child who clears busulfan slowly: 17.8 mg is an area of about 6400, above the limit of veno-occlusive disease (6158); 4600 lies near
/// 12.4 mg. Never more, and three of sixteen doses are given.
#[test]
fn busulfan_is_lowered_before_the_liver_is_harmed() {
    let card = advised("bellini");
    let (amount, interval) = ordered(&card);
    assert!((11.0..=13.5).contains(&amount), "{amount}");
    assert_eq!(interval, Some(6.0));
    assert!((6158.0..=7000.0).contains(&median(keep(&card), "auc_dose")));
    assert!(keep(&card)["harm"].as_f64().unwrap() > 0.5);
    assert!((3695.0..=5542.0).contains(&median(recommended(&card), "auc_dose")));
    for option in options(&card, "change") {
        assert!(
            option["daily_dose"].as_f64().unwrap() < 4.0 * 17.8,
            "never more: {option}"
        );
        assert!(option["score"].as_f64() > keep(&card)["score"].as_f64());
    }
    says(
        &card,
        &[
            "veno-occlusive disease",
            "change the dose before the next infusion",
            "Sixteen doses in all",
        ],
    );
    assert_eq!(card["indicator"], "critical");
    looks_like_this("bellini", &card);
}

/// Posaconazole slows busulfan by no one knows how much; another antifungal first.
#[test]
fn busulfan_with_an_azole_is_not_calculated() {
    let card = refused("stavrou", "An azole antifungal is being taken", "warning");
    says(&card, &["echinocandin"]);
}

/// Her clearance grows week by week, so that what was 5 mg/L before pregnancy falls below 65 % of it within a month on 400 mg a day. 500
/// mg keeps about 0.73 of it in four weeks and 600 mg about 0.87, neither with a risk of more than 1.5.
#[test]
fn lamotrigine_keeps_up_with_pregnancy() {
    let card = advised("hoekstra");
    let (amount, interval) = ordered(&card);
    assert!((250.0..=300.0).contains(&amount), "{amount}");
    assert_eq!(interval, Some(12.0));
    assert!((0.5..0.65).contains(&median(keep(&card), "ratio")));
    let best = recommended(&card);
    assert!(
        (0.68..=0.95).contains(&median(best, "ratio")),
        "{}",
        median(best, "ratio")
    );
    assert!(best["on_target"].as_f64().unwrap() > 0.7 && best["harm"].as_f64().unwrap() < 0.05);
    // More drug, more of it in the blood, and in the measure that counts.
    let mut sorted = options(&card, "change");
    sorted.push(keep(&card));
    sorted.sort_by(|a, b| number(&a["daily_dose"]).total_cmp(&number(&b["daily_dose"])));
    assert!(
        sorted.is_sorted_by(|a, b| median(a, "ratio") < median(b, "ratio")),
        "{sorted:?}"
    );
    says(
        &card,
        &[
            "risk of seizures",
            "every four weeks",
            "says nothing about safety for the child",
        ],
    );
    assert!(
        !text(&card, "detail").contains("length of infusion"),
        "a tablet is not infused"
    );
    looks_like_this("hoekstra", &card);
}

/// Valproate is the question here, for the child and for the clearance; no dose of lamotrigine answers it.
#[test]
fn lamotrigine_with_valproate_is_a_matter_for_a_specialist() {
    let card = refused("prochazkova", "Valproate is on record", "critical");
    says(&card, &["harms the fetus", "Specialist advice at once"]);
    assert!(suggestions(&card).is_empty());
}

/// A level below the limit of the assay was used, so no one is to be told that it is unclear: above all not beside an inhibitor, where
/// "neither positive nor negative" would be read as the answer of that test.
#[test]
fn a_level_that_was_used_is_not_called_unclear() {
    for name in ["dvorak", "silva"] {
        let (card, ..) = fire(name);
        assert!(
            text(&card, "detail").contains("< 1 IU/dL"),
            "{name}: {}",
            card["detail"]
        );
        assert!(
            !text(&card, "detail").contains("neither positive nor negative"),
            "{name}: {}",
            card["detail"]
        );
    }
}

/// Only the first line of a card is sure to be read. What is critical must stand there.
#[test]
fn a_critical_card_says_at_once_what_is_the_matter() {
    let matters = [
        ("varga", "INR above 4.5"),
        ("silva", "Inhibitor"),
        ("marchetti", "Neutrophils below 1.5"),
        ("oconnor", "Platelets below 100"),
        ("korhonen", "lucarpidase"),
        ("prochazkova", "alproate"),
    ];
    let summaries = matters.map(|(name, words)| (words, text(&fire(name).0, "summary").to_owned()));
    let silent: Vec<_> = summaries
        .iter()
        .filter(|(words, summary)| !summary.contains(words))
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

/// The end of an interval of weeks is not within two days, and a level within two days is not the monthly one that the file asks for:
/// who reads both asks the patient to come back for nothing.
#[test]
fn a_level_is_asked_for_when_it_tells_something() {
    let misled = ["delacroix", "hoekstra"]
        .into_iter()
        .filter(|name| text(&advised(name), "detail").contains("within 48 h"));
    assert_eq!(misled.collect::<Vec<_>>(), [""; 0]);
}

/// From the EHR's prefetch or from its server, the record is the same, and so is the card; here of models that are integrated in time.
#[test]
fn the_clients_server_gives_the_same_card_as_prefetch() {
    let server = Server::with(|settings| {
        // The samples are moved to the moment of the start, where time then stands still.
        settings.clock.as_of = AsOf::At(Timestamp::now());
        settings.services.offer = Offer::Each;
        settings.http.deadline = Duration::from_secs(120);
        settings.http.background_limit = Duration::from_secs(120);
    });
    for (name, service) in [
        ("lindgren", "tocilizumab-order-sign"),
        ("dimitrova", "tumour-order-sign"),
    ] {
        let (status, mut request) = server.get(&format!("/demo/request/{name}/{service}?bare=1"));
        assert_eq!(status, 200, "{name}");
        let ask = |request: &Value| {
            let (status, body) = server.post(&format!("/cds-services/{service}"), request, "en");
            assert_eq!(status, 200, "{body}");
            body["cards"].as_array().unwrap().iter().map(stable).collect::<Vec<_>>()
        };
        let given = ask(&request);
        assert_eq!(given.len(), 1, "{name}");
        assert!(request["prefetch"].as_object().unwrap().len() > 5);
        request["fhirServer"] = json!(format!("http://{}/demo/fhir", server.address));
        request.as_object_mut().unwrap().remove("prefetch");
        assert_eq!(ask(&request), given, "{name}");
    }
}
