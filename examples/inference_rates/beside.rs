//! Places that carry one layer: which layers are significant there?

use super::rate::Rate;
use ndarray::{Array2, Axis, concatenate};
use orthoscope::data::Betas;
use orthoscope::mapping::measure::Question;
use orthoscope::mapping::null::Relabellings;
use orthoscope::mapping::searchlight::Regions;
use orthoscope::mapping::simulate::PatternSource;
use orthoscope::mapping::{Comparator, Measurement, Patterns, Residual, Statistic, measure};
use orthoscope::rdm::{self, Rdm};
use orthoscope::rng;

const LAYERS: usize = 4;
/// The layer that is there, from 0; its neighbours share half of their units with it.
pub const TRUE: usize = 1;
/// Units that a layer shares with the next.
const HALF: usize = 15;

/// One place a data set, with the second of four layers; every data set has other images.
#[derive(Debug, Clone, Copy)]
pub struct OneLayer {
    pub n_images: usize,
    /// Variance of the layer's patterns over that of the noise.
    pub snr: f64,
    pub n_relabellings: usize,
    pub n_data_sets: usize,
}

impl OneLayer {
    /// Share of data sets with p of at most 0.05, layer by layer.
    pub fn significant(&self, statistic: Statistic, residual: Residual) -> [Rate; LAYERS] {
        let found: Vec<Vec<f64>> = (0..self.n_data_sets as u64).map(|set| self.p(set, statistic, residual)).collect();
        std::array::from_fn(|l| Rate { found: found.iter().filter(|p| p[l] <= 0.05).count(), of: found.len() })
    }

    fn p(&self, set: u64, statistic: Statistic, residual: Residual) -> Vec<f64> {
        let mut draw = rng::stream(set, "one layer", 0);
        let labels = Rdm::default_labels(self.n_images);
        let mut fresh = || Array2::from_shape_simple_fn((self.n_images, HALF), || draw.normal() as f32);
        let parts: Vec<Array2<f32>> = (0..=LAYERS).map(|_| fresh()).collect();
        let layer = |l: usize| {
            let units = concatenate![Axis(1), parts[l], parts[l + 1]];
            let rdm = rdm::measure::rdm(units.view(), rdm::Measure::Correlation, labels.clone());
            (format!("layer{}", l + 1), rdm.expect("units that vary"))
        };
        let layers: Vec<(String, Rdm)> = (0..LAYERS).map(layer).collect();
        let comparator = Comparator::new(&layers, statistic, residual).expect("fingerprints");
        let n_voxels = 2 * self.n_images.max(30);
        let patterns = PatternSource::new(&layers[TRUE].1).expect("correlations").draw(n_voxels, &mut draw);
        let betas = patterns.mapv(|v| (self.snr.sqrt() * v + draw.normal()) as f32);
        let betas = Betas::new(betas, &labels, &vec!["1".to_owned(); self.n_images]).expect("betas");
        let patterns = Patterns::new(&betas, Measurement::default()).expect("patterns");
        let question = Question { patterns: &patterns, comparator: &comparator };
        let places = Regions { regions: vec![("place".into(), (0..n_voxels as u32).collect())] };
        let how = Relabellings { n_permutations: self.n_relabellings, seed: set, ..Default::default() };
        let part = measure(&question, &places, 0..1, &how, &|_| true).expect("a place");
        part.null.expect("relabelled").p.column(0).iter().take(LAYERS).copied().collect()
    }
}
