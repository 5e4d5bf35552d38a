//! Betas, masks and regions from files.

use super::config::Config;
use crate::data::{Betas, Mask, Volume};
use crate::error::{Error, Result};
use crate::io::{glmsingle, labels, nifti, npy, tsv};
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
    let mut named: Vec<(&str, &PathBuf)> = own.files.iter().map(|p| ("betas", p)).collect();
    named.extend(own.labels.iter().map(|p| ("labels", p)));
    named.extend(own.mask.iter().map(|p| ("mask", p)));
    named.extend(own.centres.iter().map(|p| ("centres", p)));
    named.extend(config.regions.image.iter().map(|p| ("rois", p)));
    for (what, path) in named {
        hashes.insert(format!("{what} {}", path.display()), hash_file(path)?);
    }
    if !matches!(own.labels.len(), 0 | 1) && own.labels.len() != own.files.len() {
        let expected = format!("one table for all, or {}", own.files.len());
        return Err(Error::invalid("--labels", expected, own.labels.len().to_string(), "one a file of betas"));
    }
    if own.labels.is_empty() {
        let hint = "a table with one row a volume and a column `condition` (BIDS events do)";
        return Err(Error::invalid("--labels", "what was shown in each volume", "none", hint));
    }
    let mut data = if ending(&own.files[0]) == "npy" { from_npy(config)? } else { from_images(config)? };
    data.hashes = hashes;
    if own.centre_runs {
        data.betas = data.betas.centred_within_runs();
    }
    data.warnings.extend(unbalanced(&data.betas));
    Ok(data)
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
}

fn samples(config: &Config, n_volumes: &[usize]) -> Result<Samples> {
    let own = &config.betas;
    let read =
        |path: &Path, n: usize| labels::read(path, n, own.condition_column.as_deref(), own.run_column.as_deref());
    let run_name = |file: usize| labels::run_of_name(&own.files[file]).unwrap_or_else(|| format!("{}", file + 1));
    let distinct = {
        let mut names: Vec<String> = (0..own.files.len()).map(run_name).collect();
        names.sort();
        names.dedup();
        names.len() == own.files.len()
    };
    let run_name = |file: usize| if distinct { run_name(file) } else { format!("{}", file + 1) };
    let mut found = Samples { volumes: vec![Vec::new(); own.files.len()], conditions: vec![], runs: vec![] };
    if own.labels.len() == own.files.len() {
        for (file, path) in own.labels.iter().enumerate() {
            let labels = read(path, n_volumes[file])?;
            // Several files whose tables count their runs from one are still different runs.
            let runs = labels.runs.filter(|_| own.files.len() == 1 || own.run_column.is_some());
            found.runs.extend(runs.unwrap_or_else(|| vec![run_name(file); labels.volumes.len()]));
            found.conditions.extend(labels.conditions);
            found.volumes[file] = labels.volumes;
        }
        return Ok(found);
    }
    let labels = read(&own.labels[0], n_volumes.iter().sum())?;
    let starts: Vec<usize> = n_volumes.iter().scan(0, |sum, &n| Some(std::mem::replace(sum, *sum + n))).collect();
    let mut order: Vec<usize> = (0..labels.volumes.len()).collect();
    order.sort_by_key(|&r| labels.volumes[r]);
    for r in order {
        let file = starts.partition_point(|&s| s <= labels.volumes[r]) - 1;
        found.volumes[file].push(labels.volumes[r] - starts[file]);
        found.conditions.push(labels.conditions[r].clone());
        found.runs.push(labels.runs.as_ref().map_or_else(|| run_name(file), |runs| runs[r].clone()));
    }
    Ok(found)
}

fn from_images(config: &Config) -> Result<Data> {
    let own = &config.betas;
    let hdf5 = |path: &Path| matches!(ending(path).as_str(), "hdf5" | "h5");
    let mask_volume = own.mask.as_ref().map(|path| nifti::read_volume(path)).transpose()?;
    let mut space = nifti::Space::default();
    let grid = match (&mask_volume, own.files.iter().find(|p| !hdf5(p))) {
        (_, Some(path)) => {
            let header = nifti::read_header(path)?;
            space = header.space;
            header.grid
        }
        (Some(mask), None) => *mask.grid(),
        (None, None) => {
            let hint = "HDF5 betas do not say where their voxels are: give a mask of the same volume";
            return Err(Error::invalid("--mask", "a mask for HDF5 betas", "none", hint));
        }
    };
    let mask = match &mask_volume {
        Some(volume) => {
            grid.require_same("--mask", volume.grid())?;
            Mask::from_volume(volume)?
        }
        None => Mask::from_fn(grid, |_| true)?,
    };
    let mut blocks: Vec<Array2<f32>> = Vec::new();
    for path in &own.files {
        blocks.push(if hdf5(path) {
            let estimates = glmsingle::read(path, &grid)?;
            let n = grid.n_voxels();
            Array2::from_shape_fn((estimates.n_volumes, mask.n_voxels()), |(t, v)| {
                estimates.values[t * n + mask.voxels()[v] as usize]
            })
        } else {
            nifti::read(path)?.masked(&mask)?
        });
    }
    let n_volumes: Vec<usize> = blocks.iter().map(Array2::nrows).collect();
    let samples = samples(config, &n_volumes)?;
    let chosen: Vec<Array2<f32>> =
        blocks.iter().zip(&samples.volumes).map(|(block, rows)| block.select(Axis(0), rows)).collect();
    let views: Vec<_> = chosen.iter().map(|b| b.view()).collect();
    let patterns = concatenate(Axis(0), &views).expect("one mask for all files");
    let betas = Betas::new(patterns, &samples.conditions, &samples.runs)?;
    let mut keep = betas.finite_voxels();
    let n_dropped = keep.iter().filter(|k| !**k).count();
    if mask_volume.is_none() {
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
    let centres = own.centres.as_ref().map(|path| centre_mask(path, &mask)).transpose()?;
    let background = match &own.background {
        Some(path) => {
            let volume = nifti::read_volume(path)?;
            grid.require_same("--background", volume.grid())?;
            Some(volume)
        }
        None => None,
    };
    let regions =
        config.regions.image.as_ref().map(|path| label_image(path, &config.regions.names, &mask)).transpose()?;
    let warnings = dropped(n_dropped, mask.n_voxels(), mask_volume.is_some());
    let hashes = BTreeMap::new();
    Ok(Data { betas, mask: Some(mask), centres, background, space, regions, n_dropped, hashes, warnings })
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

/// Every number of a label image but 0 is a region.
fn label_image(path: &Path, names: &Option<PathBuf>, mask: &Mask) -> Result<Regions> {
    let volume = nifti::read_volume(path)?;
    mask.grid().require_same("--rois", volume.grid())?;
    let named: BTreeMap<String, String> = match names {
        Some(path) => {
            let table = tsv::read(path)?;
            match (table.column("index"), table.column("name")) {
                (Some(index), Some(name)) => {
                    index.into_iter().map(String::from).zip(name.into_iter().map(String::from)).collect()
                }
                _ => {
                    let found = format!("`{}`", table.header.join("`, `"));
                    return Err(Error::invalid(path.display().to_string(), "columns `index` and `name`", found, ""));
                }
            }
        }
        None => BTreeMap::new(),
    };
    let mut regions: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (rank, &voxel) in mask.voxels().iter().enumerate() {
        let label = volume.values()[voxel as usize].round() as i64;
        if label != 0 {
            regions.entry(label).or_default().push(rank as u32);
        }
    }
    if regions.is_empty() {
        let hint = "the label image and the mask do not overlap";
        return Err(Error::invalid("--rois", "a region with voxels in the mask", "none", hint));
    }
    let name = |label: i64| named.get(&label.to_string()).cloned().unwrap_or_else(|| format!("region{label}"));
    Ok(Regions { regions: regions.into_iter().map(|(label, voxels)| (name(label), voxels)).collect() })
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
    let n_samples: Vec<usize> = blocks.iter().map(Array2::nrows).collect();
    let samples = samples(config, &n_samples)?;
    let chosen: Vec<Array2<f32>> =
        blocks.iter().zip(&samples.volumes).map(|(block, rows)| block.select(Axis(0), rows)).collect();
    let views: Vec<_> = chosen.iter().map(|b| b.view()).collect();
    let patterns = concatenate(Axis(0), &views).expect("as many voxels each");
    let betas = Betas::new(patterns, &samples.conditions, &samples.runs)?;
    let keep = betas.finite_voxels();
    let regions = named_columns(config, &keep)?;
    let n_dropped = keep.iter().filter(|k| !**k).count();
    let betas = betas.keep_voxels(&keep)?;
    Ok(Data {
        warnings: dropped(n_dropped, betas.n_voxels(), true),
        betas,
        mask: None,
        centres: None,
        background: None,
        space: nifti::Space::default(),
        regions: Some(regions),
        n_dropped,
        hashes: BTreeMap::new(),
    })
}

/// Regions of npy patterns, in the table's order; one region of all voxels without a table.
fn named_columns(config: &Config, keep: &[bool]) -> Result<Regions> {
    let numbers: Vec<Option<u32>> = keep
        .iter()
        .scan(0u32, |next, &k| {
            *next += u32::from(k);
            Some(k.then(|| *next - 1))
        })
        .collect();
    let Some(path) = &config.regions.names else {
        return Ok(Regions { regions: vec![("all".into(), numbers.into_iter().flatten().collect())] });
    };
    let table = tsv::read(path)?;
    let at = path.display().to_string();
    let column = ["region", "roi", "name", "label"].iter().find_map(|name| table.column(name)).ok_or_else(|| {
        Error::invalid(&at, "a column `region`", format!("`{}`", table.header.join("`, `")), "one row a voxel")
    })?;
    if column.len() != keep.len() {
        let found = column.len().to_string();
        return Err(Error::invalid(at, format!("{} rows, one for each voxel", keep.len()), found, ""));
    }
    let mut regions: Vec<(String, Vec<u32>)> = Vec::new();
    for (name, number) in column.into_iter().zip(numbers) {
        let Some(number) = number else { continue };
        match regions.iter_mut().find(|(region, _)| region == name) {
            Some((_, voxels)) => voxels.push(number),
            None => regions.push((name.to_owned(), vec![number])),
        }
    }
    Ok(Regions { regions })
}
