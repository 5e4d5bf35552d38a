//! Statistics and small algebra around ndarray; no tensors, no files.

pub mod condensed;
pub mod linalg;
pub mod permutation;
pub mod stats;
