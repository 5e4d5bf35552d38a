//! GIFTI: data of surfaces (`.func.gii`, `.shape.gii`, `.label.gii`).
//!
//! Reading: ASCII, base64 and zlib-packed base64, in either byte order and either order of the
//! axes; integers of 8 to 32 bits, floats of 32 and 64. Data in other files (`ExternalFileBinary`)
//! are refused. Writing: 32-bit floats, packed, one array a map.
//!
//! # Source
//! GIFTI surface data format, version 1.0, <https://www.nitrc.org/projects/gifti>.

mod read;
mod write;

pub use read::{DataArray, Gifti, Numbers, read};
pub use write::{Intent, write};

/// How GIFTI calls the structures whose surfaces CIFTI knows, and CIFTI's name without
/// `CIFTI_STRUCTURE_`.
const STRUCTURES: [(&str, &str); 3] =
    [("CortexLeft", "CORTEX_LEFT"), ("CortexRight", "CORTEX_RIGHT"), ("Cerebellum", "CEREBELLUM")];

#[cfg(test)]
mod tests;
