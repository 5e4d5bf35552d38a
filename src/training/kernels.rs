//! The arithmetic of the fused training operations on plain arrays, images in parallel.
//!
//! Work is cut into fixed groups of images and their sums are added in order: results do not depend
//! on the number of threads.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

/// A convolution with a square kernel, one stride and one padding, between C x H x W maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// In and out.
    pub channels: [usize; 2],
    /// Height and width, in and out.
    pub size: [[usize; 2]; 2],
    pub kernel: usize,
    pub stride: usize,
    pub pad: usize,
}

impl Conv {
    fn rows(&self) -> usize {
        self.channels[0] * self.kernel * self.kernel
    }

    fn pixels(&self, side: usize) -> usize {
        self.size[side][0] * self.size[side][1]
    }

    /// Numbers per image, in (0) or out (1).
    pub fn units(&self, side: usize) -> usize {
        self.channels[side] * self.pixels(side)
    }

    /// Images per group: enough columns for an efficient product.
    fn group(&self) -> usize {
        (768 / self.pixels(1)).clamp(1, 16)
    }

    /// `f(input row, output row offset, length)` for each unfolded row of one image: (row, output
    /// y, input y, x range).
    fn walk(&self, mut f: impl FnMut(usize, usize, usize, std::ops::Range<usize>, usize)) {
        let ([h, w], [oh, ow]) = (self.size[0], self.size[1]);
        for row in 0..self.rows() {
            let (c, ky, kx) = (row / (self.kernel * self.kernel), row / self.kernel % self.kernel, row % self.kernel);
            // Output columns whose input column stride*x + kx - pad lies in 0..w.
            let low = self.pad.saturating_sub(kx).div_ceil(self.stride);
            let high = ((w + self.pad - kx).div_ceil(self.stride)).min(ow);
            for y in 0..oh {
                let from = y * self.stride + ky;
                if from >= self.pad && from - self.pad < h && low < high {
                    let start = (c * h + from - self.pad) * w + low * self.stride + kx - self.pad;
                    f(row, y * ow, start, low..high, self.stride);
                }
            }
        }
    }

    /// Patches of the images in `x` as columns: rows() x (images x pixels).
    fn unfold(&self, x: &[f32], columns: &mut [f32]) {
        let (p, total) = (self.pixels(1), columns.len() / self.rows());
        for (i, image) in x.chunks_exact(self.units(0)).enumerate() {
            self.walk(|row, out, start, range, stride| {
                let to = row * total + i * p + out;
                let target = &mut columns[to + range.start..to + range.end];
                if stride == 1 {
                    target.copy_from_slice(&image[start..start + target.len()]);
                } else {
                    target.iter_mut().zip(image[start..].iter().step_by(stride)).for_each(|(t, v)| *t = *v);
                }
            });
        }
    }

    /// Adds columns back to where [`unfold`](Self::unfold) took them from.
    fn fold(&self, columns: &[f32], x: &mut [f32]) {
        let (p, total) = (self.pixels(1), columns.len() / self.rows());
        for (i, image) in x.chunks_exact_mut(self.units(0)).enumerate() {
            self.walk(|row, out, start, range, stride| {
                let from = row * total + i * p + out;
                let source = &columns[from + range.start..from + range.end];
                if stride == 1 {
                    image[start..start + source.len()].iter_mut().zip(source).for_each(|(t, v)| *t += *v);
                } else {
                    image[start..].iter_mut().step_by(stride).zip(source).for_each(|(t, v)| *t += *v);
                }
            });
        }
    }

    /// N x C x P as C x (N P), or back.
    fn swap(&self, from: &[f32], to: &mut [f32], back: bool) {
        let (c, p) = (self.channels[1], self.pixels(1));
        let n = from.len() / (c * p);
        for i in 0..n {
            for j in 0..c {
                let (images, channels) = ((i * c + j) * p, (j * n + i) * p);
                let (a, b) = if back { (channels, images) } else { (images, channels) };
                to[b..b + p].copy_from_slice(&from[a..a + p]);
            }
        }
    }

    /// N x C x H x W through the kernel `w` (out x in x k x k).
    pub fn forward(&self, x: &[f32], w: &[f32]) -> Vec<f32> {
        let n = x.len() / self.units(0);
        let mut z = vec![0.0; n * self.units(1)];
        let (g, k) = (self.group(), self.rows());
        z.par_chunks_mut(g * self.units(1)).zip(x.par_chunks(g * self.units(0))).for_each(|(z, x)| {
            let total = z.len() / self.channels[1];
            let mut columns = vec![0.0; k * total];
            self.unfold(x, &mut columns);
            if x.len() == self.units(0) {
                product(matrix(w, k), matrix(&columns, total), z, total);
            } else {
                let mut y = vec![0.0; z.len()];
                product(matrix(w, k), matrix(&columns, total), &mut y, total);
                self.swap(&y, z, true);
            }
        });
        z
    }

    /// Gradients at the input (when wanted) and at the kernel.
    pub fn backward(&self, x: &[f32], w: &[f32], dz: &[f32], want_input: bool) -> (Option<Vec<f32>>, Vec<f32>) {
        let (g, k) = (self.group(), self.rows());
        let mut dx = vec![0.0; x.len()];
        let groups = dx
            .par_chunks_mut(g * self.units(0))
            .zip(x.par_chunks(g * self.units(0)))
            .zip(dz.par_chunks(g * self.units(1)));
        let parts: Vec<Vec<f32>> = groups
            .map(|((dx, x), dz)| {
                let total = dz.len() / self.channels[1];
                let mut columns = vec![0.0; k * total];
                self.unfold(x, &mut columns);
                let mut swapped = vec![];
                let dy = if dz.len() == self.units(1) {
                    dz
                } else {
                    swapped.resize(dz.len(), 0.0);
                    self.swap(dz, &mut swapped, false);
                    &swapped[..]
                };
                let mut dw = vec![0.0; w.len()];
                product(matrix(dy, total), matrix(&columns, total).reversed_axes(), &mut dw, k);
                if want_input {
                    product(matrix(w, k).reversed_axes(), matrix(dy, total), &mut columns, total);
                    self.fold(&columns, dx);
                }
                dw
            })
            .collect();
        let mut dw = vec![0.0; w.len()];
        parts.iter().for_each(|part| dw.iter_mut().zip(part).for_each(|(a, b)| *a += b));
        (want_input.then_some(dx), dw)
    }
}

fn matrix(values: &[f32], columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((values.len() / columns, columns), values).expect("a whole number of rows")
}

fn product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, out: &mut [f32], columns: usize) {
    let rows = out.len() / columns;
    let mut out = ArrayViewMut2::from_shape((rows, columns), out).expect("a whole number of rows");
    general_mat_mul(1.0, &a, &b, 0.0, &mut out);
}

/// Two sums over images and pixels of `f(channel)(a, b)`, per channel.
fn channel_sums<F: Fn(f32, f32) -> [f32; 2]>(
    n_channels: usize,
    pixels: usize,
    a: &[f32],
    b: &[f32],
    f: impl Fn(usize) -> F + Sync,
) -> Vec<[f64; 2]> {
    let units = n_channels * pixels;
    let images = a.par_chunks(units).zip(b.par_chunks(units));
    let parts: Vec<Vec<[f64; 2]>> = images
        .map(|(a, b)| {
            let rows = a.chunks_exact(pixels).zip(b.chunks_exact(pixels)).enumerate();
            rows.map(|(c, (a, b))| row_sums(a, b, f(c))).collect()
        })
        .collect();
    let mut total = vec![[0.0; 2]; n_channels];
    parts.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(t, p)| *t = [t[0] + p[0], t[1] + p[1]]));
    total
}

/// Sums in eight lanes, so that they vectorise, added up in 64 bits.
fn row_sums(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> [f32; 2]) -> [f64; 2] {
    let (mut first, mut second) = ([0.0f32; 8], [0.0f32; 8]);
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let mut total = [0.0f64; 2];
    for (&a, &b) in a8.remainder().iter().zip(b8.remainder()) {
        let v = f(a, b);
        total = [total[0] + f64::from(v[0]), total[1] + f64::from(v[1])];
    }
    for (a, b) in a8.zip(b8) {
        for lane in 0..8 {
            let v = f(a[lane], b[lane]);
            first[lane] += v[0];
            second[lane] += v[1];
        }
    }
    let add = |lanes: [f32; 8]| lanes.iter().map(|&v| f64::from(v)).sum::<f64>();
    [total[0] + add(first), total[1] + add(second)]
}

/// Batch norm with the batch's own moments, then ReLU; one instance per call.
pub struct NormRelu {
    pixels: usize,
    pub mean: Vec<f32>,
    /// Biased, as the normalisation uses it.
    pub var: Vec<f32>,
    gain: Vec<f32>,
    shift: Vec<f32>,
    inverse: Vec<f32>,
}

impl NormRelu {
    /// Moments of `z` (N x C x pixels).
    pub fn new(z: &[f32], pixels: usize, gain: Vec<f32>, shift: Vec<f32>, epsilon: f32) -> Self {
        let c = gain.len();
        let m = (z.len() / c) as f64;
        let mean: Vec<f32> =
            channel_sums(c, pixels, z, z, |_| |v, _| [v, 0.0]).iter().map(|s| (s[0] / m) as f32).collect();
        let square = |c: usize| {
            let mean = mean[c];
            move |v: f32, _: f32| [(v - mean) * (v - mean), 0.0]
        };
        let var: Vec<f32> = channel_sums(c, pixels, z, z, square).iter().map(|s| (s[0] / m) as f32).collect();
        let inverse = var.iter().map(|v| 1.0 / (v + epsilon).sqrt()).collect();
        Self { pixels, mean, var, gain, shift, inverse }
    }

    /// `out = f(channel)(out, z)`, number by number.
    fn each<F: Fn(f32, f32) -> f32>(&self, z: &[f32], out: &mut [f32], f: impl Fn(usize) -> F + Sync) {
        let units = self.gain.len() * self.pixels;
        out.par_chunks_mut(units).zip(z.par_chunks(units)).for_each(|(out, z)| {
            for (c, (out, z)) in out.chunks_exact_mut(self.pixels).zip(z.chunks_exact(self.pixels)).enumerate() {
                let f = f(c);
                out.iter_mut().zip(z).for_each(|(o, z)| *o = f(*o, *z));
            }
        });
    }

    pub fn forward(&self, z: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; z.len()];
        self.each(z, &mut y, |c| {
            let (slope, offset) = self.line(c);
            move |_, z| (slope * z + offset).max(0.0)
        });
        y
    }

    /// Slope and offset of the channel's normalisation.
    fn line(&self, c: usize) -> (f32, f32) {
        let slope = self.inverse[c] * self.gain[c];
        (slope, self.shift[c] - slope * self.mean[c])
    }

    /// Gradients at z (in the place of `dy`), gain and shift.
    pub fn backward(&self, z: &[f32], mut dy: Vec<f32>) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let sums = channel_sums(self.gain.len(), self.pixels, z, &dy, |c| {
            let ((slope, offset), mean, inverse) = (self.line(c), self.mean[c], self.inverse[c]);
            move |z, g| {
                let g = if slope * z + offset > 0.0 { g } else { 0.0 };
                [g, g * (z - mean) * inverse]
            }
        });
        let m = (z.len() / self.gain.len()) as f64;
        let means: Vec<[f32; 2]> = sums.iter().map(|s| [(s[0] / m) as f32, (s[1] / m) as f32]).collect();
        self.each(z, &mut dy, |c| {
            let ((slope, offset), mean, inverse, [m0, m1]) = (self.line(c), self.mean[c], self.inverse[c], means[c]);
            move |g, z| {
                let g = if slope * z + offset > 0.0 { g } else { 0.0 };
                slope * (g - m0 - (z - mean) * inverse * m1)
            }
        });
        (dy, sums.iter().map(|s| s[1] as f32).collect(), sums.iter().map(|s| s[0] as f32).collect())
    }
}

/// Local response normalisation with beta = 3/4 over `size` channels.
#[derive(Debug, Clone, Copy)]
pub struct Lrn {
    pub channels: usize,
    pub pixels: usize,
    pub size: usize,
    pub alpha: f32,
    pub k: f32,
}

impl Lrn {
    /// Sum of `v` over neighbouring channels, at each pixel of one image.
    fn neighbours(&self, v: &[f32]) -> Vec<f32> {
        let (p, half) = (self.pixels, self.size / 2);
        let mut out = vec![0.0; v.len()];
        for c in 0..self.channels {
            for other in c.saturating_sub(half)..(c + half + 1).min(self.channels) {
                let source = &v[other * p..(other + 1) * p];
                out[c * p..(c + 1) * p].iter_mut().zip(source).for_each(|(o, s)| *o += s);
            }
        }
        out
    }

    /// `k + alpha/size * sum of squares`.
    fn pool(&self, x: &[f32]) -> Vec<f32> {
        let squares: Vec<f32> = x.iter().map(|v| v * v).collect();
        let gain = self.alpha / self.size as f32;
        self.neighbours(&squares).into_iter().map(|s| self.k + gain * s).collect()
    }

    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        let units = self.channels * self.pixels;
        y.par_chunks_mut(units).zip(x.par_chunks(units)).for_each(|(y, x)| {
            for ((y, x), s) in y.iter_mut().zip(x).zip(self.pool(x)) {
                *y = x * three_quarters(s);
            }
        });
        y
    }

    pub fn backward(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let mut dx = vec![0.0; x.len()];
        let units = self.channels * self.pixels;
        let factor = 1.5 * self.alpha / self.size as f32;
        dx.par_chunks_mut(units).zip(x.par_chunks(units)).zip(dy.par_chunks(units)).for_each(|((dx, x), dy)| {
            let s = self.pool(x);
            let powers: Vec<f32> = s.iter().map(|&s| three_quarters(s)).collect();
            let cross: Vec<f32> = (0..units).map(|i| dy[i] * x[i] * powers[i] / s[i]).collect();
            let spread = self.neighbours(&cross);
            (0..units).for_each(|i| dx[i] = dy[i] * powers[i] - factor * x[i] * spread[i]);
        });
        dx
    }
}

/// `s^(-3/4)`.
fn three_quarters(s: f32) -> f32 {
    let root = s.sqrt();
    1.0 / (root * root.sqrt())
}

/// Maxima over 3 x 3 windows, and where they were (index within the plane). `pad` 1 on all sides,
/// or 0.
pub fn max_pool(x: &[f32], size: [[usize; 2]; 2], stride: usize, pad: usize) -> (Vec<f32>, Vec<u32>) {
    let ([h, w], [oh, ow]) = (size[0], size[1]);
    let planes = x.len() / (h * w);
    let (mut y, mut at) = (vec![0.0; planes * oh * ow], vec![0u32; planes * oh * ow]);
    y.par_chunks_mut(oh * ow).zip(at.par_chunks_mut(oh * ow)).zip(x.par_chunks(h * w)).with_min_len(32).for_each(
        |((y, at), x)| {
            for i in 0..oh {
                let rows = (i * stride).saturating_sub(pad)..(i * stride + 3 - pad).min(h);
                for j in 0..ow {
                    let (low, high) = ((j * stride).saturating_sub(pad), (j * stride + 3 - pad).min(w));
                    let mut best = (f32::MIN, 0);
                    for row in rows.clone() {
                        for (column, &v) in x[row * w + low..row * w + high].iter().enumerate() {
                            if v > best.0 {
                                best = (v, row * w + low + column);
                            }
                        }
                    }
                    y[i * ow + j] = best.0;
                    at[i * ow + j] = best.1 as u32;
                }
            }
        },
    );
    (y, at)
}

/// The gradient of [`max_pool`].
pub fn max_pool_backward(at: &[u32], dy: &[f32], size: [[usize; 2]; 2]) -> Vec<f32> {
    let (n_in, n_out) = (size[0][0] * size[0][1], size[1][0] * size[1][1]);
    let mut dx = vec![0.0; at.len() / n_out * n_in];
    dx.par_chunks_mut(n_in).zip(at.par_chunks(n_out)).zip(dy.par_chunks(n_out)).with_min_len(32).for_each(
        |((dx, at), dy)| {
            at.iter().zip(dy).for_each(|(&i, g)| dx[i as usize] += g);
        },
    );
    dx
}
