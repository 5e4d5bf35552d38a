//! Balls around an image: how far a perturbation may go, exactly, also in the 8-bit file.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the size of a perturbation `d` (differences of n channel values, in levels of 0..255) is
/// measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// `sum |d| / n`: mean absolute difference of the pixel values.
    #[default]
    L1Mean,
    /// `sqrt(sum d^2)`.
    L2,
    /// `max |d|`.
    Linf,
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1Mean => "mean absolute difference",
            Self::L2 => "Euclidean norm",
            Self::Linf => "largest difference",
        })
    }
}

/// A written perturbation of less than this share of what it should take is dithered.
const ENOUGH: f64 = 0.8;

/// A number in 0..1 for every place, the same in every image (SplitMix64).
fn threshold(place: u64) -> f64 {
    let mut z = place.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Levels of an 8-bit channel.
pub const LEVELS: f64 = 255.0;

impl Norm {
    /// The size of a perturbation given in levels.
    pub fn of(self, differences: impl Iterator<Item = f64>) -> f64 {
        match self {
            Self::L1Mean => {
                let (sum, n) = differences.fold((0.0, 0usize), |(s, n), d| (s + d.abs(), n + 1));
                sum / n.max(1) as f64
            }
            Self::L2 => differences.map(|d| d * d).sum::<f64>().sqrt(),
            Self::Linf => differences.map(f64::abs).fold(0.0, f64::max),
        }
    }

    /// The largest size that a perturbation of `n` values can have.
    pub fn largest(self, n: usize) -> f64 {
        match self {
            Self::L1Mean | Self::Linf => LEVELS,
            Self::L2 => LEVELS * (n as f64).sqrt(),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] for a radius that is not above 0, or larger than any perturbation of `n`
    /// values.
    pub fn check(self, epsilon: f64, n: usize) -> Result<()> {
        if epsilon > 0.0 && epsilon <= self.largest(n) {
            return Ok(());
        }
        Err(Error::invalid(
            "epsilon",
            format!("a {self} above 0 and at most {:.0} levels of 0..255", self.largest(n)),
            epsilon.to_string(),
            "10 is the published mean absolute difference",
        ))
    }

    /// Moves `image` to the nearest point (Euclidean) of
    /// `{x : |x - base| <= epsilon, 0 <= x <= 1}`; `base` lies in [0, 1], `epsilon` is in levels.
    ///
    /// With `v = x - base` the point is `base + clip(s(v), -base, 1 - base)`, where `s` is soft
    /// thresholding `sign(v) max(|v| - t, 0)` for the mean absolute difference, `v / (1 + t)` for
    /// the Euclidean norm, and clipping to `epsilon` for the largest difference; `t >= 0` is the
    /// root at which the norm is `epsilon`. (Coordinate-wise optimality of the Lagrangian, whose
    /// minimiser over an interval that contains 0 is the clipped one.)
    pub fn project(self, image: &mut [f32], base: &[f32], epsilon: f64) {
        let epsilon = epsilon / LEVELS;
        let clipped = |v: f64, b: f32| v.clamp(-f64::from(b), 1.0 - f64::from(b));
        let apply = |image: &mut [f32], step: &dyn Fn(f64) -> f64| {
            for (x, &b) in image.iter_mut().zip(base) {
                let d = clipped(step(f64::from(*x) - f64::from(b)), b);
                *x = (f64::from(b) + d) as f32;
            }
        };
        if self == Self::Linf {
            return apply(image, &|v| v.clamp(-epsilon, epsilon));
        }
        let budget = if self == Self::L1Mean { epsilon * image.len() as f64 } else { epsilon * epsilon };
        let shrink = |t: f64, v: f64| match self {
            Self::L1Mean => v.signum() * (v.abs() - t).max(0.0),
            _ => v / (1.0 + t),
        };
        let size = |t: f64| -> f64 {
            let moved = image.iter().zip(base).map(|(&x, &b)| clipped(shrink(t, f64::from(x) - f64::from(b)), b));
            if self == Self::L1Mean { moved.map(f64::abs).sum() } else { moved.map(|d| d * d).sum() }
        };
        if size(0.0) <= budget {
            return apply(image, &|v| v);
        }
        let differences = image.iter().zip(base).map(|(&x, &b)| f64::from(x) - f64::from(b));
        let high = match self {
            Self::L1Mean => differences.map(f64::abs).fold(0.0, f64::max),
            _ => (differences.map(|d| d * d).sum::<f64>() / budget).sqrt(),
        };
        let t = root(size, budget, high);
        apply(image, &|v| shrink(t, v));
    }

    /// 8-bit values of `image` (in [0, 1]) that differ from the bytes of `base` by at most
    /// `epsilon` levels.
    ///
    /// Values are rounded to the nearest level; where that makes the perturbation too large, those
    /// differences whose rounding away from the base was the closest call are rounded towards it
    /// instead, until the budget holds. Where it makes the perturbation much smaller (changes of
    /// less than half a level would vanish), values are dithered: those whose fraction of a level is
    /// above a number that is drawn for each place, the furthest first, go to the next level, up
    /// to the size before rounding.
    pub fn round(self, image: &[f32], base: &[u8], epsilon: f64) -> Vec<u8> {
        let exact: Vec<f64> = image.iter().zip(base).map(|(&x, &b)| LEVELS * f64::from(x) - f64::from(b)).collect();
        let bounded = |d: f64, b: u8| d.clamp(-f64::from(b), LEVELS - f64::from(b));
        let mut rounded: Vec<f64> = exact.iter().zip(base).map(|(&d, &b)| bounded(d.round(), b)).collect();
        if self == Self::Linf {
            rounded.iter_mut().for_each(|d| *d = d.clamp(-epsilon.floor(), epsilon.floor()));
        } else {
            self.tighten(&exact, &mut rounded, epsilon);
            self.loosen(&exact, &mut rounded, base, epsilon);
        }
        rounded.iter().zip(base).map(|(&d, &b)| (f64::from(b) + d) as u8).collect()
    }

    /// The budget, and what a difference takes of it.
    fn budget(self, epsilon: f64, n: usize) -> (f64, fn(f64) -> f64) {
        match self {
            Self::L1Mean => (epsilon * n as f64, f64::abs),
            _ => (epsilon * epsilon, |d| d * d),
        }
    }

    fn loosen(self, exact: &[f64], rounded: &mut [f64], base: &[u8], epsilon: f64) {
        let (budget, cost) = self.budget(epsilon, rounded.len());
        let wanted = exact.iter().map(|&d| cost(d)).sum::<f64>().min(budget);
        let mut spent: f64 = rounded.iter().map(|&d| cost(d)).sum();
        if spent >= ENOUGH * wanted {
            return;
        }
        let next = |i: usize, d: f64| d + exact[i].signum();
        let fits = |i: usize, d: f64| (0.0..=LEVELS).contains(&(f64::from(base[i]) + d));
        let above = |i: usize| exact[i].abs() - rounded[i].abs();
        let mut order: Vec<(f64, usize)> = (0..rounded.len())
            .filter(|&i| above(i) > 0.0 && fits(i, next(i, rounded[i])))
            .map(|i| (above(i) - threshold(i as u64), i))
            .collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, i) in order {
            let more = cost(next(i, rounded[i])) - cost(rounded[i]);
            if spent + more <= wanted {
                spent += more;
                rounded[i] = next(i, rounded[i]);
            }
        }
    }

    fn tighten(self, exact: &[f64], rounded: &mut [f64], epsilon: f64) {
        let (budget, cost) = self.budget(epsilon, rounded.len());
        let mut spent: f64 = rounded.iter().map(|&d| cost(d)).sum();
        // Sums of whole numbers below 2^53 are exact: the comparison is too.
        let mut order: Vec<usize> = (0..rounded.len()).filter(|&i| rounded[i] != 0.0).collect();
        let away = |i: usize, d: f64| d.abs() - exact[i].abs();
        order.sort_by(|&i, &j| away(j, rounded[j]).total_cmp(&away(i, rounded[i])).then(i.cmp(&j)));
        while spent > budget && order.iter().any(|&i| rounded[i] != 0.0) {
            for &i in &order {
                if spent <= budget {
                    break;
                }
                if rounded[i] != 0.0 {
                    let nearer = rounded[i] - rounded[i].signum();
                    spent += cost(nearer) - cost(rounded[i]);
                    rounded[i] = nearer;
                }
            }
        }
    }
}

/// The `t` in [0, `high`] at which the decreasing `size(t)` falls to `budget`, from the side where
/// it holds: bisection with secant steps.
fn root(size: impl Fn(f64) -> f64, budget: f64, high: f64) -> f64 {
    let (mut low, mut high) = (0.0, high);
    let (mut above, mut below) = (size(low) - budget, size(high) - budget);
    for step in 0..200 {
        if high - low <= 1e-15 * (1.0 + high) {
            break;
        }
        let secant = high - below * (high - low) / (below - above);
        let middle = if step % 3 == 2 || !(secant > low && secant < high) { 0.5 * (low + high) } else { secant };
        let value = size(middle) - budget;
        if value > 0.0 {
            (low, above) = (middle, value);
        } else {
            (high, below) = (middle, value);
            if value > -1e-12 * budget {
                break;
            }
        }
    }
    high
}

#[cfg(test)]
#[path = "ball_tests.rs"]
mod tests;
