//! Groups of subjects who have something in common: does the network have to do with it?

use super::rate::Rate;
use ndarray::{Array2, Axis};
use orthoscope::data::Betas;
use orthoscope::mapping::measure::Question;
use orthoscope::mapping::null::Relabellings;
use orthoscope::mapping::searchlight::Regions;
use orthoscope::mapping::{Comparator, Measurement, Patterns, Residual, Statistic, measure};
use orthoscope::rdm::{self, Rdm};
use orthoscope::rng;
use orthoscope::stats::group::{Generalised, GroupOptions, fisher_z, one_sample, relabelled};

const VOXELS: usize = 60;
const UNITS: usize = 30;
/// Sources of what subjects share.
const SOURCES: usize = 6;

/// One place in all subjects of a study, over many data sets: other images, other noise.
#[derive(Debug, Clone, Copy)]
pub struct Shared {
    pub n_subjects: usize,
    pub n_images: usize,
    /// Size of a geometry that all subjects have and that is unrelated to the layer; noise is 1.
    pub geometry: f64,
    /// Size of the layer's geometry in all subjects.
    pub layer: f64,
    /// Standard deviation over subjects of a relation to the layer of their own, 0 on average, in
    /// Fisher's z.
    pub own: f64,
    pub n_relabellings: usize,
    pub n_data_sets: usize,
}

impl Shared {
    /// Share of data sets with p of at most 0.05, by generalising over subjects, images and both.
    pub fn significant(&self) -> [Rate; 3] {
        let found: Vec<[bool; 3]> = (0..self.n_data_sets as u64).map(|set| self.one(set)).collect();
        [0, 1, 2].map(|which| Rate { found: found.iter().filter(|f| f[which]).count(), of: self.n_data_sets })
    }

    fn one(&self, set: u64) -> [bool; 3] {
        let (observed, kept) = self.maps(set);
        let options =
            GroupOptions { cluster_p: None, tfce: None, n_permutations: 1000, seed: set, ..Default::default() };
        let flips = one_sample(observed.view(), None, &options, |_| Ok(())).expect("a test");
        let of = |over| {
            let mut relabel = |k: usize| Ok(kept.index_axis(Axis(1), k).to_owned().insert_axis(Axis(1)));
            let over = (over, self.n_relabellings);
            relabelled(observed.view(), over, &mut relabel, None, &options, |_| Ok(())).expect("a test").p[0]
        };
        [flips.p[0], of(Generalised::Images), of(Generalised::Both)].map(|p| p <= 0.05)
    }

    /// Observed values, n_subjects x 1, and relabelled ones, n_subjects x n_relabellings.
    fn maps(&self, set: u64) -> (Array2<f64>, Array2<f64>) {
        let mut draw = rng::stream(set, "shared", 0);
        let mut normal = |shape: (usize, usize)| Array2::from_shape_simple_fn(shape, || draw.normal());
        let labels = Rdm::default_labels(self.n_images);
        let units = normal((self.n_images, UNITS));
        let layer = units.dot(&normal((UNITS, VOXELS))) * (self.layer / (UNITS as f64).sqrt());
        let geometry = normal((self.n_images, SOURCES)).dot(&normal((SOURCES, VOXELS)));
        let patterns = layer + geometry * (self.geometry / (SOURCES as f64).sqrt());
        let fingerprint = rdm::measure::rdm(units.mapv(|v| v as f32).view(), rdm::Measure::Correlation, labels.clone());
        let layers = [("layer".to_owned(), fingerprint.expect("units that vary"))];
        let comparator = Comparator::new(&layers, Statistic::Spearman, Residual::None).expect("a fingerprint");
        let places = Regions { regions: vec![("place".into(), (0..VOXELS as u32).collect())] };
        let n = self.n_relabellings;
        let how = Relabellings { n_permutations: n, n_kept: n, ..Default::default() };
        let (mut observed, mut kept) = (Array2::zeros((self.n_subjects, 1)), Array2::zeros((self.n_subjects, n)));
        for s in 0..self.n_subjects {
            let mut draw = rng::stream(set, "subject", s as u64);
            let betas = patterns.mapv(|v| (v + draw.normal()) as f32);
            let betas = Betas::new(betas, &labels, &vec!["1".to_owned(); self.n_images]).expect("betas");
            let patterns = Patterns::new(&betas, Measurement::default()).expect("patterns");
            let question = Question { patterns: &patterns, comparator: &comparator };
            let part = measure(&question, &places, 0..1, &how, &|_| true).expect("a place");
            let relabelled = part.null.expect("relabelled").kept;
            observed[[s, 0]] = fisher_z(part.maps.values[[0, 0]].into()) + self.own * draw.normal();
            kept.row_mut(s).iter_mut().zip(&relabelled).for_each(|(to, &r)| *to = fisher_z(r.into()));
        }
        (observed, kept)
    }
}
