//! Features as they are fitted on: transformed by what is learnt of training rows alone.

use crate::encoding::features::{Pca, PcaOptions, Reduction, Table};
use crate::encoding::temporal::delayed;
use crate::encoding::{Features, Leakage, Rows, Scaling, Standardizer};
use crate::error::{Error, Result};
use crate::math::stats::divisor;
use crate::network::Shape;
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2, concatenate};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// One set of features over all samples.
pub struct Space<'a> {
    pub name: &'a str,
    pub table: Arc<Table>,
    pub how: &'a How<'a>,
    /// Of the layer; of ready features every one is a channel.
    pub shape: Shape,
    /// Components of the rows that were asked for first, those of the whole round: they are asked for
    /// again when tested rows are predicted.
    pub first: OnceLock<Scored>,
}

/// Components fitted on some rows, and the scores of all samples.
#[derive(Clone)]
pub struct Scored {
    rows: Rows,
    leakage: Leakage,
    pca: Pca,
    scores: Array2<f32>,
}

/// What is done to every set of features.
pub struct How<'a> {
    pub reduction: &'a Reduction,
    pub scaling: Scaling,
    /// As configured: what an intercept does is in it.
    pub given: Scaling,
    /// Whether sets that stand side by side have the same total variance.
    pub balance: bool,
    /// Samples of delay; empty for none.
    pub delays: &'a [isize],
    /// The run of each sample.
    pub runs: Option<&'a [usize]>,
}

/// What was learnt of training rows.
pub struct Learnt {
    pub pca: Option<Pca>,
    pub standardizer: Standardizer,
}

impl Space<'_> {
    /// Learns from some rows.
    ///
    /// # Errors
    /// As [`Pca::fit`] and [`Standardizer::fit`].
    pub fn learn(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Learnt> {
        self.learnt(rows, leakage).map(|(learnt, _)| learnt)
    }

    /// What is learnt, and the features before they are scaled, so that scores are made once.
    fn learnt(&self, rows: &Rows, leakage: &mut Leakage) -> Result<(Learnt, CowArray<'_, f32, Ix2>)> {
        let (pca, x) = match self.how.reduction.pca() {
            None => (None, CowArray::from(self.features()?)),
            Some(options) => match self.scored(rows, options, leakage)? {
                Cow::Borrowed(Scored { pca, scores, .. }) => (Some(pca.clone()), CowArray::from(scores)),
                Cow::Owned(Scored { pca, scores, .. }) => (Some(pca), CowArray::from(scores)),
            },
        };
        let standardizer = Standardizer::fit(x.view(), rows, self.how.scaling, self.name, leakage)?;
        Ok((Learnt { pca, standardizer }, x))
    }

    fn scored(&self, rows: &Rows, options: &PcaOptions, leakage: &mut Leakage) -> Result<Cow<'_, Scored>> {
        if let Some(first) = self.first.get().filter(|first| first.rows == *rows) {
            leakage.append(first.leakage.clone());
            return Ok(Cow::Borrowed(first));
        }
        let own = self.standardized_on();
        let mut noted = Leakage::default();
        let pca = Pca::fit(&self.table, own.unwrap_or(rows), options, self.name, &mut noted)?;
        // What the round's other folds share is noted once, with the rows of the round.
        if own.is_some_and(|own| own != rows) {
            noted = Leakage::default();
        }
        leakage.append(noted.clone());
        let made = Scored { rows: rows.clone(), leakage: noted, scores: pca.scores(&self.table)?, pca };
        match self.first.set(made) {
            Ok(()) => Ok(Cow::Borrowed(self.first.get().expect("set above"))),
            Err(made) => Ok(Cow::Owned(made)),
        }
    }

    /// Features before anything is learnt of them.
    ///
    /// # Errors
    /// [`Error::Invalid`] where only inner products were kept, as for a PCA.
    pub fn features(&self) -> Result<ArrayView2<'_, f32>> {
        match self.table.as_ref() {
            Table::Features(x) => Ok(x.view()),
            Table::Gram(_) => Err(Error::invalid(self.name, "features", "inner products of all samples", "")),
        }
    }

    /// The rows that units were z-scored on when inner products were made: those of a whole round.
    /// Components of any others cannot be had of these products, so that inner folds share them.
    fn standardized_on(&self) -> Option<&Rows> {
        match self.table.as_ref() {
            Table::Gram(table) => table.standardized_on.as_ref(),
            Table::Features(_) => None,
        }
    }
}

impl Features for Space<'_> {
    fn n_samples(&self) -> usize {
        self.table.n_images()
    }

    fn fitted_on(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>> {
        let (learnt, x) = self.learnt(rows, leakage)?;
        let x = learnt.standardizer.apply(x.view());
        if self.how.delays.is_empty() { Ok(x) } else { delayed(x.view(), self.how.delays, self.how.runs) }
    }

    fn learns(&self) -> bool {
        let components = self.how.reduction.pca().is_some() && self.standardized_on().is_none();
        components || self.how.scaling != Scaling::None
    }
}

/// Several sets side by side. A penalty that they share bears hardest on the set with the smallest
/// features: sets are therefore balanced, unless it is said otherwise.
pub struct SideBySide<'a>(pub &'a [Space<'a>]);

/// Features of all samples.
pub struct Joined {
    /// Samples x features of all sets.
    pub x: Array2<f32>,
    /// Features of each set.
    pub widths: Vec<usize>,
    /// What each set was multiplied by.
    pub factors: Vec<f32>,
}

impl SideBySide<'_> {
    /// Features of all samples.
    ///
    /// # Errors
    /// As those of a set.
    pub fn joined(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Joined> {
        let mut parts = self.0.iter().map(|space| space.fitted_on(rows, leakage)).collect::<Result<Vec<_>>>()?;
        let mut factors = vec![1.0; parts.len()];
        for ((space, part), factor) in self.0.iter().zip(&mut parts).zip(&mut factors).filter(|_| self.balances()) {
            *factor = divisor(total_variance(part.view(), rows), 0.0).recip() as f32;
            part.mapv_inplace(|v| v * *factor);
            leakage.fitted(format!("total variance of {}", space.name), rows);
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let x = concatenate(Axis(1), &views).expect("features of the same samples");
        Ok(Joined { x, widths: parts.iter().map(Array2::ncols).collect(), factors })
    }

    fn balances(&self) -> bool {
        self.0.len() > 1 && self.0.iter().all(|space| space.how.balance)
    }
}

/// Sum over features of their variance (ddof 0) over some rows; 1 where it is no number.
fn total_variance(x: ArrayView2<'_, f32>, rows: &Rows) -> f64 {
    let n = rows.len() as f64;
    let (mut means, mut sums) = (vec![0.0; x.ncols()], vec![0.0; x.ncols()]);
    for &row in rows.indices() {
        means.iter_mut().zip(x.row(row)).for_each(|(m, &v)| *m += f64::from(v) / n);
    }
    for &row in rows.indices() {
        let deviations = x.row(row).into_iter().zip(&means).map(|(&v, m)| (f64::from(v) - m).powi(2));
        sums.iter_mut().zip(deviations).for_each(|(sum, d)| *sum += d / n);
    }
    let total: f64 = sums.iter().sum();
    if total.is_finite() { total } else { 1.0 }
}

impl Features for SideBySide<'_> {
    fn n_samples(&self) -> usize {
        self.0.first().map_or(0, Features::n_samples)
    }

    fn fitted_on(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>> {
        Ok(self.joined(rows, leakage)?.x)
    }

    fn learns(&self) -> bool {
        self.balances() || self.0.iter().any(Features::learns)
    }
}
