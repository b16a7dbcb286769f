//! Files whose columns have other names.

use super::DataError;

/// The text of a file with columns renamed in its first line that is no comment: each of `names` is `NAME=COLUMN`, what the column is
/// to be called and what the file calls it.
///
/// # Errors
/// A pair that is none, or a column that the file does not have.
pub fn rename_columns(file: &str, text: &str, names: &[String]) -> Result<String, DataError> {
    if names.is_empty() {
        return Ok(text.to_owned());
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(place) = lines
        .iter()
        .position(|line| !line.trim().is_empty() && !line.starts_with('#'))
    else {
        return Ok(text.to_owned());
    };
    let old = lines.get(place).copied().unwrap_or_default();
    let mut header: Vec<String> = old
        .split(',')
        .map(|name| name.trim().trim_matches('"').to_owned())
        .collect();
    for pair in names {
        let error = |message: String| DataError::new(file, place + 1, message);
        let Some((new, column)) = pair.split_once('=') else {
            return Err(
                error(format!("`{pair}` does not say which column")).help("write NAME=COLUMN, such as DV=diameter_mm")
            );
        };
        let Some(cell) = header.iter_mut().find(|name| *name == column.trim()) else {
            return Err(error(format!("there is no column `{column}`")).help(format!("the columns are {old}")));
        };
        new.trim().clone_into(cell);
    }
    let header = header.join(",");
    if let Some(line) = lines.get_mut(place) {
        *line = &header;
    }
    Ok(lines.join("\n") + "\n")
}
