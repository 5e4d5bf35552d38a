//! One file per format; every write is atomic.

pub mod atomic;
pub mod weights;
