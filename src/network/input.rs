//! What a network wants its pixels to look like.

use crate::error::{Error, Result};
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
    /// [`Error::Invalid`] when sizes are zero, or mean and std do not have one finite value per
    /// plane.
    pub fn check(&self, at: &str) -> Result<()> {
        let n = self.n_channels();
        if self.height == 0 || self.width == 0 {
            return Err(Error::invalid(
                at,
                "an input of at least 1 x 1 pixels",
                format!("{} x {}", self.height, self.width),
                "",
            ));
        }
        let good = |values: &[f32]| values.len() == n && values.iter().all(|v| v.is_finite());
        if !good(&self.mean) || !good(&self.std) || self.std.contains(&0.0) || !self.range.is_finite() {
            return Err(Error::invalid(
                at,
                format!("{n} finite means and {n} finite non-zero standard deviations"),
                format!("mean {:?}, std {:?}", self.mean, self.std),
                "correct the card's [input] table",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
