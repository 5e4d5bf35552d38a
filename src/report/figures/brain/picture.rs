//! Voxels as pixels, and their colours.

use super::BrainOptions;
use crate::data::{Mask, Volume};
use crate::report::palette::{INK, Map, Rgb, WHITE, mix};
use image::RgbImage;
use ndarray::Array2;

/// Pixels of a voxel in a slice's picture: enough that its edge can be drawn.
const VOXEL_PX: u32 = 8;
/// What is outside the brain.
pub(super) const OUTSIDE: Rgb = WHITE;

/// What a pixel of a voxel shows, and to which set it belongs: edges are drawn between sets.
pub(super) type Voxel = (Rgb, u32);

/// A picture of n_columns x n_rows voxels, the first row at the bottom.
pub(super) fn picture(n_columns: usize, n_rows: usize, voxel: impl Fn(usize, usize) -> Voxel) -> RgbImage {
    let cells = Array2::from_shape_fn((n_rows, n_columns), |(y, x)| voxel(x, n_rows - 1 - y));
    let set = |y: i64, x: i64| {
        let inside = y >= 0 && x >= 0 && y < n_rows as i64 && x < n_columns as i64;
        if inside { cells[[y as usize, x as usize]].1 } else { 0 }
    };
    RgbImage::from_fn(n_columns as u32 * VOXEL_PX, n_rows as u32 * VOXEL_PX, |px, py| {
        let (x, y) = (i64::from(px / VOXEL_PX), i64::from(py / VOXEL_PX));
        let (colour, own) = cells[[y as usize, x as usize]];
        let (dx, dy) = (px % VOXEL_PX, py % VOXEL_PX);
        let last = VOXEL_PX - 1;
        let edge = (dx == 0 && set(y, x - 1) != own)
            || (dx == last && set(y, x + 1) != own)
            || (dy == 0 && set(y - 1, x) != own)
            || (dy == last && set(y + 1, x) != own);
        image::Rgb(if own > 0 && edge { INK } else { colour })
    })
}

/// Grey values of an image: black at its 2nd, white at its 98th percentile inside the mask.
pub(super) struct Grey {
    low: f64,
    high: f64,
}

impl Grey {
    pub(super) fn of(background: &Volume, mask: &Mask) -> Self {
        let mut values: Vec<f32> =
            mask.voxels().iter().map(|&v| background.values()[v as usize]).filter(|v| v.is_finite()).collect();
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| values.get((share * values.len().saturating_sub(1) as f64) as usize).copied();
        Self { low: at(0.02).unwrap_or(0.0).into(), high: at(0.98).unwrap_or(1.0).into() }
    }

    pub(super) fn colour(&self, value: f32, inside: bool) -> Rgb {
        let value = f64::from(value);
        if !value.is_finite() || (!inside && value == 0.0) {
            return OUTSIDE;
        }
        let span = self.high - self.low;
        let t = if span > 0.0 { ((value - self.low) / span).clamp(0.0, 1.0) } else { 0.7 };
        mix([0x50, 0x50, 0x50], [0xe6, 0xe6, 0xe6], t)
    }
}

/// End of the colour scale.
pub(super) fn limit_of(maps: &[(String, Volume)], options: &BrainOptions) -> f64 {
    let values = maps.iter().flat_map(|(_, map)| map.values()).filter(|v| v.is_finite());
    let largest = values.fold(0.0f32, |m, v| m.max(v.abs()));
    options.limit.unwrap_or(f64::from(largest)).max(1e-9)
}

pub(super) fn coloured(value: f32, limit: f64) -> Rgb {
    Map::Diverging.at(0.5 + 0.5 * f64::from(value) / limit)
}
