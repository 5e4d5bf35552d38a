//! orthoscope: from a network to a scanner-ready stimulus set, and from recordings back to the
//! network.
//!
//! A set of images whose layers are uncorrelated, made and scored:
//!
//! ```
//! use orthoscope::image::{Canvas, Fourier, FourierOptions, Init, dequantize, quantize};
//! use orthoscope::job::orthogonalize::Fingerprints;
//! use orthoscope::network::zoo::{LoadOptions, load_model};
//! use orthoscope::network::{CpuEngine, TapRequest};
//! use orthoscope::objective::{PatternSimilarity, Penalty, RsmTaps, second_order_penalty};
//! use orthoscope::synthesis::Synthesizer;
//!
//! fn main() -> orthoscope::Result<()> {
//!     let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
//!     let taps = graph.resolve_taps(&["mixed3a", "mixed4a", "mixed5a"].map(String::from))?;
//!     let layers: Vec<_> = taps.into_iter().map(TapRequest::Moments).collect();
//!     let canvas = Canvas { n_images: 6, height: 96, width: 96, grey: false };
//!     let start = Init::Noise { sd: 0.5, seed: 1, item: 0 };
//!     let images = Fourier::new(canvas, FourierOptions::default(), &start)?;
//!     // Objectives are maximised: a penalty enters with a minus.
//!     let similarity = PatternSimilarity::Pearson;
//!     let rsms = RsmTaps::new(0..3, similarity);
//!     let goal = -second_order_penalty(rsms, Penalty::MeanSquare, None);
//!     let mut synthesizer = Synthesizer::new(images, CpuEngine::new(&graph, &layers)?, goal, 30);
//!     let mut set = synthesizer.start();
//!     while !set.is_done() {
//!         synthesizer.step(&mut set)?;
//!     }
//!     // Scored as 8-bit files would show them.
//!     let shown = dequantize(&quantize(&synthesizer.images(&set)));
//!     let device = synthesizer.device.clone();
//!     let network = synthesizer.executor.as_mut();
//!     let found = Fingerprints::measure(network, &shown, similarity, &device)?;
//!     let (before, after) = (set.trace.column("mean_abs_r")[0], found.score().mean_abs_r);
//!     println!("mean |R| between layers: {before:.2} before, {after:.2} after 30 steps");
//!     assert!(after < before);
//!     Ok(())
//! }
//! ```
//!
//! | to | see |
//! |---|---|
//! | build or import a network | [`network::GraphBuilder`], [`network::zoo::load_model`] |
//! | run it, forward and back to the pixels | [`network::Executor`] |
//! | make images | [`synthesis::Synthesizer`], [`objective`], [`image`] |
//! | measure and compare RDMs | [`rdm::Rdm`] |
//! | make a network smaller | [`compression`] |
//! | map a brain | [`mapping::searchlight()`] |
//! | test maps of several subjects | [`stats::group::one_sample`] |
//! | run a job as the program does | [`job`] |
//!
//! The floors of the house, from the top; imports go down only (`tests/all/architecture.rs` proves
//! it):
//!
//! | floor | modules |
//! |---|---|
//! | 6 | [`cli`]: the command line around the table of jobs |
//! | 5 | [`job`]: flags, config, plan, run directory, checkpoint, results; [`report`]: figures and HTML |
//! | 4 | [`synthesis`]: the one optimisation loop; [`objective`]: scalar functions to maximise; [`mapping`]: searchlight, residual method; [`encoding`]: features to responses; [`training`]: weights of a graph; [`compression`]: smaller networks |
//! | 3 | [`network`]: graph, taps, executors, importers; [`image`]: parametrisations, constraints, hygiene; [`rdm`]: dissimilarities and comparisons |
//! | 2 | [`io`]: one file per format; atomic writes; [`stats`]: tests, intervals, linear models |
//! | 1 | [`data`]: checked containers; [`math`]: statistics; [`tensor`]: the door to burn |
//! | 0 | [`error`], [`warning`], [`rng`], [`size`], [`cancel`], [`progress`] |
#![forbid(unsafe_code)]
#![allow(clippy::clone_on_copy, reason = "the devices of other backends are not Copy")]

pub mod cancel;
#[cfg(feature = "cli")]
pub mod cli;
pub mod compression;
pub mod data;
pub mod encoding;
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
pub mod size;
pub mod stats;
pub mod synthesis;
pub mod tensor;
pub mod training;
pub mod warning;

pub use cancel::Cancel;
pub use error::{Error, Result};
pub use warning::Warning;
