//! Many draws of one person followed together, and their past followed once for any number of futures.

use rayon::prelude::*;

use super::subject::Subject;
use super::system::System;
use super::walk::{Standing, Walker};
use super::{EngineError, Precision};
use crate::lang::{Lanes, Number};

/// Draws computed together.
const TOGETHER: usize = 8;

type Together = Lanes<TOGETHER>;

/// What is read on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// The outputs of the system.
    Outputs,
    /// Outputs, then [`System::followed`], then areas.
    Everything,
}

impl Followed {
    /// How many values there are at one time.
    pub fn width(self, system: &System) -> usize {
        match self {
            Self::Outputs => system.outputs().len(),
            Self::Everything => system.width(),
        }
    }
}

/// What many draws of a person went through until a time.
#[derive(Debug)]
pub struct Past {
    subject: Subject,
    until: f64,
    times: Vec<f64>,
    followed: Followed,
    /// Of each group of draws: where it stands, and its values at `times` before; none where they cannot be followed together.
    groups: Vec<Option<(Standing<Together>, Vec<Together>)>>,
}

impl Past {
    /// Follows draws until just before what happens at a time, and keeps their values at the earlier ones of `times`.
    ///
    /// # Errors
    /// Unusable input.
    pub fn new(
        system: &System,
        subject: &Subject,
        effects: &[Vec<f64>],
        until: f64,
        times: &[f64],
        followed: Followed,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let times: Vec<f64> = times.iter().copied().filter(|time| before(*time, until)).collect();
        let width = followed.width(system);
        let stand = |sets: &[Vec<f64>]| -> Result<_, EngineError> {
            let mut walker: Walker<'_, Together> =
                Walker::new(system, subject, &times, followed == Followed::Outputs, precision)?;
            walker.set_effects(&together(sets));
            let mut values = vec![Together::constant(f64::NAN); times.len() * width];
            let standing = walker.walk_until(until, |mark, found| {
                values[mark * width..(mark + 1) * width].copy_from_slice(found);
            });
            Ok(standing.ok().map(|standing| (standing, values)))
        };
        // What moves between two records depends on the later one; and a cycle has no past.
        let alone = system.interpolated.contains(&true) || system.is_cyclic();
        let groups = match alone {
            true => Vec::new(),
            false => effects.par_chunks(TOGETHER).map(stand).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            subject: subject.clone(),
            until,
            times,
            followed,
            groups,
        })
    }

    /// What is read on the way.
    pub fn followed(&self) -> Followed {
        self.followed
    }
}

/// Whether a time lies before another, and not at it but for rounding.
fn before(time: f64, until: f64) -> bool {
    time < until - 1e-12 * until.abs()
}

/// Random effects side by side; the last group is filled up with copies.
fn together(sets: &[Vec<f64>]) -> Vec<Together> {
    let m = sets.iter().map(Vec::len).max().unwrap_or(0);
    let of = |lane: usize| sets.get(lane).or(sets.last()).map_or(&[][..], Vec::as_slice);
    (0..m)
        .map(|j| Lanes::gather(|lane| of(lane).get(j).copied().unwrap_or(0.0)))
        .collect()
}

/// Follows a person at some times, for any draws.
pub struct Follow<'a> {
    system: &'a System,
    subject: &'a Subject,
    times: &'a [f64],
    followed: Followed,
    many: Walker<'a, Together>,
    one: Walker<'a, f64>,
}

impl<'a> Follow<'a> {
    /// At `times`.
    ///
    /// # Errors
    /// Unusable input.
    pub fn new(
        system: &'a System,
        subject: &'a Subject,
        times: &'a [f64],
        followed: Followed,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let outputs_only = followed == Followed::Outputs;
        Ok(Self {
            many: Walker::new(system, subject, times, outputs_only, precision)?,
            one: Walker::new(system, subject, times, outputs_only, precision)?,
            system,
            subject,
            times,
            followed,
        })
    }

    /// Calls `see` with the number of each set of random effects and its values, time by time; `None` where the model has no
    /// solution for a set. Where the `past` of the same draws is that of this person, they go on from there.
    pub fn draws(&mut self, effects: &[Vec<f64>], past: Option<&Past>, mut see: impl FnMut(usize, Option<&[f64]>)) {
        let width = self.followed.width(self.system);
        let outputs = self.system.outputs().len();
        let past = past.and_then(|past| Some((past, self.places_in(past)?)));
        let size = self.times.len() * width;
        let mut found = vec![Together::constant(f64::NAN); size];
        let mut values = vec![f64::NAN; size];
        for (group, sets) in effects.chunks(TOGETHER).enumerate() {
            self.many.set_effects(&together(sets));
            let stood = past.as_ref().and_then(|(past, places)| {
                let (standing, known) = past.groups.get(group)?.as_ref()?;
                Some((standing, known, places))
            });
            let read = |mark: usize, row: &[Together]| found[mark * width..(mark + 1) * width].copy_from_slice(row);
            let done = match stood {
                _ if sets.len() == 1 => None,
                Some((standing, ..)) => self.many.walk_from(standing, read).ok(),
                None => self.many.walk(read).ok(),
            };
            if let Some((_, known, places)) = stood {
                for (mark, place) in places {
                    found[mark * width..(mark + 1) * width].copy_from_slice(&known[place * width..(place + 1) * width]);
                }
            }
            // What is only followed may have no value here or there; an output must.
            let worked = done.is_some()
                && (found.chunks(width.max(1))).all(|row| row.iter().take(outputs).all(|x| x.is_finite()));
            for (lane, set) in sets.iter().enumerate() {
                let number = group * TOGETHER + lane;
                if worked {
                    for (value, lanes) in values.iter_mut().zip(&found) {
                        *value = lanes.lane(lane);
                    }
                    see(number, Some(&values));
                } else {
                    self.one.set_effects(set);
                    let done =
                        (self.one).walk(|mark, row| values[mark * width..(mark + 1) * width].copy_from_slice(row));
                    let fine = (values.chunks(width.max(1))).all(|row| row.iter().take(outputs).all(|x| x.is_finite()));
                    let fine = fine && done.is_ok();
                    see(number, fine.then_some(values.as_slice()));
                }
            }
        }
    }

    /// Whether that past is of use here, in all groups.
    #[cfg(test)]
    pub(crate) fn goes_on_from(&self, past: &Past) -> bool {
        self.places_in(past).is_some() && past.groups.iter().all(Option::is_some)
    }

    /// Where the times before the end of a past are found in it, by place here and there; none if that past is of no use here.
    fn places_in(&self, past: &Past) -> Option<Vec<(usize, usize)>> {
        if past.followed != self.followed || !self.subject.continues(&past.subject, past.until) {
            return None;
        }
        let early = self
            .times
            .iter()
            .enumerate()
            .filter(|(_, time)| before(**time, past.until));
        early
            .map(|(mark, time)| Some((mark, past.times.iter().position(|known| known == time)?)))
            .collect()
    }
}
