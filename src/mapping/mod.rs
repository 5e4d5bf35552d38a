//! Mapping: which fingerprint each place of the brain resembles.
//!
//! | module | what |
//! |---|---|
//! | [`sphere`] | which voxels belong to a centre |
//! | [`dissimilarity`], [`noise`] | RDM of a set of voxels |
//! | [`compare`], [`nnls`], [`kendall`] | comparison with many fingerprints at once |
//! | [`residual`], [`activation`] | what a layer's fingerprint does not share with others |
//! | [`mod@measure`] | a range of places, measured and tested: what jobs ask for |
//! | [`mod@searchlight`] | the one pass over all places |
//! | [`null`] | relabelled images |
//! | [`subjects`] | given RDMs of several subjects |
//! | [`image_bootstrap`] | resampled images |
//! | [`ceiling`] | noise ceilings |
//! | [`layers`], [`overlap`] | which layer is where, how much layers overlap |
//! | [`simulate`] | a brain whose layers are known |

pub mod activation;
pub mod ceiling;
pub mod compare;
pub mod dissimilarity;
pub mod image_bootstrap;
pub mod kendall;
pub mod layers;
pub mod measure;
pub mod nnls;
pub mod noise;
pub mod null;
pub mod overlap;
pub mod residual;
pub mod searchlight;
pub mod simulate;
pub mod sphere;
pub mod subjects;

pub use compare::{Comparator, Statistic};
pub use dissimilarity::{Dissimilarity, Measurement, Patterns};
pub use measure::{Part, PlaceCorrection, Question, fdr_needs, measure};
pub use null::Relabellings;
pub use residual::Residual;
pub use searchlight::searchlight;
pub use sphere::{Neighbourhoods, Sphere};
