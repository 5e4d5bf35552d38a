//! Statistics of maps, time series and subjects: pure functions on arrays, no files.
//!
//! A map is one number a voxel of a mask, in the mask's order; several maps are the rows of a
//! matrix (n_subjects x n_voxels). What a voxel's neighbours are is said by
//! [`neighbours::Neighbours`], so that the same functions serve volumes and surfaces.
//!
//! | question | module |
//! |---|---|
//! | betas of a time series | [`glm`] |
//! | is the mean map of a group different from zero, do two sets of maps differ | [`group`], [`tfce`], [`clusters`] |
//! | which tests of many may be called significant | [`correction`] |
//! | how sure is a mean map, a difference, a proportion | [`interval`] |
//! | what a test of subjects compares with | [`flips`], [`distributions`] |

pub mod clusters;
pub mod correction;
pub mod distributions;
pub mod flips;
pub mod glm;
pub mod group;
pub mod interval;
pub mod neighbours;
pub mod tfce;
