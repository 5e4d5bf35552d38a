//! Dissimilarities of the conditions' patterns in a set of voxels.

use super::noise::{Noise, NoiseFrom, Whitening};
use crate::data::Betas;
use crate::error::{Error, Result};
use crate::math::condensed;
use ndarray::{Array2, Axis};
use orthoscope_kernels::dense;
use orthoscope_kernels::gram::{Form, Into, Kernels, padded};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Dissimilarity of two conditions' patterns x and y over n_voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dissimilarity {
    /// 1 - Pearson's r of the mean patterns.
    #[default]
    Correlation,
    /// 1 - x.y / (|x| |y|).
    Cosine,
    /// |x - y|^2 / n_voxels (rsatoolbox's `euclidean`).
    Euclidean,
    /// (x - y)' S^-1 (x - y) / n_voxels, S the noise covariance (rsatoolbox's `mahalanobis`).
    Mahalanobis,
    /// (x_A - y_A)' S^-1 (x_B - y_B) / n_voxels, A and B of different runs: mean zero where x and y do not differ
    /// (rsatoolbox's `crossnobis`).
    Crossnobis,
}

impl fmt::Display for Dissimilarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Correlation => "correlation",
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::Mahalanobis => "mahalanobis",
            Self::Crossnobis => "crossnobis",
        })
    }
}

/// How runs are held against each other in [`Dissimilarity::Crossnobis`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folds {
    /// `runs` where every condition is in every run, `pairs` otherwise.
    #[default]
    Auto,
    /// Each run against the mean of all samples of the other runs, averaged over runs (rsatoolbox's `calc_rdm`).
    Runs,
    /// All pairs of samples of different runs, each with the same weight (rsatoolbox's `calc_rdm_unbalanced`).
    Pairs,
}

/// How patterns become RDMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measurement {
    pub dissimilarity: Dissimilarity,
    /// Of [`Dissimilarity::Mahalanobis`] and [`Dissimilarity::Crossnobis`].
    pub noise: Noise,
    /// Of [`Dissimilarity::Crossnobis`] with [`Folds::Runs`]; pairs of samples take the noise of all.
    pub noise_from: NoiseFrom,
    pub folds: Folds,
}

/// Patterns voxel by voxel, conditions side by side: (fold, voxel) x n_columns.
enum Side {
    /// For many conditions: 32 bits, padded to whole vectors.
    Fast(Vec<f32>),
    /// 64 bits, not padded.
    Exact(Vec<f64>),
}

/// Betas laid out for one dissimilarity.
pub struct Patterns {
    measurement: Measurement,
    n_conditions: usize,
    n_voxels: usize,
    exact: bool,
    train: Side,
    /// The other side of the products, where it differs.
    test: Option<Side>,
    n_folds: usize,
    /// Number of products of samples behind each pair of conditions, where it differs.
    n_products: Option<Array2<f64>>,
    /// None, one for all folds, or one a fold.
    whitening: Vec<Whitening>,
    kernels: Kernels,
}

/// Up to this many conditions RDMs are made in 64 bits: among so few entries one exchange of two nearly equal ranks, as the
/// rounding of 32 bits brings about, would be seen in the fifth digit of Spearman's correlation.
const EXACT: usize = 64;

/// A condensed RDM.
#[derive(Debug, Clone, Copy)]
pub enum Condensed<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl Condensed<'_> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries in 64 bits.
    pub fn to_vec(&self) -> Vec<f64> {
        match self {
            Self::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Self::F64(values) => values.to_vec(),
        }
    }
}

/// Memory of one thread.
#[derive(Default)]
pub struct Scratch {
    rows: Vec<u32>,
    a: Vec<f32>,
    b: Vec<f32>,
    gram: Vec<f32>,
    /// Taken off the patterns of every voxel before products are summed.
    offset: Vec<f32>,
    /// Sums over the voxels of what is left.
    sums: Vec<f32>,
    /// Voxels that `gram` and `sums` are of.
    last: Vec<u32>,
    /// How often `gram` was changed rather than made.
    n_changes: usize,
    scale: Vec<f32>,
    shift: Vec<f32>,
    rdm: Vec<f32>,
    exact: Exact,
}

impl Scratch {
    /// Forgets the voxels that were last looked at: what follows does not depend on what came before.
    pub fn forget(&mut self) {
        self.last.clear();
    }
}

/// Changes of a matrix of products before it is made anew: bounds the rounding that they pile up.
const MOST_CHANGES: usize = 16;

/// Memory of the 64-bit path.
#[derive(Default)]
struct Exact {
    a: Vec<f64>,
    b: Vec<f64>,
    gram: Vec<f64>,
    rdm: Vec<f64>,
    whitening: super::noise::Scratch,
}

/// A squared norm after centring that is below this share of the one before is rounding: the pattern is constant.
const CONSTANT: f64 = 1e-11;
/// The same in 64 bits.
const CONSTANT_64: f64 = 1e-24;

impl Patterns {
    /// Lays out betas.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than 3 conditions, NaN or infinity, runs that do not allow cross-validation, or too few
    /// repeats to estimate the noise.
    pub fn new(betas: &Betas, measurement: Measurement) -> Result<Self> {
        let n = betas.n_conditions();
        if n < 3 {
            let hint = "an RDM of two conditions has a single number, which correlates with nothing";
            return Err(Error::invalid("betas", "at least 3 conditions", n.to_string(), hint));
        }
        if betas.patterns().iter().any(|v| !v.is_finite()) {
            return Err(Error::invalid("betas", "finite numbers", "NaN or infinity", "mask such voxels out"));
        }
        let kernels =
            Kernels::chosen().map_err(|e| Error::invalid("instruction set", "one of them", e.to_string(), ""))?;
        let crossed = measurement.dissimilarity == Dissimilarity::Crossnobis;
        let uses_noise = crossed || measurement.dissimilarity == Dissimilarity::Mahalanobis;
        let noise = if uses_noise { measurement.noise } else { Noise::Identity };
        let folds = if crossed { folds(betas, measurement.folds)? } else { Folds::Auto };
        let held_out = folds == Folds::Runs && measurement.noise_from == NoiseFrom::Training;
        let (scales, whitening) = estimate(betas, noise, held_out)?;
        let mut patterns = Self {
            measurement,
            n_conditions: n,
            n_voxels: betas.n_voxels(),
            exact: n <= EXACT || !whitening.is_empty() || folds == Folds::Pairs,
            train: Side::Exact(Vec::new()),
            test: None,
            n_folds: 1,
            n_products: None,
            whitening,
            kernels,
        };
        match folds {
            Folds::Auto => patterns.train = patterns.laid_out(&[betas.condition_means(|_| true)], &scales),
            Folds::Runs => patterns.hold_out_runs(betas, &scales),
            Folds::Pairs => patterns.pair_samples(betas, &scales),
        }
        Ok(patterns)
    }

    /// Number of conditions.
    pub fn n_conditions(&self) -> usize {
        self.n_conditions
    }

    /// Number of voxels.
    pub fn n_voxels(&self) -> usize {
        self.n_voxels
    }

    /// Dissimilarities of an RDM.
    pub fn n_pairs(&self) -> usize {
        self.n_conditions * (self.n_conditions - 1) / 2
    }

    /// What is measured.
    pub fn measurement(&self) -> Measurement {
        self.measurement
    }

    /// The instruction set's functions.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// n_conditions x n_voxels of each fold to voxel-major. Where only differences of conditions count, each voxel's mean is
    /// taken off first: no difference changes, and products keep their digits.
    fn laid_out(&self, folds: &[Array2<f64>], scales: &[Vec<f64>]) -> Side {
        let differences = !matches!(self.measurement.dissimilarity, Dissimilarity::Correlation | Dissimilarity::Cosine);
        // Sums of different numbers of samples have no common mean to take off.
        let centred = differences && self.n_products.is_none();
        let n = self.n_conditions;
        let columns = if self.exact { n } else { padded(n) };
        let (mut wide, mut narrow) = (Vec::new(), Vec::new());
        let mut row = vec![0.0f64; columns];
        for (fold, means) in folds.iter().enumerate() {
            // One scaling for all folds, or one a fold.
            let scales = scales.get(fold).or(scales.first());
            for (v, column) in means.axis_iter(Axis(1)).enumerate() {
                let mean = if centred { column.sum() / n as f64 } else { 0.0 };
                let scale = scales.map_or(1.0, |s| s[v]);
                row.iter_mut().zip(column).for_each(|(x, &value)| *x = (value - mean) * scale);
                if self.exact {
                    wide.extend_from_slice(&row);
                } else {
                    narrow.extend(row.iter().map(|&x| x as f32));
                }
            }
        }
        if self.exact { Side::Exact(wide) } else { Side::Fast(narrow) }
    }

    fn hold_out_runs(&mut self, betas: &Betas, scales: &[Vec<f64>]) {
        let runs = betas.runs();
        let means = |own: bool| -> Vec<Array2<f64>> {
            (0..betas.n_runs()).map(|run| betas.condition_means(|s| (runs[s] == run) == own)).collect()
        };
        self.n_folds = betas.n_runs();
        self.train = self.laid_out(&means(false), scales);
        self.test = Some(self.laid_out(&means(true), scales));
    }

    /// sum over runs r != s of S_r' S_s = T' T - sum_r S_r' S_r, with S_r the sums of a run and T those of all.
    fn pair_samples(&mut self, betas: &Betas, scales: &[Vec<f64>]) {
        let runs = betas.runs();
        let counted = betas.counts().mapv(|n| n as f64);
        let total = counted.sum_axis(Axis(0));
        let mut n_products = Array2::zeros((self.n_conditions, self.n_conditions));
        for ((i, j), n) in n_products.indexed_iter_mut() {
            *n = total[i] * total[j] - counted.column(i).dot(&counted.column(j));
        }
        let sums = |mut means: Array2<f64>, n: &dyn Fn(usize) -> f64| {
            for (c, mut row) in means.axis_iter_mut(Axis(0)).enumerate() {
                row.mapv_inplace(|v| if n(c) > 0.0 { v * n(c) } else { 0.0 });
            }
            means
        };
        let mut train = vec![sums(betas.condition_means(|_| true), &|c| total[c])];
        for run in 0..betas.n_runs() {
            train.push(sums(betas.condition_means(|s| runs[s] == run), &|c| counted[[run, c]]));
        }
        let mut test = train.clone();
        test[1..].iter_mut().for_each(|own| own.mapv_inplace(|v| -v));
        self.n_folds = train.len();
        self.n_products = Some(n_products);
        self.train = self.laid_out(&train, scales);
        self.test = Some(self.laid_out(&test, scales));
    }

    /// The RDM of a set of voxels, condensed; `None` when it is undefined (a constant pattern, or no voxels).
    ///
    /// `offset_free`: correlation and cosine without the 1 that is added to every entry, for comparisons that do not see it.
    ///
    /// # Shapes
    /// `voxels`: any number, below n_voxels; result: n_conditions (n_conditions - 1) / 2.
    pub fn rdm<'s>(&self, voxels: &[u32], offset_free: bool, scratch: &'s mut Scratch) -> Option<Condensed<'s>> {
        if voxels.is_empty() {
            return None;
        }
        let offset = if offset_free { 0.0 } else { 1.0 };
        match (&self.train, self.test.as_ref()) {
            (Side::Fast(train), None) => self.fast(voxels, (train, None), offset, scratch),
            (Side::Fast(train), Some(Side::Fast(test))) => self.fast(voxels, (train, Some(test)), offset, scratch),
            (Side::Exact(train), None) => self.exact(voxels, (train, None), offset.into(), &mut scratch.exact),
            (Side::Exact(train), Some(Side::Exact(test))) => {
                self.exact(voxels, (train, Some(test)), offset.into(), &mut scratch.exact)
            }
            _ => unreachable!("both sides are laid out alike"),
        }
    }

    fn fast<'s>(
        &self,
        voxels: &[u32],
        (train, test): (&[f32], Option<&Vec<f32>>),
        offset: f32,
        scratch: &'s mut Scratch,
    ) -> Option<Condensed<'s>> {
        match test {
            None => self.products(voxels, train, scratch),
            Some(test) => self.crossed_products(voxels, train, test, scratch),
        }
        let n = self.n_conditions;
        let stride = padded(n);
        let p = voxels.len() as f64;
        let per_voxel = 1.0 / (voxels.len() * self.n_folds) as f32;
        let form = match self.measurement.dissimilarity {
            Dissimilarity::Correlation | Dissimilarity::Cosine => Form::Normalised { offset },
            Dissimilarity::Euclidean | Dissimilarity::Mahalanobis => Form::Squared { scale: per_voxel },
            Dissimilarity::Crossnobis => Form::Crossed { scale: per_voxel },
        };
        let centred = self.measurement.dissimilarity == Dissimilarity::Correlation;
        scratch.scale.clear();
        scratch.shift.clear();
        for i in 0..n {
            let own = scratch.gram[i * (stride + 1)];
            if !matches!(form, Form::Normalised { .. }) {
                scratch.scale.push(own);
                scratch.shift.push(0.0);
                continue;
            }
            // Products of what the offset leaves: its own mean is taken off here.
            let sum = if centred { f64::from(scratch.sums[i]) } else { 0.0 };
            let left = f64::from(own) - sum * sum / p;
            let mean = f64::from(scratch.offset[i]);
            if left <= CONSTANT * (f64::from(own) + mean * mean * p) || left <= f64::from(f32::MIN_POSITIVE) {
                return None;
            }
            let scale = 1.0 / left.sqrt();
            scratch.scale.push(scale as f32);
            scratch.shift.push((sum * scale / p.sqrt()) as f32);
        }
        scratch.rdm.resize(self.n_pairs(), 0.0);
        self.kernels.distances(&mut scratch.rdm, &scratch.gram, stride, [&scratch.scale, &scratch.shift], form);
        Some(Condensed::F32(&scratch.rdm))
    }

    /// Products of all pairs of conditions. Neighbouring centres share most voxels: where that is less work, the products of
    /// the last centre are changed by the voxels that came and went.
    fn products(&self, voxels: &[u32], train: &[f32], scratch: &mut Scratch) {
        let stride = padded(self.n_conditions);
        let (mut came, mut went) = (Vec::new(), Vec::new());
        let sorted = voxels.is_sorted();
        if sorted && !scratch.last.is_empty() && scratch.n_changes < MOST_CHANGES {
            difference(&scratch.last, voxels, &mut came, &mut went);
        }
        let change = came.len() + went.len();
        let known = sorted && !scratch.last.is_empty() && scratch.n_changes < MOST_CHANGES;
        if known && change <= voxels.len() * 2 / 3 {
            self.change(&came, train, 1.0, scratch);
            self.change(&went, train, -1.0, scratch);
            scratch.n_changes += 1;
        } else {
            scratch.offset.resize(stride, 0.0);
            scratch.gram.resize(stride * stride, 0.0);
            if self.measurement.dissimilarity == Dissimilarity::Correlation {
                self.kernels.means(&mut scratch.offset, train, voxels);
            }
            scratch.sums.clear();
            scratch.sums.resize(stride, 0.0);
            scratch.gram.fill(0.0);
            self.change(voxels, train, 1.0, scratch);
            scratch.n_changes = 0;
        }
        scratch.last.clear();
        if sorted {
            scratch.last.extend_from_slice(voxels);
        }
    }

    fn change(&self, voxels: &[u32], train: &[f32], sign: f32, scratch: &mut Scratch) {
        if voxels.is_empty() {
            return;
        }
        let stride = padded(self.n_conditions);
        let n_k = voxels.len();
        scratch.a.resize(n_k * stride, 0.0);
        self.kernels.gather(&mut scratch.a, &scratch.offset, &mut scratch.sums, train, voxels, sign);
        let into = if sign > 0.0 { Into::Add } else { Into::Subtract };
        self.kernels.gram(&mut scratch.gram, [&scratch.a, &scratch.a], n_k, stride, true, into);
    }

    /// Products of every fold's training and test patterns.
    fn crossed_products(&self, voxels: &[u32], train: &[f32], test: &[f32], scratch: &mut Scratch) {
        let stride = padded(self.n_conditions);
        scratch.rows.clear();
        for fold in 0..self.n_folds {
            scratch.rows.extend(voxels.iter().map(|&v| v + (fold * self.n_voxels) as u32));
        }
        let n_k = scratch.rows.len();
        for buffer in [&mut scratch.a, &mut scratch.b] {
            buffer.resize(n_k * stride, 0.0);
        }
        scratch.offset.resize(stride, 0.0);
        scratch.sums.resize(stride, 0.0);
        scratch.gram.resize(stride * stride, 0.0);
        self.kernels.gather(&mut scratch.a, &scratch.offset, &mut scratch.sums, train, &scratch.rows, 1.0);
        self.kernels.gather(&mut scratch.b, &scratch.offset, &mut scratch.sums, test, &scratch.rows, 1.0);
        self.kernels.gram(&mut scratch.gram, [&scratch.a, &scratch.b], n_k, stride, false, Into::Set);
    }

    /// In 64 bits.
    fn exact<'s>(
        &self,
        voxels: &[u32],
        (train, test): (&[f64], Option<&Vec<f64>>),
        offset: f64,
        scratch: &'s mut Exact,
    ) -> Option<Condensed<'s>> {
        let n = self.n_conditions;
        let p = voxels.len();
        self.gather_exact(voxels, train, &mut scratch.a);
        if let Some(test) = test {
            self.gather_exact(voxels, test, &mut scratch.b);
        }
        if !self.whiten(voxels, test.is_some(), scratch) {
            return None;
        }
        let correlation = self.measurement.dissimilarity == Dissimilarity::Correlation;
        let means = if correlation { centre_columns(&mut scratch.a, n) } else { vec![0.0; n] };
        scratch.gram.resize(n * n, 0.0);
        match test {
            None => dense::cross_products(&scratch.a, n, &mut scratch.gram),
            Some(_) => dense::cross_products_of(&scratch.a, &scratch.b, n, &mut scratch.gram),
        }
        let gram = &scratch.gram;
        scratch.rdm.clear();
        if matches!(self.measurement.dissimilarity, Dissimilarity::Correlation | Dissimilarity::Cosine) {
            let own = |i: usize| gram[i * (n + 1)];
            let constant =
                |i: usize| own(i) <= CONSTANT_64 * (own(i) + means[i] * means[i] * p as f64) || own(i) <= 0.0;
            if (0..n).any(constant) {
                return None;
            }
            let scale: Vec<f64> = (0..n).map(|i| 1.0 / own(i).sqrt()).collect();
            scratch.rdm.extend(condensed::pairs(n).map(|(i, j)| offset - gram[i * n + j] * (scale[i] * scale[j])));
        } else {
            let weight = |i: usize, j: usize| match &self.n_products {
                Some(n_products) => 1.0 / (n_products[[i, j]] * p as f64),
                None => 1.0 / (self.n_folds * p) as f64,
            };
            scratch.rdm.extend(condensed::pairs(n).map(|(i, j)| {
                let own = gram[i * (n + 1)] * weight(i, i) + gram[j * (n + 1)] * weight(j, j);
                own - (gram[i * n + j] + gram[j * n + i]) * weight(i, j)
            }));
        }
        Some(Condensed::F64(&scratch.rdm))
    }

    /// False when the noise of these voxels is degenerate.
    fn whiten(&self, voxels: &[u32], crossed: bool, scratch: &mut Exact) -> bool {
        let (p, n) = (voxels.len(), self.n_conditions);
        let Exact { a, b, whitening: memory, .. } = scratch;
        let mut sides: Vec<&mut Vec<f64>> = if crossed { vec![a, b] } else { vec![a] };
        if let [one] = self.whitening.as_slice() {
            let mut sides: Vec<&mut [f64]> = sides.iter_mut().map(|side| side.as_mut_slice()).collect();
            return one.apply(voxels, &mut sides, n * self.n_folds, memory);
        }
        let columns = n * self.n_folds;
        for (fold, whitening) in self.whitening.iter().enumerate() {
            let own = |row: usize| row * columns + fold * n..row * columns + (fold + 1) * n;
            let mut parts: Vec<Vec<f64>> =
                sides.iter().map(|side| (0..p).flat_map(|row| side[own(row)].iter().copied()).collect()).collect();
            let mut views: Vec<&mut [f64]> = parts.iter_mut().map(Vec::as_mut_slice).collect();
            if !whitening.apply(voxels, &mut views, n, memory) {
                return false;
            }
            for (side, part) in sides.iter_mut().zip(&parts) {
                (0..p).for_each(|row| side[own(row)].copy_from_slice(&part[row * n..][..n]));
            }
        }
        true
    }

    /// voxels.len() x (n_folds n_conditions).
    fn gather_exact(&self, voxels: &[u32], side: &[f64], out: &mut Vec<f64>) {
        let n = self.n_conditions;
        out.clear();
        for &v in voxels {
            for fold in 0..self.n_folds {
                out.extend_from_slice(&side[(fold * self.n_voxels + v as usize) * n..][..n]);
            }
        }
    }
}

/// What ascending `new` has beyond ascending `old`, and the other way round.
fn difference(old: &[u32], new: &[u32], came: &mut Vec<u32>, went: &mut Vec<u32>) {
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        match old[i].cmp(&new[j]) {
            std::cmp::Ordering::Less => {
                went.push(old[i]);
                i += 1;
            }
            std::cmp::Ordering::Greater => {
                came.push(new[j]);
                j += 1;
            }
            std::cmp::Ordering::Equal => {
                i += 1;
                j += 1;
            }
        }
    }
    went.extend_from_slice(&old[i..]);
    came.extend_from_slice(&new[j..]);
}

/// Takes the mean of each of `n` columns off; the means.
fn centre_columns(x: &mut [f64], n: usize) -> Vec<f64> {
    let mut means = vec![0.0; n];
    for row in x.chunks_exact(n) {
        means.iter_mut().zip(row).for_each(|(m, v)| *m += v);
    }
    let n_rows = (x.len() / n) as f64;
    means.iter_mut().for_each(|m| *m /= n_rows);
    for row in x.chunks_exact_mut(n) {
        row.iter_mut().zip(&means).for_each(|(v, m)| *v -= m);
    }
    means
}

/// Scales and residuals, of all samples or for each held-out run of the others.
fn estimate(betas: &Betas, noise: Noise, held_out: bool) -> Result<(Vec<Vec<f64>>, Vec<Whitening>)> {
    let runs = betas.runs();
    let found = if held_out {
        (0..betas.n_runs()).map(|run| Whitening::of(betas, noise, |s| runs[s] != run)).collect::<Result<Vec<_>>>()?
    } else {
        vec![Whitening::of(betas, noise, |_| true)?]
    };
    let (scales, whitening): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    Ok((scales.into_iter().flatten().collect(), whitening.into_iter().flatten().collect()))
}

/// How runs are held against each other; refuses what cannot be cross-validated.
fn folds(betas: &Betas, wanted: Folds) -> Result<Folds> {
    let counts = betas.counts();
    let names = betas.condition_names();
    let n_runs = betas.n_runs();
    let runs_of = |c: usize| counts.column(c).iter().filter(|&&n| n > 0).count();
    if let Some(c) = (0..names.len()).find(|&c| runs_of(c) < 2) {
        let found = format!("`{}` in {} of {n_runs} runs", names[c], runs_of(c));
        let hint = "cross-validation holds runs against each other: use mahalanobis, or leave the condition out";
        return Err(Error::invalid("crossnobis", "every condition in at least 2 runs", found, hint));
    }
    let missing = counts.indexed_iter().find(|(_, n)| **n == 0).map(|(at, _)| at);
    match (wanted, missing) {
        (Folds::Auto, None) => Ok(Folds::Runs),
        (Folds::Auto, Some(_)) => Ok(Folds::Pairs),
        (Folds::Runs, Some((run, c))) => {
            let found = format!("no `{}` in run {}", names[c], betas.run_names()[run]);
            let hint = "use --folds pairs, which takes unbalanced designs";
            Err(Error::invalid("crossnobis", "every condition in every run", found, hint))
        }
        (folds, _) => Ok(folds),
    }
}
