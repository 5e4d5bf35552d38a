//! One file per format; every write is atomic.

pub mod atomic;
mod base64;
pub mod cifti;
pub mod filename;
pub mod gifti;
pub mod glmsingle;
pub mod guard;
pub mod hdf5;
pub mod hdf5_arrays;
mod hdf5_trees;
mod image_source;
pub mod images;
pub mod json;
pub mod labels;
pub mod movie;
pub mod nifti;
pub mod npy;
pub mod npz;
pub mod number_table;
pub mod png;
pub mod sealed;
pub mod source;
pub mod tensors;
pub mod tsv;
pub mod unzip;
pub mod weights;
mod xml;
