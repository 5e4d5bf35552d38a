//! Gaussian smoothing of planes, as `scipy.ndimage.gaussian_filter` does it.

/// SciPy's default: the kernel ends at this many standard deviations.
pub const TRUNCATE: f64 = 4.0;

/// A normalised Gaussian with reflected edges (`d c b a | a b c d | d c b a`); as a matrix it is
/// symmetric, so it is its own adjoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// Weights from the centre outwards.
    weights: Vec<f64>,
}

impl Gaussian {
    /// Standard deviation in pixels, cut at [`TRUNCATE`] of them; 0 leaves planes as they are.
    pub fn new(sigma: f64) -> Self {
        Self::truncated(sigma, TRUNCATE)
    }

    /// As [`new`](Self::new), cut at `truncate` standard deviations: radius
    /// `floor(truncate sigma + 1/2)`.
    pub fn truncated(sigma: f64, truncate: f64) -> Self {
        if sigma <= 0.0 {
            return Self { weights: vec![1.0] };
        }
        let radius = (truncate * sigma + 0.5) as usize;
        let half: Vec<f64> = (0..=radius).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
        let total = half[0] + 2.0 * half[1..].iter().sum::<f64>();
        Self { weights: half.into_iter().map(|w| w / total).collect() }
    }

    /// Pixels on each side of the centre.
    pub fn radius(&self) -> usize {
        self.weights.len() - 1
    }

    /// Smooths a row-major plane of `height` x `width` in place, rows first, in the plane's own
    /// width of numbers.
    pub fn apply<T: Pixel>(&self, plane: &mut [T], height: usize, width: usize) {
        if self.radius() == 0 {
            return;
        }
        let weights: Vec<T> = self.weights.iter().map(|&w| T::from_f64(w)).collect();
        let mut line = vec![T::from_f64(0.0); width + 2 * self.radius()];
        for row in plane.chunks_exact_mut(width) {
            along_row(row, &mut line, &weights);
        }
        down_columns(plane, height, width, &weights);
    }
}

/// 32 or 64 bits.
pub trait Pixel: Copy + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> + std::ops::AddAssign {
    fn from_f64(v: f64) -> Self;
}

impl Pixel for f32 {
    fn from_f64(v: f64) -> Self {
        v as f32
    }
}

impl Pixel for f64 {
    fn from_f64(v: f64) -> Self {
        v
    }
}

/// Index `i` (from `-n` to `2 n - 1`, or beyond) reflected into `0..n`.
fn reflect(i: i64, n: usize) -> usize {
    let n = n as i64;
    let period = i.rem_euclid(2 * n);
    period.min(2 * n - 1 - period) as usize
}

fn along_row<T: Pixel>(row: &mut [T], line: &mut [T], weights: &[T]) {
    let (n, radius) = (row.len(), weights.len() - 1);
    line[radius..radius + n].copy_from_slice(row);
    for k in 1..=radius {
        line[radius - k] = row[reflect(-(k as i64), n)];
        line[radius + n + k - 1] = row[reflect((n + k - 1) as i64, n)];
    }
    for (x, out) in row.iter_mut().enumerate() {
        *out = weights[0] * line[x + radius];
    }
    for (k, &w) in weights.iter().enumerate().skip(1) {
        let (left, right) = (&line[radius - k..radius - k + n], &line[radius + k..radius + k + n]);
        for ((out, &a), &b) in row.iter_mut().zip(left).zip(right) {
            *out += w * (a + b);
        }
    }
}

fn down_columns<T: Pixel>(plane: &mut [T], height: usize, width: usize, weights: &[T]) {
    let source = plane.to_vec();
    let row = |y: i64| {
        let start = reflect(y, height) * width;
        &source[start..start + width]
    };
    for (y, out) in plane.chunks_exact_mut(width).enumerate() {
        out.iter_mut().for_each(|v| *v = weights[0] * *v);
        for (k, &w) in weights.iter().enumerate().skip(1) {
            let (above, below) = (row(y as i64 - k as i64), row(y as i64 + k as i64));
            for ((out, &a), &b) in out.iter_mut().zip(above).zip(below) {
                *out += w * (a + b);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_and_mass_is_kept() {
        let mut even = vec![3.0f64; 5 * 7];
        Gaussian::new(1.3).apply(&mut even, 5, 7);
        assert!(even.iter().all(|v| (v - 3.0).abs() < 1e-12));
        let mut spot = vec![0.0f64; 6 * 6];
        spot[1] = 1.0;
        Gaussian::new(1.0).apply(&mut spot, 6, 6);
        assert!((spot.iter().sum::<f64>() - 1.0).abs() < 1e-12, "reflection loses nothing");
    }

    /// scipy.ndimage.gaussian_filter(numpy.arange(12.).reshape(3, 4) ** 2, 1.0), SciPy 1.17.1.
    #[test]
    fn scipy_agrees() {
        let mut plane: Vec<f64> = (0..12).map(|v| f64::from(v * v)).collect();
        Gaussian::new(1.0).apply(&mut plane, 3, 4);
        for (found, wanted) in plane.iter().zip(SCIPY) {
            assert!((found - wanted).abs() < 1e-9, "{plane:?}");
        }
    }

    const SCIPY: [f64; 12] = [
        10.782258663666699,
        14.25668570235024,
        19.828263059656614,
        24.46760560139583,
        29.462292111657497,
        35.878203673707475,
        45.48950841168755,
        53.070335476793204,
        51.717070804264,
        61.07446688968042,
        74.7254990083342,
        85.24781059680629,
    ];
}
