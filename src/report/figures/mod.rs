//! The figures. Each function takes data and an output path without extension, and writes PNG, and
//! SVG where lines and cells make sense. Undefined numbers (NaN) are drawn as crossed grey cells or
//! left out, never as zero.

mod alphas;
mod bars;
mod brain;
mod cells;
mod curves;
mod density;
mod filter_page;
mod filters;
mod heat;
mod histogram;
mod images;
mod matrix;
mod mosaic;
mod points;
mod ranges;
mod receptive_fields;
mod stacked;

pub use alphas::{AlphaOptions, alphas};
pub use bars::{BarOptions, BarSeries, bars};
pub use brain::{BrainOptions, brain_labels, brain_slices, glass_brain};
pub use curves::{CurveOptions, CurveSeries, TraceOptions, curves, trace};
pub use density::{DensityOptions, density};
pub use filter_page::{FilterPageOptions, FilterRow, FilterTile, filter_page};
pub use filters::filters;
pub use heat::{Entries, FingerprintOptions, SecondOrderOptions, fingerprints, second_order};
pub use histogram::{HistogramOptions, histogram};
pub use images::image_grid;
pub use matrix::{MatrixOptions, matrix};
pub use mosaic::{MosaicCell, MosaicRow, TILE_GAIN, TileRow, difference, mosaic, response_caption, tiles};
pub use points::{Point, ScatterOptions, scatter};
pub use ranges::{RangeOptions, UnitRange, ranges};
pub use receptive_fields::{RfGroup, RfOptions, receptive_fields};
pub use stacked::{StackedOptions, stacked_bars};

use super::names::cut_labels;
use crate::error::{Error, Result};
use image::RgbImage;
use ndarray::ArrayView3;

/// Columns of a sheet of `n` pictures: full rows when possible (16 in 4, 12 in 4, 28 in 7), no
/// wider than `widest` columns.
fn columns(n: usize, widest: usize) -> usize {
    let square = (n as f64).sqrt().ceil() as usize;
    let upper = widest.min(2 * square).max(square.min(widest));
    (square.min(widest)..=upper).find(|c| n.is_multiple_of(*c)).unwrap_or_else(|| square.min(widest)).max(1)
}

/// Height x width x 3 values as a picture.
fn picture(image: ArrayView3<u8>) -> RgbImage {
    let (height, width, _) = image.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        image::Rgb(std::array::from_fn(|c| image[[y as usize, x as usize, c]]))
    })
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

#[cfg(test)]
mod encoding_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unit_tests;
