//! The subjects' maps as rows, and what of them is no value.

use super::chance::Chance;
use super::config::Zeros;
use super::inputs::chosen;
use crate::data::{Background, Grid, HALF_A_STEP, Mask};
use crate::error::{Error, Result};
use crate::io::nifti;
use crate::stats::group::fisher_z;
use crate::warning::Warning;
use ndarray::{Array2, ArrayView1, Axis};
use std::path::PathBuf;

/// How maps are read.
pub struct Rule<'a> {
    pub fisher: bool,
    pub zeros: Zeros,
    pub mask: Option<&'a Mask>,
}

impl Rule<'_> {
    /// Whether the user's mask, if there is one, has a voxel.
    pub fn wants(&self, voxel: usize) -> bool {
        self.mask.is_none_or(|mask| mask.rank(voxel).is_some())
    }
}

/// One subject's map.
pub struct Map {
    /// Its file, and its number where a file holds several.
    name: String,
    grid: Grid,
    values: Vec<f64>,
    step: f64,
}

/// The maps of all files; a single 4-D file holds all subjects.
pub fn volumes(paths: &[PathBuf], warnings: &mut Vec<Warning>) -> Result<Vec<Map>> {
    let mut maps = Vec::new();
    for path in paths {
        let mut file = nifti::read(path)?;
        warnings.extend(file.header().warning(path));
        let (grid, step, n) = (*file.grid(), file.header().step(), file.header().n_volumes);
        let at = path.display().to_string();
        if n > 1 && paths.len() > 1 {
            return Err(Error::invalid(at, "one volume", n.to_string(), "give a 3-D image"));
        }
        for volume in 0..n {
            let name = if n > 1 { format!("{at}, volume {volume}") } else { at.clone() };
            maps.push(Map { name, grid, values: file.next_values()?, step });
        }
    }
    Ok(maps)
}

/// The maps of one layer, one row a subject.
pub struct Rows {
    pub names: Vec<String>,
    /// n_subjects x all voxels of the grid; NaN where there is no value.
    pub values: Array2<f64>,
    /// Voxels that some subject has a value at, and not all the same one.
    pub varying: Vec<bool>,
    /// Maps that hold one value only, where a voxel may take part.
    pub empty: Vec<bool>,
    /// Numbers that are read as missing.
    pub absent: Array2<bool>,
}

impl Rows {
    /// # Errors
    /// [`Error::Invalid`] for a map of another grid, or values that are no correlations where
    /// Fisher's z is of them.
    pub fn new(maps: Vec<Map>, grid: &Grid, rule: &Rule<'_>, warnings: &mut Vec<Warning>) -> Result<Self> {
        let dim = (maps.len(), grid.n_voxels());
        let (mut values, mut absent) = (Array2::zeros(dim), Array2::from_elem(dim, false));
        let (mut names, mut steps, mut empty) = (vec![], vec![], vec![]);
        let mut levels = false;
        for (s, map) in maps.into_iter().enumerate() {
            grid.require_same(&map.name, &map.grid)?;
            check_correlations(&map, rule.fisher)?;
            let found = Background::of(&map.values, grid, map.step);
            let missing = |v: usize| rule.zeros == Zeros::Missing && found.voxels[v];
            let value = |v: usize| rule.wants(v) && map.values[v].is_finite() && !missing(v);
            empty.push(found.empty || !(0..dim.1).any(value));
            levels |= found.levels;
            absent.row_mut(s).iter_mut().enumerate().for_each(|(v, absent)| *absent = missing(v));
            values.row_mut(s).iter_mut().zip(map.values).for_each(|(x, value)| *x = value);
            names.push(map.name);
            steps.push(map.step);
        }
        if levels || rule.zeros == Zeros::Data {
            // Counts and weights may be 0 everywhere.
            let why = if levels { "the maps are of levels" } else { "zeros are values (`maps.zeros`)" };
            for s in (0..dim.0).filter(|&s| values.row(s).iter().any(|x| x.is_finite())) {
                if std::mem::take(&mut empty[s]) {
                    absent.row_mut(s).fill(false);
                    let text = format!("`{}` holds one value only: counted, since {why}", names[s]);
                    warnings.push(Warning::Note { text });
                }
            }
        }
        values.zip_mut_with(&absent, |x, absent| *x = if *absent { f64::NAN } else { *x });
        let varying = values.columns().into_iter().map(|column| varies(column, &steps, levels)).collect();
        let values = if rule.fisher { values.mapv_into(fisher_z) } else { values };
        Ok(Self { names, values, varying, empty, absent })
    }

    /// Refuses one map as that of two subjects, whatever its files are called.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn differ(&self) -> Result<()> {
        let same = |a: usize, b: usize| {
            self.values.row(a).iter().zip(self.values.row(b)).all(|(x, y)| x.to_bits() == y.to_bits())
        };
        let full: Vec<usize> = (0..self.names.len()).filter(|&s| !self.empty[s]).collect();
        for (i, &s) in full.iter().enumerate() {
            if let Some(&first) = full[..i].iter().find(|&&first| same(first, s)) {
                let found = format!("`{}` with the values of `{}`", self.names[s], self.names[first]);
                let hint = "one map of each subject: the same one twice counts a subject twice";
                return Err(Error::invalid("maps.subjects", "a map of each subject's own", found, hint));
            }
        }
        Ok(())
    }

    /// Takes off what chance gives: one for all subjects, or one each; nothing where none is given.
    ///
    /// # Errors
    /// As [`Chance::take_off`].
    pub fn take_off(&mut self, chances: &[Chance], grid: &Grid, fisher: bool) -> Result<()> {
        let Some(last) = chances.last() else { return Ok(()) };
        for (s, mut row) in self.values.rows_mut().into_iter().enumerate() {
            let own = chances.get(s).unwrap_or(last);
            if !own.is_zero() {
                own.take_off(row.iter_mut(), grid, fisher)?;
            }
        }
        Ok(())
    }

    /// Without some of the subjects.
    pub fn keep(&mut self, present: &[bool]) {
        let rows: Vec<usize> = (0..present.len()).filter(|&s| present[s]).collect();
        self.values = self.values.select(Axis(0), &rows);
        self.absent = self.absent.select(Axis(0), &rows);
        self.names = chosen(std::mem::take(&mut self.names), present);
    }
}

fn check_correlations(map: &Map, fisher: bool) -> Result<()> {
    // Rounding carries a correlation of 1 a little beyond it, scaled integers by up to their step.
    let largest = 1.0 + f64::from(f32::EPSILON) / 2.0 + map.step;
    if fisher && map.values.iter().any(|v| v.abs() > largest) {
        let hint = "Fisher's z is of correlations: `maps.no_fisher_z` for other values";
        return Err(Error::invalid(map.name.clone(), "correlations from -1 to 1", "larger values", hint));
    }
    Ok(())
}

/// Whether one number, to within the rounding of each map, is not the value of all subjects: of
/// levels 0, else any number.
fn varies(values: ArrayView1<'_, f64>, steps: &[f64], levels: bool) -> bool {
    let finite = || values.iter().zip(steps).filter(|(x, _)| x.is_finite());
    if levels {
        return finite().any(|(x, step)| x.abs() > HALF_A_STEP * step);
    }
    let low = finite().map(|(x, step)| x - HALF_A_STEP * step).fold(f64::NEG_INFINITY, f64::max);
    let high = finite().map(|(x, step)| x + HALF_A_STEP * step).fold(f64::INFINITY, f64::min);
    low > high || finite().count() == 1
}
