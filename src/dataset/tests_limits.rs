//! Sources that are no text, fail, or do not end.

use super::lines::{LIMITS, Limits};
use super::read::read_within;
use super::tests::Model;
use super::*;
use std::io::{self, BufReader, Read};

#[test]
fn what_is_no_text() {
    let refused = |bytes: &[u8]| {
        read("d.csv", bytes, &Model::new(&["C"]).wanted())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(b"ID,TIME\n\xE9,0\n"),
        "d.csv:2: the line is not UTF-8 text (help: save the file as CSV UTF-8)"
    );
    assert!(refused(b"\xFF\xFEI\0D\0").contains("UTF-16"));
    assert!(refused(b"PK\x03\x04...").contains("spreadsheet"));
}

/// The same bytes again and again.
struct Endless(&'static [u8], usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *buffer {
            *byte = self.0[self.1 % self.0.len()];
            self.1 += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn sources_without_an_end() {
    let model = Model::new(&["C"]);
    let limits = Limits { lines: 1000, ..LIMITS };
    let refused = |head: &'static str, again: &'static [u8]| {
        let source = BufReader::new(head.as_bytes().chain(Endless(again, 0)));
        read_within("d.csv", source, &model.wanted(), limits)
            .unwrap_err()
            .to_string()
    };
    let many = "d.csv:1001: the file has more than 1000 lines (help: split it by subject)";
    assert_eq!(refused("ID,TIME\n", b"1,0\n"), many);
    assert_eq!(refused("ID,TIME\n", b"# note\n"), many);
    assert_eq!(refused("", b"\n"), many);
    let long = "the line is longer than 1048576 bytes (help: is this a CSV file?)";
    assert_eq!(refused("ID,TIME\n\"", b"1,"), format!("d.csv:2: {long}"));
    assert_eq!(refused("", b"\0"), format!("d.csv:1: {long}"));
}

#[test]
fn doses_without_an_end() {
    let model = Model::new(&["C"]);
    let limits = Limits {
        doses: 10,
        all_doses: 15,
        ..LIMITS
    };
    let read = |text: &str| read_within("d.csv", text.as_bytes(), &model.wanted(), limits).map_err(|e| e.to_string());
    let file = |rows: &str| format!("ID,TIME,AMT,II,ADDL\n{rows}");
    assert!(read(&file("1,0,1,1,9\n2,0,1,1,4\n")).is_ok());
    assert_eq!(
        read(&file("1,0,1,1,4\n1,9,1,1,5\n")).unwrap_err(),
        "d.csv:3: column ADDL: the subject has more than 10 doses, additional doses counted (help: is ADDL right?)"
    );
    assert_eq!(
        read(&file("1,0,1,1,9\n2,0,1,1,5\n")).unwrap_err(),
        "d.csv:3: column ADDL: the file has more than 15 doses, additional doses counted (help: is ADDL right?)"
    );
}

#[test]
fn a_source_that_fails() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let source = BufReader::new("ID,TIME\n1,0\n".as_bytes().chain(Broken));
    let error = read("d.csv", source, &Model::new(&["C"]).wanted()).unwrap_err();
    assert_eq!(error.to_string(), "d.csv:3: the file cannot be read: the disk is gone");
}
