//! From rows to events.

use super::columns::{Columns, Known};
use super::items::{Event, Items};
use super::lines::{LIMITS, Limits, Lines};
use super::row::{Row, number, shown};
use super::{DataError, Dataset, Dose, InputColumn, InputRow, Steady, Subject, Wanted};
use std::collections::BTreeMap;
use std::io::BufRead;

/// Longest text of an ID.
const LONGEST_ID: usize = 200;

/// Reads a data file; `file` is its name in errors.
///
/// # Errors
/// A file that cannot be read, or whose meaning is not certain: the first such place, and what to do about it.
pub fn read(file: &str, source: impl BufRead, wanted: &Wanted<'_>) -> Result<Dataset, DataError> {
    read_within(file, source, wanted, LIMITS)
}

/// The same with other limits.
pub(super) fn read_within(
    file: &str,
    source: impl BufRead,
    wanted: &Wanted<'_>,
    limits: Limits,
) -> Result<Dataset, DataError> {
    let mut lines = Lines::new(file, source, limits);
    if !lines.advance()? {
        return Err(DataError::new(file, 1, "the file is empty").help("the first line names the columns: ID,TIME,.."));
    }
    let comment = lines.comment.take();
    let columns = Columns::find(file, lines.number, &lines.cells, comment.as_deref(), wanted)?;
    let header = lines.number;
    let mut reader = Reader {
        wanted,
        limits,
        subjects: Vec::new(),
        open: None,
        ended: BTreeMap::new(),
        doses: 0,
    };
    while lines.advance()? {
        if columns.comments && lines.cells.get(0) == Some("C") {
            continue;
        }
        if lines.cells.len() != columns.count() {
            return Err(lines.ragged(columns.count()));
        }
        reader.row(&Row {
            file,
            line: lines.number,
            columns: &columns,
            cells: &lines.cells,
        })?;
    }
    reader.close();
    if reader.subjects.is_empty() {
        return Err(DataError::new(file, header, "no rows follow the header"));
    }
    Ok(Dataset {
        subjects: reader.subjects,
        ignored: columns.ignored,
    })
}

/// The subject whose rows are being read.
struct Open {
    subject: Subject,
    time: f64,
    line: usize,
    /// Time and line of what takes away doses that are not yet given.
    cuts: Vec<(f64, usize)>,
}

impl Open {
    /// The subject with the doses that were given, by time.
    fn close(self) -> Subject {
        let Self { mut subject, cuts, .. } = self;
        // Times never go back, so the first cut after a dose is the earliest.
        subject.doses.retain(|dose| {
            let next = cuts.partition_point(|(_, line)| *line <= dose.line);
            cuts.get(next).is_none_or(|(time, _)| *time > dose.time)
        });
        subject.doses.sort_by(|a, b| a.time.total_cmp(&b.time));
        subject
    }
}

struct Reader<'a> {
    wanted: &'a Wanted<'a>,
    limits: Limits,
    subjects: Vec<Subject>,
    open: Option<Open>,
    /// IDs whose rows have ended, as they compare: how they were written, and their last line.
    ended: BTreeMap<String, (String, usize)>,
    doses: usize,
}

impl Reader<'_> {
    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let id = open.subject.id.clone();
            self.ended.insert(compared(&id), (id, open.line));
            self.subjects.push(open.close());
        }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), DataError> {
        let id = id(row)?;
        let time = time(row)?;
        if self.open.as_ref().is_some_and(|open| open.subject.id != id) {
            self.close();
        }
        let wanted = self.wanted;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(row, id, time)?,
        };
        if time < open.time {
            return Err(row
                .error(
                    Known::Time,
                    format!(
                        "time goes back from {} (line {}) to {time} (line {}) in ID `{}`",
                        open.time,
                        open.line,
                        row.line,
                        shown(id)
                    ),
                )
                .help("sort the rows of each subject by time; after a reset (EVID 3 or 4), time goes on as well"));
        }
        (open.time, open.line) = (time, row.line);

        if let Some(occasion) = row.whole(Known::Occ)?
            && open.subject.occasions.last().is_none_or(|(_, last)| *last != occasion)
        {
            open.subject.occasions.push((time, occasion));
        }
        let values = inputs(row, wanted.inputs)?;
        if values.iter().any(Option::is_some) {
            open.subject.inputs.push(InputRow { time, values });
        }

        let items = Items::read(row)?;
        let event = items.event(row)?;
        if matches!(event, Event::Reset | Event::ResetAndDose) {
            open.subject.resets.push(time);
            // The dose of this row, whose line is not before the cut, stays.
            open.cuts.push((time, row.line));
        }
        match event {
            Event::Observation => {
                let reading = items.reading(row, time, wanted.outputs)?;
                open.subject.observations.push(reading);
            }
            Event::Dose | Event::ResetAndDose => {
                let dose = items.dose(row, time, wanted.states)?;
                if matches!(dose.steady, Some((Steady::Replace, _))) {
                    open.cuts.push((time, row.line));
                }
                let more = items.more(row)?;
                self.check_room(row, open.subject.doses.len(), more)?;
                self.doses += more + 1;
                repeat(row, dose, more, items.interval, &mut open.subject.doses)?;
            }
            Event::Other | Event::Reset => {}
        }
        self.open = Some(open);
        Ok(())
    }

    /// Refuses a dose and `more` after it when there are too many.
    fn check_room(&self, row: &Row<'_>, has: usize, more: usize) -> Result<(), DataError> {
        let (whose, most) = if has.saturating_add(more) >= self.limits.doses {
            ("the subject", self.limits.doses)
        } else if self.doses.saturating_add(more) >= self.limits.all_doses {
            ("the file", self.limits.all_doses)
        } else {
            return Ok(());
        };
        let message = format!("{whose} has more than {most} doses, additional doses counted");
        Err(row.error(Known::Addl, message).help("is ADDL right?"))
    }

    fn begin(&self, row: &Row<'_>, id: &str, time: f64) -> Result<Open, DataError> {
        if let Some((written, last)) = self.ended.get(&compared(id)) {
            return Err(if written == id {
                row.error(
                    Known::Id,
                    format!("ID `{}` appears again; its rows ended on line {last}", shown(id)),
                )
                .help("keep all rows of a subject together (NONMEM would take these for a new subject without a word)")
            } else {
                row.error(
                    Known::Id,
                    format!(
                        "ID `{}` is the number of ID `{}` (until line {last}), written in another way",
                        shown(id),
                        shown(written)
                    ),
                )
                .help("write the ID of a subject in one way, and keep all its rows together")
            });
        }
        Ok(Open {
            subject: Subject {
                id: id.to_owned(),
                line: row.line,
                doses: Vec::new(),
                resets: Vec::new(),
                observations: Vec::new(),
                inputs: Vec::new(),
                occasions: Vec::new(),
            },
            time,
            line: row.line,
            cuts: Vec::new(),
        })
    }
}

/// An ID as it compares: `1` and `1.0` are one number. Long ones are compared as they are, for a number would round them.
fn compared(id: &str) -> String {
    match number(id) {
        Ok(value) if id.len() <= 15 => value.to_string(),
        _ => id.to_owned(),
    }
}

fn id<'a>(row: &Row<'a>) -> Result<&'a str, DataError> {
    let Some(id) = row.text(Known::Id) else {
        return Err(row
            .error(Known::Id, "the ID is missing")
            .help("every row needs the ID of its subject; delete empty rows"));
    };
    if id.len() > LONGEST_ID {
        return Err(row.error(
            Known::Id,
            format!("the ID `{}` is longer than {LONGEST_ID} bytes", shown(id)),
        ));
    }
    Ok(id)
}

fn time(row: &Row<'_>) -> Result<f64, DataError> {
    let Some(text) = row.text(Known::Time) else {
        return Err(row
            .error(Known::Time, "the time is missing")
            .help("every row needs a time"));
    };
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    if digits && number(text).is_err() && text.contains([':', '/', '-']) {
        return Err(row
            .error(Known::Time, format!("`{}` is a clock time or a date", shown(text)))
            .help("give a plain number in the model's unit of time, counted from one start such as the first dose"));
    }
    Ok(row.number(Known::Time)?.unwrap_or_default())
}

fn inputs(row: &Row<'_>, inputs: &[InputColumn]) -> Result<Vec<Option<f64>>, DataError> {
    let one = |(input, place): (&InputColumn, &Option<usize>)| match place {
        Some(place) => input_value(row, input, *place),
        None => Ok(None),
    };
    inputs.iter().zip(&row.columns.inputs).map(one).collect()
}

fn input_value(row: &Row<'_>, input: &InputColumn, place: usize) -> Result<Option<f64>, DataError> {
    if let Some(levels) = &input.levels {
        // A level may be called `NA`.
        let cell = row.cells.get(place).unwrap_or_default();
        if let Some(level) = levels.iter().position(|level| level == cell) {
            #[allow(clippy::cast_precision_loss, reason = "a model has few levels")]
            return Ok(Some(level as f64));
        }
        if row.at(place).is_none() {
            return Ok(None);
        }
        let list: Vec<_> = levels.iter().map(|level| format!("`{level}`")).collect();
        let list = format!("levels: {}", list.join(", "));
        // Levels are often alike (alleles), so only the case is taken for a slip.
        let help = match levels.iter().find(|level| level.eq_ignore_ascii_case(cell)) {
            Some(near) => format!("did you mean `{near}`? {list}"),
            None => list,
        };
        return Err(row
            .error_at(place, format!("`{}` is no level of `{}`", shown(cell), input.name))
            .help(help));
    }
    let Some(text) = row.at(place) else {
        return Ok(None);
    };
    let value = number(text).map_err(|fault| fault.at(row.error_at(place, "")))?;
    if input.flag && value != 0.0 && value != 1.0 {
        return Err(row
            .error_at(place, format!("`{}` is neither 0 nor 1", shown(text)))
            .help(format!("`{}` is 1 for yes and 0 for no", input.name)));
    }
    Ok(Some(value))
}

/// Appends a dose and those that follow it.
fn repeat(row: &Row<'_>, dose: Dose, more: usize, interval: f64, doses: &mut Vec<Dose>) -> Result<(), DataError> {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let at = |k: usize| dose.time + k as f64 * interval;
    if at(more).abs() > 1e15 {
        return Err(row.error(
            Known::Addl,
            format!("the last additional dose would be at {}", at(more)),
        ));
    }
    doses.push(dose);
    doses.extend((1..=more).map(|k| Dose {
        time: at(k),
        steady: None,
        ..dose
    }));
    Ok(())
}
