//! Natural images as the scale that synthesised ones are measured on.

use crate::data::Stimuli;
use crate::math::stats;
use ndarray::{Array2, Array4, ArrayView3};

/// Natural images and the responses of all units to them.
#[derive(Debug, Clone)]
pub struct Natural {
    pub stimuli: Stimuli,
    /// n_images x n_units.
    pub responses: Array2<f64>,
}

/// A unit's responses to natural images.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Ascending.
    pub sorted: Vec<f64>,
    pub mean: f64,
    /// Standard deviation over images, ddof 1.
    pub sd: f64,
    /// Images with the largest and the smallest response.
    pub best: usize,
    pub worst: usize,
}

impl Natural {
    /// How one unit responds.
    pub fn reference(&self, unit: usize) -> Reference {
        let values = self.responses.column(unit).to_vec();
        let order = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]).then(b.cmp(a));
        let best = (0..values.len()).max_by(order).unwrap_or(0);
        let worst = (0..values.len()).min_by(order).unwrap_or(0);
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        Reference { mean: stats::mean(&values), sd: stats::sd(&values, 1), sorted, best, worst }
    }

    /// One image, 3 x h x w.
    pub fn image(&self, index: usize) -> ArrayView3<'_, f32> {
        self.stimuli.image(index)
    }

    /// Mean image and mean amplitude are taken from all of them.
    pub fn images(&self) -> Array4<f32> {
        self.stimuli.images().to_owned()
    }
}

impl Reference {
    pub fn max(&self) -> f64 {
        self.sorted.last().copied().unwrap_or(f64::NAN)
    }

    pub fn min(&self) -> f64 {
        self.sorted.first().copied().unwrap_or(f64::NAN)
    }

    /// Percentage of natural images with a smaller response, ties counted half: 0 below all, 100
    /// above all.
    pub fn percentile(&self, response: f64) -> f64 {
        let below = self.sorted.partition_point(|&v| v < response);
        let up_to = self.sorted.partition_point(|&v| v <= response);
        100.0 * 0.5 * (below + up_to) as f64 / self.sorted.len().max(1) as f64
    }

    /// The response at a percentile, linear between neighbours (NumPy's default).
    pub fn at(&self, percentile: f64) -> f64 {
        stats::quantile(&self.sorted, percentile / 100.0)
    }

    /// Standard deviations above the natural mean.
    pub fn z(&self, response: f64) -> f64 {
        (response - self.mean) / self.sd
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn percentiles_and_levels_agree() {
        let sorted: Vec<f64> = (0..101).map(f64::from).collect();
        let r = Reference { mean: 50.0, sd: 29.3, sorted, best: 100, worst: 0 };
        assert_eq!((r.percentile(-1.0), r.percentile(101.0), r.percentile(50.0)), (0.0, 100.0, 50.0));
        assert_eq!(r.at(90.0), 90.0);
    }
}
