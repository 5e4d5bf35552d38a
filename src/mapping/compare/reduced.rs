//! The test of a layer beside others: what the others do not explain is relabelled, not the RDM.
//!
//! Relabelling a whole RDM asks whether anything is there. Where another layer is, every layer that
//! resembles it comes out significant, and what is left of a fingerprint is judged by the spread of
//! an RDM that follows no layer. Here the RDM b of the brain is regressed on the others V, its
//! residuals are relabelled as a matrix and put back, b* = V V^+ b + pi(b - V V^+ b), and compared
//! again.
//!
//! In an orthonormal basis q_1 ... q_n of the layers (n_layers numbers for every vector) this costs
//! no more than relabelling: pi(x).q_j = x.pi'(q_j), so that the basis is relabelled, once for all
//! places, and b*.q_j follows from d = b.q, d_pi = b.pi'(q) and C_ij = q_i.pi'(q_j).

use super::statistic::{Space, in_space};
use super::{Statistic, second_moments};
use crate::error::Result;
use crate::mapping::residual::{self, Residual};
use crate::math::linalg::column_basis;
use crate::math::stats;
use crate::rdm::Rdm;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use orthoscope_kernels::gram::Kernels;
use orthoscope_kernels::ranks::Ranker;

/// Less than this of a fingerprint is rounding.
const NOTHING: f64 = 1e-6;

/// What every layer is tested beside, and how.
pub(in crate::mapping) struct Reduced {
    /// Where residuals are taken: Spearman's are of the values, and ranked then.
    pub(super) space: Space,
    ranked: bool,
    /// Whether the value that is tested has no sign.
    squared: bool,
    n_pairs: usize,
    /// n_basis x n_pairs each: an orthonormal basis of all layers, and what gives inner products
    /// with it.
    basis: Vec<f32>,
    duals: Vec<f32>,
    layers: Vec<Beside>,
}

/// One layer beside others, in coordinates of the basis.
struct Beside {
    /// What is left of the layer, of norm 1; `None` where nothing is.
    unit: Option<Array1<f64>>,
    /// The projection on the others; `None` where they are all that the layer's own direction is
    /// not.
    others: Option<Array2<f64>>,
    /// Centred ranks of what is left, of norm 1, n_pairs; empty unless they are compared.
    ranks: Vec<f32>,
}

/// One place's RDM.
pub(in crate::mapping) struct Prepared {
    /// n_pairs.
    space: Vec<f32>,
    /// d.
    dots: Array1<f64>,
    /// Of each layer: its others' share of the RDM, and the squared norm of the rest.
    explained: Vec<(Array1<f64>, f64)>,
    /// Centred ranks of the residuals beside each layer's others, of norm 1, n_layers x n_pairs.
    ranks: Vec<f32>,
}

/// The fingerprints under one relabelling.
pub(in crate::mapping) struct Turned {
    /// n_basis x n_pairs, or n_layers x n_pairs of ranks.
    rows: Vec<f32>,
    /// C.
    cross: Array2<f64>,
    /// C' u of each layer.
    along: Vec<Array1<f64>>,
}

impl Reduced {
    /// `None` where whole RDMs are relabelled: where no layer is held against others, and for
    /// weights that are not negative.
    ///
    /// # Errors
    /// As [`residual::combinations`].
    pub(super) fn new(
        fingerprints: &[(String, Rdm)],
        statistic: Statistic,
        residual: Residual,
    ) -> Result<Option<Self>> {
        let variant = match (statistic, residual) {
            (Statistic::Nnls | Statistic::KendallTauA, _) | (_, Residual::ActivationLevel) => return Ok(None),
            (Statistic::Ols, _) => Residual::SemiPartial,
            (_, Residual::None) => return Ok(None),
            _ => residual,
        };
        let ranked = statistic == Statistic::Spearman;
        let space = if ranked { Space::Centred } else { statistic.space() };
        let n_conditions = fingerprints[0].1.n_conditions();
        let vectors = unit_vectors(fingerprints, space, n_conditions);
        let n = vectors.len();
        let dual = |v: &Vec<f64>| match space {
            Space::Whitened(_) => second_moments::dual(v, n_conditions),
            _ => v.clone(),
        };
        let duals: Vec<Vec<f64>> = vectors.iter().map(dual).collect();
        let gram = Array2::from_shape_fn((n, n), |(i, j)| stats::dot(&duals[i], &vectors[j]));
        let weights = residual::orthonormal(&gram)?;
        let coordinates = weights.dot(&gram);
        let combinations = residual::combinations(&gram, variant)?;
        let mut own = Self {
            space,
            ranked,
            squared: residual == Residual::UniqueVariance,
            n_pairs: vectors[0].len(),
            basis: combined(&weights, &vectors),
            duals: combined(&weights, &duals),
            layers: vec![],
        };
        for l in 0..n {
            let left = coordinates.dot(&combinations.row(l));
            let norm = left.dot(&left).sqrt();
            let unit = (norm > NOTHING * coordinates.column(l).dot(&coordinates.column(l)).sqrt()).then(|| left / norm);
            let others = others(l, variant, &coordinates);
            let ranks = match &unit {
                Some(unit) if ranked => own.ranks_of(unit.view()),
                _ => vec![],
            };
            own.layers.push(Beside { unit, others, ranks });
        }
        Ok(Some(own))
    }

    fn n_basis(&self) -> usize {
        self.basis.len() / self.n_pairs
    }

    /// Centred ranks, of norm 1, of a combination of the basis.
    fn ranks_of(&self, coordinates: ArrayView1<'_, f64>) -> Vec<f32> {
        let mut vector = vec![0.0; self.n_pairs];
        self.take(&mut vector, coordinates, 1.0);
        let mut out = vec![0.0; self.n_pairs];
        unit_ranks(&vector, &mut Ranker::new(self.n_pairs), &mut out);
        out
    }

    /// Adds `sign` times a combination of the basis.
    fn take(&self, to: &mut [f32], coordinates: ArrayView1<'_, f64>, sign: f64) {
        for (row, &c) in self.basis.chunks_exact(self.n_pairs).zip(coordinates) {
            let c = (sign * c) as f32;
            to.iter_mut().zip(row).for_each(|(to, &x)| *to += c * x);
        }
    }

    /// An RDM of norm `norm` in this space.
    pub(super) fn prepare(&self, space: &[f32], norm: f64, ranker: &mut Ranker, kernels: &Kernels) -> Prepared {
        let mut dots = vec![0.0; self.n_basis()];
        kernels.products(space, &self.duals, self.n_pairs, &mut dots);
        let dots = Array1::from(dots);
        let explained: Vec<(Array1<f64>, f64)> = self.layers.iter().map(|layer| layer.explained(&dots, norm)).collect();
        let mut ranks = vec![];
        if self.ranked {
            ranks = vec![0.0; self.layers.len() * self.n_pairs];
            for (ranks, (explained, _)) in ranks.chunks_exact_mut(self.n_pairs).zip(&explained) {
                let mut residual = space.to_vec();
                self.take(&mut residual, explained.view(), -1.0);
                unit_ranks(&residual, ranker, ranks);
            }
        }
        Prepared { space: if self.ranked { vec![] } else { space.to_vec() }, dots, explained, ranks }
    }

    /// The fingerprints relabelled: entry k of a row is what `table[k]` says.
    pub(in crate::mapping) fn turned(&self, table: &[u32], kernels: &Kernels) -> Turned {
        let turn = |rows: &[f32]| -> Vec<f32> {
            let row = |row: &[f32]| table.iter().map(|&k| row[k as usize]).collect::<Vec<_>>();
            rows.chunks_exact(self.n_pairs).flat_map(row).collect()
        };
        if self.ranked {
            let nothing = vec![0.0; self.n_pairs];
            let rows = self.layers.iter().map(|l| if l.ranks.is_empty() { &nothing } else { &l.ranks });
            let rows = rows.flat_map(|row| turn(row)).collect();
            return Turned { rows, cross: Array2::zeros((0, 0)), along: vec![] };
        }
        let n = self.n_basis();
        let rows = turn(&self.duals);
        let mut cross = vec![0.0; n * n];
        kernels.products(&self.basis, &rows, self.n_pairs, &mut cross);
        let cross = Array2::from_shape_vec((n, n), cross).expect("n rows of n");
        let along = |layer: &Beside| layer.unit.as_ref().map_or(Array1::zeros(n), |unit| cross.t().dot(unit));
        let along = self.layers.iter().map(along).collect();
        Turned { rows, cross, along }
    }

    /// The tested statistic of every layer under one relabelling; NaN where nothing of a layer is
    /// left.
    pub(in crate::mapping) fn tested(&self, place: &Prepared, turned: &Turned, kernels: &Kernels, out: &mut [f64]) {
        let n_pairs = self.n_pairs;
        if self.ranked {
            let rows = turned.rows.chunks_exact(n_pairs).zip(place.ranks.chunks_exact(n_pairs));
            for ((out, (row, ranks)), layer) in out.iter_mut().zip(rows).zip(&self.layers) {
                let mut dot = [f64::NAN];
                if layer.unit.is_some() {
                    kernels.products(ranks, row, n_pairs, &mut dot);
                }
                *out = if self.squared { dot[0] * dot[0] } else { dot[0].clamp(-1.0, 1.0) };
            }
            return;
        }
        let mut dots = vec![0.0; self.n_basis()];
        kernels.products(&place.space, &turned.rows, n_pairs, &mut dots);
        // The relabelled RDM without what all layers explain of it.
        let rest = Array1::from(dots) - turned.cross.t().dot(&place.dots);
        for (l, (layer, out)) in self.layers.iter().zip(out).enumerate() {
            let value = layer.partial(place, l, (&rest, turned));
            *out = if self.squared { value * value } else { value };
        }
    }
}

impl Beside {
    /// What the others explain of an RDM, and the squared norm of what they do not.
    fn explained(&self, dots: &Array1<f64>, norm: f64) -> (Array1<f64>, f64) {
        let explained = match (&self.others, &self.unit) {
            (Some(others), _) => others.dot(dots),
            (None, Some(unit)) => dots - &(unit * unit.dot(dots)),
            (None, None) => dots.clone(),
        };
        let rest = (norm * norm - explained.dot(&explained)).max(0.0);
        (explained, rest)
    }

    /// Partial correlation of the layer with b*: u.g / sqrt(|e|^2 - |P g|^2), where g are the
    /// coordinates of the relabelled residuals e and P projects on the others.
    fn partial(&self, place: &Prepared, l: usize, (rest, turned): (&Array1<f64>, &Turned)) -> f64 {
        let Some(unit) = &self.unit else { return f64::NAN };
        let (explained, square) = &place.explained[l];
        let (own, beside) = match &self.others {
            None => {
                let g = rest + &(&turned.along[l] * unit.dot(&place.dots));
                let own = unit.dot(&g);
                (own, g.dot(&g) - own * own)
            }
            Some(others) => {
                let g = rest + &turned.cross.t().dot(&(&place.dots - explained));
                let beside = others.dot(&g);
                (unit.dot(&g), beside.dot(&beside))
            }
        };
        (own / (square - beside).max(own * own).sqrt()).clamp(-1.0, 1.0)
    }
}

/// The fingerprints in a space, of norm 1.
fn unit_vectors(fingerprints: &[(String, Rdm)], space: Space, n_conditions: usize) -> Vec<Vec<f64>> {
    let unit = |(_, rdm): &(String, Rdm)| {
        let vector = in_space(rdm.values(), space);
        let square = match space {
            Space::Whitened(_) => stats::dot(&second_moments::dual(&vector, n_conditions), &vector),
            _ => stats::dot(&vector, &vector),
        };
        vector.iter().map(|v| v / square.sqrt()).collect()
    };
    fingerprints.iter().map(unit).collect()
}

/// weights x vectors, row after row.
fn combined(weights: &Array2<f64>, vectors: &[Vec<f64>]) -> Vec<f32> {
    let row = |weights: ArrayView1<'_, f64>| {
        let of = |k: usize| weights.iter().zip(vectors).map(|(w, v)| w * v[k]).sum::<f64>() as f32;
        (0..vectors[0].len()).map(of).collect::<Vec<_>>()
    };
    weights.rows().into_iter().flat_map(row).collect()
}

/// The projection on what layer l is held against; `None` for all layers, where it is what the
/// layer's own direction leaves.
fn others(l: usize, variant: Residual, coordinates: &Array2<f64>) -> Option<Array2<f64>> {
    let n = coordinates.ncols();
    let which: Vec<usize> = match variant {
        Residual::Ordered => (0..l).collect(),
        Residual::Adjacent => [l.wrapping_sub(1), l + 1].into_iter().filter(|&m| m < n).collect(),
        // The others of an orthonormal set are what its own direction leaves, too.
        _ => return None,
    };
    let spanned = coordinates.select(Axis(1), &which);
    let basis = column_basis(spanned.view(), NOTHING);
    Some(basis.dot(&basis.t()))
}

/// Centred ranks of norm 1; 0 where all values are one.
fn unit_ranks(values: &[f32], ranker: &mut Ranker, out: &mut [f32]) {
    let norm = ranker.centred_ranks(values, out).sqrt();
    let scale = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
    out.iter_mut().for_each(|v| *v *= scale);
}
