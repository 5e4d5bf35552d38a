//! Scores of a fold from sums over its tested rows.

use orthoscope_kernels::panels::WIDTH;

/// Sums of the tested rows of every target.
pub(super) struct Moments {
    n: f64,
    sum: Vec<f64>,
    /// Squared deviations from their mean.
    squares: Vec<f64>,
}

impl Moments {
    /// From panels of the tested rows.
    pub fn of(panels: &[f32], n_rows: usize, width: usize) -> Self {
        let mut found = Self { n: n_rows as f64, sum: vec![0.0; width], squares: vec![0.0; width] };
        for (p, panel) in panels.chunks_exact(n_rows * WIDTH).enumerate() {
            let at = p * WIDTH..(p + 1) * WIDTH;
            let (sum, squares) = (&mut found.sum[at.clone()], &mut found.squares[at]);
            for line in panel.chunks_exact(WIDTH) {
                sum.iter_mut().zip(line).for_each(|(s, &v)| *s += f64::from(v));
            }
            for line in panel.chunks_exact(WIDTH) {
                for ((s, &v), sum) in squares.iter_mut().zip(line).zip(&*sum) {
                    *s += (f64::from(v) - sum / found.n).powi(2);
                }
            }
        }
        found
    }

    /// Whether the tested rows are one value: the rounding of their mean leaves something.
    fn is_constant(&self, t: usize) -> bool {
        self.squares[t] <= 1e-24 * self.sum[t] * self.sum[t] / self.n
    }

    /// R2 from squared errors; 0 where the tested rows do not vary.
    pub fn r2(&self, t: usize, error: f64) -> f64 {
        if self.is_constant(t) { 0.0 } else { 1.0 - error / self.squares[t] }
    }

    /// Pearson's correlation from sums of p, p^2 and p y; 0 where either does not vary.
    pub fn pearson(&self, t: usize, p: f64, p2: f64, py: f64) -> f64 {
        let varied = p2 - p * p / self.n;
        // 32-bit predictions that are one value leave this much of their squares.
        if self.is_constant(t) || varied <= 1e-9 * p2 {
            return 0.0;
        }
        (py - p * self.sum[t] / self.n) / (varied * self.squares[t]).sqrt()
    }
}
