//! The figures. Each function takes data and an output path without extension, and writes PNG, and SVG where lines and
//! cells make sense. Undefined numbers (NaN) are drawn as crossed grey cells or left out, never as zero.

mod brain;
mod curves;
mod filters;
mod heat;
mod images;
mod lines;
mod matrix;
mod mosaic;
mod points;
mod ranges;

pub use brain::{BrainOptions, brain_labels, brain_slices, glass_brain};
pub use curves::{CurveOptions, CurveSeries, curves};
pub use filters::filters;
pub use heat::{Entries, FingerprintOptions, SecondOrderOptions, fingerprints, second_order};
pub use images::image_grid;
pub use lines::{BarOptions, BarSeries, TraceOptions, bars, trace};
pub use matrix::{MatrixOptions, matrix};
pub use mosaic::{MosaicCell, MosaicRow, TILE_GAIN, TileRow, difference, mosaic, response_caption, tiles};
pub use points::{Point, ScatterOptions, scatter};
pub use ranges::{RangeOptions, UnitRange, ranges};

use super::names::cut_labels;
use crate::error::{Error, Result};

/// Columns of a sheet of `n` pictures: full rows when possible (16 in 4, 12 in 4, 28 in 7), no wider than `widest` columns.
fn columns(n: usize, widest: usize) -> usize {
    let square = (n as f64).sqrt().ceil() as usize;
    let upper = widest.min(2 * square).max(square.min(widest));
    (square.min(widest)..=upper).find(|c| n.is_multiple_of(*c)).unwrap_or_else(|| square.min(widest)).max(1)
}

/// An error when there is nothing to draw.
fn nonempty(figure: &str, what: &str, n: usize) -> Result<()> {
    if n == 0 {
        return Err(Error::invalid(figure, format!("at least one {what}"), "none", "leave the figure out"));
    }
    Ok(())
}

/// An error when one list does not go with the other.
fn same_length(figure: &str, what: &str, expected: usize, found: usize) -> Result<()> {
    if expected != found {
        return Err(Error::invalid(figure, format!("{expected} {what}"), found.to_string(), "give one per item"));
    }
    Ok(())
}

/// Labels for which `fits` holds: without what all names begin with when that is enough, else by [`cut_labels`]. Equal names get
/// equal labels.
fn cut_unique(names: &[String], fits: impl Fn(&str) -> bool) -> Vec<String> {
    let first = names.first().map_or("", String::as_str);
    let mut ends = first.match_indices(['_', '/', '.']).map(|(i, _)| i + 1);
    let prefix = ends.rfind(|end| names.iter().all(|n| n.len() > *end && n.starts_with(&first[..*end])));
    let short = |n: &String| n[prefix.unwrap_or(0)..].to_string();
    if names.len() > 1 && !names.iter().all(|n| fits(n)) && names.iter().all(|n| fits(&short(n))) {
        return names.iter().map(short).collect();
    }
    let mut seen = std::collections::HashSet::new();
    let distinct: Vec<String> = names.iter().filter(|n| seen.insert(n.as_str())).cloned().collect();
    let cut = cut_labels(&distinct, fits);
    let label: std::collections::HashMap<&String, &String> = distinct.iter().zip(&cut).collect();
    names.iter().map(|n| label[n].clone()).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unit_tests;
