//! The subjects' maps under the relabellings that `map` kept, the same in all subjects.

use super::chance::Chance;
use super::runs::Set;
use crate::data::Mask;
use crate::error::{Error, Result};
use crate::io::json;
use crate::io::npy_blocks::Reader;
use crate::job::brain::relabelled::{About, files};
use crate::stats::group::fisher_z;
use ndarray::Array2;
use std::path::{Path, PathBuf};

/// Relabelled maps of all subjects, read when they are asked for.
pub struct Relabelled {
    subjects: Vec<Subject>,
    /// Relabellings that all subjects have.
    pub n: usize,
    /// Conditions that are relabelled.
    pub n_conditions: usize,
    fisher: bool,
}

/// One subject's file.
struct Subject {
    path: PathBuf,
    about: About,
    /// Of every layer that is tested, its place along the first axis.
    values: Vec<usize>,
    /// Of every voxel that takes part, its place along the last axis.
    columns: Vec<Option<usize>>,
    /// What is taken off each layer's maps, at every voxel; empty for nothing.
    taken_off: Vec<Vec<f64>>,
}

/// How the observed maps were read.
pub struct Read<'a> {
    pub mask: &'a Mask,
    pub fisher: bool,
    /// What is taken off all maps; where it is absent, what the set says.
    pub chance: Option<&'a Chance>,
    /// Subjects who are left.
    pub present: &'a [bool],
}

impl Relabelled {
    /// Of the runs of a set.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a run kept none, or not those of the others; [`Error::Corrupt`].
    pub fn open(set: &Set, read: &Read<'_>) -> Result<Self> {
        if let Some(kind) = set.kind.as_ref().filter(|kind| !kind.is_compared()) {
            let hint = "relabelled maps are of the comparison: leave `maps.stat` out";
            return Err(Error::invalid("test.generalise", "the comparison of `map`", kind.to_string(), hint));
        }
        let here = (0..read.present.len()).filter(|&s| read.present[s]);
        let subjects = here.map(|s| Subject::open(set, s, read)).collect::<Result<Vec<_>>>()?;
        let n = subjects.iter().map(|own| own.about.relabellings.len()).min().unwrap_or(0);
        for own in &subjects[1..] {
            let first = &subjects[0];
            let same = own.about.conditions == first.about.conditions
                && own.about.relabellings[..n] == first.about.relabellings[..n];
            if !same {
                let expected = format!("the conditions and relabellings of {}", first.path.display());
                let found = format!("{} other ones", own.about.conditions.len());
                let hint = "all subjects must have seen the same images, under the same names: map them again";
                return Err(Error::invalid(own.path.display().to_string(), expected, found, hint));
            }
        }
        let n_conditions = subjects[0].about.conditions.len();
        Ok(Self { subjects, n, n_conditions, fisher: read.fisher })
    }

    /// The files, ready to be read.
    pub fn readers(&self) -> Result<Vec<Reader>> {
        self.subjects.iter().map(|own| Reader::open(&own.path)).collect()
    }

    /// Maps of layer `layer` under relabelling `k`, n_subjects x n_voxels, as the observed ones
    /// are.
    pub fn maps(&self, layer: usize, k: usize, readers: &mut [Reader]) -> Result<Array2<f64>> {
        let n_voxels = self.subjects[0].columns.len();
        let mut out = Array2::from_elem((self.subjects.len(), n_voxels), f64::NAN);
        for ((own, reader), mut row) in self.subjects.iter().zip(readers).zip(out.rows_mut()) {
            let n_places = own.about.voxels.len();
            let map = reader.read((own.values[layer] * own.about.relabellings.len() + k) * n_places, n_places)?;
            for (to, column) in row.iter_mut().zip(&own.columns) {
                let value = column.map_or(f64::NAN, |column| f64::from(map[column]));
                *to = if self.fisher { fisher_z(value) } else { value };
            }
            row.iter_mut().zip(&own.taken_off[layer]).for_each(|(to, chance)| *to -= chance);
        }
        Ok(out)
    }
}

impl Subject {
    fn open(set: &Set, s: usize, read: &Read<'_>) -> Result<Self> {
        let folder = set.paths[0][s].parent().unwrap_or(Path::new("."));
        let [array, words] = files(folder);
        if !array.is_file() || !words.is_file() {
            let hint = "map the subjects again with `test.keep_relabellings`, 1000 for instance";
            let at = folder.display().to_string();
            return Err(Error::invalid(at, "maps of relabelled conditions", "a run that kept none", hint));
        }
        let about: About = json::read(&words)?;
        let sides = [about.values.len(), about.relabellings.len(), about.voxels.len()];
        let reader = Reader::open(&array)?;
        let fits = reader.shape() == sides
            && about.voxels.is_sorted_by(|a, b| a < b)
            && about.voxels.last().is_some_and(|&v| (v as usize) < read.mask.grid().n_voxels());
        if !fits {
            let hint = "map the subject again: the two files are of different runs";
            let expected = format!("values x relabellings x voxels, {sides:?}, as {} says", words.display());
            return Err(Error::corrupt(&array, expected, format!("{:?}", reader.shape()), hint));
        }
        let value = |name: &String| {
            let found = about.values.iter().position(|own| own == name);
            found
                .ok_or_else(|| Error::corrupt(&words, format!("the layer `{name}`"), "others", "map the subject again"))
        };
        let values = set.names.iter().map(value).collect::<Result<Vec<_>>>()?;
        let columns = read.mask.voxels().iter().map(|v| about.voxels.binary_search(v).ok()).collect();
        let taken_off = (0..set.names.len()).map(|n| taken_off(set, n, s, read)).collect::<Result<Vec<_>>>()?;
        Ok(Self { path: array, about, values, columns, taken_off })
    }
}

/// What chance gives of one subject's map at the voxels of the mask; empty where it is 0.
fn taken_off(set: &Set, n: usize, s: usize, read: &Read<'_>) -> Result<Vec<f64>> {
    let said = set.chances.get(n).and_then(|all| all.get(s));
    let Some(chance) = read.chance.or(said).filter(|chance| !chance.is_zero()) else { return Ok(vec![]) };
    let mut off = vec![0.0; read.mask.grid().n_voxels()];
    chance.take_off(off.iter_mut(), read.mask.grid(), read.fisher)?;
    Ok(read.mask.voxels().iter().map(|&v| -off[v as usize]).collect())
}
