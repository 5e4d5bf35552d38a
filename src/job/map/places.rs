//! Regions from files: label images, and names of the columns of npy patterns.

use super::config::Config;
use crate::data::Mask;
use crate::error::{Error, Result};
use crate::io::{nifti, tsv};
use crate::mapping::searchlight::Regions;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every number of a label image but 0 is a region.
pub fn label_image(path: &Path, names: &Option<PathBuf>, mask: &Mask) -> Result<Regions> {
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

/// Regions of npy patterns, in the table's order; one region of all voxels without a table.
pub fn named_columns(config: &Config, keep: &[bool]) -> Result<Regions> {
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
    let column = ["region", "roi", "name", "label"].iter().find_map(|name| table.column(name));
    let column = column.ok_or_else(|| table.without(path, "a column `region`", "one row a voxel"))?;
    if let Some(order) = table.out_of_order(&["voxel", "column", "index"]) {
        let hint = "row k is about column k of the patterns: sort the rows by it";
        return Err(Error::invalid(at, format!("rows in the order of `{order}`"), "another order", hint));
    }
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
