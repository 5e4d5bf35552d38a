//! Gaussian receptive fields in degrees of visual angle, on the maps of a network.
//!
//! Degrees are counted from the centre of the image that the network sees, x to the right and y
//! upwards. An image of width_deg degrees on n pixels has the pixel centre p (from 0, at the left) at
//! `((p + 1/2) / n - 1/2) width_deg`; rows likewise, downwards. Unit i of a tap stands where the
//! centre of what it sees stands, at pixel `centre + stride i` ([`crate::network::receptive`]):
//! padding and strides of all layers below are in it.

use crate::error::{Error, Result};
use crate::network::receptive::{Axis, receptive_fields};
use crate::network::{Graph, NodeId};
use crate::stats::distributions::norm_sf;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A round Gaussian window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianWindow {
    /// Centre, degrees to the right of the image's.
    pub x_deg: f64,
    /// Centre, degrees above the image's.
    pub y_deg: f64,
    /// Standard deviation, degrees.
    pub sd_deg: f64,
}

impl GaussianWindow {
    /// Distance of the centre from the image's, degrees.
    pub fn eccentricity_deg(&self) -> f64 {
        self.x_deg.hypot(self.y_deg)
    }
}

/// `x 1.25, y -3.75, sd 0.5 degrees`.
impl fmt::Display for GaussianWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x {}, y {}, sd {} degrees", self.x_deg, self.y_deg, self.sd_deg)
    }
}

/// Candidates: every centre with every radius.
///
/// Centres are those of `n_centres` x `n_centres` equal parts of the image (or of a square of
/// `spread_deg` at its centre), radii are equally far apart in logarithms. Order: rows from the top,
/// in a row from the left, at a centre from the smallest radius.
///
/// With `width_deg = 20` the rest defaults to the grid of Kamali et al.: centres at +-1.25, 3.75,
/// 6.25 and 8.75 degrees, 8 radii from 0.5 to 8.
///
/// ```
/// let grid: orthoscope::encoding::features::RfGrid = toml::from_str("width_deg = 20.0").unwrap();
/// let candidates = grid.candidates()?;
/// assert_eq!(candidates.len(), 512);
/// assert_eq!((candidates[0].x_deg, candidates[0].y_deg), (-8.75, 8.75));
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RfGrid {
    /// Width of the image that the network sees, degrees.
    pub width_deg: f64,
    /// Its height; as its width when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height_deg: Option<f64>,
    /// Centres along either side.
    #[serde(default = "eight")]
    pub n_centres: usize,
    /// Side of the square in which centres are; the image when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_deg: Option<f64>,
    /// Smallest radius (standard deviation), degrees.
    #[serde(default = "smallest")]
    pub smallest_deg: f64,
    /// Largest radius, degrees.
    #[serde(default = "largest")]
    pub largest_deg: f64,
    /// Radii at each centre.
    #[serde(default = "eight")]
    pub n_radii: usize,
    /// These candidates instead of a grid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<GaussianWindow>,
}

fn eight() -> usize {
    8
}

fn smallest() -> f64 {
    0.5
}

fn largest() -> f64 {
    8.0
}

/// More candidates than this are no grid that anybody means.
const MOST_CANDIDATES: usize = 100_000;

impl RfGrid {
    /// The grid of Kamali et al. on an image of that width and height.
    pub fn new(width_deg: f64) -> Self {
        Self {
            width_deg,
            height_deg: None,
            n_centres: eight(),
            spread_deg: None,
            smallest_deg: smallest(),
            largest_deg: largest(),
            n_radii: eight(),
            windows: vec![],
        }
    }

    /// Width and height of the image, degrees.
    pub fn image_deg(&self) -> (f64, f64) {
        (self.width_deg, self.height_deg.unwrap_or(self.width_deg))
    }

    /// All candidates, in order.
    ///
    /// # Errors
    /// [`Error::Invalid`] for sizes that are not positive numbers, radii that do not ascend, no
    /// candidate, or very many.
    pub fn candidates(&self) -> Result<Vec<GaussianWindow>> {
        let (width, height) = self.image_deg();
        let bad =
            |expected: &str, found: String, hint: &str| Err(Error::invalid("receptive fields", expected, found, hint));
        let positive = |v: f64| v.is_finite() && v > 0.0;
        if !positive(width) || !positive(height) {
            let hint = "give the size at which the images were shown";
            return bad("an image of some degrees", format!("{width} x {height}"), hint);
        }
        if let Some(w) = self.windows.iter().find(|w| !(positive(w.sd_deg) && w.eccentricity_deg().is_finite())) {
            return bad("windows with a positive sd_deg", w.to_string(), "");
        }
        if !self.windows.is_empty() {
            return Ok(self.windows.clone());
        }
        let n = self.n_centres.saturating_mul(self.n_centres).saturating_mul(self.n_radii);
        let ascending = positive(self.smallest_deg)
            && positive(self.largest_deg)
            && (self.n_radii == 1 || self.smallest_deg < self.largest_deg);
        if n == 0 || n > MOST_CANDIDATES || !ascending || !self.spread_deg.is_none_or(positive) {
            let found = format!(
                "{} x {} centres, {} radii from {} to {} degrees",
                self.n_centres, self.n_centres, self.n_radii, self.smallest_deg, self.largest_deg
            );
            return bad("1 to 100000 candidates with ascending radii", found, "8 x 8 centres and 8 radii are usual");
        }
        let (across, down) = self.spread_deg.map_or((width, height), |side| (side, side));
        let at = |i: usize, side: f64| side * ((i as f64 + 0.5) / self.n_centres as f64 - 0.5);
        let step = (self.largest_deg / self.smallest_deg).powf(1.0 / (self.n_radii.max(2) - 1) as f64);
        let mut candidates = Vec::with_capacity(n);
        for row in 0..self.n_centres {
            for column in 0..self.n_centres {
                for radius in 0..self.n_radii {
                    let sd_deg = self.smallest_deg * step.powi(radius as i32);
                    candidates.push(GaussianWindow { x_deg: at(column, across), y_deg: -at(row, down), sd_deg });
                }
            }
        }
        Ok(candidates)
    }

    /// In words.
    pub fn describe(&self) -> String {
        match self.windows.len() {
            0 => format!(
                "means under Gaussian windows, {0} x {0} centres and {1} radii of {2} to {3} degrees",
                self.n_centres, self.n_radii, self.smallest_deg, self.largest_deg
            ),
            n => format!("means under {n} Gaussian windows"),
        }
    }
}

/// One side of a map on one side of the image.
#[derive(Debug, Clone, Copy)]
struct Side {
    n_units: usize,
    n_pixels: usize,
    axis: Axis,
}

impl Side {
    /// Where unit i (which may be between two) stands, as a share of the image's side.
    fn share_of_unit(self, i: f64) -> f64 {
        self.share_of_pixel(self.axis.centre + self.axis.stride as f64 * i)
    }

    fn share_of_pixel(self, pixel: f64) -> f64 {
        (pixel + 0.5) / self.n_pixels as f64
    }

    fn unit_of_share(self, share: f64) -> f64 {
        (share * self.n_pixels as f64 - 0.5 - self.axis.centre) / self.axis.stride as f64
    }

    /// Gaussian mass of every unit's cell, which reaches half a stride to either side of it;
    /// `centre` and `sd` in shares of the image's side.
    fn mass(self, centre: f64, sd: f64) -> Vec<f64> {
        let beyond = |i: f64| norm_sf((self.share_of_unit(i) - centre) / sd);
        let edges: Vec<f64> = (0..=self.n_units).map(|i| beyond(i as f64 - 0.5)).collect();
        edges.windows(2).map(|pair| pair[0] - pair[1]).collect()
    }
}

/// Where the units of a tap look.
#[derive(Debug, Clone)]
pub struct TapMap {
    tap: String,
    rows: Side,
    columns: Side,
}

impl TapMap {
    /// Of a node of a graph.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a layer whose units all see the same, as fully connected ones do.
    pub fn new(graph: &Graph, node: NodeId) -> Result<Self> {
        let (shape, field) = (graph.node(node).shape, receptive_fields(graph)[node]);
        if field.rows.stride == 0 || field.columns.stride == 0 {
            let hint = "take a convolutional layer, or another reduction for this one";
            let found = format!("{shape} units that see the whole image");
            return Err(Error::invalid(format!("tap `{}`", graph.node(node).name), "a map of places", found, hint));
        }
        let side = |n_units, n_pixels, axis| Side { n_units, n_pixels, axis };
        Ok(Self {
            tap: graph.node(node).name.clone(),
            rows: side(shape.height, graph.input.height, field.rows),
            columns: side(shape.width, graph.input.width, field.columns),
        })
    }

    /// Degrees (x, y) at which the unit in `row` and `column` stands.
    pub fn degrees(&self, row: f64, column: f64, image_deg: (f64, f64)) -> (f64, f64) {
        let x = self.columns.share_of_unit(column) - 0.5;
        (x * image_deg.0, (0.5 - self.rows.share_of_unit(row)) * image_deg.1)
    }

    /// Row and column of the map, and shares of the image (from the left, from the top), at a place
    /// given in degrees.
    pub fn place(&self, x_deg: f64, y_deg: f64, image_deg: (f64, f64)) -> Place {
        let (from_left, from_top) = (x_deg / image_deg.0 + 0.5, 0.5 - y_deg / image_deg.1);
        let (row, column) = (self.rows.unit_of_share(from_top), self.columns.unit_of_share(from_left));
        Place { from_left, from_top, row, column }
    }

    /// The mass of every candidate on every unit of the map, divided by its sum over the map.
    ///
    /// The mass of a unit is the integral of the Gaussian over its cell, one stride wide, so that
    /// windows smaller than a unit lose nothing. fwRF's masses are not divided by their sum where a
    /// window reaches beyond the map; features that are z-scored are the same. A window of which less
    /// than 1e-4 lies on the map says nothing of the layer: its column is 0, so that what is under it
    /// does not vary, and an estimator passes it over ([`TapMap::on_map`]).
    ///
    /// # Shapes
    /// (height width) x n_candidates, columns that sum to 1, or to 0.
    ///
    /// # Errors
    /// As [`RfGrid::candidates`]; [`Error::Invalid`] where no window touches the map.
    pub fn masks(&self, grid: &RfGrid) -> Result<Array2<f32>> {
        let (candidates, image_deg) = (grid.candidates()?, grid.image_deg());
        let mut masks = Array2::zeros((self.rows.n_units * self.columns.n_units, candidates.len()));
        let mut most = (0.0, candidates[0]);
        for (&window, mut mask) in candidates.iter().zip(masks.columns_mut()) {
            let (down, across, total) = self.masses(window, image_deg);
            if total > most.0 {
                most = (total, window);
            }
            if total >= LEAST {
                let products = down.iter().flat_map(|d| across.iter().map(move |a| d * a / total));
                mask.iter_mut().zip(products).for_each(|(to, v)| *to = v as f32);
            }
        }
        if most.0 >= LEAST {
            return Ok(masks);
        }
        let at = format!("receptive fields on `{}`", self.tap);
        let found = format!("{:.1e} of the best of {}, {}", most.0, candidates.len(), most.1);
        let hint = "check the image's size in degrees, give windows within the image, or take another layer";
        Err(Error::invalid(at, "a window that lies on the map", found, hint))
    }

    /// Which candidates lie on the map, by at least 1e-4 of their mass: the others have no features
    /// here.
    ///
    /// # Errors
    /// As [`RfGrid::candidates`].
    ///
    /// ```
    /// use orthoscope::encoding::features::{RfGrid, TapMap};
    /// use orthoscope::network::zoo::{LoadOptions, load_model};
    ///
    /// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
    /// let map = TapMap::new(&graph, graph.tap("mixed4a")?)?;
    /// let outside = "windows = [{ x_deg = 1.0, y_deg = 0.0, sd_deg = 1.0 }, { x_deg = 99.0, y_deg = 0.0, sd_deg = 1.0 }]";
    /// let grid: RfGrid = toml::from_str(&format!("width_deg = 20.0\n{outside}")).unwrap();
    /// assert_eq!(map.on_map(&grid)?, [true, false]);
    /// # Ok::<(), orthoscope::Error>(())
    /// ```
    pub fn on_map(&self, grid: &RfGrid) -> Result<Vec<bool>> {
        let on = |window: GaussianWindow| self.masses(window, grid.image_deg()).2 >= LEAST;
        Ok(grid.candidates()?.into_iter().map(on).collect())
    }

    /// Mass of a window on every row, every column, and the whole map.
    fn masses(&self, window: GaussianWindow, (width, height): (f64, f64)) -> (Vec<f64>, Vec<f64>, f64) {
        let down = self.rows.mass(0.5 - window.y_deg / height, window.sd_deg / height);
        let across = self.columns.mass(window.x_deg / width + 0.5, window.sd_deg / width);
        let total = down.iter().sum::<f64>() * across.iter().sum::<f64>();
        (down, across, total)
    }
}

/// Share of a window that must lie on the map.
const LEAST: f64 = 1e-4;

/// A place on a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Share of the image's width.
    pub from_left: f64,
    /// Share of the image's height.
    pub from_top: f64,
    /// Row of the map, which may be between two or beyond the map.
    pub row: f64,
    /// Column of the map.
    pub column: f64,
}

#[cfg(test)]
#[path = "receptive_fields_tests.rs"]
mod tests;
