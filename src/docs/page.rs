//! The page of one twin: what its clinician's file says, in the order in which a reader asks.

use super::{
    MARK, Twin,
    markdown::{Document, Table, code, plain},
    model, record, treatment,
    typical::Picture,
    words::{both, codes, exact, length, quantity, range, rounded, status, taken, unit, urgency},
    written::unverified,
};
use crate::model::twin_file::{Cautioned, RulePlan, Status, TwinFile};

/// The whole page.
pub(super) fn page(twin: &Twin, picture: Result<&Picture, &str>) -> String {
    let file = &twin.definition.file;
    let mut page = Document::default();
    page.block(&format!(
        "{MARK} from {}. Do not edit: change those files and run it again. -->",
        twin.folder()
    ));
    page.heading(1, &plain(&file.title.en));
    page.block(&format!("*{}*", plain(&file.title.fr)));
    page.block(&plain(&file.about.en));
    page.block(&warning(file.status));
    summary(&mut page, twin);
    match picture {
        Ok(picture) => {
            let alt = plain(&picture.alt);
            page.block(&format!("![{alt}]({}.svg)", file.id));
            page.block(&plain(&picture.caption));
        }
        Err(reason) => page.block(&format!("No picture: {}.", plain(reason))),
    }
    for_whom(&mut page, file);
    record::read(&mut page, twin);
    treatment::section(&mut page, file);
    aims(&mut page, file);
    rules(&mut page, file);
    page.heading(2, "Models");
    if file.models.len() > 1 {
        page.block("They vote by exp(-OFV/2): predictions are averaged by how well each explains this patient's values, parameters never.");
    }
    for (own, written) in twin.models() {
        model::section(&mut page, own, written, &twin.link);
    }
    card(&mut page, twin);
    doubts(&mut page, twin);
    page.finish()
}

fn warning(status: Status) -> String {
    let (kind, text) = match status {
        Status::Active => (
            "IMPORTANT",
            "**Active**: it is served without a mark on its cards. It informs; whoever prescribes decides. Jumeau is not a certified \
             medical device, and each hospital must check the twin on its own patients before use.",
        ),
        Status::Investigational => (
            "WARNING",
            "**Investigational**: every card says so. Not a certified medical device, not validated on patients. That the arithmetic is \
             right is checked; that it helps patients is not known. Not for treating anybody outside of an evaluation that a hospital \
             is responsible for.",
        ),
        Status::Draft => (
            "CAUTION",
            "**Draft**: no server offers it. Not for use on patients in any way; what stands here may be wrong or withdrawn.",
        ),
    };
    format!("> [!{kind}]\n> {text}")
}

fn summary(page: &mut Document, twin: &Twin) {
    let file = &twin.definition.file;
    let models: Vec<String> = twin
        .models()
        .map(|(model, _)| format!("[{}](#{})", plain(&model.id), model.id.to_lowercase()))
        .collect();
    page.list(&[
        format!(
            "**Twin**: {}, version {}, {}",
            code(&file.id),
            plain(&file.version),
            status(file.status)
        ),
        format!("**Models**: {}", models.join(", ")),
        format!("**Cards link to**: <{}>", file.link),
        format!(
            "**Files**: [twin.toml]({0}/twin.toml) and its models in [{1}]({0})",
            twin.link,
            twin.folder()
        ),
    ]);
}

fn for_whom(page: &mut Document, file: &TwinFile) {
    page.heading(2, "For whom");
    let said = |group: &str, name: &str| {
        let mut all = file.card.attributes();
        all.find(|(g, n, ..)| (*g, *n) == (group, name))
            .map(|(.., text)| plain(text))
            .unwrap_or_default()
    };
    page.list(&[
        format!("**Use**: {}", said("intended", "use")),
        format!("**Patients**: {}", said("intended", "population")),
        format!("**Users**: {}", said("intended", "users")),
        format!("**Not for**: {}", said("caution", "out_of_scope")),
    ]);
    let mut limits = Table::new(["it applies while", "is within", "source"]);
    for limit in &file.applies {
        let ucum = if Some(&limit.input) == file.age_input.as_ref() {
            "a"
        } else {
            file.unit(&limit.input)
        };
        let [low, high] = limit.range;
        limits.row([
            title(file, &limit.input),
            quantity(&format!("{} to {}", exact(low), exact(high)), ucum),
            plain(&limit.source),
        ]);
    }
    page.block(&limits.text());
    let mut refusals = Table::new(["it refuses when", "what the card says", "what helps", "loudness"]);
    for refuse in &file.refuse {
        let when = refuse
            .flag
            .as_ref()
            .map_or_else(|| code(refuse.when.text()), |flag| title(file, flag));
        refusals.row([
            when,
            plain(&refuse.say.en),
            refuse.help.as_ref().map(|help| plain(&help.en)).unwrap_or_default(),
            urgency(refuse.urgency),
        ]);
    }
    for unstable in &file.unstable {
        let change = rounded(100.0 * unstable.change);
        refusals.row([
            format!(
                "{} changed by more than {change} % in {}",
                title(file, &unstable.input),
                length(unstable.within)
            ),
            plain(&unstable.say.en),
            plain(&unstable.help.en),
            String::new(),
        ]);
    }
    page.block(&refusals.text());
    page.block("It also refuses where something that is not optional is missing, and a model that the patient is outside of does not vote.");
    if !file.screens.is_empty() {
        page.block("Without these, nothing can be ordered with one click:");
        let mut screens = Table::new([
            "must be known to be negative",
            "tests",
            "what the card says",
            "what helps",
        ]);
        for screen in &file.screens {
            let flag = file.needs.flags.iter().find(|flag| flag.name == screen.flag);
            screens.row([
                title(file, &screen.flag),
                flag.map(|flag| codes(&flag.tests)).unwrap_or_default(),
                plain(&screen.say.en),
                plain(&screen.help.en),
            ]);
        }
        page.block(&screens.text());
    }
}

/// What cards call something, with its name in the files.
pub(super) fn title(file: &TwinFile, name: &str) -> String {
    let derived = file
        .derived
        .iter()
        .find(|d| d.name == name)
        .and_then(|d| d.title.as_ref());
    let title = derived.map_or_else(|| file.title(name, "en"), |title| title.en.as_str());
    if title == name {
        code(name)
    } else {
        format!("{} ({})", plain(title), code(name))
    }
}

fn aims(page: &mut Document, file: &TwinFile) {
    page.heading(2, "Goals and harms");
    let mut measures = Table::new(["measure", "name", "how it is taken from the course", "unit"]);
    for measure in &file.measures {
        measures.row([
            both(&measure.label),
            code(&measure.name),
            taken(measure),
            unit(&measure.unit),
        ]);
    }
    page.block(&measures.text());
    let of = |place: usize| {
        file.measures
            .get(place)
            .map_or(("", "1"), |m| (m.label.en.as_str(), m.unit.as_str()))
    };
    let mut goals = Table::new(["goal", "of", "within", "weight", "source"]);
    for goal in &file.goals {
        let (label, ucum) = of(goal.measure);
        goals.row([
            both(&goal.label),
            plain(label),
            range(&goal.within, ucum),
            exact(goal.weight),
            plain(&goal.source),
        ]);
    }
    page.block(&goals.text());
    let mut harms = Table::new(["harm", "of", "counted at", "weight", "never suggested", "source"]);
    for harm in &file.harms {
        let (label, ucum) = of(harm.measure);
        let median = harm
            .blocked
            .as_ref()
            .map(|blocked| format!("median {}", range(blocked, ucum)));
        let chance = harm
            .blocked_chance
            .map(|chance| format!("chance above {} %", rounded(100.0 * chance)));
        harms.row([
            both(&harm.label),
            plain(label),
            range(&harm.within, ucum),
            exact(harm.weight),
            median.into_iter().chain(chance).collect::<Vec<_>>().join(", or "),
            plain(&harm.source),
        ]);
    }
    page.block(&harms.text());
    let advice = &file.advice;
    let mut items = vec![
        "Score of a plan: chances of the goals, each times its weight, less chances of the harms, each times its weight.".to_owned(),
        format!(
            "A plan is recommended when its score beats the present plan's by {} or more, or when the present plan is one that is never \
             suggested.",
            exact(advice.margin)
        ),
        format!(
            "No card while the present plan has the median of the first goal in range, a chance of {} % or more of it, and of {} % or less \
             of each harm.",
            rounded(100.0 * advice.quiet.goal),
            rounded(100.0 * advice.quiet.harm)
        ),
        format!(
            "Values whose weighted residual is beyond {} in every model contradict the doses on record: the card says so.",
            exact(advice.misfit)
        ),
    ];
    if advice.first_day {
        items
            .push("Before the first dose, plans are also judged on their first 24 hours, which count half.".to_owned());
    }
    page.list(&items);
}

fn rules(page: &mut Document, file: &TwinFile) {
    let mut rules = Table::new([
        "rule holds when",
        "what the card says",
        "order offered",
        "loudness",
        "source",
    ]);
    for rule in &file.rules {
        let plan = match rule.plan {
            RulePlan::Keep => "the present plan",
            RulePlan::Stop => "no further treatment",
            RulePlan::Best => "the best plan",
        };
        let predicted = rule.predicted.as_ref().map(|(place, within, chance)| {
            let (label, ucum) = file
                .measures
                .get(*place)
                .map_or(("", "1"), |m| (m.label.en.as_str(), m.unit.as_str()));
            format!(
                "under {plan}, {} is {} with a chance of {} % or more",
                plain(label),
                range(within, ucum),
                rounded(100.0 * chance)
            )
        });
        let when = rule.when.as_ref().map(|when| code(when.text()));
        let order = rule.order.as_ref().map(|order| {
            let dosage = order.dosage.as_ref().map(|dosage| format!(": {}", plain(&dosage.en)));
            format!(
                "{} ({}){}",
                plain(&order.text.en),
                codes(&order.codes),
                dosage.unwrap_or_default()
            )
        });
        let conditions: Vec<String> = predicted.into_iter().chain(when).collect();
        rules.row([
            if conditions.is_empty() {
                "always".to_owned()
            } else {
                conditions.join(", and ")
            },
            plain(&rule.say.en),
            order.unwrap_or_default(),
            urgency(rule.urgency),
            plain(&rule.source),
        ]);
    }
    if !file.rules.is_empty() {
        page.heading(2, "Rules");
        page.block("What no model decides.");
        page.block(&rules.text());
    }
    let mut cautions = Table::new(["caution when", "what the card adds", "also on target"]);
    for caution in &file.cautions {
        cautions.row([
            match &caution.when {
                Cautioned::When(formula) => code(formula.text()),
                Cautioned::Missing(name) => format!("nothing is known of {}", title(file, name)),
            },
            plain(&caution.say.en),
            if caution.loud { "yes" } else { "" }.to_owned(),
        ]);
    }
    if !file.cautions.is_empty() {
        page.heading(2, "Cautions");
        page.block(&cautions.text());
    }
    if !file.overrides.is_empty() {
        page.heading(2, "Reasons for not following a card");
        page.list(
            &file
                .overrides
                .iter()
                .map(|reason| format!("{} ({})", both(&reason.say), code(&reason.code)))
                .collect::<Vec<_>>(),
        );
    }
}

fn card(page: &mut Document, twin: &Twin) {
    page.heading(2, "Model card");
    page.block("The attributes of 45 CFR 170.315(b)(11)(iv). What is read of a person is derived from the files, the rest is said by the authors.");
    let mut attributes = Table::new(["attribute", "says"]);
    for (_, _, name, text) in twin.definition.file.card.attributes() {
        attributes.row([name.to_owned(), plain(text)]);
    }
    page.block(&attributes.text());
    let mut personal = Table::new(["of the person", "is it an input?"]);
    for (characteristic, answer) in record::personal(twin) {
        personal.row([characteristic.to_owned(), answer]);
    }
    page.block(&personal.text());
}

/// The lines that their author marked.
fn doubts(page: &mut Document, twin: &Twin) {
    let models = twin
        .models()
        .zip(&twin.written)
        .map(|((model, _), (_, text))| (format!("{}.toml", model.id), text));
    let files = std::iter::once(("twin.toml".to_owned(), &twin.text)).chain(models);
    let mut inside = Document::default();
    let mut count = 0;
    for (name, text) in files {
        let lines = unverified(text);
        if !lines.is_empty() {
            count += lines.len();
            inside.block(&format!("{}:", code(&name)));
            inside.code("toml", &lines.join("\n"));
        }
    }
    if count > 0 {
        page.heading(2, "Not verified");
        page.block(
            "Lines of the files that their author marks with (u): they could not be checked against their source.",
        );
        page.folded(&format!("{count} lines"), &inside);
    }
}
