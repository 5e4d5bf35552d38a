//! Images of the brain on a grid of voxels.

use super::affine::Affine;
use crate::error::{Error, Result};
use std::fmt;

/// Images of scaled integers come back rounded: as a fraction of their step, what may be left of a
/// 0 that was stored, with some room for the 32 bits of the header's numbers.
pub const HALF_A_STEP: f64 = 0.505;

/// The grid of a volume: how many voxels, and where they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Voxels along i, j, k.
    pub shape: [usize; 3],
    /// Voxel indices to mm.
    pub affine: Affine,
}

impl Grid {
    /// Number of voxels.
    pub fn n_voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Position of voxel (i, j, k) in the arrays of this crate: i runs fastest, as in NIfTI files.
    pub fn index(&self, [i, j, k]: [usize; 3]) -> usize {
        i + self.shape[0] * (j + self.shape[1] * k)
    }

    /// Voxel (i, j, k) at a position.
    pub fn voxel(&self, index: usize) -> [usize; 3] {
        let [ni, nj, _] = self.shape;
        [index % ni, index / ni % nj, index / (ni * nj)]
    }

    /// Millimetres of the voxel at a position.
    pub fn mm(&self, index: usize) -> [f64; 3] {
        self.affine.apply(self.voxel(index).map(|v| v as f64))
    }

    /// Same shape and, to a thousandth of a millimetre, same affine.
    pub fn same(&self, other: &Self) -> bool {
        self.shape == other.shape && self.affine.same(&other.affine)
    }

    /// Refuses another grid.
    ///
    /// # Errors
    /// [`Error::Invalid`] that shows both grids.
    pub fn require_same(&self, at: &str, other: &Self) -> Result<()> {
        if self.same(other) {
            return Ok(());
        }
        let hint =
            "resample one onto the other's grid first (nilearn.image.resample_to_img, nearest neighbour for masks)";
        Err(Error::invalid(at, format!("the grid {self}"), format!("{other}"), hint))
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [i, j, k] = self.shape;
        write!(f, "{i} x {j} x {k} with affine {}", self.affine)
    }
}

/// One number a voxel.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    grid: Grid,
    values: Vec<f32>,
}

impl Volume {
    /// Takes the values in the grid's order (i fastest).
    ///
    /// # Errors
    /// [`Error::Invalid`] when their number is not that of the voxels.
    pub fn new(grid: Grid, values: Vec<f32>) -> Result<Self> {
        if values.len() != grid.n_voxels() {
            let expected = format!("{} values for {grid}", grid.n_voxels());
            return Err(Error::invalid("volume", expected, values.len().to_string(), ""));
        }
        Ok(Self { grid, values })
    }

    /// A volume of one value.
    pub fn filled(grid: Grid, value: f32) -> Self {
        Self { grid, values: vec![value; grid.n_voxels()] }
    }

    /// Where the voxels are.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The values, i fastest.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values, i fastest.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The value of a voxel.
    pub fn at(&self, ijk: [usize; 3]) -> f32 {
        self.values[self.grid.index(ijk)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_through_the_voxels() {
        let grid = Grid { shape: [2, 3, 4], affine: Affine::scaling([1.0, 2.0, 3.0]) };
        assert!((0..grid.n_voxels()).all(|p| grid.index(grid.voxel(p)) == p));
        assert_eq!((grid.voxel(1), grid.voxel(2)), ([1, 0, 0], [0, 1, 0]));
        assert_eq!(grid.mm(grid.index([1, 2, 3])), [1.0, 4.0, 9.0]);
    }

    #[test]
    fn another_grid_is_refused_with_both_printed() {
        let grid = Grid { shape: [2, 3, 4], affine: Affine::scaling([3.0; 3]) };
        let moved = Grid { affine: Affine::scaling([3.0, 3.0, 2.9]), ..grid };
        let error = grid.require_same("mask", &moved).unwrap_err().to_string();
        assert_eq!(
            error,
            "mask: expected the grid 2 x 3 x 4 with affine [3 0 0 0; 0 3 0 0; 0 0 3 0], \
             found 2 x 3 x 4 with affine [3 0 0 0; 0 3 0 0; 0 0 2.9 0]"
        );
        let rounded = Grid { affine: Affine::scaling([3.0, 3.0, 3.0 + 1e-4]), ..grid };
        assert!(grid.require_same("mask", &rounded).is_ok());
    }
}
