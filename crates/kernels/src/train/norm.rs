//! Batch norm with the batch's own moments, followed by ReLU.
//!
//! With z before the norm, `zhat = (z - mean) / sqrt(var + epsilon)` and `a = max(gain zhat +
//! shift, 0)`, gradients g at a that are set to 0 where a is, and m numbers of a channel:
//!
//! ```text
//! d shift = sum g,  d gain = sum g zhat,  dz = gain / sqrt(var + epsilon) (g - d shift / m - zhat d gain / m)
//! ```

use super::lanes::Channels;
use super::{Kernels, padded};

/// Number, mean and sum of squares about it, of each channel.
#[derive(Debug, Clone)]
pub struct Moments {
    n: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// None of `channels` (with padding) yet.
    pub fn new(channels: usize) -> Self {
        Self { n: 0.0, mean: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    /// Adds a few pixels: their sums are taken in 32 bits, about their own mean, and joined in 64.
    pub fn add(&mut self, kernels: &Kernels, z: &[f32]) {
        let width = self.mean.len();
        let n = (z.len() / width) as f64;
        let total = self.n + n;
        let weight = self.n * n / total;
        for (group, [mean, rest, squares]) in kernels.moments(z, width).enumerate() {
            for l in 0..mean.len() {
                let c = group * mean.len() + l;
                // What rounding left of the mean.
                let rest = f64::from(rest[l]) / n;
                let apart = f64::from(mean[l]) + rest - self.mean[c];
                self.mean[c] += apart * n / total;
                self.squares[c] += f64::from(squares[l]) - n * rest * rest + apart * apart * weight;
            }
        }
        self.n = total;
    }

    /// Adds another's (Chan, Golub & LeVeque 1983).
    pub fn join(&mut self, other: &Self) {
        let total = self.n + other.n;
        for c in 0..self.mean.len() {
            let apart = other.mean[c] - self.mean[c];
            self.mean[c] += apart * other.n / total;
            self.squares[c] += other.squares[c] + apart * apart * self.n * other.n / total;
        }
        self.n = total;
    }

    /// How many numbers a channel has.
    pub fn n(&self) -> f64 {
        self.n
    }

    /// Means of the first `n` channels.
    pub fn mean(&self, n: usize) -> Vec<f32> {
        self.mean[..n].iter().map(|&v| v as f32).collect()
    }

    /// Variances of the first `n` channels, divided by the number of values less `less`.
    pub fn variance(&self, n: usize, less: f64) -> Vec<f32> {
        self.squares[..n].iter().map(|&s| (s / (self.n - less).max(1.0)) as f32).collect()
    }
}

/// A norm whose moments are known: lines `slope z + offset`, and what the way back needs. Zero
/// beyond the last channel.
#[derive(Debug, Clone)]
pub struct Norm {
    slope: Vec<f32>,
    offset: Vec<f32>,
    mean: Vec<f32>,
    inverse: Vec<f32>,
}

/// Two sums for each channel: of g, and of g zhat.
pub type Sums = Vec<[f64; 2]>;

impl Norm {
    /// From the moments of z, and gain and shift of the channels.
    pub fn new(moments: &Moments, gain: &[f32], shift: &[f32], epsilon: f32) -> Self {
        let n = gain.len();
        let (mean, var) = (moments.mean(n), moments.variance(n, 0.0));
        let fill = |f: &dyn Fn(usize) -> f32| (0..padded(n)).map(|c| if c < n { f(c) } else { 0.0 }).collect();
        let inverse = |c: usize| 1.0 / (var[c] + epsilon).sqrt();
        Self {
            slope: fill(&|c| inverse(c) * gain[c]),
            offset: fill(&|c| shift[c] - inverse(c) * gain[c] * mean[c]),
            mean: fill(&|c| mean[c]),
            inverse: fill(&inverse),
        }
    }

    /// `out = max(slope z + offset, 0)`, pixel by pixel.
    pub fn activate(&self, kernels: &Kernels, z: &[f32], out: &mut [f32]) {
        kernels.activate(Channels { slope: &self.slope, offset: &self.offset }, z, out);
    }

    /// Adds the sums of a few pixels' g and g zhat, taken in 32 bits.
    pub fn sums(&self, kernels: &Kernels, z: &[f32], g: &[f32], sums: &mut Sums) {
        let line = Channels { slope: &self.slope, offset: &self.offset };
        let groups = kernels.live_sums(line, &self.mean, &self.inverse, z, g);
        for ([first, second], sums) in groups.zip(sums.chunks_exact_mut(super::WIDTH)) {
            for (l, sum) in sums.iter_mut().enumerate() {
                *sum = [sum[0] + f64::from(first[l]), sum[1] + f64::from(second[l])];
            }
        }
    }

    /// The gradient at z: `dz = slope g + scale (z - mean) + constant`, g set to 0 where a is.
    pub fn back(&self, sums: &Sums, m: f64) -> Back<'_> {
        let one = |c: usize| {
            let [shift, gain] = sums[c].map(|s| (s / m) as f32);
            (-self.slope[c] * self.inverse[c] * gain, -self.slope[c] * shift)
        };
        let (scale, constant) = (0..self.slope.len()).map(one).unzip();
        Back { norm: self, scale, constant }
    }
}

/// See [`Norm::back`].
pub struct Back<'a> {
    norm: &'a Norm,
    scale: Vec<f32>,
    constant: Vec<f32>,
}

impl Back<'_> {
    /// dz of some pixels.
    pub fn gradient(&self, kernels: &Kernels, z: &[f32], g: &[f32], dz: &mut [f32]) {
        let norm = self.norm;
        let line = Channels { slope: &norm.slope, offset: &norm.offset };
        kernels.norm_gradient(line, [&norm.mean, &self.scale, &self.constant], z, g, dz);
    }
}
