//! Limited-memory BFGS with a backtracking search, one evaluation per step so that it can be
//! interrupted anywhere.

use super::optimizer::{Optimizer, exact, from_exact};
use ndarray::Array2;

/// Curvature pairs kept (Nocedal and Wright 2006, section 7.2).
const MEMORY: usize = 10;
/// Sufficient increase (Armijo), as a share of what the slope promises.
const ARMIJO: f64 = 1e-4;
/// Step lengths are cut by this factor when the increase is not sufficient.
const BACKTRACK: f64 = 0.3;
/// After so many cuts the search starts again from the plain gradient.
const MAX_CUTS: u32 = 12;

/// L-BFGS ascent (Nocedal and Wright 2006, algorithm 7.4). Each call judges the point tried last
/// and proposes the next.
#[derive(Debug, Clone, Default)]
pub struct Lbfgs {
    /// The last accepted point, its gradient and its value.
    point: Vec<f32>,
    gradient: Vec<f32>,
    value: f64,
    direction: Vec<f32>,
    length: f64,
    n_cuts: u32,
    /// Displacements and gradient changes, oldest first.
    s: Vec<Vec<f32>>,
    y: Vec<Vec<f32>>,
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

impl Lbfgs {
    fn accept(&mut self, x: &[f32], value: f64, gradient: &[f32], rate: f64) {
        if !self.point.is_empty() {
            let s: Vec<f32> = x.iter().zip(&self.point).map(|(a, b)| a - b).collect();
            // Ascent on f is descent on -f: the change of -gradient keeps the curvature s.y
            // positive.
            let y: Vec<f32> = self.gradient.iter().zip(gradient).map(|(old, new)| old - new).collect();
            if dot(&s, &y) > 1e-10 * dot(&y, &y).sqrt() * dot(&s, &s).sqrt() {
                self.s.push(s);
                self.y.push(y);
                if self.s.len() > MEMORY {
                    self.s.remove(0);
                    self.y.remove(0);
                }
            }
        }
        self.point = x.to_vec();
        self.gradient = gradient.to_vec();
        self.value = value;
        self.n_cuts = 0;
        self.propose(rate);
    }

    /// Two-loop recursion; falls back to the gradient when the direction does not climb.
    fn propose(&mut self, rate: f64) {
        let mut q = self.gradient.clone();
        let mut alphas = vec![0.0; self.s.len()];
        for i in (0..self.s.len()).rev() {
            alphas[i] = dot(&self.s[i], &q) / dot(&self.s[i], &self.y[i]);
            add(&mut q, -alphas[i], &self.y[i]);
        }
        if let (Some(s), Some(y)) = (self.s.last(), self.y.last()) {
            let scale = (dot(s, y) / dot(y, y)) as f32;
            q.iter_mut().for_each(|v| *v *= scale);
        }
        for ((s, y), alpha) in self.s.iter().zip(&self.y).zip(alphas) {
            let beta = dot(y, &q) / dot(s, y);
            add(&mut q, alpha - beta, s);
        }
        if self.s.is_empty() || dot(&q, &self.gradient) <= 0.0 {
            self.s.clear();
            self.y.clear();
            q = self.gradient.clone();
            // Without curvature, the first move is `rate` per value in root mean square.
            let rms = (dot(&q, &q) / q.len().max(1) as f64).sqrt();
            self.length = 0.01 * rate / (rms + 1e-30);
        } else {
            self.length = rate;
        }
        self.direction = q;
    }
}

fn add(target: &mut [f32], factor: f64, other: &[f32]) {
    target.iter_mut().zip(other).for_each(|(t, &o)| *t += (factor * f64::from(o)) as f32);
}

impl Optimizer for Lbfgs {
    fn step(&mut self, leaves: &mut [Array2<f32>], value: f64, gradients: &[Array2<f32>], learning_rate: f64) {
        let x: Vec<f32> = leaves.iter().flatten().copied().collect();
        let gradient: Vec<f32> = gradients.iter().flatten().copied().collect();
        let promised = ARMIJO * self.length * dot(&self.direction, &self.gradient);
        if self.point.is_empty() || value >= self.value + promised || self.n_cuts >= MAX_CUTS {
            if self.n_cuts >= MAX_CUTS {
                self.s.clear();
                self.y.clear();
            }
            self.accept(&x, value, &gradient, learning_rate);
        } else {
            self.length *= BACKTRACK;
            self.n_cuts += 1;
        }
        let mut next = self.point.clone();
        add(&mut next, self.length, &self.direction);
        let mut rest = next.as_slice();
        for leaf in leaves {
            let (head, tail) = rest.split_at(leaf.len());
            leaf.iter_mut().zip(head).for_each(|(slot, v)| *slot = *v);
            rest = tail;
        }
    }

    fn save(self: Box<Self>) -> Vec<(String, Vec<f32>)> {
        let scalars = [self.value, self.length, f64::from(self.n_cuts)].iter().flat_map(|&v| exact(v)).collect();
        let mut out = vec![
            ("point".into(), self.point),
            ("gradient".into(), self.gradient),
            ("direction".into(), self.direction),
            ("scalars".into(), scalars),
        ];
        for (name, list) in [("s", self.s), ("y", self.y)] {
            out.extend(list.into_iter().enumerate().map(|(i, a)| (format!("{name}.{i:02}"), a)));
        }
        out
    }

    fn restore(&mut self, arrays: Vec<(String, Vec<f32>)>) {
        *self = Self::default();
        for (name, array) in arrays {
            match name.as_str() {
                "point" => self.point = array,
                "gradient" => self.gradient = array,
                "direction" => self.direction = array,
                "scalars" => {
                    if let [value, length, cuts] = array.chunks(4).map(from_exact).collect::<Vec<_>>()[..] {
                        (self.value, self.length, self.n_cuts) = (value, length, cuts as u32);
                    }
                }
                _ if name.starts_with("s.") => self.s.push(array),
                _ if name.starts_with("y.") => self.y.push(array),
                _ => {}
            }
        }
    }

    /// Curvature is that of all rows together: without some of them the search begins anew.
    fn retain(&mut self, _: &[bool]) {
        *self = Self::default();
    }
}
