//! Regions whose fingerprint is known without noise: does it lie within the noise ceiling?

use super::rate::Rate;
use ndarray::Array2;
use orthoscope::data::Betas;
use orthoscope::mapping::ceiling::{Ceiling, reliability};
use orthoscope::mapping::measure::Question;
use orthoscope::mapping::searchlight::Regions;
use orthoscope::mapping::{Comparator, Dissimilarity, Measurement, Patterns, Residual, Statistic, measure};
use orthoscope::rdm::{self, Rdm};
use orthoscope::rng;

const CONDITIONS: usize = 16;
const VOXELS: usize = 60;
/// Sources of the true patterns: the fewer, the more dissimilarities differ.
const SOURCES: usize = 4;

/// Regions of a subject.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    pub n_runs: usize,
    /// Variance of the patterns over that of the noise of a run.
    pub snr: f64,
    pub dissimilarity: Dissimilarity,
    pub statistic: Statistic,
    pub n_regions: usize,
}

/// The noise-free model and the ceiling, over regions.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Mean comparison of the true RDM with the measured one.
    pub model: f64,
    /// Its ends, means over regions.
    pub ceiling: Ceiling,
    /// Regions where the model is above the upper end.
    pub above: Rate,
}

impl Subject {
    pub fn compared(&self) -> Found {
        let measurement = Measurement { dissimilarity: self.dissimilarity, ..Measurement::default() };
        let (mut model, mut lower, mut upper, mut above) = (0.0, 0.0, 0.0, 0);
        for region in 0..self.n_regions as u64 {
            let (value, own) = self.region(region, measurement);
            (model, lower, upper) = (model + value, lower + own.lower, upper + own.upper);
            above += usize::from(value > own.upper);
        }
        let n = self.n_regions as f64;
        let ceiling = Ceiling { lower: lower / n, upper: upper / n };
        Found { model: model / n, ceiling, above: Rate { found: above, of: self.n_regions } }
    }

    fn region(&self, region: u64, measurement: Measurement) -> (f64, Ceiling) {
        let mut draw = rng::stream(region, "ceiling", 0);
        let mut normal = |shape: (usize, usize)| Array2::from_shape_simple_fn(shape, || draw.normal());
        let patterns = normal((CONDITIONS, SOURCES)).dot(&normal((SOURCES, VOXELS))) / (SOURCES as f64).sqrt();
        let scale = self.snr.sqrt();
        let samples = Array2::from_shape_fn((self.n_runs * CONDITIONS, VOXELS), |(s, v)| {
            (scale * patterns[(s % CONDITIONS, v)] + draw.normal()) as f32
        });
        let conditions: Vec<String> =
            (0..samples.nrows()).map(|s| Rdm::default_labels(CONDITIONS)[s % CONDITIONS].clone()).collect();
        let runs: Vec<String> = (0..samples.nrows()).map(|s| format!("run{}", s / CONDITIONS)).collect();
        let betas = Betas::new(samples, &conditions, &runs).expect("betas");
        let measure_of = match self.dissimilarity {
            Dissimilarity::Correlation => rdm::Measure::Correlation,
            _ => rdm::Measure::SquaredEuclidean,
        };
        let truth = rdm::measure::rdm(patterns.mapv(|v| v as f32).view(), measure_of, Rdm::default_labels(CONDITIONS));
        let layers = [("truth".to_owned(), truth.expect("patterns that differ"))];
        let comparator = Comparator::new(&layers, self.statistic, Residual::None).expect("an RDM that varies");
        let patterns = Patterns::new(&betas, measurement).expect("patterns");
        let question = Question { patterns: &patterns, comparator: &comparator };
        let places = Regions { regions: vec![("region".into(), (0..VOXELS as u32).collect())] };
        let untested = orthoscope::mapping::Relabellings { n_permutations: 0, ..Default::default() };
        let part = measure(&question, &places, 0..1, &untested, &|_| true).expect("a region");
        let found = reliability(&betas, &question, &places).expect("halves");
        let [lower, upper] = found.ceiling.expect("a ceiling");
        (part.maps.values[(0, 0)].into(), Ceiling { lower: lower[0].into(), upper: upper[0].into() })
    }
}
