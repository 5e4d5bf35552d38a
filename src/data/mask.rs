//! Which voxels of a grid take part.

use super::volume::{Grid, HALF_A_STEP, Volume};
use crate::error::{Error, Result};
use crate::warning::Warning;
use std::fmt;

const ABSENT: u32 = u32::MAX;
/// How far interpolation carries a mask of 0 and 1 beyond them.
const OVERSHOOT: f64 = 0.5;

/// The numbers other than 0 of a mask.
struct Found {
    low: f64,
    high: f64,
    several: bool,
    whole: bool,
}

impl Found {
    fn new(numbers: impl Iterator<Item = f64>) -> Option<Self> {
        numbers.fold(None, |found, x| {
            let own = Self { low: x, high: x, several: false, whole: x.fract() == 0.0 };
            let Some(found) = found else { return Some(own) };
            let (low, high) = (found.low.min(x), found.high.max(x));
            Some(Self { low, high, several: low < high, whole: found.whole && own.whole })
        })
    }
}

/// A number in a few digits.
fn short(x: f64) -> String {
    if x != 0.0 && x.abs() < 1e-3 { format!("{x:.1e}") } else { format!("{}", (x * 1e3).round() / 1e3) }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.whole { "whole numbers" } else { "numbers" };
        write!(f, "{kind} from {} to {}", short(self.low), short(self.high))
    }
}

/// A set of voxels of a grid, in the grid's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    grid: Grid,
    voxels: Vec<u32>,
    rank: Vec<u32>,
}

impl Mask {
    /// The voxels for which `inside` holds.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none, or the grid has more than 2^32 - 2 voxels.
    pub fn from_fn(grid: Grid, inside: impl Fn(usize) -> bool) -> Result<Self> {
        if grid.n_voxels() >= ABSENT as usize {
            return Err(Error::invalid("mask", "fewer than 2^32 - 1 voxels", grid.to_string(), ""));
        }
        let voxels: Vec<u32> = (0..grid.n_voxels()).filter(|&v| inside(v)).map(|v| v as u32).collect();
        if voxels.is_empty() {
            let hint = "every voxel is 0, or holds no numbers in the betas";
            return Err(Error::invalid("mask", "at least one voxel", format!("none of {grid}"), hint));
        }
        let mut rank = vec![ABSENT; grid.n_voxels()];
        voxels.iter().enumerate().for_each(|(r, &v)| rank[v as usize] = r as u32);
        Ok(Self { grid, voxels, rank })
    }

    /// The voxels of an image that is a mask: 0 outside (or NaN, infinite, or within half of
    /// `step`, the distance of scaled integers) and one other number inside, as nilearn demands.
    ///
    /// What else programs write is read by what it most likely is, and said: of several whole
    /// numbers (a label image) all but 0 are inside; of fractions from 0 to 1 (a mask that was
    /// resampled or smoothed, probabilities) those above 0.5.
    ///
    /// # Shapes
    /// `values`: `grid.n_voxels()`, i fastest.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other numbers, several numbers without 0 among them, and as
    /// [`Mask::from_fn`].
    pub fn from_values(grid: Grid, values: &[f64], step: f64, at: &str) -> Result<(Self, Option<Warning>)> {
        let outside = |x: f64| !x.is_finite() || x.abs() <= HALF_A_STEP * step;
        let Some(found) = Found::new(values.iter().copied().filter(|&x| !outside(x))) else {
            let hint = "every voxel is 0: give the mask that was meant";
            return Err(Error::invalid(at, "a mask with voxels inside", "0 everywhere", hint));
        };
        let nonzero = |v: usize| !outside(values[v]);
        let n_inside = (0..values.len()).filter(|&v| nonzero(v)).count();
        let refuse = |expected: &str| {
            let hint = "make it binary: fslmaths MASK -thr LEVEL -bin, or nilearn.image.binarize_img";
            Err(Error::invalid(at, expected, found.to_string(), hint))
        };
        if found.several && found.whole {
            if n_inside == values.len() {
                return refuse("a mask that is 0 outside");
            }
            let text = format!("{at}: a mask has 0 and one other number, this one has {found}: all but 0 are inside");
            return Ok((Self::from_fn(grid, nonzero)?, Some(Warning::Note { text })));
        }
        if found.several {
            if found.low < -OVERSHOOT || found.high > 1.0 + OVERSHOOT {
                return refuse("a mask of 0 and one other number, or fractions from 0 to 1");
            }
            let inside = |v: usize| nonzero(v) && values[v] > 0.5;
            if !(0..values.len()).any(inside) {
                return refuse("a mask with voxels above 0.5");
            }
            let mask = Self::from_fn(grid, inside)?;
            let text = format!(
                "{at}: a mask has 0 and one other number, this one has {found} (was it resampled or smoothed?): the {} voxels above 0.5 are inside, not all {n_inside} that are not 0",
                mask.n_voxels()
            );
            return Ok((mask, Some(Warning::Note { text })));
        }
        Ok((Self::from_fn(grid, nonzero)?, None))
    }

    /// Those of the voxels for which `keep` (of the number within the mask) holds.
    ///
    /// # Errors
    /// As [`Mask::from_fn`].
    pub fn filtered(&self, keep: impl Fn(usize) -> bool) -> Result<Self> {
        Self::from_fn(self.grid, |v| self.rank(v).is_some_and(&keep))
    }

    /// The grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Positions in the grid, ascending.
    pub fn voxels(&self) -> &[u32] {
        &self.voxels
    }

    /// Number of voxels inside.
    pub fn n_voxels(&self) -> usize {
        self.voxels.len()
    }

    /// The number within the mask of the voxel at a position, if it is inside.
    pub fn rank(&self, position: usize) -> Option<usize> {
        (self.rank[position] != ABSENT).then(|| self.rank[position] as usize)
    }

    /// A volume with one value for each voxel inside, and `outside` elsewhere.
    ///
    /// # Panics
    /// When there are not [`Mask::n_voxels`] values.
    pub fn unmask(&self, values: &[f32], outside: f32) -> Volume {
        assert_eq!(values.len(), self.n_voxels(), "one value a voxel of the mask");
        let mut volume = Volume::filled(self.grid, outside);
        self.voxels.iter().zip(values).for_each(|(&v, &x)| volume.values_mut()[v as usize] = x);
        volume
    }

    /// The values of a volume inside the mask.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the volume is on another grid.
    pub fn values(&self, volume: &Volume) -> Result<Vec<f32>> {
        self.grid.require_same("volume", volume.grid())?;
        Ok(self.voxels.iter().map(|&v| volume.values()[v as usize]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::affine::Affine;

    #[test]
    fn masking_and_unmasking_are_inverse() {
        let grid = Grid { shape: [2, 2, 2], affine: Affine::scaling([1.0; 3]) };
        let volume = Volume::new(grid, vec![0.0, 2.0, f32::NAN, 4.0, 0.0, 0.0, 7.0, 0.0]).unwrap();
        let mask = Mask::from_fn(grid, |v| [1, 3, 6].contains(&v)).unwrap();
        assert_eq!(mask.voxels(), [1, 3, 6]);
        assert_eq!((mask.rank(3), mask.rank(2)), (Some(1), None));
        let values = mask.values(&volume).unwrap();
        assert_eq!(mask.unmask(&values, 0.0).values(), [0.0, 2.0, 0.0, 4.0, 0.0, 0.0, 7.0, 0.0]);
        assert_eq!(mask.filtered(|rank| rank != 1).unwrap().voxels(), [1, 6]);
        let empty = Mask::from_fn(grid, |_| false).unwrap_err().to_string();
        assert!(empty.contains("at least one voxel"), "{empty}");
    }

    #[test]
    fn a_mask_is_two_numbers_and_what_else_it_may_be_is_said() {
        let grid = Grid { shape: [6, 1, 1], affine: Affine::scaling([1.0; 3]) };
        let nan = f64::NAN;
        let read = |values: [f64; 6], step: f64| Mask::from_values(grid, &values, step, "m.nii");
        for (values, step, inside, words) in [
            ([0.0, 1.0, nan, 1.0, 0.0, f64::INFINITY], 0.0, vec![1, 3], None),
            ([0.0, 255.0, 255.0, 0.0, 0.0, 0.0], 0.0, vec![1, 2], None),
            ([0.3; 6], 0.0, vec![0, 1, 2, 3, 4, 5], None),
            // Scaled integers: what is left of a stored 0 is less than half a step.
            ([4e-6, 1.0, 4e-6, 4e-6, 1.0, 4e-6], 1e-5, vec![1, 4], None),
            // Dust, and the edges of a resampled mask.
            (
                [1e-6, 1.0, 1e-6, 1.0, 0.0, 0.0],
                0.0,
                vec![1, 3],
                Some("numbers from 1.0e-6 to 1 (was it resampled or smoothed?): the 2 voxels above 0.5"),
            ),
            ([-0.1, 1.1, 0.4, 0.6, 0.0, 0.0], 0.0, vec![1, 3], Some("numbers from -0.1 to 1.1")),
            ([0.0, 1.0, 2.0, 1500.0, 2.0, 0.0], 0.0, vec![1, 2, 3, 4], Some("whole numbers from 1 to 1500")),
        ] {
            let (mask, warning) = read(values, step).unwrap();
            assert_eq!(mask.voxels(), inside, "{values:?}");
            let text = warning.map(|w| w.to_string());
            assert_eq!(text.is_some(), words.is_some(), "{text:?}");
            assert!(text.is_none_or(|t| t.contains(words.unwrap()) && t.starts_with("m.nii")), "{values:?}");
        }
        for (values, words) in [
            ([0.0; 6], "0 everywhere"),
            ([1.0, 1.0, 2.0, 2.0, 1.0, 1.0], "0 outside, found whole numbers from 1 to 2"),
            ([0.0, 0.5, 800.5, 3.0, 0.0, 0.0], "fractions from 0 to 1, found numbers from 0.5 to 800.5"),
        ] {
            let error = read(values, 0.0).unwrap_err().to_string();
            assert!(error.contains(words) && error.starts_with("m.nii"), "{error}");
        }
    }
}
