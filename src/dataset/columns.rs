//! Which column is what.

use super::lines::separator;
use super::row::{number, shown};
use super::{DataError, InputColumn, Wanted};
use crate::lang::suggest;
use csv::StringRecord;
use std::collections::BTreeSet;

/// The reserved columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Id,
    Time,
    Amt,
    Rate,
    Dur,
    Ii,
    Addl,
    Ss,
    Evid,
    Cmt,
    Dv,
    Dvid,
    Mdv,
    Cens,
    Limit,
    Occ,
}

/// The reserved columns in the order of the enum.
const NAMES: [(Known, &str); 16] = [
    (Known::Id, "ID"),
    (Known::Time, "TIME"),
    (Known::Amt, "AMT"),
    (Known::Rate, "RATE"),
    (Known::Dur, "DUR"),
    (Known::Ii, "II"),
    (Known::Addl, "ADDL"),
    (Known::Ss, "SS"),
    (Known::Evid, "EVID"),
    (Known::Cmt, "CMT"),
    (Known::Dv, "DV"),
    (Known::Dvid, "DVID"),
    (Known::Mdv, "MDV"),
    (Known::Cens, "CENS"),
    (Known::Limit, "LIMIT"),
    (Known::Occ, "OCC"),
];

impl Known {
    /// Its name in capitals.
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).map_or("", |(_, name)| name)
    }

    fn of(text: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(known, _)| *known)
    }
}

/// The header, understood.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    names: Vec<String>,
    known: [Option<usize>; NAMES.len()],
    /// Where each wanted input stands.
    pub inputs: Vec<Option<usize>>,
    /// The first column is `C`: a row with a `C` there is a comment.
    pub comments: bool,
    /// Names of the columns nothing is read from.
    pub ignored: Vec<String>,
}

impl Columns {
    /// Understands the header on a line; `before` is a comment that stands above it.
    pub fn find(
        file: &str,
        line: usize,
        header: &StringRecord,
        before: Option<&str>,
        wanted: &Wanted<'_>,
    ) -> Result<Self, DataError> {
        let error = |message: String| DataError::new(file, line, message);
        let mut columns = Self {
            names: header.iter().map(str::to_owned).collect(),
            known: [None; NAMES.len()],
            inputs: Vec::new(),
            comments: false,
            ignored: Vec::new(),
        };
        for (place, name) in columns.names.iter().enumerate() {
            if let Some(known) = Known::of(name)
                && let Some(slot) = columns.known.get_mut(known as usize)
            {
                if slot.is_some() {
                    return Err(error("the column is there twice".to_owned()).column(known.name()));
                }
                *slot = Some(place);
            }
        }
        for needed in [Known::Id, Known::Time] {
            if columns.place(needed).is_none() {
                separator(file, line, header)?;
                return Err(columns.lacks(file, line, needed, before));
            }
        }
        check_names(file, line, header)?;
        columns.find_inputs(file, line, wanted)?;
        columns.comments = columns.names.first().is_some_and(|name| name == "C") && !columns.inputs.contains(&Some(0));
        let used = |place: usize| {
            columns.known.contains(&Some(place))
                || columns.inputs.contains(&Some(place))
                || (place == 0 && columns.comments)
        };
        columns.ignored = columns
            .names
            .iter()
            .enumerate()
            .filter(|(place, _)| !used(*place))
            .map(|(_, name)| name.clone())
            .collect();
        Ok(columns)
    }

    /// How many columns there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Where a reserved column stands.
    pub fn place(&self, known: Known) -> Option<usize> {
        self.known.get(known as usize).copied().flatten()
    }

    /// The name of a column as the file writes it.
    pub fn name(&self, place: usize) -> Option<&str> {
        self.names.get(place).map(String::as_str)
    }

    /// The error that a reserved column is not there.
    fn lacks(&self, file: &str, line: usize, needed: Known, before: Option<&str>) -> DataError {
        let needed = needed.name();
        let numeric = |name: &String| number(name).is_ok() || name == ".";
        if self.names.iter().all(numeric) {
            return DataError::new(file, line, "the first line holds numbers, not the names of the columns")
                .help("put a header above it, such as ID,TIME,AMT,DV");
        }
        let error = DataError::new(file, line, format!("there is no column {needed}"));
        if before.is_some_and(|text| text.split(',').any(|cell| cell.trim().eq_ignore_ascii_case(needed))) {
            return error.help("the header seems to be a comment: take the # away");
        }
        if let Some(near) = suggest::nearest(needed, self.names.iter().map(String::as_str)) {
            return error.help(format!("is it the column `{}`? Rename it", shown(near)));
        }
        let list: Vec<_> = self
            .names
            .iter()
            .take(20)
            .map(|name| format!("`{}`", shown(name)))
            .collect();
        error.help(format!("the columns are {}", list.join(", ")))
    }

    fn find_inputs(&mut self, file: &str, line: usize, wanted: &Wanted<'_>) -> Result<(), DataError> {
        let error = |name: &str, message: String| DataError::new(file, line, message).column(shown(name));
        let free: Vec<(usize, &str)> = (0..)
            .zip(self.names.iter().map(String::as_str))
            .filter(|(_, name)| Known::of(name).is_none())
            .collect();
        let mut found = Vec::with_capacity(wanted.inputs.len());
        for input in wanted.inputs {
            let name = input.name.as_str();
            if let Some(known) = Known::of(name) {
                let place = self.place(known);
                if place.is_some() && known != Known::Occ {
                    return Err(error(
                        name,
                        format!("the column is reserved, and the model has an input `{name}`"),
                    )
                    .help("give the input another name in the model file"));
                }
                found.push(place);
                continue;
            }
            if let Some((place, _)) = free.iter().find(|(_, column)| *column == name) {
                found.push(Some(*place));
                continue;
            }
            // A column that is exactly another input is not this one.
            let mut alike = free.iter().filter(|(_, column)| {
                column.eq_ignore_ascii_case(name) && !wanted.inputs.iter().any(|other| other.name == *column)
            });
            found.push(match (alike.next(), alike.next()) {
                (Some((_, one)), Some((_, two))) => {
                    return Err(error(
                        name,
                        format!("both `{}` and `{}` could be the input `{name}`", shown(one), shown(two)),
                    )
                    .help(format!("name the right one `{name}` exactly")));
                }
                (Some((place, column)), None) => {
                    let rival = |other: &&InputColumn| {
                        other.name != name
                            && other.name.eq_ignore_ascii_case(name)
                            && !free.iter().any(|(_, column)| *column == other.name)
                    };
                    if let Some(other) = wanted.inputs.iter().find(rival) {
                        return Err(error(
                            column,
                            format!("the column could be the input `{name}` or `{}`", other.name),
                        )
                        .help("write its name exactly as in the model file"));
                    }
                    Some(*place)
                }
                _ => None,
            });
        }
        self.inputs = found;
        Ok(())
    }
}

/// Refuses columns without a name and two of one name.
pub(super) fn check_names(file: &str, line: usize, header: &StringRecord) -> Result<(), DataError> {
    let mut seen = BTreeSet::new();
    for (number, name) in (1..).zip(header) {
        if name.is_empty() {
            let error = DataError::new(file, line, format!("column {number} has no name"));
            return Err(if number == 1 {
                error.help("if it holds the numbers of the rows, leave it out (in R: row.names = FALSE)")
            } else {
                error.help("name it, or delete it from all lines")
            });
        }
        if !seen.insert(name) {
            return Err(DataError::new(file, line, "the column is there twice").column(shown(name)));
        }
    }
    Ok(())
}
