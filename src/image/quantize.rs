//! Between displayed values in [0, 1] and 8-bit files.

use ndarray::{Array, Array4};

/// 8-bit values of images in [0, 1]: `255 v` to the nearest, halves up, values outside brought to
/// the ends, NaN to 0.
///
/// The rule of [`io::png::quantize`](crate::io::png::quantize), on a whole set and with channels
/// first: what a set is scored on before it is written.
pub fn quantize(images: &Array4<f32>) -> Array4<u8> {
    images.mapv(|v| (255.0 * v).round().clamp(0.0, 255.0) as u8)
}

/// Displayed values of 8-bit images: `v / 255`. [`quantize`] gives back the same bytes.
pub fn dequantize<D: ndarray::Dimension>(images: &Array<u8, D>) -> Array<f32, D> {
    images.mapv(|v| f32::from(v) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_survives() {
        let bytes = Array4::from_shape_fn((1, 1, 16, 16), |(_, _, y, x)| (16 * y + x) as u8);
        assert_eq!(quantize(&dequantize(&bytes)), bytes);
    }

    #[test]
    fn ends_are_kept_and_the_rule_is_the_files() {
        let images = Array4::from_shape_fn((1, 3, 8, 40), |(_, c, y, x)| (c * 320 + y * 40 + x) as f32 / 900.0 - 0.03);
        let bytes = quantize(&images);
        assert_eq!((bytes[(0, 0, 0, 0)], bytes[(0, 2, 7, 39)]), (0, 255));
        let file = crate::io::png::quantize(images.index_axis(ndarray::Axis(0), 0)).expect("finite values");
        assert_eq!(bytes.index_axis(ndarray::Axis(0), 0).permuted_axes([1, 2, 0]), file);
    }

    proptest! {
        #[test]
        fn quantizing_twice_changes_nothing(values in proptest::collection::vec(-0.5f32..1.5, 12)) {
            let images = Array4::from_shape_vec((1, 3, 2, 2), values).expect("twelve values");
            let once = quantize(&images);
            prop_assert_eq!(quantize(&dequantize(&once)), once.clone());
            for (v, b) in images.iter().zip(&once) {
                prop_assert!((v.clamp(0.0, 1.0) - f32::from(*b) / 255.0).abs() <= 0.5 / 255.0 + 1e-6);
            }
        }
    }
}
