//! Group statistics of maps by sign-flip permutation.
//!
//! Under the null hypothesis a subject's map is as likely as its negative, so the one-sample t of
//! randomly flipped maps is the null distribution; the largest value of a map corrects for all
//! voxels. Flips take the images as they are; [`relabelled`] generalises over them.

mod null;
mod relabelled;

pub use null::over_all;
pub use relabelled::{Generalised, relabelled};

use super::clusters::Cluster;
use super::correction::{MaxNull, extremeness};
use super::distributions::{t_isf, t_sf};
use super::flips::Flips;
use super::neighbours::Neighbours;
use super::tfce::Tfce;
use crate::error::{Error, Result};
use crate::math::permutation::Tail;
use ndarray::{Array2, ArrayView2, Axis};
use null::{Extremes, Looked, Null};
use rayon::prelude::*;

/// Permutations computed together: one matrix product, then one task each.
const BLOCK: usize = 32;
/// A squared deviation below this fraction of the sum of squares is rounding error: the subjects
/// agree to the last digit.
const CONSTANT: f64 = 1e-14;
/// Statistics of maps in 64 bits that are closer than this are one value.
const SAME: f64 = 1e-9;
/// A voxel whose subjects agree so closely that chance would bring one such in a hundred maps ...
const CHANCE: f64 = 0.01;
/// ... and so many times more closely than those of half of the voxels, is no measurement.
const TIMES_USUAL: f64 = 10.0;
/// More sign patterns than 2 to this number make no difference.
const MOST_SIGNS: f64 = 60.0;
/// Largest r that Fisher's z takes: artanh(1) is infinite and would swallow every other subject.
const LARGEST_R: f64 = 1.0 - 1e-7;

/// Fisher's z = artanh(r), with |r| limited to 1 - 1e-7 (z = 8.4).
pub fn fisher_z(r: f64) -> f64 {
    r.abs().min(LARGEST_R).atanh().copysign(r) + 0.0 * r
}

/// How a group is tested.
///
/// | name | default | purpose |
/// |---|---|---|
/// | `tail` | greater | which deviations from zero count |
/// | `n_permutations` | 5000 | sign flips drawn; when 2^n_subjects is not larger, all of them are made |
/// | `seed` | 1 | of the sign flips |
/// | `cluster_p` | 0.001 | cluster-forming threshold, as the p of one voxel (by Student's t) |
/// | `tfce` | on | threshold-free cluster enhancement |
/// | `min_subjects` | all | a voxel with fewer finite values is left out (NaN) |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupOptions {
    pub tail: Tail,
    pub n_permutations: usize,
    pub seed: u64,
    pub cluster_p: Option<f64>,
    pub tfce: Option<Tfce>,
    pub min_subjects: Option<usize>,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            tail: Tail::default(),
            n_permutations: 5000,
            seed: 1,
            cluster_p: Some(0.001),
            tfce: Some(Tfce::default()),
            min_subjects: None,
        }
    }
}

impl GroupOptions {
    /// Fewest subjects with a value at a voxel.
    fn least(&self, n_subjects: usize) -> usize {
        self.min_subjects.unwrap_or(n_subjects).max(2)
    }
}

/// What [`one_sample`] or [`relabelled`] found; every vector is a map. NaN where a voxel was left
/// out.
#[derive(Debug, Clone)]
pub struct GroupTest {
    /// Mean over subjects.
    pub mean: Vec<f64>,
    /// One-sample t, mean / (sd / sqrt(n)), sd with n - 1.
    pub t: Vec<f64>,
    /// Of [`relabelled`]: the mean over the standard deviation of the means that are its null,
    /// which is what was tested then.
    pub z: Option<Vec<f64>>,
    /// p of one voxel, by permutation.
    pub p: Vec<f64>,
    /// p of one voxel, by Student's t with n - 1 degrees of freedom.
    pub p_parametric: Vec<f64>,
    /// p corrected by the largest t (or z).
    pub p_fwe: Vec<f64>,
    /// [`super::correction::benjamini_hochberg`] of `p`.
    pub q: Vec<f64>,
    /// The largest t (or z) of every permutation.
    pub null: MaxNull,
    /// Of every permutation, in its order: what [`over_all`] takes the largest of.
    extremes: Vec<Extremes>,
    /// Statistics closer than this, relative above 1, were one value.
    same: f64,
    /// With `cluster_p`.
    pub clusters: Option<ClusterTest>,
    /// With `tfce`.
    pub tfce: Option<TfceTest>,
    /// Sign flips, or relabellings, made.
    pub n_permutations: usize,
    /// Whether they are all there are.
    pub exhaustive: bool,
    /// Voxels left out: too few finite values, or no variation.
    pub n_left_out: usize,
    /// Voxels whose subjects agree so closely that their t is without measure; they set no heights
    /// of TFCE.
    pub outlying: Vec<usize>,
}

impl GroupTest {
    /// What was tested: z where there is one, else t.
    pub fn statistic(&self) -> &[f64] {
        self.z.as_deref().unwrap_or(&self.t)
    }
}

/// Clusters beyond the cluster-forming threshold, largest first.
#[derive(Debug, Clone)]
pub struct ClusterTest {
    /// The threshold on |t| (or |z|).
    pub threshold: f64,
    /// Cluster of every voxel, from 1; 0: none.
    pub labels: Vec<u32>,
    /// The clusters.
    pub clusters: Vec<Cluster>,
    /// Corrected p of each by the largest size.
    pub p_size: Vec<f64>,
    /// Corrected p of each by the largest mass.
    pub p_mass: Vec<f64>,
}

impl ClusterTest {
    /// A cluster's value at each of its voxels, 1 elsewhere: the map of corrected p.
    pub fn p_map(&self, p_of_cluster: &[f64]) -> Vec<f64> {
        self.labels.iter().map(|&l| if l == 0 { 1.0 } else { p_of_cluster[l as usize - 1] }).collect()
    }
}

/// The enhanced map and its corrected p.
#[derive(Debug, Clone)]
pub struct TfceTest {
    pub values: Vec<f64>,
    pub p_fwe: Vec<f64>,
}

/// Tests whether the mean map differs from zero.
///
/// # Shapes
/// `maps`: n_subjects x n_voxels, NaN where a subject has no data; `neighbours`: of the n_voxels,
/// needed for clusters and TFCE. `on_block` is told the number of permutations done, after each
/// block; its error stops the test.
///
/// # Errors
/// [`Error::Invalid`] for fewer than 2 subjects, no voxel with enough finite values, an infinite
/// value, clusters or TFCE without neighbours, neighbours of another mask, or a `cluster_p` outside
/// 0..0.5; and what `on_block` returns.
///
/// # Source
/// Nichols and Holmes, Hum. Brain Mapp. 15:1 (2002); Winkler et al., NeuroImage 92:381 (2014). t,
/// TFCE (see [`Tfce`]), cluster size and mass are those of nilearn's `permuted_ols` on an
/// intercept.
///
/// ```
/// use ndarray::Array2;
/// use orthoscope::data::{Affine, Grid, Mask};
/// use orthoscope::rng;
/// use orthoscope::stats::group::{GroupOptions, one_sample};
/// use orthoscope::stats::neighbours::{Connectivity, Neighbours};
/// use orthoscope::stats::tfce::Tfce;
///
/// // Eight subjects, a cube of 6 voxels a side; the first two slices have an effect.
/// let grid = Grid { shape: [6; 3], affine: Affine::scaling([3.0; 3]) };
/// let mask = Mask::from_fn(grid, |_| true)?;
/// let effect = |v: usize| if grid.voxel(v)[2] < 2 { 2.0 } else { 0.0 };
/// let mut draw = rng::stream(1, "example", 0);
/// let maps = Array2::from_shape_fn((8, 216), |(_, v)| effect(v) + draw.normal());
///
/// let near = Neighbours::of_mask(&mask, Connectivity::Faces);
/// let tfce = Some(Tfce::default());
/// let options = GroupOptions { cluster_p: Some(0.01), tfce, ..GroupOptions::default() };
/// let test = one_sample(maps.view(), Some(&near), &options, |_| Ok(()))?;
///
/// assert!(test.exhaustive && test.n_permutations == 256, "all sign flips of 8 subjects");
/// let tfce = test.tfce.expect("asked for");
/// let found = |v: &usize| tfce.p_fwe[*v] <= 0.05;
/// assert!((0..72).filter(found).count() > 60 && (72..216).filter(found).count() < 10);
/// let largest = &test.clusters.expect("asked for");
/// assert!(largest.p_size[0] <= 0.05 && largest.clusters[0].size > 30);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn one_sample(
    maps: ArrayView2<'_, f64>,
    neighbours: Option<&Neighbours>,
    options: &GroupOptions,
    mut on_block: impl FnMut(usize) -> Result<()>,
) -> Result<GroupTest> {
    check(maps, neighbours, options)?;
    let sample = Sample::new(maps, options.least(maps.nrows()))?;
    let flips = Flips::new(maps.nrows(), options.n_permutations, options.seed);
    let observed =
        sample.t(sample.sums(&Array2::from_elem((1, maps.nrows()), 1.0)).row(0).as_slice().expect("one row"));
    let looked = Looked {
        threshold: options.cluster_p.map(|p| sample.threshold(p, options.tail)),
        observed: observed.clone(),
        neighbours,
        options,
        outlying: &sample.outlying,
        same: SAME,
    };
    let mut null = Null::new(sample.n_voxels());
    for start in (0..flips.len()).step_by(BLOCK) {
        let signs = flips.block(start..(start + BLOCK).min(flips.len()));
        let sums = sample.sums(&signs);
        let rows: Vec<_> = sums.axis_iter(Axis(0)).collect();
        let maps: Vec<Vec<f64>> =
            rows.par_iter().map(|row| sample.t(row.as_slice().expect("rows of a product"))).collect();
        null.add(&maps, &looked);
        on_block(start + signs.nrows())?;
    }
    Ok(null.finish(&sample, observed, looked, flips.exhaustive))
}

/// Tests whether two sets of maps of the same subjects differ: [`one_sample`] of the differences
/// `a - b`.
///
/// # Errors
/// As [`one_sample`]; also when the two sets differ in shape.
pub fn paired(
    a: ArrayView2<'_, f64>,
    b: ArrayView2<'_, f64>,
    neighbours: Option<&Neighbours>,
    options: &GroupOptions,
    on_block: impl FnMut(usize) -> Result<()>,
) -> Result<GroupTest> {
    if a.dim() != b.dim() {
        let found = format!("{:?} and {:?}", a.dim(), b.dim());
        return Err(Error::invalid("paired test", "two sets of the same subjects and voxels", found, ""));
    }
    one_sample((&a - &b).view(), neighbours, options, on_block)
}

/// What [`one_sample`] refuses before it begins.
///
/// # Errors
/// [`Error::Invalid`], as [`one_sample`].
pub fn check(maps: ArrayView2<'_, f64>, neighbours: Option<&Neighbours>, options: &GroupOptions) -> Result<()> {
    let (n_subjects, n_voxels) = maps.dim();
    let invalid = |expected: &str, found: String, hint: &str| Err(Error::invalid("group test", expected, found, hint));
    if n_subjects < 2 {
        return invalid(
            "2 subjects or more",
            format!("{n_subjects}"),
            "a single subject is tested by relabelling conditions",
        );
    }
    if maps.iter().any(|v| v.is_infinite()) {
        return invalid("finite values, or NaN where there are none", "infinity".into(), "check the maps");
    }
    if let Some(p) = options.cluster_p.filter(|p| !(*p > 0.0 && *p < 0.5)) {
        return invalid("a cluster-forming p between 0 and 0.5", format!("{p}"), "0.001 is usual");
    }
    match neighbours {
        None if options.cluster_p.is_some() || options.tfce.is_some() => {
            invalid("neighbours for clusters and TFCE", "none".into(), "")
        }
        Some(near) if near.n_voxels() != n_voxels => {
            invalid("neighbours of the maps' mask", format!("{n_voxels} voxels and {}", near.n_voxels()), "")
        }
        _ => Sample::new(maps, options.least(n_subjects)).map(|_| ()),
    }
}

/// The subjects' maps, ready to be flipped: flips change sums, not sums of squares.
struct Sample {
    /// n_subjects x n_voxels, 0 where there is no value.
    values: Array2<f64>,
    sum_of_squares: Vec<f64>,
    /// Subjects with a value; 0 for a voxel that is left out.
    n: Vec<f64>,
    /// See [`outlying`].
    outlying: Vec<usize>,
}

impl Sample {
    fn new(maps: ArrayView2<'_, f64>, min_subjects: usize) -> Result<Self> {
        let mut values = maps.mapv(|v| if v.is_nan() { 0.0 } else { v });
        let sum_of_squares: Vec<f64> = values.axis_iter(Axis(1)).map(|x| x.iter().map(|v| v * v).sum()).collect();
        let sums = values.sum_axis(Axis(0));
        let mut n: Vec<f64> =
            maps.axis_iter(Axis(1)).map(|x| x.iter().filter(|v| !v.is_nan()).count() as f64).collect();
        for (v, n) in n.iter_mut().enumerate() {
            let deviation = sum_of_squares[v] - sums[v] * sums[v] / n.max(1.0);
            if *n < min_subjects as f64 || deviation <= CONSTANT * sum_of_squares[v] {
                *n = 0.0;
                values.column_mut(v).fill(0.0);
            }
        }
        if n.iter().all(|&n| n == 0.0) {
            let expected = format!("a voxel with {min_subjects} finite, varying values");
            return Err(Error::invalid("group test", expected, "none", "check that the maps are of one mask"));
        }
        let outlying = outlying(&values, &sum_of_squares, &n);
        Ok(Self { values, sum_of_squares, n, outlying })
    }

    fn n_voxels(&self) -> usize {
        self.n.len()
    }

    /// signs (n_flips x n_subjects) x values.
    fn sums(&self, signs: &Array2<f64>) -> Array2<f64> {
        signs.dot(&self.values)
    }

    /// t of sums: sum / sqrt(n (sum of squares - sum^2 / n) / (n - 1)).
    fn t(&self, sums: &[f64]) -> Vec<f64> {
        let voxels = sums.iter().zip(&self.sum_of_squares).zip(&self.n);
        let t = |((&sum, &squares), &n): ((&f64, &f64), &f64)| {
            if n == 0.0 {
                return f64::NAN;
            }
            // A flip may make the subjects agree: t is then as large as the arithmetic can tell.
            let deviation = (squares - sum * sum / n).max(CONSTANT * squares);
            sum / (n * deviation / (n - 1.0)).sqrt()
        };
        voxels.map(t).collect()
    }

    /// |t| that one voxel exceeds with probability `p`, at the degrees of freedom that most voxels have.
    fn threshold(&self, p: f64, tail: Tail) -> f64 {
        let n = self.n.iter().copied().fold(0.0, f64::max);
        t_isf(if tail == Tail::TwoSided { p / 2.0 } else { p }, n - 1.0)
    }

    /// Mean over subjects; NaN where a voxel is left out.
    fn means(&self) -> Vec<f64> {
        let sums = self.values.sum_axis(Axis(0));
        sums.iter().zip(&self.n).map(|(s, &n)| if n > 0.0 { s / n } else { f64::NAN }).collect()
    }

    fn p_parametric(&self, t: &[f64], tail: Tail) -> Vec<f64> {
        let sides = if tail == Tail::TwoSided { 2.0 } else { 1.0 };
        t.iter().zip(&self.n).map(|(&t, n)| sides * t_sf(extremeness(t, tail), n - 1.0)).collect()
    }
}

/// Voxels whose subjects agree so closely that their t, at the signs that make it largest, is
/// without measure:
///
/// t* = sum |x| / sqrt(n (sum x^2 - (sum |x|)^2 / n) / (n - 1)) exceeds both what chance reaches
/// anywhere in one of a hundred maps of normal noise (there P(t* > r) = 2^n P(T > r) for large r,
/// since one sign pattern of 2^n makes the values agree) and ten times the median of t* over
/// voxels. t* does not depend on the signs: the voxels are the same in every flipped map.
fn outlying(values: &Array2<f64>, sum_of_squares: &[f64], n: &[f64]) -> Vec<usize> {
    let largest = |v: usize| {
        let sum: f64 = values.column(v).iter().map(|x| x.abs()).sum();
        let deviation = (sum_of_squares[v] - sum * sum / n[v]).max(CONSTANT * sum_of_squares[v]);
        sum / (n[v] * deviation / (n[v] - 1.0)).sqrt()
    };
    let tested: Vec<(usize, f64)> = (0..n.len()).filter(|&v| n[v] > 0.0).map(|v| (v, largest(v))).collect();
    let mut sorted: Vec<f64> = tested.iter().map(|(_, t)| *t).collect();
    sorted.sort_by(f64::total_cmp);
    let usual = TIMES_USUAL * sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let chance = |n: f64| t_isf(CHANCE / (tested.len() as f64 * n.min(MOST_SIGNS).exp2()), n - 1.0);
    tested.iter().filter(|(v, t)| *t > usual && *t > chance(n[*v])).map(|(v, _)| *v).collect()
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
