//! Ridge regression of very many targets on one set of training rows: prepared once, solved for any
//! range of targets.
//!
//! A range's bytes do not depend on how targets are cut into ranges, nor on the number of threads.

use crate::cancel::Cancel;
use crate::encoding::folds::{Fold, Rows};
use crate::encoding::moments::Moments;
use crate::encoding::options::{RidgeOptions, Score, TargetState};
use crate::encoding::reduced::Folded;
use crate::encoding::spectrum::{Source, Spectrum};
use crate::encoding::stage::{FoldStage, packed, values};
use crate::error::{Error, Result};
use crate::progress::{Progress, Sink};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use orthoscope_kernels::panels::{self, Kernels, Sums, WIDTH, padded};
use rayon::prelude::*;
use std::sync::{Mutex, OnceLock};

/// Targets that one task takes at a time: a block of them stays in the second-level cache.
const BLOCK: usize = 144;

/// Who is told how far the work is, and who may stop it.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Asked between blocks of targets.
    pub cancel: Cancel,
    /// Told of every block.
    pub progress: Sink,
}

impl Work {
    /// Does every block on all threads, and keeps their order.
    pub(super) fn blocks<T: Send>(
        &self,
        task: &str,
        n: usize,
        one: impl Fn(usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let progress = Mutex::new(Progress::new(&self.progress, task, n as u64, 0));
        let done = (0..n)
            .into_par_iter()
            .map(|i| {
                self.cancel.check()?;
                let found = one(i)?;
                progress.lock().expect("no task panics").tick(String::new);
                Ok(found)
            })
            .collect();
        progress.into_inner().expect("no task panics").finish();
        done
    }
}

/// The rows of a fold, in the whole matrix and among the training rows.
struct Side {
    train: Vec<usize>,
    test: Vec<usize>,
    folded: Folded,
}

/// What weights are made of: `left diag(1 / (values + alpha)) right y`.
pub(super) struct Refit {
    values: Vec<f64>,
    /// Packed; dual weights (kernel form) or weights (primal form).
    left: Vec<f32>,
    n_left: usize,
    right: Vec<f32>,
}

/// A problem whose decompositions are made.
pub struct Prepared {
    options: RidgeOptions,
    kernels: Kernels,
    rows: Rows,
    folds: Vec<Side>,
    all: OnceLock<Spectrum>,
    refit: OnceLock<Refit>,
    source: Source,
    grid: Vec<f64>,
    whole: OnceLock<Vec<FoldStage>>,
}

/// A number for every target of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Whether there is anything to fit.
    pub states: Vec<TargetState>,
    /// Means over the training rows; 0 without an intercept or where not finite.
    pub means: Vec<f64>,
}

impl Prepared {
    /// Checks the grid and decomposes every fold.
    pub(super) fn new(source: Source, rows: &Rows, folds: &[Fold], options: &RidgeOptions) -> Result<Self> {
        Self::of_folds(source, rows, folds, options, |source| {
            let folded = |fold: &Fold| {
                let (train, test) = (inside(&fold.train, rows)?, inside(&fold.test, rows)?);
                Ok(source.fold(&train, &test, options.fit_intercept)?.into())
            };
            folds.par_iter().map(folded).collect()
        })
    }

    /// Checks the grid, which follows the scale of what is refitted; `folded` gives the problems of
    /// the folds, which may be of other features than the refit's.
    pub(super) fn of_folds(
        source: Source,
        rows: &Rows,
        folds: &[Fold],
        options: &RidgeOptions,
        folded: impl FnOnce(&Source) -> Result<Vec<Folded>>,
    ) -> Result<Self> {
        let kernels =
            Kernels::chosen().map_err(|e| Error::invalid("instruction set", "one of this machine", e.0, ""))?;
        let grid = options.alphas.grid(source.mean_eigenvalue(options.fit_intercept))?;
        if folds.is_empty() && grid.len() > 1 {
            return Err(Error::invalid("folds", "some, to choose among penalties", "none", ""));
        }
        for fold in folds {
            inside(&fold.train, rows)?;
            inside(&fold.test, rows)?;
            judged(fold, options.score)?;
        }
        let sides = folds.iter().zip(folded(&source)?).map(|(fold, folded)| Side {
            train: fold.train.indices().to_vec(),
            test: fold.test.indices().to_vec(),
            folded,
        });
        Ok(Self {
            options: options.clone(),
            kernels,
            rows: rows.clone(),
            folds: sides.collect(),
            all: OnceLock::new(),
            refit: OnceLock::new(),
            source,
            grid,
            whole: OnceLock::new(),
        })
    }

    /// The penalties, ascending, before any extension.
    pub fn alphas(&self) -> &[f64] {
        &self.grid
    }

    /// What it was prepared with.
    pub fn options(&self) -> &RidgeOptions {
        &self.options
    }

    /// The rows that are fitted on.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Penalties that fit the budget at a time: the matrices of all folds for them take at most
    /// half of it.
    fn alphas_at_a_time(&self, n_alphas: usize) -> usize {
        let budget = self.options.memory_mb << 19;
        let bytes = |n: usize| -> usize {
            let fold = |side: &Side| FoldStage::bytes(side.test.len(), side.train.len(), side.folded.len(), n);
            self.folds.iter().map(fold).sum()
        };
        (1..=n_alphas).rev().find(|&n| bytes(n) <= budget).unwrap_or(1)
    }

    fn stage(&self, alphas: &[f64]) -> Result<Vec<FoldStage>> {
        self.folds.par_iter().map(|side| side.folded.stage(alphas, &self.kernels)).collect()
    }

    /// Scores at some penalties, averaged over the folds; NaN where a target is not finite.
    ///
    /// # Shapes
    /// `y`: all samples x targets; the result: penalties x targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of samples, [`Error::Interrupted`].
    pub fn cv_scores(&self, alphas: &[f64], y: ArrayView2<'_, f32>, work: &Work) -> Result<Array2<f64>> {
        self.rows.check(y.nrows(), "targets")?;
        let mut scores = Array2::zeros((alphas.len(), y.ncols()));
        let y_values = values(y);
        let (stride, n_blocks) = (y.ncols(), y.ncols().div_ceil(BLOCK));
        let at_a_time = self.alphas_at_a_time(alphas.len());
        for (chunk, mut rows) in alphas.chunks(at_a_time).zip(scores.axis_chunks_iter_mut(Axis(0), at_a_time)) {
            let made;
            let stage = if chunk == self.grid {
                made_once(&self.whole, || self.stage(chunk))?
            } else {
                made = self.stage(chunk)?;
                &made
            };
            let blocks = work.blocks("choosing penalties", n_blocks, |block| {
                let start = block * BLOCK;
                Ok(self.block_scores(stage, chunk.len(), &y_values, stride, start, BLOCK.min(stride - start)))
            })?;
            for (block, found) in blocks.into_iter().enumerate() {
                let start = block * BLOCK;
                rows.slice_axis_mut(Axis(1), Slice::from(start..start + found.ncols())).assign(&found);
            }
        }
        Ok(scores)
    }

    fn block_scores(
        &self,
        stage: &[FoldStage],
        n_alphas: usize,
        y: &[f32],
        stride: usize,
        start: usize,
        n: usize,
    ) -> Array2<f64> {
        let which = if self.options.score == Score::Pearson { Sums::Correlation } else { Sums::Error };
        let width = padded(n);
        let mut total = Array2::zeros((n_alphas, n));
        for (side, stage) in self.folds.iter().zip(stage) {
            let means = if self.options.fit_intercept {
                panels::column_means(y, stride, &side.train, start, n)
            } else {
                vec![0.0; n]
            };
            let mut train = vec![0.0; width * side.train.len()];
            panels::pack_targets(&mut train, y, stride, &side.train, start, &means);
            let mut test = vec![0.0; width * side.test.len()];
            panels::pack_targets(&mut test, y, stride, &side.test, start, &means);
            let mut sums = vec![0.0; n_alphas * which.count() * width];
            stage.score(&mut sums, &train, &test, which, &self.kernels);
            let moments = Moments::of(&test, side.test.len(), width);
            for ((a, t), total) in total.indexed_iter_mut() {
                let sum = |s: usize| sums[(a * which.count() + s) * width + t];
                *total += match self.options.score {
                    Score::NegativeMse => -sum(0) / side.test.len() as f64,
                    Score::R2 => moments.r2(t, sum(0)),
                    Score::Pearson => moments.pearson(t, sum(0), sum(1), sum(2)),
                };
            }
        }
        total / self.folds.len() as f64
    }

    /// What the targets of a range are over the training rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of samples.
    pub fn targets(&self, y: ArrayView2<'_, f32>) -> Result<Targets> {
        self.rows.check(y.nrows(), "targets")?;
        Ok(targets(y, &self.rows, self.options.fit_intercept))
    }

    /// The unit of each target's score: its variance over the training rows for squared errors.
    pub(super) fn units(&self, y: ArrayView2<'_, f32>) -> Vec<f64> {
        if self.options.score != Score::NegativeMse {
            return vec![1.0; y.ncols()];
        }
        let n = self.rows.len() as f64;
        let mut sums = vec![[0.0f64; 2]; y.ncols()];
        let first = y.row(self.rows.indices()[0]);
        for &row in self.rows.indices() {
            for ((sum, &value), &origin) in sums.iter_mut().zip(y.row(row)).zip(first) {
                let v = f64::from(value) - f64::from(origin);
                *sum = [sum[0] + v, sum[1] + v * v];
            }
        }
        sums.into_iter().map(|[sum, squares]| (squares - sum * sum / n) / n).collect()
    }

    /// Dual weights (kernel form) or weights (primal form) of a range of targets, each at its own
    /// penalty, refitted on all training rows; 0 where the penalty is NaN.
    ///
    /// # Shapes
    /// `y`: all samples x targets; `alphas`: targets; the result: training rows (or features) x
    /// targets.
    ///
    /// # Errors
    /// As [`Prepared::cv_scores`].
    pub(super) fn refit(&self, y: ArrayView2<'_, f32>, alphas: &[f64], work: &Work) -> Result<Array2<f32>> {
        self.solve(made_once(&self.refit, || Ok(Refit::new(self.all()?)))?, y, alphas, work)
    }

    /// What makes weights of features where the form is the kernel's, without dual weights in
    /// between: those of directions without variance would be rounded to more than others weigh.
    ///
    /// # Shapes
    /// `x`: training rows x features.
    ///
    /// # Errors
    /// A kernel that is not finite.
    pub(super) fn of_features(&self, x: ArrayView2<'_, f32>) -> Result<Refit> {
        Ok(Refit::new(&self.all()?.of_features(x, self.options.fit_intercept)))
    }

    fn all(&self) -> Result<&Spectrum> {
        made_once(&self.all, || self.source.all(self.options.fit_intercept))
    }

    /// Weights of a range of targets, each at its own penalty; as [`Prepared::refit`].
    pub(super) fn solve(
        &self,
        refit: &Refit,
        y: ArrayView2<'_, f32>,
        alphas: &[f64],
        work: &Work,
    ) -> Result<Array2<f32>> {
        self.rows.check(y.nrows(), "targets")?;
        let means = self.targets(y)?.means;
        let (y_values, stride) = (values(y), y.ncols());
        let blocks = work.blocks("weights", stride.div_ceil(BLOCK), |block| {
            let range = block * BLOCK..stride.min((block + 1) * BLOCK);
            let means = &means[range.clone()];
            let mut targets = vec![0.0; padded(means.len()) * self.rows.len()];
            panels::pack_targets(&mut targets, &y_values, stride, self.rows.indices(), range.start, means);
            Ok(refit.solve(&targets, &alphas[range], self.rows.len(), &self.kernels))
        })?;
        let mut weights = Array2::zeros((refit.n_left, stride));
        let flat = weights.as_slice_mut().expect("made row by row");
        for (block, found) in blocks.iter().enumerate() {
            let start = block * BLOCK;
            panels::unpack(&mut flat[start..], stride, found, refit.n_left, BLOCK.min(stride - start));
        }
        Ok(weights)
    }

    /// Inner folds.
    pub fn n_folds(&self) -> usize {
        self.folds.len()
    }

    /// Targets whose numbers fit half of the budget at a time, a multiple of a block; `n_weights`
    /// of each are kept beside the dual ones.
    pub(super) fn targets_at_a_time(&self, n_weights: usize) -> usize {
        let floats = 2 * self.rows.n_samples() + 2 * self.rows.len() + 2 * n_weights + 4 * self.grid.len();
        let fitting = (self.options.memory_mb << 19) / (floats * size_of::<f32>());
        (fitting / BLOCK).max(1) * BLOCK
    }

    /// Whether [`Prepared::refit`] gives dual weights.
    pub(super) fn is_kernel(&self) -> bool {
        matches!(self.source, Source::Kernel(_))
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }
}

/// Where the samples of a fold's side stand among the training rows.
///
/// # Errors
/// [`Error::Invalid`] when one is not there.
pub(super) fn inside(side: &Rows, rows: &Rows) -> Result<Vec<usize>> {
    side.within(rows)
        .ok_or_else(|| Error::invalid("folds", "samples of the training side", format!("a fold of {side}"), ""))
}

/// # Errors
/// [`Error::Invalid`] for a fold that tests too few samples for a score.
pub fn judged(fold: &Fold, score: Score) -> Result<()> {
    if score == Score::NegativeMse || fold.test.len() > 1 {
        return Ok(());
    }
    let expected = "2 samples or more in the tested part of every inner fold, for a correlation or a share of variance";
    let hint = "make fewer folds, or choose penalties by squared errors (score = \"negative_mse\")";
    Err(Error::invalid("folds", expected, fold.test.len().to_string(), hint))
}

/// What targets are over the training rows; `y` has all samples.
pub(super) fn targets(y: ArrayView2<'_, f32>, rows: &Rows, fit_intercept: bool) -> Targets {
    let mut means = panels::column_means(&values(y), y.ncols(), rows.indices(), 0, y.ncols());
    let first = y.row(rows.indices()[0]);
    let mut varies = vec![false; y.ncols()];
    for &row in rows.indices() {
        for ((varies, value), first) in varies.iter_mut().zip(y.row(row)).zip(first) {
            *varies |= value != first;
        }
    }
    let state = |(mean, varies): (&f64, &bool)| match (mean.is_finite(), varies) {
        (false, _) => TargetState::NotFinite,
        (true, true) => TargetState::Varies,
        (true, false) => TargetState::Constant,
    };
    let states: Vec<TargetState> = means.iter().zip(&varies).map(state).collect();
    means.iter_mut().for_each(|m| *m = if m.is_finite() && fit_intercept { *m } else { 0.0 });
    Targets { states, means }
}

/// What `cell` holds, made if it holds nothing.
pub(super) fn made_once<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

impl Refit {
    fn new(spectrum: &Spectrum) -> Self {
        let narrow = |matrix: &Array2<f64>| {
            let matrix = matrix.mapv(|v| v as f32);
            panels::pack_left(&values(matrix.view()), matrix.ncols())
        };
        let (left, right) = (narrow(&spectrum.left), narrow(&spectrum.right));
        Self { n_left: spectrum.left.nrows(), values: spectrum.values.clone(), left, right }
    }

    fn solve(&self, targets: &[f32], alphas: &[f64], n_rows: usize, kernels: &Kernels) -> Vec<f32> {
        let (k, width) = (self.values.len(), padded(alphas.len()));
        let mut inner = vec![0.0; width * k];
        kernels.product(&mut inner, &self.right, targets, k, n_rows);
        for (p, panel) in inner.chunks_exact_mut(k * WIDTH).enumerate() {
            let alphas = &alphas[p * WIDTH..alphas.len().min((p + 1) * WIDTH)];
            for (line, value) in panel.chunks_exact_mut(WIDTH).zip(&self.values) {
                for (v, alpha) in line.iter_mut().zip(alphas) {
                    *v = if alpha.is_nan() { 0.0 } else { (f64::from(*v) / (value + alpha)) as f32 };
                }
            }
        }
        let mut out = vec![0.0; width * self.n_left];
        kernels.product(&mut out, &self.left, &inner, self.n_left, k);
        out
    }
}

/// X W for rows of features and weights of many targets, in 32 bits.
///
/// # Shapes
/// `x`: n x p; `weights`: p x targets.
///
/// # Panics
/// When the sizes do not fit.
pub(in crate::encoding) fn multiply(x: ArrayView2<'_, f32>, weights: ArrayView2<'_, f32>) -> Array2<f32> {
    assert_eq!(x.ncols(), weights.nrows(), "weights of every feature");
    let kernels = Kernels::chosen().unwrap_or_else(|_| Kernels::named("portable").expect("always there"));
    let (n, p) = x.dim();
    let mut out = Array2::zeros((n, weights.ncols()));
    if n == 0 || p == 0 {
        return out;
    }
    let left = panels::pack_left(&values(x), p);
    out.axis_chunks_iter_mut(Axis(1), BLOCK).into_par_iter().zip(weights.axis_chunks_iter(Axis(1), BLOCK)).for_each(
        |(mut out, weights)| {
            let targets = packed(&weights.to_owned());
            let mut found = vec![0.0; padded(weights.ncols()) * n];
            kernels.product(&mut found, &left, &targets, n, p);
            let mut flat = vec![0.0; n * weights.ncols()];
            panels::unpack(&mut flat, weights.ncols(), &found, n, weights.ncols());
            out.iter_mut().zip(flat).for_each(|(to, v)| *to = v);
        },
    );
    out
}
