//! Figures and the one-page report of a run directory. Reads plain values and files; computes no
//! statistics.
//!
//! [`figures`] draws: each function takes data and an output path without extension, and writes PNG
//! (and SVG where lines and cells make sense). [`html::Page`] builds a self-contained page;
//! [`write()`] makes `report.html` of a run directory, with what a job says about its results.

mod chart;
pub mod figures;
pub mod html;
pub mod names;
pub mod palette;
mod raster;
mod run;
mod scene;
mod svg;
pub mod values;

pub use html::Page;
pub use run::{Figures, Run, write, write_of};
