//! Few numbers for many: k-means in one dimension, without chance.
//!
//! In one dimension clusters are ranges of the sorted numbers, so that sums over them come from
//! sums from the start: a step of Lloyd's algorithm costs k searches, and the best clustering of
//! all can be computed.

/// Lloyd's algorithm at most.
const STEPS: usize = 10_000;

/// Sorted numbers, and sums of them and of their squares from the start.
struct Sorted {
    values: Vec<f32>,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Sorted {
    fn new(values: &[f32]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f32::total_cmp);
        let middle = values.get(values.len() / 2).map_or(0.0, |&v| f64::from(v));
        let (mut sums, mut squares) = (vec![0.0], vec![0.0]);
        for (i, &v) in values.iter().enumerate() {
            // About the median: squares of small differences lose no digits.
            let d = f64::from(v) - middle;
            sums.push(sums[i] + d);
            squares.push(squares[i] + d * d);
        }
        Self { values, sums, squares }
    }

    fn middle(&self) -> f64 {
        f64::from(self.values[self.values.len() / 2])
    }

    fn mean(&self, from: usize, to: usize) -> f64 {
        self.middle() + (self.sums[to] - self.sums[from]) / (to - from) as f64
    }

    /// Sum of squared distances from the mean.
    fn spread(&self, from: usize, to: usize) -> f64 {
        let sum = self.sums[to] - self.sums[from];
        (self.squares[to] - self.squares[from] - sum * sum / (to - from) as f64).max(0.0)
    }

    /// Where the numbers of each centre begin, and where the last end.
    fn bounds(&self, centres: &[f64]) -> Vec<usize> {
        let between = centres.windows(2).map(|p| {
            let middle = (p[0] + p[1]) / 2.0;
            self.values.partition_point(|&v| f64::from(v) <= middle)
        });
        std::iter::once(0).chain(between).chain([self.values.len()]).collect()
    }
}

/// k-means by Lloyd's algorithm from k equally spaced starts between the smallest and the largest
/// number (the "linear initialisation" that keeps large weights represented), until nothing
/// changes; a centre that nothing is near stays where it is. Sorted; at most `k`.
///
/// # Source
/// Han, Mao and Dally, "Deep Compression", ICLR 2016, section 3.
///
/// # Example
/// ```
/// use orthoscope::compression::connections::codebook::{linear, nearest};
///
/// let weights = [0.0, 0.1, 0.2, 3.0, 3.2];
/// let centres = linear(&weights, 2);
/// assert_eq!(centres, [0.1, 3.1]);
/// assert_eq!(weights.map(|w| nearest(&centres, w)), [0, 0, 0, 1, 1]);
/// ```
pub fn linear(values: &[f32], k: usize) -> Vec<f32> {
    let sorted = Sorted::new(values);
    let (Some(&low), Some(&high)) = (sorted.values.first(), sorted.values.last()) else { return vec![] };
    let (low, high) = (f64::from(low), f64::from(high));
    let step = if k > 1 { (high - low) / (k - 1) as f64 } else { 0.0 };
    let mut centres: Vec<f64> = (0..k).map(|i| low + step * i as f64).collect();
    if k == 1 || low == high {
        centres = vec![low];
    }
    let mut bounds = sorted.bounds(&centres);
    for _ in 0..STEPS {
        for (centre, range) in centres.iter_mut().zip(bounds.windows(2)) {
            if range[1] > range[0] {
                *centre = sorted.mean(range[0], range[1]);
            }
        }
        let next = sorted.bounds(&centres);
        if next == bounds {
            break;
        }
        bounds = next;
    }
    distinct(centres)
}

/// The k-means clustering of the least sum of squared distances, by dynamic programming over sorted
/// numbers: `least[c][j] = min_i least[c-1][i] + spread(i, j)`, with the best i growing with j.
/// Time k n log n, memory 4 k n bytes. Sorted; at most `k` centres.
///
/// # Source
/// Wang and Song, "Ckmeans.1d.dp", R Journal 2011; the divide and conquer is known from Grønlund et
/// al. 2017.
///
/// # Example
/// ```
/// use orthoscope::compression::connections::codebook::{exact, linear, spread};
///
/// let weights = [0.0, 0.1, 5.0, 5.1, 5.2, 9.0];
/// let best = exact(&weights, 3);
/// assert_eq!(best, [0.05, 5.1, 9.0]);
/// assert!(spread(&weights, &best) <= spread(&weights, &linear(&weights, 3)));
/// ```
pub fn exact(values: &[f32], k: usize) -> Vec<f32> {
    let sorted = Sorted::new(values);
    let n = sorted.values.len();
    let k = k.min(n);
    if k == 0 {
        return vec![];
    }
    let mut least: Vec<f64> = (0..=n).map(|j| if j == 0 { 0.0 } else { sorted.spread(0, j) }).collect();
    let mut from: Vec<Vec<u32>> = vec![vec![0; n + 1]];
    for c in 1..k {
        let mut next = vec![f64::INFINITY; n + 1];
        let mut best = vec![c as u32; n + 1];
        divide(&sorted, &least, &mut next, &mut best, [c + 1, n], [c, n]);
        least = next;
        from.push(best);
    }
    let mut centres = Vec::with_capacity(k);
    let mut end = n;
    for best in from.iter().rev() {
        let start = best[end] as usize;
        centres.push(sorted.mean(start, end));
        end = start;
    }
    centres.reverse();
    distinct(centres)
}

/// Fills `next[j]` for j in `ends`, knowing that the best starts lie in `starts`.
fn divide(sorted: &Sorted, least: &[f64], next: &mut [f64], best: &mut [u32], ends: [usize; 2], starts: [usize; 2]) {
    let ([low, high], [first, last]) = (ends, starts);
    if low > high {
        return;
    }
    let j = low + (high - low) / 2;
    for (i, before) in least.iter().enumerate().take(last.min(j - 1) + 1).skip(first) {
        let cost = before + sorted.spread(i, j);
        if cost < next[j] {
            next[j] = cost;
            best[j] = i as u32;
        }
    }
    let at = best[j] as usize;
    divide(sorted, least, next, best, [low, j - 1], [first, at]);
    divide(sorted, least, next, best, [j + 1, high], [at, last]);
}

/// As 32-bit numbers, each once.
fn distinct(centres: Vec<f64>) -> Vec<f32> {
    let mut centres: Vec<f32> = centres.into_iter().map(|c| c as f32).collect();
    centres.sort_by(f32::total_cmp);
    centres.dedup();
    centres
}

/// The centre nearest to a number; of two equally near ones the smaller. Centres are sorted, at
/// least one.
pub fn nearest(centres: &[f32], value: f32) -> usize {
    let above = centres.partition_point(|&c| c < value);
    if above == 0 {
        return 0;
    }
    let distance = |i: usize| (f64::from(centres[i]) - f64::from(value)).abs();
    if above == centres.len() || distance(above - 1) <= distance(above) { above - 1 } else { above }
}

/// Sum of squared distances of numbers from their nearest centres.
pub fn spread(values: &[f32], centres: &[f32]) -> f64 {
    values.iter().map(|&v| (f64::from(v) - f64::from(centres[nearest(centres, v)])).powi(2)).sum()
}
