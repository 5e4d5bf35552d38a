//! The null distribution of a map within a subject: the images' labels are exchanged, rows and
//! columns of every RDM together.
//!
//! The same relabelling is used at every place, so that the largest value of each relabelled map
//! can serve as a family-wise threshold. A relabelled brain RDM need not be made: the fingerprints
//! are relabelled the other way, once for many places.

use super::compare::{Prepared, Statistic};
use super::dissimilarity;
use super::measure::Question;
use super::searchlight::{Maps, Places, check};
use crate::error::{Error, Result};
use crate::math::condensed;
use crate::math::permutation::Tail;
use crate::rdm::compare::relabellings;
use crate::rng;
use crate::stats::correction::{MaxNull, extremeness, reaches_within};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Slice, concatenate};
use rayon::prelude::*;
use std::ops::Range;

/// Places whose RDMs are held together: one relabelling of the fingerprints serves all of them.
pub(super) const CHUNK: usize = 64;
/// Statistics closer than this (32-bit sums, relative above 1) are one value: a relabelling may
/// change nothing, and a model of few distinct labellings must not look significant for it.
const SAME: f64 = 1e-6;

/// How conditions are relabelled.
///
/// | field | default | purpose |
/// |---|---|---|
/// | `n_permutations` | 1000 | relabellings; 0 for no test |
/// | `seed` | 0 | relabelling k is [`relabellings`]'s `rng::stream(seed, "permutation", k)` |
/// | `tail` | greater | which deviations from chance count |
/// | `n_kept` | 0 | the first of them are [`shared_relabellings`], whatever the seed, and their maps are kept |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relabellings {
    pub n_permutations: usize,
    pub seed: u64,
    pub tail: Tail,
    pub n_kept: usize,
}

impl Default for Relabellings {
    fn default() -> Self {
        Self { n_permutations: 1000, seed: 0, tail: Tail::Greater, n_kept: 0 }
    }
}

/// Relabellings that depend on nothing but the number of conditions and their own number: those of
/// every subject, so that a group of maps can be relabelled as one.
pub fn shared_relabellings(n_conditions: usize, n: usize) -> Vec<Vec<usize>> {
    relabellings(n_conditions, n, rng::seed_of(0, "relabellings of all subjects"))
}

impl Relabellings {
    /// Those that are kept, and then those of the seed.
    fn orders(&self, n_conditions: usize) -> Vec<Vec<usize>> {
        let n_kept = self.n_kept.min(self.n_permutations);
        let mut orders = shared_relabellings(n_conditions, n_kept);
        orders.extend(relabellings(n_conditions, self.n_permutations - n_kept, self.seed));
        orders
    }
}

/// Result of [`permute`].
#[derive(Debug, Clone, PartialEq)]
pub struct Null {
    /// (1 + relabellings at least as extreme) / (1 + n_permutations), n_values x n_places; NaN
    /// where the map is.
    pub p: Array2<f64>,
    /// What was tested, n_values x n_places: the map, or where layers are tested beside others
    /// ([`super::Comparator::tests_beside_others`]) the partial correlation of each.
    pub observed: Array2<f32>,
    /// The most extreme tested value of each relabelling over all places: n_permutations x
    /// n_values.
    pub extreme: Array2<f64>,
    /// Mean of the map over the relabellings, n_values x n_places; NaN where the map is. 0 (but for
    /// the draw) of what [`super::Comparator::is_centred`] says, and what chance gives of
    /// everything else.
    pub mean: Array2<f32>,
    /// The first [`Relabellings::n_kept`] relabelled maps: n_kept x n_values x n_places; NaN where
    /// the map is.
    pub kept: Array3<f32>,
    /// What is extreme.
    pub tail: Tail,
}

/// Relabels the conditions and compares again.
///
/// A layer that is held against others (residual methods, `ols`) is tested beside them: the RDM is
/// regressed on the others, its residuals are relabelled and put back, and the partial correlation
/// is computed again. Spearman's is of the ranks of the residuals. The null hypothesis is that the
/// others explain the RDM but for what the images' order does not matter to; without others, that
/// it matters to nothing. Squared for `unique_variance`, so that either sign counts.
///
/// # Shapes
/// `maps`: what [`super::searchlight::searchlight`] gave for the same question and places.
///
/// # Errors
/// [`Error::Invalid`] for a comparison that has no inner product (Kendall's tau), or another number
/// of conditions; [`Error::Interrupted`] when `done` returns false.
///
/// # Source
/// Nichols and Holmes, Hum. Brain Mapp. 15:1 (2002), for the maximum statistic; Phipson and Smyth
/// (2010) for p; Freedman and Lane, J. Bus. Econ. Stat. 1:292 (1983), for residuals.
pub fn permute<P: Places>(
    question: &Question<'_>,
    places: &P,
    maps: &Maps,
    how: &Relabellings,
    done: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Null> {
    check(question.patterns, question.comparator)?;
    if question.comparator.statistic() == Statistic::KendallTauA {
        let hint = "use spearman, or `n_permutations` 0";
        return Err(Error::invalid("permutations", "a comparison by inner products", "kendall_tau_a", hint));
    }
    let orders = how.orders(question.patterns.n_conditions());
    let n_kept = how.n_kept.min(orders.len());
    let pass = Pass { question, places, maps, orders: &orders, tail: how.tail, n_kept };
    let n_chunks = places.len().div_ceil(CHUNK);
    let counted: Vec<Option<Counts>> = (0..n_chunks)
        .into_par_iter()
        .map(|chunk| {
            let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(places.len());
            let n = range.len();
            let counts = pass.chunk(range);
            done(n).then_some(counts)
        })
        .collect();
    pass.null(counted)
}

/// The smallest p that relabelling `n_conditions` can give: 1 / (1 + n_permutations), but never
/// below 1 / n_conditions!, the share of relabellings that change nothing.
pub fn smallest_p(n_conditions: usize, n_permutations: usize) -> f64 {
    let all: f64 = (1..=n_conditions.min(30)).map(|k| k as f64).product();
    (1.0 / (1.0 + n_permutations as f64)).max(1.0 / all)
}

/// Where entry k of a relabelled RDM comes from. Made anew for every chunk: for a thousand
/// conditions, a thousand tables would take gigabytes.
pub(super) fn fill(table: &mut [u32], order: &[usize]) {
    let n = order.len();
    for (to, (i, j)) in table.iter_mut().zip(condensed::pairs(n)) {
        *to = condensed::index(order[i], order[j], n) as u32;
    }
}

/// What relabelled comparisons are counted on.
struct Pass<'a, P> {
    question: &'a Question<'a>,
    places: &'a P,
    maps: &'a Maps,
    orders: &'a [Vec<usize>],
    tail: Tail,
    n_kept: usize,
}

/// Counts and extremes of some places.
struct Counts {
    /// n_places x n_values.
    reached: Vec<u32>,
    /// What is tested, n_places x n_values.
    observed: Vec<f64>,
    /// Of the relabelled values, n_places x n_values.
    sums: Vec<f64>,
    /// n_permutations x n_values.
    extreme: Vec<f64>,
    /// n_kept x n_values x n_places.
    kept: Array3<f32>,
}

impl<P: Places> Pass<'_, P> {
    fn chunk(&self, range: Range<usize>) -> Counts {
        let (patterns, comparator) = (self.question.patterns, self.question.comparator);
        let (n_pairs, n_values) = (patterns.n_pairs(), comparator.n_values());
        let (rows, n_rows) = comparator.rows();
        let mut counts = self.nothing(range.clone());
        let Spaces { spaces, norms, which, prepared } = self.spaces(range.clone());
        if which.is_empty() {
            return counts;
        }
        let mut table: Vec<u32> = (0..n_pairs as u32).collect();
        self.beside(&prepared, &table, |i, tested| {
            counts.observed[(which[i] - range.start) * n_values..][..tested.len()].copy_from_slice(tested);
        });
        let mut relabelled = vec![0.0f32; rows.len()];
        let mut dots = vec![0.0; which.len() * n_rows];
        let mut values = vec![0.0; n_values];
        let mut tested = vec![0.0; which.len() * comparator.layers().len()];
        let n_tested = tested.len() / which.len();
        for (k, (order, extreme)) in self.orders.iter().zip(counts.extreme.chunks_exact_mut(n_values)).enumerate() {
            fill(&mut table, order);
            for (to, from) in relabelled.chunks_exact_mut(n_pairs).zip(rows.chunks_exact(n_pairs)) {
                to.iter_mut().zip(&table).for_each(|(t, &k)| *t = from[k as usize]);
            }
            patterns.kernels().products(&spaces, &relabelled, n_pairs, &mut dots);
            self.beside(&prepared, &table, |i, own| tested[i * n_tested..][..n_tested].copy_from_slice(own));
            for (i, (dots, &norm)) in dots.chunks_exact(n_rows).zip(&norms).enumerate() {
                comparator.finish(dots, norm, &mut values);
                if k < self.n_kept {
                    let mut map = counts.kept.index_axis_mut(Axis(0), k);
                    map.column_mut(which[i] - range.start).iter_mut().zip(&values).for_each(|(to, &v)| *to = v as f32);
                }
                let own = (which[i] - range.start) * n_values;
                counts.sums[own..].iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
                if !prepared.is_empty() {
                    values[..n_tested].copy_from_slice(&tested[i * n_tested..][..n_tested]);
                }
                for (v, &value) in values.iter().enumerate() {
                    counts.reached[own + v] += u32::from(is_extreme(value, counts.observed[own + v], self.tail));
                    extreme[v] = more_extreme(extreme[v], value, self.tail);
                }
            }
        }
        counts
    }

    /// What is counted before the first relabelling.
    fn nothing(&self, range: Range<usize>) -> Counts {
        let (n, n_values) = (range.len(), self.question.comparator.n_values());
        let observed = range.flat_map(|place| self.maps.values.column(place).to_vec());
        Counts {
            reached: vec![0; n * n_values],
            observed: observed.map(f64::from).collect(),
            sums: vec![0.0; n * n_values],
            extreme: vec![least(self.tail); self.orders.len() * n_values],
            kept: Array3::from_elem((self.n_kept, n_values, n), f32::NAN),
        }
    }

    /// The tested statistics of layers beside others, place by place; nothing where there are none.
    fn beside(&self, prepared: &[Prepared], table: &[u32], mut see: impl FnMut(usize, &[f64])) {
        let Some((reduced, kernels)) = self.question.comparator.reduced() else { return };
        let turned = reduced.turned(table, kernels);
        let mut tested = vec![0.0; self.question.comparator.layers().len()];
        for (i, place) in prepared.iter().enumerate() {
            reduced.tested(place, &turned, kernels, &mut tested);
            see(i, &tested);
        }
    }

    /// The RDMs of the places that have one, as they are compared.
    fn spaces(&self, range: Range<usize>) -> Spaces {
        let (patterns, comparator) = (self.question.patterns, self.question.comparator);
        let (mut measure, mut compare) = (dissimilarity::Scratch::default(), comparator.scratch());
        let mut voxels = Vec::new();
        let mut found = Spaces { spaces: Vec::new(), norms: Vec::new(), which: Vec::new(), prepared: Vec::new() };
        for place in range.filter(|&place| self.maps.values.column(place).iter().any(|v| !v.is_nan())) {
            self.places.voxels(place, &mut voxels);
            if let Some(rdm) = patterns.rdm(&voxels, comparator.statistic().ignores_offset(), &mut measure) {
                found.norms.push(comparator.to_space(rdm, &mut compare));
                found.spaces.extend_from_slice(&compare.space);
                found.which.push(place);
                found.prepared.extend(comparator.prepare(rdm, &mut compare));
            }
        }
        found
    }

    /// p and extremes of all chunks, in their order.
    fn null(&self, chunks: Vec<Option<Counts>>) -> Result<Null> {
        let (n, n_values) = (self.orders.len(), self.question.comparator.n_values());
        let observed = &self.maps.values;
        let mut extreme = Array2::from_elem((n, n_values), least(self.tail));
        let mut p = Array2::from_elem(observed.dim(), f64::NAN);
        let mut mean = Array2::from_elem(observed.dim(), f32::NAN);
        let mut tested = Array2::from_elem(observed.dim(), f32::NAN);
        let mut kept = Array3::from_elem((self.n_kept, n_values, observed.ncols()), f32::NAN);
        let mut place = 0;
        for counts in chunks {
            let counts = counts.ok_or_else(|| Error::Interrupted { dir: std::path::PathBuf::new() })?;
            extreme.iter_mut().zip(&counts.extreme).for_each(|(e, &x)| *e = more_extreme(*e, x, self.tail));
            kept.slice_axis_mut(Axis(2), Slice::from(place..place + counts.kept.dim().2)).assign(&counts.kept);
            let each = counts.reached.chunks_exact(n_values).zip(counts.sums.chunks_exact(n_values));
            for ((reached, sums), own) in each.zip(counts.observed.chunks_exact(n_values)) {
                for v in (0..n_values).filter(|&v| !observed[[v, place]].is_nan()) {
                    p[[v, place]] = f64::from(reached[v] + 1) / (n + 1) as f64;
                    mean[[v, place]] = (sums[v] / n as f64) as f32;
                    tested[[v, place]] = own[v] as f32;
                }
                place += 1;
            }
        }
        Ok(Null { p, observed: tested, extreme, mean, kept, tail: self.tail })
    }
}

/// RDMs of some places in the space of a comparison.
struct Spaces {
    /// n_places x n_pairs.
    spaces: Vec<f32>,
    norms: Vec<f64>,
    /// Which places.
    which: Vec<usize>,
    /// Of the places, where layers are tested beside others.
    prepared: Vec<Prepared>,
}

impl Null {
    /// Family-wise corrected p by the most extreme value of each relabelled map: (1 + extremes that
    /// reach the value) / (1 + n_permutations), n_values x n_places; NaN where the map is. The
    /// first `together` values (layers) share the most extreme one of them all.
    ///
    /// # Source
    /// Nichols and Holmes, Hum. Brain Mapp. 15:1 (2002).
    pub fn family_wise(&self, together: usize) -> Array2<f64> {
        let mut p = Array2::from_elem(self.observed.dim(), f64::NAN);
        for (v, mut row) in p.rows_mut().into_iter().enumerate() {
            let family = if v < together { 0..together } else { v..v + 1 };
            let extremes =
                self.extreme.rows().into_iter().map(|row| {
                    family.clone().map(|v| row[v]).fold(least(self.tail), |a, b| more_extreme(a, b, self.tail))
                });
            let null = MaxNull::of_extremes(extremes, self.tail).within(SAME);
            let values = self.observed.row(v).mapv(f64::from);
            row.iter_mut().zip(&values).for_each(|(p, &value)| *p = null.p(extremeness(value, self.tail)));
        }
        p
    }

    /// Places one after the other, extremes over all of them; at least one, of the same
    /// relabellings.
    pub(super) fn joined(all: &[&Self]) -> Self {
        let p: Vec<ArrayView2<'_, f64>> = all.iter().map(|n| n.p.view()).collect();
        let observed: Vec<ArrayView2<'_, f32>> = all.iter().map(|n| n.observed.view()).collect();
        let means: Vec<ArrayView2<'_, f32>> = all.iter().map(|n| n.mean.view()).collect();
        let kept: Vec<ArrayView3<'_, f32>> = all.iter().map(|n| n.kept.view()).collect();
        let mean = concatenate(Axis(1), &means).expect("one comparator");
        let kept = concatenate(Axis(2), &kept).expect("the same relabellings");
        let (mut extreme, tail) = (all[0].extreme.clone(), all[0].tail);
        for other in &all[1..] {
            extreme.zip_mut_with(&other.extreme, |e, &x| *e = more_extreme(*e, x, tail));
        }
        let observed = concatenate(Axis(1), &observed).expect("one comparator");
        Self { p: concatenate(Axis(1), &p).expect("one comparator"), observed, extreme, mean, kept, tail }
    }
}

fn is_extreme(permuted: f64, observed: f64, tail: Tail) -> bool {
    reaches_within(extremeness(permuted, tail), extremeness(observed, tail), SAME)
}

/// What every value is more extreme than.
fn least(tail: Tail) -> f64 {
    if tail == Tail::Less { f64::INFINITY } else { f64::NEG_INFINITY }
}

fn more_extreme(a: f64, b: f64, tail: Tail) -> f64 {
    match tail {
        Tail::Greater => a.max(b),
        Tail::Less => a.min(b),
        Tail::TwoSided => a.max(b.abs()),
    }
}

#[cfg(test)]
#[path = "null_tests.rs"]
mod tests;
