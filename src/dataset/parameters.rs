//! Tables of parameters or random effects given from outside, as CSV or JSON.

use super::DataError;
use super::columns::check_names;
use super::lines::{LIMITS, Lines, separator};
use super::row::{missing, number, shown};
use crate::lang::suggest;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What a value has to be.
const PLAIN: &str = "every value is a plain number up to 1e15, decimals with a point";

/// Values for some names, one row for each person or draw.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterTable {
    /// Which of the names the values are for, as places in the list that was given.
    pub names: Vec<usize>,
    /// The ID of a row, if it has one, and a value for each of the names.
    pub rows: Vec<(Option<String>, Vec<f64>)>,
}

/// Reads a table of values for some of `names`: CSV with a header, or a JSON object, or an array of JSON objects. A
/// column or key `ID` (in any case) says whose values they are. `file` is the name in errors.
///
/// # Errors
/// A name that is not among `names`, a value that is not a finite number, rows of unlike names.
pub fn parameters_table(file: &str, text: &str, names: &[String]) -> Result<ParameterTable, DataError> {
    let start = text.trim_start_matches('\u{FEFF}').trim_start();
    if start.starts_with(['{', '[']) {
        from_json(file, text.trim_start_matches('\u{FEFF}'), names)
    } else {
        from_csv(file, text, names)
    }
}

/// What a column or key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Id,
    Name(usize),
}

fn role(file: &str, line: usize, name: &str, names: &[String]) -> Result<Role, DataError> {
    if let Some(place) = names.iter().position(|known| known == name) {
        return Ok(Role::Name(place));
    }
    if name.eq_ignore_ascii_case("ID") {
        return Ok(Role::Id);
    }
    Err(
        DataError::new(file, line, format!("`{}` is not a name of the model", shown(name)))
            .column(shown(name))
            .help(suggest::hint(&shown(name), names.iter().map(String::as_str))),
    )
}

fn from_csv(file: &str, text: &str, names: &[String]) -> Result<ParameterTable, DataError> {
    let mut lines = Lines::new(file, text.as_bytes(), LIMITS);
    if !lines.advance()? {
        return Err(
            DataError::new(file, 1, "the file is empty").help("the first line holds the names of the parameters")
        );
    }
    let header = lines.cells.clone();
    let top = lines.number;
    separator(file, top, &header)?;
    check_names(file, top, &header)?;
    let roles: Vec<Role> = header
        .iter()
        .map(|name| role(file, top, name, names))
        .collect::<Result<_, _>>()?;
    let mut table = ParameterTable {
        names: places(file, top, &roles)?,
        rows: Vec::new(),
    };
    while lines.advance()? {
        if lines.cells.len() != roles.len() {
            return Err(lines.ragged(roles.len()));
        }
        let mut id = None;
        let mut values = Vec::with_capacity(table.names.len());
        for ((cell, role), name) in lines.cells.iter().zip(&roles).zip(&header) {
            let error = |message: &str| DataError::new(file, lines.number, message).column(shown(name));
            if missing(cell) {
                return Err(error("the cell is empty").help("every row needs a value in every column"));
            }
            match role {
                Role::Id => id = Some(cell.to_owned()),
                Role::Name(_) => values.push(number(cell).map_err(|fault| fault.at(error("")).help(PLAIN))?),
            }
        }
        table.rows.push((id, values));
    }
    if table.rows.is_empty() {
        return Err(DataError::new(file, top, "no rows follow the header"));
    }
    Ok(table)
}

/// The places of the names among the roles; at most one ID, at least one name.
fn places(file: &str, line: usize, roles: &[Role]) -> Result<Vec<usize>, DataError> {
    if roles.iter().filter(|role| **role == Role::Id).count() > 1 {
        return Err(DataError::new(file, line, "the column is there twice").column("ID"));
    }
    let places: Vec<usize> = roles
        .iter()
        .filter_map(|role| match role {
            Role::Name(place) => Some(*place),
            Role::Id => None,
        })
        .collect();
    if places.is_empty() {
        return Err(DataError::new(file, line, "no value is given").help("name at least one parameter"));
    }
    Ok(places)
}

/// The keys and values of a JSON object in their order, repeated keys included.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and numbers")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<String, &'de RawValue>()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

fn from_json(file: &str, text: &str, names: &[String]) -> Result<ParameterTable, DataError> {
    let broken = |error: &serde_json::Error| {
        DataError::new(file, error.line().max(1), format!("the file is no JSON: {error}"))
            .help(r#"write {"CL": 3.1, ..} or [{"ID": "1", "CL": 3.1}, ..]"#)
    };
    // Parts of the text, so that their lines can be told.
    let line = |part: &RawValue| {
        let at = (part.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
    };
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| broken(&error))?;
    let objects: Vec<&RawValue> = if whole.get().starts_with('[') {
        serde_json::from_str(whole.get()).map_err(|error| broken(&error))?
    } else {
        vec![whole]
    };
    let mut table: Option<ParameterTable> = None;
    for object in objects {
        let Ok(Pairs(pairs)) = serde_json::from_str::<Pairs<'_>>(object.get()) else {
            return Err(DataError::new(
                file,
                line(object),
                format!("`{}` is not an object", shown(object.get())),
            )
            .help(r#"each entry is {"CL": 3.1, ..}"#));
        };
        let mut roles = Vec::with_capacity(pairs.len());
        let mut id = None;
        let mut values = Vec::with_capacity(pairs.len());
        for (name, value) in &pairs {
            let found = role(file, line(value), name, names)?;
            let error = |message: String| DataError::new(file, line(value), message).column(shown(name));
            if roles.contains(&found) {
                return Err(error("the name is there twice".to_owned()));
            }
            roles.push(found);
            match found {
                Role::Id => id = Some(json_id(value).ok_or_else(|| error("an ID is a text or a number".to_owned()))?),
                // Only numbers of JSON: a text in quotes is no number here.
                Role::Name(place) => {
                    let value = number(value.get()).map_err(|fault| fault.at(error(String::new())).help(PLAIN))?;
                    values.push((place, value));
                }
            }
        }
        let places = places(file, line(object), &roles)?;
        let table = table.get_or_insert_with(|| ParameterTable {
            names: places.clone(),
            rows: Vec::new(),
        });
        let has_id = table
            .rows
            .first()
            .is_none_or(|(first, _)| first.is_some() == id.is_some());
        let row: Option<Vec<f64>> = table
            .names
            .iter()
            .map(|place| values.iter().find(|(other, _)| other == place).map(|(_, value)| *value))
            .collect();
        match row.filter(|row| row.len() == values.len() && has_id) {
            Some(row) => table.rows.push((id, row)),
            None => {
                return Err(
                    DataError::new(file, line(object), "the names differ from those of the first object")
                        .help("give every object the same names"),
                );
            }
        }
    }
    table.ok_or_else(|| DataError::new(file, 1, "the array holds no object"))
}

/// The text of an ID in JSON, a text or a number.
fn json_id(value: &RawValue) -> Option<String> {
    match serde_json::from_str::<serde_json::Value>(value.get()).ok()? {
        serde_json::Value::String(text) if !missing(text.trim()) => Some(text.trim().to_owned()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        let names = ["CL".to_owned(), "V".to_owned()];
        for (text, expected) in [
            (
                "",
                "1: the file is empty (help: the first line holds the names of the parameters)",
            ),
            ("CL\n", "1: no rows follow the header"),
            (
                "CL;V\n1;2\n",
                "1: the columns are separated by semicolons, not by commas (help: save the file with commas between cells and points in decimals (in R: write.csv))",
            ),
            (
                "CLL\n1\n",
                "1: column CLL: `CLL` is not a name of the model (help: did you mean `CL`?)",
            ),
            ("CL,CL\n1,1\n", "1: column CL: the column is there twice"),
            ("ID\n1\n", "1: no value is given (help: name at least one parameter)"),
            ("ID,id,CL\n1,1,1\n", "1: column ID: the column is there twice"),
            (
                "CL,V\n1\n",
                "2: the line has 1 cell, the header has 2 (help: a missing cell is written `.`; decimals are written with a point; a cell with a comma needs quotes)",
            ),
            (
                "CL\nx\n",
                "2: column CL: `x` is not a number (help: every value is a plain number up to 1e15, decimals with a point)",
            ),
            (
                "CL\n\".\"\n",
                "2: column CL: the cell is empty (help: every row needs a value in every column)",
            ),
            (
                "CL\ninf\n",
                "2: column CL: `inf` is not a finite number (help: every value is a plain number up to 1e15, decimals with a point)",
            ),
            (
                "{\"CL\": 1,\n \"V\": }",
                "2: the file is no JSON: expected value at line 2 column 7 (help: write {\"CL\": 3.1, ..} or [{\"ID\": \"1\", \"CL\": 3.1}, ..])",
            ),
            (
                "[\n{\"CL\": 1},\n{\"V\": 1}\n]",
                "3: the names differ from those of the first object (help: give every object the same names)",
            ),
            (
                "[\n{\"CL\": 1},\n{\"CL\": 1, \"V\": 2}\n]",
                "3: the names differ from those of the first object (help: give every object the same names)",
            ),
            (
                "[{\"CL\": 1, \"ID\": 1}, {\"CL\": 1}]",
                "1: the names differ from those of the first object (help: give every object the same names)",
            ),
            ("{\"CL\": 1,\n\"CL\": 2}", "2: column CL: the name is there twice"),
            (
                "{\"CL\": \"1\"}",
                "1: column CL: `\"1\"` is not a number (help: every value is a plain number up to 1e15, decimals with a point)",
            ),
            (
                "{\"cl\": 1}",
                "1: column cl: `cl` is not a name of the model (help: did you mean `CL`?)",
            ),
            (
                "{\"CL\": 1e300}",
                "1: column CL: `1e300` is beyond any quantity (help: every value is a plain number up to 1e15, decimals with a point)",
            ),
            ("[]", "1: the array holds no object"),
            ("[1]", "1: `1` is not an object (help: each entry is {\"CL\": 3.1, ..})"),
            ("{}", "1: no value is given (help: name at least one parameter)"),
            ("{\"ID\": [1], \"CL\": 1}", "1: column ID: an ID is a text or a number"),
            (
                "{\"CL\": null}",
                "1: column CL: `null` is not a number (help: every value is a plain number up to 1e15, decimals with a point)",
            ),
        ] {
            match parameters_table("p", text, &names) {
                Ok(table) => panic!("{text:?} is read as {table:?}"),
                Err(error) => assert_eq!(error.to_string(), format!("p:{expected}"), "{text:?}"),
            }
        }
    }
}
