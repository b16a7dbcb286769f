//! What holds for any file.

use super::tests::{Model, input};
use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt::Write as _;

const VALID: &str = "ID,TIME,AMT,RATE,DUR,II,ADDL,SS,EVID,CMT,DV,DVID,MDV,CENS,LIMIT,OCC,wt,female,cyp\n\
    1,0,100,0,.,12,3,1,1,depot,.,.,1,0,.,1,70,1,*1/*1\n\
    1,1,.,.,.,.,.,.,0,.,5.5,1,0,1,0.5,1,70,1,\"*1/*2\"\n\
    # note\n\
    1,30,50,-2,.,.,.,.,4,2,.,.,1,.,.,2,.,.,.\n\
    2,0,.,.,.,.,.,.,2,.,.,.,.,.,.,.,80,0,NA\n\
    2,1,10,.,2,.,.,.,1,central,.,.,.,.,.,.,.,.,.\n\
    2,2,.,.,.,.,.,.,0,.,9,INR,0,-1,.,.,.,.,.\n";

/// Cells that are nearly right.
fn cell() -> impl Strategy<Value = &'static str> {
    select(vec![
        "0",
        "1",
        "2",
        "3",
        "4",
        "-1",
        "-2",
        "1.5",
        "12",
        "1e15",
        "1e16",
        "1e400",
        "NaN",
        "inf",
        ".",
        "",
        "NA",
        "-0",
        "08:30",
        "2024-01-02",
        "depot",
        "dept",
        "CP",
        "INR",
        "*1/*1",
        "<5",
        "3,1",
        "\"",
        "\"1\"",
        "\"a,b\"",
        "é",
        "99999999",
        "#",
        "C",
        "\r",
        " 7 ",
    ])
}

fn column() -> impl Strategy<Value = &'static str> {
    select(vec![
        "ID", "time", "AMT", "RATE", "DUR", "II", "ADDL", "SS", "EVID", "CMT", "DV", "DVID", "MDV", "CENS", "LIMIT",
        "OCC", "wt", "WT", "Wt", "female", "cyp", "C", "", "x;y", "#",
    ])
}

/// An error speaks of a line of the file.
fn check(bytes: &[u8], result: Result<(), DataError>) -> Result<(), TestCaseError> {
    if let Err(error) = result {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
        prop_assert!(
            (1..=lines).contains(&error.line) && !error.message.is_empty(),
            "{error}"
        );
    }
    Ok(())
}

fn never_panics(bytes: &[u8]) -> Result<(), TestCaseError> {
    let model = Model::new(&["CP", "INR"]);
    check(bytes, read("d.csv", bytes, &model.wanted()).map(|_| ()))?;
    let names = ["CL".to_owned(), "wt".to_owned(), "é".to_owned()];
    let text = String::from_utf8_lossy(bytes);
    check(text.as_bytes(), parameters_table("p", &text, &names).map(|_| ()))
}

#[test]
fn the_valid_file_is_valid() {
    let data = Model::new(&["CP", "INR"]).read(VALID).unwrap();
    assert_eq!(data.subjects.len(), 2);
    assert!(data.ignored.is_empty());
}

/// One thing a subject may go through.
#[derive(Debug, Clone)]
enum Happening {
    Dose(f64, Course, Option<usize>, Option<(Steady, f64)>),
    Reading(Option<f64>, Bound, usize),
    Reset,
    Inputs(f64, Option<f64>),
    Occasion(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let above = || 1e-3..1e6_f64;
    let course = prop_oneof![
        Just(Course::Bolus),
        above().prop_map(Course::Rate),
        above().prop_map(Course::Duration),
        Just(Course::ModelledRate),
        Just(Course::ModelledDuration),
    ];
    let steady = proptest::option::of((select(vec![Steady::Replace, Steady::Add]), above()));
    let bound = prop_oneof![
        Just(Bound::Exact),
        Just(Bound::Below),
        Just(Bound::Above),
        (-9.0..1e-4_f64).prop_map(Bound::Between)
    ];
    prop_oneof![
        (above(), course, proptest::option::of(0..2_usize), steady)
            .prop_map(|(a, c, s, ss)| Happening::Dose(a, c, s, ss)),
        (above(), bound, 0..2_usize).prop_map(|(v, b, o)| Happening::Reading(Some(v), b, o)),
        (0..2_usize).prop_map(|o| Happening::Reading(None, Bound::Exact, o)),
        Just(Happening::Reset),
        (any::<f32>(), proptest::option::of(select(vec![0.0, 1.0])))
            .prop_filter("a quantity", |(w, _)| w.abs() < 1e15)
            .prop_map(|(w, f)| Happening::Inputs(f64::from(w) + 0.0, f)),
        (-3..9_i64).prop_map(Happening::Occasion),
    ]
}

/// Subjects with strictly growing times, so that no reset takes a dose away.
fn subjects() -> impl Strategy<Value = Vec<Vec<(f64, Happening)>>> {
    let story = proptest::collection::vec((1e-3..50.0_f64, happening()), 1..12).prop_map(|steps| {
        let mut time = -20.0;
        steps
            .into_iter()
            .map(|(step, happening)| {
                time += step;
                (time, happening)
            })
            .collect()
    });
    proptest::collection::vec(story, 1..6)
}

fn text_of(value: Option<f64>) -> String {
    value.map_or_else(|| ".".to_owned(), |value| value.to_string())
}

/// The file of the stories, and what it should be read as.
fn write(stories: &[Vec<(f64, Happening)>]) -> (String, Vec<Subject>) {
    let mut text = "ID,TIME,EVID,AMT,RATE,DUR,II,SS,CMT,DV,CENS,LIMIT,DVID,OCC,wt,female\n".to_owned();
    let mut subjects = Vec::new();
    let mut line = 1;
    for (number, story) in stories.iter().enumerate() {
        let mut subject = Subject {
            id: format!("p{number}"),
            line: line + 1,
            doses: vec![],
            resets: vec![],
            observations: vec![],
            inputs: vec![],
            occasions: vec![],
        };
        for (time, happening) in story.iter().cloned() {
            line += 1;
            write!(text, "p{number},{time},").unwrap();
            match happening {
                Happening::Dose(amount, course, state, steady) => {
                    let (rate, duration) = match course {
                        Course::Bolus => (None, None),
                        Course::Rate(rate) => (Some(rate), None),
                        Course::Duration(duration) => (None, Some(duration)),
                        Course::ModelledRate => (Some(-1.0), None),
                        Course::ModelledDuration => (Some(-2.0), None),
                    };
                    let ss = steady.map(|(steady, _)| if steady == Steady::Replace { 1.0 } else { 2.0 });
                    let (rate, duration, ss) = (text_of(rate), text_of(duration), text_of(ss));
                    let ii = text_of(steady.map(|(_, interval)| interval));
                    let cmt = state.map_or("0", |state| ["1", "central"][state]);
                    writeln!(text, "1,{amount},{rate},{duration},{ii},{ss},{cmt},.,.,.,.,.,.,.").unwrap();
                    subject.doses.push(Dose {
                        time,
                        amount,
                        course,
                        state,
                        steady,
                        line,
                    });
                }
                Happening::Reading(value, bound, output) => {
                    let (cens, limit) = match bound {
                        Bound::Exact => (0, None),
                        Bound::Below => (1, None),
                        Bound::Above => (-1, None),
                        Bound::Between(limit) => (1, Some(limit)),
                    };
                    let (dv, limit, dvid) = (text_of(value), text_of(limit), output + 1);
                    writeln!(text, "0,.,.,.,.,.,.,{dv},{cens},{limit},{dvid},.,.,.").unwrap();
                    subject.observations.push(Reading {
                        time,
                        value,
                        bound,
                        output: Some(output),
                        line,
                    });
                }
                Happening::Reset => {
                    text.push_str("3,,,,,,,,,,,,,\n");
                    subject.resets.push(time);
                }
                Happening::Inputs(weight, female) => {
                    writeln!(text, "2,,,,,,,,,,,,{weight},{}", text_of(female)).unwrap();
                    subject.inputs.push(InputRow {
                        time,
                        values: vec![Some(weight), female],
                    });
                }
                Happening::Occasion(occasion) => {
                    writeln!(text, "2,,,,,,,,,,,{occasion},,").unwrap();
                    if subject.occasions.last().is_none_or(|(_, last)| *last != occasion) {
                        subject.occasions.push((time, occasion));
                    }
                }
            }
        }
        subjects.push(subject);
    }
    (text, subjects)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        never_panics(&bytes)?;
    }

    #[test]
    fn any_text(text in "(ID,TIME,DV\n)?[-0-9A-Za-z,.;\"#\\[\\]{}: \t\r\n\u{FEFF}é]{0,200}") {
        never_panics(text.as_bytes())?;
    }

    #[test]
    fn nearly_a_file(
        columns in proptest::collection::vec(column(), 0..12),
        rows in proptest::collection::vec(proptest::collection::vec(cell(), 14), 0..6),
        full in any::<bool>(),
    ) {
        let mut header = vec!["ID", "TIME"];
        header.extend(columns);
        if full {
            let mut seen = std::collections::BTreeSet::new();
            header.retain(|name| !name.is_empty() && *name != "#" && seen.insert(name.to_uppercase()));
        }
        let mut text = header.join(",");
        for mut row in rows {
            row.truncate(header.len());
            if full {
                row[0] = "1";
                row[1] = "0";
            }
            text.push('\n');
            text.push_str(&row.join(","));
        }
        never_panics(text.as_bytes())?;
    }

    #[test]
    fn a_valid_file_with_a_few_bytes_changed(
        changes in proptest::collection::vec((0..VALID.len(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut bytes = VALID.as_bytes().to_vec();
        for (place, byte, how) in changes {
            let place = place.min(bytes.len() - 1);
            match how {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        never_panics(&bytes)?;
    }

    #[test]
    fn a_valid_file_with_a_cell_changed(row in 1..8_usize, column in 0..19_usize, cell in cell()) {
        let mut lines: Vec<String> = VALID.lines().map(str::to_owned).collect();
        let mut cells: Vec<&str> = lines[row].split(',').collect();
        if let Some(slot) = cells.get_mut(column) {
            *slot = cell;
        }
        lines[row] = cells.join(",");
        never_panics(lines.join("\n").as_bytes())?;
    }

    #[test]
    fn what_is_written_is_read(stories in subjects()) {
        let (text, subjects) = write(&stories);
        let mut female = input("female");
        female.flag = true;
        let model = Model::new(&["CP", "INR"]).with_inputs(vec![input("wt"), female]);
        let data = model.read(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&data.subjects, &subjects);
        // Windows' line ends and quotes change nothing but the bytes.
        let quoted = text.replace(',', "\",\"").replace('\n', "\"\r\n\"");
        let quoted = format!("\"{}", quoted.trim_end_matches('"'));
        let again = model.read(&quoted).map_err(|error| TestCaseError::fail(format!("{error}\n{quoted}")))?;
        prop_assert_eq!(&again.subjects, &subjects);
    }
}
