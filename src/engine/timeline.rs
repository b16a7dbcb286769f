//! Doses and reading times as a chain of segments between events.

use super::{Dose, EngineError};
use std::ops::Range;

/// Time advances by `steps[step]` under a constant rate; then the marks are read; then the bolus goes in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) step: usize,
    pub(crate) rate: f64,
    pub(crate) bolus: f64,
    /// Places in [`Timeline::order`].
    pub(crate) marks: Range<usize>,
}

/// Segments from the first event on. Equal step lengths are shared, since exponentials are taken once for each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    pub(crate) steps: Vec<f64>,
    pub(crate) segments: Vec<Segment>,
    /// The reading times by time: places in the list given.
    pub(crate) order: Vec<usize>,
}

pub(crate) fn check_doses(doses: &[Dose]) -> Result<(), EngineError> {
    for dose in doses {
        let fine = dose.time.is_finite()
            && dose.amount.is_finite()
            && dose.duration.is_finite()
            && dose.amount >= 0.0
            && dose.duration >= 0.0
            && (dose.time + dose.duration).is_finite()
            && (dose.duration == 0.0 || (dose.amount / dose.duration).is_finite());
        if !fine {
            return Err(EngineError::input("a dose", format!("{dose:?}")));
        }
    }
    Ok(())
}

/// A change at a time: of the rate, of the number of running infusions, or a bolus.
struct Change {
    time: f64,
    rate: f64,
    running: i32,
    bolus: f64,
}

impl Timeline {
    /// Lays out doses and the times at which values are read; what happens after the last reading is left out.
    ///
    /// # Errors
    /// A dose or time that is not a usable number.
    pub(crate) fn new(doses: &[Dose], marks: &[f64]) -> Result<Self, EngineError> {
        let mut timeline = Self::default();
        timeline.lay_out(doses, marks)?;
        Ok(timeline)
    }

    /// Like [`Self::new`], but adds to the step lengths already known, so that several timelines share their table.
    pub(crate) fn lay_out(&mut self, doses: &[Dose], marks: &[f64]) -> Result<(), EngineError> {
        check_doses(doses)?;
        if let Some(bad) = marks.iter().find(|t| !t.is_finite()) {
            return Err(EngineError::input("a time", bad.to_string()));
        }
        self.segments.clear();
        self.order = (0..marks.len()).collect();
        self.order.sort_by(|a, b| marks[*a].total_cmp(&marks[*b]));
        let Some(end) = self.order.last().map(|last| marks[*last]) else {
            return Ok(());
        };
        let mut changes = Vec::with_capacity(2 * doses.len());
        for dose in doses.iter().filter(|dose| dose.time < end && dose.amount > 0.0) {
            if dose.duration > 0.0 {
                let rate = dose.amount / dose.duration;
                changes.push(Change {
                    time: dose.time,
                    rate,
                    running: 1,
                    bolus: 0.0,
                });
                changes.push(Change {
                    time: dose.time + dose.duration,
                    rate: -rate,
                    running: -1,
                    bolus: 0.0,
                });
            } else {
                changes.push(Change {
                    time: dose.time,
                    rate: 0.0,
                    running: 0,
                    bolus: dose.amount,
                });
            }
        }
        // Ends before starts at one time; a fixed order makes sums independent of the order of the doses.
        changes.sort_by(|a, b| {
            a.time
                .total_cmp(&b.time)
                .then(a.running.cmp(&b.running))
                .then(a.rate.total_cmp(&b.rate))
                .then(a.bolus.total_cmp(&b.bolus))
        });
        let (mut next_change, mut next_mark) = (0, 0);
        let (mut rate, mut running) = (0.0, 0_i32);
        let mut now = None;
        while next_mark < marks.len() {
            let mark_time = marks[self.order[next_mark]];
            let time = changes
                .get(next_change)
                .map_or(mark_time, |change: &Change| change.time.min(mark_time));
            let first_mark = next_mark;
            while next_mark < marks.len() && marks[self.order[next_mark]] <= time {
                next_mark += 1;
            }
            let rate_before = rate;
            let mut bolus = 0.0;
            while let Some(change) = changes.get(next_change).filter(|change| change.time <= time) {
                rate += change.rate;
                running += change.running;
                bolus += change.bolus;
                next_change += 1;
            }
            if running == 0 {
                rate = 0.0;
            }
            let step = time - now.unwrap_or(time);
            now = Some(time);
            let step = self.step(step);
            self.segments.push(Segment {
                step,
                rate: rate_before,
                bolus,
                marks: first_mark..next_mark,
            });
        }
        Ok(())
    }

    /// The place of a step length; lengths that differ by rounding only are one.
    fn step(&mut self, length: f64) -> usize {
        match self
            .steps
            .iter()
            .position(|known| (known - length).abs() <= 1e-12 * length.abs())
        {
            Some(found) => found,
            None => {
                self.steps.push(length);
                self.steps.len() - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dose(time: f64, amount: f64, duration: f64) -> Dose {
        Dose { time, amount, duration }
    }

    #[test]
    fn a_mark_is_read_before_a_bolus_at_its_time() {
        let t = Timeline::new(&[dose(2.0, 5.0, 0.0)], &[4.0, 2.0]).unwrap();
        assert_eq!(t.order, [1, 0]);
        assert_eq!(
            t.segments[0],
            Segment {
                step: 0,
                rate: 0.0,
                bolus: 5.0,
                marks: 0..1
            }
        );
        assert_eq!(t.steps[t.segments[1].step], 2.0);
    }

    #[test]
    fn overlapping_infusions_add() {
        let t = Timeline::new(&[dose(1.0, 4.0, 2.0), dose(0.0, 2.0, 2.0)], &[10.0]).unwrap();
        let rates: Vec<f64> = t.segments.iter().map(|s| s.rate).collect();
        assert_eq!(rates, [0.0, 1.0, 3.0, 2.0, 0.0]);
    }

    #[test]
    fn shares_steps_and_refuses_nonsense() {
        let doses: Vec<Dose> = (0..10).map(|i| dose(12.0 * f64::from(i), 1000.0, 1.0)).collect();
        assert_eq!(Timeline::new(&doses, &[109.0]).unwrap().steps, [0.0, 1.0, 11.0]);
        assert!(Timeline::new(&[dose(0.0, -1.0, 0.0)], &[1.0]).is_err());
        assert!(Timeline::new(&[dose(0.0, 1.0, 1e-320)], &[1.0]).is_err());
        assert!(Timeline::new(&[], &[f64::NAN]).is_err());
    }
}
