//! Betas, masks and regions from files.

use super::Recorded;
use super::regions::{label_image, named_columns};
use super::series::{self, FittedRun};
use crate::data::run_effects::is_proportional;
use crate::data::{Betas, Grid, Mask, Origin, RunEffects, Volume};
use crate::error::{Error, Result};
use crate::io::{glmsingle, labels, nifti, npy};
use crate::mapping::searchlight::Regions;
use crate::warning::Warning;
use ndarray::{Array2, ArrayView1, Axis, Ix2, concatenate};
use std::path::{Path, PathBuf};

/// What was read.
pub struct Data {
    pub betas: Betas,
    /// Where the voxels are; absent for npy patterns.
    pub mask: Option<Mask>,
    /// The mask of centres.
    pub centres: Option<Mask>,
    /// Behind the maps.
    pub background: Option<Volume>,
    /// Space of the first image's affine.
    pub space: nifti::Space,
    pub regions: Option<Regions>,
    /// Voxels of the mask that hold NaN or infinity in some sample, and were left out.
    pub n_dropped: usize,
    /// The models of time series, run by run; empty where betas were given.
    pub fitted: Vec<FittedRun>,
    pub warnings: Vec<Warning>,
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// Reads everything that is about the brain.
pub fn read(config: Recorded<'_>) -> Result<Data> {
    let own = config.betas;
    let bold = config.bold;
    let mut data = if !bold.files.is_empty() {
        from_series(config)?
    } else {
        require_labels(config)?;
        if ending(&own.files[0]) == "npy" { from_npy(config)? } else { from_images(config)? }
    };
    let fitted = !config.crossed && (own.centre_runs || own.run_effects && !is_proportional(&data.betas));
    let effects = if fitted { Some(RunEffects::of(&data.betas)?) } else { None };
    data.betas = match &effects {
        Some(effects) if own.centre_runs => effects.taken_off(&data.betas).without_mean_pattern(),
        Some(effects) => effects.taken_off(&data.betas),
        None if own.centre_runs => data.betas.centred_within_runs(),
        None => data.betas,
    };
    data.warnings.extend(unbalanced(&data.betas, config, effects.as_ref()));
    Ok(data)
}

fn require_labels(config: Recorded<'_>) -> Result<()> {
    let own = config.betas;
    if !matches!(own.labels.len(), 0 | 1) && own.labels.len() != own.files.len() {
        let expected = format!("one table for all, or {}", own.files.len());
        return Err(Error::invalid("betas.labels", expected, own.labels.len().to_string(), "one a file of betas"));
    }
    if own.labels.is_empty() {
        let hint = "a table with one row a volume and a column `condition` (BIDS events do)";
        return Err(Error::invalid("betas.labels", "what was shown in each volume", "none", hint));
    }
    Ok(())
}

/// Conditions that are spread over runs unevenly are allowed where nothing is cross-validated, but
/// the user should know.
fn unbalanced(betas: &Betas, config: Recorded<'_>, effects: Option<&RunEffects>) -> Vec<Warning> {
    let counts = betas.counts();
    let (conditions, runs) = (betas.condition_names(), betas.run_names());
    let mut said = Vec::new();
    let missing: Vec<String> = counts
        .indexed_iter()
        .filter(|(_, n)| **n == 0)
        .map(|((run, c), _)| format!("`{}` in run {}", conditions[c], runs[run]))
        .collect();
    let what = match effects {
        Some(_) => "what each run adds was fitted together with the conditions' patterns and taken off",
        None if config.crossed => "differences within runs are held against each other",
        None => "run differences enter the means (--no-run-effects)",
    };
    if !missing.is_empty() {
        let shown = missing.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = if missing.len() > 3 { ", ..." } else { "" };
        said.push(format!("not every condition is in every run ({} missing: {shown}{more}): {what}", missing.len()));
    }
    let samples = counts.sum_axis(Axis(0));
    let (least, most) = samples.iter().fold((usize::MAX, 0), |(low, high), &n| (low.min(n), high.max(n)));
    if least < most && !config.crossed {
        let of = |n: usize| samples.iter().position(|&s| s == n).map_or("", |c| conditions[c].as_str());
        said.push(format!(
            "conditions have {least} (`{}`) to {most} (`{}`) samples: dissimilarities that are not cross-validated are larger for those with fewer",
            of(least),
            of(most)
        ));
    }
    if let Some(effects) = effects.filter(|effects| effects.n_groups() > 1) {
        let first =
            |group: usize| effects.groups.iter().position(|&g| g == group).map_or("", |c| conditions[c].as_str());
        said.push(format!(
            "conditions fall into {} groups that no run connects, one with `{}` and one with `{}`: between them differences of runs cannot be told from differences of conditions, and are in their dissimilarities",
            effects.n_groups(),
            first(0),
            first(1)
        ));
    }
    said.into_iter().map(|text| Warning::Note { text }).collect()
}

/// Conditions and runs of all files' samples, and which volumes they are.
struct Samples {
    /// For each file: its volumes.
    volumes: Vec<Vec<usize>>,
    conditions: Vec<String>,
    runs: Vec<String>,
    warnings: Vec<Warning>,
}

/// What the files' names say of their runs, or numbers from 1 where they do not tell them apart.
fn run_names(files: &[PathBuf]) -> Vec<String> {
    let said: Vec<Option<String>> = files.iter().map(|f| labels::run_of_name(f)).collect();
    let distinct = said.iter().collect::<std::collections::HashSet<_>>().len() == files.len();
    let name = |(i, said): (usize, Option<String>)| said.filter(|_| distinct).unwrap_or_else(|| format!("{}", i + 1));
    said.into_iter().enumerate().map(name).collect()
}

fn samples(config: Recorded<'_>, n_volumes: &[usize]) -> Result<Samples> {
    let own = config.betas;
    let read =
        |path: &Path, n: &[usize]| labels::read(path, n, own.condition_column.as_deref(), own.run_column.as_deref());
    let names = run_names(&own.files);
    let volumes = vec![Vec::new(); own.files.len()];
    let mut found = Samples { volumes, conditions: vec![], runs: vec![], warnings: vec![] };
    if own.labels.len() == own.files.len() {
        for (file, path) in own.labels.iter().enumerate() {
            let labels = read(path, &n_volumes[file..=file])?;
            // Several files whose tables count their runs from one are still different runs.
            let runs = labels.runs.filter(|_| own.files.len() == 1 || own.run_column.is_some());
            found.runs.extend(runs.unwrap_or_else(|| vec![names[file].clone(); labels.volumes.len()]));
            found.conditions.extend(labels.conditions);
            found.volumes[file] = labels.volumes;
            // A table that is given for several files says the same each time.
            let new = labels.warnings.into_iter().filter(|w| !found.warnings.contains(w)).collect::<Vec<_>>();
            found.warnings.extend(new);
        }
        return Ok(found);
    }
    let labels = read(&own.labels[0], n_volumes)?;
    found.warnings = labels.warnings;
    let starts: Vec<usize> = n_volumes.iter().scan(0, |sum, &n| Some(std::mem::replace(sum, *sum + n))).collect();
    let mut order: Vec<usize> = (0..labels.volumes.len()).collect();
    order.sort_by_key(|&r| labels.volumes[r]);
    for r in order {
        let file = starts.partition_point(|&s| s <= labels.volumes[r]) - 1;
        found.volumes[file].push(labels.volumes[r] - starts[file]);
        found.conditions.push(labels.conditions[r].clone());
        found.runs.push(labels.runs.as_ref().map_or_else(|| names[file].clone(), |runs| runs[r].clone()));
    }
    Ok(found)
}

/// The grid and the mask of images; without a mask, all voxels.
struct Space {
    grid: Grid,
    space: nifti::Space,
    mask: Mask,
    /// Whether a mask was given.
    masked: bool,
    warnings: Vec<Warning>,
}

/// The samples of one file of betas.
struct Block {
    /// n_samples x n_voxels.
    values: Array2<f32>,
    /// The distance of the values that stored integers can have, see [`Origin`].
    step: f64,
}

impl Space {
    fn of(config: Recorded<'_>, first: Option<&PathBuf>) -> Result<Self> {
        let given = config.betas.mask.as_ref().map(|path| nifti::read_mask(path)).transpose()?;
        let (grid, space) = match (&given, first) {
            (_, Some(path)) => {
                let header = nifti::read_header(path)?;
                (header.grid, header.space)
            }
            (Some((mask, _)), None) => (*mask.grid(), nifti::Space::default()),
            (None, None) => {
                let hint = "HDF5 betas do not say where their voxels are: give a mask of the same volume";
                return Err(Error::invalid("betas.mask", "a mask for HDF5 betas", "none", hint));
            }
        };
        let masked = given.is_some();
        let (mask, warnings) = match given {
            Some((mask, warnings)) => {
                grid.require_same("betas.mask", mask.grid())?;
                (mask, warnings)
            }
            None => (Mask::from_fn(grid, |_| true)?, vec![]),
        };
        Ok(Self { grid, space, mask, masked, warnings })
    }

    /// Leaves out voxels that hold nothing, and reads what else lies on the grid.
    fn data(self, betas: Betas, origins: &[Origin], config: Recorded<'_>) -> Result<Data> {
        let Self { grid, space, mask, masked, mut warnings } = self;
        let kept = Kept::of(&betas, origins)?;
        let (betas, mask) = (betas.keep_voxels(&kept.keep)?, mask.filtered(|v| kept.keep[v])?);
        warnings.extend(kept.warnings(masked));
        let centres = match &config.betas.centres {
            Some(path) => {
                let (centres, said) = nifti::read_mask(path)?;
                mask.grid().require_same("betas.centres", centres.grid())?;
                warnings.extend(said);
                Some(centres)
            }
            None => None,
        };
        let background = match &config.betas.background {
            Some(path) => {
                let volume = nifti::read_volume(path)?;
                grid.require_same("betas.background", volume.grid())?;
                Some(volume)
            }
            None => None,
        };
        let regions = match &config.regions.image {
            Some(path) => {
                let (regions, said) = label_image(path, &config.regions.names, &mask, "regions.image")?;
                warnings.extend(said);
                Some(regions)
            }
            None => None,
        };
        let n_dropped = kept.n_not_finite;
        let (mask, fitted) = (Some(mask), vec![]);
        Ok(Data { betas, mask, centres, background, space, regions, n_dropped, fitted, warnings })
    }
}

/// Voxels that take part: they hold a number in every sample, and not always the same.
struct Kept {
    keep: Vec<bool>,
    n_not_finite: usize,
    /// Finite, and without variation in any run.
    n_constant: usize,
    /// Finite, and without variation in some run.
    n_in_part: usize,
}

impl Kept {
    fn of(betas: &Betas, origins: &[Origin]) -> Result<Self> {
        let finite = betas.finite_voxels();
        let n_not_finite = finite.iter().filter(|f| !**f).count();
        if n_not_finite == finite.len() {
            let found = format!("NaN or infinity in all {n_not_finite}");
            let hint = "a voxel takes part when it holds a number in every sample";
            return Err(Error::invalid("betas", "voxels with numbers", found, hint));
        }
        let variation = betas.variation(origins);
        let keep: Vec<bool> = finite.iter().zip(&variation.voxels).map(|(finite, varies)| *finite && *varies).collect();
        let n_same = finite.len() - n_not_finite - keep.iter().filter(|k| **k).count();
        if keep.iter().all(|k| !k) {
            let found = format!("the same number in every sample of all {n_same}");
            let hint = "are these betas, one volume a condition? a voxel without variation says nothing of conditions";
            return Err(Error::invalid("betas", "voxels that vary over the samples of each run", found, hint));
        }
        let n_in_part = variation.n_in_part.min(n_same);
        Ok(Self { keep, n_not_finite, n_constant: n_same - n_in_part, n_in_part })
    }

    /// What was left out of a mask; without one, it is what lies around the brain.
    fn warnings(&self, masked: bool) -> Vec<Warning> {
        let left = self.keep.iter().filter(|k| **k).count();
        let say = |n: usize, what: &str| {
            let text = format!("{n} voxels {what} and were left out; {left} are used");
            (n > 0).then_some(Warning::Note { text })
        };
        let masked = |n: usize| if masked { n } else { 0 };
        let said = [
            say(masked(self.n_not_finite), "of the mask hold NaN or infinity in some sample"),
            say(masked(self.n_constant), "of the mask hold the same number in every sample"),
            say(
                self.n_in_part,
                "hold the same number in every sample of some run, but not of all (does the scanned volume differ between runs?)",
            ),
        ];
        said.into_iter().flatten().collect()
    }
}

fn from_images(config: Recorded<'_>) -> Result<Data> {
    let own = config.betas;
    let hdf5 = |path: &Path| matches!(ending(path).as_str(), "hdf5" | "h5");
    let mut space = Space::of(config, own.files.iter().find(|p| !hdf5(p)))?;
    let mut blocks: Vec<Block> = Vec::new();
    for path in &own.files {
        blocks.push(if hdf5(path) {
            let estimates = glmsingle::read(path, &space.mask)?;
            let n = space.grid.n_voxels();
            let values = Array2::from_shape_fn((estimates.n_volumes, space.mask.n_voxels()), |(t, v)| {
                estimates.values[t * n + space.mask.voxels()[v] as usize]
            });
            Block { values, step: 0.0 }
        } else {
            let file = nifti::read(path)?;
            let step = file.header().step();
            space.warnings.extend(file.header().warning(path));
            Block { values: file.masked(&space.mask)?, step }
        });
    }
    let (betas, origins, rows, warnings) = labelled(config, &blocks)?;
    empty_volume(&betas, &rows, &own.files)?;
    let mut data = space.data(betas, &origins, config)?;
    data.warnings.extend(warnings);
    Ok(data)
}

/// Refuses volumes that hold one number everywhere: an estimate that was not made, or a file that
/// was not filled.
fn empty_volume(betas: &Betas, rows: &[(usize, usize)], files: &[PathBuf]) -> Result<()> {
    let number = |row: ArrayView1<'_, f32>| row.iter().copied().find(|x| x.is_finite());
    let one = |row: ArrayView1<'_, f32>| {
        let first = number(row);
        row.iter().all(|x| !x.is_finite() || Some(*x) == first)
    };
    // Betas without any number are refused as such.
    if betas.n_voxels() < 2 || betas.patterns().iter().all(|x| !x.is_finite()) {
        return Ok(());
    }
    let Some(s) = betas.patterns().rows().into_iter().position(one) else { return Ok(()) };
    let (file, volume) = rows[s];
    let at = format!("{}, volume {volume} (counted from 0)", files[file].display());
    let condition = &betas.condition_names()[betas.conditions()[s]];
    let found = format!("{} in every voxel", number(betas.patterns().row(s)).unwrap_or(f32::NAN));
    let hint = "an estimate that could not be made? write n/a as its condition to leave the volume out";
    Err(Error::invalid(at, format!("a pattern of `{condition}`"), found, hint))
}

/// Betas of a least-squares fit of time series.
fn from_series(config: Recorded<'_>) -> Result<Data> {
    let mut space = Space::of(config, config.bold.files.first())?;
    let names = run_names(&config.bold.files);
    let series = series::read(config, &space.grid, &space.mask, &names)?;
    let whole = space.mask.clone();
    space.warnings.extend(series.warnings);
    // Estimates are no rounded numbers, and NaN where the series does not vary.
    let origins = vec![Origin { file: 0, step: 0.0 }; series.betas.runs().len()];
    let mut data = space.data(series.betas, &origins, config)?;
    data.fitted = series.runs;
    // Goodness of fit only of the voxels that are used.
    let kept: Vec<usize> = (0..whole.n_voxels())
        .filter(|&v| data.mask.as_ref().is_some_and(|m| m.rank(whole.voxels()[v] as usize).is_some()))
        .collect();
    data.fitted.iter_mut().for_each(|run| run.r2 = kept.iter().map(|&v| run.r2[v]).collect());
    Ok(data)
}

/// Betas; where their samples come from; file and volume of each; warnings.
type Labelled = (Betas, Vec<Origin>, Vec<(usize, usize)>, Vec<Warning>);

/// The samples that the tables name, with their conditions and runs; where they come from; file and
/// volume of each; and what is to be said of the tables.
fn labelled(config: Recorded<'_>, blocks: &[Block]) -> Result<Labelled> {
    let n_volumes: Vec<usize> = blocks.iter().map(|b| b.values.nrows()).collect();
    let samples = samples(config, &n_volumes)?;
    let chosen: Vec<Array2<f32>> =
        blocks.iter().zip(&samples.volumes).map(|(block, rows)| block.values.select(Axis(0), rows)).collect();
    let views: Vec<_> = chosen.iter().map(|b| b.view()).collect();
    let patterns = concatenate(Axis(0), &views).expect("as many voxels each");
    let of_file = |(file, volumes): (usize, &Vec<usize>)| volumes.iter().map(|&v| (file, v)).collect::<Vec<_>>();
    let rows: Vec<(usize, usize)> = samples.volumes.iter().enumerate().flat_map(of_file).collect();
    let origins = rows.iter().map(|&(file, _)| Origin { file, step: blocks[file].step }).collect();
    Ok((Betas::new(patterns, &samples.conditions, &samples.runs)?, origins, rows, samples.warnings))
}

fn from_npy(config: Recorded<'_>) -> Result<Data> {
    let own = config.betas;
    let mut blocks = Vec::new();
    for path in &own.files {
        let array = npy::read::<f32>(path)?;
        let found = format!("{:?}", array.shape());
        let hint = "one row a sample, one column a voxel";
        let rows = array.into_dimensionality::<Ix2>();
        let values = rows.map_err(|_| Error::corrupt(path, "n_samples x n_voxels", found, hint))?;
        blocks.push(Block { values, step: 0.0 });
    }
    let n_voxels = |b: &Block| b.values.ncols();
    if let Some(block) = blocks.iter().find(|b| n_voxels(b) != n_voxels(&blocks[0])) {
        let found = n_voxels(block).to_string();
        return Err(Error::invalid("betas.files", format!("{} voxels in every file", n_voxels(&blocks[0])), found, ""));
    }
    let (betas, origins, _, mut warnings) = labelled(config, &blocks)?;
    let kept = Kept::of(&betas, &origins)?;
    let regions = named_columns(config, &kept.keep)?;
    let n_dropped = kept.n_not_finite;
    let betas = betas.keep_voxels(&kept.keep)?;
    warnings.extend(kept.warnings(true));
    Ok(Data {
        warnings,
        betas,
        mask: None,
        centres: None,
        background: None,
        space: nifti::Space::default(),
        regions: Some(regions),
        n_dropped,
        fitted: vec![],
    })
}
