//! What is refused, and in which words.

use super::tests::{Model, input};

fn refused(model: &Model, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        match model.read(text) {
            Ok(data) => panic!("{text:?} is read as {data:?}"),
            Err(error) => assert_eq!(error.to_string(), format!("d.csv:{expected}"), "{text:?}"),
        }
    }
}

#[test]
fn headers() {
    refused(
        &Model::new(&["C"]),
        &[
            (
                "",
                "1: the file is empty (help: the first line names the columns: ID,TIME,..)",
            ),
            (
                "\n# only a comment\n",
                "1: the file is empty (help: the first line names the columns: ID,TIME,..)",
            ),
            ("ID,TIME\n", "1: no rows follow the header"),
            (
                "1,0,100\n1,1,.\n",
                "1: the first line holds numbers, not the names of the columns (help: put a header above it, such as ID,TIME,AMT,DV)",
            ),
            (
                "TIME,DV\n0,1\n",
                "1: there is no column ID (help: the columns are `TIME`, `DV`)",
            ),
            (
                "ID,TMIE\n1,0\n",
                "1: there is no column TIME (help: is it the column `TMIE`? Rename it)",
            ),
            (
                "#ID,TIME,DV\nSUBJ,T\n1,0\n",
                "2: there is no column ID (help: the header seems to be a comment: take the # away)",
            ),
            (
                "ID,DV\n1,0\n",
                "1: there is no column TIME (help: the columns are `ID`, `DV`)",
            ),
            (
                "ID;TIME;DV\n1;0;3,1\n",
                "1: the columns are separated by semicolons, not by commas (help: save the file with commas between cells and points in decimals (in R: write.csv))",
            ),
            (
                "ID\tTIME\n1\t0\n",
                "1: the columns are separated by tabs, not by commas (help: save the file with commas between cells and points in decimals (in R: write.csv))",
            ),
            (
                "ID TIME DV\n1 0 3\n",
                "1: the columns are separated by spaces, not by commas (help: save the file with commas between cells and points in decimals (in R: write.csv))",
            ),
            ("ID,TIME,id\n1,0,1\n", "1: column ID: the column is there twice"),
            ("ID,TIME,wt,wt\n1,0,1,1\n", "1: column wt: the column is there twice"),
            (
                "\"\",ID,TIME\n1,1,0\n",
                "1: column 1 has no name (help: if it holds the numbers of the rows, leave it out (in R: row.names = FALSE))",
            ),
            (
                "ID,TIME,\n1,0,\n",
                "1: column 3 has no name (help: name it, or delete it from all lines)",
            ),
            (
                "ID,TIME,Wt,WT\n1,0,1,1\n",
                "1: column wt: both `Wt` and `WT` could be the input `wt` (help: name the right one `wt` exactly)",
            ),
        ],
    );
}

#[test]
fn rows_ids_and_times() {
    refused(
        &Model::new(&["C"]),
        &[
            (
                "ID,TIME,DV\n# x\n\n1,0\n",
                "4: the line has 2 cells, the header has 3 (help: a missing cell is written `.`; decimals are written with a point; a cell with a comma needs quotes)",
            ),
            (
                "ID,TIME,DV\n1;0;3\n",
                "2: the line has 1 cell, the header has 3 (help: separate cells with commas, as in the header)",
            ),
            (
                "ID,TIME,DV\n1,0,3,1\n",
                "2: the line has 4 cells, the header has 3 (help: a missing cell is written `.`; decimals are written with a point; a cell with a comma needs quotes)",
            ),
            (
                "ID,TIME,DV\n.,0,3\n",
                "2: column ID: the ID is missing (help: every row needs the ID of its subject; delete empty rows)",
            ),
            (
                "ID,TIME,DV\n1,,3\n",
                "2: column TIME: the time is missing (help: every row needs a time)",
            ),
            (
                "ID,TIME,DV\n1,08:30,3\n",
                "2: column TIME: `08:30` is a clock time or a date (help: give a plain number in the model's unit of time, counted from one start such as the first dose)",
            ),
            (
                "ID,TIME,DV\n1,2024-01-31,3\n",
                "2: column TIME: `2024-01-31` is a clock time or a date (help: give a plain number in the model's unit of time, counted from one start such as the first dose)",
            ),
            (
                "ID,TIME,DV\n1,1,3\n1,0.5,3\n",
                "3: column TIME: time goes back from 1 (line 2) to 0.5 (line 3) in ID `1` (help: sort the rows of each subject by time; after a reset (EVID 3 or 4), time goes on as well)",
            ),
            (
                "ID,TIME,DV\n1,0,3\n2,0,3\n1,1,3\n",
                "4: column ID: ID `1` appears again; its rows ended on line 2 (help: keep all rows of a subject together (NONMEM would take these for a new subject without a word))",
            ),
            (
                "ID,TIME,DV\n1,0,3\n1.0,1,3\n",
                "3: column ID: ID `1.0` is the number of ID `1` (until line 2), written in another way (help: write the ID of a subject in one way, and keep all its rows together)",
            ),
        ],
    );
}

#[test]
fn numbers() {
    refused(
        &Model::new(&["C"]),
        &[
            (
                "ID,TIME,DV\n1,0,<0.5\n",
                "2: column DV: `<0.5` is not a number (help: put the limit in DV, and 1 (below it) or -1 (above it) in CENS)",
            ),
            (
                "ID,TIME,DV\n1,0,\"3,1\"\n",
                "2: column DV: `3,1` is not a number (help: write decimals with a point and thousands without a mark)",
            ),
            (
                "ID,TIME,DV\n1,0,x\n",
                "2: column DV: `x` is not a number (help: a missing value is `.` or an empty cell)",
            ),
            (
                "ID,TIME,DV\n1,0,NaN\n",
                "2: column DV: `NaN` is not a finite number (help: a missing value is `.` or an empty cell)",
            ),
            (
                "ID,TIME,DV\n1,0,1e400\n",
                "2: column DV: `1e400` is not a finite number (help: a missing value is `.` or an empty cell)",
            ),
            (
                "ID,TIME,DV\n1,0,-1e16\n",
                "2: column DV: `-1e16` is beyond any quantity (help: numbers up to 1e15 are read; a missing value is `.` or an empty cell)",
            ),
            (
                "ID,TIME,DV\n1,0,\"3\n",
                "2: a quote is not closed on its line: `1,0,\"3` (help: a quote inside a quoted cell is written twice; a cell cannot hold a line end)",
            ),
            (
                "ID,TIME,DV\n1,0,3\r1,1,3\n",
                "2: a carriage return stands inside the line (help: save the file with line ends LF or CR LF)",
            ),
        ],
    );
}

#[test]
fn doses_and_events() {
    refused(
        &Model::new(&["C"]),
        &[
            (
                "ID,TIME,AMT\n1,0,-5\n",
                "2: column AMT: -5 is negative (help: it is 0, `.` or empty where it does not apply)",
            ),
            (
                "ID,TIME,AMT,II\n1,0,5,-1\n",
                "2: column II: -1 is negative (help: it is 0, `.` or empty where it does not apply)",
            ),
            (
                "ID,TIME,AMT,ADDL\n1,0,5,3\n",
                "2: column ADDL: additional doses need the interval between doses (help: give it in II, above 0)",
            ),
            (
                "ID,TIME,AMT,ADDL,II\n1,0,5,-3,12\n",
                "2: column ADDL: -3 is negative (help: the number of doses after this one; for steady state use SS)",
            ),
            (
                "ID,TIME,AMT,ADDL,II\n1,0,5,1.5,12\n",
                "2: column ADDL: 1.5 is not a whole number",
            ),
            (
                "ID,TIME,AMT,ADDL,II\n1,0,5,100000,12\n",
                "2: column ADDL: the subject has more than 100000 doses, additional doses counted (help: is ADDL right?)",
            ),
            (
                "ID,TIME,AMT,ADDL,II\n1,0,5,9,9e14\n",
                "2: column ADDL: the last additional dose would be at 8100000000000000",
            ),
            (
                "ID,TIME,AMT,EVID\n1,0,5,0\n",
                "2: column AMT: the row has the amount 5 but is no dose (help: set EVID to 1, or AMT to 0)",
            ),
            (
                "ID,TIME,AMT,EVID\n1,0,5,3\n",
                "2: column AMT: the row has the amount 5 but is no dose (help: set EVID to 1, or AMT to 0)",
            ),
            (
                "ID,TIME,AMT,EVID\n1,0,.,1\n",
                "2: column AMT: a dose row needs an amount above 0 (help: for a row without a dose set EVID to 0 or 2)",
            ),
            (
                "ID,TIME,AMT,EVID\n1,0,0,4\n",
                "2: column AMT: a dose row needs an amount above 0 (help: for a row without a dose set EVID to 0 or 2)",
            ),
            (
                "ID,TIME,AMT,EVID,SS,RATE\n1,0,0,1,1,5\n",
                "2: column AMT: an infusion that has run for ever (SS = 1, RATE > 0, no AMT) is not supported (help: start it with AMT long enough before the first observation)",
            ),
            (
                "ID,TIME,AMT,SS,RATE\n1,0,0,1,5\n",
                "2: column AMT: an infusion that has run for ever (SS = 1, RATE > 0, no AMT) is not supported (help: start it with AMT long enough before the first observation)",
            ),
            (
                "ID,TIME,AMT,DV\n1,0,10,3\n",
                "2: column DV: the row has both a dose and a measurement (help: give each a row of its own, or say with MDV = 1 that DV does not count)",
            ),
            (
                "ID,TIME,AMT,EVID\n1,0,5,101\n",
                "2: column EVID: 101 is no event (help: 0 observation, 1 dose, 2 other, 3 reset, 4 reset and dose; compound numbers such as 101 are not read)",
            ),
            (
                "ID,TIME,MDV\n1,0,2\n",
                "2: column MDV: 2 has no meaning here (help: 0 DV is a measurement, 1 it is not)",
            ),
            (
                "ID,TIME,DV,CENS\n1,0,5,2\n",
                "2: column CENS: 2 has no meaning here (help: 0 measured, 1 below the limit in DV, -1 above the limit in DV)",
            ),
            (
                "ID,TIME,DV,CENS\n1,0,.,1\n",
                "2: column DV: CENS is 1 but DV is missing (help: DV holds the limit of quantification)",
            ),
            (
                "ID,TIME,AMT,SS,II\n1,0,5,3,12\n",
                "2: column SS: 3 has no meaning here (help: 0 none, 1 steady state in place of what is there, 2 added to it)",
            ),
            (
                "ID,TIME,AMT,SS\n1,0,5,1\n",
                "2: column SS: a steady-state dose needs the interval between doses (help: give it in II, above 0)",
            ),
            (
                "ID,TIME,AMT,RATE\n1,0,5,-3\n",
                "2: column RATE: -3 has no meaning here (help: above 0 a rate, 0 a bolus, -1 the model's rate, -2 the model's duration)",
            ),
            (
                "ID,TIME,AMT,DUR\n1,0,5,-3\n",
                "2: column DUR: -3 is negative (help: it is 0, `.` or empty where it does not apply)",
            ),
            (
                "ID,TIME,AMT,RATE,DUR\n1,0,5,1,2\n",
                "2: column DUR: the dose has both a rate and a duration (help: set RATE or DUR to 0)",
            ),
            (
                "ID,TIME,AMT,CMT\n1,0,5,3\n",
                "2: column CMT: 3 is the number of no state of the model (help: states: 1 = `depot`, 2 = `central`)",
            ),
            (
                "ID,TIME,AMT,CMT\n1,0,5,centrl\n",
                "2: column CMT: `centrl` is no state of the model (help: did you mean `central`? states: 1 = `depot`, 2 = `central`)",
            ),
            (
                "ID,TIME,AMT,CMT\n1,0,5,gut\n",
                "2: column CMT: `gut` is no state of the model (help: states: 1 = `depot`, 2 = `central`)",
            ),
            (
                "ID,TIME,AMT,CMT\n1,0,0,-1\n",
                "2: column CMT: a negative state is not supported (help: states cannot be switched off; a reset is EVID 3)",
            ),
            (
                "ID,TIME,AMT,CMT\n1,0,5,1.5\n",
                "2: column CMT: 1.5 is the number of no state of the model (help: states: 1 = `depot`, 2 = `central`)",
            ),
        ],
    );
}

#[test]
fn observations_and_inputs() {
    refused(
        &Model::new(&["C"]),
        &[
            (
                "ID,TIME,DV,DVID\n1,0,5,3\n",
                "2: column DVID: 3 is the number of no output of the model (help: outputs: 1 = `C`)",
            ),
            (
                "ID,TIME,DV,DVID\n1,0,5,IMR\n",
                "2: column DVID: `IMR` is no output of the model (help: outputs: 1 = `C`)",
            ),
            (
                "ID,TIME,DV,CENS,LIMIT\n1,0,5,1,5\n",
                "2: column LIMIT: LIMIT 5 is not below DV 5 (help: the measurement lies between LIMIT and DV)",
            ),
            (
                "ID,TIME,DV,CENS,LIMIT\n1,0,5,-1,9\n",
                "2: column LIMIT: LIMIT with CENS = -1 is not supported (help: leave LIMIT empty; for an interval put its upper end in DV, its lower end in LIMIT and 1 in CENS)",
            ),
            (
                "ID,TIME,female\n1,0,2\n",
                "2: column female: `2` is neither 0 nor 1 (help: `female` is 1 for yes and 0 for no)",
            ),
            (
                "ID,TIME,CYP\n1,0,*1/*3\n",
                "2: column CYP: `*1/*3` is no level of `cyp` (help: levels: `*1/*1`, `*1/*2`, `NA`)",
            ),
            (
                "ID,TIME,CYP\n1,0,1\n",
                "2: column CYP: `1` is no level of `cyp` (help: levels: `*1/*1`, `*1/*2`, `NA`)",
            ),
            (
                "ID,TIME,CYP\n1,0,poor metaboliser of all\n",
                "2: column CYP: `poor metaboliser of all` is no level of `cyp` (help: levels: `*1/*1`, `*1/*2`, `NA`)",
            ),
            ("ID,TIME,OCC\n1,0,1.5\n", "2: column OCC: 1.5 is not a whole number"),
            (
                "ID,TIME,WT\n1,0,heavy\n",
                "2: column WT: `heavy` is not a number (help: a missing value is `.` or an empty cell)",
            ),
            (
                "ID,TIME,CYP\n1,0,na\n",
                "2: column CYP: `na` is no level of `cyp` (help: did you mean `NA`? levels: `*1/*1`, `*1/*2`, `NA`)",
            ),
            (
                "ID,TIME,wt\n1,0,NaN\n",
                "2: column wt: `NaN` is not a finite number (help: a missing value is `.` or an empty cell)",
            ),
        ],
    );
}

#[test]
fn what_depends_on_the_model() {
    refused(
        &Model::new(&["CP", "INR"]),
        &[
            (
                "ID,TIME,DV\n1,0,5\n",
                "2: column DVID: which output was measured is not said (help: outputs: 1 = `CP`, 2 = `INR`)",
            ),
            (
                "ID,TIME,DV,DVID\n1,0,5,.\n",
                "2: column DVID: which output was measured is not said (help: outputs: 1 = `CP`, 2 = `INR`)",
            ),
        ],
    );
    refused(
        &Model::new(&[]),
        &[(
            "ID,TIME,DV\n1,0,5\n",
            "2: column DV: the model has no output that is observed (help: set MDV to 1, or leave DV empty, to ask for a prediction)",
        )],
    );
    let reserved = Model::new(&["C"]).with_inputs(vec![input("rate")]);
    refused(
        &reserved,
        &[(
            "ID,TIME,OCC,AMT,rate\n1,0,1,1,0\n",
            "1: column rate: the column is reserved, and the model has an input `rate` (help: give the input another name in the model file)",
        )],
    );
    let alike = Model::new(&["C"]).with_inputs(vec![input("wt"), input("WT")]);
    refused(
        &alike,
        &[(
            "ID,TIME,Wt\n1,0,1\n",
            "1: column Wt: the column could be the input `wt` or `WT` (help: write its name exactly as in the model file)",
        )],
    );
}
