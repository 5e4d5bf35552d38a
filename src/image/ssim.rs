//! Structural similarity of two images.

use super::smooth::Gaussian;
use ndarray::{ArrayView2, ArrayView3, Axis};

/// Standard deviation of the window, and where it is cut, in standard deviations.
const SIGMA: f64 = 1.5;
const CUT: f64 = 3.5;
/// Stabilisers, as shares of the range.
const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// Mean structural similarity of two images in [0, 1] (3 x height x width), over channels and
/// pixels at least 5 from the border:
///
/// ```text
/// SSIM = (2 mx my + c1) (2 sxy + c2) / ((mx^2 + my^2 + c1) (sx^2 + sy^2 + c2)),   c1 = 0.01^2, c2 = 0.03^2
/// ```
///
/// with means, variances and covariance under a Gaussian window of standard deviation 1.5. 1 for
/// equal images; images of less than 11 pixels on a side are compared over all their pixels.
///
/// # Source
/// Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Processing 13:600 (2004); the numbers of
/// scikit-image (`gaussian_weights=True, sigma=1.5, use_sample_covariance=False`).
pub fn ssim(a: ArrayView3<'_, f32>, b: ArrayView3<'_, f32>) -> f64 {
    let channels = a.axis_iter(Axis(0)).zip(b.axis_iter(Axis(0)));
    let (sum, n) = channels.fold((0.0, 0), |(sum, n), (x, y)| (sum + plane(x, y), n + 1));
    sum / f64::from(n.max(1))
}

fn plane(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> f64 {
    let (height, width) = x.dim();
    let window = Gaussian::truncated(SIGMA, CUT);
    let smooth = |f: &dyn Fn(f64, f64) -> f64| {
        let mut values: Vec<f64> = x.iter().zip(y).map(|(&x, &y)| f(f64::from(x), f64::from(y))).collect();
        window.apply(&mut values, height, width);
        values
    };
    let (mx, my) = (smooth(&|x, _| x), smooth(&|_, y| y));
    let (xx, yy, xy) = (smooth(&|x, _| x * x), smooth(&|_, y| y * y), smooth(&|x, y| x * y));
    let (c1, c2) = (K1 * K1, K2 * K2);
    let border = if height.min(width) > 2 * window.radius() { window.radius() } else { 0 };
    let (mut sum, mut n) = (0.0, 0usize);
    for row in border..height - border {
        for i in row * width + border..(row + 1) * width - border {
            let (vx, vy, cov) = (xx[i] - mx[i] * mx[i], yy[i] - my[i] * my[i], xy[i] - mx[i] * my[i]);
            let numerator = (2.0 * mx[i] * my[i] + c1) * (2.0 * cov + c2);
            sum += numerator / ((mx[i] * mx[i] + my[i] * my[i] + c1) * (vx + vy + c2));
            n += 1;
        }
    }
    sum / n as f64
}

#[cfg(test)]
mod tests {
    use super::ssim;
    use crate::rng;
    use ndarray::Array3;

    #[test]
    fn equal_images_have_one_and_noise_lowers_it() {
        let mut stream = rng::stream(1, "ssim test", 0);
        let a = Array3::from_shape_simple_fn((3, 24, 20), || stream.uniform() as f32);
        assert!((ssim(a.view(), a.view()) - 1.0).abs() < 1e-12);
        let near = a.mapv(|v| (v + 0.02 * stream.normal() as f32).clamp(0.0, 1.0));
        let far = a.mapv(|v| (v + 0.2 * stream.normal() as f32).clamp(0.0, 1.0));
        let (near, far) = (ssim(a.view(), near.view()), ssim(a.view(), far.view()));
        assert!(near < 1.0 && far < near && far > 0.0, "{near} {far}");
    }
}
