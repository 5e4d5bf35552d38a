//! Groups of maps that generalise over images: the conditions of all subjects are relabelled alike.

use super::null::{Looked, Null};
use super::{BLOCK, GroupOptions, GroupTest, Sample, check};
use crate::error::{Error, Result};
use crate::math::permutation::Tail;
use crate::rng;
use crate::stats::distributions::norm_isf;
use crate::stats::neighbours::Neighbours;
use ndarray::{Array2, ArrayView2, Axis, Zip};

/// Maps are in 32 bits: statistics closer than this are one value. A relabelling may change
/// nothing.
const SAME: f64 = 1e-5;

/// To what the mean over subjects is generalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generalised {
    /// Other images, the same subjects.
    Images,
    /// Other images and other subjects.
    Both,
}

/// Tests whether the mean map is above what images do by accident: what all subjects share (a
/// geometry that has nothing to do with a layer, but resembles it for these images) is in the null
/// distribution.
///
/// m = the mean over subjects; m_k = the mean of their maps under relabelling k of the conditions,
/// the same in all subjects. What subjects share is relabelled as one and stays in m_k, whatever it
/// is; with [`Generalised::Images`] the test is exact under the hypothesis that no subject's
/// geometry has anything to do with the layer.
///
/// Relabelling takes away what subjects differ by in their true relation to the layer, too. With
/// [`Generalised::Both`] that comes back: s^2 is the variance over subjects of the observed maps,
/// s_0^2 the mean of those of the relabelled ones, and
///
/// m_k + sqrt(max(0, 1 - s_0^2 / s^2)) sqrt((n - 1) / chi^2_k) sum_s e_ks (x_s - m) / sqrt(n (n - 1))
///
/// is the null distribution, e_ks a random sign and chi^2_k a random chi-square of n - 1 degrees of
/// freedom (Student's distribution). Its variance is that of m over images and, added to it, that
/// of m over subjects which is not in m_k already: an effect must be larger than both together, as
/// by Clark's quasi F. Neither flips nor relabelling alone holds its error where images and
/// subjects both vary.
///
/// The statistic is z = m / sd, sd^2 the mean square of m and the m_k plus the variance that the
/// sum adds; at one voxel its p is that of m, and over voxels of different noise the largest z is a
/// fair one.
///
/// # Shapes
/// `maps`: n_subjects x n_voxels, as [`super::one_sample`]; `relabel(k)`: the same maps under
/// relabelling k < `n_relabellings`; it is asked twice for every k. `on_block` is told how many of
/// 2 `n_relabellings` it was asked for. Of `options`, `n_permutations` is not used.
///
/// # Errors
/// As [`super::one_sample`]; [`Error::Invalid`] without relabellings or for relabelled maps of
/// another shape; what `relabel` says.
///
/// # Source
/// Freedman and Lane (1983) and Winkler et al., NeuroImage 92:381 (2014) for permutations of what
/// is exchangeable; Clark, J. Verbal Learn. Verbal Behav. 12:335 (1973) for stimuli as a random
/// effect.
///
/// ```
/// use ndarray::Array2;
/// use orthoscope::rng;
/// use orthoscope::stats::group::{Generalised, GroupOptions, one_sample, relabelled};
///
/// // Twelve subjects share what 16 images do by accident: correlations around 0.1 with little noise.
/// let map = |k: u64| {
///     let accident = if k == 0 { 0.1 } else { 0.1 * rng::stream(1, "images", k).normal() };
///     let mut draw = rng::stream(1, "subjects", k);
///     Array2::from_shape_simple_fn((12, 1), || accident + 0.05 * draw.normal())
/// };
/// let options = GroupOptions { cluster_p: None, tfce: None, ..GroupOptions::default() };
/// let flips = one_sample(map(0).view(), None, &options, |_| Ok(()))?;
/// assert!(flips.p[0] < 0.01, "every subject has it");
/// let mut other = |k: usize| Ok(map(1 + k as u64));
/// let both = relabelled(map(0).view(), (Generalised::Both, 500), &mut other, None, &options, |_| Ok(()))?;
/// assert!(both.p[0] > 0.05, "other images would not");
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn relabelled(
    maps: ArrayView2<'_, f64>,
    (over, n_relabellings): (Generalised, usize),
    relabel: &mut dyn FnMut(usize) -> Result<Array2<f64>>,
    neighbours: Option<&Neighbours>,
    options: &GroupOptions,
    mut on_block: impl FnMut(usize) -> Result<()>,
) -> Result<GroupTest> {
    check(maps, neighbours, options)?;
    if n_relabellings == 0 {
        return Err(Error::invalid("group test", "relabelled maps", "none", "keep some when maps are made"));
    }
    let sample = Sample::new(maps, options.least(maps.nrows()))?;
    let mut of = |k: usize| -> Result<Means> {
        let found = relabel(k)?;
        if found.dim() != maps.dim() {
            let shapes = (format!("{:?}", maps.dim()), format!("{:?}", found.dim()));
            return Err(Error::invalid("group test", format!("relabelled maps of {}", shapes.0), shapes.1, ""));
        }
        Ok(Means::new(maps, &found, &sample))
    };
    let (mut squares, mut variances) = (vec![0.0; sample.n_voxels()], vec![0.0; sample.n_voxels()]);
    for k in 0..n_relabellings {
        let own = of(k)?;
        squares.iter_mut().zip(&own.mean).for_each(|(sum, m)| *sum += m * m);
        variances.iter_mut().zip(&own.variance).for_each(|(sum, v)| *sum += v);
        on_block(k + 1)?;
    }
    let observed = Means::new(maps, &maps.to_owned(), &sample);
    let spread = Spread::new(&observed, over, (squares, variances), &sample, n_relabellings);
    let z = spread.z(observed.mean.clone());
    let sides = if options.tail == Tail::TwoSided { 2.0 } else { 1.0 };
    let looked = Looked {
        threshold: options.cluster_p.map(|p| norm_isf(p / sides)),
        observed: z.clone(),
        neighbours,
        options,
        outlying: &[],
        same: SAME,
    };
    let deviations = deviations(maps, &observed.mean);
    let mut null = Null::new(sample.n_voxels());
    for start in (0..n_relabellings).step_by(BLOCK) {
        let block = start..(start + BLOCK).min(n_relabellings);
        let end = block.end;
        let z_of = |k: usize| Ok(spread.z(spread.with_subjects(of(k)?.mean, &deviations, options.seed, k as u64)));
        null.add(&block.map(z_of).collect::<Result<Vec<_>>>()?, &looked);
        on_block(n_relabellings + end)?;
    }
    let t = sample.t(sample.values.sum_axis(Axis(0)).as_slice().expect("a vector"));
    let test = null.finish(&sample, t, looked, false);
    Ok(GroupTest { z: Some(z), ..test })
}

/// Means and variances over subjects, where the observed maps have a value.
struct Means {
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Means {
    fn new(maps: ArrayView2<'_, f64>, values: &Array2<f64>, sample: &Sample) -> Self {
        let (mut sums, mut squares) = (vec![0.0; sample.n_voxels()], vec![0.0; sample.n_voxels()]);
        for (values, observed) in values.rows().into_iter().zip(maps.rows()) {
            let here = observed.iter().zip(values).enumerate().filter(|(_, (observed, _))| !observed.is_nan());
            for (v, (_, &x)) in here {
                sums[v] += x;
                squares[v] += x * x;
            }
        }
        let mean: Vec<f64> =
            sums.iter().zip(&sample.n).map(|(sum, &n)| if n > 0.0 { sum / n } else { f64::NAN }).collect();
        let variance = |(v, n): (usize, &f64)| ((squares[v] - n * mean[v] * mean[v]) / (n - 1.0)).max(0.0);
        let variance = sample.n.iter().enumerate().map(variance).collect();
        Self { mean, variance }
    }
}

/// x - mean, 0 where there is no value.
fn deviations(maps: ArrayView2<'_, f64>, mean: &[f64]) -> Array2<f64> {
    let mut out = maps.to_owned();
    for mut row in out.rows_mut() {
        Zip::from(&mut row).and(mean).for_each(|x, m| *x = if x.is_nan() || m.is_nan() { 0.0 } else { *x - m });
    }
    out
}

/// How the null distribution is spread at every voxel.
struct Spread {
    /// What the signed deviations of the subjects are multiplied with; 0 where relabelled maps
    /// differ as much between subjects as the observed ones.
    share: Vec<f64>,
    sd: Vec<f64>,
}

impl Spread {
    fn new(
        observed: &Means,
        over: Generalised,
        (squares, variances): (Vec<f64>, Vec<f64>),
        sample: &Sample,
        n_relabellings: usize,
    ) -> Self {
        let k = n_relabellings as f64;
        let (mut share, mut sd) = (Vec::with_capacity(squares.len()), Vec::with_capacity(squares.len()));
        for (v, &n) in sample.n.iter().enumerate() {
            let (own, relabelled) = (observed.variance[v], variances[v] / k);
            let more = if over == Generalised::Both { (own - relabelled).max(0.0) } else { 0.0 };
            share.push(if more > 0.0 { (more / own).sqrt() / (n * (n - 1.0)).sqrt() } else { 0.0 });
            let of_images = (squares[v] + observed.mean[v] * observed.mean[v]) / (k + 1.0);
            sd.push((of_images + more / n).sqrt());
        }
        Self { share, sd }
    }

    fn z(&self, mut means: Vec<f64>) -> Vec<f64> {
        means.iter_mut().zip(&self.sd).for_each(|(m, sd)| *m /= sd);
        means
    }

    /// The means with a draw of what subjects add to them; signs and scale are the same at all
    /// voxels.
    fn with_subjects(&self, mut means: Vec<f64>, deviations: &Array2<f64>, seed: u64, k: u64) -> Vec<f64> {
        if self.share.iter().all(|&share| share == 0.0) {
            return means;
        }
        let mut draw = rng::stream(seed, "subjects beside relabelled images", k);
        let signs: Vec<f64> = (0..deviations.nrows()).map(|_| if draw.bits() & 1 == 0 { 1.0 } else { -1.0 }).collect();
        let dof = deviations.nrows() - 1;
        let chi_square: f64 = (0..dof).map(|_| draw.normal().powi(2)).sum();
        let scale = (dof as f64 / chi_square).sqrt();
        let sums = ndarray::ArrayView1::from(&signs).dot(deviations);
        means.iter_mut().zip(&self.share).zip(&sums).for_each(|((m, share), sum)| *m += share * scale * sum);
        means
    }
}
