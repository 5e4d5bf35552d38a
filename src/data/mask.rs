//! Which voxels of a grid take part.

use super::volume::{Grid, Volume};
use crate::error::{Error, Result};

const ABSENT: u32 = u32::MAX;

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

    /// The voxels of a volume that are neither 0 nor NaN.
    ///
    /// # Errors
    /// As [`Mask::from_fn`].
    pub fn from_volume(volume: &Volume) -> Result<Self> {
        let inside = |v: usize| volume.values()[v] != 0.0 && volume.values()[v].is_finite();
        Self::from_fn(*volume.grid(), inside)
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
        let mask = Mask::from_volume(&volume).unwrap();
        assert_eq!(mask.voxels(), [1, 3, 6]);
        assert_eq!((mask.rank(3), mask.rank(2)), (Some(1), None));
        let values = mask.values(&volume).unwrap();
        assert_eq!(mask.unmask(&values, 0.0).values(), [0.0, 2.0, 0.0, 4.0, 0.0, 0.0, 7.0, 0.0]);
        assert_eq!(mask.filtered(|rank| rank != 1).unwrap().voxels(), [1, 6]);
        let empty = Mask::from_fn(grid, |_| false).unwrap_err().to_string();
        assert!(empty.contains("at least one voxel"), "{empty}");
    }
}
