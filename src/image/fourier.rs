//! The default parametrisation: Fourier coefficients of decorrelated colour channels, through a
//! sigmoid.

use super::colour::{achromatic_gain, correlation, decorrelation};
use super::param::{Canvas, ImageParam, Init};
use super::spectral::{self, Tables};
use super::spectrum::{fft2, signed_frequency};
use crate::error::{Error, Result};
use crate::rng;
use crate::tensor::Var;
use ndarray::{Array2, ArrayView3, Axis};
use std::f64::consts::PI;

/// Divisor of the rendered planes before the colour matrix (Lucid's), so that the noise of
/// [`Fourier::NOISE_SD`] starts near grey.
const LUCID_DIVISOR: f64 = 4.0;
/// The roll-off ends at this multiple of the band limit.
const ROLL_OFF: f64 = 1.5;
/// Given images are brought into [EDGE, 1 - EDGE] before the sigmoid is inverted: half an 8-bit
/// step.
const EDGE: f64 = 0.5 / 255.0;

/// How [`Fourier`] weighs and limits frequencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FourierOptions {
    /// Amplitudes are scaled by 1 / frequency^decay; 1 is natural images' fall-off. At least 0.
    pub decay: f64,
    /// Highest frequency that passes undiminished, cycles per pixel in (0, 0.5]; `None`: all pass.
    pub band_limit: Option<f64>,
}

impl Default for FourierOptions {
    fn default() -> Self {
        Self { decay: 1.0, band_limit: Some(0.18) }
    }
}

/// Fourier coefficients `c = a + i b` in the layout of an rfft, rendered as
///
/// ```text
/// plane[k] = irfft2( s(f) H(f) c[k] ), orthonormal        k = 1..3 decorrelated colour axes
/// s(f)     = max(f, 1 / max(h, w))^(-decay) / 4           f = sqrt(fy^2 + fx^2), cycles per pixel
/// H(f)     = 1 up to the band limit B, (1 + cos(pi (f - B) / (B / 2))) / 2 up to 1.5 B, 0 beyond
/// image    = sigmoid( M plane )                           M: colour::decorrelation
/// ```
///
/// The one leaf holds, per image, channels x (real, imaginary) x rows x columns of the coefficients
/// inside the box |fy|, |fx| < 1.5 B; those beyond are not stored. Rendering is two matrix products
/// with cosine and sine tables (`spectral`): exact for every size, cheap because both are banded. A
/// grey image has one plane, weighted by [`achromatic_gain`].
///
/// # Source
/// Olah et al., "Feature Visualization", Distill 2017; Lucid and Lucent
/// `param.image(fft=True, decorrelate=True)`.
#[derive(Debug)]
pub struct Fourier {
    canvas: Canvas,
    options: FourierOptions,
    band: Band,
    initial: Array2<f32>,
    start: String,
}

/// The frequencies that are stored, and their tables.
#[derive(Debug)]
struct Band {
    /// DFT row bins, in `fftfreq` order.
    rows: Vec<usize>,
    /// Number of rfft column bins, from 0.
    n_columns: usize,
    /// s(f) alone, rows x columns.
    scale: Array2<f64>,
    /// With s(f) H(f) as the gain.
    tables: Tables,
}

impl Fourier {
    /// Standard deviation of the coefficients that Lucid starts from.
    pub const NOISE_SD: f64 = 0.01;

    /// Coefficients for `canvas`, started from `init`. Given images are reproduced up to the band
    /// limit (their logits are filtered by H), grey starts at zero coefficients.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty canvas, initial images of another shape, a band limit
    /// outside (0, 0.5] or a negative decay.
    pub fn new(canvas: Canvas, options: FourierOptions, init: &Init<'_>) -> Result<Self> {
        let at = "fourier parametrisation";
        canvas.check(at)?;
        init.check(&canvas, at)?;
        if let Init::Uniform { .. } = init {
            return Err(Error::invalid(at, "noise, grey or given images to start from", "uniform noise on pixels", ""));
        }
        if let Some(limit) = options.band_limit
            && !(limit > 0.0 && limit <= 0.5)
        {
            return Err(Error::invalid(
                "band_limit",
                "cycles per pixel in (0, 0.5]",
                format!("{limit}"),
                "0.18 keeps what a projector and an eye transmit; leave it out for no limit",
            ));
        }
        if !(options.decay.is_finite() && options.decay >= 0.0) {
            return Err(Error::invalid("decay", "a finite number, at least 0", format!("{}", options.decay), ""));
        }
        let band = Band::new(&canvas, &options);
        let initial = initial_coefficients(&canvas, &band, init);
        Ok(Self { canvas, options, band, initial, start: init.describe() })
    }

    /// (rows x columns) frequency in cycles per pixel of each stored coefficient: fy, fx.
    pub fn frequency(&self, row: usize, column: usize) -> (f64, f64) {
        let (h, w) = (self.canvas.height, self.canvas.width);
        (signed_frequency(self.band.rows[row], h) as f64 / h as f64, column as f64 / w as f64)
    }
}

impl ImageParam for Fourier {
    fn shape(&self) -> [usize; 4] {
        self.canvas.shape()
    }

    fn leaves(&self) -> Vec<Array2<f32>> {
        vec![self.initial.clone()]
    }

    fn render(&self, leaves: &[Var<2>]) -> Var<4> {
        let planes = spectral::planes(leaves[0].clone(), &self.band.tables);
        if self.canvas.grey { planes.repeat_dim(1, 3) } else { planes }
    }

    fn describe(&self) -> String {
        let band = match self.options.band_limit {
            Some(limit) => {
                format!("rolled off from {limit} to {:.3} cycles per pixel", (ROLL_OFF * limit).min(0.5f64.sqrt()))
            }
            None => "no band limit".into(),
        };
        let colour = if self.canvas.grey { "grey" } else { "decorrelated colour" };
        format!(
            "Fourier coefficients, {colour}, amplitude 1/f^{}, {band}, sigmoid; from {}",
            self.options.decay, self.start
        )
    }
}

impl Band {
    fn new(canvas: &Canvas, options: &FourierOptions) -> Self {
        let (h, w) = (canvas.height, canvas.width);
        let stored = |f: f64| options.band_limit.is_none_or(|limit| f.abs() < ROLL_OFF * limit);
        let fy = |bin: usize| signed_frequency(bin, h) as f64 / h as f64;
        let fx = |bin: usize| bin as f64 / w as f64;
        let rows: Vec<usize> = (0..h).filter(|&bin| stored(fy(bin))).collect();
        let n_columns = (0..=w / 2).take_while(|&bin| stored(fx(bin))).count();

        let lowest = 1.0 / h.max(w) as f64;
        let frequency = |(r, c): (usize, usize)| fy(rows[r]).hypot(fx(c));
        let scale = Array2::from_shape_fn((rows.len(), n_columns), |at| {
            frequency(at).max(lowest).powf(-options.decay) / LUCID_DIVISOR
        });
        let gain = Array2::from_shape_fn(scale.dim(), |at| scale[at] * roll_off(frequency(at), options.band_limit));
        let tables = Tables::new(h, w, &rows, gain, mixing(canvas.grey));
        Self { rows, n_columns, scale, tables }
    }
}

/// The matrix that mixes colour axes to R, G, B; 1 x 1 for grey images.
fn mixing(grey: bool) -> Array2<f64> {
    if grey {
        return Array2::from_elem((1, 1), achromatic_gain());
    }
    let m = decorrelation();
    Array2::from_shape_fn((3, 3), |(i, j)| m[i][j])
}

/// H(f): see [`Fourier`].
fn roll_off(f: f64, band_limit: Option<f64>) -> f64 {
    match band_limit {
        Some(limit) if f > limit => {
            let t = (f - limit) / ((ROLL_OFF - 1.0) * limit);
            if t < 1.0 { 0.5 * (1.0 + (PI * t).cos()) } else { 0.0 }
        }
        _ => 1.0,
    }
}

fn initial_coefficients(canvas: &Canvas, band: &Band, init: &Init<'_>) -> Array2<f32> {
    let per_channel = 2 * band.rows.len() * band.n_columns;
    let n_values = canvas.n_channels() * per_channel;
    let mut out = Array2::zeros((canvas.n_images, n_values));
    match init {
        Init::Grey | Init::Uniform { .. } => {}
        Init::Noise { sd, seed, item } => {
            for (i, mut row) in out.axis_iter_mut(Axis(0)).enumerate() {
                let mut draws = rng::stream(*seed, "image-init", item * canvas.n_images as u64 + i as u64);
                row.mapv_inplace(|_: f32| (sd * draws.normal()) as f32);
            }
        }
        Init::Images(images) => {
            for (image, mut row) in images.axis_iter(Axis(0)).zip(out.axis_iter_mut(Axis(0))) {
                for (k, plane) in colour_axes(image, canvas.grey).iter().enumerate() {
                    let spectrum = fft2(plane);
                    let cells = band.rows.len() * band.n_columns;
                    for (cell, ((r, c), scale)) in band.scale.indexed_iter().enumerate() {
                        let value = spectrum[(band.rows[r], c)];
                        row[k * per_channel + cell] = (value.re / scale) as f32;
                        row[k * per_channel + cells + cell] = (value.im / scale) as f32;
                    }
                }
            }
        }
    }
    out
}

/// Logits of an image (3 x h x w) on the decorrelated axes (1 or 3 planes).
fn colour_axes(image: ArrayView3<'_, f32>, grey: bool) -> Vec<Array2<f64>> {
    let logit = |v: f64| {
        let v = v.clamp(EDGE, 1.0 - EDGE);
        (v / (1.0 - v)).ln()
    };
    let planes: Vec<Array2<f64>> = image.axis_iter(Axis(0)).map(|p| p.mapv(f64::from)).collect();
    if grey {
        let luminance = super::colour::luminance_plane(image);
        return vec![luminance.mapv(|v| logit(v) / achromatic_gain())];
    }
    let logits: Vec<Array2<f64>> = planes.iter().map(|p| p.mapv(logit)).collect();
    correlation().iter().map(|row| &logits[0] * row[0] + &logits[1] * row[1] + &logits[2] * row[2]).collect()
}

#[cfg(test)]
#[path = "fourier_tests.rs"]
mod tests;
