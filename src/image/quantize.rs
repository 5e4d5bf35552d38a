//! Between displayed values in [0, 1] and 8-bit files.

use ndarray::{Array, Array4};

/// 8-bit values of images in [0, 1]: `round(255 v)`, halves to even (NumPy's rule), values outside brought to the ends, NaN to 0.
pub fn quantize(images: &Array4<f32>) -> Array4<u8> {
    images.mapv(|v| (255.0 * f64::from(v)).round_ties_even() as u8)
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
    fn ends_and_halves() {
        let values = [-0.3, 0.0, 1.0, 1.7, f32::NAN, 0.5 / 255.0, 2.5 / 255.0, 3.5 / 255.0];
        let images = Array4::from_shape_vec((1, 1, 1, 8), values.to_vec()).expect("eight values");
        // 0.5 / 255 in 32 bits is a little above the half, 2.5 / 255 a little below.
        let halves: Vec<u8> = values[5..].iter().map(|&v| (255.0 * f64::from(v)).round() as u8).collect();
        let out = quantize(&images);
        assert_eq!(out.as_slice().map(|s| &s[..5]), Some(&[0u8, 0, 255, 255, 0][..]));
        assert_eq!(out.as_slice().map(|s| &s[5..]), Some(&halves[..]));
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
