//! A range of places, measured and tested in one call.

use super::compare::Comparator;
use super::dissimilarity::Patterns;
use super::null::{self, Null, Relabellings};
use super::searchlight::{self, Maps, Places, Slice, searchlight};
use crate::error::Result;
use crate::stats::correction::{Family, benjamini_hochberg};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, concatenate};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Ranges that begin at multiples of this give the values of one pass over all places, to the last
/// bit: there, every pass begins a task anew.
pub const ALIGNED: usize = 64;
const _: () = assert!(ALIGNED.is_multiple_of(searchlight::CHUNK) && ALIGNED.is_multiple_of(null::CHUNK));

/// What is asked of every place.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// What a place's RDM is made of.
    pub patterns: &'a Patterns,
    /// The fingerprints that it is compared with, and how.
    pub comparator: &'a Comparator,
}

/// What was found at the places from `start` on.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The first of its places.
    pub start: usize,
    /// Values of its places.
    pub maps: Maps,
    /// Where conditions were relabelled.
    pub null: Option<Null>,
}

/// Correction for the number of places, over all layers or within each ([`Family`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceCorrection {
    /// p of each place by itself.
    None,
    /// False discovery rate (Benjamini and Hochberg 1995). No p is below 1 / (1 + n_permutations), so
    /// that a small share of many places is never found ([`fdr_needs`]).
    Fdr,
    /// Family-wise error, by the largest value of each relabelled map.
    #[default]
    Fwe,
}

/// How many of `n_tests` must have the smallest p that `n_permutations` relabellings give before the
/// false discovery rate calls any of them significant at `alpha`:
/// `p n_tests / k <= alpha` for p = 1 / (1 + n_permutations).
pub fn fdr_needs(n_tests: usize, n_permutations: usize, alpha: f64) -> usize {
    (n_tests as f64 / ((n_permutations + 1) as f64 * alpha)).ceil() as usize
}

/// Compares the RDMs of the places in `range` with all fingerprints and, unless there are no
/// relabellings, counts how often relabelled conditions reach each value.
///
/// `sink` hears of every finished task (its number of places), once for the values and once for the
/// test, from whatever thread; it returns false to stop.
///
/// # Errors
/// As [`mod@searchlight`] and [`null::permute`]: [`crate::Error::Invalid`] for another number of
/// conditions or a comparison that cannot be relabelled, [`crate::Error::Interrupted`] (without a
/// folder) when `sink` says so.
pub fn measure<P: Places>(
    question: &Question<'_>,
    places: &P,
    range: Range<usize>,
    relabellings: &Relabellings,
    sink: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Part> {
    let start = range.start;
    let own = Slice { of: places, range };
    let maps = searchlight(question.patterns, question.comparator, &own, sink)?;
    let null = match relabellings.n_permutations {
        0 => None,
        _ => Some(null::permute(question, &own, &maps, relabellings, sink)?),
    };
    Ok(Part { start, maps, null })
}

/// The first `together` rows as one family, every other row as its own.
fn families(rows: ArrayViewMut2<'_, f64>, together: usize) -> Vec<ArrayViewMut2<'_, f64>> {
    let (first, mut rest) = rows.split_at(Axis(0), together);
    let mut all = vec![first];
    while rest.nrows() > 0 {
        let (next, others) = rest.split_at(Axis(0), 1);
        all.push(next);
        rest = others;
    }
    all
}

impl Part {
    /// Number of places.
    pub fn n_places(&self) -> usize {
        self.maps.n_voxels.len()
    }

    /// p corrected for the number of places, n_values x n_places; `None` where nothing was tested. The
    /// first `n_layers` values are layers'; R^2 of all together, which may follow, is a family of its
    /// own.
    pub fn corrected(&self, correction: PlaceCorrection, family: Family, n_layers: usize) -> Option<Array2<f64>> {
        let null = self.null.as_ref()?;
        let together = if family == Family::All { n_layers } else { 1 };
        Some(match correction {
            PlaceCorrection::None => null.p.clone(),
            PlaceCorrection::Fwe => null.family_wise(together),
            PlaceCorrection::Fdr => {
                let mut corrected = null.p.clone();
                for mut rows in families(corrected.view_mut(), together) {
                    let q = benjamini_hochberg(&rows.iter().copied().collect::<Vec<_>>());
                    rows.iter_mut().zip(q).for_each(|(p, q)| *p = q);
                }
                corrected
            }
        })
    }

    /// Parts as one: places one after the other, extremes over all of them. Tested where all are.
    ///
    /// The parts are of one question and the same relabellings, and at least one.
    pub fn joined(parts: &[Self]) -> Self {
        let values: Vec<ArrayView2<'_, f32>> = parts.iter().map(|p| p.maps.values.view()).collect();
        let maps = Maps {
            values: concatenate(Axis(1), &values).expect("one comparator"),
            n_voxels: parts.iter().flat_map(|p| p.maps.n_voxels.clone()).collect(),
            n_undefined: parts.iter().map(|p| p.maps.n_undefined).sum(),
        };
        let nulls: Option<Vec<&Null>> = parts.iter().map(|p| p.null.as_ref()).collect();
        Self { start: parts[0].start, maps, null: nulls.map(|all| Null::joined(&all)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Betas;
    use crate::mapping::searchlight::Regions;
    use crate::mapping::{Measurement, Residual, Statistic};
    use crate::math::permutation::Tail;
    use crate::rdm::{self, Rdm};
    use crate::rng;
    use ndarray::Array3;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const PLACES: usize = 150;

    fn normal(item: u64, n_rows: usize, n_columns: usize) -> Array2<f32> {
        let mut draw = rng::stream(5, "measure test", item);
        Array2::from_shape_simple_fn((n_rows, n_columns), || draw.normal() as f32)
    }

    fn patterns() -> Patterns {
        let betas = Betas::new(normal(0, 9, PLACES + 6), &Rdm::default_labels(9), &vec!["1".into(); 9]).unwrap();
        Patterns::new(&betas, Measurement::default()).unwrap()
    }

    fn comparator() -> Comparator {
        let layer = |l: u64| {
            let rdm = rdm::measure::rdm(normal(l, 9, 20).view(), rdm::Measure::Correlation, Rdm::default_labels(9));
            (format!("layer{l}"), rdm.unwrap())
        };
        Comparator::new(&[layer(1), layer(2)], Statistic::Spearman, Residual::None).unwrap()
    }

    /// Place 70 has no voxels.
    fn places() -> Regions {
        let voxels = |p: u32| if p == 70 { vec![] } else { (p..p + 6).collect() };
        Regions { regions: (0..PLACES as u32).map(|p| (format!("r{p}"), voxels(p))).collect() }
    }

    #[test]
    fn aligned_parts_are_one_pass_to_the_last_bit() {
        let (patterns, comparator, places) = (patterns(), comparator(), places());
        let question = Question { patterns: &patterns, comparator: &comparator };
        for tail in [Tail::Greater, Tail::Less, Tail::TwoSided] {
            let relabellings = Relabellings { n_permutations: 30, seed: 3, tail, n_kept: 4 };
            let of = |range: Range<usize>| measure(&question, &places, range, &relabellings, &|_| true).unwrap();
            let parts = [of(0..ALIGNED), of(ALIGNED..2 * ALIGNED), of(2 * ALIGNED..PLACES)];
            assert_eq!((parts[1].start, parts[1].maps.n_undefined, parts[2].n_places()), (ALIGNED, 1, PLACES - 128));
            let (joined, whole) = (Part::joined(&parts), of(0..PLACES));
            assert_eq!((&joined.maps.n_voxels, joined.maps.n_undefined), (&whole.maps.n_voxels, 1));
            // NaN at place 70: bits are compared.
            assert!(joined.maps.values.iter().zip(&whole.maps.values).all(|(a, b)| a.to_bits() == b.to_bits()));
            let (own, all) = (joined.null.as_ref().unwrap(), whole.null.as_ref().unwrap());
            assert!(own.p.iter().zip(&all.p).all(|(a, b)| a.to_bits() == b.to_bits()));
            assert_eq!(own.extreme, all.extreme);
            assert_eq!(own.kept.dim(), (4, 2, PLACES));
            assert!(own.kept.iter().zip(&all.kept).all(|(a, b)| a.to_bits() == b.to_bits()));
            assert!(own.mean.iter().zip(&all.mean).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }

    #[test]
    fn the_sink_hears_of_every_place_and_stops_the_pass() {
        let (patterns, comparator, places) = (patterns(), comparator(), places());
        let question = Question { patterns: &patterns, comparator: &comparator };
        let heard = AtomicUsize::new(0);
        let count = |n: usize| heard.fetch_add(n, Ordering::Relaxed) < usize::MAX;
        for (n_permutations, expected) in [(0, PLACES), (5, 2 * PLACES)] {
            heard.store(0, Ordering::Relaxed);
            let relabellings = Relabellings { n_permutations, seed: 1, ..Relabellings::default() };
            let part = measure(&question, &places, 0..PLACES, &relabellings, &count).unwrap();
            assert_eq!((heard.load(Ordering::Relaxed), part.null.is_some()), (expected, n_permutations > 0));
            assert_eq!(part.corrected(PlaceCorrection::Fdr, Family::All, 2).is_some(), n_permutations > 0);
            let stopped = measure(&question, &places, 0..PLACES, &relabellings, &|_| false);
            assert!(matches!(stopped, Err(crate::Error::Interrupted { .. })));
        }
    }

    #[test]
    fn few_relabellings_find_nothing_small_by_the_false_discovery_rate() {
        // 50,653 centres and 1,000 relabellings: 1013 of them, 2 %, all at 1 / 1001.
        assert_eq!(fdr_needs(50_653, 1000, 0.05), 1013);
        let q = |k: usize| {
            benjamini_hochberg(&(0..2000).map(|i| if i < k { 1.0 / 101.0 } else { 0.9 }).collect::<Vec<_>>())[0]
        };
        let needed = fdr_needs(2000, 100, 0.05);
        assert!(q(needed) <= 0.05 && q(needed - 1) > 0.05, "{needed}");
    }

    /// By hand: q of p = (0.2, 0.4, 0.6) is 0.6 for all; of extremes 1, 3 and 5, those that reach 4
    /// are one, (1 + 1) / (1 + 3).
    #[test]
    fn corrections_are_over_places() {
        let maps = Maps { values: ndarray::array![[4.0, 2.0, 0.5]], n_voxels: vec![1; 3], n_undefined: 0 };
        let null = Null {
            p: ndarray::array![[0.2, 0.4, 0.6]],
            observed: maps.values.clone(),
            extreme: ndarray::array![[1.0], [3.0], [5.0]],
            mean: ndarray::array![[0.0, 0.0, 0.0]],
            kept: Array3::zeros((0, 1, 3)),
            tail: Tail::Greater,
        };
        let part = Part { start: 0, maps, null: Some(null) };
        let of = |correction| part.corrected(correction, Family::All, 1).unwrap().into_raw_vec_and_offset().0;
        assert_eq!(of(PlaceCorrection::None), [0.2, 0.4, 0.6]);
        assert!(of(PlaceCorrection::Fdr).iter().all(|q| (q - 0.6).abs() < 1e-15));
        assert_eq!(of(PlaceCorrection::Fwe), [0.5, 0.75, 1.0]);
        // Two layers and R^2: extremes of the layers are (2, 3, 5), and q of (0.01, 0.5, 0.04, 0.9) is by
        // Benjamini and Hochberg (0.04, 2/3, 0.08, 0.9).
        let maps =
            Maps { values: ndarray::array![[4.0, 2.0], [0.5, 4.0], [0.9, 0.1]], n_voxels: vec![1; 2], n_undefined: 0 };
        let null = Null {
            p: ndarray::array![[0.01, 0.5], [0.04, 0.9], [0.2, 0.4]],
            observed: maps.values.clone(),
            extreme: ndarray::array![[1.0, 2.0, 9.0], [3.0, 0.0, 9.0], [5.0, 1.0, 9.0]],
            mean: Array2::zeros((3, 2)),
            kept: Array3::zeros((0, 3, 2)),
            tail: Tail::Greater,
        };
        let part = Part { start: 0, maps, null: Some(null) };
        let all = |family| part.corrected(PlaceCorrection::Fwe, family, 2).unwrap();
        assert_eq!(all(Family::All), ndarray::array![[0.5, 1.0], [1.0, 0.5], [1.0, 1.0]]);
        assert_eq!(all(Family::Layer), ndarray::array![[0.5, 0.75], [0.75, 0.25], [1.0, 1.0]]);
        let q = part.corrected(PlaceCorrection::Fdr, Family::All, 2).unwrap();
        let expected = ndarray::array![[0.04, 2.0 / 3.0], [0.08, 0.9], [0.4, 0.4]];
        assert!(q.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{q}");
    }
}
