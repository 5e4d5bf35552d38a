//! First-order optimizers on plain vectors: they **ascend**, and their state is nothing but arrays.

use super::lbfgs::Lbfgs;
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Moves leaves uphill.
pub trait Optimizer: Send {
    /// One update of all leaves (n_images rows each) for the objective's `value` and `gradients`
    /// there (same shapes as the leaves).
    fn step(&mut self, leaves: &mut [Array2<f32>], value: f64, gradients: &[Array2<f32>], learning_rate: f64);

    /// Everything that the next step depends on, as named arrays: moved out, not copied.
    fn save(self: Box<Self>) -> Vec<(String, Vec<f32>)>;

    /// Takes back what [`save`](Self::save) gave, bit for bit.
    fn restore(&mut self, arrays: Vec<(String, Vec<f32>)>);

    /// Forgets the rows that leave the batch; `keep` has one entry per row of the leaves.
    fn retain(&mut self, keep: &[bool]);
}

/// Whether what an optimizer saved is of leaves of these shapes: moments are as long as their leaf,
/// directions as all leaves together, and the rest is a few numbers.
pub(super) fn fits(saved: &[(String, Vec<f32>)], leaves: &[Array2<f32>]) -> bool {
    let whole: usize = leaves.iter().map(Array2::len).sum();
    let of = |prefix: &str| saved.iter().filter(|(name, _)| name.starts_with(prefix)).count();
    let counts = [of("first."), of("second.")];
    let moments = counts == [0, 0] || counts == [leaves.len(); 2];
    moments
        && of("s.") == of("y.")
        && saved.iter().all(|(name, values)| match name.split_once('.') {
            Some(("first" | "second", i)) => {
                i.parse().ok().and_then(|i: usize| leaves.get(i)).is_some_and(|leaf| leaf.len() == values.len())
            }
            Some(("s" | "y", _)) => values.len() == whole,
            _ if matches!(name.as_str(), "point" | "gradient" | "direction") => [0, whole].contains(&values.len()),
            _ => values.len() <= 16,
        })
}

/// Values that one task updates.
const CHUNK: usize = 1 << 14;

/// The kept rows of a row-major array.
fn retain_rows(values: &mut Vec<f32>, keep: &[bool]) {
    let per_row = values.len() / keep.len().max(1);
    let mut at = 0;
    values.retain(|_| {
        let kept = keep[at / per_row.max(1)];
        at += 1;
        kept
    });
}

/// A 64-bit number as four 16-bit pieces, each exact in 32 bits: checkpoints hold 32-bit arrays of
/// finite numbers only.
pub(super) fn exact(value: f64) -> [f32; 4] {
    let bits = value.to_bits();
    [48, 32, 16, 0].map(|shift| f32::from((bits >> shift) as u16))
}

/// The reverse of [`exact`]; 0 for anything but four numbers.
pub(super) fn from_exact(pieces: &[f32]) -> f64 {
    match pieces {
        [_, _, _, _] => f64::from_bits(pieces.iter().fold(0, |bits, &piece| bits << 16 | u64::from(piece as u16))),
        _ => 0.0,
    }
}

/// Which optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    #[default]
    Adam,
    /// Gradient divided by its root mean square, per image.
    NormalizedGradient,
    Lbfgs,
    /// The conditioned gradient as it is: `x += rate g`.
    Gradient,
}

impl OptimizerKind {
    /// A fresh optimizer.
    pub fn build(self) -> Box<dyn Optimizer> {
        match self {
            Self::Adam => Box::new(Adam::default()),
            Self::NormalizedGradient => Box::new(NormalizedGradient),
            Self::Lbfgs => Box::new(Lbfgs::default()),
            Self::Gradient => Box::new(Gradient),
        }
    }

    /// A learning rate that suits the parametrisation's scale: the step of one leaf value.
    pub fn default_rate(self) -> f64 {
        match self {
            Self::Adam => 0.05,
            Self::NormalizedGradient | Self::Gradient => 0.01,
            Self::Lbfgs => 1.0,
        }
    }
}

/// Adam (Kingma and Ba 2015) with PyTorch's defaults: betas 0.9 and 0.999, epsilon 1e-8.
///
/// `m = b1 m + (1-b1) g`, `v = b2 v + (1-b2) g^2`,
/// `x += rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)`.
#[derive(Debug, Clone)]
pub struct Adam {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    first: Vec<Vec<f32>>,
    second: Vec<Vec<f32>>,
    n_steps: u32,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, first: vec![], second: vec![], n_steps: 0 }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, leaves: &mut [Array2<f32>], _value: f64, gradients: &[Array2<f32>], learning_rate: f64) {
        if self.first.is_empty() {
            self.first = gradients.iter().map(|g| vec![0.0; g.len()]).collect();
            self.second = self.first.clone();
        }
        self.n_steps += 1;
        let t = f64::from(self.n_steps);
        let (b1, b2) = (self.beta1 as f32, self.beta2 as f32);
        // 1 - beta before rounding to 32 bits: 1 - 0.999 in 32 bits is wrong by 5e-5 of itself.
        let (c1, c2) = ((1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32);
        let rate = (learning_rate / (1.0 - self.beta1.powf(t))) as f32;
        let root = (1.0 / (1.0 - self.beta2.powf(t)).sqrt()) as f32;
        let epsilon = self.epsilon as f32;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((leaf, gradient), (first, second)) in leaves.iter_mut().zip(gradients).zip(moments) {
            let x = leaf.as_slice_mut().expect("leaves are row-major");
            let g = gradient.as_slice().expect("gradients are row-major");
            let rows = (x.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)))
                .zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK)));
            rows.for_each(|((x, g), (m, v))| {
                for (((x, &g), m), v) in x.iter_mut().zip(g).zip(m).zip(v) {
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * g * g;
                    *x += rate * *m / (v.sqrt() * root + epsilon);
                }
            });
        }
    }

    fn save(self: Box<Self>) -> Vec<(String, Vec<f32>)> {
        let named = |name: &'static str, arrays: Vec<Vec<f32>>| {
            arrays.into_iter().enumerate().map(move |(i, a)| (format!("{name}.{i}"), a))
        };
        let steps = exact(f64::from(self.n_steps)).to_vec();
        let mut out: Vec<_> = named("first", self.first).chain(named("second", self.second)).collect();
        out.push(("steps".into(), steps));
        out
    }

    fn restore(&mut self, arrays: Vec<(String, Vec<f32>)>) {
        *self = Self { beta1: self.beta1, beta2: self.beta2, epsilon: self.epsilon, ..Self::default() };
        for (name, array) in arrays {
            if name.starts_with("first.") {
                self.first.push(array);
            } else if name.starts_with("second.") {
                self.second.push(array);
            } else if name == "steps" {
                self.n_steps = from_exact(&array) as u32;
            }
        }
    }

    fn retain(&mut self, keep: &[bool]) {
        self.first.iter_mut().chain(&mut self.second).for_each(|moments| retain_rows(moments, keep));
    }
}

/// `x += rate g`.
#[derive(Debug, Clone)]
pub struct Gradient;

impl Optimizer for Gradient {
    fn step(&mut self, leaves: &mut [Array2<f32>], _value: f64, gradients: &[Array2<f32>], learning_rate: f64) {
        let rate = learning_rate as f32;
        for (leaf, gradient) in leaves.iter_mut().zip(gradients) {
            leaf.zip_mut_with(gradient, |x, g| *x += rate * g);
        }
    }

    fn save(self: Box<Self>) -> Vec<(String, Vec<f32>)> {
        vec![]
    }

    fn restore(&mut self, _: Vec<(String, Vec<f32>)>) {}

    fn retain(&mut self, _: &[bool]) {}
}

/// `x += rate g / (rms(g) + 1e-5)`, the root mean square taken per image.
#[derive(Debug, Clone)]
pub struct NormalizedGradient;

impl Optimizer for NormalizedGradient {
    fn step(&mut self, leaves: &mut [Array2<f32>], _value: f64, gradients: &[Array2<f32>], learning_rate: f64) {
        for (leaf, gradient) in leaves.iter_mut().zip(gradients) {
            for (mut x, g) in leaf.rows_mut().into_iter().zip(gradient.rows()) {
                let square: f64 = g.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / g.len() as f64;
                let scale = (learning_rate / (square.sqrt() + 1e-5)) as f32;
                x.zip_mut_with(&g, |x, g| *x += scale * g);
            }
        }
    }

    fn save(self: Box<Self>) -> Vec<(String, Vec<f32>)> {
        vec![]
    }

    fn restore(&mut self, _: Vec<(String, Vec<f32>)>) {}

    fn retain(&mut self, _: &[bool]) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Climbs -(x - 3)^2 - 10 (y + 1)^2 from the origin.
    fn climb(optimizer: &mut dyn Optimizer, rate: impl Fn(usize) -> f64, steps: usize) -> Vec<f32> {
        let mut leaves = vec![array![[0.0f32, 0.0]]];
        for t in 0..steps {
            let (x, y) = (leaves[0][(0, 0)], leaves[0][(0, 1)]);
            let value = f64::from(-(x - 3.0).powi(2) - 10.0 * (y + 1.0).powi(2));
            let gradient = vec![array![[-2.0 * (x - 3.0), -20.0 * (y + 1.0)]]];
            optimizer.step(&mut leaves, value, &gradient, rate(t));
        }
        leaves.remove(0).into_iter().collect()
    }

    #[test]
    fn each_optimizer_reaches_the_top() {
        let anneal = |t: usize| 0.3 * (1.0 - t as f64 / 300.0);
        for kind in [OptimizerKind::Adam, OptimizerKind::NormalizedGradient] {
            let top = climb(kind.build().as_mut(), anneal, 300);
            assert!((top[0] - 3.0).abs() < 0.02 && (top[1] + 1.0).abs() < 0.02, "{kind:?}: {top:?}");
        }
        let top = climb(OptimizerKind::Lbfgs.build().as_mut(), |_| 1.0, 30);
        assert!((top[0] - 3.0).abs() < 1e-3 && (top[1] + 1.0).abs() < 1e-3, "lbfgs: {top:?}");
    }

    /// PyTorch 2.15, Adam lr 0.1 maximize, x0 = (1, -2), f = -(x^2 + 3 y^2): five steps.
    #[test]
    fn adam_follows_pytorch() {
        let mut leaves = vec![array![[1.0f32, -2.0]]];
        let mut adam = Adam::default();
        for _ in 0..5 {
            let gradient = vec![array![[-2.0 * leaves[0][(0, 0)], -6.0 * leaves[0][(0, 1)]]]];
            adam.step(&mut leaves, 0.0, &gradient, 0.1);
        }
        let expected = [0.507_963_7, -1.502_955_8];
        assert!(leaves[0].iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6), "{leaves:?}");
    }

    #[test]
    fn a_restored_optimizer_goes_on_bit_for_bit() {
        for kind in [OptimizerKind::Adam, OptimizerKind::Lbfgs, OptimizerKind::NormalizedGradient] {
            let gradient = |x: &[Array2<f32>]| vec![x[0].mapv(|v| -v + 0.3)];
            let value = |x: &[Array2<f32>]| -x[0].iter().map(|&v| f64::from(v - 0.3).powi(2) / 2.0).sum::<f64>();
            let mut leaves = vec![array![[1.0f32, -2.0, 0.5]]];
            let mut original = kind.build();
            for _ in 0..4 {
                let (v, g) = (value(&leaves), gradient(&leaves));
                original.step(&mut leaves, v, &g, 0.1);
            }
            let saved = original.save();
            let (mut original, mut twin) = (kind.build(), kind.build());
            original.restore(saved.clone());
            twin.restore(saved);
            let mut copied = leaves.clone();
            for _ in 0..4 {
                let (v, g) = (value(&leaves), gradient(&leaves));
                original.step(&mut leaves, v, &g, 0.1);
                let (v, g) = (value(&copied), gradient(&copied));
                twin.step(&mut copied, v, &g, 0.1);
            }
            assert_eq!(leaves, copied, "{kind:?}");
        }
    }

    #[test]
    fn rows_that_leave_do_not_change_the_others() {
        let step = |adam: &mut Adam, leaves: &mut Vec<Array2<f32>>| {
            let gradient = vec![leaves[0].mapv(|v| 0.5 - v * v)];
            adam.step(leaves, 0.0, &gradient, 0.1);
        };
        let (mut all, mut fewer) =
            (vec![array![[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]], vec![array![[1.0f32, 2.0], [5.0, 6.0]]]);
        let (mut a, mut b) = (Adam::default(), Adam::default());
        for _ in 0..3 {
            step(&mut a, &mut all);
            step(&mut b, &mut fewer);
        }
        a.retain(&[true, false, true]);
        let mut left = vec![all[0].select(ndarray::Axis(0), &[0, 2])];
        assert_eq!(left, fewer);
        for _ in 0..3 {
            step(&mut a, &mut left);
            step(&mut b, &mut fewer);
        }
        assert_eq!(left, fewer);
    }
}
