//! The passes over pixels of [`equalize`](super::equalize), compiled for the machine's widest
//! vectors.
//!
//! Sums go over [`LANES`] pixels side by side, in the pixels' own width for [`GROUPS`] times as
//! many, and on in 64 bits: the same order and the same bytes on every machine.

use super::colour::{LUMINANCE, Light};
use super::real::Real;
use orthoscope_kernels::dense::fast;
use orthoscope_kernels::simd::Body;

/// Pixels that are computed side by side.
const LANES: usize = 16;
/// Groups of [`LANES`] pixels that are summed in the pixels' own width before the sums go on in 64
/// bits.
const GROUPS: usize = 16;

/// The affine map of one image and the limit after it.
#[derive(Clone, Copy)]
pub(super) struct Map<T> {
    pub gain: T,
    pub level: T,
    pub centre: T,
    pub knee: T,
    /// The knee, or next to nothing for 0: the limit is then a plain clip.
    pub softness: T,
    pub background: T,
}

impl<T: Real> Map<T> {
    /// `u` of a value, limited to [0, 1], and the derivative of the limit: identity on [knee, 1 -
    /// knee], `c + d / (1 + |d| / knee)` a distance `d` beyond the knee `c`. Then `z` under the
    /// weight `w`, and its derivative by `u`.
    #[inline(always)]
    fn of(&self, x: T, w: T) -> (T, T) {
        let u = self.gain * (x - self.centre) + self.level;
        let inside = u.within(self.knee, T::one() - self.knee);
        let d = u - inside;
        let damping = self.softness / (self.softness + d.magnitude());
        (w * (inside + d * damping) + (T::one() - w) * self.background, w * (damping * damping))
    }
}

/// Three planes and the weight of each pixel.
#[derive(Clone, Copy)]
pub(super) struct Image<'a, T> {
    pub planes: [&'a [T]; 3],
    pub weights: &'a [T],
}

/// A pixel value's light and its derivative, in the pixels' width.
#[inline(always)]
fn light<T: Real, const LINEAR: bool>(z: T) -> (T, T) {
    if LINEAR {
        let (light, slope) = Light::Linear.of(z.to_f64());
        (T::from_f64(light), T::from_f64(slope))
    } else {
        (z, T::one())
    }
}

/// The next [`LANES`] values, with zeros beyond the end.
#[inline(always)]
fn lanes<T: Real>(values: &[T], at: usize) -> [T; LANES] {
    let mut out = [T::zero(); LANES];
    match values.get(at..at + LANES) {
        Some(whole) => out.copy_from_slice(whole),
        None => out.iter_mut().zip(&values[at..]).for_each(|(slot, &v)| *slot = v),
    }
    out
}

/// `N` numbers per pixel that are to be summed; `add` must be `inline(always)`.
trait Summand<T, const N: usize> {
    fn n_pixels(&self) -> usize;
    /// Adds those of the [`LANES`] pixels from `at`.
    fn add(&self, at: usize, sums: &mut [[T; LANES]; N]);
}

struct Sums<S, T, const N: usize>(S, std::marker::PhantomData<T>);

impl<T: Real, S: Summand<T, N>, const N: usize> Body for Sums<S, T, N> {
    type Out = [f64; N];
    #[inline(always)]
    fn call(self) -> [f64; N] {
        let (n, mut total) = (self.0.n_pixels(), [0.0; N]);
        for block in (0..n).step_by(GROUPS * LANES) {
            let mut part = [[T::zero(); LANES]; N];
            for at in (block..n.min(block + GROUPS * LANES)).step_by(LANES) {
                self.0.add(at, &mut part);
            }
            for k in 0..N {
                for v in part[k] {
                    total[k] += v.to_f64();
                }
            }
        }
        total
    }
}

struct MomentSums<'a, T, const LINEAR: bool> {
    image: Image<'a, T>,
    map: Map<T>,
    mean: T,
    shares: [T; 3],
}

impl<T: Real, const LINEAR: bool> Summand<T, 6> for MomentSums<'_, T, LINEAR> {
    fn n_pixels(&self) -> usize {
        self.image.weights.len()
    }

    #[inline(always)]
    fn add(&self, at: usize, sums: &mut [[T; LANES]; 6]) {
        let w = lanes(self.image.weights, at);
        let (mut d, mut by_gain, mut by_level) = ([-self.mean; LANES], [T::zero(); LANES], [T::zero(); LANES]);
        for c in 0..3 {
            let x = lanes(self.image.planes[c], at);
            for i in 0..LANES {
                let (z, slope) = self.map.of(x[i], w[i]);
                let (light, d_light) = light::<T, LINEAR>(z);
                let slope = self.shares[c] * d_light * slope;
                d[i] += self.shares[c] * light;
                by_gain[i] += slope * (x[i] - self.map.centre);
                by_level[i] += slope;
            }
        }
        for i in 0..LANES {
            let wd = w[i] * d[i];
            sums[0][i] += wd;
            sums[1][i] += wd * d[i];
            sums[2][i] += w[i] * by_gain[i];
            sums[3][i] += w[i] * by_level[i];
            sums[4][i] += wd * by_gain[i];
            sums[5][i] += wd * by_level[i];
        }
    }
}

/// Sums over pixels of w D, w D^2, and of w dL and w D dL by gain and level, each; D = L - `mean`.
pub(super) fn moment_sums<T: Real>(image: Image<'_, T>, map: Map<T>, kind: Light, mean: f64) -> [f64; 6] {
    let (mean, shares) = (T::from_f64(mean), LUMINANCE.map(T::from_f64));
    match kind {
        Light::Encoded => total(MomentSums::<_, false> { image, map, mean, shares }),
        Light::Linear => total(MomentSums::<_, true> { image, map, mean, shares }),
    }
}

fn total<T: Real, const N: usize>(summand: impl Summand<T, N>) -> [f64; N] {
    fast(Sums(summand, std::marker::PhantomData))
}

struct GradientSums<'a, T> {
    image: Image<'a, T>,
    by_z: [&'a [T]; 3],
    map: Map<T>,
}

impl<T: Real> Summand<T, 2> for GradientSums<'_, T> {
    fn n_pixels(&self) -> usize {
        self.image.weights.len()
    }

    #[inline(always)]
    fn add(&self, at: usize, sums: &mut [[T; LANES]; 2]) {
        let w = lanes(self.image.weights, at);
        for c in 0..3 {
            let (x, g) = (lanes(self.image.planes[c], at), lanes(self.by_z[c], at));
            for i in 0..LANES {
                let q = g[i] * self.map.of(x[i], w[i]).1;
                sums[0][i] += q * (x[i] - self.map.centre);
                sums[1][i] += q;
            }
        }
    }
}

/// d(objective)/d(gain, level) from d(objective)/dz.
pub(super) fn gradient_sums<T: Real>(image: Image<'_, T>, by_z: [&[T]; 3], map: Map<T>) -> [f64; 2] {
    total(GradientSums { image, by_z, map })
}

struct Shown<'a, T> {
    image: Image<'a, T>,
    map: Map<T>,
    out: &'a mut [T],
}

impl<T: Real> Body for Shown<'_, T> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let n = self.image.weights.len();
        for (out, plane) in self.out.chunks_exact_mut(n).zip(self.image.planes) {
            for ((slot, &x), &w) in out.iter_mut().zip(plane).zip(self.image.weights) {
                *slot = self.map.of(x, w).0;
            }
        }
    }
}

/// `z` of every pixel.
pub(super) fn shown<T: Real>(image: Image<'_, T>, map: Map<T>, out: &mut [T]) {
    fast(Shown { image, map, out });
}

struct Through<'a, T, const LINEAR: bool> {
    image: Image<'a, T>,
    map: Map<T>,
    mean: T,
    on: [T; 2],
    shares: [T; 3],
    gradient: &'a mut [T],
}

impl<T: Real, const LINEAR: bool> Body for Through<'_, T, LINEAR> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let n = self.image.weights.len();
        let (red, rest) = self.gradient.split_at_mut(n);
        let (green, blue) = rest.split_at_mut(n);
        let [x0, x1, x2] = self.image.planes;
        let (x0, x1, x2, weights) = (&x0[..n], &x1[..n], &x2[..n], &self.image.weights[..n]);
        let (red, green, blue) = (&mut red[..n], &mut green[..n], &mut blue[..n]);
        for i in 0..n {
            let (x, w) = ([x0[i], x1[i], x2[i]], weights[i]);
            let (mut d, mut by_z, mut by_x) = (-self.mean, [T::zero(); 3], [T::zero(); 3]);
            for c in 0..3 {
                let (z, slope) = self.map.of(x[c], w);
                let (light, d_light) = light::<T, LINEAR>(z);
                d += self.shares[c] * light;
                (by_z[c], by_x[c]) = (self.shares[c] * d_light, self.map.gain * slope);
            }
            let share = w * (self.on[0] + self.on[1] * d);
            red[i] = by_x[0] * (red[i] - by_z[0] * share);
            green[i] = by_x[1] * (green[i] - by_z[1] * share);
            blue[i] = by_x[2] * (blue[i] - by_z[2] * share);
        }
    }
}

/// `dz/dx (g - w dL/dz (on[0] + on[1] (L - mean)))` in the place of `g = d(objective)/dz`.
pub(super) fn through<T: Real>(
    image: Image<'_, T>,
    map: Map<T>,
    kind: Light,
    mean: f64,
    on: [f64; 2],
    gradient: &mut [T],
) {
    let (mean, on, shares) = (T::from_f64(mean), on.map(T::from_f64), LUMINANCE.map(T::from_f64));
    match kind {
        Light::Encoded => fast(Through::<_, false> { image, map, mean, on, shares, gradient }),
        Light::Linear => fast(Through::<_, true> { image, map, mean, on, shares, gradient }),
    }
}
