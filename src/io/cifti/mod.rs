//! CIFTI-2: numbers of grayordinates (`.dscalar.nii`, `.dtseries.nii`, `.dlabel.nii`).
//!
//! A NIfTI-2 file of 1 x 1 x 1 x 1 x n_maps x n_grayordinates numbers, the maps of one grayordinate
//! together, whose extension of code 32 says in XML what both sides are. Parcels (`.pscalar.nii`,
//! `.ptseries.nii`) and connectivities are refused.
//!
//! # Source
//! CIFTI-2, <https://www.nitrc.org/projects/cifti>.

mod read;
mod write;

pub use read::{Cifti, LabelMap, Maps, read};
pub use write::write;

/// The code of CIFTI's extension.
const CODE: i32 = 32;
/// What the names of structures begin with.
const STRUCTURE: &str = "CIFTI_STRUCTURE_";

#[cfg(test)]
mod tests;
