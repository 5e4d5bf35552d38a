//! Groups of subjects in whom there is nothing: how often a group map has a significant place.

use super::Rate;
use ndarray::{Array2, Axis, concatenate};
use orthoscope::data::{Affine, Betas, Grid, Mask};
use orthoscope::mapping::measure::Question;
use orthoscope::mapping::null::Relabellings;
use orthoscope::mapping::searchlight::Regions;
use orthoscope::mapping::{Comparator, Measurement, Patterns, Residual, Statistic, measure};
use orthoscope::rdm::{self, Rdm};
use orthoscope::rng;
use orthoscope::stats::group::{GroupOptions, one_sample};
use orthoscope::stats::neighbours::{Connectivity, Neighbours};

const CONDITIONS: usize = 16;
const VOXELS: usize = 20;

/// A study of nothing.
#[derive(Debug, Clone, Copy)]
pub struct Study {
    pub n_subjects: usize,
    /// Places along each of three axes.
    pub side: usize,
    pub n_layers: usize,
    pub n_relabellings: usize,
    pub n_data_sets: usize,
}

/// What is tested by sign flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tested {
    /// The maps as they are: is their mean above 0?
    Values,
    /// Their excess over their means under relabelling, as `group` takes it.
    Excess,
}

/// Of a layer's map, or of R^2 of all layers together where `layer` is their number.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    pub statistic: Statistic,
    pub residual: Residual,
    pub layer: usize,
}

impl Study {
    /// Share of data sets with a place that is significant at 0.05 by the largest TFCE.
    pub fn false_positives(&self, compared: Compared, tested: Tested) -> Rate {
        let found = (0..self.n_data_sets as u64).filter(|&set| self.is_significant(set, compared, tested)).count();
        Rate { found, of: self.n_data_sets }
    }

    fn is_significant(&self, set: u64, compared: Compared, tested: Tested) -> bool {
        let grid = Grid { shape: [self.side; 3], affine: Affine::scaling([3.0; 3]) };
        let mask = Mask::from_fn(grid, |_| true).expect("a mask");
        let layers = fingerprints(self.n_layers, set);
        let comparator = Comparator::new(&layers, compared.statistic, compared.residual).expect("fingerprints");
        let n_places = self.side.pow(3);
        let voxels = |p: usize| (p * VOXELS..(p + 1) * VOXELS).map(|v| v as u32).collect();
        let places = Regions { regions: (0..n_places).map(|p| (p.to_string(), voxels(p))).collect() };
        let mut maps = Array2::zeros((self.n_subjects, n_places));
        for (subject, mut map) in maps.rows_mut().into_iter().enumerate() {
            let mut draw = rng::stream(set, "noise", subject as u64);
            let noise = Array2::from_shape_simple_fn((CONDITIONS, n_places * VOXELS), || draw.normal() as f32);
            let runs = vec!["1".to_owned(); CONDITIONS];
            let betas = Betas::new(noise, &Rdm::default_labels(CONDITIONS), &runs).expect("betas");
            let patterns = Patterns::new(&betas, Measurement::default()).expect("patterns");
            let question = Question { patterns: &patterns, comparator: &comparator };
            let how = Relabellings { n_permutations: self.n_relabellings, seed: subject as u64, ..Default::default() };
            let part = measure(&question, &places, 0..n_places, &how, &|_| true).expect("places");
            let chance = part.null.expect("relabelled").mean;
            for (place, to) in map.iter_mut().enumerate() {
                let mean = if tested == Tested::Excess { chance[(compared.layer, place)] } else { 0.0 };
                *to = f64::from(part.maps.values[(compared.layer, place)]) - f64::from(mean);
            }
        }
        let neighbours = Neighbours::of_mask(&mask, Connectivity::Faces);
        let options = GroupOptions { n_permutations: 1000, seed: set, ..GroupOptions::default() };
        let test = one_sample(maps.view(), Some(&neighbours), &options, |_| Ok(())).expect("a test");
        test.tfce.expect("TFCE").p_fwe.iter().any(|&p| p <= 0.05)
    }
}

/// Layers that follow each other: each has half of its units from the one before it.
fn fingerprints(n_layers: usize, seed: u64) -> Vec<(String, Rdm)> {
    const HALF: usize = 15;
    let mut draw = rng::stream(seed, "fingerprints", 0);
    let mut fresh = || Array2::from_shape_simple_fn((CONDITIONS, HALF), || draw.normal() as f32);
    let mut before = fresh();
    let layer = |l: usize| {
        let own = fresh();
        let units = concatenate![Axis(1), before, own];
        before = own;
        let rdm = rdm::measure::rdm(units.view(), rdm::Measure::Correlation, Rdm::default_labels(CONDITIONS));
        (format!("layer{l}"), rdm.expect("units that vary"))
    };
    (1..=n_layers).map(layer).collect()
}
