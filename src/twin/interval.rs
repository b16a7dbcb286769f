//! A sample in three numbers.

/// Median and 90 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// 5th percentile.
    pub p05: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

impl Interval {
    /// Of a sample, by linear interpolation between order statistics. Not-a-number when the sample is empty.
    #[must_use]
    pub fn of(sample: &[f64]) -> Self {
        Self::of_owned(sample.to_vec())
    }

    /// As [`Interval::of`], for a sample that is not needed any more.
    #[must_use]
    pub fn of_owned(mut sample: Vec<f64>) -> Self {
        let mut at = |p: f64| -> f64 {
            let Some(last) = sample.len().checked_sub(1) else {
                return f64::NAN;
            };
            #[expect(clippy::cast_precision_loss, reason = "samples are far smaller than 2^52")]
            let position = p * last as f64;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and last"
            )]
            let below = position.floor() as usize;
            // Selection, not sorting: cards ask for hundreds of intervals.
            let (_, low, above) = sample.select_nth_unstable_by(below.min(last), f64::total_cmp);
            let low = *low;
            let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
            low + (high - low) * position.fract()
        };
        Self {
            p05: at(0.05),
            p50: at(0.5),
            p95: at(0.95),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_sample() {
        let sample: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(
            Interval::of(&sample),
            Interval {
                p05: 5.0,
                p50: 50.0,
                p95: 95.0
            }
        );
    }
}
