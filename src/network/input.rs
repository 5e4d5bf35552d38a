//! What a network wants its pixels to look like.

use super::bounds::PIXELS;
use crate::error::{Error, Result};
use crate::size;
use serde::{Deserialize, Serialize};

/// Names of [`InputSpec::preset`], in words.
pub const PRESETS: &str = "caffe, keras-caffe, torchvision, lucid, v4, unit or raw";

/// Order of the colour planes that the first layer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    #[default]
    Rgb,
    Bgr,
    /// One plane: the mean of R, G and B.
    Grey,
}

/// The network's input: size and preprocessing.
///
/// With `p` in [0, 1] the displayed RGB value, the network receives, for its plane `c` (in the
/// network's own order), `x[c] = (range * p[order(c)] - mean[c]) / std[c]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Rows and columns, pixels.
    pub height: usize,
    pub width: usize,
    #[serde(default)]
    pub order: ChannelOrder,
    /// Value of a white pixel before the mean is subtracted: 255 or 1.
    pub range: f32,
    /// Subtracted per plane, in the network's order.
    pub mean: Vec<f32>,
    /// Divisor per plane, in the network's order.
    pub std: Vec<f32>,
}

impl InputSpec {
    /// Number of planes the network reads.
    pub fn n_channels(&self) -> usize {
        if self.order == ChannelOrder::Grey { 1 } else { 3 }
    }

    /// A named convention at a given size.
    ///
    /// | name | range | order | mean | std |
    /// |---|---|---|---|---|
    /// | `caffe`, `keras-caffe` | 0..255 | BGR | 104, 117, 123 / 103.939, 116.779, 123.68 | 1 |
    /// | `torchvision` | 0..1 | RGB | 0.485, 0.456, 0.406 | 0.229, 0.224, 0.225 |
    /// | `lucid` | 0..255 | RGB | 117 | 1 |
    /// | `v4` | 0..255 | RGB | 116.222, 109.270, 100.381 | 1 |
    /// | `unit` | 0..1 | RGB | 0 | 1 |
    /// | `raw` | 0..255 | RGB | 0 | 1 |
    ///
    /// # Errors
    /// [`Error::Invalid`] for another name.
    pub fn preset(name: &str, height: usize, width: usize) -> Result<Self> {
        let (order, range, mean, std) = match name {
            "caffe" => (ChannelOrder::Bgr, 255.0, [104.0, 117.0, 123.0], [1.0; 3]),
            "keras-caffe" => (ChannelOrder::Bgr, 255.0, [103.939, 116.779, 123.68], [1.0; 3]),
            "torchvision" => (ChannelOrder::Rgb, 1.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            "lucid" => (ChannelOrder::Rgb, 255.0, [117.0; 3], [1.0; 3]),
            "v4" => (ChannelOrder::Rgb, 255.0, [116.222, 109.270, 100.381], [1.0; 3]),
            "unit" => (ChannelOrder::Rgb, 1.0, [0.0; 3], [1.0; 3]),
            "raw" => (ChannelOrder::Rgb, 255.0, [0.0; 3], [1.0; 3]),
            _ => {
                return Err(Error::invalid(
                    "preprocess",
                    PRESETS,
                    format!("`{name}`"),
                    "choose what the network was trained with; its authors' page says so",
                ));
            }
        };
        Ok(Self { height, width, order, range, mean: mean.to_vec(), std: std.to_vec() })
    }

    /// # Errors
    /// [`Error::Invalid`] when there are no pixels or more than [`PIXELS`], or when range and std are
    /// not above 0 and mean and std do not have one finite value per plane.
    pub fn check(&self, at: &str) -> Result<()> {
        let n = self.n_channels();
        if !size::product([self.height, self.width]).is_some_and(|n| (1..=PIXELS).contains(&n)) {
            return Err(Error::invalid(
                at,
                format!("an input of 1 to {PIXELS} pixels"),
                format!("{} x {}", self.height, self.width),
                "give the network with the image size that it was trained with",
            ));
        }
        let planes = self.mean.len() == n && self.std.len() == n;
        let usable = |(&mean, &std): (&f32, &f32)| {
            std > 0.0 && std.is_finite() && (self.range / std).is_finite() && (mean / std).is_finite()
        };
        if !planes || self.range.is_nan() || self.range <= 0.0 || !self.mean.iter().zip(&self.std).all(usable) {
            return Err(Error::invalid(
                at,
                format!("a range above 0, {n} finite mean(s) and {n} standard deviation(s) above 0"),
                format!("range {}, mean {:?}, std {:?}", self.range, self.mean, self.std),
                "correct the card's [input] table, or say how pixels are to be prepared (`preprocess`)",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_no_image_fits_are_refused() {
        let raw = InputSpec::preset("raw", 2048, 2048).unwrap();
        raw.check("n").unwrap();
        let wrong = [
            InputSpec { height: 0, ..raw.clone() },
            InputSpec { height: 2049, ..raw.clone() },
            InputSpec { height: 1 << 33, width: 1 << 33, ..raw.clone() },
            InputSpec { range: f32::NAN, ..raw.clone() },
            InputSpec { range: -1.0, ..raw.clone() },
            InputSpec { mean: vec![0.0; 2], ..raw.clone() },
            InputSpec { mean: vec![0.0, f32::INFINITY, 0.0], ..raw.clone() },
            InputSpec { std: vec![1.0, -1.0, 1.0], ..raw.clone() },
            InputSpec { std: vec![1.0, f32::NAN, 1.0], ..raw.clone() },
            InputSpec { std: vec![1e-45; 3], ..raw },
        ];
        for spec in wrong {
            assert!(spec.check("n").is_err(), "{spec:?}");
        }
    }

    #[test]
    fn every_preset_that_is_named_exists_and_raw_changes_nothing() {
        for name in PRESETS.split([',', ' ']).filter(|w| !w.is_empty() && *w != "or") {
            InputSpec::preset(name, 8, 8).unwrap().check(name).unwrap();
        }
        let raw = InputSpec::preset("raw", 8, 8).unwrap();
        assert_eq!((raw.order, raw.range, raw.mean, raw.std), (ChannelOrder::Rgb, 255.0, vec![0.0; 3], vec![1.0; 3]));
        assert!(InputSpec::preset("0..255", 8, 8).unwrap_err().to_string().contains("raw"));
    }
}
