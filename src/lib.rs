//! orthoscope: from a network to a scanner-ready stimulus set, and from recordings back to the network.
//!
//! The floors of the house, from the top; imports go down only (`tests/architecture.rs` proves it):
//!
//! | floor | modules |
//! |---|---|
//! | 6 | [`cli`]: one file per subcommand; clap types end here |
//! | 5 | [`job`]: config, plan, run directory, checkpoint, progress; [`report`]: figures and HTML |
//! | 4 | [`synthesis`]: the one optimisation loop; [`objective`]: scalar functions to maximise; [`mapping`]: searchlight, residual method, group statistics; [`training`]: weights of a graph |
//! | 3 | [`network`]: graph, taps, executors, importers; [`image`]: parametrisations, constraints, hygiene; [`rdm`]: dissimilarities and comparisons |
//! | 2 | [`io`]: one file per format; atomic writes |
//! | 1 | [`data`]: checked containers; [`math`]: statistics; [`tensor`]: the door to burn |
//! | 0 | [`error`], [`warning`], [`rng`] |
#![forbid(unsafe_code)]
#![allow(clippy::clone_on_copy, reason = "the devices of other backends are not Copy")]

pub mod cancel;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod error;
pub mod image;
pub mod io;
pub mod job;
pub mod mapping;
pub mod math;
pub mod network;
pub mod objective;
pub mod progress;
pub mod rdm;
pub mod report;
pub mod rng;
pub mod stats;
pub mod synthesis;
pub mod tensor;
pub mod training;
pub mod warning;

pub use cancel::Cancel;
pub use error::{Error, Result};
pub use warning::Warning;
