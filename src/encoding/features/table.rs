//! What one forward pass leaves of a layer.

use crate::encoding::folds::Rows;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// What one forward pass leaves of a layer over all images: nothing in it was learnt, unless it says
/// on which rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Table {
    /// Features, n_images x n_features.
    Features(Array2<f32>),
    /// Inner products of all pairs of images, where a layer has far more units than there are
    /// images: all that principal components need, for any choice of training rows.
    Gram(GramTable),
}

/// Inner products of the units of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct GramTable {
    /// n_images x n_images, of the units as they are, or standardised.
    pub gram: Array2<f64>,
    /// Units of the layer.
    pub n_units: usize,
    /// The rows by whose means and standard deviations units were standardised before.
    pub standardized_on: Option<Rows>,
}

/// The first line of a table in bytes.
#[derive(Serialize, Deserialize)]
struct Header {
    gram: bool,
    n_images: usize,
    n_columns: usize,
    n_units: usize,
    standardized_on: Option<Vec<usize>>,
}

impl Table {
    /// How many images.
    pub fn n_images(&self) -> usize {
        match self {
            Self::Features(features) => features.nrows(),
            Self::Gram(table) => table.gram.nrows(),
        }
    }

    /// Features themselves.
    pub fn features(self) -> Option<Array2<f32>> {
        match self {
            Self::Features(features) => Some(features),
            Self::Gram(_) => None,
        }
    }

    /// A line of JSON, then the numbers, row-major and little-endian.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (gram, n_columns, n_units, standardized_on) = match self {
            Self::Features(features) => (false, features.ncols(), features.ncols(), None),
            Self::Gram(t) => {
                (true, t.gram.ncols(), t.n_units, t.standardized_on.as_ref().map(|r| r.indices().to_vec()))
            }
        };
        let header = Header { gram, n_images: self.n_images(), n_columns, n_units, standardized_on };
        let mut bytes = serde_json::to_vec(&header).expect("numbers become JSON");
        bytes.push(b'\n');
        match self {
            Self::Features(features) => {
                bytes.reserve_exact(4 * features.len());
                bytes.extend(features.iter().flat_map(|v| v.to_le_bytes()));
            }
            Self::Gram(table) => {
                bytes.reserve_exact(8 * table.gram.len());
                bytes.extend(table.gram.iter().flat_map(|v| v.to_le_bytes()));
            }
        }
        bytes
    }

    /// The table in some bytes; `None` when they are not those of one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|&b| b == b'\n')?;
        let header: Header = serde_json::from_slice(&bytes[..end]).ok()?;
        let (body, shape) = (&bytes[end + 1..], (header.n_images, header.n_columns));
        if !header.gram {
            let values = body.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
            return Some(Self::Features(Array2::from_shape_vec(shape, values).ok()?));
        }
        let values = body.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect();
        let standardized_on = match header.standardized_on {
            Some(rows) => Some(Rows::new(rows, header.n_images).ok()?),
            None => None,
        };
        let gram = Array2::from_shape_vec(shape, values).ok().filter(|gram| gram.is_square())?;
        Some(Self::Gram(GramTable { gram, n_units: header.n_units, standardized_on }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn bytes_and_back() {
        let features = Table::Features(array![[1.5, -0.0], [f32::NAN, 3.0], [0.0, 1e-40]]);
        let back = Table::decode(&features.encode()).unwrap();
        let bits = |t: Table| t.features().unwrap().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(back), bits(features.clone()));
        for standardized_on in [None, Some(Rows::new(vec![1], 2).unwrap())] {
            let table = Table::Gram(GramTable { gram: array![[1.0, 0.1], [0.1, 2.0]], n_units: 70, standardized_on });
            assert_eq!(Table::decode(&table.encode()).unwrap(), table);
        }
        let bytes = features.encode();
        for length in 0..bytes.len() {
            assert!(Table::decode(&bytes[..length]).is_none(), "{length} bytes");
        }
        assert_eq!(features.n_images(), 3);
    }
}
