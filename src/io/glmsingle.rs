//! Single-trial response estimates of GLMsingle (`TYPED_FITHRF_GLMDENOISE_RR.hdf5` and its sisters)
//! and of the Natural Scenes Dataset (`betas_session01.hdf5`).
//!
//! MATLAB writes arrays with the axes reversed: what is x, y, z, trial there is trial, z, y, x in
//! the file, so that x runs fastest; that is this crate's order too. The Python version writes x,
//! y, z, trial as they are, trial fastest.

use super::hdf5::{self, Class, Numbers, Stored};
use super::source;
use crate::data::{Grid, Mask};
use crate::error::{Error, Result};
use crate::size;
use hdf5_pure::{Dataset, File};
use std::path::Path;

/// Names under which the estimates are stored: by GLMsingle for Python, by the Natural Scenes
/// Dataset, by GLMsingle for MATLAB.
pub const NAMES: [&str; 3] = ["betasmd", "betas", "modelmd"];

/// Percent signal change is stored times this in 16-bit integers of the Natural Scenes Dataset.
const NSD_FACTOR: f64 = 300.0;

/// Estimates of all voxels.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimates {
    /// Trials.
    pub n_volumes: usize,
    /// n_volumes x n_voxels, x fastest within a volume.
    pub values: Vec<f32>,
}

/// Order of the axes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// trial, z, y, x: written by MATLAB.
    Matlab,
    /// x, y, z, trial: written by Python.
    Python,
}

/// Reads the estimates of the voxels of a mask's grid. Integers of 16 bits are the Natural Scenes
/// Dataset's, 300 times the percent signal change, and are divided by that; numbers of any other
/// type are taken as they are.
///
/// Where the array fits the grid in both orders of the axes, what else the file says decides:
/// `betasmd` is GLMsingle's for Python, `modelmd` and MATLAB's attributes are MATLAB's, volumes
/// beside the estimates (`R2`, `meanvol`) show their own order, and trials without any number must
/// lie outside the mask.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] when the file is no HDF5, holds none of [`NAMES`], or an array
/// of another shape than the grid's; [`Error::Invalid`] when both orders fit and nothing, or
/// something for each, tells them apart.
pub fn read(path: &Path, mask: &Mask) -> Result<Estimates> {
    let bytes = source::read(path)?;
    hdf5::apart(|| decode(bytes, path, mask)).unwrap_or_else(|panic| {
        let found = format!("a file that the HDF5 library gives up on ({panic})");
        Err(Error::corrupt(path, "estimates in HDF5", found, "download or save the file again"))
    })
}

fn decode(bytes: Vec<u8>, path: &Path, mask: &Mask) -> Result<Estimates> {
    let grid = mask.grid();
    // Estimates differ from voxel to voxel: nothing honest is all fill value, as masks may be.
    let most = (bytes.len() as u64).saturating_mul(size::RATIO).max(size::FREE / 8);
    let expected = format!("`{}` of {grid}", NAMES.join("` or `"));
    let bad = |found: String, hint: &str| Error::corrupt(path, &expected, found, hint);
    let file = hdf5::open(bytes).map_err(|e| bad(e, "download or save the file again"))?;
    let Some((name, dataset)) = NAMES.iter().find_map(|name| Some((*name, file.dataset(name).ok()?))) else {
        let there = file.root().datasets().unwrap_or_default();
        let found = if there.is_empty() { "no dataset".into() } else { format!("`{}`", there.join("`, `")) };
        return Err(bad(found, "save the estimates under one of these names, at the top of the file"));
    };
    let stored = hdf5::numbers(&dataset, most).map_err(|e| bad(e, "save the estimates as integers or floats"))?;
    let orders = fitting(&stored.shape, grid);
    let numbers = |divisor| stored.to_f32(divisor).map_err(|e| bad(e, "save the estimates in smaller units"));
    let values = numbers(if nsd(name, stored.stored) { NSD_FACTOR } else { 1.0 })?;
    let order = match orders[..] {
        [] => {
            let hint = "give a mask of the volume that the estimates are of (`mask`)";
            return Err(bad(format!("an array of {:?}", stored.shape), hint));
        }
        [only] => only,
        _ => told_apart(path, &file, (name, &dataset), &stored, &values, mask)?,
    };
    let n_volumes = if order == Order::Matlab { stored.shape[0] } else { stored.shape[3] };
    let values = if order == Order::Matlab { values } else { trials_first(&values, grid, n_volumes) };
    Ok(Estimates { n_volumes, values })
}

/// Whether a dataset is the Natural Scenes Dataset's kind.
fn nsd(name: &str, stored: Stored) -> bool {
    name == "betas" && stored.class == Class::Signed && stored.bytes == 2
}

/// The orders of the axes in which an array is of a grid.
fn fitting(shape: &[usize], grid: &Grid) -> Vec<Order> {
    let [i, j, k] = grid.shape;
    let mut orders = vec![];
    if shape.len() == 4 {
        orders.extend((shape[1..] == [k, j, i]).then_some(Order::Matlab));
        orders.extend((shape[..3] == [i, j, k]).then_some(Order::Python));
    }
    orders
}

/// Decides between two orders that both fit.
fn told_apart(
    path: &Path,
    file: &File,
    (name, dataset): (&str, &Dataset),
    stored: &Numbers,
    values: &[f32],
    mask: &Mask,
) -> Result<Order> {
    let [i, j, k] = mask.grid().shape;
    let mut signs: Vec<(Order, String)> = vec![];
    match name {
        "betasmd" => signs.push((Order::Python, "`betasmd` is what GLMsingle for Python writes".into())),
        "modelmd" => signs.push((Order::Matlab, "`modelmd` is what GLMsingle for MATLAB writes".into())),
        _ => {}
    }
    if dataset.attrs().is_ok_and(|a| a.keys().any(|key| key.starts_with("MATLAB"))) {
        signs.push((Order::Matlab, "it has attributes of MATLAB".into()));
    }
    for other in file.root().datasets().unwrap_or_default() {
        let shape = file.dataset(&other).and_then(|d| d.shape()).unwrap_or_default();
        let [a, b, c] = shape[..] else { continue };
        let of = [a, b, c].map(|d| d as usize);
        match (of == [i, j, k], of == [k, j, i]) {
            (true, false) => signs.push((Order::Python, format!("`{other}` lies as x, y, z"))),
            (false, true) => signs.push((Order::Matlab, format!("`{other}` lies as z, y, x"))),
            _ => {}
        }
    }
    signs.extend(from_mask(values, stored.shape[0], mask));
    let first = signs.first().map(|s| s.0);
    if let Some(order) = first.filter(|&order| signs.iter().all(|s| s.0 == order)) {
        return Ok(order);
    }
    let why = signs.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", but ");
    let why = if why.is_empty() { "nothing in the file or the mask tells which".into() } else { why };
    Err(Error::invalid(
        format!("{}: `{name}`", path.display()),
        "axes in one order",
        format!("{:?}, which is trial, z, y, x (MATLAB) as well as x, y, z, trial (Python); {why}", stored.shape),
        "give a mask with voxels outside it that hold no numbers, or save the estimates as NIfTI, which says its axes",
    ))
}

/// Voxels that hold nothing (0 or NaN in every trial) are outside the mask: the order in which that
/// is so.
fn from_mask(values: &[f32], n_trials: usize, mask: &Mask) -> Option<(Order, String)> {
    let grid = mask.grid();
    let n = grid.n_voxels();
    if mask.n_voxels() == n {
        return None;
    }
    let something = |v: f32| v != 0.0 && v.is_finite();
    let wrong = |voxel: &dyn Fn(usize, usize) -> f32| {
        (0..n).filter(|&p| (0..n_trials).any(|t| something(voxel(p, t))) != mask.rank(p).is_some()).count()
    };
    let [_, nj, nk] = grid.shape;
    let matlab = wrong(&|p, t| values[t * n + p]);
    let python = wrong(&|p, t| {
        let [i, j, k] = grid.voxel(p);
        values[((i * nj + j) * nk + k) * n_trials + t]
    });
    let text = |order: &str| format!("the voxels without numbers are those outside the mask in {order}'s order");
    match () {
        () if 2 * matlab < python => Some((Order::Matlab, text("MATLAB"))),
        () if 2 * python < matlab => Some((Order::Python, text("Python"))),
        () => None,
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
    use hdf5_pure::{DatasetBuilder, FileBuilder};

    fn grid(shape: [usize; 3]) -> Grid {
        Grid { shape, affine: Affine::scaling([1.0; 3]) }
    }

    fn whole(grid: Grid) -> Mask {
        Mask::from_fn(grid, |_| true).unwrap()
    }

    /// A value that names its voxel and its trial.
    fn value([i, j, k]: [usize; 3], t: usize) -> f32 {
        (1000 * (t + 1) + 100 * i + 10 * j + k) as f32
    }

    /// The same estimates as trials x z x y x x and as x x y x z x trials; voxels outside of
    /// `inside` hold 0.
    fn both(grid: &Grid, n: usize, inside: impl Fn([usize; 3]) -> bool) -> [(Vec<u64>, Vec<f32>); 2] {
        let [ni, nj, nk] = grid.shape;
        let at = |v: [usize; 3], t: usize| if inside(v) { value(v, t) } else { 0.0 };
        let voxels = grid.n_voxels();
        let matlab = (0..n).flat_map(|t| (0..voxels).map(move |p| (p, t))).map(|(p, t)| at(grid.voxel(p), t)).collect();
        let mut python = vec![];
        for i in 0..ni {
            for j in 0..nj {
                for k in 0..nk {
                    python.extend((0..n).map(|t| at([i, j, k], t)));
                }
            }
        }
        let sizes = |dims: [usize; 4]| dims.map(|d| d as u64).to_vec();
        [(sizes([n, nk, nj, ni]), matlab), (sizes([ni, nj, nk, n]), python)]
    }

    #[test]
    fn both_orders_give_the_same() {
        let grid = grid([2, 3, 4]);
        let files = both(&grid, 5, |_| true);
        let expected = files[0].1.clone();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.hdf5");
        for (shape, values) in files {
            let mut writer = FileBuilder::new();
            writer.create_dataset("betasmd").with_f32_data(&values).with_shape(&shape);
            writer.write(&path).unwrap();
            let found = read(&path, &whole(grid)).unwrap();
            assert_eq!((found.n_volumes, &found.values), (5, &expected), "{shape:?}");
            let other = Grid { shape: [2, 3, 5], ..grid };
            let error = read(&path, &whole(other)).unwrap_err().to_string();
            assert!(error.contains("an array of"), "{error}");
        }
        std::fs::write(&path, b"no HDF5").unwrap();
        assert!(read(&path, &whole(grid)).unwrap_err().to_string().contains("no HDF5"));
    }

    #[test]
    fn wide_integers_keep_their_values_and_only_nsd_is_divided() {
        let grid = grid([1, 2, 1]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.hdf5");
        type Fill<'a> = &'a dyn Fn(&mut DatasetBuilder) -> &mut DatasetBuilder;
        let check = |name: &str, expected: [f32; 4], fill: Fill<'_>| {
            let mut writer = FileBuilder::new();
            fill(writer.create_dataset(name)).with_shape(&[2, 1, 2, 1]);
            writer.write(&path).unwrap();
            assert_eq!(read(&path, &whole(grid)).unwrap().values, expected, "{name}");
        };
        let wide = [70_000, -70_000, 300, 1];
        check("betas", wide.map(|v| v as f32), &|d| d.with_i32_data(&wide));
        check("betas", [65535.0, 300.0, 0.0, 1.0], &|d| d.with_u16_data(&[65535, 300, 0, 1]));
        check("betas", [3e9, 300.0, 0.0, 1.0], &|d| d.with_i64_data(&[3_000_000_000, 300, 0, 1]));
        check("betas", [1.0, -2.0, 0.0, 0.5], &|d| d.with_i16_data(&[300, -600, 0, 150]));
        check("betasmd", [300.0, -600.0, 0.0, 150.0], &|d| d.with_i16_data(&[300, -600, 0, 150]));
        check("betasmd", [0.1, 0.2, 0.3, 0.4], &|d| d.with_f64_data(&[0.1, 0.2, 0.3, 0.4]));
    }

    #[test]
    fn an_array_that_fits_both_ways_is_read_by_evidence_or_refused() {
        // Three trials of a 3 x 2 x 2 grid: 3, 2, 2, 3 either way.
        let grid = grid([3, 2, 2]);
        let inside = |[i, _, k]: [usize; 3]| i > 0 && k == 0;
        let [matlab, python] = both(&grid, 3, inside);
        let expected = matlab.1.clone();
        let mask = Mask::from_fn(grid, |p| inside(grid.voxel(p))).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.hdf5");
        let write = |name: &str, (shape, values): &(Vec<u64>, Vec<f32>), beside: Option<&[u64]>| {
            let mut writer = FileBuilder::new();
            writer.create_dataset(name).with_f32_data(values).with_shape(shape);
            if let Some(beside) = beside {
                writer.create_dataset("R2").with_f32_data(&[1.0; 12]).with_shape(beside);
            }
            writer.write(&path).unwrap();
        };
        for stored in [&matlab, &python] {
            write("betas", stored, None);
            assert_eq!(read(&path, &mask).unwrap().values, expected, "by the mask");
            let error = read(&path, &whole(grid)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains("MATLAB") && text.contains("Python") && text.contains("b.hdf5"), "{text}");
        }
        write("betas", &python, Some(&[3, 2, 2]));
        assert_eq!(read(&path, &whole(grid)).unwrap().values, expected, "by a volume beside it");
        write("betas", &matlab, Some(&[2, 2, 3]));
        assert_eq!(read(&path, &whole(grid)).unwrap().values, expected, "by a volume beside it");
        write("betasmd", &python, None);
        assert_eq!(read(&path, &whole(grid)).unwrap().values, expected, "by the name");
        write("modelmd", &matlab, None);
        assert_eq!(read(&path, &whole(grid)).unwrap().values, expected, "by the name");
        write("betasmd", &matlab, None);
        let text = read(&path, &mask).unwrap_err().to_string();
        assert!(text.contains("betasmd` is what GLMsingle for Python") && text.contains("MATLAB's order"), "{text}");
    }

    #[test]
    fn a_missing_name_says_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.hdf5");
        let mut writer = FileBuilder::new();
        writer.create_dataset("meanvol").with_f32_data(&[1.0; 2]).with_shape(&[1, 2]);
        writer.write(&path).unwrap();
        let error = read(&path, &whole(grid([1, 2, 1]))).unwrap_err();
        assert!(error.to_string().contains("`meanvol`") && !error.hint().unwrap().contains("damaged"), "{error}");
    }
}
