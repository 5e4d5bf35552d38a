//! Single-trial response estimates of GLMsingle (`TYPED_FITHRF_GLMDENOISE_RR.hdf5` and its sisters) and of the Natural Scenes
//! Dataset (`betas_session01.hdf5`).
//!
//! MATLAB writes arrays with the axes reversed: what is x, y, z, trial there is trial, z, y, x in the file, so that x runs
//! fastest; that is this crate's order too. The Python version writes x, y, z, trial as they are, trial fastest.

use crate::data::Grid;
use crate::error::{Error, Result};
use hdf5_pure::File;
use std::path::Path;

/// Names under which the estimates are stored.
pub const NAMES: [&str; 3] = ["betasmd", "betas", "modelmd"];

/// Estimates of all voxels.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimates {
    /// Trials.
    pub n_volumes: usize,
    /// n_volumes x n_voxels, x fastest within a volume.
    pub values: Vec<f32>,
}

/// Reads the estimates of a grid's voxels. Integers are the Natural Scenes Dataset's, 300 times the percent signal change, and
/// are divided by that.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] when the file is no HDF5, holds none of [`NAMES`], or an array of another shape than the
/// grid's.
pub fn read(path: &Path, grid: &Grid) -> Result<Estimates> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    let bad = |found: String| {
        let hint = "give a GLMsingle result saved as HDF5, with a mask of the same volume (--mask)";
        Error::corrupt(path, format!("`{}` of {grid}", NAMES.join("` or `")), found, hint)
    };
    let file = File::from_bytes(bytes).map_err(|e| bad(format!("a file that is no HDF5 or is damaged ({e})")))?;
    let Some(dataset) = NAMES.iter().find_map(|name| file.dataset(name).ok()) else {
        return Err(bad("none of them".into()));
    };
    let shape: Vec<usize> = dataset.shape().map_err(|e| bad(e.to_string()))?.iter().map(|&d| d as usize).collect();
    let [i, j, k] = grid.shape;
    let n = grid.n_voxels();
    let integers = dataset.dtype().is_ok_and(|t| format!("{t:?}").starts_with(['I', 'U']));
    let mut values = if integers {
        let whole = dataset.read_i16().map_err(|e| bad(e.to_string()))?;
        whole.into_iter().map(|v| f32::from(v) / 300.0).collect()
    } else {
        dataset.read_f32().map_err(|e| bad(e.to_string()))?
    };
    match shape.as_slice() {
        [t, a, b, c] if [*a, *b, *c] == [k, j, i] && values.len() == t * n => Ok(Estimates { n_volumes: *t, values }),
        [a, b, c, t] if [*a, *b, *c] == [i, j, k] && values.len() == t * n => {
            values = trials_first(&values, grid, *t);
            Ok(Estimates { n_volumes: *t, values })
        }
        other => Err(bad(format!("an array of {other:?}"))),
    }
}

/// x, y, z, trial with the trial fastest -> trial by trial with x fastest.
fn trials_first(values: &[f32], grid: &Grid, n_volumes: usize) -> Vec<f32> {
    let n = grid.n_voxels();
    let [_, nj, nk] = grid.shape;
    let mut out = vec![0.0; values.len()];
    for position in 0..n {
        let [i, j, k] = grid.voxel(position);
        let from = ((i * nj + j) * nk + k) * n_volumes;
        (0..n_volumes).for_each(|t| out[t * n + position] = values[from + t]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Affine;

    #[test]
    fn both_orders_give_the_same() {
        let grid = Grid { shape: [2, 3, 4], affine: Affine::scaling([1.0; 3]) };
        let value = |[i, j, k]: [usize; 3], t: usize| (1000 * t + 100 * i + 10 * j + k) as f32;
        let expected: Vec<f32> =
            (0..5).flat_map(|t| (0..24).map(move |p| (p, t))).map(|(p, t)| value(grid.voxel(p), t)).collect();
        let python: Vec<f32> = (0..2)
            .flat_map(|i| (0..3).flat_map(move |j| (0..4).flat_map(move |k| (0..5).map(move |t| ([i, j, k], t)))))
            .map(|(v, t)| value(v, t))
            .collect();
        let dir = tempfile::tempdir().unwrap();
        for (name, shape, values) in
            [("matlab", vec![5u64, 4, 3, 2], expected.clone()), ("python", vec![2, 3, 4, 5], python)]
        {
            let path = dir.path().join(format!("{name}.hdf5"));
            let mut writer = hdf5_pure::FileBuilder::new();
            writer.create_dataset("betasmd").with_f32_data(&values).with_shape(&shape);
            writer.write(&path).unwrap();
            let found = read(&path, &grid).unwrap();
            assert_eq!((found.n_volumes, &found.values), (5, &expected), "{name}");
            let other = Grid { shape: [2, 3, 5], ..grid };
            let error = read(&path, &other).unwrap_err().to_string();
            assert!(error.contains("an array of"), "{error}");
        }
        let path = dir.path().join("no.hdf5");
        std::fs::write(&path, b"no HDF5").unwrap();
        assert!(read(&path, &grid).unwrap_err().to_string().contains("no HDF5"));
    }
}
