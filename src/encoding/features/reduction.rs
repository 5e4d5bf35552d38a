//! What is kept of a layer's activations.

use super::projection::{Projection, SparseProjection};
use super::receptive_fields::{RfGrid, TapMap};
use crate::error::{Error, Result};
use crate::network::{Graph, NodeId, Shape};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is kept of a layer's activations (n_channels x height x width units of an image).
///
/// In a configuration: `"flat"`, `"spatial_mean"`, `{ rf_pooled = { width_deg = 20.0 } }`,
/// `{ sparse_random_projection = { eps = 0.1 } }`, `{ pca = { keep = { variance = 0.99 } } }`.
///
/// ```
/// use orthoscope::encoding::features::{Projection, Reduction};
/// use orthoscope::network::Shape;
///
/// let layer = Shape::new(256, 14, 14);
/// assert_eq!(Reduction::SpatialMean.size(layer, 1000, 800)?.at_most, 256);
/// let projected = Reduction::SparseRandomProjection(Projection::default());
/// assert_eq!(projected.size(layer, 1000, 800)?.at_most, 5920);
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Every unit, channels first: column `(c height + y) width + x`.
    #[default]
    Flat,
    /// Each channel's mean over the map: `sum_yx a[c, y, x] / (height width)`.
    SpatialMean,
    /// Each channel's mean under Gaussian masses: column `g n_channels + c` of candidate g is
    /// `sum_yx m_g[y, x] a[c, y, x]`, so that a candidate's features lie side by side.
    RfPooled(RfGrid),
    /// Products with sparse random vectors.
    SparseRandomProjection(Projection),
    /// Principal components of training rows.
    Pca(PcaOptions),
}

/// How many components are kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The fewest whose variances add up to more than this share of all.
    Variance(f64),
    /// So many, or as many as the training rows have.
    Components(usize),
}

/// Principal components, of the units themselves or of their projection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PcaOptions {
    /// How many.
    pub keep: Keep,
    /// Whether units are divided by their standard deviation over the training rows (ddof 1; one
    /// that does not vary by 1), as Wen et al. and Kamali et al. do.
    pub zscore: bool,
    /// A projection before: the layer need not lie on the disk, and components are those of the
    /// projected units.
    pub project: Option<Projection>,
}

impl Default for PcaOptions {
    /// More than 99 % of the variance of the units as they are.
    fn default() -> Self {
        Self { keep: Keep::Variance(0.99), zscore: false, project: None }
    }
}

impl PcaOptions {
    /// # Errors
    /// [`Error::Invalid`] for a share that is not within 0..1 or no components.
    pub fn check(&self) -> Result<()> {
        let found = match self.keep {
            Keep::Variance(share) if !(share > 0.0 && share < 1.0) => format!("a share of {share}"),
            Keep::Components(0) => "no components".into(),
            _ => return self.project.as_ref().map_or(Ok(()), Projection::check),
        };
        let hint = "keep = { variance = 0.99 } or keep = { components = 100 }";
        Err(Error::invalid("pca", "a share of the variance between 0 and 1, or 1 component or more", found, hint))
    }
}

/// How many features come of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// No more than these.
    pub at_most: usize,
    /// Whether exactly these.
    pub exact: bool,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.exact { "" } else { "at most " }, self.at_most)
    }
}

impl Reduction {
    /// Features of a layer, known before anything runs.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options that cannot be used.
    pub fn size(&self, shape: Shape, n_images: usize, n_train: usize) -> Result<Size> {
        let exactly = |at_most| Size { at_most, exact: true };
        Ok(match self {
            Self::Flat => exactly(shape.len()),
            Self::SpatialMean => exactly(shape.channels),
            Self::RfPooled(grid) => exactly(shape.channels * grid.candidates()?.len()),
            Self::SparseRandomProjection(projection) => exactly(projection.size(shape.len(), n_images)?),
            Self::Pca(options) => {
                options.check()?;
                let before = self.streamed_size(shape, n_images)?;
                let rank = before.min(n_train.saturating_sub(1));
                let at_most = match options.keep {
                    Keep::Components(k) => k.min(rank),
                    Keep::Variance(_) => rank,
                };
                Size { at_most, exact: false }
            }
        })
    }

    /// Features of an image before anything is learnt.
    pub(in crate::encoding) fn streamed_size(&self, shape: Shape, n_images: usize) -> Result<usize> {
        match self {
            Self::Pca(PcaOptions { project: Some(projection), .. }) => projection.size(shape.len(), n_images),
            Self::Pca(_) => Ok(shape.len()),
            other => Ok(other.size(shape, n_images, n_images)?.at_most),
        }
    }

    /// What is learnt of training rows, if anything is.
    pub fn pca(&self) -> Option<&PcaOptions> {
        match self {
            Self::Pca(options) => Some(options),
            _ => None,
        }
    }

    /// In words, for a plan or a report.
    pub fn describe(&self) -> String {
        match self {
            Self::Flat => "all units".into(),
            Self::SpatialMean => "means of channels over the map".into(),
            Self::RfPooled(grid) => grid.describe(),
            Self::SparseRandomProjection(projection) => projection.describe(),
            Self::Pca(options) => {
                let keep = match options.keep {
                    Keep::Variance(share) => format!("{} % of the variance", 100.0 * share),
                    Keep::Components(k) => format!("{k} components"),
                };
                let zscore = if options.zscore { " of z-scored units" } else { "" };
                let before = options.project.as_ref().map_or(String::new(), |p| format!(" after a {}", p.describe()));
                format!("PCA{zscore}, {keep}{before}")
            }
        }
    }
}

/// What is done to the activations of a batch as they come.
pub(in crate::encoding) enum Reducer {
    Flat,
    Mean,
    /// height width x candidates.
    Masks(Array2<f32>),
    Projected(SparseProjection),
}

impl Reducer {
    /// For a tap, `seed_name` being what its random numbers are drawn under.
    pub fn new(reduction: &Reduction, graph: &Graph, node: NodeId, n_images: usize) -> Result<Self> {
        let (shape, name) = (graph.node(node).shape, &graph.node(node).name);
        let projected = |projection: &Projection| {
            let k = projection.size(shape.len(), n_images)?;
            if k == shape.len() {
                return Ok(Self::Flat);
            }
            Ok(Self::Projected(projection.matrix(name, shape.len(), k)?))
        };
        match reduction {
            Reduction::Flat | Reduction::Pca(PcaOptions { project: None, .. }) => Ok(Self::Flat),
            Reduction::SpatialMean => Ok(Self::Mean),
            Reduction::RfPooled(grid) => Ok(Self::Masks(TapMap::new(graph, node)?.masks(grid)?)),
            Reduction::SparseRandomProjection(projection)
            | Reduction::Pca(PcaOptions { project: Some(projection), .. }) => projected(projection),
        }
    }

    /// Reduces the activations of a batch (images x units, row-major) into `out` (images x features).
    /// An image's numbers do not depend on the batch that it is in, nor on the number of threads.
    pub fn apply(&self, activations: &[f32], shape: Shape, mut out: ArrayViewMut2<'_, f32>) {
        let n = out.nrows();
        let units = ArrayView2::from_shape((n, shape.len()), activations).expect("images x units");
        let pixels = shape.height * shape.width;
        match self {
            Self::Flat => out.assign(&units),
            Self::Mean => {
                for (mut out, units) in out.axis_iter_mut(Axis(0)).zip(units.axis_iter(Axis(0))) {
                    let units = units.to_slice().expect("row-major");
                    let mean = |map: &[f32]| map.iter().map(|&v| f64::from(v)).sum::<f64>() / pixels as f64;
                    out.iter_mut().zip(units.chunks_exact(pixels)).for_each(|(to, map)| *to = mean(map) as f32);
                }
            }
            Self::Masks(masks) => {
                out.axis_iter_mut(Axis(0)).into_par_iter().zip(units.axis_iter(Axis(0))).for_each(
                    |(mut out, units)| {
                        let maps = units.into_shape_with_order((shape.channels, pixels)).expect("channels x pixels");
                        let table = masks.t().dot(&maps.t());
                        out.iter_mut().zip(&table.as_standard_layout()).for_each(|(to, &v)| *to = v);
                    },
                );
            }
            Self::Projected(matrix) => matrix.apply(units, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_known_before() {
        let layer = Shape::new(8, 5, 4);
        let size = |reduction: &Reduction, n, train| reduction.size(layer, n, train).unwrap().to_string();
        assert_eq!(size(&Reduction::Flat, 10, 10), "160");
        assert_eq!(size(&Reduction::Pca(PcaOptions::default()), 100, 50), "at most 49");
        assert_eq!(size(&Reduction::Pca(PcaOptions::default()), 1000, 500), "at most 160");
        let ten = PcaOptions { keep: Keep::Components(10), ..Default::default() };
        assert_eq!(size(&Reduction::Pca(ten), 100, 50), "at most 10");
        let narrow = Projection { n_components: Some(30), ..Default::default() };
        assert_eq!(size(&Reduction::SparseRandomProjection(narrow), 9, 9), "30");
        assert_eq!(
            size(&Reduction::SparseRandomProjection(Projection::default()), 1000, 9),
            "160",
            "not more than units"
        );
        for keep in [Keep::Variance(1.0), Keep::Variance(f64::NAN), Keep::Components(0)] {
            assert!(Reduction::Pca(PcaOptions { keep, ..Default::default() }).size(layer, 9, 9).is_err());
        }
    }

    #[test]
    fn a_configuration_holds_them() {
        #[derive(Deserialize)]
        struct Section {
            reduction: Reduction,
        }
        let read = |text: &str| toml::from_str::<Section>(&format!("reduction = {text}")).map(|s| s.reduction);
        assert_eq!(read("\"spatial_mean\"").unwrap(), Reduction::SpatialMean);
        let pca = read("{ pca = { keep = { components = 7 }, zscore = true } }").unwrap();
        assert_eq!(pca.describe(), "PCA of z-scored units, 7 components");
        assert_eq!(read("{ pca = {} }").unwrap().describe(), "PCA, 99 % of the variance");
        assert!(
            read("{ pca = { k = 7 } }").is_err() && read("\"gap\"").is_err() && read("{ rf_pooled = {} }").is_err()
        );
        let grid = read("{ rf_pooled = { width_deg = 20.0 } }").unwrap();
        assert_eq!(grid.size(Shape::new(3, 9, 9), 5, 5).unwrap().at_most, 3 * 512);
        let back = serde_json::from_str::<Reduction>(&serde_json::to_string(&grid).unwrap()).unwrap();
        assert_eq!(back, grid);
    }
}
