//! Regions from files: label images, and names of the columns of npy patterns.

use super::Recorded;
use crate::data::Mask;
use crate::data::names::twice;
use crate::error::{Error, Result};
use crate::io::{nifti, tsv};
use crate::mapping::searchlight::Regions;
use crate::warning::Warning;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every number of a label image but 0 is a region. With what is to be said of the file and its
/// names. `key`: where a configuration names the image.
pub fn label_image(path: &Path, names: &Option<PathBuf>, mask: &Mask, key: &str) -> Result<(Regions, Vec<Warning>)> {
    let (grid, labels, mut warnings) = nifti::read_labels(path)?;
    mask.grid().require_same(key, &grid)?;
    let mut regions: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (rank, &voxel) in mask.voxels().iter().enumerate() {
        let label = labels[voxel as usize];
        if label != 0 {
            regions.entry(label).or_default().push(rank as u32);
        }
    }
    if regions.is_empty() {
        let hint = "the label image and the mask do not overlap";
        return Err(Error::invalid(key, "a region with voxels in the mask", "none", hint));
    }
    let named = names.as_ref().map(|table| label_names(table)).transpose()?;
    if let (Some(named), Some(table)) = (&named, names) {
        let nameless: Vec<i64> = regions.keys().copied().filter(|label| !named.contains_key(label)).collect();
        if let Some(first) = nameless.first() {
            let text = format!(
                "{}: {} of the {} regions of {} have no name there (the first: {first})",
                table.display(),
                nameless.len(),
                regions.len(),
                path.display()
            );
            warnings.push(Warning::Note { text });
        }
    }
    let name = |label: i64| named.as_ref().and_then(|n| n.get(&label).cloned());
    let regions = regions.into_iter().map(|(label, voxels)| (name(label).unwrap_or(format!("region{label}")), voxels));
    let regions: Vec<(String, Vec<u32>)> = regions.collect();
    if let Some(name) = twice(regions.iter().map(|(name, _)| name.as_str())) {
        let at = names.as_ref().map_or(key.into(), |table| table.display().to_string());
        let hint = "two indices of one name are two regions that tables cannot tell apart: name them differently";
        return Err(Error::invalid(at, "one region a name", format!("`{name}` twice"), hint));
    }
    Ok((Regions { regions }, warnings))
}

/// The columns `index` and `name` of a table.
fn label_names(path: &Path) -> Result<BTreeMap<i64, String>> {
    let table = tsv::read(path)?;
    let at = path.display().to_string();
    let (Some(index), Some(name)) = (table.column("index"), table.column("name")) else {
        let found = format!("`{}`", table.header.join("`, `"));
        return Err(Error::invalid(at, "columns `index` and `name`", found, ""));
    };
    let mut names = BTreeMap::new();
    for (row, (text, name)) in index.into_iter().zip(name).enumerate() {
        let Some(label) = whole(text.trim()) else {
            let found = format!("`{text}` in row {}", row + 1);
            return Err(Error::invalid(at, "whole numbers in `index`", found, "the numbers of the label image"));
        };
        if let Some(other) = names.insert(label, name.trim().to_owned())
            && other != name.trim()
        {
            let found = format!("`{other}` and `{}` for {label}", name.trim());
            return Err(Error::invalid(at, "one name for each index", found, ""));
        }
    }
    Ok(names)
}

/// `7`, also where a program wrote `7.0`.
fn whole(text: &str) -> Option<i64> {
    let (digits, zeros) = text.split_once('.').unwrap_or((text, ""));
    zeros.bytes().all(|b| b == b'0').then(|| digits.parse().ok()).flatten()
}

/// Regions of npy patterns, in the table's order; one region of all voxels without a table.
pub fn named_columns(config: Recorded<'_>, keep: &[bool]) -> Result<Regions> {
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
