//! Betas, masks and regions from files.

use super::config::Config;
use super::places::{label_image, named_columns};
use super::series::{self, FittedRun};
use crate::data::{Betas, Grid, Mask, Volume};
use crate::error::{Error, Result};
use crate::io::{glmsingle, labels, nifti, npy};
use crate::job::manifest::hash_file;
use crate::mapping::searchlight::Regions;
use crate::warning::Warning;
use ndarray::{Array2, Axis, Ix2, concatenate};
use std::collections::BTreeMap;
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
    /// Voxels of the mask that hold NaN or infinity in some sample.
    pub n_dropped: usize,
    /// The models of time series, run by run; empty where betas were given.
    pub fitted: Vec<FittedRun>,
    pub hashes: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// Reads everything that is about the brain.
pub fn read(config: &Config) -> Result<Data> {
    let own = &config.betas;
    let mut hashes = BTreeMap::new();
    let bold = &config.bold;
    let mut named: Vec<(&str, &PathBuf)> = own.files.iter().map(|p| ("betas", p)).collect();
    named.extend(bold.files.iter().map(|p| ("bold", p)));
    named.extend(bold.events.iter().map(|p| ("events", p)));
    named.extend(bold.confounds.iter().map(|p| ("confounds", p)));
    named.extend(own.labels.iter().map(|p| ("labels", p)));
    named.extend(own.mask.iter().map(|p| ("mask", p)));
    named.extend(own.centres.iter().map(|p| ("centres", p)));
    named.extend(config.regions.image.iter().map(|p| ("rois", p)));
    for (what, path) in named {
        hashes.insert(format!("{what} {}", path.display()), hash_file(path)?);
    }
    let mut data = if !bold.files.is_empty() {
        from_series(config)?
    } else {
        require_labels(config)?;
        if ending(&own.files[0]) == "npy" { from_npy(config)? } else { from_images(config)? }
    };
    data.hashes = hashes;
    if own.centre_runs {
        data.betas = data.betas.centred_within_runs();
    }
    data.warnings.extend(unbalanced(&data.betas));
    Ok(data)
}

fn require_labels(config: &Config) -> Result<()> {
    let own = &config.betas;
    if !matches!(own.labels.len(), 0 | 1) && own.labels.len() != own.files.len() {
        let expected = format!("one table for all, or {}", own.files.len());
        return Err(Error::invalid("--labels", expected, own.labels.len().to_string(), "one a file of betas"));
    }
    if own.labels.is_empty() {
        let hint = "a table with one row a volume and a column `condition` (BIDS events do)";
        return Err(Error::invalid("--labels", "what was shown in each volume", "none", hint));
    }
    Ok(())
}

/// Conditions that some run lacks are allowed where nothing is cross-validated, but the user should know.
fn unbalanced(betas: &Betas) -> Option<Warning> {
    let counts = betas.counts();
    let missing: Vec<String> = counts
        .indexed_iter()
        .filter(|(_, n)| **n == 0)
        .map(|((run, c), _)| format!("`{}` in run {}", betas.condition_names()[c], betas.run_names()[run]))
        .collect();
    let shown = missing.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    (!missing.is_empty()).then(|| Warning::Note {
        text: format!(
            "not every condition is in every run ({} missing: {shown}{}): run differences may enter the means; --centre-runs takes run means off",
            missing.len(),
            if missing.len() > 3 { ", ..." } else { "" }
        ),
    })
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

fn samples(config: &Config, n_volumes: &[usize]) -> Result<Samples> {
    let own = &config.betas;
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
}

impl Space {
    fn of(config: &Config, first: Option<&PathBuf>) -> Result<Self> {
        let given = config.betas.mask.as_ref().map(|path| nifti::read_volume(path)).transpose()?;
        let (grid, space) = match (&given, first) {
            (_, Some(path)) => {
                let header = nifti::read_header(path)?;
                (header.grid, header.space)
            }
            (Some(mask), None) => (*mask.grid(), nifti::Space::default()),
            (None, None) => {
                let hint = "HDF5 betas do not say where their voxels are: give a mask of the same volume";
                return Err(Error::invalid("--mask", "a mask for HDF5 betas", "none", hint));
            }
        };
        let mask = match &given {
            Some(volume) => {
                grid.require_same("--mask", volume.grid())?;
                Mask::from_volume(volume)?
            }
            None => Mask::from_fn(grid, |_| true)?,
        };
        Ok(Self { grid, space, mask, masked: given.is_some() })
    }

    /// Leaves out voxels without numbers, and reads what else lies on the grid.
    fn data(self, betas: Betas, config: &Config) -> Result<Data> {
        let Self { grid, space, mask, masked } = self;
        let mut keep = betas.finite_voxels();
        let n_dropped = keep.iter().filter(|k| !**k).count();
        if !masked {
            // Without a mask, voxels outside the brain are those that hold nothing.
            for (v, keep) in keep.iter_mut().enumerate() {
                *keep &= betas.patterns().column(v).iter().any(|&x| x != 0.0);
            }
        }
        if keep.iter().all(|k| !k) {
            let found = format!("NaN or infinity in all {n_dropped}");
            let hint = "a voxel takes part when it holds a number in every sample";
            return Err(Error::invalid("betas", "voxels with numbers", found, hint));
        }
        let (betas, mask) = (betas.keep_voxels(&keep)?, mask.filtered(|v| keep[v])?);
        let centres = config.betas.centres.as_ref().map(|path| centre_mask(path, &mask)).transpose()?;
        let background = match &config.betas.background {
            Some(path) => {
                let volume = nifti::read_volume(path)?;
                grid.require_same("--background", volume.grid())?;
                Some(volume)
            }
            None => None,
        };
        let regions =
            config.regions.image.as_ref().map(|path| label_image(path, &config.regions.names, &mask)).transpose()?;
        let warnings = dropped(n_dropped, mask.n_voxels(), masked);
        let hashes = BTreeMap::new();
        let (mask, fitted) = (Some(mask), vec![]);
        Ok(Data { betas, mask, centres, background, space, regions, n_dropped, fitted, hashes, warnings })
    }
}

fn from_images(config: &Config) -> Result<Data> {
    let own = &config.betas;
    let hdf5 = |path: &Path| matches!(ending(path).as_str(), "hdf5" | "h5");
    let space = Space::of(config, own.files.iter().find(|p| !hdf5(p)))?;
    let mut blocks: Vec<Array2<f32>> = Vec::new();
    for path in &own.files {
        blocks.push(if hdf5(path) {
            let estimates = glmsingle::read(path, &space.grid)?;
            let n = space.grid.n_voxels();
            Array2::from_shape_fn((estimates.n_volumes, space.mask.n_voxels()), |(t, v)| {
                estimates.values[t * n + space.mask.voxels()[v] as usize]
            })
        } else {
            nifti::read(path)?.masked(&space.mask)?
        });
    }
    let (betas, warnings) = labelled(config, &blocks)?;
    let mut data = space.data(betas, config)?;
    data.warnings.extend(warnings);
    Ok(data)
}

/// Betas of a least-squares fit of time series.
fn from_series(config: &Config) -> Result<Data> {
    let space = Space::of(config, config.bold.files.first())?;
    let names = run_names(&config.bold.files);
    let series = series::read(config, &space.grid, &space.mask, &names)?;
    let whole = space.mask.clone();
    let mut data = space.data(series.betas, config)?;
    data.fitted = series.runs;
    // Goodness of fit only of the voxels that are used.
    let kept: Vec<usize> = (0..whole.n_voxels())
        .filter(|&v| data.mask.as_ref().is_some_and(|m| m.rank(whole.voxels()[v] as usize).is_some()))
        .collect();
    data.fitted.iter_mut().for_each(|run| run.r2 = kept.iter().map(|&v| run.r2[v]).collect());
    data.warnings.extend(series.warnings);
    Ok(data)
}

/// The samples that the tables name, with their conditions and runs, and what is to be said of the tables.
fn labelled(config: &Config, blocks: &[Array2<f32>]) -> Result<(Betas, Vec<Warning>)> {
    let n_volumes: Vec<usize> = blocks.iter().map(Array2::nrows).collect();
    let samples = samples(config, &n_volumes)?;
    let chosen: Vec<Array2<f32>> =
        blocks.iter().zip(&samples.volumes).map(|(block, rows)| block.select(Axis(0), rows)).collect();
    let views: Vec<_> = chosen.iter().map(|b| b.view()).collect();
    let patterns = concatenate(Axis(0), &views).expect("as many voxels each");
    Ok((Betas::new(patterns, &samples.conditions, &samples.runs)?, samples.warnings))
}

fn dropped(n: usize, left: usize, masked: bool) -> Vec<Warning> {
    if n == 0 || !masked {
        return vec![];
    }
    let text = format!("{n} voxels of the mask hold NaN or infinity in some sample and were left out; {left} are used");
    vec![Warning::Note { text }]
}

fn centre_mask(path: &Path, mask: &Mask) -> Result<Mask> {
    let volume = nifti::read_volume(path)?;
    mask.grid().require_same("--centres", volume.grid())?;
    Mask::from_volume(&volume)
}

fn from_npy(config: &Config) -> Result<Data> {
    let own = &config.betas;
    let mut blocks = Vec::new();
    for path in &own.files {
        let array = npy::read::<f32>(path)?;
        let found = format!("{:?}", array.shape());
        let hint = "one row a sample, one column a voxel";
        let rows = array.into_dimensionality::<Ix2>();
        blocks.push(rows.map_err(|_| Error::corrupt(path, "n_samples x n_voxels", found, hint))?);
    }
    if let Some(block) = blocks.iter().find(|b| b.ncols() != blocks[0].ncols()) {
        let found = block.ncols().to_string();
        return Err(Error::invalid("--betas", format!("{} voxels in every file", blocks[0].ncols()), found, ""));
    }
    let (betas, mut warnings) = labelled(config, &blocks)?;
    let keep = betas.finite_voxels();
    let regions = named_columns(config, &keep)?;
    let n_dropped = keep.iter().filter(|k| !**k).count();
    let betas = betas.keep_voxels(&keep)?;
    warnings.extend(dropped(n_dropped, betas.n_voxels(), true));
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
        hashes: BTreeMap::new(),
    })
}
