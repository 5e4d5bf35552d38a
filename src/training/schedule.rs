//! The learning rate over time.

use serde::{Deserialize, Serialize};

/// Warm-up, cosine, cooldown.
///
/// With t the step from 0: `peak (t + 1) / warmup` while `t < warmup`; then `peak c(p) d(t)` with
/// `c = (1 + cos(pi p)) / 2`, `p = min((t - warmup) / max(horizon - warmup, 1), 1)` (Loshchilov &
/// Hutter 2017) and `d = min((steps - t) / max(cooldown, 1), 1)`, which takes the rate down at the
/// end of a training that is shorter than its horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The largest rate.
    pub peak: f64,
    /// Steps of linear rise; need not be whole.
    pub warmup: f64,
    /// Step at which the cosine reaches zero.
    pub horizon: usize,
    /// Steps of the training.
    pub steps: usize,
    /// Last steps, over which the rate also falls linearly; 0 for none.
    pub cooldown: usize,
}

impl Schedule {
    /// The rate of a step, from 0.
    pub fn rate(&self, step: usize) -> f64 {
        let (t, horizon) = (step as f64, self.horizon as f64);
        if t < self.warmup {
            return self.peak * (t + 1.0) / self.warmup;
        }
        let progress = ((t - self.warmup) / (horizon - self.warmup).max(1.0)).min(1.0);
        let cool = (self.steps.saturating_sub(step) as f64 / self.cooldown.max(1) as f64).min(1.0);
        self.peak * (0.5 + 0.5 * (std::f64::consts::PI * progress).cos()) * cool
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from the formula.
    #[test]
    fn the_rate_rises_turns_and_ends() {
        let schedule = Schedule { peak: 0.2, warmup: 4.0, horizon: 12, steps: 10, cooldown: 3 };
        let expected = [
            (0, 0.05),
            (3, 0.2),
            (4, 0.2),
            (6, 0.2 * 0.853_553_390_593_273_8), // p = 1/4
            (8, 0.2 * 0.5 * 2.0 / 3.0),         // p = 1/2, two of three steps left
            (9, 0.2 * 0.308_658_283_817_455_1 / 3.0),
            (10, 0.0),
            (40, 0.0),
        ];
        for (step, rate) in expected {
            assert!((schedule.rate(step) - rate).abs() < 1e-15, "step {step}: {}", schedule.rate(step));
        }
        let constant_end = Schedule { cooldown: 0, steps: 12, ..schedule };
        assert!((constant_end.rate(8) - 0.1).abs() < 1e-15);
    }
}
