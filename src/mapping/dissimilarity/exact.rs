//! RDMs in 64 bits: of few conditions, and wherever noise is whitened.

use super::{Condensed, Dissimilarity, Patterns};
use crate::math::condensed;
use ndarray::Array2;
use orthoscope_kernels::dense;

/// A squared norm after centring that is below this share of the one before is rounding: the
/// pattern is constant.
const CONSTANT: f64 = 1e-24;

/// Memory of the 64-bit path.
#[derive(Default)]
pub(super) struct Scratch {
    a: Vec<f64>,
    b: Vec<f64>,
    gram: Vec<f64>,
    rdm: Vec<f64>,
    whitening: crate::mapping::noise::Scratch,
}

impl Patterns {
    /// In 64 bits.
    pub(super) fn exact<'s>(
        &self,
        voxels: &[u32],
        train: &[f64],
        test: Option<&[f64]>,
        offset: f64,
        scratch: &'s mut Scratch,
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
        if let Some(present) = &self.present {
            self.fold_by_fold(present, p, scratch);
            return Some(Condensed::F64(&scratch.rdm));
        }
        match test {
            None => dense::cross_products(&scratch.a, n, &mut scratch.gram),
            Some(_) => dense::cross_products_of(&scratch.a, &scratch.b, n, &mut scratch.gram),
        }
        let gram = &scratch.gram;
        scratch.rdm.clear();
        if matches!(self.measurement.dissimilarity, Dissimilarity::Correlation | Dissimilarity::Cosine) {
            let own = |i: usize| gram[i * (n + 1)];
            let constant = |i: usize| own(i) <= CONSTANT * (own(i) + means[i] * means[i] * p as f64) || own(i) <= 0.0;
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

    /// Squared distances, each averaged over the folds whose run has both conditions.
    fn fold_by_fold(&self, present: &Array2<bool>, p: usize, scratch: &mut Scratch) {
        let (n, columns) = (self.n_conditions, self.n_conditions * self.n_folds);
        let mut sums = vec![(0.0, 0usize); condensed::n_pairs(n)];
        for fold in 0..self.n_folds {
            let part = |side: &[f64]| -> Vec<f64> {
                (0..p).flat_map(|row| side[row * columns + fold * n..][..n].iter().copied()).collect()
            };
            dense::cross_products_of(&part(&scratch.a), &part(&scratch.b), n, &mut scratch.gram);
            let gram = &scratch.gram;
            for ((sum, count), (i, j)) in sums.iter_mut().zip(condensed::pairs(n)) {
                if present[[fold, i]] && present[[fold, j]] {
                    *sum += gram[i * (n + 1)] + gram[j * (n + 1)] - (gram[i * n + j] + gram[j * n + i]);
                    *count += 1;
                }
            }
        }
        scratch.rdm.clear();
        scratch.rdm.extend(sums.into_iter().map(|(sum, count)| sum / (count * p) as f64));
    }

    /// False when the noise of these voxels is degenerate.
    fn whiten(&self, voxels: &[u32], crossed: bool, scratch: &mut Scratch) -> bool {
        let (p, n) = (voxels.len(), self.n_conditions);
        let Scratch { a, b, whitening: memory, .. } = scratch;
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
