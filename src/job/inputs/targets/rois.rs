//! Regions of targets.

use super::Recording;
use super::arrays::structure;
use super::config::TargetsConfig;
use crate::data::{Grayordinates, Place, Places};
use crate::error::{Error, Result};
use crate::io::gifti::Numbers;
use crate::io::{cifti, gifti, hdf5_arrays, tsv};
use crate::job::inputs::regions::label_image;
use crate::warning::Warning;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

type Regions = Vec<(String, Vec<u32>)>;

/// Reads what `targets.rois` names. `columns` says for each target which column of its file it was,
/// where that is not its number: tables and masks of HDF5 are about columns.
pub(super) fn read(
    config: &TargetsConfig,
    recorded: &Recording,
    columns: Option<&[usize]>,
    warnings: &mut Vec<Warning>,
) -> Result<Regions> {
    let Some(first) = config.rois.first() else { return Ok(vec![]) };
    let n_targets = recorded.n_targets();
    if let Some(group) = &config.rois_group {
        let masks = hdf5_arrays::masks(first, group, n_targets)?;
        let empty = masks.iter().filter(|(_, places)| places.is_empty()).count();
        if empty > 0 {
            let text = format!("{}: {empty} regions of `{group}` are empty and were left out", first.display());
            warnings.push(Warning::Note { text });
        }
        let masks = masks.into_iter().filter(|(_, places)| !places.is_empty()).collect();
        return Ok(of_columns(masks, columns));
    }
    let name = first.to_string_lossy().to_ascii_lowercase();
    let brain = || match recorded.place() {
        Place::Brain(brain) => Ok(brain),
        _ => Err(misplaced("targets on surfaces or in grayordinates")),
    };
    if name.ends_with(".gii") {
        return of_surfaces(&config.rois, brain()?);
    }
    if config.rois.len() > 1 {
        let found = config.rois.len().to_string();
        return Err(Error::invalid("targets.rois", "one file, or GIFTI labels of each hemisphere", found, ""));
    }
    if name.ends_with(".dlabel.nii") {
        return of_cifti(first, brain()?);
    }
    if name.ends_with(".nii") || name.ends_with(".nii.gz") {
        let Place::Volume(mask) = recorded.place() else { return Err(misplaced("targets in voxels")) };
        let (regions, said) = label_image(first, &config.roi_names, mask, "targets.rois")?;
        warnings.extend(said);
        return Ok(regions.regions);
    }
    Ok(of_columns(of_table(first, n_targets)?, columns))
}

/// Regions of targets from those of columns.
fn of_columns(mut regions: Regions, columns: Option<&[usize]>) -> Regions {
    let Some(columns) = columns else { return regions };
    let mut targets = vec![0; columns.len()];
    columns.iter().enumerate().for_each(|(target, &column)| targets[column] = target as u32);
    for (_, places) in &mut regions {
        places.iter_mut().for_each(|place| *place = targets[*place as usize]);
        places.sort_unstable();
    }
    regions
}

fn misplaced(expected: &str) -> Error {
    let hint =
        "regions of targets without a place are a table with one row a target, or masks in HDF5 (`targets.rois_group`)";
    Error::invalid("targets.rois", expected, "targets elsewhere", hint)
}

/// A column `region` with one row a target; rows without one belong to none.
fn of_table(path: &Path, n_targets: usize) -> Result<Regions> {
    let table = tsv::read(path)?;
    let at = path.display().to_string();
    let column = ["region", "roi", "area", "label", "name"].iter().find_map(|name| table.column(name));
    let column = column.ok_or_else(|| table.without(path, "a column `region`", "one row a target"))?;
    if let Some(order) = table.out_of_order(&["voxel", "column", "index", "target"]) {
        let hint = "row k is about target k: sort the rows by it";
        return Err(Error::invalid(at, format!("rows in the order of `{order}`"), "another order", hint));
    }
    if column.len() != n_targets {
        let expected = format!("{n_targets} rows, one for each target");
        return Err(Error::invalid(at, expected, column.len().to_string(), ""));
    }
    let mut regions: Regions = vec![];
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (target, name) in column.into_iter().enumerate().filter(|(_, name)| !tsv::is_missing(name)) {
        let place = *places.entry(name).or_insert_with(|| {
            regions.push((name.to_owned(), vec![]));
            regions.len() - 1
        });
        regions[place].1.push(target as u32);
    }
    if regions.is_empty() {
        return Err(Error::invalid(at, "the region of some target", "none", ""));
    }
    Ok(regions)
}

/// Labels of places: name -> targets, in the order of their keys.
#[derive(Default)]
struct Labelled {
    regions: BTreeMap<(i64, String), Vec<u32>>,
}

impl Labelled {
    fn add(&mut self, key: i64, names: &HashMap<i64, &str>, target: u32) {
        let name = names.get(&key).map_or_else(|| format!("region{key}"), |name| (*name).to_owned());
        self.regions.entry((key, name)).or_default().push(target);
    }

    /// Regions of one name (of two hemispheres, say) are one.
    fn regions(self, at: &Path) -> Result<Regions> {
        let mut regions: Regions = vec![];
        for ((_, name), targets) in self.regions {
            match regions.iter_mut().find(|(other, _)| *other == name) {
                Some((_, all)) => all.extend(targets),
                None => regions.push((name, targets)),
            }
        }
        regions.iter_mut().for_each(|(_, targets)| targets.sort_unstable());
        if regions.is_empty() {
            let hint = "the labels and the targets do not overlap";
            return Err(Error::invalid(at.display().to_string(), "a region with targets", "none", hint));
        }
        Ok(regions)
    }
}

/// Key 0 and what FreeSurfer and Workbench call nothing.
fn nothing(key: i64, name: Option<&str>) -> bool {
    key == 0 || matches!(name, Some("???" | "unknown" | "Unknown"))
}

fn of_surfaces(paths: &[std::path::PathBuf], brain: &Grayordinates) -> Result<Regions> {
    let mut found = Labelled::default();
    for path in paths {
        let file = gifti::read(path)?;
        let bad = |expected: String, found: String| Error::invalid(path.display().to_string(), expected, found, "");
        let [array] = &file.arrays[..] else {
            return Err(bad("one array of labels".into(), format!("{} arrays", file.arrays.len())));
        };
        let Numbers::Whole(keys) = &array.numbers else {
            return Err(bad("labels, which are integers".into(), "floating-point numbers".into()));
        };
        let names: HashMap<i64, &str> = file.labels.iter().map(|(key, name)| (*key, name.as_str())).collect();
        let structure = structure(&file, path)?;
        let mut first = 0;
        let mut seen = false;
        for part in brain.parts() {
            if let Places::Vertices { n_vertices, vertices } = &part.places
                && part.structure == structure
            {
                seen = true;
                if keys.len() != *n_vertices {
                    return Err(bad(format!("labels of {n_vertices} vertices"), keys.len().to_string()));
                }
                for (i, &vertex) in vertices.iter().enumerate() {
                    let key = keys[vertex as usize];
                    if !nothing(key, names.get(&key).copied()) {
                        found.add(key, &names, (first + i) as u32);
                    }
                }
            }
            first += part.len();
        }
        if !seen {
            return Err(bad("labels of a surface that has targets".into(), format!("those of `{structure}`")));
        }
    }
    found.regions(&paths[0])
}

fn of_cifti(path: &Path, brain: &Grayordinates) -> Result<Regions> {
    let file = cifti::read(path)?;
    let cifti::Maps::Labels(maps) = &file.maps else {
        return Err(Error::corrupt(path, "labels of grayordinates", "numbers", "give a .dlabel.nii"));
    };
    let [map] = &maps[..] else {
        let found = format!("{} of them", maps.len());
        return Err(Error::corrupt(path, "one map of labels", found, "take one out: wb_command -cifti-merge -column"));
    };
    let names: HashMap<i64, &str> = map.labels.iter().map(|(key, name)| (*key, name.as_str())).collect();
    let keys: HashMap<Spot<'_>, f32> =
        spots(&file.places).into_iter().zip(file.values.row(0).iter().copied()).collect();
    let mut found = Labelled::default();
    if let (Some(a), Some(b)) = (file.places.grid(), brain.grid()) {
        b.require_same(&path.display().to_string(), a)?;
    }
    for (target, spot) in spots(brain).iter().enumerate() {
        let Some(&value) = keys.get(spot) else { continue };
        if value.fract() != 0.0 || value.abs() > 16_777_216.0 {
            return Err(Error::corrupt(path, "whole numbers as labels", value.to_string(), ""));
        }
        let key = value as i64;
        if !nothing(key, names.get(&key).copied()) {
            found.add(key, &names, target as u32);
        }
    }
    found.regions(path)
}

/// A vertex of a surface, or a voxel: structure, kind, indices.
type Spot<'b> = (&'b str, [u32; 4]);

fn spots(brain: &Grayordinates) -> Vec<Spot<'_>> {
    let mut all = Vec::with_capacity(brain.len());
    for part in brain.parts() {
        match &part.places {
            Places::Vertices { n_vertices, vertices } => {
                let n = u32::try_from(*n_vertices).unwrap_or(u32::MAX);
                all.extend(vertices.iter().map(|&v| (part.structure.as_str(), [n, v, 0, 0])));
            }
            // A voxel is the same one whatever structure it is said to be of.
            Places::Voxels(voxels) => all.extend(voxels.iter().map(|&[i, j, k]| ("", [0, i, j, k]))),
        }
    }
    all
}
