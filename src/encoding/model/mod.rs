//! A fitted encoding model: from images (or ready features) to the responses of its targets.
//!
//! ```text
//! images -> network -> tap -> reduction -> components -> (x - mean) / scale -> weights, intercept
//! ```
//!
//! Everything on that way but the network was fitted on training rows. Weights are of the scaled
//! features, so that they can be compared; prediction is `((x - mean) / scale) weights + intercept`.

mod check;
mod file;
mod fold;
mod predict;
mod write;

pub use file::{ModelFile, read};
pub use fold::Fitted;
pub use predict::PredictOptions;
pub use write::write_streamed;

use crate::encoding::features::{Components, Reduction};
use crate::image::resize::Resize;
use crate::network::Graph;
use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

/// A fitted model with everything that its predictions need.
#[derive(Debug, Clone)]
pub struct EncodingModel {
    /// What sees the images; none where features were given.
    pub network: Option<ModelNetwork>,
    /// Sets of features.
    pub spaces: Vec<ModelSpace>,
    /// Each target belongs to one; a target that could not be fitted to none.
    pub readouts: Vec<Readout>,
    /// Names of all targets.
    pub targets: Vec<String>,
    /// Samples that features are delayed by, for time series; empty for responses to stimuli. A
    /// space's delayed copies stand side by side, as [`crate::encoding::temporal::delayed`] has them,
    /// after `mean` and `scale`.
    pub delays: Vec<isize>,
    /// What it was fitted on, so that it is noticed when it is shown again; empty where that is not
    /// known.
    pub stimuli: Vec<TrainingStimulus>,
}

/// A stimulus that a model was fitted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingStimulus {
    /// In the set of images or the table of features.
    pub name: String,
    /// [`pixels_hash`] of its image; empty where features were given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// BLAKE3 of an image's size and pixels, cut to 128 bits, hexadecimal: the same picture under whatever
/// name.
///
/// # Shapes
/// `pixels`: height x width x 3, as in the file.
pub fn pixels_hash(pixels: &Array3<u8>) -> String {
    let mut hasher = blake3::Hasher::new();
    let (height, width, _) = pixels.dim();
    for side in [height, width] {
        hasher.update(&(side as u64).to_le_bytes());
    }
    hasher.update(pixels.as_standard_layout().as_slice().expect("laid out row by row"));
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The network below the taps.
#[derive(Debug, Clone)]
pub struct ModelNetwork {
    /// Cut off above the deepest tap.
    pub graph: Graph,
    /// BLAKE3 of the network that it was cut from.
    pub source_blake3: String,
    /// How images are brought to its input size.
    pub resize: Resize,
}

/// A set of features.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpace {
    /// A tap's, or that of an array of ready features.
    pub name: String,
    /// Where features come from.
    pub from: SpaceFrom,
    /// Principal components on what the reduction streams; none without a PCA.
    pub components: Option<Components>,
    /// Of every feature over the training rows; 0 where features are taken as they are.
    pub mean: Vec<f64>,
    /// 1 where features are not scaled.
    pub scale: Vec<f64>,
}

/// Where features come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpaceFrom {
    /// A layer, reduced. A projection's number of vectors is written out.
    Tap { tap: String, reduction: Reduction },
    /// An array that others made.
    Given { n_features: usize },
}

/// Weights of some targets on some spaces.
#[derive(Debug, Clone, PartialEq)]
pub struct Readout {
    /// Spaces whose features stand side by side.
    pub spaces: Vec<usize>,
    /// Ascending.
    pub targets: Vec<usize>,
    /// What is made of features.
    pub weights: ReadoutWeights,
    /// One a target.
    pub intercept: Vec<f64>,
    /// Penalty of each target.
    pub alphas: Vec<f64>,
}

/// How features become responses.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadoutWeights {
    /// All (delayed) features x targets.
    Dense(Array2<f32>),
    /// Features of one Gaussian window a target: n_channels x targets, on columns
    /// `windows[t] n_channels ..` of an RF-pooled space.
    Windows { windows: Vec<usize>, weights: Array2<f32> },
    /// A map and a weight of every channel, of a space of all units: `sum_cyx f[c] m[y, x] a[c, y, x]`.
    Factorized {
        /// height width x targets.
        maps: Array2<f32>,
        /// n_channels x targets.
        channels: Array2<f32>,
        /// What is made of the sum and the intercept.
        output: Output,
    },
}

/// What is made of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Nothing.
    #[default]
    Identity,
    /// `1 + elu(x)`: x + 1 above 0, exp(x) below: a rate, for a Poisson loss.
    Rate,
}
