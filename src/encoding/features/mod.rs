//! Features of images for encoding models: from the layers of a network in one forward pass, reduced
//! as they come, or ready ones from files.
//!
//! | question | module |
//! |---|---|
//! | what is kept of a layer | [`Reduction`], [`projection`], [`receptive_fields`], [`pca`] |
//! | how large it will be, and how it is computed | [`Extraction`] |
//! | features of earlier runs | [`Cache`] |
//! | features that others made | [`spaces`] |
//! | movies: samples from frames | [`FrameMap`], [`Extraction::movie`] |
//!
//! What is extracted ([`Table`]) knows nothing of training and test rows; what learns ([`Pca`],
//! [`super::Standardizer`]) takes the training [`Rows`](super::Rows) and notes them in a
//! [`Leakage`](super::Leakage). One exception, units that are z-scored before a PCA of a layer that
//! does not fit in memory, carries its rows with it, and a PCA of any others is refused.

mod cache;
mod components;
mod extraction;
mod frames;
mod open_samples;
pub mod pca;
mod plan;
pub mod projection;
pub mod receptive_fields;
mod reduction;
pub mod spaces;
mod table;

pub use cache::{Cache, Identity};
pub(in crate::encoding) use extraction::numbers;
pub(in crate::encoding) use open_samples::{Chosen, OpenSamples};
pub(in crate::encoding) use reduction::Reducer;

pub use components::{Combined, Components, components};
pub use extraction::{Context, MakeExecutor};
pub use frames::FrameMap;
pub use pca::Pca;
pub use plan::{Extraction, Limits, TapPlan};
pub use projection::{Projection, johnson_lindenstrauss};
pub use receptive_fields::{GaussianWindow, Place, RfGrid, TapMap};
pub use reduction::{Keep, PcaOptions, Reduction, Size};
pub use spaces::FeatureSpace;
pub use table::{GramTable, Table};
