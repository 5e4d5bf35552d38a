//! Confidence intervals of comparisons over images: would the map be the same with other images of
//! the same kind?
//!
//! The images are drawn anew with replacement, rows and columns of the brain's RDM and of all
//! fingerprints together. A pair of two copies of one image would be a dissimilarity of 0 that
//! every fingerprint predicts: such pairs are left out. An image that was drawn k times and another
//! that was drawn l times weigh their pair by k l; ranks are taken within the resample, and
//! residual fingerprints are made from the resample's fingerprints. RDMs are made once for all
//! resamples and held for a few places at a time.
//!
//! | comparison | in a resample |
//! |---|---|
//! | `pearson`, `cosine`, `ols`, `nnls` | weighted inner products |
//! | `spearman` | weighted ranks, ties averaged |
//! | `kendall_tau_a` | copies of an entry are tied with each other, as in rsatoolbox; slow, for regions |
//! | `corr_cov`, `cosine_cov` | refused: the space where the entries of an RDM are uncorrelated is that of a complete RDM, and a resample has none |
//!
//! Every residual method is defined on a resample; with [`Residual::ActivationLevel`] the
//! fingerprints are compared as they are given, what was taken out of the activations having been
//! estimated from all images.
//!
//! The noise of single dissimilarities counts about three times in the spread of such resamples, so
//! that intervals are too wide rather than too narrow where that noise outweighs the choice of
//! images.
//!
//! # Source
//! Percentile intervals: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
//! Resampled images: Nili et al., PLoS Comput. Biol. 10:e1003553 (2014); rsatoolbox 0.3.2's
//! `bootstrap_sample_pattern`. Width: Schuett et al., eLife 12:e82566 (2023).

mod resample;

use super::compare::{Combination, Comparator, Statistic};
use super::dissimilarity::{self, Patterns};
use super::residual::Residual;
use super::searchlight::{Places, check};
use crate::error::{Error, Result};
use crate::math::condensed;
use crate::rdm::Rdm;
use crate::rng;
use crate::stats::interval::percentile;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use resample::{Entries, Resample, Space};

/// Resamples with fewer different images have no RDM worth comparing (rsatoolbox's limit).
const MIN_IMAGES: usize = 3;
/// Entries of RDMs that are held at a time; places that share the making of a resample's
/// fingerprints.
const HELD: usize = 1 << 21;
const MOST_PLACES: usize = 64;

/// How to resample.
///
/// | field | default | purpose |
/// |---|---|---|
/// | `n_bootstraps` | 1000 | resamples |
/// | `level` | 0.95 | share of the resamples inside the interval, between 0 and 1 |
/// | `seed` | 0 | resample b is `rng::stream(seed, "bootstrap images", b)` |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootstrapOptions {
    pub n_bootstraps: usize,
    pub level: f64,
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { n_bootstraps: 1000, level: 0.95, seed: 0 }
    }
}

/// Percentile intervals: quantiles of the resampled values at (1 - level) / 2 and 1 - (1 - level)
/// / 2.
///
/// Resamples where a value is not defined (fewer than 3 different images, an RDM that does not vary
/// among them) are left out; NaN where they are more than half.
#[derive(Debug, Clone, PartialEq)]
pub struct Intervals {
    /// n_values x n_places.
    pub low: Array2<f32>,
    /// n_values x n_places.
    pub high: Array2<f32>,
    /// Of the best layer's value less the next one's.
    pub margin: Margins,
}

/// How much better the best layer of every place is than the next one; each n_places.
///
/// Which of two equal layers is the better one is chance, and told from the same data: an interval
/// that leaves 0 out does so in 1 - level of the places where the two are equal, on either side
/// together.
#[derive(Debug, Clone, PartialEq)]
pub struct Margins {
    /// The layer with the largest value, from 1; 0 where fewer than two have one.
    pub best: Vec<u32>,
    /// The one with the next.
    pub second: Vec<u32>,
    /// best - second.
    pub value: Vec<f32>,
    pub low: Vec<f32>,
    pub high: Vec<f32>,
}

impl Margins {
    fn new(n_places: usize) -> Self {
        let nan = vec![f32::NAN; n_places];
        let none = vec![0; n_places];
        Self { best: none.clone(), second: none, value: nan.clone(), low: nan.clone(), high: nan }
    }

    /// The best two of a place's values, and the interval of their difference; `resampled(l)` are
    /// the values of layer l.
    fn put(&mut self, place: usize, values: &[f64], level: f64, resampled: impl Fn(usize) -> Vec<f64>) {
        let mut order: Vec<usize> = (0..values.len()).filter(|&l| !values[l].is_nan()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let [best, second, ..] = order[..] else { return };
        (self.best[place], self.second[place]) = (best as u32 + 1, second as u32 + 1);
        self.value[place] = (values[best] - values[second]) as f32;
        let (one, other) = (resampled(best), resampled(second));
        let (low, high) = interval(one.iter().zip(other).map(|(a, b)| a - b).collect(), level);
        (self.low[place], self.high[place]) = (low as f32, high as f32);
    }
}

/// Fingerprints whose comparisons with brain RDMs can be resampled.
pub struct ImageBootstrap {
    /// Of all images.
    comparator: Comparator,
    space: Space,
    layers: Vec<Entries>,
}

impl ImageBootstrap {
    /// Prepares fingerprints; the values are those of [`Comparator::new`] for the same arguments,
    /// in the same order.
    ///
    /// # Errors
    /// As [`Comparator::new`]; [`Error::Invalid`] for a whitened comparison.
    pub fn new(fingerprints: &[(String, Rdm)], statistic: Statistic, residual: Residual) -> Result<Self> {
        let comparator = Comparator::new(fingerprints, statistic, residual)?;
        let Some(space) = Space::of(statistic) else {
            let hint = "whitening takes a complete RDM, a resample leaves pairs out: use pearson or cosine";
            let expected = "a comparison of the entries that are left";
            return Err(Error::invalid("bootstrap over images", expected, statistic.to_string(), hint));
        };
        let layers = fingerprints.iter().map(|(_, rdm)| Entries::new(rdm.values(), space)).collect();
        Ok(Self { comparator, space, layers })
    }

    /// Numbers a place has: one a layer, and R^2 where there is one.
    pub fn n_values(&self) -> usize {
        self.comparator.n_values()
    }

    /// Intervals of the comparison of every place's RDM with all fingerprints, on all cores.
    ///
    /// `done` hears of every finished chunk (its number of places); it returns false to stop. The
    /// same bytes for any number of threads.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of conditions, no resample, or a level outside 0..1;
    /// [`Error::Interrupted`] (without a folder) when `done` says so.
    pub fn places<P: Places>(
        &self,
        patterns: &Patterns,
        places: &P,
        how: BootstrapOptions,
        done: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Intervals> {
        check(patterns, &self.comparator)?;
        let resamples = self.draw(how)?;
        let n_places = places.len();
        let mut found = Intervals {
            low: Array2::from_elem((self.n_values(), n_places), f32::NAN),
            high: Array2::from_elem((self.n_values(), n_places), f32::NAN),
            margin: Margins::new(n_places),
        };
        let all = [self.prepared(vec![1; self.comparator.n_conditions()])];
        let n_layers = self.comparator.layers().len();
        let chunk = (HELD / patterns.n_pairs()).clamp(1, MOST_PLACES);
        for start in (0..n_places).step_by(chunk) {
            let range = start..(start + chunk).min(n_places);
            let (which, brains): (Vec<usize>, Vec<Entries>) = self.brains(patterns, places, range.clone());
            let values = self.evaluate(&brains, &resamples);
            let columns = which.len() * self.n_values();
            let ends: Vec<(f64, f64)> =
                (0..columns).into_par_iter().map(|c| interval(values.column(c).to_vec(), how.level)).collect();
            for (c, (low, high)) in ends.into_iter().enumerate() {
                let at = [c % self.n_values(), which[c / self.n_values()]];
                (found.low[at], found.high[at]) = (low as f32, high as f32);
            }
            let own = self.evaluate(&brains, &all).into_raw_vec_and_offset().0;
            for (i, (&place, own)) in which.iter().zip(own.chunks_exact(self.n_values())).enumerate() {
                let resampled = |l: usize| values.column(i * self.n_values() + l).to_vec();
                found.margin.put(place, &own[..n_layers], how.level, resampled);
            }
            if !done(range.len()) {
                return Err(Error::Interrupted { dir: std::path::PathBuf::new() });
            }
        }
        Ok(found)
    }

    /// Interval of each value's mean over given RDMs (of a region, one a subject), all with the
    /// same images drawn.
    ///
    /// # Shapes
    /// `rdms`: n_rdms x n_pairs, finite; the result: n_values times (low, high).
    ///
    /// # Errors
    /// [`Error::Invalid`] for no RDM, another number of pairs, NaN or infinity, no resample, or a
    /// level outside 0..1.
    pub fn rdms(&self, rdms: ArrayView2<'_, f64>, how: BootstrapOptions) -> Result<Vec<(f64, f64)>> {
        let brains = self.given(rdms)?;
        let values = self.evaluate(&brains, &self.draw(how)?);
        let mean = |row: ndarray::ArrayView1<'_, f64>, v: usize| {
            (0..brains.len()).map(|s| row[s * self.n_values() + v]).sum::<f64>() / brains.len() as f64
        };
        let one = |v: usize| interval(values.rows().into_iter().map(|row| mean(row, v)).collect(), how.level);
        Ok((0..self.n_values()).map(one).collect())
    }

    /// The comparisons in one given resample.
    ///
    /// # Shapes
    /// `rdms`: n_rdms x n_pairs; `drawn`: images, with repetitions; result: n_rdms x n_values, NaN
    /// where undefined.
    ///
    /// # Errors
    /// As [`ImageBootstrap::rdms`]; [`Error::Invalid`] for an image that does not exist.
    pub fn values(&self, rdms: ArrayView2<'_, f64>, drawn: &[usize]) -> Result<Array2<f64>> {
        let brains = self.given(rdms)?;
        let mut counts = vec![0; self.comparator.n_conditions()];
        for &image in drawn {
            let Some(count) = counts.get_mut(image) else {
                let expected = format!("images below {}", self.comparator.n_conditions());
                return Err(Error::invalid("bootstrap over images", expected, image.to_string(), ""));
            };
            *count += 1;
        }
        let values = self.evaluate(&brains, &[self.prepared(counts)]);
        Ok(values.into_shape_with_order((brains.len(), self.n_values())).expect("as many as were made"))
    }

    fn given(&self, rdms: ArrayView2<'_, f64>) -> Result<Vec<Entries>> {
        let n_pairs = condensed::n_pairs(self.comparator.n_conditions());
        if rdms.ncols() != n_pairs || rdms.nrows() == 0 || rdms.iter().any(|v| !v.is_finite()) {
            let expected = format!("one or more RDMs of {n_pairs} finite dissimilarities");
            let found = format!("{} of {}, or undefined ones", rdms.nrows(), rdms.ncols());
            return Err(Error::invalid(
                "bootstrap over images",
                expected,
                found,
                "the same images as the fingerprints'",
            ));
        }
        Ok(rdms.rows().into_iter().map(|row| Entries::new(&row.to_vec(), self.space)).collect())
    }

    /// The RDMs of some places that have one.
    fn brains<P: Places>(
        &self,
        patterns: &Patterns,
        places: &P,
        range: std::ops::Range<usize>,
    ) -> (Vec<usize>, Vec<Entries>) {
        let free = self.comparator.statistic().ignores_offset();
        let made: Vec<Option<(usize, Entries)>> = range
            .into_par_iter()
            .map_init(
                || (Vec::new(), dissimilarity::Scratch::default()),
                |(voxels, scratch), place| {
                    places.voxels(place, voxels);
                    // What a thread did before must not be seen in the last bits.
                    scratch.forget();
                    let rdm = patterns.rdm(voxels, free, scratch)?;
                    Some((place, Entries::new(&rdm.to_vec(), self.space)))
                },
            )
            .collect();
        made.into_iter().flatten().unzip()
    }

    fn draw(&self, how: BootstrapOptions) -> Result<Vec<Drawn>> {
        if how.n_bootstraps == 0 || !(how.level > 0.0 && how.level < 1.0) {
            let found = format!("{} resamples, level {}", how.n_bootstraps, how.level);
            let expected = "a resample or more, and a level between 0 and 1";
            return Err(Error::invalid("bootstrap over images", expected, found, "1000 resamples and 0.95 are usual"));
        }
        let one = |b: usize| {
            let mut stream = rng::stream(how.seed, "bootstrap images", b as u64);
            let mut counts = vec![0; self.comparator.n_conditions()];
            (0..self.comparator.n_conditions()).for_each(|_| counts[stream.below(self.comparator.n_conditions())] += 1);
            self.prepared(counts)
        };
        Ok((0..how.n_bootstraps).into_par_iter().map(one).collect())
    }

    fn prepared(&self, counts: Vec<u32>) -> Drawn {
        let resample = Resample::new(&self.layers, &counts, self.space);
        let combination = resample.and_then(|r| r.combination(self.comparator.statistic(), self.comparator.residual()));
        Drawn { counts, combination }
    }

    /// n_resamples x (n_brains n_values).
    fn evaluate(&self, brains: &[Entries], resamples: &[Drawn]) -> Array2<f64> {
        let columns = brains.len() * self.n_values();
        let mut values = Array2::from_elem((resamples.len(), columns), f64::NAN);
        if columns > 0 {
            let rows = values.as_slice_mut().expect("just made").par_chunks_exact_mut(columns);
            rows.zip(resamples).for_each(|(out, drawn)| {
                let Some(combination) = &drawn.combination else { return };
                // Made again for every chunk of places: all resamples' rows together would not fit
                // the memory.
                if let Some(resample) = Resample::new(&self.layers, &drawn.counts, self.space) {
                    resample.compare(brains, combination, out);
                }
            });
        }
        values
    }
}

/// A resample's images and what it makes of the fingerprints.
struct Drawn {
    counts: Vec<u32>,
    combination: Option<Combination>,
}

/// Percentiles of the defined values, if they are half of all.
fn interval(mut values: Vec<f64>, level: f64) -> (f64, f64) {
    let all = values.len();
    values.retain(|v| !v.is_nan());
    if 2 * values.len() < all { (f64::NAN, f64::NAN) } else { percentile(&values, level) }
}

#[cfg(test)]
mod tests;
