//! RDMs of many conditions, in 32 bits, by the kernels of the instruction set.

use super::{Condensed, Dissimilarity, Patterns};
use orthoscope_kernels::gram::{Form, Into, padded};

/// Changes of a matrix of products before it is made anew: bounds the rounding that they pile up.
const MOST_CHANGES: usize = 16;
/// A squared norm after centring that is below this share of the one before is rounding: the
/// pattern is constant.
const CONSTANT: f64 = 1e-11;

/// Memory of the 32-bit path.
#[derive(Default)]
pub(super) struct Scratch {
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
}

impl Scratch {
    /// Forgets the voxels that were last looked at.
    pub(super) fn forget(&mut self) {
        self.last.clear();
    }
}

impl Patterns {
    /// In 32 bits.
    pub(super) fn fast<'s>(
        &self,
        voxels: &[u32],
        train: &[f32],
        test: Option<&[f32]>,
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

    /// Products of all pairs of conditions. Neighbouring centres share most voxels: where that is
    /// less work, the products of the last centre are changed by the voxels that came and went.
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
