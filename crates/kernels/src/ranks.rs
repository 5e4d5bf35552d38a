//! Ranks of many 32-bit numbers, equal ones averaged.
//!
//! Numbers are dealt into twice as many equally wide bins as there are numbers; what shares a bin
//! is sorted by insertion. Where the numbers are too unevenly spread for that, or too many, a radix
//! sort does it. Both are exact.

use crate::dense::fast;
use crate::simd::Body;

/// Above this many numbers the bins no longer fit the cache.
const MOST_BINNED: usize = 1 << 15;
/// A bin fuller than this is sorted by radix with all others.
const FULLEST: u16 = 24;
const DIGIT: u32 = 11;

/// Memory for ranking; may be used again and again.
#[derive(Debug, Clone, Default)]
pub struct Ranker {
    bins: Vec<u16>,
    bin_of: Vec<u32>,
    sorted: Vec<u64>,
    other: Vec<u64>,
    wide: Vec<(u64, u32)>,
}

/// Order-preserving bits; -0 and 0 are one number.
#[inline(always)]
fn key(x: f32) -> u32 {
    let bits = (x + 0.0).to_bits();
    bits ^ ((bits as i32 >> 31) as u32 | 0x8000_0000)
}

/// Order-preserving bits of a 64-bit number.
#[inline(always)]
fn wide_key(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    bits ^ ((bits as i64 >> 63) as u64 | 1 << 63)
}

impl Ranker {
    /// Memory for `n` numbers.
    pub fn new(n: usize) -> Self {
        let mut ranker = Self::default();
        ranker.reserve(n);
        ranker
    }

    fn reserve(&mut self, n: usize) {
        if self.sorted.len() < n {
            self.sorted.resize(n, 0);
            self.bin_of.resize(n, 0);
        }
    }

    /// Writes `2 rank - (n + 1)` of every number (ranks from 1, equal numbers averaged): whole
    /// numbers with mean 0. Returns the sum of their squares, 0 when all numbers are equal.
    ///
    /// # Panics
    /// When the lengths differ, or there are more than 2^23 numbers (their ranks would not be
    /// exact).
    pub fn centred_ranks(&mut self, x: &[f32], out: &mut [f32]) -> f64 {
        let n = x.len();
        assert_eq!(n, out.len(), "one rank a number");
        assert!(n <= 1 << 23, "ranks are exact in 32 bits");
        self.sort(x);
        write_ranks(&self.sorted[..n], out)
    }

    /// [`Ranker::centred_ranks`] of 64-bit numbers: for few numbers, among which one exchange of
    /// ranks would show.
    ///
    /// # Panics
    /// As [`Ranker::centred_ranks`].
    pub fn centred_ranks_64(&mut self, x: &[f64], out: &mut [f32]) -> f64 {
        let n = x.len();
        assert_eq!(n, out.len(), "one rank a number");
        assert!(n <= 1 << 23, "ranks are exact in 32 bits");
        self.wide.clear();
        self.wide.extend(x.iter().enumerate().map(|(i, &v)| (wide_key(v), i as u32)));
        self.wide.sort_unstable();
        let mut squares = 0.0;
        let mut start = 0;
        for group in self.wide.chunk_by(|a, b| a.0 == b.0) {
            let end = start + group.len();
            let doubled = (start + 1 + end) as f32 - (n + 1) as f32;
            group.iter().for_each(|&(_, i)| out[i as usize] = doubled);
            squares += group.len() as f64 * f64::from(doubled) * f64::from(doubled);
            start = end;
        }
        squares
    }

    /// The numbers' places in ascending order; equal numbers in the order of their places.
    pub fn order(&mut self, x: &[f32]) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.sort(x);
        self.sorted[..x.len()].iter().map(|&s| ((s >> 32) as u32, (s & 0xffff_ffff) as usize))
    }

    fn sort(&mut self, x: &[f32]) {
        self.reserve(x.len());
        if x.len() > MOST_BINNED || !self.sort_by_bins(x) {
            self.sort_by_radix(x);
        }
    }

    /// False when a bin is too full.
    fn sort_by_bins(&mut self, x: &[f32]) -> bool {
        let n = x.len();
        let n_bins = 2 * n;
        let bin_of = &mut self.bin_of[..n];
        if n < 3 || !fast(Deal { x, n_bins, bin_of }) {
            return false;
        }
        self.bins.clear();
        self.bins.resize(n_bins, 0);
        for &b in bin_of.iter() {
            self.bins[b as usize] += 1;
        }
        let (mut start, mut fullest) = (0, 0);
        for bin in &mut self.bins {
            let count = *bin;
            fullest = fullest.max(count);
            *bin = start;
            start += count;
        }
        if fullest > FULLEST {
            return false;
        }
        let sorted = &mut self.sorted[..n];
        for (i, (&b, &v)) in bin_of.iter().zip(x).enumerate() {
            let at = &mut self.bins[b as usize];
            sorted[*at as usize] = u64::from(key(v)) << 32 | i as u64;
            *at += 1;
        }
        insert(sorted);
        true
    }

    fn sort_by_radix(&mut self, x: &[f32]) {
        let n = x.len();
        self.other.resize(n.max(self.other.len()), 0);
        let mut counts = [[0u32; 1 << DIGIT]; 3];
        for (i, (s, &v)) in self.sorted.iter_mut().zip(x).enumerate() {
            let key = key(v);
            *s = u64::from(key) << 32 | i as u64;
            for (pass, count) in counts.iter_mut().enumerate() {
                count[(key >> (pass as u32 * DIGIT)) as usize & ((1 << DIGIT) - 1)] += 1;
            }
        }
        for (pass, count) in counts.iter_mut().enumerate() {
            let shift = 32 + pass as u32 * DIGIT;
            let digit = |s: u64| (s >> shift) as usize & ((1 << DIGIT) - 1);
            let mut start = 0;
            for c in count.iter_mut() {
                start += std::mem::replace(c, start);
            }
            for &s in &self.sorted[..n] {
                let at = &mut count[digit(s)];
                self.other[*at as usize] = s;
                *at += 1;
            }
            std::mem::swap(&mut self.sorted, &mut self.other);
        }
        self.reserve(n);
    }
}

/// Gives every number its bin; false when the numbers do not vary or are not finite.
struct Deal<'a> {
    x: &'a [f32],
    n_bins: usize,
    bin_of: &'a mut [u32],
}

const LANES: usize = 16;

impl Body for Deal<'_> {
    type Out = bool;
    #[inline(always)]
    fn call(self) -> bool {
        let (mut lows, mut highs) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let (whole, rest) = self.x.as_chunks::<LANES>();
        for x in whole {
            for l in 0..LANES {
                lows[l] = if x[l] < lows[l] { x[l] } else { lows[l] };
                highs[l] = if x[l] > highs[l] { x[l] } else { highs[l] };
            }
        }
        let low = rest.iter().chain(&lows).fold(f32::INFINITY, |m, &v| m.min(v));
        let high = rest.iter().chain(&highs).fold(f32::NEG_INFINITY, |m, &v| m.max(v));
        let scale = (self.n_bins as f32 - 1.0) / (high - low);
        if !scale.is_finite() {
            return false;
        }
        let last = self.n_bins as u32 - 1;
        // Adding 2^23 puts the whole part of a number below it into the lowest bits: a conversion
        // that vectorises.
        const WHOLE: f32 = (1 << 23) as f32;
        for (b, &v) in self.bin_of.iter_mut().zip(self.x) {
            *b = (((v - low) * scale + WHOLE).to_bits() & 0x7f_ffff).min(last);
        }
        true
    }
}

/// Insertion sort: what is nearly in place costs one comparison.
fn insert(sorted: &mut [u64]) {
    for i in 1..sorted.len() {
        let new = sorted[i];
        let mut at = i;
        while at > 0 && sorted[at - 1] > new {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = new;
    }
}

fn write_ranks(sorted: &[u64], out: &mut [f32]) -> f64 {
    let n = sorted.len();
    let size = n as f64;
    // Of different numbers: sum (2 k - (n + 1))^2 = n (n^2 - 1) / 3; a group of t equal ones takes
    // (t^3 - t) / 3 off.
    let mut squares = size * (size * size - 1.0) / 3.0;
    let mut start = 0;
    while start < n {
        let this = sorted[start];
        let mut end = start + 1;
        while end < n && sorted[end] >> 32 == this >> 32 {
            end += 1;
        }
        // Twice the mean of the ranks start + 1 ..= end, less n + 1.
        let doubled = (start + end) as f32 - n as f32;
        if end == start + 1 {
            out[(this & 0xffff_ffff) as usize] = doubled;
        } else {
            let t = (end - start) as f64;
            squares -= (t * t * t - t) / 3.0;
            sorted[start..end].iter().for_each(|s| out[(s & 0xffff_ffff) as usize] = doubled);
        }
        start = end;
    }
    squares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_definition(x: &[f32]) -> Vec<f32> {
        let below = |v: f32| x.iter().filter(|&&w| w < v).count();
        let same = |v: f32| x.iter().filter(|&&w| w == v).count();
        x.iter().map(|&v| (2 * below(v) + same(v) + 1) as f32 - (x.len() + 1) as f32).collect()
    }

    #[test]
    fn ranks_are_their_definition() {
        let mut ranker = Ranker::default();
        let spread: Vec<f32> = (0..800).map(|i| ((i * 7919) % 800) as f32 * 0.01 - 3.0).collect();
        let tied: Vec<f32> = (0..300).map(|i| (i % 7) as f32).collect();
        let skewed: Vec<f32> = (0..500).map(|i| ((i * 263 % 500) as f32 / 20.0).exp()).collect();
        let zeros = vec![0.0, -0.0, 1.0, -1.0, f32::MIN_POSITIVE];
        for x in [spread, tied, skewed, zeros, vec![2.0], vec![], vec![1.5; 20], vec![3.0, 1.0]] {
            let mut out = vec![0.0; x.len()];
            let squares = ranker.centred_ranks(&x, &mut out);
            assert_eq!(out, by_definition(&x));
            let direct = out.iter().map(|v| f64::from(v * v)).sum::<f64>();
            assert!((squares - direct).abs() <= 1e-12 * direct, "{squares} is not {direct}");
            let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            let mut same = vec![0.0; x.len()];
            assert_eq!(ranker.centred_ranks_64(&wide, &mut same), direct);
            assert_eq!(same, out);
        }
    }

    #[test]
    fn bins_and_radix_agree() {
        let mut state = 1u32;
        let x: Vec<f32> = (0..40_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 9) as f32 / (1 << 23) as f32 + (state >> 30) as f32
            })
            .collect();
        let mut ranker = Ranker::new(10);
        let mut large = vec![0.0; x.len()];
        ranker.centred_ranks(&x, &mut large);
        let mut order: Vec<usize> = (0..x.len()).collect();
        order.sort_by(|&a, &b| large[a].total_cmp(&large[b]));
        assert!(order.windows(2).all(|w| x[w[0]] <= x[w[1]]));
        let mut small = vec![0.0; 5000];
        ranker.centred_ranks(&x[..5000], &mut small);
        assert_eq!(small, by_definition(&x[..5000]));
        assert!(ranker.order(&x[..100]).map(|(_, i)| x[i]).is_sorted());
    }
}
