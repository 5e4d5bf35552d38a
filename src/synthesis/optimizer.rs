//! First-order optimizers on plain vectors: they **ascend**, and their state is nothing but arrays.

use super::lbfgs::Lbfgs;
use serde::{Deserialize, Serialize};

/// Moves leaves uphill.
pub trait Optimizer: Send {
    /// One update of all leaves for the objective's `value` and `gradients` there (same lengths as the leaves).
    fn step(&mut self, leaves: &mut [Vec<f32>], value: f64, gradients: &[Vec<f32>], learning_rate: f64);

    /// Everything that the next step depends on, as named arrays.
    fn save(&self) -> Vec<(String, Vec<f32>)>;

    /// Takes back what [`save`](Self::save) gave, bit for bit.
    fn restore(&mut self, arrays: &[(String, Vec<f32>)]);
}

/// A 64-bit number as four 16-bit pieces, each exact in 32 bits: checkpoints hold 32-bit arrays of finite numbers only.
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
}

impl OptimizerKind {
    /// A fresh optimizer for leaves of `n_images` rows each.
    pub fn build(self, n_images: usize) -> Box<dyn Optimizer> {
        match self {
            Self::Adam => Box::new(Adam::default()),
            Self::NormalizedGradient => Box::new(NormalizedGradient { n_images }),
            Self::Lbfgs => Box::new(Lbfgs::default()),
        }
    }

    /// A learning rate that suits the parametrisation's scale: the step of one leaf value.
    pub fn default_rate(self) -> f64 {
        match self {
            Self::Adam => 0.05,
            Self::NormalizedGradient => 0.01,
            Self::Lbfgs => 1.0,
        }
    }
}

/// Adam (Kingma and Ba 2015) with PyTorch's defaults: betas 0.9 and 0.999, epsilon 1e-8.
///
/// `m = b1 m + (1-b1) g`, `v = b2 v + (1-b2) g^2`, `x += rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)`.
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
    fn step(&mut self, leaves: &mut [Vec<f32>], _value: f64, gradients: &[Vec<f32>], learning_rate: f64) {
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
            for (((x, &g), m), v) in leaf.iter_mut().zip(gradient).zip(first).zip(second) {
                *m = b1 * *m + c1 * g;
                *v = b2 * *v + c2 * g * g;
                *x += rate * *m / (v.sqrt() * root + epsilon);
            }
        }
    }

    fn save(&self) -> Vec<(String, Vec<f32>)> {
        let named = |name: &str, arrays: &[Vec<f32>]| {
            arrays.iter().enumerate().map(|(i, a)| (format!("{name}.{i}"), a.clone())).collect::<Vec<_>>()
        };
        let mut out = named("first", &self.first);
        out.extend(named("second", &self.second));
        out.push(("steps".into(), exact(f64::from(self.n_steps)).to_vec()));
        out
    }

    fn restore(&mut self, arrays: &[(String, Vec<f32>)]) {
        let with =
            |prefix: &str| arrays.iter().filter(|(n, _)| n.starts_with(prefix)).map(|(_, a)| a.clone()).collect();
        self.first = with("first.");
        self.second = with("second.");
        self.n_steps = arrays.iter().find(|(n, _)| n == "steps").map_or(0, |(_, a)| from_exact(a) as u32);
    }
}

/// `x += rate g / (rms(g) + 1e-5)`, the root mean square taken per image.
#[derive(Debug, Clone)]
pub struct NormalizedGradient {
    pub n_images: usize,
}

impl Optimizer for NormalizedGradient {
    fn step(&mut self, leaves: &mut [Vec<f32>], _value: f64, gradients: &[Vec<f32>], learning_rate: f64) {
        for (leaf, gradient) in leaves.iter_mut().zip(gradients) {
            let per_image = leaf.len() / self.n_images.max(1);
            for (x, g) in leaf.chunks_mut(per_image.max(1)).zip(gradient.chunks(per_image.max(1))) {
                let square: f64 = g.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / g.len() as f64;
                let scale = (learning_rate / (square.sqrt() + 1e-5)) as f32;
                x.iter_mut().zip(g).for_each(|(x, g)| *x += scale * g);
            }
        }
    }

    fn save(&self) -> Vec<(String, Vec<f32>)> {
        vec![]
    }

    fn restore(&mut self, _: &[(String, Vec<f32>)]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Climbs -(x - 3)^2 - 10 (y + 1)^2 from the origin.
    fn climb(optimizer: &mut dyn Optimizer, rate: impl Fn(usize) -> f64, steps: usize) -> Vec<f32> {
        let mut leaves = vec![vec![0.0f32, 0.0]];
        for t in 0..steps {
            let (x, y) = (leaves[0][0], leaves[0][1]);
            let value = f64::from(-(x - 3.0).powi(2) - 10.0 * (y + 1.0).powi(2));
            let gradient = vec![vec![-2.0 * (x - 3.0), -20.0 * (y + 1.0)]];
            optimizer.step(&mut leaves, value, &gradient, rate(t));
        }
        leaves.remove(0)
    }

    #[test]
    fn each_optimizer_reaches_the_top() {
        let anneal = |t: usize| 0.3 * (1.0 - t as f64 / 300.0);
        for kind in [OptimizerKind::Adam, OptimizerKind::NormalizedGradient] {
            let top = climb(kind.build(1).as_mut(), anneal, 300);
            assert!((top[0] - 3.0).abs() < 0.02 && (top[1] + 1.0).abs() < 0.02, "{kind:?}: {top:?}");
        }
        let top = climb(OptimizerKind::Lbfgs.build(1).as_mut(), |_| 1.0, 30);
        assert!((top[0] - 3.0).abs() < 1e-3 && (top[1] + 1.0).abs() < 1e-3, "lbfgs: {top:?}");
    }

    /// PyTorch 2.15, Adam lr 0.1 maximize, x0 = (1, -2), f = -(x^2 + 3 y^2): five steps.
    #[test]
    fn adam_follows_pytorch() {
        let mut leaves = vec![vec![1.0f32, -2.0]];
        let mut adam = Adam::default();
        for _ in 0..5 {
            let gradient = vec![vec![-2.0 * leaves[0][0], -6.0 * leaves[0][1]]];
            adam.step(&mut leaves, 0.0, &gradient, 0.1);
        }
        let expected = [0.507_963_7, -1.502_955_8];
        assert!(leaves[0].iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6), "{leaves:?}");
    }

    #[test]
    fn a_restored_optimizer_goes_on_bit_for_bit() {
        for kind in [OptimizerKind::Adam, OptimizerKind::Lbfgs, OptimizerKind::NormalizedGradient] {
            let gradient = |x: &[Vec<f32>]| vec![x[0].iter().map(|v| -v + 0.3).collect::<Vec<f32>>()];
            let value = |x: &[Vec<f32>]| -x[0].iter().map(|&v| f64::from(v - 0.3).powi(2) / 2.0).sum::<f64>();
            let mut leaves = vec![vec![1.0f32, -2.0, 0.5]];
            let mut original = kind.build(1);
            for _ in 0..4 {
                let (v, g) = (value(&leaves), gradient(&leaves));
                original.step(&mut leaves, v, &g, 0.1);
            }
            let mut twin = kind.build(1);
            twin.restore(&original.save());
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
}
