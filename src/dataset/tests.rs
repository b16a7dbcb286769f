//! What the conventions of data files become.

use super::*;

/// Names as the model would give them.
pub(super) struct Model {
    inputs: Vec<InputColumn>,
    outputs: Vec<String>,
    states: Vec<String>,
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(super) fn input(name: &str) -> InputColumn {
    InputColumn {
        name: name.to_owned(),
        levels: None,
        flag: false,
    }
}

impl Model {
    pub fn new(outputs: &[&str]) -> Self {
        let cyp = InputColumn {
            levels: Some(texts(&["*1/*1", "*1/*2", "NA"])),
            ..input("cyp")
        };
        let female = InputColumn {
            flag: true,
            ..input("female")
        };
        Self {
            inputs: vec![input("wt"), female, cyp],
            outputs: texts(outputs),
            states: texts(&["depot", "central"]),
        }
    }

    pub fn with_inputs(mut self, inputs: Vec<InputColumn>) -> Self {
        self.inputs = inputs;
        self
    }

    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            inputs: &self.inputs,
            outputs: &self.outputs,
            states: &self.states,
        }
    }

    pub fn read(&self, text: &str) -> Result<Dataset, DataError> {
        read("d.csv", text.as_bytes(), &self.wanted())
    }
}

fn good(text: &str) -> Dataset {
    Model::new(&["C"]).read(text).unwrap_or_else(|error| panic!("{error}"))
}

fn first(text: &str) -> Subject {
    good(text).subjects.swap_remove(0)
}

fn times(subject: &Subject) -> Vec<f64> {
    subject.doses.iter().map(|dose| dose.time).collect()
}

#[test]
fn a_plain_file_is_read_whole() {
    let data = good(
        "\u{FEFF}ID,TIME,AMT,DV,EVID,CMT,WT,race\r\n# a comment\r\n1,0,100,.,1,1,70,a\r\n\r\n1,2.5,.,5.1,0,2,71,a\r\n\"p 2\",0,50,,1,central,NA,\"b, c\"\r\n",
    );
    assert_eq!(data.ignored, ["race"]);
    let dose = Dose {
        time: 0.0,
        amount: 100.0,
        course: Course::Bolus,
        state: Some(0),
        steady: None,
        line: 3,
    };
    let reading = Reading {
        time: 2.5,
        value: Some(5.1),
        bound: Bound::Exact,
        output: Some(0),
        line: 5,
    };
    let row = |time, weight| InputRow {
        time,
        values: vec![Some(weight), None, None],
    };
    assert_eq!(
        data.subjects,
        [
            Subject {
                id: "1".to_owned(),
                line: 3,
                doses: vec![dose],
                resets: vec![],
                observations: vec![reading],
                inputs: vec![row(0.0, 70.0), row(2.5, 71.0)],
                occasions: vec![],
            },
            Subject {
                id: "p 2".to_owned(),
                line: 6,
                doses: vec![Dose {
                    amount: 50.0,
                    state: Some(1),
                    line: 6,
                    ..dose
                }],
                resets: vec![],
                observations: vec![],
                inputs: vec![],
                occasions: vec![],
            }
        ]
    );
}

#[test]
fn columns_come_in_any_order_and_case() {
    let subject = first("dv,Amt,time,id\n.,10,0,a\n3,.,1,a\n");
    assert_eq!(times(&subject), [0.0]);
    assert_eq!(subject.observations[0].value, Some(3.0));
}

#[test]
fn rows_marked_c_are_comments() {
    let data = good("C,ID,TIME,DV\n.,1,0,5\nC,1,spoilt\n.,1,1,6\n");
    assert_eq!(data.subjects[0].observations.len(), 2);
    assert!(data.ignored.is_empty());
    // Unless the model has an input of that name.
    let model = Model::new(&["y"]).with_inputs(vec![input("c")]);
    let data = model.read("C,ID,TIME\n7,1,0\n").unwrap();
    assert_eq!(data.subjects[0].inputs[0].values, [Some(7.0)]);
}

#[test]
fn without_evid_the_amount_tells_doses() {
    let subject = first("ID,TIME,AMT,DV,MDV\n1,0,10,0,0\n1,1,0,3,0\n1,2,.,9,1\n1,3,,,0\n1,4,5,9,1\n");
    assert_eq!(times(&subject), [0.0, 4.0]);
    let values: Vec<_> = subject.observations.iter().map(|reading| reading.value).collect();
    assert_eq!(values, [Some(3.0), None, None]);
}

#[test]
fn events_by_evid() {
    let subject = first(
        "ID,TIME,AMT,DV,EVID,WT\n1,0,10,77,1,70\n1,1,.,3,.,70\n1,2,0,99,2,80\n1,3,,,3,.\n1,4,20,,4,.\n1,5,.,.,0,.\n",
    );
    assert_eq!(times(&subject), [0.0, 4.0]);
    assert_eq!(subject.resets, [3.0, 4.0]);
    assert_eq!(subject.observations.len(), 2);
    assert_eq!(subject.observations[1].value, None);
    assert_eq!(subject.inputs.len(), 3);
}

#[test]
fn courses_of_doses() {
    let subject =
        first("ID,TIME,AMT,RATE,DUR,CMT\n1,0,10,0,0,0\n1,1,10,5,.,.\n1,2,10,,2,1\n1,3,10,-1,,2\n1,4,10,-2,,DEPOT\n");
    let courses: Vec<_> = subject.doses.iter().map(|dose| dose.course).collect();
    assert_eq!(
        courses,
        [
            Course::Bolus,
            Course::Rate(5.0),
            Course::Duration(2.0),
            Course::ModelledRate,
            Course::ModelledDuration
        ]
    );
    let states: Vec<_> = subject.doses.iter().map(|dose| dose.state).collect();
    assert_eq!(states, [None, None, Some(0), Some(1), Some(0)]);
}

#[test]
fn additional_doses_are_written_out_and_sorted() {
    let subject = first("ID,TIME,AMT,II,ADDL\n1,0,10,12,2\n1,6,5,12,1\n");
    assert_eq!(times(&subject), [0.0, 6.0, 12.0, 18.0, 24.0]);
    let lines: Vec<_> = subject.doses.iter().map(|dose| dose.line).collect();
    assert_eq!(lines, [2, 3, 2, 3, 2]);
}

#[test]
fn steady_state_holds_for_the_first_dose_only() {
    let subject = first("ID,TIME,AMT,II,ADDL,SS\n1,0,10,12,1,1\n1,3,5,24,0,2\n");
    let steady: Vec<_> = subject.doses.iter().map(|dose| dose.steady).collect();
    assert_eq!(steady, [Some((Steady::Replace, 12.0)), Some((Steady::Add, 24.0)), None]);
}

#[test]
fn resets_take_away_what_is_still_to_come() {
    let subject = first("ID,TIME,AMT,II,ADDL,EVID\n1,0,10,12,9,1\n1,24,.,.,.,3\n1,30,5,6,1,1\n");
    assert_eq!(times(&subject), [0.0, 12.0, 30.0, 36.0]);
    // A dose on the line after a reset of the same time stays, one on the line before it does not.
    let subject = first("ID,TIME,AMT,EVID\n1,5,1,1\n1,5,2,4\n1,5,3,1\n");
    let amounts: Vec<_> = subject.doses.iter().map(|dose| dose.amount).collect();
    assert_eq!(amounts, [2.0, 3.0]);
    // So does a steady state that replaces; one that is added does not.
    let subject = first("ID,TIME,AMT,II,ADDL,SS\n1,0,10,12,9,0\n1,24,10,12,1,1\n1,26,10,12,0,2\n");
    assert_eq!(times(&subject), [0.0, 12.0, 24.0, 26.0, 36.0]);
}

#[test]
fn censored_measurements() {
    let subject = first("ID,TIME,DV,CENS,LIMIT\n1,0,2,1,.\n1,1,2,1,0.5\n1,2,9,-1,\n1,3,4,0,1\n1,4,4,.,\n1,5,.,0,\n");
    let bounds: Vec<_> = subject.observations.iter().map(|reading| reading.bound).collect();
    assert_eq!(
        bounds,
        [
            Bound::Below,
            Bound::Between(0.5),
            Bound::Above,
            Bound::Exact,
            Bound::Exact,
            Bound::Exact
        ]
    );
}

#[test]
fn outputs_by_number_or_name() {
    let model = Model::new(&["CP", "INR"]);
    let data = model
        .read("ID,TIME,DV,DVID\n1,0,1,1\n1,1,1,2\n1,2,1,INR\n1,3,1,cp\n1,4,.,.\n")
        .unwrap();
    let outputs: Vec<_> = data.subjects[0]
        .observations
        .iter()
        .map(|reading| reading.output)
        .collect();
    assert_eq!(outputs, [Some(0), Some(1), Some(1), Some(0), None]);
}

#[test]
fn inputs_of_every_kind() {
    let subject = first("ID,TIME,wt,FEMALE,cyp\n1,0,70,1,*1/*2\n1,1,,0,.\n1,2,.,.,NA\n1,3,.,,\n");
    let values: Vec<_> = subject.inputs.iter().map(|row| row.values.clone()).collect();
    assert_eq!(
        values,
        [
            vec![Some(70.0), Some(1.0), Some(1.0)],
            vec![None, Some(0.0), None],
            vec![None, None, Some(2.0)]
        ]
    );
}

#[test]
fn the_exact_name_comes_before_the_alike() {
    let model = Model::new(&["y"]).with_inputs(vec![input("wt"), input("WT"), input("absent")]);
    let data = model.read("ID,TIME,WT,Wt\n1,0,1,2\n").unwrap();
    assert_eq!(data.subjects[0].inputs[0].values, [Some(2.0), Some(1.0), None]);
}

#[test]
fn occasions_are_kept_at_their_changes() {
    let model = Model::new(&["y"]).with_inputs(vec![input("occ")]);
    let data = model.read("ID,TIME,OCC\n1,0,1\n1,1,1\n1,2,.\n1,3,2\n2,0,2\n").unwrap();
    assert_eq!(data.subjects[0].occasions, [(0.0, 1), (3.0, 2)]);
    assert_eq!(data.subjects[1].occasions, [(0.0, 2)]);
    // The model may use it as an input as well.
    assert_eq!(data.subjects[0].inputs.len(), 3);
}

#[test]
fn times_may_be_negative_and_equal() {
    let subject = first("ID,TIME,DV\n1,-2,1\n1,-2,1\n1,-0,1\n1,+1e1,1\n");
    let times: Vec<_> = subject.observations.iter().map(|reading| reading.time).collect();
    assert_eq!(times, [-2.0, -2.0, 0.0, 10.0]);
    assert!(times[2].is_sign_positive());
}

#[test]
fn tables_of_parameters() {
    let names = texts(&["CL", "V1", "Q"]);
    let table = |text: &str| parameters_table("p", text, &names).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        table("id,V1,CL\n# note\na,1,2\nb,3,4e-1\n"),
        ParameterTable {
            names: vec![1, 0],
            rows: vec![
                (Some("a".to_owned()), vec![1.0, 2.0]),
                (Some("b".to_owned()), vec![3.0, 0.4])
            ],
        }
    );
    let single = ParameterTable {
        names: vec![0],
        rows: vec![(None, vec![3.1])],
    };
    assert_eq!(table("CL\n3.1\n"), single);
    assert_eq!(table("\u{FEFF} {\"CL\": 3.1}\n"), single);
    assert_eq!(
        table(r#"[{"ID": "a", "CL": 1, "Q": 2}, {"Q": 4, "C\u004c": 3, "id": 7}]"#),
        ParameterTable {
            names: vec![0, 2],
            rows: vec![
                (Some("a".to_owned()), vec![1.0, 2.0]),
                (Some("7".to_owned()), vec![3.0, 4.0])
            ],
        }
    );
}
