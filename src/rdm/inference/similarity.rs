//! Similarities of models and subjects, and noise ceilings, in one resample.

use super::ranked::{Pairs, Ranked, SortedPairs, Tree};
use crate::math::stats;
use crate::rdm::Comparison;
use ndarray::Array2;

/// RDMs prepared for one comparison. The first `n_models` vectors are models, the rest subjects.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// Values, centred for a correlation (which a resample does once more), of unit norm.
    Products { values: Array2<f64>, centred: bool },
    /// Orders, for comparisons of ranks.
    Ranks { vectors: Vec<SortedPairs>, tau: bool },
}

/// What one choice of images gives, whichever subjects are drawn: computed once, used with several
/// subject weights.
pub enum View {
    /// Cosines of all vectors with all vectors.
    Products(Array2<f64>),
    /// Ranks of all vectors.
    Ranks { pairs: Pairs, vectors: Vec<Ranked>, tau: bool },
}

/// Memory that is kept between resamples.
#[derive(Debug, Default, Clone)]
pub struct Workspace {
    tree: Tree,
    scratch: Vec<u64>,
}

impl Prepared {
    pub fn new(vectors: &[Vec<f64>], how: Comparison) -> Self {
        match how {
            Comparison::Spearman | Comparison::KendallTauA => Self::Ranks {
                vectors: vectors.iter().map(|v| SortedPairs::new(v)).collect(),
                tau: how == Comparison::KendallTauA,
            },
            _ => {
                let centred = how == Comparison::Pearson;
                let n_pairs = vectors.first().map_or(0, Vec::len);
                let mut values = Array2::zeros((vectors.len(), n_pairs));
                for (mut row, vector) in values.outer_iter_mut().zip(vectors) {
                    let mean = if centred { stats::mean(vector) } else { 0.0 };
                    let norm = vector.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>().sqrt();
                    let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
                    row.iter_mut().zip(vector).for_each(|(to, v)| *to = (v - mean) * scale);
                }
                Self::Products { values, centred }
            }
        }
    }

    /// `weights`: how often each pair comes.
    pub fn view(&self, weights: Vec<u32>) -> View {
        let pairs = Pairs::new(weights);
        match self {
            Self::Products { values, centred } => View::Products(cosines(values, *centred, &pairs)),
            Self::Ranks { vectors, tau } => {
                let vectors = vectors.iter().map(|sorted| pairs.ranked(sorted)).collect();
                View::Ranks { pairs, vectors, tau: *tau }
            }
        }
    }
}

/// Weighted cosines of all rows with all rows; 0 where a row has no variation (rsatoolbox's rule).
fn cosines(values: &Array2<f64>, centred: bool, pairs: &Pairs) -> Array2<f64> {
    let roots: Vec<f64> = pairs.weights.iter().map(|&w| f64::from(w).sqrt()).collect();
    let mut kept = Array2::zeros((values.nrows(), pairs.pairs.len()));
    let mut flat = vec![false; values.nrows()];
    for ((mut row, source), flat) in kept.outer_iter_mut().zip(values.outer_iter()).zip(&mut flat) {
        let source = source.to_slice().expect("rows of a standard array");
        let at = |&p: &u32| source[p as usize];
        let mut mean = 0.0;
        if centred {
            let sum: f64 = pairs.pairs.iter().zip(&pairs.weights).map(|(p, &w)| at(p) * f64::from(w)).sum();
            mean = sum / pairs.total as f64;
            *flat = pairs.pairs.iter().all(|p| at(p) == at(&pairs.pairs[0]));
        }
        row.iter_mut().zip(&pairs.pairs).zip(&roots).for_each(|((to, p), root)| *to = (at(p) - mean) * root);
    }
    let gram = kept.dot(&kept.t());
    let norms: Vec<f64> = gram.diag().iter().zip(flat).map(|(d, flat)| if flat { 0.0 } else { d.sqrt() }).collect();
    Array2::from_shape_fn(gram.dim(), |(i, j)| {
        if norms[i] > 0.0 && norms[j] > 0.0 { gram[[i, j]] / (norms[i] * norms[j]) } else { 0.0 }
    })
}

impl View {
    /// Similarity of every model (first `n_models` vectors) with every subject, n_models x n_rdms.
    pub fn similarities(&self, n_models: usize, work: &mut Workspace) -> Array2<f64> {
        let n = match self {
            Self::Products(cosines) => cosines.nrows(),
            Self::Ranks { vectors, .. } => vectors.len(),
        };
        Array2::from_shape_fn((n_models, n - n_models), |(m, s)| match self {
            Self::Products(cosines) => cosines[[m, n_models + s]],
            Self::Ranks { pairs, vectors, tau } => compare(pairs, &vectors[m], &vectors[n_models + s], *tau, work),
        })
    }

    /// (lower, upper) noise ceiling of subjects that come `counts` times: the mean similarity of
    /// each subject with the pooled RDM of the others, and with the pooled RDM of all.
    ///
    /// A subject that was drawn several times is left out as a whole and counts once in the mean;
    /// with one subject only, both bounds are its similarity with itself (rsatoolbox's
    /// `boot_noise_ceiling`).
    pub fn noise_ceiling(&self, n_models: usize, counts: &[u32], work: &mut Workspace) -> (f64, f64) {
        let drawn: Vec<usize> = (0..counts.len()).filter(|&s| counts[s] > 0).collect();
        let bounds: Vec<(f64, f64)> = match self {
            Self::Products(cosines) => {
                let c = |s: usize, t: usize| cosines[[n_models + s, n_models + t]];
                pooled_cosines(&drawn, counts, c)
            }
            Self::Ranks { pairs, vectors, tau } => {
                pooled_ranks(pairs, &vectors[n_models..], &drawn, counts, *tau, work)
            }
        };
        let (lower, upper): (Vec<f64>, Vec<f64>) = bounds.into_iter().unzip();
        (stats::mean(&lower), stats::mean(&upper))
    }
}

fn compare(pairs: &Pairs, a: &Ranked, b: &Ranked, tau: bool, work: &mut Workspace) -> f64 {
    if tau { pairs.tau_a(a, b, &mut work.tree) } else { pairs.spearman(a, b) }
}

/// The pooled RDM is the sum of unit vectors, so that its cosines follow from those of the
/// subjects: cos(pool, s) = sum_t k_t c_ts / sqrt(sum_tu k_t k_u c_tu).
fn pooled_cosines(drawn: &[usize], counts: &[u32], c: impl Fn(usize, usize) -> f64) -> Vec<(f64, f64)> {
    let count = |s: usize| f64::from(counts[s]);
    let with: Vec<f64> = drawn.iter().map(|&s| drawn.iter().map(|&t| count(t) * c(t, s)).sum()).collect();
    let all: f64 = drawn.iter().zip(&with).map(|(&s, w)| count(s) * w).sum();
    let ratio = |dot: f64, square: f64, s: usize| {
        // c(s, s) is 1, or 0 for a subject without variation.
        if square > 0.0 && c(s, s) > 0.0 { dot / square.sqrt() } else { 0.0 }
    };
    let bound = |(&s, &with): (&usize, &f64)| {
        let upper = ratio(with, all, s);
        if drawn.len() == 1 {
            return (upper, upper);
        }
        let own = count(s) * c(s, s);
        let rest = all - 2.0 * count(s) * with + count(s) * own;
        (ratio(with - own, rest, s), upper)
    };
    drawn.iter().zip(&with).map(bound).collect()
}

/// The pooled RDM is the mean of ranks; sums of twice the ranks are whole numbers, which are sorted
/// by radix.
fn pooled_ranks(
    pairs: &Pairs,
    subjects: &[Ranked],
    drawn: &[usize],
    counts: &[u32],
    tau: bool,
    work: &mut Workspace,
) -> Vec<(f64, f64)> {
    let n = pairs.weights.len();
    let mut sums = vec![0.0; n];
    for &s in drawn {
        let count = f64::from(counts[s]);
        sums.iter_mut().zip(&subjects[s].twice).for_each(|(sum, r)| *sum += count * r);
    }
    // Twice a centred rank is above -total, so that every key is positive.
    let offset = pairs.total as f64 * drawn.iter().map(|&s| f64::from(counts[s])).sum::<f64>();
    let mut keys = vec![0u32; n];
    let mut pool = |without: Option<usize>, work: &mut Workspace| {
        match without {
            None => keys.iter_mut().zip(&sums).for_each(|(key, sum)| *key = (sum + offset) as u32),
            Some(s) => {
                let count = f64::from(counts[s]);
                let rest = sums.iter().zip(&subjects[s].twice).map(|(sum, r)| sum - count * r);
                keys.iter_mut().zip(rest).for_each(|(key, rest)| *key = (rest + offset) as u32);
            }
        }
        pairs.ranked_keys(&keys, &mut work.scratch)
    };
    let all = pool(None, work);
    let bound = |&s: &usize| {
        let upper = compare(pairs, &all, &subjects[s], tau, work);
        if drawn.len() == 1 {
            return (upper, upper);
        }
        let others = pool(Some(s), work);
        (compare(pairs, &others, &subjects[s], tau, work), upper)
    };
    drawn.iter().map(bound).collect()
}
