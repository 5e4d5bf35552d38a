//! How weights follow the gradient of a loss, downhill, with the state as plain arrays.

use crate::error::{Error, Result};
use crate::synthesis::{Adam, Optimizer};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Method {
    /// [`Adam`] with decoupled weight decay (Loshchilov & Hutter 2019), PyTorch's `AdamW`: `w *= 1
    /// - rate decay`, then Adam's step.
    AdamW { beta1: f64, beta2: f64, epsilon: f64 },
    /// PyTorch's `SGD` without dampening: `g += decay w`, `v = momentum v + g`, `w -= rate v`.
    Sgd { momentum: f64 },
}

impl Default for Method {
    /// PyTorch's defaults of AdamW.
    fn default() -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// A rule and its state: one array for each parameter, or none before the first step.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    AdamW(Adam),
    Sgd { momentum: f32, velocity: Vec<Vec<f32>> },
}

/// Where an error of a restored state is, and what to do about it.
pub(super) const CHECKPOINT: &str = "checkpoint of a training";
pub(super) const OTHER: &str = "it is of another network or method: train from the beginning, in another folder";

/// Arrays by name.
pub(crate) type Arrays = BTreeMap<String, Vec<f32>>;

impl Rule {
    pub fn new(method: Method) -> Self {
        match method {
            Method::AdamW { beta1, beta2, epsilon } => {
                let mut adam = Adam::default();
                (adam.beta1, adam.beta2, adam.epsilon) = (beta1, beta2, epsilon);
                Self::AdamW(adam)
            }
            Method::Sgd { momentum } => Self::Sgd { momentum: momentum as f32, velocity: vec![] },
        }
    }

    /// One update of all weights (1 x n each) for the loss's gradients; `decays` has one number for
    /// each.
    pub fn step(&mut self, weights: &mut [Array2<f32>], mut gradients: Vec<Array2<f32>>, rate: f64, decays: &[f64]) {
        let decaying = decays.iter().map(|&d| if d == 0.0 { None } else { Some(d) });
        match self {
            Self::AdamW(adam) => {
                for (w, decay) in weights.iter_mut().zip(decaying) {
                    if let Some(decay) = decay {
                        *w *= (1.0 - rate * decay) as f32;
                    }
                }
                // Synthesis ascends.
                gradients.iter_mut().for_each(|g| g.mapv_inplace(|v| -v));
                adam.step(weights, 0.0, &gradients, rate);
            }
            Self::Sgd { momentum, velocity } => {
                if velocity.is_empty() {
                    *velocity = weights.iter().map(|w| vec![0.0; w.len()]).collect();
                }
                let parts = weights.iter_mut().zip(gradients).zip(velocity).zip(decaying);
                for (((w, g), velocity), decay) in parts {
                    let decay = decay.unwrap_or(0.0) as f32;
                    for ((w, g), v) in w.iter_mut().zip(g).zip(velocity) {
                        *v = *momentum * *v + (g + decay * *w);
                        *w -= rate as f32 * *v;
                    }
                }
            }
        }
    }

    /// The state, each array under its kind and its parameter's name.
    pub fn save(&self, names: &[String]) -> Arrays {
        let (kinds, rest) = match self {
            Self::AdamW(adam) => split(Box::new(adam.clone()).save()),
            Self::Sgd { velocity, .. } => (vec![("velocity", velocity.clone())], vec![]),
        };
        let mut out: Arrays = rest.into_iter().collect();
        for (kind, arrays) in kinds {
            out.extend(names.iter().zip(arrays).map(|(name, a)| (format!("{kind} {name}"), a)));
        }
        out
    }

    /// Takes back what [`save`](Self::save) gave; `sizes` are the parameters' lengths.
    pub fn restore(&mut self, names: &[String], sizes: &[usize], arrays: &mut Arrays) -> Result<()> {
        match self {
            Self::AdamW(adam) => {
                let mut state = Vec::new();
                for kind in ["first", "second"] {
                    let moments = take(kind, names, sizes, arrays)?;
                    state.extend(moments.into_iter().enumerate().map(|(i, a)| (format!("{kind}.{i}"), a)));
                }
                let steps = arrays.remove("steps").ok_or_else(|| missing("steps"))?;
                state.push(("steps".into(), steps));
                adam.restore(state);
            }
            Self::Sgd { velocity, .. } => *velocity = take("velocity", names, sizes, arrays)?,
        }
        Ok(())
    }
}

/// Adam's arrays by kind, and what else it saves.
type Saved = (Vec<(&'static str, Vec<Vec<f32>>)>, Vec<(String, Vec<f32>)>);

fn split(saved: Vec<(String, Vec<f32>)>) -> Saved {
    let (mut first, mut second, mut rest) = (vec![], vec![], vec![]);
    for (name, array) in saved {
        match name.split_once('.') {
            Some(("first", _)) => first.push(array),
            Some(("second", _)) => second.push(array),
            _ => rest.push((name, array)),
        }
    }
    (vec![("first", first), ("second", second)], rest)
}

fn missing(name: &str) -> Error {
    Error::invalid(CHECKPOINT, format!("an array `{name}` of its weight's size"), "none", OTHER)
}

/// One array of a kind for each parameter, or none at all.
fn take(kind: &str, names: &[String], sizes: &[usize], arrays: &mut Arrays) -> Result<Vec<Vec<f32>>> {
    let key = |name: &String| format!("{kind} {name}");
    if !names.iter().any(|name| arrays.contains_key(&key(name))) {
        return Ok(vec![]);
    }
    let one = |(name, &size): (&String, &usize)| {
        arrays.remove(&key(name)).filter(|a| a.len() == size).ok_or_else(|| missing(&key(name)))
    };
    names.iter().zip(sizes).map(one).collect()
}

/// The root of the sum of all squares, and gradients scaled down to it: PyTorch's
/// `clip_grad_norm_`, `g *= min(most / (norm + 1e-6), 1)`. Returns the norm before.
pub(super) fn clip(gradients: &mut [Array2<f32>], most: Option<f64>) -> f64 {
    let norm = gradients.iter().flatten().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    let scale = most.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
    if scale < 1.0 {
        gradients.iter_mut().for_each(|g| *g *= scale as f32);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Three steps on f = x^2 + 3 y^2 from (1, -2) at rate 0.1, weight decay 0.05 on x only.
    fn descend(method: Method) -> [f32; 2] {
        let mut rule = Rule::new(method);
        let mut weights = vec![array![[1.0f32]], array![[-2.0f32]]];
        for _ in 0..3 {
            let gradients = vec![&weights[0] * 2.0, &weights[1] * 6.0];
            rule.step(&mut weights, gradients, 0.1, &[0.05, 0.0]);
        }
        [weights[0][(0, 0)], weights[1][(0, 0)]]
    }

    /// NumPy, in 64 bits, from the formulas of PyTorch's documentation of AdamW and SGD.
    #[test]
    fn three_steps_are_numpys() {
        let adamw = descend(Method::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 });
        let sgd = descend(Method::Sgd { momentum: 0.9 });
        for (found, expected) in [(adamw, [0.688_176_434, -1.700_580_306]), (sgd, [0.043_054_875, 1.708])] {
            assert!(found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{found:?}");
        }
    }

    /// By hand: the norm of (3, 4, 12) is 13.
    #[test]
    fn gradients_are_clipped_together() {
        let fresh = || vec![array![[3.0f32, 4.0]], array![[12.0f32]]];
        let mut gradients = fresh();
        assert_eq!(clip(&mut gradients, None), 13.0);
        assert_eq!(clip(&mut gradients, Some(13.5)), 13.0);
        assert_eq!(gradients, fresh());
        assert_eq!(clip(&mut gradients, Some(1.3)), 13.0);
        let found: Vec<f32> = gradients.iter().flatten().copied().collect();
        assert!(found.iter().zip([0.3, 0.4, 1.2]).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn state_of_another_network_is_refused() {
        let names = ["a".to_owned(), "b".to_owned()];
        for method in [Method::default(), Method::Sgd { momentum: 0.5 }] {
            let mut rule = Rule::new(method);
            rule.step(
                &mut [array![[1.0f32, 2.0]], array![[3.0f32]]],
                vec![array![[1.0, 1.0]], array![[1.0]]],
                0.1,
                &[0.0; 2],
            );
            let saved = rule.save(&names);
            let restore =
                |names: &[String], sizes: &[usize]| Rule::new(method).restore(names, sizes, &mut saved.clone());
            assert!(restore(&names, &[2, 1]).is_ok());
            assert!(restore(&names, &[2, 2]).is_err());
            assert!(restore(&["a".to_owned(), "c".to_owned()], &[2, 1]).is_err());
        }
    }
}
