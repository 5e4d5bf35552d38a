//! Which model RDM explains a set of RDMs best, and how well any model could.
//!
//! Fixed models (the fingerprints of layers, say) are compared with the RDMs of several subjects;
//! subjects and images are resampled, so that the conclusion holds for other subjects and other
//! images. Semantics and names are rsatoolbox 0.3.2's; the numbers are equal for equal resamples.
//!
//! A resample costs no RDM objects and, for ranks, no sort of the RDMs: images drawn k and l times
//! weigh their pair by k l, and all comparisons take weights. Pairs of an image with itself, which
//! a resample with repetitions would hold, are left out. Noise ceilings of cosine and Pearson
//! follow from the subjects' mutual similarities alone.

pub(crate) mod ranked;
mod resample;
mod similarity;
mod summary;
mod variance;

pub use resample::{Resample, Resampling};
pub use summary::{Ceilings, Estimate, ModelSummary, Options, Pair, Summary, summarize};
pub use variance::ModelTests;

use crate::error::{Error, Result};
use crate::math::condensed;
use crate::rdm::Comparison;
use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;
use resample::counts;
use similarity::{Prepared, View, Workspace};

/// Resamples with fewer different images have no RDM worth comparing (rsatoolbox's limit).
const MIN_PATTERNS: usize = 3;
/// Sums of ranks are sorted as 32-bit numbers.
const MAX_RANK_SUM: f64 = 4_294_967_295.0;

/// Models and RDMs of the same images, ready to be compared.
#[derive(Debug, Clone)]
pub struct ModelComparison {
    how: Comparison,
    n_models: usize,
    n_rdms: usize,
    n_conditions: usize,
    /// The images of every pair that all RDMs have.
    images: Vec<(usize, usize)>,
    prepared: Prepared,
}

/// Similarities in every resample.
///
/// The last axis is (both, rdms, patterns) for [`Resampling::Dual`], else of length 1. NaN where a
/// resample holds fewer than 3 different images.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluations {
    /// How the resamples were drawn.
    pub resampling: Resampling,
    /// Mean similarity of model and drawn RDMs, n_samples x n_models x kinds.
    pub models: Array3<f64>,
    /// Lower and upper noise ceiling, n_samples x 2 x kinds.
    pub noise_ceiling: Array3<f64>,
    n_rdms: usize,
    n_conditions: usize,
}

/// Similarities of the data as they are (rsatoolbox's `eval_fixed`).
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// n_models x n_rdms.
    pub similarities: Array2<f64>,
    /// (lower, upper).
    pub noise_ceiling: (f64, f64),
}

impl ModelComparison {
    /// Takes condensed RDMs. A pair that is undefined (NaN) in any of them is left out of all.
    ///
    /// # Shapes
    /// `models`: n_models x n_pairs; `rdms`: n_rdms x n_pairs, one a subject.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the two differ in pairs, there are fewer than 3 images, no model or
    /// no RDM, a value is infinite, or fewer than 3 pairs are left.
    pub fn new(models: ArrayView2<'_, f64>, rdms: ArrayView2<'_, f64>, how: Comparison) -> Result<Self> {
        let invalid =
            |expected: &str, found: String, hint: &str| Err(Error::invalid("model comparison", expected, found, hint));
        let n_conditions = condensed::n_conditions(models.ncols()).filter(|n| *n >= MIN_PATTERNS);
        let usable = models.ncols() == rdms.ncols() && models.nrows() > 0 && rdms.nrows() > 0;
        let Some(n_conditions) = n_conditions.filter(|_| usable) else {
            let found = format!("models {:?} and RDMs {:?}", models.dim(), rdms.dim());
            return invalid("condensed models and RDMs of the same 3 or more images", found, "");
        };
        if models.iter().chain(rdms).any(|v| v.is_infinite()) {
            return invalid("finite dissimilarities", "infinity".into(), "");
        }
        let defined = |p: &usize| !models.column(*p).iter().chain(rdms.column(*p)).any(|v| v.is_nan());
        let kept: Vec<usize> = (0..models.ncols()).filter(defined).collect();
        let largest_sum = 2.0 * (n_conditions * n_conditions) as f64 * rdms.nrows() as f64;
        if kept.len() < MIN_PATTERNS || largest_sum > MAX_RANK_SUM {
            let found = format!("{} of {} pairs, {} RDMs", kept.len(), models.ncols(), rdms.nrows());
            return invalid(
                "3 or more pairs that every RDM has, and at most 2^32 ranks",
                found,
                "drop RDMs with many holes",
            );
        }
        let images: Vec<(usize, usize)> = condensed::pairs(n_conditions).collect();
        let vectors: Vec<Vec<f64>> =
            models.outer_iter().chain(rdms.outer_iter()).map(|row| kept.iter().map(|&p| row[p]).collect()).collect();
        Ok(Self {
            how,
            n_models: models.nrows(),
            n_rdms: rdms.nrows(),
            n_conditions,
            images: kept.iter().map(|&p| images[p]).collect(),
            prepared: Prepared::new(&vectors, how),
        })
    }

    /// The comparison that was chosen.
    pub fn comparison(&self) -> Comparison {
        self.how
    }

    /// Similarities and noise ceiling of the data as they are.
    ///
    /// # Source
    /// Noise ceiling: Nili et al., PLoS Comput. Biol. 10:e1003553 (2014); rsatoolbox's
    /// `eval_fixed`.
    pub fn fixed(&self) -> Fixed {
        let (view, mut work) = (self.all_images(), Workspace::default());
        let similarities = view.similarities(self.n_models, &mut work);
        let noise_ceiling = view.noise_ceiling(self.n_models, &vec![1; self.n_rdms], &mut work);
        Fixed { similarities, noise_ceiling }
    }

    fn all_images(&self) -> View {
        self.prepared.view(vec![1; self.images.len()])
    }

    /// Draws `n_samples` resamples and evaluates them.
    ///
    /// # Errors
    /// As [`ModelComparison::evaluate`].
    pub fn bootstrap(&self, resampling: Resampling, n_samples: usize, seed: u64) -> Result<Evaluations> {
        self.evaluate(resampling, &Resample::draw_many(self.n_rdms, self.n_conditions, n_samples, seed))
    }

    /// Evaluates the models in given resamples; what [`Resampling`] does not draw anew is taken as
    /// it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a resample names a subject or an image that does not exist, or is of
    /// another size.
    ///
    /// # Source
    /// Schuett et al., eLife 12:e82566 (2023); rsatoolbox 0.3.2's `eval_bootstrap*` and
    /// `eval_dual_bootstrap` with k = 1.
    pub fn evaluate(&self, resampling: Resampling, resamples: &[Resample]) -> Result<Evaluations> {
        let fits = |drawn: &[usize], n: usize| drawn.len() == n && drawn.iter().all(|&i| i < n);
        if let Some(at) =
            resamples.iter().position(|r| !fits(&r.rdms, self.n_rdms) || !fits(&r.patterns, self.n_conditions))
        {
            let expected = format!("{} of {0} RDMs and {} of {1} images", self.n_rdms, self.n_conditions);
            return Err(Error::invalid("resamples", expected, format!("others in number {}", at + 1), ""));
        }
        let whole = self.all_images();
        let of_whole = whole.similarities(self.n_models, &mut Workspace::default());
        let kinds = if resampling == Resampling::Dual { 3 } else { 1 };
        let mut found = Evaluations {
            resampling,
            models: Array3::zeros((resamples.len(), self.n_models, kinds)),
            noise_ceiling: Array3::zeros((resamples.len(), 2, kinds)),
            n_rdms: self.n_rdms,
            n_conditions: self.n_conditions,
        };
        found
            .models
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .zip(found.noise_ceiling.axis_iter_mut(Axis(0)))
            .zip(resamples)
            .for_each_init(Workspace::default, |work, ((mut models, mut ceiling), resample)| {
                let kinds = self.one(resampling, resample, (&whole, &of_whole), work);
                for (kind, (evaluations, (lower, upper))) in kinds.into_iter().enumerate() {
                    models.slice_axis_mut(Axis(1), (kind..=kind).into()).column_mut(0).assign(&evaluations);
                    ceiling[[0, kind]] = lower;
                    ceiling[[1, kind]] = upper;
                }
            });
        Ok(found)
    }

    /// Mean similarities and noise ceiling for every kind of resampling.
    fn one(
        &self,
        resampling: Resampling,
        resample: &Resample,
        (whole, of_whole): (&View, &Array2<f64>),
        work: &mut Workspace,
    ) -> Vec<(ndarray::Array1<f64>, (f64, f64))> {
        let (drawn, each) = (counts(&resample.rdms, self.n_rdms), vec![1; self.n_rdms]);
        let patterns = counts(&resample.patterns, self.n_conditions);
        if resampling != Resampling::Rdms && patterns.iter().filter(|&&c| c > 0).count() < MIN_PATTERNS {
            let nan = (ndarray::Array1::from_elem(self.n_models, f64::NAN), (f64::NAN, f64::NAN));
            return vec![nan; if resampling == Resampling::Dual { 3 } else { 1 }];
        }
        let evaluate = |view: &View, similarities: &Array2<f64>, counts: &[u32], work: &mut Workspace| {
            let weights: ndarray::Array1<f64> = counts.iter().map(|&c| f64::from(c) / self.n_rdms as f64).collect();
            (similarities.dot(&weights), view.noise_ceiling(self.n_models, counts, work))
        };
        if resampling == Resampling::Rdms {
            return vec![evaluate(whole, of_whole, &drawn, work)];
        }
        let view = self.prepared.view(self.images.iter().map(|&(i, j)| patterns[i] * patterns[j]).collect());
        let similarities = view.similarities(self.n_models, work);
        match resampling {
            Resampling::Patterns => vec![evaluate(&view, &similarities, &each, work)],
            Resampling::Both => vec![evaluate(&view, &similarities, &drawn, work)],
            _ => vec![
                evaluate(&view, &similarities, &drawn, work),
                evaluate(whole, of_whole, &drawn, work),
                evaluate(&view, &similarities, &each, work),
            ],
        }
    }
}

#[cfg(test)]
mod tests;
