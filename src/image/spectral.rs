//! From the stored coefficients of [`Fourier`](super::Fourier) to shown planes, and back: one
//! differentiable step.
//!
//! The products with cosines and sines are folded, which halves every side that they have. Rows `u`
//! and `-u` make
//!
//! ```text
//! c[u] e^(i t) + c[-u] e^(-i t) = (c[u] + c[-u]) cos t + i (c[u] - c[-u]) sin t
//! ```
//!
//! and pixels `y` and `h - y` (`x` and `w - x`) share the cosine sum and take the sine sum with
//! opposite signs.

use super::custom::with_gradient;
use super::param::precision_of;
use super::real::Real;
use crate::tensor::{Precision, Tensor, Var};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use orthoscope_kernels::dense::fast;
use orthoscope_kernels::simd::Body;
use rayon::prelude::*;
use std::f64::consts::TAU;
use std::sync::Arc;

/// A band of stored frequencies of `height` x `width` planes, with what [`planes`] multiplies with.
#[derive(Debug)]
pub(super) struct Tables {
    height: usize,
    width: usize,
    /// Factor of each coefficient, rows x columns.
    gain: Array2<f64>,
    /// Colour axes to channels, channels x channels.
    mixing: Array2<f64>,
    /// Each row's place and that of the opposite frequency, if it has another; those with one
    /// first.
    pairs: Vec<(usize, Option<usize>)>,
    n_opposite: usize,
    /// (height / 2 + 1) x pairs, and ((height - 1) / 2) x pairs with an opposite from y = 1.
    down: [Array2<f64>; 2],
    /// columns x (width / 2 + 1), and (columns - 1) x ((width - 1) / 2) from the first column and
    /// x = 1: orthonormal, and weighted with the number of bins that a stored one stands for: 1 for
    /// column 0 and the Nyquist bin, else 2.
    across: [Array2<f64>; 2],
}

impl Tables {
    /// `rows`: DFT row bins, with every bin its opposite; columns are the rfft bins from 0. `gain`:
    /// rows x columns, the same for opposite rows.
    pub fn new(height: usize, width: usize, rows: &[usize], gain: Array2<f64>, mixing: Array2<f64>) -> Self {
        let place = |bin: usize| rows.iter().position(|&r| r == bin).expect("a band has both signs of its frequencies");
        let own = |bin: usize| (height - bin) % height == bin;
        let half = || rows.iter().copied().filter(|&bin| 2 * bin <= height);
        let mut pairs: Vec<_> = half().filter(|&u| !own(u)).map(|u| (place(u), Some(place(height - u)))).collect();
        let n_opposite = pairs.len();
        pairs.extend(half().filter(|&u| own(u)).map(|u| (place(u), None)));

        let angle = |k: usize, y: usize| TAU * ((rows[pairs[k].0] * y) % height) as f64 / height as f64;
        let down = [
            Array2::from_shape_fn((height / 2 + 1, pairs.len()), |(y, k)| angle(k, y).cos()),
            Array2::from_shape_fn(((height - 1) / 2, n_opposite), |(y, k)| angle(k, y + 1).sin()),
        ];
        let norm = 1.0 / ((height * width) as f64).sqrt();
        let weight = |v: usize| if v == 0 || 2 * v == width { norm } else { 2.0 * norm };
        let angle = |v: usize, x: usize| TAU * ((v * x) % width) as f64 / width as f64;
        let columns = gain.ncols();
        let across = [
            Array2::from_shape_fn((columns, width / 2 + 1), |(v, x)| weight(v) * angle(v, x).cos()),
            Array2::from_shape_fn((columns - 1, (width - 1) / 2), |(v, x)| weight(v + 1) * angle(v + 1, x + 1).sin()),
        ];
        Self { height, width, gain, mixing, pairs, n_opposite, down, across }
    }
}

/// The tables in one width of numbers.
struct Map<T> {
    height: usize,
    width: usize,
    gain: Array2<T>,
    mixing: Array2<T>,
    pairs: Vec<(usize, Option<usize>)>,
    n_opposite: usize,
    down: [Array2<T>; 2],
    across: [Array2<T>; 2],
}

/// Memory of one image, used again for the next.
struct Scratch<T> {
    /// Folded coefficients, of each axis and of one channel: sums (pairs x 2 columns), then
    /// differences.
    axes: Vec<T>,
    channel: Vec<T>,
    /// Cosine and sine sums over rows, height x 2 columns together, and the two parts of each image
    /// row.
    sums: Vec<T>,
    half: Vec<T>,
    /// Cosine and sine sums over columns, height x width together.
    pixels: Vec<T>,
}

fn view<T>(values: &[T], shape: (usize, usize)) -> ArrayView2<'_, T> {
    ArrayView2::from_shape(shape, values).expect("as many numbers as the shape says")
}

fn view_mut<T>(values: &mut [T], shape: (usize, usize)) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape(shape, values).expect("as many numbers as the shape says")
}

/// `out = a b`
fn product<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) {
    general_mat_mul(T::one(), &a, &b, T::zero(), &mut out);
}

impl<T: Real> Map<T> {
    fn new(tables: &Tables) -> Self {
        let of = |a: &Array2<f64>| a.mapv(T::from_f64);
        Self {
            height: tables.height,
            width: tables.width,
            gain: of(&tables.gain),
            mixing: of(&tables.mixing),
            pairs: tables.pairs.clone(),
            n_opposite: tables.n_opposite,
            down: [of(&tables.down[0]), of(&tables.down[1])],
            across: [of(&tables.across[0]), of(&tables.across[1])],
        }
    }

    fn channels(&self) -> usize {
        self.mixing.nrows()
    }

    /// Numbers of one image's leaf.
    fn n_values(&self) -> usize {
        self.channels() * self.n_folded()
    }

    /// Numbers of one channel's coefficients, folded or not.
    fn n_folded(&self) -> usize {
        2 * self.gain.len()
    }

    fn scratch(&self) -> Scratch<T> {
        let (columns, zeros) = (self.gain.ncols(), |n: usize| vec![T::zero(); n]);
        Scratch {
            axes: zeros(self.n_values()),
            channel: zeros(self.n_folded()),
            sums: zeros(self.height * 2 * columns),
            half: zeros(self.height * 2 * columns),
            pixels: zeros(self.height * self.width),
        }
    }

    /// Shown planes of one image's leaf, channels x h x w.
    fn shown(&self, leaf: &[T], shown: &mut [T], scratch: &mut Scratch<T>) {
        let n = self.n_folded();
        for (part, folded) in leaf.chunks_exact(n).zip(scratch.axes.chunks_exact_mut(n)) {
            self.fold(part, folded);
        }
        for (c, plane) in shown.chunks_exact_mut(self.height * self.width).enumerate() {
            mix(&scratch.axes, &mut scratch.channel, |k| self.mixing[(c, k)]);
            self.rows_of(scratch);
            self.pixels_of(scratch, plane);
        }
    }

    /// Gradient at the leaf from the gradient at the shown planes.
    fn pullback(&self, shown: &[T], gradient: &[T], leaf: &mut [T], scratch: &mut Scratch<T>) {
        let (n, size) = (self.n_folded(), self.height * self.width);
        for (c, (shown, gradient)) in shown.chunks_exact(size).zip(gradient.chunks_exact(size)).enumerate() {
            self.pixels_back(shown, gradient, scratch);
            self.rows_back(scratch);
            scratch.axes[c * n..][..n].copy_from_slice(&scratch.channel);
        }
        for (k, part) in leaf.chunks_exact_mut(n).enumerate() {
            mix(&scratch.axes, &mut scratch.channel, |c| self.mixing[(c, k)]);
            self.unfold(&scratch.channel, part);
        }
    }

    /// `gain c` of a channel (real, then imaginary parts) as sums of opposite frequencies, and
    /// differences times i.
    fn fold(&self, part: &[T], folded: &mut [T]) {
        let (rows, columns) = self.gain.dim();
        let (sums, differences) = folded.split_at_mut(self.pairs.len() * 2 * columns);
        for (k, &(own, opposite)) in self.pairs.iter().enumerate() {
            let gain = self.gain.row(own);
            let sum = &mut sums[k * 2 * columns..][..2 * columns];
            let at = |row: usize| (&part[row * columns..][..columns], &part[(rows + row) * columns..][..columns]);
            let (re, im) = at(own);
            let Some(opposite) = opposite else {
                for (v, &g) in gain.iter().enumerate() {
                    (sum[v], sum[columns + v]) = (g * re[v], g * im[v]);
                }
                continue;
            };
            let (re2, im2) = at(opposite);
            let difference = &mut differences[k * 2 * columns..][..2 * columns];
            for (v, &g) in gain.iter().enumerate() {
                (sum[v], sum[columns + v]) = (g * (re[v] + re2[v]), g * (im[v] + im2[v]));
                (difference[v], difference[columns + v]) = (g * (im2[v] - im[v]), g * (re[v] - re2[v]));
            }
        }
    }

    /// The transpose of [`fold`](Self::fold).
    fn unfold(&self, folded: &[T], part: &mut [T]) {
        let (rows, columns) = self.gain.dim();
        let (sums, differences) = folded.split_at(self.pairs.len() * 2 * columns);
        let (real, imaginary) = part.split_at_mut(rows * columns);
        for (k, &(own, opposite)) in self.pairs.iter().enumerate() {
            let sum = &sums[k * 2 * columns..][..2 * columns];
            for (v, &g) in self.gain.row(own).iter().enumerate() {
                let (re, im) = (g * sum[v], g * sum[columns + v]);
                (real[own * columns + v], imaginary[own * columns + v]) = (re, im);
                if let Some(opposite) = opposite {
                    let difference = &differences[k * 2 * columns..][..2 * columns];
                    let (d_im, d_re) = (g * difference[v], g * difference[columns + v]);
                    (real[own * columns + v], imaginary[own * columns + v]) = (re + d_re, im - d_im);
                    (real[opposite * columns + v], imaginary[opposite * columns + v]) = (re - d_re, im + d_im);
                }
            }
        }
    }

    /// Real and imaginary part of each image row from folded coefficients.
    fn rows_of(&self, scratch: &mut Scratch<T>) {
        let (height, n) = (self.height, 2 * self.gain.ncols());
        let (sums, differences) = scratch.channel.split_at(self.pairs.len() * n);
        let (even, odd) = scratch.sums.split_at_mut((height / 2 + 1) * n);
        product(self.down[0].view(), view(sums, (self.pairs.len(), n)), view_mut(even, (height / 2 + 1, n)));
        product(self.down[1].view(), view(differences, (self.n_opposite, n)), view_mut(odd, ((height - 1) / 2, n)));
        scratch.half[..even.len()].copy_from_slice(even);
        for (i, odd) in odd.chunks_exact(n).enumerate() {
            let (y, even) = (i + 1, &even[(i + 1) * n..][..n]);
            let set = |slot: &mut [T], sign: fn(T, T) -> T| {
                slot.iter_mut().zip(even).zip(odd).for_each(|((slot, &e), &o)| *slot = sign(e, o));
            };
            set(&mut scratch.half[y * n..][..n], |e, o| e + o);
            set(&mut scratch.half[(height - y) * n..][..n], |e, o| e - o);
        }
    }

    /// The transpose of [`rows_of`](Self::rows_of).
    fn rows_back(&self, scratch: &mut Scratch<T>) {
        let (height, n) = (self.height, 2 * self.gain.ncols());
        let (even, odd) = scratch.sums.split_at_mut((height / 2 + 1) * n);
        even.copy_from_slice(&scratch.half[..even.len()]);
        for (i, odd) in odd.chunks_exact_mut(n).enumerate() {
            let y = i + 1;
            let (near, far) = (&scratch.half[y * n..][..n], &scratch.half[(height - y) * n..][..n]);
            let even = &mut even[y * n..][..n];
            for ((even, odd), (&near, &far)) in even.iter_mut().zip(odd).zip(near.iter().zip(far)) {
                (*even, *odd) = (near + far, near - far);
            }
        }
        let (sums, differences) = scratch.channel.split_at_mut(self.pairs.len() * n);
        product(self.down[0].t(), view(even, (height / 2 + 1, n)), view_mut(sums, (self.pairs.len(), n)));
        product(self.down[1].t(), view(odd, ((height - 1) / 2, n)), view_mut(differences, (self.n_opposite, n)));
    }

    /// Shown pixels from the parts of the image rows.
    fn pixels_of(&self, scratch: &mut Scratch<T>, plane: &mut [T]) {
        let (height, width, columns) = (self.height, self.width, self.gain.ncols());
        let (n_even, n_odd) = (width / 2 + 1, (width - 1) / 2);
        let half = view(&scratch.half, (height, 2 * columns));
        let (even, odd) = scratch.pixels.split_at_mut(height * n_even);
        product(half.slice_axis(Axis(1), (..columns).into()), self.across[0].view(), view_mut(even, (height, n_even)));
        product(
            half.slice_axis(Axis(1), (columns + 1..).into()),
            self.across[1].view(),
            view_mut(odd, (height, n_odd)),
        );
        fast(Assemble { even, odd, plane, width });
    }

    /// The transpose of [`pixels_of`](Self::pixels_of), through the sigmoid.
    fn pixels_back(&self, shown: &[T], gradient: &[T], scratch: &mut Scratch<T>) {
        let (height, width, columns) = (self.height, self.width, self.gain.ncols());
        let (n_even, n_odd) = (width / 2 + 1, (width - 1) / 2);
        let (even, odd) = scratch.pixels.split_at_mut(height * n_even);
        fast(TakeApart { shown, gradient, even, odd, width });
        let mut half = view_mut(&mut scratch.half, (height, 2 * columns));
        half.column_mut(columns).fill(T::zero());
        product(view(even, (height, n_even)), self.across[0].t(), half.slice_axis_mut(Axis(1), (..columns).into()));
        product(view(odd, (height, n_odd)), self.across[1].t(), half.slice_axis_mut(Axis(1), (columns + 1..).into()));
    }
}

/// Shown pixels of a plane from the cosine and sine sums: `sigmoid(even - odd)`, and mirrored
/// `sigmoid(even + odd)`.
struct Assemble<'a, T> {
    even: &'a [T],
    odd: &'a [T],
    plane: &'a mut [T],
    width: usize,
}

impl<T: Real> Body for Assemble<'_, T> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let (n_even, n_odd) = (self.width / 2 + 1, (self.width - 1) / 2);
        for (y, row) in self.plane.chunks_exact_mut(self.width).enumerate() {
            let (even, odd) = (&self.even[y * n_even..][..n_even], &self.odd[y * n_odd..][..n_odd]);
            row[..n_even].copy_from_slice(even);
            for ((slot, &e), &o) in row[self.width - n_odd..].iter_mut().rev().zip(&even[1..]).zip(odd) {
                *slot = e + o;
            }
            for (slot, &o) in row[1..].iter_mut().zip(odd) {
                *slot = *slot - o;
            }
            for v in row {
                *v = v.sigmoid();
            }
        }
    }
}

/// The transpose of [`Assemble`].
struct TakeApart<'a, T> {
    shown: &'a [T],
    gradient: &'a [T],
    even: &'a mut [T],
    odd: &'a mut [T],
    width: usize,
}

impl<T: Real> Body for TakeApart<'_, T> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let (n_even, n_odd) = (self.width / 2 + 1, (self.width - 1) / 2);
        let mut slope = vec![T::zero(); self.width];
        let rows = self.shown.chunks_exact(self.width).zip(self.gradient.chunks_exact(self.width));
        for (y, (shown, gradient)) in rows.enumerate() {
            for ((slope, &s), &g) in slope.iter_mut().zip(shown).zip(gradient) {
                *slope = g * s * (T::one() - s);
            }
            let (even, odd) = (&mut self.even[y * n_even..][..n_even], &mut self.odd[y * n_odd..][..n_odd]);
            even.copy_from_slice(&slope[..n_even]);
            let far = slope[self.width - n_odd..].iter().rev();
            for (((even, odd), &near), &far) in even[1..].iter_mut().zip(odd).zip(&slope[1..]).zip(far) {
                (*even, *odd) = (near + far, far - near);
            }
        }
    }
}

/// `out = sum_k factor(k) parts[k]`
fn mix<T: Real>(parts: &[T], out: &mut [T], factor: impl Fn(usize) -> T) {
    out.fill(T::zero());
    for (k, part) in parts.chunks_exact(out.len()).enumerate() {
        let factor = factor(k);
        out.iter_mut().zip(part).for_each(|(slot, &v)| *slot += factor * v);
    }
}

/// Shown planes (n x channels x h x w) of a leaf (n x values), differentiable.
pub(super) fn planes(leaf: Var<2>, tables: &Tables) -> Var<4> {
    match precision_of(&leaf) {
        Precision::F32 => run::<f32>(leaf, tables),
        Precision::F64 => run::<f64>(leaf, tables),
    }
}

fn run<T: Real>(leaf: Var<2>, tables: &Tables) -> Var<4> {
    let map = Map::<T>::new(tables);
    with_gradient(leaf, |leaf| {
        let (device, n) = (leaf.device(), leaf.dims()[0]);
        let (size, n_values) = (map.channels() * map.height * map.width, map.n_values());
        let values = T::take(leaf);
        // Twice the same: the tensor's own copy may be changed in place by what comes after.
        let (mut shown, mut out) = (vec![T::zero(); n * size], vec![T::zero(); n * size]);
        let slots = shown.par_chunks_exact_mut(size).zip(out.par_chunks_exact_mut(size));
        slots.zip(values.par_chunks_exact(n_values)).for_each_init(
            || map.scratch(),
            |scratch, ((shown, out), leaf)| {
                map.shown(leaf, shown, scratch);
                out.copy_from_slice(shown);
            },
        );
        let images = T::tensor(out, [n, map.channels(), map.height, map.width], &device);
        let (map, shown) = (Arc::new(map), Arc::new(shown));
        (images, move |gradient: Tensor<4>| {
            let (device, gradient) = (gradient.device(), T::take(gradient));
            let mut leaves = vec![T::zero(); n * n_values];
            let planes = shown.par_chunks_exact(size).zip(gradient.par_chunks_exact(size));
            planes.zip(leaves.par_chunks_exact_mut(n_values)).for_each_init(
                || map.scratch(),
                |scratch, ((shown, gradient), leaf)| map.pullback(shown, gradient, leaf, scratch),
            );
            T::tensor(leaves, [n, n_values], &device)
        })
    })
}
