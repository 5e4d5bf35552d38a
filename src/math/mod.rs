//! Statistics and small algebra around ndarray; no tensors, no files.

pub mod linalg;
