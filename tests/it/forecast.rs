//! `jumeau forecast`: readings kept back, forecast and compared.

use std::{fmt::Write as _, fs, path::Path, process::Command};

const COMMAND: [&str; 8] = [
    "forecast",
    "lesion-growth",
    "lesions.csv",
    "--columns",
    "ID=patient,TIME=day,DV=size",
    "--below",
    "5",
    "--resolution=1",
];

/// Lesions with whole readings, vanished ones, gaps, two readings of a day, one reading and an unknown arm.
fn lesions() -> String {
    let mut text = "patient,arm,day,size\n".to_owned();
    for person in 0..6 {
        for visit in 0..6 {
            let size = 30 + 5 * person + visit * (person % 3) + (visit * person) % 2;
            let _ = writeln!(text, "p{person},A,{},{size}", visit * 42 - 14);
        }
    }
    text + "gone,B,-20,17\ngone,B,39,0\ngone,B,85,0\ngone,B,132,0\ngone,B,182,0\n\
        gap,?,-5,44\ngap,?,40,40\ngap,?,40,41\ngap,?,420,60\ngap,?,700,70\ngap,?,720,75\n\
        one,new arm,3,22\ntwo,A,0,0\ntwo,A,41,0\n"
}

fn run(folder: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_jumeau"))
        .args(COMMAND)
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

fn rows(folder: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder.join("out.csv")).unwrap();
    let split = |line: &str| line.split(',').map(str::to_owned).collect();
    text.lines().skip(1).map(split).collect()
}

#[test]
fn the_last_readings_are_forecast_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lesions.csv"), lesions()).unwrap();
    let (code, out, err) = run(folder.path(), &["--output", "out.csv"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with("16 readings of 8 subjects forecast; 2 subjects with too few readings, 0 failed\n"),
        "{out}"
    );
    assert!(
        out.contains("carried forward") && out.contains("90 % interval"),
        "{out}"
    );
    let rows = rows(folder.path());
    assert_eq!(rows.len(), 16);
    for row in &rows {
        let number = |place: usize| row[place].parse::<f64>().unwrap();
        assert!(number(5) <= number(4) && number(4) <= number(6), "{row:?}");
        assert!(number(4).fract() == 0.0, "{row:?}");
        if row[0] == "gone" {
            assert_eq!([&row[2], &row[3], &row[4], &row[5]], ["0"; 4]);
        }
    }
    let again = run(folder.path(), &["--threads", "1"]);
    assert_eq!(out, again.1, "the same on any number of threads");
}

#[test]
fn what_is_kept_back_changes_no_forecast() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lesions.csv");
    let forecasts = |text: &str| {
        fs::write(&file, text).unwrap();
        let (code, _, err) = run(folder.path(), &["--output", "out.csv"]);
        assert_eq!(code, Some(0), "{err}");
        let mut rows = rows(folder.path());
        rows.retain(|row| row[0] == "p0");
        rows.into_iter().map(|row| row[3..].to_vec()).collect::<Vec<_>>()
    };
    let text = lesions();
    let other = text
        .replace("p0,A,154,30", "p0,A,154,90")
        .replace("p0,A,196,30", "p0,A,196,5");
    assert_ne!(text, other);
    assert_eq!(forecasts(&text), forecasts(&other));
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lesions.csv"), lesions()).unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--hold-out", "0"], "at least one reading"),
        (&["--columns", "AMT=dose"], "there is no column `dose`"),
        (&["--columns", "AMT"], "write NAME=COLUMN"),
        (&["--of", "E"], "lesion-growth observes D"),
    ];
    for (more, expected) in cases {
        let (code, _, err) = run(folder.path(), more);
        assert_eq!(code, Some(1), "{more:?}");
        assert!(err.contains(expected), "{more:?}: {err}");
    }
}
