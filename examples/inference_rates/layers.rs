//! Noise at all places and several layers: how often something is significant in some layer.

use super::rate::Rate;
use ndarray::Array2;
use orthoscope::data::Betas;
use orthoscope::mapping::measure::Question;
use orthoscope::mapping::null::Relabellings;
use orthoscope::mapping::searchlight::Regions;
use orthoscope::mapping::{Comparator, Measurement, Patterns, PlaceCorrection, Residual, Statistic, measure};
use orthoscope::rdm::{self, Rdm};
use orthoscope::rng;
use orthoscope::stats::correction::Family;

const CONDITIONS: usize = 16;
const VOXELS: usize = 20;

/// Noise at some places, and unrelated layers: those of images that were made to have uncorrelated
/// fingerprints.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    pub n_places: usize,
    pub n_layers: usize,
    pub n_relabellings: usize,
    pub n_data_sets: usize,
}

impl Noise {
    /// Share of data sets with a significant place at 0.05 in some layer, by a correction within each
    /// layer and over all of them.
    pub fn false_positives(&self, correction: PlaceCorrection) -> [Rate; 2] {
        let found: Vec<[bool; 2]> = (0..self.n_data_sets as u64).map(|set| self.significant(set, correction)).collect();
        [0, 1].map(|which| Rate { found: found.iter().filter(|f| f[which]).count(), of: self.n_data_sets })
    }

    fn significant(&self, set: u64, correction: PlaceCorrection) -> [bool; 2] {
        let mut draw = rng::stream(set, "layers", 0);
        let mut normal = |n: usize| Array2::from_shape_simple_fn((CONDITIONS, n), || draw.normal() as f32);
        let mut rdm_of = |l: usize| {
            let rdm = rdm::measure::rdm(normal(30).view(), rdm::Measure::Correlation, Rdm::default_labels(CONDITIONS));
            (format!("layer{l}"), rdm.expect("units that vary"))
        };
        let layers: Vec<_> = (0..self.n_layers).map(&mut rdm_of).collect();
        let comparator = Comparator::new(&layers, Statistic::Spearman, Residual::None).expect("fingerprints");
        let noise = normal(self.n_places * VOXELS);
        let runs = vec!["1".to_owned(); CONDITIONS];
        let betas = Betas::new(noise, &Rdm::default_labels(CONDITIONS), &runs).expect("betas");
        let patterns = Patterns::new(&betas, Measurement::default()).expect("patterns");
        let voxels = |p: usize| (p * VOXELS..(p + 1) * VOXELS).map(|v| v as u32).collect();
        let places = Regions { regions: (0..self.n_places).map(|p| (p.to_string(), voxels(p))).collect() };
        let question = Question { patterns: &patterns, comparator: &comparator };
        let how = Relabellings { n_permutations: self.n_relabellings, seed: set, ..Default::default() };
        let part = measure(&question, &places, 0..self.n_places, &how, &|_| true).expect("places");
        [Family::Layer, Family::All].map(|family| {
            let p = part.corrected(correction, family, self.n_layers).expect("relabelled");
            p.iter().any(|&p| p <= 0.05)
        })
    }
}
