//! How often something happened, with its interval.

use std::fmt;

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub found: usize,
    pub of: usize,
}

impl Rate {
    pub fn share(self) -> f64 {
        self.found as f64 / self.of as f64
    }

    /// Wilson's interval at 95 %.
    pub fn interval(self) -> (f64, f64) {
        const Z: f64 = 1.959_963_985;
        let (n, p) = (self.of as f64, self.share());
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        ((middle - half) / scale, (middle + half) / scale)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        write!(f, "{:.3} ({low:.3}-{high:.3})", self.share())
    }
}
