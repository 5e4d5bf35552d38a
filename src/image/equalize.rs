//! One image's gain and offset that give it the wanted mean luminance and RMS contrast after the range limit, and their gradient.
//!
//! With the planes `x_c`, aperture weights `w` (sum `W`), background `B`, soft limit `c` and light `l`:
//!
//! ```text
//! u_c = gain x_c + offset          z_c = w c(u_c) + (1 - w) B          L = 0.2126 l(z_R) + 0.7152 l(z_G) + 0.0722 l(z_B)
//! m = sum w L / W                  s = sqrt( sum w (L - m)^2 / W )
//! ```
//!
//! (gain, offset) solve `m = m*`, `s = s*` by damped Newton steps. They depend on `x`; by the implicit function theorem
//! `d(gain, offset)/dx = -J^-1 d(m, s)/dx` at fixed (gain, offset), `J = d(m, s)/d(gain, offset)`, which [`Solution::pullback`] uses:
//! the gradient is exact, with nothing to iterate.

use super::colour::{LUMINANCE, Light};

/// What an image should have, and how it is measured.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub mean: f64,
    pub contrast: f64,
    pub light: Light,
    pub knee: f64,
    pub background: f64,
    /// Aperture weights, one per pixel.
    pub weights: Vec<f64>,
    /// Their sum.
    pub total: f64,
    /// Largest |m - m*| and |s - s*| that count as solved.
    pub tolerance: f64,
}

/// Contrast is never raised more than this: an even image has no pattern to amplify.
const MAX_GAIN: f64 = 1e3;
const MIN_GAIN: f64 = 1e-3;
const MAX_STEPS: usize = 40;
const MAX_HALVINGS: usize = 12;
const GAIN_BISECTIONS: usize = 24;
const OFFSET_BISECTIONS: usize = 60;

/// The solved affine map of one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Solution {
    gain: f64,
    offset: f64,
    at: Moments,
    /// False when the wanted contrast cannot be reached: the gain is then a constant and only the offset is solved.
    contrast_met: bool,
}

/// m, s and their derivatives by (gain, offset).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    mean: f64,
    sd: f64,
    d_mean: [f64; 2],
    d_sd: [f64; 2],
}

/// The soft limit to [0, 1] and its derivative: identity on [knee, 1 - knee], `c + d / (1 + |d| / knee)` a distance `d` beyond the knee `c`; a
/// plain clip for knee 0.
fn limit(u: f64, knee: f64) -> (f64, f64) {
    let inside = u.clamp(knee, 1.0 - knee);
    if inside == u {
        return (u, 1.0);
    }
    if knee <= 0.0 {
        return (inside, 0.0);
    }
    let d = u - inside;
    let damping = 1.0 / (1.0 + d.abs() / knee);
    (inside + d * damping, damping * damping)
}

impl Target {
    fn n_pixels(&self) -> usize {
        self.weights.len()
    }

    fn moments(&self, x: &[f64], gain: f64, offset: f64) -> Moments {
        let n = self.n_pixels();
        // sums of w L, w L^2, and of w dL and w L dL by gain and offset
        let (mut s1, mut s2, mut d1, mut d2) = (0.0, 0.0, [0.0; 2], [0.0; 2]);
        for (p, &w) in self.weights.iter().enumerate() {
            if w == 0.0 {
                continue;
            }
            let (mut l, mut dl) = (0.0, [0.0; 2]);
            for (c, k) in LUMINANCE.iter().enumerate() {
                let v = x[c * n + p];
                let (z, slope) = limit(gain * v + offset, self.knee);
                let (light, d_light) = self.light.of(w * z + (1.0 - w) * self.background);
                l += k * light;
                let slope = k * d_light * w * slope;
                dl[0] += slope * v;
                dl[1] += slope;
            }
            s1 += w * l;
            s2 += w * l * l;
            for i in 0..2 {
                d1[i] += w * dl[i];
                d2[i] += w * l * dl[i];
            }
        }
        let mean = s1 / self.total;
        let sd = (s2 / self.total - mean * mean).max(0.0).sqrt();
        let d_mean = d1.map(|d| d / self.total);
        let d_sd = std::array::from_fn(|i| if sd > 0.0 { (d2[i] / self.total - mean * d_mean[i]) / sd } else { 0.0 });
        Moments { mean, sd, d_mean, d_sd }
    }

    fn residual(&self, m: &Moments) -> f64 {
        (m.mean - self.mean).abs().max((m.sd - self.contrast).abs())
    }

    /// Gain and offset of one image (three planes of `n_pixels` values).
    pub(super) fn solve(&self, x: &[f64]) -> Solution {
        let raw = self.moments(x, 1.0, 0.0);
        let gain = (self.contrast / raw.sd.max(self.contrast / MAX_GAIN)).max(MIN_GAIN);
        let offset = self.mean - gain * raw.mean;
        let start = Solution { gain, offset, at: self.moments(x, gain, offset), contrast_met: true };
        let solution = self.newton(x, start);
        if self.residual(&solution.at) <= self.tolerance {
            return solution;
        }
        let largest = self.solve_offset(x, MAX_GAIN);
        if largest.at.sd < self.contrast {
            return Solution { contrast_met: false, ..largest };
        }
        self.newton(x, self.bisect_gain(x))
    }

    /// Damped Newton steps while they help.
    fn newton(&self, x: &[f64], start: Solution) -> Solution {
        let mut best = start;
        for _ in 0..MAX_STEPS {
            if self.residual(&best.at) <= self.tolerance {
                break;
            }
            let Some(next) = self.newton_step(x, &best) else { break };
            best = next;
        }
        best
    }

    /// Near the solution from any start: the contrast rises with the gain when the offset holds the mean.
    fn bisect_gain(&self, x: &[f64]) -> Solution {
        let (mut low, mut high) = (MIN_GAIN.ln(), MAX_GAIN.ln());
        for _ in 0..GAIN_BISECTIONS {
            let middle = 0.5 * (low + high);
            if self.solve_offset(x, middle.exp()).at.sd < self.contrast { low = middle } else { high = middle }
        }
        self.solve_offset(x, (0.5 * (low + high)).exp())
    }

    /// A step that lowers the residual, or none.
    fn newton_step(&self, x: &[f64], from: &Solution) -> Option<Solution> {
        let [step_gain, step_offset] =
            solve2(from.at.d_mean, from.at.d_sd, [self.mean - from.at.mean, self.contrast - from.at.sd])?;
        let mut length = 1.0;
        for _ in 0..MAX_HALVINGS {
            let (gain, offset) = (from.gain + length * step_gain, from.offset + length * step_offset);
            if gain > 0.0 && gain <= MAX_GAIN {
                let at = self.moments(x, gain, offset);
                if self.residual(&at) < self.residual(&from.at) {
                    return Some(Solution { gain, offset, at, contrast_met: true });
                }
            }
            length *= 0.5;
        }
        None
    }

    /// The offset alone, by bisection: the mean rises with it.
    fn solve_offset(&self, x: &[f64], gain: f64) -> Solution {
        let (mut low, mut high) = (-gain - 1.0, 2.0);
        for _ in 0..OFFSET_BISECTIONS {
            let middle = 0.5 * (low + high);
            let mean = self.moments(x, gain, middle).mean;
            if mean < self.mean { low = middle } else { high = middle }
        }
        let offset = 0.5 * (low + high);
        Solution { gain, offset, at: self.moments(x, gain, offset), contrast_met: true }
    }
}

impl Solution {
    /// The image with the solved map: `out` gets `z`.
    pub(super) fn map(&self, target: &Target, x: &[f64], out: &mut [f64]) {
        let n = target.n_pixels();
        for (i, (slot, v)) in out.iter_mut().zip(x).enumerate() {
            let w = target.weights[i % n];
            *slot = w * limit(self.gain * v + self.offset, target.knee).0 + (1.0 - w) * target.background;
        }
    }

    /// d(objective)/dx from d(objective)/dz, in place.
    pub(super) fn pullback(&self, target: &Target, x: &[f64], gradient: &mut [f64]) {
        let n = target.n_pixels();
        let slope = |i: usize| target.weights[i % n] * limit(self.gain * x[i] + self.offset, target.knee).1;
        let mut by_map = [0.0; 2];
        for (i, g) in gradient.iter().enumerate() {
            let q = g * slope(i);
            by_map[0] += q * x[i];
            by_map[1] += q;
        }
        let [on_mean, on_sd] = self.adjoint(by_map);
        let scaled_sd = if self.at.sd > 0.0 { on_sd / self.at.sd } else { 0.0 };
        for p in 0..n {
            let w = target.weights[p];
            let (mut l, mut through) = (0.0, [(0.0, 0.0); 3]);
            for (c, k) in LUMINANCE.iter().enumerate() {
                let (z, slope) = limit(self.gain * x[c * n + p] + self.offset, target.knee);
                let (light, d_light) = target.light.of(w * z + (1.0 - w) * target.background);
                l += k * light;
                through[c] = (k * d_light, w * slope);
            }
            let share = w / target.total * (on_mean + scaled_sd * (l - self.at.mean));
            for (c, (weight, slope)) in through.into_iter().enumerate() {
                let slot = &mut gradient[c * n + p];
                *slot = self.gain * slope * (*slot - weight * share);
            }
        }
    }

    /// lambda of `J^T lambda = d(objective)/d(gain, offset)`.
    fn adjoint(&self, [by_gain, by_offset]: [f64; 2]) -> [f64; 2] {
        let Moments { d_mean, d_sd, .. } = self.at;
        if self.contrast_met
            && let Some(lambda) = solve2([d_mean[0], d_sd[0]], [d_mean[1], d_sd[1]], [by_gain, by_offset])
        {
            return lambda;
        }
        if d_mean[1].abs() > f64::EPSILON { [by_offset / d_mean[1], 0.0] } else { [0.0; 2] }
    }
}

/// The solution of two linear equations with rows `a` and `b`; none when they are (nearly) dependent.
fn solve2(a: [f64; 2], b: [f64; 2], right: [f64; 2]) -> Option<[f64; 2]> {
    let determinant = a[0] * b[1] - a[1] * b[0];
    let size = (a[0].abs() + a[1].abs()) * (b[0].abs() + b[1].abs());
    if !determinant.is_finite() || determinant.abs() <= 1e-12 * size {
        return None;
    }
    Some([(right[0] * b[1] - a[1] * right[1]) / determinant, (a[0] * right[1] - right[0] * b[0]) / determinant])
}
