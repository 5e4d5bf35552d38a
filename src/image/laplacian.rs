//! Normalisation of gradients per level of a Laplacian pyramid (DeepDream).

use ndarray::{Array2, Array4, ArrayView4, Axis, Zip};

/// Splits a gradient into `n_levels` band-pass levels and a low-pass rest, divides each by its root
/// mean square, and adds them up:
///
/// ```text
/// g_0 = g,   g_{k+1} = down(g_k),   b_k = g_k - up(g_{k+1}),   k = 0..n_levels-1
/// out = up(... up(g_n / rms(g_n)) + b_{n-1} / rms(b_{n-1}) ...) + b_0 / rms(b_0)
/// ```
///
/// `down` filters with the 5 x 5 binomial kernel ([1 4 6 4 1] / 16 each way, zeros beyond the edge)
/// and keeps every second pixel; `up` puts zeros between and filters with 4 times the kernel. The
/// root mean square is over all channels and pixels of one image, at least 1e-10.
///
/// # Source
/// Mordvintsev, DeepDream tutorial (TensorFlow, 2015), `lap_normalize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaplacianGradient {
    /// Band-pass levels; the tutorial's 4.
    pub n_levels: usize,
}

impl Default for LaplacianGradient {
    fn default() -> Self {
        Self { n_levels: 4 }
    }
}

const BINOMIAL: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
const SMALLEST_RMS: f64 = 1e-10;

impl LaplacianGradient {
    /// The normalised gradient, n_images x n_channels x height x width, same shape. Levels stop
    /// when a side would get below 2 pixels.
    pub fn apply(&self, gradient: ArrayView4<'_, f32>) -> Array4<f32> {
        let mut out = Array4::zeros(gradient.raw_dim());
        Zip::from(out.axis_iter_mut(Axis(0))).and(gradient.axis_iter(Axis(0))).par_for_each(|mut out, image| {
            let planes: Vec<Array2<f32>> = image.axis_iter(Axis(0)).map(|p| p.to_owned()).collect();
            let normalised = normalise_image(planes, self.n_levels);
            out.axis_iter_mut(Axis(0)).zip(normalised).for_each(|(mut slot, plane)| slot.assign(&plane));
        });
        out
    }
}

fn normalise_image(planes: Vec<Array2<f32>>, n_levels: usize) -> Vec<Array2<f32>> {
    let (h, w) = planes[0].dim();
    if n_levels == 0 || h < 4 || w < 4 {
        return unit_rms(planes);
    }
    let low: Vec<_> = planes.iter().map(down).collect();
    let band = planes.iter().zip(&low).map(|(plane, low)| plane - &up(low, (h, w))).collect();
    let band = unit_rms(band);
    let low = normalise_image(low, n_levels - 1);
    band.into_iter().zip(&low).map(|(band, low)| band + up(low, (h, w))).collect()
}

fn unit_rms(mut planes: Vec<Array2<f32>>) -> Vec<Array2<f32>> {
    let count: usize = planes.iter().map(Array2::len).sum();
    let power: f64 = planes.iter().flatten().map(|&v| f64::from(v) * f64::from(v)).sum();
    let factor = (1.0 / (power / count as f64).sqrt().max(SMALLEST_RMS)) as f32;
    planes.iter_mut().for_each(|plane| plane.mapv_inplace(|v| v * factor));
    planes
}

/// Filter, then every second pixel (0, 2, ...).
fn down(plane: &Array2<f32>) -> Array2<f32> {
    let (h, w) = plane.dim();
    let rows = Array2::from_shape_fn((h.div_ceil(2), w), |(y, x)| tap(h, 2 * y, |k| plane[(k, x)]));
    Array2::from_shape_fn((h.div_ceil(2), w.div_ceil(2)), |(y, x)| tap(w, 2 * x, |k| rows[(y, k)]))
}

/// Zeros between the pixels, then 4 times the filter: the transpose of [`down`], times 4.
fn up(plane: &Array2<f32>, (h, w): (usize, usize)) -> Array2<f32> {
    let even = |k: usize, value: &dyn Fn(usize) -> f32| if k.is_multiple_of(2) { value(k / 2) } else { 0.0 };
    let (_, narrow) = plane.dim();
    let rows = Array2::from_shape_fn((h, narrow), |(y, x)| 2.0 * tap(h, y, |k| even(k, &|i| plane[(i, x)])));
    Array2::from_shape_fn((h, w), |(y, x)| 2.0 * tap(w, x, |k| even(k, &|i| rows[(y, i)])))
}

/// The binomial filter at `centre` of a line of `n` values; zeros beyond its ends.
fn tap(n: usize, centre: usize, value: impl Fn(usize) -> f32) -> f32 {
    BINOMIAL
        .iter()
        .enumerate()
        .map(|(k, b)| (centre + k).checked_sub(2).filter(|&i| i < n).map_or(0.0, |i| b * value(i)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wild(n: usize, c: usize, h: usize, w: usize) -> Array4<f32> {
        let mut rng = crate::rng::stream(1, "laplacian-test", 0);
        Array4::from_shape_fn((n, c, h, w), |_| rng.normal() as f32)
    }

    #[test]
    fn levels_and_rest_add_up() {
        let g = wild(1, 1, 13, 18).index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0);
        let low = down(&g);
        let band = &g - &up(&low, g.dim());
        let back = band + up(&low, g.dim());
        assert!((&back - &g).iter().all(|d| d.abs() < 1e-5));
    }

    #[test]
    fn weak_levels_are_raised() {
        // A slow wave twenty times stronger than a fast one: after normalisation the fast one
        // counts for more.
        let g = Array4::from_shape_fn((1, 1, 64, 64), |(_, _, _, x)| {
            let t = std::f32::consts::TAU * x as f32 / 64.0;
            20.0 * t.sin() + (28.0 * t).sin()
        });
        let out = LaplacianGradient::default().apply(g.view());
        let amplitude = |f: f32| {
            let dot: f32 =
                (8..56).map(|x| out[(0, 0, 32, x)] * (std::f32::consts::TAU * f * x as f32 / 64.0).sin()).sum();
            2.0 * dot / 48.0
        };
        let (slow, fast) = (amplitude(1.0), amplitude(28.0));
        assert!(slow / fast > 0.0 && slow / fast < 8.0, "slow {slow}, fast {fast}");
    }

    #[test]
    fn scale_does_not_matter() {
        let g = wild(2, 3, 16, 24);
        let a = LaplacianGradient { n_levels: 3 }.apply(g.view());
        let b = LaplacianGradient { n_levels: 3 }.apply(g.mapv(|v| 250.0 * v).view());
        assert!((&a - &b).iter().all(|d| d.abs() < 1e-4));
    }
}
