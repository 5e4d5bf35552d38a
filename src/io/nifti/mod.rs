//! NIfTI-1 and NIfTI-2 images, `.nii` and `.nii.gz`.
//!
//! Reading: either byte order, all integer and floating-point types of up to 64 bits,
//! `scl_slope`/`scl_inter`, sform before qform (with `qfac`) before `pixdim`, as nibabel's
//! `get_best_affine`; gzip streams are verified to their checksum, and files to their end. Writing:
//! single-file NIfTI-1, or NIfTI-2 where a side is longer than 32,767 voxels; little-endian; sform
//! and qform set.
//!
//! # Source
//! The NIfTI-1 and NIfTI-2 headers, <https://nifti.nimh.nih.gov>.

mod gunzip;
mod header;
mod numbers;
mod read;
mod write;

pub use header::{Datatype, Header, Space};
pub use read::{Matrix, Nifti, read, read_header, read_labels, read_mask, read_matrix, read_volume};
pub use write::{write_series, write_volume, write_volume_as};

#[cfg(test)]
mod tests;
