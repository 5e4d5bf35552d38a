//! What a network is worth: one number from its taps.

use crate::error::{Error, Result};
use crate::math::stats::pearson;
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

/// A score; larger is better.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scored {
    pub score: f64,
    /// What it is made of: of each class, of each target. `None` where there is nothing to tell
    /// from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Option<f64>>,
}

/// Judges a network by its taps on all images.
///
/// Any function of the taps is one: `|taps: &[Array2<f32>]| Ok(...)`.
pub trait Score: Sync {
    /// In words, for cards and reports.
    fn describe(&self) -> String {
        "a score".into()
    }

    /// The score of taps, each n_images x units (channels slowest).
    ///
    /// # Errors
    /// [`Error::Invalid`] for taps that cannot be judged.
    fn score(&self, taps: &[Array2<f32>]) -> Result<Scored>;
}

impl<F: Fn(&[Array2<f32>]) -> Result<f64> + Sync> Score for F {
    fn score(&self, taps: &[Array2<f32>]) -> Result<Scored> {
        Ok(Scored { score: self(taps)?, parts: vec![] })
    }
}

fn first<'a>(taps: &'a [Array2<f32>], n_images: usize, at: &str) -> Result<&'a Array2<f32>> {
    match taps {
        [tap, ..] if tap.nrows() == n_images => Ok(tap),
        _ => {
            let found: Vec<_> = taps.iter().map(Array2::nrows).collect();
            Err(Error::invalid(
                at,
                format!("a tap of {n_images} images"),
                format!("{found:?} images"),
                "one label an image",
            ))
        }
    }
}

/// Share of images whose label has the largest of the first tap's units (of equal ones, the first);
/// parts are the classes' own shares. The drop of this score is CAR.
///
/// # Example
/// ```
/// use ndarray::array;
/// use orthoscope::compression::importance::{Accuracy, Score};
///
/// let scores = array![[2.0, 1.0, 0.0], [0.0, 1.0, 5.0], [1.0, 0.0, 0.0]];
/// let found = Accuracy { labels: vec![0, 2, 1] }.score(&[scores])?;
/// assert_eq!(found.score, 2.0 / 3.0);
/// assert_eq!(found.parts, [Some(1.0), Some(0.0), Some(1.0)]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accuracy {
    /// Of each image: a unit of the tap, from 0.
    pub labels: Vec<usize>,
}

impl Score for Accuracy {
    fn describe(&self) -> String {
        format!("classification accuracy on {} images", self.labels.len())
    }

    fn score(&self, taps: &[Array2<f32>]) -> Result<Scored> {
        let tap = first(taps, self.labels.len(), "classification accuracy")?;
        let n_classes = tap.ncols();
        if let Some(label) = self.labels.iter().find(|&&l| l >= n_classes) {
            let expected = format!("labels 0 to {}", n_classes.saturating_sub(1));
            return Err(Error::invalid("classification accuracy", expected, label.to_string(), "labels count from 0"));
        }
        let mut counts = vec![(0u32, 0u32); n_classes];
        for (row, &label) in tap.rows().into_iter().zip(&self.labels) {
            let best = (0..n_classes).reduce(|a, b| if row[b] > row[a] { b } else { a });
            counts[label].0 += u32::from(best == Some(label));
            counts[label].1 += 1;
        }
        let share = |(right, all): (u32, u32)| f64::from(right) / f64::from(all);
        let total = counts.iter().fold((0, 0), |t, c| (t.0 + c.0, t.1 + c.1));
        let parts = counts.iter().map(|&c| (c.1 > 0).then(|| share(c))).collect();
        Ok(Scored { score: share(total), parts })
    }
}

/// Mean over targets of Pearson's correlation of the first tap's units with responses; parts are
/// the targets' own. The drop of this score is an RAR of a network that ends in its targets.
///
/// # Example
/// ```
/// use ndarray::array;
/// use orthoscope::compression::importance::{Correlation, Score};
///
/// let responses = array![[1.0, 1.0], [2.0, 2.0], [3.0, 0.0]];
/// let found = Correlation { responses }.score(&[array![[2.0, 0.0], [4.0, 0.0], [6.0, 0.0]]])?;
/// assert!((found.score - 0.5).abs() < 1e-12); // 1, and 0 for a unit that never changes
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Correlation {
    /// n_images x targets.
    pub responses: Array2<f64>,
}

impl Score for Correlation {
    fn describe(&self) -> String {
        format!("mean correlation with {} targets on {} images", self.responses.ncols(), self.responses.nrows())
    }

    fn score(&self, taps: &[Array2<f32>]) -> Result<Scored> {
        let tap = first(taps, self.responses.nrows(), "correlation with responses")?;
        if tap.ncols() != self.responses.ncols() {
            let (expected, found) = (format!("{} units", self.responses.ncols()), tap.ncols().to_string());
            return Err(Error::invalid("correlation with responses", expected, found, "one unit a target"));
        }
        let of = |(unit, target): (ndarray::ArrayView1<'_, f32>, ndarray::ArrayView1<'_, f64>)| {
            let unit: Vec<f64> = unit.iter().map(|&v| f64::from(v)).collect();
            let r = pearson(&unit, &target.to_vec());
            if r.is_finite() { r } else { 0.0 }
        };
        let r: Vec<f64> = tap.axis_iter(Axis(1)).zip(self.responses.axis_iter(Axis(1))).map(of).collect();
        Ok(Scored { score: r.iter().sum::<f64>() / r.len().max(1) as f64, parts: r.into_iter().map(Some).collect() })
    }
}
