//! One image's gain and offset that give it the wanted mean luminance and RMS contrast after the
//! range limit, and their gradient.
//!
//! With the planes `x_c`, aperture weights `w` (sum `W`), background `B`, soft limit `c`, light
//! `l`, and a centre `x0` that only keeps the numbers small (so that 32 bits are enough for a
//! pixel):
//!
//! ```text
//! u_c = gain (x_c - x0) + level    z_c = w c(u_c) + (1 - w) B          L = 0.2126 l(z_R) + 0.7152 l(z_G) + 0.0722 l(z_B)
//! m = sum w L / W                  s = sqrt( sum w (L - m)^2 / W )
//! ```
//!
//! (gain, level) solve `m = m*`, `s = s*` by damped Newton steps. They depend on `x`; by the
//! implicit function theorem `d(gain, level)/dx = -J^-1 d(m, s)/dx` at fixed (gain, level),
//! `J = d(m, s)/d(gain, level)`, which [`Solution::pullback`] uses: the gradient is exact, with
//! nothing to iterate.

//!
//! The passes over pixels are [`pixelwise`].

use super::colour::Light;
use super::pixelwise::{self, Image, Map};
use super::real::Real;

/// What an image should have, and how it is measured.
#[derive(Debug, Clone)]
pub(super) struct Target<T> {
    pub mean: f64,
    pub contrast: f64,
    pub light: Light,
    pub knee: f64,
    pub background: f64,
    /// Aperture weights, one per pixel.
    pub weights: Vec<T>,
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
const LEVEL_BISECTIONS: usize = 60;

/// The solved affine map of one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Solution {
    gain: f64,
    level: f64,
    centre: f64,
    at: Moments,
    /// False when the wanted contrast cannot be reached: the gain is then a constant and only the
    /// level is solved.
    contrast_met: bool,
}

/// m, s and their derivatives by (gain, level).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    mean: f64,
    sd: f64,
    d_mean: [f64; 2],
    d_sd: [f64; 2],
}

impl<T: Real> Target<T> {
    fn n_pixels(&self) -> usize {
        self.weights.len()
    }

    fn pixelwise(&self, gain: f64, level: f64, centre: f64) -> Map<T> {
        let [gain, level, centre, knee] = [gain, level, centre, self.knee].map(T::from_f64);
        Map {
            gain,
            level,
            centre,
            knee,
            softness: T::from_f64(self.knee.max(1e-30)),
            background: T::from_f64(self.background),
        }
    }

    fn image<'a>(&'a self, x: &'a [T]) -> Image<'a, T> {
        Image { planes: self.planes(x), weights: &self.weights }
    }

    fn planes<'a>(&self, x: &'a [T]) -> [&'a [T]; 3] {
        let n = self.n_pixels();
        [&x[..n], &x[n..2 * n], &x[2 * n..3 * n]]
    }

    fn moments(&self, x: &[T], gain: f64, level: f64, centre: f64) -> Moments {
        let map = self.pixelwise(gain, level, centre);
        // Deviations from the wanted mean: near the solution nothing cancels.
        let sums = pixelwise::moment_sums(self.image(x), map, self.light, self.mean);
        let [s1, s2, d1_gain, d1_level, d2_gain, d2_level] = sums.map(|v| v / self.total);
        let sd = (s2 - s1 * s1).max(0.0).sqrt();
        let d_sd = |d1: f64, d2: f64| if sd > 0.0 { (d2 - s1 * d1) / sd } else { 0.0 };
        Moments {
            mean: self.mean + s1,
            sd,
            d_mean: [d1_gain, d1_level],
            d_sd: [d_sd(d1_gain, d2_gain), d_sd(d1_level, d2_level)],
        }
    }

    fn residual(&self, m: &Moments) -> f64 {
        (m.mean - self.mean).abs().max((m.sd - self.contrast).abs())
    }

    /// Gain and level of one image (three planes of `n_pixels` values).
    pub(super) fn solve(&self, x: &[T]) -> Solution {
        let raw = self.moments(x, 1.0, 0.0, 0.0);
        let gain = (self.contrast / raw.sd.max(self.contrast / MAX_GAIN)).max(MIN_GAIN);
        let centre = T::from_f64(raw.mean).to_f64();
        let start = self.at(x, gain, self.mean, centre);
        let solution = self.newton(x, start);
        if self.residual(&solution.at) <= self.tolerance {
            return solution;
        }
        let largest = self.solve_level(x, MAX_GAIN, centre);
        if largest.at.sd < self.contrast {
            return Solution { contrast_met: false, ..largest };
        }
        self.newton(x, self.bisect_gain(x, centre))
    }

    /// Damped Newton steps while they help.
    fn newton(&self, x: &[T], start: Solution) -> Solution {
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

    /// Near the solution from any start: the contrast rises with the gain when the level holds the
    /// mean.
    fn bisect_gain(&self, x: &[T], centre: f64) -> Solution {
        let (mut low, mut high) = (MIN_GAIN.ln(), MAX_GAIN.ln());
        for _ in 0..GAIN_BISECTIONS {
            let middle = 0.5 * (low + high);
            if self.solve_level(x, middle.exp(), centre).at.sd < self.contrast { low = middle } else { high = middle }
        }
        self.solve_level(x, (0.5 * (low + high)).exp(), centre)
    }

    /// A step that lowers the residual, or none.
    fn newton_step(&self, x: &[T], from: &Solution) -> Option<Solution> {
        let [step_gain, step_level] =
            solve2(from.at.d_mean, from.at.d_sd, [self.mean - from.at.mean, self.contrast - from.at.sd])?;
        let mut length = 1.0;
        for _ in 0..MAX_HALVINGS {
            let (gain, level) = (from.gain + length * step_gain, from.level + length * step_level);
            if gain > 0.0 && gain <= MAX_GAIN {
                let next = self.at(x, gain, level, from.centre);
                if self.residual(&next.at) < self.residual(&from.at) {
                    return Some(next);
                }
            }
            length *= 0.5;
        }
        None
    }

    /// The level alone, by bisection: the mean rises with it.
    fn solve_level(&self, x: &[T], gain: f64, centre: f64) -> Solution {
        let (mut low, mut high) = (gain * (centre - 1.0) - 1.0, gain * centre + 2.0);
        for _ in 0..LEVEL_BISECTIONS {
            let middle = 0.5 * (low + high);
            if self.at(x, gain, middle, centre).at.mean < self.mean { low = middle } else { high = middle }
        }
        self.at(x, gain, 0.5 * (low + high), centre)
    }

    fn at(&self, x: &[T], gain: f64, level: f64, centre: f64) -> Solution {
        Solution { gain, level, centre, at: self.moments(x, gain, level, centre), contrast_met: true }
    }
}

impl Solution {
    fn pixelwise<T: Real>(&self, target: &Target<T>) -> Map<T> {
        target.pixelwise(self.gain, self.level, self.centre)
    }

    /// The image with the solved map: `out` gets `z`.
    pub(super) fn map<T: Real>(&self, target: &Target<T>, x: &[T], out: &mut [T]) {
        pixelwise::shown(target.image(x), self.pixelwise(target), out);
    }

    /// d(objective)/dx from d(objective)/dz, in place.
    pub(super) fn pullback<T: Real>(&self, target: &Target<T>, x: &[T], gradient: &mut [T]) {
        let (image, map) = (target.image(x), self.pixelwise(target));
        let by_map = pixelwise::gradient_sums(image, target.planes(gradient), map);
        let [on_mean, on_sd] = self.adjoint(by_map);
        let scaled_sd = if self.at.sd > 0.0 { on_sd / self.at.sd } else { 0.0 };
        let on = [on_mean / target.total, scaled_sd / target.total];
        pixelwise::through(image, map, target.light, self.at.mean, on, gradient);
    }

    /// lambda of `J^T lambda = d(objective)/d(gain, level)`.
    fn adjoint(&self, [by_gain, by_level]: [f64; 2]) -> [f64; 2] {
        let Moments { d_mean, d_sd, .. } = self.at;
        if self.contrast_met
            && let Some(lambda) = solve2([d_mean[0], d_sd[0]], [d_mean[1], d_sd[1]], [by_gain, by_level])
        {
            return lambda;
        }
        if d_mean[1].abs() > f64::EPSILON { [by_level / d_mean[1], 0.0] } else { [0.0; 2] }
    }
}

/// The solution of two linear equations with rows `a` and `b`; none when they are (nearly)
/// dependent.
fn solve2(a: [f64; 2], b: [f64; 2], right: [f64; 2]) -> Option<[f64; 2]> {
    let determinant = a[0] * b[1] - a[1] * b[0];
    let size = (a[0].abs() + a[1].abs()) * (b[0].abs() + b[1].abs());
    if !determinant.is_finite() || determinant.abs() <= 1e-12 * size {
        return None;
    }
    Some([(right[0] * b[1] - a[1] * right[1]) / determinant, (a[0] * right[1] - right[0] * b[0]) / determinant])
}
