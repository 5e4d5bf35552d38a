//! Encoding models: from features of stimuli to the responses of very many targets.
//!
//! Whatever is fitted takes the [`Rows`] of a training side and reads no others; a [`Leakage`] says
//! what was fitted on which.
//!
//! | question | module |
//! |---|---|
//! | features of images: layers of a network reduced as they come, ready spaces | [`features`] |
//! | which rows are fitted on, which are tested | [`mod@folds`] |
//! | centring and scaling with training statistics | [`standardize`] |
//! | features that learn, fitted anew in every inner fold | [`fitted`] |
//! | movies: response functions, delays, volumes from frames | [`temporal`] |
//! | ridge regression, the penalty chosen by cross-validation | [`ridge`], [`kernel_ridge`], [`options`] |
//! | several feature spaces, each with its own penalty | [`banded`], [`gammas`] |
//! | where targets look: one Gaussian window each, chosen among candidates | [`receptive_fields`] |
//! | simulated targets whose windows are known, and how many are found again | [`simulated_fields`] |
//! | where a target looks and what it looks for: maps times channels, trained | [`readout`] |
//! | searches over candidates, kept and gone on with | [`search`] |
//! | what ridge estimators share: prepared once, solved for any range of targets | [`solver`], [`select`] |
//! | a fitted model as one file, as a network that ends in its targets | [`model`] |
//! | how good predictions are, and what each space adds | [`scores`], [`variance`] |
//! | how good they could be | [`reliability`] |
//! | whether they are better than chance | [`permutation`] |
//! | which stimulus was shown | [`identification`] |
//! | which images a target prefers, and how alike they are | [`stability`] |

pub mod banded;
mod banded_refit;
pub mod features;
pub mod fitted;
pub mod folds;
pub mod gammas;
pub mod identification;
pub mod kernel_ridge;
pub mod model;
mod moments;
pub mod options;
pub mod permutation;
pub mod readout;
pub mod receptive_fields;
mod reduced;
pub mod reliability;
pub mod ridge;
pub mod scores;
pub mod search;
pub mod select;
pub mod simulated_fields;
pub mod solver;
mod spectrum;
pub mod stability;
mod stage;
pub mod standardize;
pub mod temporal;
pub mod variance;

pub use banded::{BandedFit, BandedRidgeCv};
pub use fitted::{Features, Standardized};
pub use folds::{Fold, Labels, Leakage, Rows, Split, folds};
pub use gammas::Gammas;
pub use kernel_ridge::{KernelRidgeCv, KernelRidgeFit, linear_kernel};
pub use model::EncodingModel;
pub use options::{AlphaReport, Alphas, Form, RidgeOptions, Score, TargetState};
pub use readout::FactorizedReadout;
pub use receptive_fields::{GaussianRf, RfFit};
pub use ridge::{RidgeCv, RidgeFit};
pub use search::SearchState;
pub use select::Selection;
pub use solver::Work;
pub use standardize::{Scaling, Standardizer};
