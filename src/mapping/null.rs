//! The null distribution of a map within a subject: the images' labels are exchanged, rows and columns of every RDM together.
//!
//! The same relabelling is used at every place, so that the largest value of each relabelled map can serve as a family-wise
//! threshold. A relabelled brain RDM need not be made: the fingerprints are relabelled the other way, once for many places.

use super::compare::Comparator;
use super::dissimilarity::{self, Patterns};
use super::searchlight::{Maps, Places, check};
use crate::error::{Error, Result};
use crate::math::condensed;
use crate::math::permutation::Tail;
use crate::rdm::compare::relabellings;
use crate::stats::correction::{MaxNull, extremeness, reaches_within};
use ndarray::Array2;
use rayon::prelude::*;

/// Places whose RDMs are held together: one relabelling of the fingerprints serves all of them.
const CHUNK: usize = 64;
/// Statistics closer than this (32-bit sums, relative above 1) are one value: a relabelling may change nothing, and a model of few
/// distinct labellings must not look significant for it.
const SAME: f64 = 1e-6;

/// Result of [`permute`].
#[derive(Debug, Clone, PartialEq)]
pub struct Null {
    /// (1 + relabellings at least as extreme) / (1 + n_permutations), n_values x n_places; NaN where the map is.
    pub p: Array2<f64>,
    /// The most extreme value of each relabelled map over all places: n_permutations x n_values.
    pub extreme: Array2<f64>,
}

/// Relabels the conditions `n_permutations` times.
///
/// # Shapes
/// `maps`: what [`super::searchlight::searchlight`] gave for the same arguments.
///
/// # Errors
/// [`Error::Invalid`] for a comparison that has no inner product (Kendall's tau), or another number of conditions;
/// [`Error::Interrupted`] when `done` returns false.
///
/// # Source
/// Nichols and Holmes, Hum. Brain Mapp. 15:1 (2002), for the maximum statistic; Phipson and Smyth (2010) for p.
pub fn permute<P: Places>(
    patterns: &Patterns,
    comparator: &Comparator,
    places: &P,
    maps: &Maps,
    (n_permutations, seed, tail): (usize, u64, Tail),
    done: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Null> {
    check(patterns, comparator)?;
    if comparator.statistic() == super::compare::Statistic::KendallTauA {
        let hint = "use spearman, or --permutations 0";
        return Err(Error::invalid("permutations", "a comparison by inner products", "kendall_tau_a", hint));
    }
    let orders = relabellings(patterns.n_conditions(), n_permutations, seed);
    let n_chunks = places.len().div_ceil(CHUNK);
    let parts: Vec<Option<Part>> = (0..n_chunks)
        .into_par_iter()
        .map(|chunk| {
            let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(places.len());
            let n = range.len();
            let part = chunk_of(patterns, comparator, places, maps, range, &orders, tail);
            done(n).then_some(part)
        })
        .collect();
    collect(parts, comparator.n_values(), maps, n_permutations, tail)
}

/// The smallest p that relabelling `n_conditions` can give: 1 / (1 + n_permutations), but never below 1 / n_conditions!, the
/// share of relabellings that change nothing.
pub fn smallest_p(n_conditions: usize, n_permutations: usize) -> f64 {
    let all: f64 = (1..=n_conditions.min(30)).map(|k| k as f64).product();
    (1.0 / (1.0 + n_permutations as f64)).max(1.0 / all)
}

/// Where entry k of a relabelled RDM comes from. Made anew for every chunk: for a thousand conditions, a thousand tables would take
/// gigabytes.
fn fill(table: &mut [u32], order: &[usize]) {
    let n = order.len();
    for (to, (i, j)) in table.iter_mut().zip(condensed::pairs(n)) {
        *to = condensed::index(order[i], order[j], n) as u32;
    }
}

/// Counts and extremes of some places.
struct Part {
    /// n_places x n_values.
    counts: Vec<u32>,
    /// n_permutations x n_values.
    extreme: Vec<f64>,
}

fn chunk_of<P: Places>(
    patterns: &Patterns,
    comparator: &Comparator,
    places: &P,
    maps: &Maps,
    range: std::ops::Range<usize>,
    orders: &[Vec<usize>],
    tail: Tail,
) -> Part {
    let (n_pairs, n_values) = (patterns.n_pairs(), comparator.n_values());
    let (rows, n_rows) = comparator.rows();
    let (mut measure, mut compare) = (dissimilarity::Scratch::default(), comparator.scratch());
    let mut voxels = Vec::new();
    let (mut spaces, mut norms, mut which) = (Vec::new(), Vec::new(), Vec::new());
    for place in range.clone().filter(|&place| maps.values.column(place).iter().any(|v| !v.is_nan())) {
        places.voxels(place, &mut voxels);
        if let Some(rdm) = patterns.rdm(&voxels, comparator.statistic().ignores_offset(), &mut measure) {
            norms.push(comparator.to_space(rdm, &mut compare));
            spaces.extend_from_slice(&compare.space);
            which.push(place);
        }
    }
    let start = if tail == Tail::Less { f64::INFINITY } else { f64::NEG_INFINITY };
    let mut part = Part { counts: vec![0; range.len() * n_values], extreme: vec![start; orders.len() * n_values] };
    if which.is_empty() {
        return part;
    }
    let mut relabelled = vec![0.0f32; rows.len()];
    let mut table = vec![0u32; n_pairs];
    let mut dots = vec![0.0; which.len() * n_rows];
    let mut values = vec![0.0; n_values];
    for (order, extreme) in orders.iter().zip(part.extreme.chunks_exact_mut(n_values)) {
        fill(&mut table, order);
        for (to, from) in relabelled.chunks_exact_mut(n_pairs).zip(rows.chunks_exact(n_pairs)) {
            to.iter_mut().zip(&table).for_each(|(t, &k)| *t = from[k as usize]);
        }
        patterns.kernels().products(&spaces, &relabelled, n_pairs, &mut dots);
        for ((dots, &norm), &place) in dots.chunks_exact(n_rows).zip(&norms).zip(&which) {
            comparator.finish(dots, norm, &mut values);
            let counts = &mut part.counts[(place - range.start) * n_values..][..n_values];
            for v in 0..n_values {
                counts[v] += u32::from(is_extreme(values[v], f64::from(maps.values[[v, place]]), tail));
                extreme[v] = more_extreme(extreme[v], values[v], tail);
            }
        }
    }
    part
}

impl Null {
    /// Family-wise corrected p by the most extreme value of each relabelled map: (1 + extremes that reach the value) /
    /// (1 + n_permutations), n_values x n_places; NaN where the map is.
    ///
    /// # Source
    /// Nichols and Holmes, Hum. Brain Mapp. 15:1 (2002).
    pub fn family_wise(&self, maps: &Maps, tail: Tail) -> Array2<f64> {
        let mut p = Array2::from_elem(maps.values.dim(), f64::NAN);
        for (v, mut row) in p.rows_mut().into_iter().enumerate() {
            let null = MaxNull::of_extremes(self.extreme.column(v).iter().copied(), tail).within(SAME);
            let values = maps.values.row(v).mapv(f64::from);
            row.iter_mut().zip(&values).for_each(|(p, &value)| *p = null.p(extremeness(value, tail)));
        }
        p
    }
}

fn is_extreme(permuted: f64, observed: f64, tail: Tail) -> bool {
    reaches_within(extremeness(permuted, tail), extremeness(observed, tail), SAME)
}

fn more_extreme(a: f64, b: f64, tail: Tail) -> f64 {
    match tail {
        Tail::Greater => a.max(b),
        Tail::Less => a.min(b),
        Tail::TwoSided => a.max(b.abs()),
    }
}

fn collect(parts: Vec<Option<Part>>, n_values: usize, maps: &Maps, n: usize, tail: Tail) -> Result<Null> {
    let start = if tail == Tail::Less { f64::INFINITY } else { f64::NEG_INFINITY };
    let mut extreme = Array2::from_elem((n, n_values), start);
    let mut p = Array2::from_elem(maps.values.dim(), f64::NAN);
    let mut place = 0;
    for part in parts {
        let part = part.ok_or_else(|| Error::Interrupted { dir: std::path::PathBuf::new() })?;
        extreme.iter_mut().zip(&part.extreme).for_each(|(e, &x)| *e = more_extreme(*e, x, tail));
        for counts in part.counts.chunks_exact(n_values) {
            for (v, &count) in counts.iter().enumerate().filter(|(v, _)| !maps.values[[*v, place]].is_nan()) {
                p[[v, place]] = f64::from(count + 1) / (n + 1) as f64;
            }
            place += 1;
        }
    }
    Ok(Null { p, extreme })
}

#[cfg(test)]
#[path = "null_tests.rs"]
mod tests;
