//! The command line on data files, as an outside checker would use it: worked tables, ways of dosing, bad input.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// What came of a run.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A folder with files, and the command line in it.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let start = Instant::now();
        let done = Command::new(env!("CARGO_BIN_EXE_jumeau"))
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{arguments:?} took {:?}",
            start.elapsed()
        );
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run {
            code: done.status.code(),
            out: text(done.stdout),
            err: text(done.stderr),
        }
    }

    fn fine(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.err);
        assert!(!run.out.contains("NaN") && !run.out.contains("inf"), "{}", run.out);
        run.out
    }

    /// Numbers of a CSV table: `.` is NaN, and so is an ID that is none.
    fn table(&self, arguments: &[&str]) -> Table {
        Table::of(&self.fine(arguments))
    }

    /// One JSON object a line.
    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        self.fine(arguments)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

struct Table {
    header: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Table {
    fn of(text: &str) -> Self {
        let mut lines = text.lines();
        let header = lines.next().unwrap().split(',').map(str::to_owned).collect();
        let rows = lines.map(|line| line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect());
        Self {
            header,
            rows: rows.collect(),
        }
    }

    fn column(&self, name: &str) -> Vec<f64> {
        let place = self.header.iter().position(|known| known == name);
        let place = place.unwrap_or_else(|| panic!("no {name} in {:?}", self.header));
        self.rows.iter().map(|row| row[place]).collect()
    }
}

fn near(found: f64, expected: f64, relative: f64) -> bool {
    (found - expected).abs() <= relative * expected.abs() + 1e-14
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/study")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A data file of one subject: the inputs stand on the first row, the doses before the rows asked for.
fn data(
    inputs: &[(&str, &str)],
    doses: &[(f64, f64, f64, f64, usize)],
    asked: &[f64],
    observed: &[(f64, f64)],
) -> String {
    let names: Vec<&str> = inputs.iter().map(|(name, _)| *name).collect();
    let values: Vec<&str> = inputs.iter().map(|(_, value)| *value).collect();
    let empty = vec!["."; inputs.len()].join(",");
    let mut rows = vec![(f64::NEG_INFINITY, 0, format!("1,0,2,.,.,.,.,.,{}", values.join(",")))];
    for (time, amount, duration, interval, more) in doses {
        rows.push((
            *time,
            2,
            format!("1,{time},1,{amount},{duration},{interval},{more},.,{empty}"),
        ));
    }
    rows.extend(
        asked
            .iter()
            .map(|time| (*time, 1, format!("1,{time},0,.,.,.,.,.,{empty}"))),
    );
    rows.extend(
        observed
            .iter()
            .map(|(time, dv)| (*time, 1, format!("1,{time},0,.,.,.,.,{dv},{empty}"))),
    );
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let header = format!("ID,TIME,EVID,AMT,DUR,II,ADDL,DV,{}", names.join(","));
    let rows = rows.into_iter().map(|(.., row)| row);
    std::iter::once(header).chain(rows).collect::<Vec<_>>().join("\n") + "\n"
}

/// A worked example of an independent implementation, printed to six digits.
struct Worked {
    model: &'static str,
    inputs: &'static [(&'static str, &'static str)],
    /// Time, amount, duration, interval, additional doses.
    doses: &'static [(f64, f64, f64, f64, usize)],
    columns: &'static [&'static str],
    rows: &'static [&'static [f64]],
}

const TWO_HOURS: f64 = 2.0 / 24.0;

const WORKED: &[Worked] = &[
    Worked {
        model: "hennig-2013",
        inputs: &[
            ("age", "24"),
            ("wt", "50"),
            ("ht", "163"),
            ("female", "1"),
            ("scr", "55"),
        ],
        doses: &[(0.0, 500.0, 0.5, 24.0, 2)],
        columns: &["C", "AUC"],
        rows: &[
            &[0.5, 44.6626, 11.6108],
            &[4.0, 9.36861, 89.0731],
            &[24.0, 0.235149, 122.173],
            &[24.5, 44.8838, 133.898],
            &[48.0, 0.247751, 246.17],
        ],
    },
    Worked {
        model: "hennig-2013",
        inputs: &[
            ("age", "68"),
            ("wt", "82"),
            ("ht", "178"),
            ("female", "0"),
            ("scr", "120"),
        ],
        doses: &[(0.0, 400.0, 0.5, 24.0, 2)],
        columns: &["C", "AUC"],
        rows: &[
            &[1.0, 15.1562, 12.3604],
            &[24.0, 0.669784, 96.0061],
            &[48.0, 0.748414, 198.599],
        ],
    },
    Worked {
        model: "hamberg-2007",
        inputs: &[("age", "71"), ("cyp", "*1/*1"), ("vk", "GG"), ("inr0", "1")],
        doses: &[(0.0, 5.0, 0.0, 24.0, 20)],
        columns: &["C", "INR"],
        rows: &[
            &[12.0, 0.126687, 1.00001],
            &[72.0, 0.170712, 1.05325],
            &[168.0, 0.227155, 1.49327],
            &[504.0, 0.254552, 1.92526],
        ],
    },
    Worked {
        model: "hamberg-2007",
        inputs: &[("age", "58"), ("cyp", "*1/*3"), ("vk", "AA"), ("inr0", "1.1")],
        doses: &[(0.0, 3.0, 0.0, 24.0, 20)],
        columns: &["C", "INR"],
        rows: &[
            &[24.0, 0.0660948, 1.10018],
            &[120.0, 0.186346, 1.57529],
            &[504.0, 0.273254, 2.8811],
        ],
    },
    Worked {
        model: "fasanmade-2009",
        inputs: &[("wt", "60"), ("alb", "32"), ("ati", "1"), ("female", "1")],
        doses: &[(0.0, 300.0, TWO_HOURS, 14.0, 1), (42.0, 300.0, TWO_HOURS, 56.0, 2)],
        columns: &["C", "AUC"],
        rows: &[
            &[1.0, 39.1735, 54.8426],
            &[42.0, 3.44538, 860.282],
            &[98.0, 0.192777, 1341.37],
            &[154.0, 0.179069, 1789.29],
        ],
    },
    Worked {
        model: "abrantes-2017",
        inputs: &[("age", "9"), ("wt", "30"), ("inh", "0"), ("osa", "0")],
        doses: &[(0.0, 1000.0, 0.0, 48.0, 1), (96.0, 1500.0, 0.0, 0.0, 0)],
        columns: &["FVIII"],
        rows: &[&[0.25, 65.6904], &[24.0, 6.86554], &[96.0, 1.18786], &[168.0, 0.591693]],
    },
    Worked {
        model: "ozawa-2007",
        inputs: &[("aag", "0.7"), ("anc0", "3.1")],
        doses: &[(0.0, 75.0, 1.0, 0.0, 0)],
        columns: &["C", "ANC"],
        rows: &[
            &[1.0, 1.47018, 3.24162],
            &[96.0, 0.000457663, 2.64299],
            &[240.0, 1.25504e-6, 0.594191],
            &[504.0, 2.52268e-11, 4.20885],
        ],
    },
    Worked {
        model: "andrews-2019",
        inputs: &[
            ("cyp3a5", "0"),
            ("cyp3a4_22", "0"),
            ("age", "50"),
            ("alb", "40"),
            ("bsa", "1.95"),
            ("scr_umol", "150"),
            ("hct", "32"),
            ("lbm", "60"),
        ],
        doses: &[(0.0, 4.0, 0.0, 12.0, 9)],
        columns: &["Cwb", "AUC"],
        rows: &[
            &[1.5, 5.28742, 4.64792],
            &[24.0, 4.91017, 125.604],
            &[98.0, 11.8281, 784.944],
            &[120.0, 7.41315, 994.993],
        ],
    },
];

#[test]
fn worked_tables_come_out_of_data_files() {
    for worked in WORKED {
        let times: Vec<f64> = worked.rows.iter().map(|row| row[0]).collect();
        let text = data(worked.inputs, worked.doses, &times, &[]);
        let folder = Folder::new(&[("d.csv", &text)]);
        let table = folder.table(&["simulate", worked.model, "d.csv", "--typical"]);
        let json = &folder.lines(&["simulate", worked.model, "d.csv", "--format", "json"])[0];
        for (place, name) in worked.columns.iter().enumerate() {
            for (i, (found, row)) in table.column(name).iter().zip(worked.rows).enumerate() {
                let expected = row[place + 1];
                assert!(
                    near(*found, expected, 1e-5),
                    "{} {name} at {}: {found}, not {expected}",
                    worked.model,
                    row[0]
                );
                assert_eq!(json["rows"][i][name].as_f64(), Some(*found));
                assert_eq!(json["rows"][i]["time"].as_f64(), Some(row[0]));
            }
        }
    }
}

/// Worked fits of the same specifications: eta to 2e-3, OFV to 1e-3.
#[test]
fn worked_fits_come_out_of_data_files() {
    type Fit<'a> = (usize, &'a [(f64, f64)], f64, &'a [(&'a str, f64)], &'a [f64]);
    let fits: &[Fit<'_>] = &[
        (
            0,
            &[(1.5, 24.0), (8.0, 3.1)],
            3.21461,
            &[("CL", -0.0051031), ("V1", 0.045905), ("V2", -0.10594)],
            &[27.2927, 2.79972],
        ),
        (
            4,
            &[(98.0, 1.8), (154.0, 1.2)],
            -0.8170241,
            &[("CL", -0.40388), ("V1", 0.042881)],
            &[1.37491, 1.1564],
        ),
        (
            5,
            &[(4.0, 62.0), (24.0, 14.5), (48.0, 3.6)],
            9.293814,
            &[("CL", -0.34898), ("F", 0.11348), ("BASE", 0.0010089)],
            &[50.7872, 14.1976, 3.36107],
        ),
        (
            7,
            &[(72.0, 9.5), (96.0, 11.0)],
            4.253066,
            &[("CL", -0.21823), ("V1", 0.044706), ("V2", -0.015109), ("Q", -0.27672)],
            &[],
        ),
    ];
    for (which, observed, ofv, eta, fitted) in fits {
        let worked = &WORKED[*which];
        let folder = Folder::new(&[("d.csv", &data(worked.inputs, worked.doses, &[200.0], observed))]);
        let line = &folder.lines(&["fit", worked.model, "d.csv"])[0];
        assert!((line["ofv"].as_f64().unwrap() - ofv).abs() < 1e-3, "{line}");
        for (name, expected) in *eta {
            assert!(
                (line["eta"][name].as_f64().unwrap() - expected).abs() < 2e-3,
                "{name}: {line}"
            );
        }
        for (i, expected) in fitted.iter().enumerate() {
            assert!(
                near(line["ipred"][i]["ipred"].as_f64().unwrap(), *expected, 2e-3),
                "{line}"
            );
        }
        // The individual found is the one simulated, whether by parameters or by effects.
        folder.write("p.json", line["parameters"].to_string());
        folder.write("e.json", line["eta"].to_string());
        let by_parameters = folder.fine(&["simulate", worked.model, "d.csv", "--params", "p.json"]);
        let by_effects = folder.table(&["simulate", worked.model, "d.csv", "--etas", "e.json"]);
        for (a, b) in Table::of(&by_parameters)
            .rows
            .iter()
            .flatten()
            .zip(by_effects.rows.iter().flatten())
        {
            assert!(near(*a, *b, 1e-7), "{by_parameters}");
        }
    }
}

#[test]
fn covariates_change_over_time() {
    let rows = "1,0,5500,24,.,1.1,35\n1,24,.,.,95,.,80\n1,36,.,.,6.5,.,120\n1,42,.,.,3.2,.,.\n1,48,.,.,.,.,.\n1,96,.,.,.,.,.\n";
    let folder = Folder::new(&[("m2.csv", &format!("ID,TIME,AMT,DUR,DV,BSA,scr\n{rows}"))]);
    let found = folder.table(&["simulate", "taylor-2020", "m2.csv"]).column("C");
    for (found, expected) in found.iter().zip([74.5526, 1.97283, 1.11489, 0.628128, 0.114787]) {
        assert!(near(*found, expected, 1e-5), "{found} {expected}");
    }
    let line = &folder.lines(&["fit", "taylor-2020", "m2.csv"])[0];
    assert!((line["ofv"].as_f64().unwrap() + 5.962636).abs() < 1e-3, "{line}");
    assert!((line["eta"]["CL"].as_f64().unwrap() + 0.36979).abs() < 2e-3, "{line}");
}

/// One compartment by hand: A' = -k*A.
#[test]
fn every_way_of_dosing() {
    let k: f64 = 0.1;
    let infusion = |rate: f64, length: f64, t: f64| {
        rate / k * (1.0 - (-k * t.min(length)).exp()) * (-k * (t - length).max(0.0)).exp()
    };
    let gut = |amount: f64, t: f64| {
        if t < 0.0 {
            0.0
        } else {
            amount / (1.0 - k) * ((-k * t).exp() - (-t).exp())
        }
    };
    let folder = Folder::new(&[("m.toml", &fixture("routes.toml"))]);
    let settled = 100.0 / (1.0 - (-k * 12.0_f64).exp());
    let cases: &[(&str, &str, f64)] = &[
        ("bolus", "1,0,1,100,.,.,.,.,.,.\n", 100.0 * (-0.5_f64).exp()),
        ("RATE", "1,0,1,100,50,.,.,.,.,.\n", infusion(50.0, 2.0, 5.0)),
        ("DUR", "1,0,1,100,.,4,.,.,.,.\n", infusion(25.0, 4.0, 5.0)),
        ("RATE -1", "1,0,1,100,-1,.,.,.,.,.\n", infusion(25.0, 4.0, 5.0)),
        ("RATE -2", "1,0,1,100,-2,.,.,.,.,.\n", infusion(50.0, 2.0, 5.0)),
        ("CMT by name", "1,0,1,100,.,.,.,.,.,gut\n", gut(50.0, 4.0)),
        ("CMT by number", "1,0,1,100,.,.,.,.,.,1\n", gut(50.0, 4.0)),
        ("CMT 2", "1,0,1,100,.,.,.,.,.,2\n", 100.0 * (-0.5_f64).exp()),
        (
            "ADDL",
            "1,0,1,100,.,.,2,2,.,.\n",
            100.0 * ((-0.5_f64).exp() + (-0.3_f64).exp() + (-0.1_f64).exp()),
        ),
        (
            "SS 1",
            "1,-1,1,70,.,.,.,.,.,.\n1,0,1,100,.,.,12,.,1,.\n",
            settled * (-0.5_f64).exp(),
        ),
        (
            "SS 2",
            "1,-1,1,70,.,.,.,.,.,.\n1,0,1,100,.,.,12,.,2,.\n",
            settled * (-0.5_f64).exp() + 70.0 * (-0.6_f64).exp(),
        ),
        ("reset", "1,0,1,100,.,.,.,.,.,.\n1,1,3,.,.,.,.,.,.,.\n", 0.0),
        (
            "reset and dose",
            "1,0,1,100,.,.,.,.,.,.\n1,1,4,10,.,.,.,.,.,.\n",
            10.0 * (-0.4_f64).exp(),
        ),
    ];
    for (name, doses, amount) in cases {
        folder.write(
            "d.csv",
            format!("ID,TIME,EVID,AMT,RATE,DUR,II,ADDL,SS,CMT\n{doses}1,5,0,.,.,.,.,.,.,.\n"),
        );
        let found = folder.table(&["simulate", "m.toml", "d.csv"]).column("C")[0];
        assert!(
            near(found, amount / 10.0, 1e-7),
            "{name}: {found}, not {}",
            amount / 10.0
        );
    }
}

#[test]
fn draws_depend_on_the_seed_alone() {
    let rows: String = (1..=9)
        .map(|id| format!("{id},0,100,70,a\n{id},1,.,.,.\n{id},8,.,.,.\n"))
        .collect();
    let folder = Folder::new(&[
        ("m.toml", &fixture("mini.toml")),
        ("d.csv", &format!("ID,TIME,AMT,wt,cyp\n{rows}")),
    ]);
    let draws = |more: &[&str]| folder.fine(&[&["simulate", "m.toml", "d.csv", "--draws", "40"], more].concat());
    let first = draws(&["--threads", "1"]);
    assert_eq!(first, draws(&["--threads", "2"]));
    assert_eq!(first, draws(&["--seed", "1"]));
    assert_ne!(first, draws(&["--seed", "2"]));
    let table = Table::of(&first);
    assert_eq!(
        table.header,
        ["ID", "TIME", "C_p05", "C_p50", "C_p95", "AUC_p05", "AUC_p50", "AUC_p95"]
    );
    assert_eq!(table.rows.len(), 18);
    for row in &table.rows {
        assert!(row[2] < row[3] && row[3] < row[4], "{row:?}");
    }
    let each = Table::of(&draws(&["--each"]));
    assert_eq!((each.rows.len(), each.column("DRAW")[2]), (9 * 40 * 2, 2.0));
    // The quantiles are those of the draws.
    let of_first: Vec<f64> = (0..40).map(|draw| each.column("C")[2 * draw]).collect();
    assert!(of_first.iter().filter(|c| **c < table.column("C_p50")[0]).count() == 20);
    let fits = |threads: &str| {
        let text = folder.fine(&["fit", "m.toml", "d.csv", "--format", "csv", "--threads", threads]);
        assert_eq!(
            text.lines().next(),
            Some("ID,MODEL,WEIGHT,OFV,CONVERGED,NAME,ETA,SHRINKAGE,VALUE,ERROR")
        );
        text
    };
    assert_eq!(fits("1"), fits("2"));
}

#[test]
fn parameters_and_effects_by_id() {
    let text = "ID,TIME,AMT,wt,cyp\n1,0,100,70,a\n1,1,.,.,.\n2,0,100,70,a\n2,1,.,.,.\n";
    let folder = Folder::new(&[("m.toml", &fixture("mini.toml")), ("d.csv", text)]);
    let c = |how: &str, table: &str| {
        folder.write("p", table);
        folder.table(&["simulate", "m.toml", "d.csv", how, "p"]).column("C")
    };
    let oral = |ka: f64, k: f64, v: f64| 100.0 * ka / v / (ka - k) * ((-k).exp() - (-ka).exp());
    for (table, first, second) in [
        ("ka\n2\n", 2.0, 2.0),
        ("ID,ka\n2,3\n1,2\n", 2.0, 3.0),
        ("{\"ka\": 2}", 2.0, 2.0),
        ("[{\"ID\": \"1\", \"ka\": 2}, {\"ID\": 2, \"ka\": 3}]", 2.0, 3.0),
    ] {
        let found = c("--params", table);
        for (found, ka) in found.iter().zip([first, second]) {
            assert!(near(*found, oral(ka, 0.1, 50.0), 1e-9), "{table}: {found}");
        }
        let found = c("--etas", table);
        for (found, eta) in found.iter().zip([first, second]) {
            assert!(near(*found, oral(f64::exp(eta), 0.1, 50.0), 1e-9), "{table}: {found}");
        }
    }
    folder.write("p", "ka\n0\n0.1\n0.2\n");
    let several = folder.table(&["simulate", "m.toml", "d.csv", "--etas", "p", "--each"]);
    assert_eq!((several.header[1].as_str(), several.rows.len()), ("DRAW", 6));
    assert!(near(several.column("C")[2], oral(0.2_f64.exp(), 0.1, 50.0), 1e-9));
    for (table, word) in [
        ("ID,ka\n1,2\n", "by ID"),
        ("ka\n1\n2\n", "one row"),
        ("ID,ka\n1,2\n1,3\n2,2\n", "one row"),
        ("kaa\n1\n", "did you mean `ka`?"),
    ] {
        folder.write("p", table);
        refused(&folder.run(&["simulate", "m.toml", "d.csv", "--params", "p"]), word);
    }
}

#[test]
fn regular_rows_join_those_of_the_file() {
    let text = "ID,TIME,AMT,wt,cyp\n1,0,100,70,a\n1,0.3,.,.,.\n1,0.7,.,.,.\n1,1,.,.,.\n";
    let folder = Folder::new(&[("m.toml", &fixture("mini.toml")), ("d.csv", text)]);
    let times = folder
        .table(&["simulate", "m.toml", "d.csv", "--every", "0.1"])
        .column("TIME");
    assert_eq!(times.len(), 11, "{times:?}");
    assert!(
        times.contains(&0.3) && times.contains(&0.7) && times.last() == Some(&1.0),
        "{times:?}"
    );
    let times = folder
        .table(&["simulate", "m.toml", "d.csv", "--every", "0.4"])
        .column("TIME");
    assert_eq!(times, [0.0, 0.3, 0.4, 0.7, 0.8, 1.0]);
}

#[test]
fn what_is_measured_can_be_named_bounded_or_missing() {
    let inputs = "58,*1/*3,AA,1.1";
    let head = "ID,TIME,AMT,ADDL,II,DV,DVID,CENS,LIMIT,age,cyp,vk,inr0\n";
    let dose = format!("1,0,3,20,24,.,.,.,.,{inputs}\n");
    let rest = ".,.,.,.\n";
    let folder = Folder::new(&[]);
    let fit = |rows: &str| {
        folder.write("d.csv", format!("{head}{dose}{rows}"));
        folder.lines(&["fit", "hamberg-2007", "d.csv"])[0].clone()
    };
    let by = |name: &str| {
        fit(&format!(
            "1,96,.,.,.,1.6,{name},.,.,{rest}1,144,.,.,.,2.3,{name},.,.,{rest}1,216,.,.,.,3.1,{name},.,.,{rest}"
        ))
    };
    let mut by_number = by("1");
    let mut by_name = by("INR");
    assert!(
        (by_number["ofv"].as_f64().unwrap() + 9.334899).abs() < 1e-3,
        "{by_number}"
    );
    assert!(
        (by_number["eta"]["MTT2"].as_f64().unwrap() + 0.42564).abs() < 2e-3,
        "{by_number}"
    );
    for line in [&mut by_number, &mut by_name] {
        line.as_object_mut().unwrap().remove("elapsed_us");
    }
    assert_eq!(by_number, by_name);
    let second = fit(&format!("1,96,.,.,.,0.3,C,.,.,{rest}"));
    assert_eq!(second["ipred"][0]["output"], "C");
    // Below a limit the typical person is above of: pulled down; within limits that hold anyway: hardly moved.
    let ipred = |line: &Value| line["ipred"][0]["ipred"].as_f64().unwrap();
    let below = fit(&format!("1,168,.,.,.,1.3,INR,1,.,{rest}"));
    let above = fit(&format!("1,168,.,.,.,3,INR,-1,.,{rest}"));
    let between = fit(&format!("1,168,.,.,.,1.3,INR,1,1.2,{rest}"));
    assert!(
        ipred(&below) < 1.9371 && ipred(&above) > 1.9371 && ipred(&between) < 1.9371,
        "{below}\n{above}\n{between}"
    );
    assert!(ipred(&between) > ipred(&below), "{between}\n{below}");
}

#[test]
fn a_missing_category_is_mixed() {
    let text = "ID,TIME,AMT,DV,wt,cyp\n1,0,100,.,70,.\n1,4,.,1.9,.,.\n1,12,.,1.6,.,.\n2,0,100,.,70,b\n2,4,.,1.9,.,.\n2,12,.,1.6,.,.\n";
    let folder = Folder::new(&[("m.toml", &fixture("mini.toml")), ("d.csv", text)]);
    let lines = folder.lines(&["fit", "m.toml", "d.csv"]);
    let classes = lines[0]["classes"].as_array().unwrap();
    let p: Vec<f64> = classes
        .iter()
        .map(|class| class["probability"].as_f64().unwrap())
        .collect();
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p.len() == 2, "{p:?}");
    // It is slow in clearing: class b, whose fit is that of the one known to be b.
    assert_eq!(
        (classes[0]["levels"]["cyp"].as_str(), p[0] > 0.4),
        (Some("b"), true),
        "{classes:?}"
    );
    assert_eq!(lines[0]["eta"], lines[1]["eta"]);
    let odds = 0.4 / 0.6 * (-0.5 * (classes[0]["ofv"].as_f64().unwrap() - classes[1]["ofv"].as_f64().unwrap())).exp();
    assert!(near(p[0] / p[1], odds, 1e-9));
    assert!(lines[1]["classes"].is_null());
    refused(&folder.run(&["simulate", "m.toml", "d.csv"]), "`cyp` is missing");
}

#[test]
fn occasions_have_effects_of_their_own() {
    let head = "ID,TIME,AMT,DV,OCC,age,wt,inh,osa\n";
    let rows = "1,0,1000,.,1,9,30,0,0\n1,24,.,14.5,1,.,.,.,.\n1,48,1000,.,2,.,.,.,.\n1,72,.,4,2,.,.,.,.\n";
    let folder = Folder::new(&[("d.csv", &format!("{head}{rows}"))]);
    let line = &folder.lines(&["fit", "abrantes-2017", "d.csv"])[0];
    let eta = line["eta"].as_object().unwrap();
    assert_eq!(eta.len(), 3 + 2 * 2, "{line}");
    let of = |occasion: usize| eta[&format!("CL (occasion {occasion})")].as_f64().unwrap();
    assert!(of(1) < 0.0 && of(2) > of(1), "{line}");
    let without = rows
        .replace(",.,1,9", ",.,.,9")
        .replace(",1,.", ",.,.")
        .replace(",2,.", ",.,.");
    folder.write("d.csv", format!("{head}{without}"));
    assert_eq!(
        folder.lines(&["fit", "abrantes-2017", "d.csv"])[0]["eta"]
            .as_object()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn several_models_vote() {
    let text = "ID,TIME,AMT,DUR,DV,age,wt,female,scr,dial\n1,0,1750,2,.,62,78,0,1.1,0\n1,12,1000,1,.,.,.,.,.,.\n\
                1,14,.,.,27.4,.,.,.,.,.\n1,23.5,.,.,14.2,.,.,.,.,.\n";
    let folder = Folder::new(&[("d.csv", text)]);
    let models = ["goti-2018", "thomson-2009", "colin-2019"];
    let line = &folder.lines(&[&["fit"], &models[..], &["d.csv"]].concat())[0];
    for (name, expected) in models.iter().zip([0.184_291, 0.500_32, 0.315_389]) {
        assert!(
            (line["weights"][name].as_f64().unwrap() - expected).abs() < 1e-3,
            "{line}"
        );
    }
    assert_eq!(line["models"].as_array().unwrap().len(), 3);
    let shrunk = |lambda: &str| {
        let line = &folder.lines(&["fit", "goti-2018", "d.csv", "--lambda", lambda])[0];
        line["eta"]["V1"].as_f64().unwrap().abs()
    };
    assert!(shrunk("0.25") > shrunk("1") && shrunk("1") > shrunk("4"));
}

#[test]
fn a_plot_is_an_svg_and_the_time_is_told() {
    let text = "ID,TIME,AMT,DV,wt,cyp\n1,0,100,.,70,a\n1,4,.,1.2,.,.\n1,12,.,0.6,.,.\n";
    let folder = Folder::new(&[("m.toml", &fixture("mini.toml")), ("d.csv", text)]);
    for more in [&[][..], &["--log", "--title", "a <b>"]] {
        folder.fine(&[&["plot", "m.toml", "d.csv", "-o", "p.svg"], more].concat());
        let svg = std::fs::read_to_string(folder.0.path().join("p.svg")).unwrap();
        assert!(svg.starts_with("<svg") || svg.starts_with("<?xml"), "{svg:.80}");
        assert!(svg.trim_end().ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("<b>"));
    }
    let run = folder.run(&["simulate", "m.toml", "d.csv", "--timing"]);
    assert!(
        run.code == Some(0) && run.err.contains("timing: computing "),
        "{}",
        run.err
    );
}

#[test]
fn a_closed_pipe_is_no_error() {
    let rows: String = (1..=400)
        .map(|id| format!("{id},0,100,70,a\n{id},24,.,.,.\n"))
        .collect();
    let folder = Folder::new(&[
        ("m.toml", &fixture("mini.toml")),
        ("d.csv", &format!("ID,TIME,AMT,wt,cyp\n{rows}")),
    ]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_jumeau"))
        .args(["simulate", "m.toml", "d.csv", "--every", "0.1"])
        .current_dir(folder.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::with_capacity(64, child.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    assert_eq!(line, "ID,TIME,C,AUC\n");
    let done = child.wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(
        done.status.success() && !err.contains("panicked") && !err.contains("write"),
        "{err}"
    );
}

/// One line, exit code 1, no panic, nothing that is no number in what was written before.
fn refused(run: &Run, word: &str) {
    let complaint: Vec<&str> = run
        .err
        .lines()
        .filter(|line| !line.starts_with("jumeau: note: "))
        .collect();
    assert_eq!(run.code, Some(1), "{word}: {}", run.err);
    assert!(
        complaint.len() == 1 && complaint[0].starts_with("jumeau: ") && complaint[0].contains(word),
        "{word}: {}",
        run.err
    );
    assert!(
        !run.out.contains("NaN") && !run.out.contains("inf"),
        "{word}: {}",
        run.out
    );
}

const GOOD: &str = "ID,TIME,AMT,DV,wt,cyp\n1,0,100,.,70,a\n1,4,.,1.2,.,.\n";

#[test]
fn bad_data_is_refused() {
    let folder = Folder::new(&[("m.toml", &fixture("mini.toml"))]);
    for (from, to, word) in [
        (GOOD, "", "d.csv:1: the file is empty"),
        (
            "1,0,100,.,70,a\n1,4,.,1.2,.,.\n",
            "",
            "d.csv:1: no rows follow the header",
        ),
        ("ID,TIME", "TIME", "d.csv:1: there is no column ID"),
        (
            "1,4,.,1.2,.,.",
            "1,4,.",
            "d.csv:3: the line has 3 cells, the header has 6",
        ),
        ("1,4,", "1,-4,", "d.csv:3: column TIME: time goes back"),
        ("100", "-100", "d.csv:2: column AMT"),
        ("100", "1e300", "d.csv:2: column AMT: `1e300` is beyond any quantity"),
        ("100", "lots", "d.csv:2: column AMT: `lots` is not a number"),
        ("1.2", "1,2", "d.csv:3"),
        (
            "70",
            "700",
            "subject 1 (line 2): `wt` is 700 kg; the model holds from 1 to 200 kg",
        ),
        ("70", ".", "subject 1 (line 2): `wt` is missing"),
        (",a\n", ",c\n", "d.csv:2: column cyp: `c` is no level"),
    ] {
        assert!(GOOD.contains(from));
        folder.write("d.csv", GOOD.replacen(from, to, 1));
        refused(&folder.run(&["simulate", "m.toml", "d.csv"]), word);
    }
    folder.write("d.csv", "ID,TIME,AMT,CMT,wt,cyp\n1,0,100,dept,70,a\n");
    refused(&folder.run(&["simulate", "m.toml", "d.csv"]), "d.csv:2: column CMT");
    folder.write("d.csv", [0xff, 0xfe, 0x00, 0x01]);
    refused(
        &folder.run(&["simulate", "m.toml", "d.csv"]),
        "d.csv: is not UTF-8 text",
    );
}

#[test]
fn bad_models_are_refused() {
    let folder = Folder::new(&[("d.csv", GOOD)]);
    for (from, to, word) in [
        ("C = A/V", "C = D/V\nD = C*V", "m.toml:33:5: `D` is not defined here"),
        ("A/V\n", "A/V + 1/0*1[mg/L]\n", "no finite value"),
        ("A/V\n", "A/V*(0/0)\n", "no finite value"),
        ("is = \"1\"", "is = \"1/0\"", "m.toml:21:14: this has no finite value"),
        ("is = \"1\"", "is = \"1/(wt - 70)\"", "`ka` has no usable value"),
        ("- CL/V*A", "- CL/V*A + A*A/1[mg]/1[h]", "A: no step is short enough"),
        (
            "d/dt(A) = ",
            "X(0) = 1[mg]\nd/dt(X) = 1e9[1/h]*Y\nd/dt(Y) = -1e9[1/h]*X*abs(X)/1[mg]\nd/dt(A) = ",
            "steps were not enough",
        ),
    ] {
        let model = fixture("mini.toml");
        assert!(model.contains(from));
        folder.write("m.toml", model.replacen(from, to, 1));
        refused(&folder.run(&["simulate", "m.toml", "d.csv"]), word);
    }
}

#[test]
fn bad_requests_are_refused() {
    let folder = Folder::new(&[("m.toml", &fixture("mini.toml")), ("d.csv", GOOD)]);
    folder.write("binary", [0xff_u8, 0x00]);
    let simulate = |more: &[&str]| folder.run(&[&["simulate", "m.toml", "d.csv"], more].concat());
    for (more, word) in [
        (&["--every", "1e-12"][..], "are too many"),
        (&["--every", "0"], "--every 0: "),
        (&["--every=-1"], "--every -1: "),
        (&["--every", "nan"], "--every NaN: "),
        (&["--draws", "0"], "--draws 0: "),
        (&["--draws", "100000000000"], "number of draws"),
        (&["--threads", "0"], "--threads 0: "),
        (&["--threads", "1000000"], "--threads 1000000: "),
        (&["--params", "none.csv"], "none.csv: cannot be read"),
    ] {
        refused(&simulate(more), word);
    }
    for lambda in ["0", "nan", "inf"] {
        refused(
            &folder.run(&["fit", "m.toml", "d.csv", "--lambda", lambda]),
            "weight of the prior",
        );
    }
    for (arguments, word) in [
        (&["fit", "d.csv", "m.toml"][..], "the data file comes last"),
        (&["fit", "m.toml", "m.toml", "d.csv"], "the model mini is given twice"),
        (&["simulate", "d.csv", "m.toml"], "the data file comes last"),
        (&["simulate", "goti-2081", "d.csv"], "did you mean `goti-2018`?"),
        (&["simulate", "none.toml", "d.csv"], "none.toml: cannot be read"),
        (&["simulate", "m.toml", "none.csv"], "none.csv: cannot be read"),
        (&["simulate", ".", "d.csv"], "cannot be read"),
        (&["simulate", "m.toml", "."], "cannot be read"),
        (&["simulate", "binary", "d.csv"], "binary: is not UTF-8 text"),
        (
            &["plot", "m.toml", "d.csv", "-o", "none/p.svg"],
            "none/p.svg: cannot be written",
        ),
    ] {
        refused(&folder.run(arguments), word);
    }
    for arguments in [
        &["simulate", "m.toml"][..],
        &["fit", "m.toml"],
        &["plot", "m.toml", "d.csv"],
        &["simulate", "m.toml", "d.csv", "--typical", "--draws", "2"],
        &["simulate", "m.toml", "d.csv", "--draws", "many"],
        &["simulate", "m.toml", "d.csv", "--format", "xml"],
    ] {
        assert_eq!(folder.run(arguments).code, Some(2), "{arguments:?}");
    }
}

/// A subject that cannot be fitted says why on its own line; the others are fitted.
#[test]
fn one_bad_subject_does_not_stop_the_fits() {
    let text = format!("{GOOD}2,0,100,.,700,a\n2,4,.,1.2,.,.\n");
    let folder = Folder::new(&[("m.toml", &fixture("mini.toml")), ("d.csv", &text)]);
    for format in ["json", "csv"] {
        let run = folder.run(&["fit", "m.toml", "d.csv", "--format", format]);
        assert!(
            run.code == Some(1) && run.err.contains("1 subject(s) could not be fitted"),
            "{}",
            run.err
        );
        assert!(
            run.out.lines().any(|line| line.contains("`wt` is 700 kg")),
            "{}",
            run.out
        );
        assert!(run.out.contains("CL"), "{}", run.out);
    }
}
