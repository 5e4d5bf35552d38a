//! Phases alone: the amplitude spectrum is held to that of natural images.

use super::colour::{achromatic_gain, correlation, decorrelation, luminance_plane};
use super::custom::with_gradient;
use super::param::{Canvas, ImageParam, precision_of};
use super::spectrum::fft2;
use crate::error::{Error, Result};
use crate::rng;
use crate::tensor::{Device, Tensor, Var, constant, tensor_f64};
use burn_tensor::{Int, TensorData};
use ndarray::{Array2, Array3, Array4, ArrayView3, Axis};
use rayon::prelude::*;
use std::f64::consts::{PI, TAU};

/// Mean amplitude spectrum of images on the decorrelated colour axes (one luminance axis when
/// grey), and the axes' mean values.
#[derive(Debug, Clone, PartialEq)]
pub struct Amplitude {
    /// channels x height x (width / 2 + 1), orthonormal DFT, 0 at zero frequency.
    pub spectrum: Array3<f64>,
    /// Mean of each axis over pixels and images, from mid-grey.
    pub mean: Vec<f64>,
}

impl Amplitude {
    /// `A[k, u, v] = mean over images of |F[k, u, v]|`.
    ///
    /// # Shapes
    /// `images`: n x 3 x height x width, in [0, 1].
    ///
    /// # Errors
    /// [`Error::Invalid`] without images.
    pub fn of(images: &Array4<f32>, grey: bool) -> Result<Self> {
        let (n, _, height, width) = images.dim();
        if n == 0 {
            return Err(Error::invalid("amplitude spectrum", "at least one natural image", "none", ""));
        }
        let channels = if grey { 1 } else { 3 };
        let columns = width / 2 + 1;
        let one = |i: usize| {
            let planes = axes(images.index_axis(Axis(0), i), grey);
            let means: Vec<f64> = planes.iter().map(|p| p.sum() / p.len() as f64).collect();
            let mut out = Array3::zeros((channels, height, columns));
            for (k, plane) in planes.iter().enumerate() {
                let spectrum = fft2(plane);
                out.index_axis_mut(Axis(0), k).indexed_iter_mut().for_each(|((u, v), a)| *a = spectrum[(u, v)].norm());
            }
            (out, means)
        };
        let all: Vec<_> = (0..n).into_par_iter().map(one).collect();
        let mut spectrum = Array3::zeros((channels, height, columns));
        let mut mean = vec![0.0; channels];
        for (one, means) in &all {
            spectrum += one;
            mean.iter_mut().zip(means).for_each(|(sum, m)| *sum += m / n as f64);
        }
        spectrum /= n as f64;
        spectrum.outer_iter_mut().for_each(|mut axis| axis[(0, 0)] = 0.0);
        Ok(Self { spectrum, mean })
    }
}

/// An image (3 x h x w) from mid-grey on the colour axes that [`PhaseOnly`] mixes.
fn axes(image: ArrayView3<'_, f32>, grey: bool) -> Vec<Array2<f64>> {
    if grey {
        return vec![luminance_plane(image).mapv(|v| (v - 0.5) / achromatic_gain())];
    }
    let planes: Vec<Array2<f64>> = image.axis_iter(Axis(0)).map(|p| p.mapv(|v| f64::from(v) - 0.5)).collect();
    correlation().iter().map(|row| &planes[0] * row[0] + &planes[1] * row[1] + &planes[2] * row[2]).collect()
}

/// Phases `t` of a fixed amplitude spectrum A, rendered as
///
/// ```text
/// plane[k] = mean[k] + irfft2( A[k] exp(i t[k]) ),   image = clip( 1/2 + M plane ),   M: colour::decorrelation
/// ```
///
/// Conjugate bins share a phase, so the spectrum before clipping is exactly A. The gradient of the
/// clip is taken as 1. The one leaf holds, per image, channels x height x (width / 2 + 1) phases in
/// radians.
///
/// # Source
/// Fel et al., "Unlocking feature visualization for deeper networks with magnitude constrained
/// optimization", NeurIPS 2023.
#[derive(Debug)]
pub struct PhaseOnly {
    canvas: Canvas,
    amplitude: Amplitude,
    /// Which stored phase a bin takes, and with which sign (0 where the bin is real).
    source: Vec<i64>,
    sign: Vec<f64>,
    along_rows: Array2<f64>,
    along_columns: Array2<f64>,
    initial: Array2<f32>,
    seed: u64,
}

impl PhaseOnly {
    /// Random phases, uniform in [-pi, pi); image `i` has the stream (`seed`, "phases", i).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an amplitude spectrum of another size.
    pub fn new(canvas: Canvas, amplitude: Amplitude, seed: u64) -> Result<Self> {
        canvas.check("phase parametrisation")?;
        let Canvas { height, width, .. } = canvas;
        let wanted = (canvas.n_channels(), height, width / 2 + 1);
        if amplitude.spectrum.dim() != wanted {
            let found = format!("{:?}", amplitude.spectrum.dim());
            return Err(Error::invalid(
                "phase parametrisation",
                format!("an amplitude spectrum of {wanted:?}"),
                found,
                "",
            ));
        }
        let n_values = wanted.0 * wanted.1 * wanted.2;
        let mut initial = Array2::zeros((canvas.n_images, n_values));
        for (i, mut row) in initial.outer_iter_mut().enumerate() {
            let mut draws = rng::stream(seed, "phases", i as u64);
            row.mapv_inplace(|_: f32| draws.uniform_in(-PI, PI) as f32);
        }
        let (source, sign) = conjugates(height, width);
        let rows: Vec<usize> = (0..height).collect();
        let (along_rows, along_columns) = (row_table(&rows, height), column_table(wanted.2, height, width));
        Ok(Self { canvas, amplitude, source, sign, along_rows, along_columns, initial, seed })
    }

    /// The phases of all bins: conjugate bins from their partners.
    fn phases(&self, leaf: &Var<2>, device: &Device) -> Var<3> {
        let n = leaf.dims()[0];
        let (channels, bins) = (self.canvas.n_channels(), self.source.len());
        let index = burn_tensor::Tensor::<crate::tensor::AutoBackend, 1, Int>::from_data(
            TensorData::new(self.source.clone(), [bins]),
            device,
        );
        let sign = ndarray::ArrayView1::from(&self.sign);
        let sign: Tensor<1> = tensor_f64(sign, precision_of(leaf), device);
        let stored = leaf.clone().reshape([n * channels, bins]).select(1, index);
        (stored * constant(sign.reshape([1, bins]))).reshape([n, channels, bins])
    }
}

/// For each bin (row-major, height x (width / 2 + 1)): the bin whose phase it takes, and the sign.
fn conjugates(height: usize, width: usize) -> (Vec<i64>, Vec<f64>) {
    let columns = width / 2 + 1;
    let mut out = (Vec::with_capacity(height * columns), Vec::with_capacity(height * columns));
    for u in 0..height {
        for v in 0..columns {
            let own_column = v == 0 || 2 * v == width;
            let mirror = (height - u) % height;
            let (from, sign) = match (own_column, mirror.cmp(&u)) {
                (true, std::cmp::Ordering::Equal) => (u, 0.0),
                (true, std::cmp::Ordering::Less) => (mirror, -1.0),
                _ => (u, 1.0),
            };
            out.0.push((from * columns + v) as i64);
            out.1.push(sign);
        }
    }
    out
}

/// `exp(2 pi i u y / h)` as a real matrix: rows (y, part), columns (part, u).
fn row_table(rows: &[usize], h: usize) -> Array2<f64> {
    Array2::from_shape_fn((2 * h, 2 * rows.len()), |(out, into)| {
        let (y, part) = (out / 2, out % 2);
        let angle = TAU * ((y * rows[into % rows.len()]) % h) as f64 / h as f64;
        match (part, into / rows.len()) {
            (0, 0) | (1, 1) => angle.cos(),
            (0, _) => -angle.sin(),
            _ => angle.sin(),
        }
    })
}

/// `m_v (hw)^(-1/2) (cos, -sin)(2 pi v x / w)`; `m_v` counts the conjugate bin: 1 for v = 0 and the
/// Nyquist bin, else 2.
fn column_table(n_columns: usize, h: usize, w: usize) -> Array2<f64> {
    let norm = 1.0 / ((h * w) as f64).sqrt();
    Array2::from_shape_fn((2 * n_columns, w), |(into, x)| {
        let v = into % n_columns;
        let angle = TAU * ((v * x) % w) as f64 / w as f64;
        let weight = if v == 0 || 2 * v == w { norm } else { 2.0 * norm };
        if into < n_columns { weight * angle.cos() } else { -weight * angle.sin() }
    })
}

impl ImageParam for PhaseOnly {
    fn shape(&self) -> [usize; 4] {
        self.canvas.shape()
    }

    fn leaves(&self) -> Vec<Array2<f32>> {
        vec![self.initial.clone()]
    }

    fn render(&self, leaves: &[Var<2>]) -> Var<4> {
        let (precision, device) = (precision_of(&leaves[0]), leaves[0].device());
        let table = |a: &Array2<f64>| -> Tensor<2> { tensor_f64(a.view(), precision, &device) };
        let n = leaves[0].dims()[0];
        let (channels, Canvas { height, width, .. }) = (self.canvas.n_channels(), self.canvas);
        let columns = width / 2 + 1;
        let phases = self.phases(&leaves[0], &device);
        let amplitude: Tensor<3> = tensor_f64(self.amplitude.spectrum.view(), precision, &device);
        let amplitude = constant(amplitude.reshape([1, channels, height * columns]));
        let parts = vec![phases.clone().cos() * amplitude.clone(), phases.sin() * amplitude];
        let spectrum: Var<4> = Var::stack(parts, 2);
        let mixing = if self.canvas.grey {
            Array2::from_elem((1, 1), achromatic_gain())
        } else {
            let m = decorrelation();
            Array2::from_shape_fn((3, 3), |(i, j)| m[i][j])
        };
        let mixed = constant(table(&mixing).reshape([1, channels, channels]))
            .matmul(spectrum.reshape([n, channels, 2 * height * columns]))
            .reshape([n * channels, 2 * height, columns]);
        let along_rows = constant(table(&self.along_rows).reshape([1, 2 * height, 2 * height]));
        let half = along_rows.matmul(mixed).reshape([n * channels * height, 2 * columns]);
        let planes = half.matmul(constant(table(&self.along_columns))).reshape([n, channels, height, width]);
        let mean = Array2::from_shape_vec((channels, 1), self.amplitude.mean.clone()).expect("one mean per axis");
        let mean = mixing.dot(&mean).mapv(|v| v + 0.5);
        let planes = planes + constant(table(&mean).reshape([1, channels, 1, 1]));
        let shown = with_gradient(planes, |planes| (planes.clamp(0.0, 1.0), |gradient| gradient));
        if channels == 1 { shown.repeat_dim(1, 3) } else { shown }
    }

    fn describe(&self) -> String {
        let colour = if self.canvas.grey { "luminance" } else { "decorrelated colour" };
        format!("phases of the mean natural amplitude spectrum ({colour}), seed {}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::param::render_array;
    use super::super::testing::{check_gradient, uniform_images};
    use super::*;

    fn param(grey: bool, width: usize) -> PhaseOnly {
        let natural = uniform_images("phase", (4, 3, 6, width)).mapv(|v| 0.45 + 0.1 * v);
        let canvas = Canvas { n_images: 2, height: 6, width, grey };
        PhaseOnly::new(canvas, Amplitude::of(&natural, grey).unwrap(), 3).unwrap()
    }

    #[test]
    fn the_amplitude_spectrum_is_the_given_one() {
        for (grey, width) in [(false, 8), (true, 7)] {
            let param = param(grey, width);
            let images = render_array(&param, &param.leaves());
            for image in images.outer_iter() {
                for (k, plane) in axes(image, grey).iter().enumerate() {
                    let spectrum = fft2(plane);
                    for ((u, v), &wanted) in param.amplitude.spectrum.index_axis(Axis(0), k).indexed_iter() {
                        if (u, v) != (0, 0) {
                            let found = spectrum[(u, v)].norm();
                            assert!((found - wanted).abs() < 1e-5, "axis {k} bin {u} {v}: {found} for {wanted}");
                        }
                    }
                    assert!((plane.mean().unwrap() - param.amplitude.mean[k]).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (grey, width) in [(false, 8), (true, 7)] {
            let param = param(grey, width);
            let x = param.leaves()[0].mapv(f64::from);
            check_gradient(&x, 1e-5, 1e-7, |leaf| param.render(&[leaf]));
        }
    }
}
