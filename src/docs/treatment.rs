//! The treatments that a twin compares: its grid in words.

use super::{
    markdown::{Document, code, plain},
    page::title,
    words::{both, codes, exact, hours, length, number, quantity, rounded, unit},
};
use crate::model::twin_file::{Doses, Enters, Origin, Schedule, TwinFile};

/// The part of the page.
pub(super) fn section(page: &mut Document, file: &TwinFile) {
    let treatment = &file.treatment;
    page.heading(2, "Treatments compared");
    let mut items = vec![format!(
        "**Drug**: {}; {}",
        both(&treatment.name),
        codes(&treatment.codes)
    )];
    let recognised = file.needs.drug.iter().flat_map(|drug| {
        [
            ("Also recognised by name**, which the card says", &drug.synonyms),
            ("Routes that are read**", &drug.routes),
        ]
    });
    for (what, texts) in recognised.filter(|(_, texts)| !texts.is_empty()) {
        let texts: Vec<String> = texts.iter().map(|text| plain(text)).collect();
        items.push(format!("**{what}: {}", texts.join(", ")));
    }
    grid(file, &mut items);
    match &treatment.into {
        Enters::Doses(None) => {}
        Enters::Doses(Some(state)) => items.push(format!("**Enters the models** as doses into {}", code(state))),
        Enters::Input { name, is } => {
            let (name, is) = (code(name), code(is.text()));
            items.push(format!("**Enters the models** as the input {name} = {is}"));
        }
    }
    if let Some(route) = &treatment.route {
        items.push(format!("**Route of the orders**: {}", both(&route.text)));
    }
    items.push(format!(
        "**On treatment**: an active order, or a dose within {}; doses and values older than {} are not used",
        length(treatment.recent),
        length(file.needs.history)
    ));
    page.list(&items);
    page.block(&match &file.origin {
        Origin::FirstRecord => "Time 0 of the models is the first dose or observed value of the record.".to_owned(),
        Origin::FirstDose => {
            "Time 0 of the models is the first dose of the record; now, when there is none.".to_owned()
        }
        Origin::Input { item, .. } => format!(
            "The time of the models is {}: its newest value says when they are.",
            title(file, item)
        ),
    });
}

fn listed(values: &[f64]) -> String {
    values.iter().map(|v| exact(*v)).collect::<Vec<_>>().join(", ")
}

/// Doses, intervals and what bounds them.
fn grid(file: &TwinFile, items: &mut Vec<String>) {
    let treatment = &file.treatment;
    let ucum = treatment.unit.as_str();
    let round = |to: f64| format!("rounded to multiples of {}", quantity(&exact(to), ucum));
    let times =
        |doses: &[f64], of: &str, to: f64| format!("{} times {of}, in {}, {}", listed(doses), unit(ucum), round(to));
    let (doses, count) = match &treatment.doses {
        Doses::Plain(doses) => (quantity(&listed(doses), ucum), doses.len()),
        Doses::Per { doses, per, round_to } => (times(doses, &code(per.text()), *round_to), doses.len()),
        Doses::Share { shares, round_to } => {
            let words = format!(
                "{} times the dose in force or drafted, {}",
                listed(shares),
                round(*round_to)
            );
            (words, shares.len())
        }
        Doses::None => {
            items.push("**Doses**: none; only the course of what was given is predicted".to_owned());
            return;
        }
    };
    items.push(format!("**Doses**: {doses}"));
    let every: Vec<String> = treatment.every.iter().map(schedule).collect();
    let order = if every.len() > 1 {
        " (the first is preferred when predictions are equal)"
    } else {
        ""
    };
    items.push(format!("**One dose every**: {}{order}", every.join("; ")));
    let delays: Vec<String> = treatment.delays.iter().map(|delay| hours(*delay)).collect();
    if treatment.delays.iter().any(|delay| *delay > 0.0) {
        items.push(format!("**The next dose put off by**: {}", delays.join(", ")));
    }
    if let Some(times) = treatment.times {
        items.push(format!("**Doses of a plan**: {times}"));
    }
    let all = count * every.len().max(1) * delays.len().max(1);
    items.push(format!(
        "**Plans**: {all} at most, beside the present plan and no further doses"
    ));
    if let Some(loading) = &treatment.loading {
        items.push(format!(
            "**Loading dose**, while no dose has been given: {}, at most {}",
            times(&loading.per_kg, &title(file, &loading.input), loading.round_to),
            quantity(&exact(loading.max), ucum)
        ));
    }
    let infusion = treatment.infusion;
    if infusion.at_least > 0.0 || infusion.hours_per_unit > 0.0 {
        let rate = (infusion.hours_per_unit > 0.0)
            .then(|| format!("1 h for {}, ", quantity(&rounded(1.0 / infusion.hours_per_unit), ucum)));
        let (rate, at_least) = (rate.unwrap_or_default(), hours(infusion.at_least));
        items.push(format!("**Given over**: {rate}at least {at_least}"));
    }
    items.push(format!(
        "**Never more than**: {} as one dose, {} a day",
        quantity(&number(&treatment.single_max), ucum),
        quantity(&number(&treatment.daily_max), ucum)
    ));
}

fn schedule(schedule: &Schedule) -> String {
    let gaps: Vec<String> = schedule.gaps.iter().map(|gap| hours(*gap)).collect();
    let turns = if gaps.len() > 1 { " in turn" } else { "" };
    format!("{}{turns}", gaps.join(", "))
}
