//! Dense linear algebra in 64 bits, of the size of a searchlight (hundreds of voxels):
//! cross-products, Cholesky, solving.
//!
//! Safe Rust throughout: only the switch of the instruction set is not. Sums have a fixed order.

use crate::simd::{Body, Simd};

const LANES: usize = 8;

/// Runs a body with the widest vectors of this machine. Rust never fuses or reorders sums by
/// itself: a body without `mul_add` gives the same bytes on all of them.
pub fn fast<B: Body>(body: B) -> B::Out {
    #[cfg(target_arch = "x86_64")]
    {
        // `is_x86_feature_detected` caches its answer.
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma")
        {
            return crate::simd::avx512::Avx512::vectorize(body);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return crate::simd::avx2::Avx2::vectorize(body);
        }
    }
    crate::simd::portable::Portable::<f32>::vectorize(body)
}

struct CrossProducts<'a> {
    x: &'a [f64],
    y: &'a [f64],
    p: usize,
    out: &'a mut [f64],
    /// x is y: the upper triangle is computed and mirrored.
    symmetric: bool,
}

impl Body for CrossProducts<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        const ROWS: usize = 4;
        const COLUMNS: usize = 2 * LANES;
        let (x, y, p) = (self.x, self.y, self.p);
        let n = x.len() / p;
        for i in (0..p).step_by(ROWS) {
            let rows = ROWS.min(p - i);
            let mut j = if self.symmetric { i / COLUMNS * COLUMNS } else { 0 };
            while j < p {
                let columns = COLUMNS.min(p - j);
                let mut sums = [[0.0f64; COLUMNS]; ROWS];
                if rows == ROWS && columns == COLUMNS {
                    for k in 0..n {
                        let line: &[f64; COLUMNS] = y[k * p + j..][..COLUMNS].try_into().expect("whole");
                        let own: &[f64; ROWS] = x[k * p + i..][..ROWS].try_into().expect("whole");
                        for r in 0..ROWS {
                            for c in 0..COLUMNS {
                                sums[r][c] = own[r].mul_add(line[c], sums[r][c]);
                            }
                        }
                    }
                } else {
                    for k in 0..n {
                        for r in 0..rows {
                            for c in 0..columns {
                                sums[r][c] = x[k * p + i + r].mul_add(y[k * p + j + c], sums[r][c]);
                            }
                        }
                    }
                }
                for r in 0..rows {
                    for c in 0..columns {
                        self.out[(i + r) * p + j + c] = sums[r][c];
                    }
                }
                j += COLUMNS;
            }
        }
        for i in 0..if self.symmetric { p } else { 0 } {
            for j in 0..i {
                self.out[i * p + j] = self.out[j * p + i];
            }
        }
    }
}

/// `out = X' X` for X of any number of rows and `p` columns, row-major.
///
/// # Panics
/// When `x` is not a multiple of `p` long, or `out` does not hold p x p numbers.
pub fn cross_products(x: &[f64], p: usize, out: &mut [f64]) {
    assert!(p > 0 && x.len().is_multiple_of(p) && out.len() >= p * p);
    fast(CrossProducts { x, y: x, p, out, symmetric: true });
}

/// `out = X' Y` for X and Y of the same number of rows and `p` columns, row-major.
///
/// # Panics
/// When `x` is not a multiple of `p` long, `y` not as long, or `out` does not hold p x p numbers.
pub fn cross_products_of(x: &[f64], y: &[f64], p: usize, out: &mut [f64]) {
    assert!(p > 0 && x.len().is_multiple_of(p) && x.len() == y.len() && out.len() >= p * p);
    fast(CrossProducts { x, y, p, out, symmetric: false });
}

struct Cholesky<'a> {
    a: &'a mut [f64],
    p: usize,
}

/// In `LANES` running sums.
#[inline(always)]
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [[0.0f64; LANES]; 4];
    let (xs, x_rest) = x.as_chunks::<{ 4 * LANES }>();
    let (ys, y_rest) = y.as_chunks::<{ 4 * LANES }>();
    for (x, y) in xs.iter().zip(ys) {
        for q in 0..4 {
            for l in 0..LANES {
                sums[q][l] = x[q * LANES + l].mul_add(y[q * LANES + l], sums[q][l]);
            }
        }
    }
    let mut total = 0.0;
    for l in 0..LANES {
        total += (sums[0][l] + sums[1][l]) + (sums[2][l] + sums[3][l]);
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        total = x.mul_add(*y, total);
    }
    total
}

impl Body for Cholesky<'_> {
    type Out = bool;
    #[inline(always)]
    fn call(self) -> bool {
        let (a, p) = (self.a, self.p);
        for i in 0..p {
            let (above, from_i) = a.split_at_mut(i * p);
            let own = &mut from_i[..p];
            for j in 0..i {
                let other = &above[j * p..][..p];
                own[j] = (own[j] - dot(&own[..j], &other[..j])) / other[j];
            }
            let rest = own[i] - dot(&own[..i], &own[..i]);
            if rest.is_nan() || rest <= 1e-12 * own[i].abs() {
                return false;
            }
            own[i] = rest.sqrt();
        }
        true
    }
}

/// L of A = L L' in the lower triangle of A (p x p, row-major; the upper is left alone); false when
/// A is not positive definite.
///
/// # Panics
/// When `a` does not hold p x p numbers.
pub fn cholesky(a: &mut [f64], p: usize) -> bool {
    assert_eq!(a.len(), p * p);
    fast(Cholesky { a, p })
}

struct Solve<'a> {
    l: &'a [f64],
    p: usize,
    x: &'a mut [f64],
    m: usize,
}

impl Body for Solve<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let (p, m) = (self.p, self.m);
        for i in 0..p {
            let (done, from_i) = self.x.split_at_mut(i * m);
            let own = &mut from_i[..m];
            for (k, row) in done.chunks_exact(m).enumerate() {
                let factor = self.l[i * p + k];
                for c in 0..m {
                    own[c] = (-factor).mul_add(row[c], own[c]);
                }
            }
            let inverse = 1.0 / self.l[i * p + i];
            own.iter_mut().for_each(|v| *v *= inverse);
        }
    }
}

/// Replaces X (p x m, row-major) by L^-1 X.
///
/// # Panics
/// When the sizes do not fit.
pub fn solve_lower(l: &[f64], p: usize, x: &mut [f64], m: usize) {
    assert!(l.len() == p * p && x.len() == p * m);
    fast(Solve { l, p, x, m });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cholesky_solves() {
        for (n, p, m) in [(60, 37, 5), (9, 4, 3), (200, 64, 20)] {
            let mut state = 5u32;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f64::from(state >> 8) / f64::from(1 << 23) - 1.0
            };
            let x: Vec<f64> = (0..n * p).map(|_| next()).collect();
            let mut a = vec![0.0; p * p];
            cross_products(&x, p, &mut a);
            let direct = |i: usize, j: usize| (0..n).map(|k| x[k * p + i] * x[k * p + j]).sum::<f64>();
            for (i, j) in [(0, 0), (p - 1, 1), (2, p - 1), (p / 2, p / 2)] {
                assert!((a[i * p + j] - direct(i, j)).abs() < 1e-10);
            }
            let whole = a.clone();
            let mut same = vec![0.0; p * p];
            cross_products_of(&x, &x, p, &mut same);
            assert!(a.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-10));
            assert!(cholesky(&mut a, p));
            let b: Vec<f64> = (0..p * m).map(|_| next()).collect();
            let mut y = b.clone();
            solve_lower(&a, p, &mut y, m);
            for i in 0..p {
                for c in 0..m {
                    let back: f64 = (0..=i).map(|k| a[i * p + k] * y[k * m + c]).sum();
                    assert!((back - b[i * m + c]).abs() < 1e-9);
                }
                let product: f64 = (0..=i).map(|k| a[i * p + k] * a[i * p + k]).sum();
                assert!((product - whole[i * p + i]).abs() < 1e-9);
            }
            assert!(!cholesky(&mut vec![1.0; p * p], p), "rank one");
        }
    }
}
