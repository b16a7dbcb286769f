//! Random numbers that depend on their place only: draw 17 is the same whether or not draw 16 was made.

/// Normal and uniform numbers by place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Random {
    seed: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed: mix(seed ^ 0x6a09_e667_f3bc_c909),
        }
    }

    /// Uniform in the open interval 0 to 1, for each pair of places.
    pub(crate) fn uniform(&self, row: u64, column: u64) -> f64 {
        let key = mix(self.seed.wrapping_add(row.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let bits = mix(key
            .wrapping_add(column.wrapping_mul(0xd1b5_4a32_d192_ed03))
            .wrapping_add(1));
        ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller), for each pair of places.
    pub(crate) fn normal(&self, row: u64, column: u64) -> f64 {
        // Two uniform numbers make two normal ones: even columns take the cosine, odd ones the sine.
        let pair = column & !1;
        let radius = (-2.0 * self.uniform(row, pair).ln()).sqrt();
        let (sin, cos) = (2.0 * std::f64::consts::PI * self.uniform(row, pair + 1)).sin_cos();
        radius * if column & 1 == 0 { cos } else { sin }
    }
}

/// The finishing function of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input changes half the output.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_independence() {
        let random = Random::new(7);
        let n = 40_000;
        let (mut mean, mut square, mut cross, mut next) = (0.0, 0.0, 0.0, 0.0);
        for i in 0..n {
            let (a, b) = (random.normal(i, 0), random.normal(i, 1));
            mean += a;
            square += a * a;
            cross += a * b;
            next += a * random.normal(i + 1, 0);
        }
        let n = n as f64;
        assert!((mean / n).abs() < 0.02);
        assert!((square / n - 1.0).abs() < 0.03);
        assert!((cross / n).abs() < 0.02);
        assert!((next / n).abs() < 0.02);
    }
}
