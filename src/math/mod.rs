//! Statistics and small algebra around ndarray; no tensors, no files.

pub mod linalg;
pub mod condensed;
pub mod permutation;
pub mod stats;
