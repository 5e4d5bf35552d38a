//! The order of an upper triangle without its diagonal: (0,1), (0,2), ..., (1,2), ... as in
//! `numpy.triu_indices(n, k=1)` and `scipy.spatial.distance.squareform`.

/// Entries of the triangle: n (n - 1) / 2.
pub const fn n_pairs(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// The n whose triangle has `len` entries, or `None` when there is none (n = 2 is the smallest).
pub fn n_conditions(len: usize) -> Option<usize> {
    let n = ((1.0 + (1.0 + 8.0 * len as f64).sqrt()) / 2.0).round() as usize;
    (n >= 2 && n_pairs(n) == len).then_some(n)
}

/// Position of the pair (i, j), i != j, both below n; the order of the two does not matter.
pub const fn index(i: usize, j: usize, n: usize) -> usize {
    let (i, j) = if i < j { (i, j) } else { (j, i) };
    i * (2 * n - i - 1) / 2 + j - i - 1
}

/// The pairs in order.
pub fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_counts_through_the_pairs() {
        for n in 2..12 {
            let found: Vec<_> = pairs(n).map(|(i, j)| index(j, i, n)).collect();
            assert_eq!(found, (0..n_pairs(n)).collect::<Vec<_>>());
            assert_eq!(n_conditions(n_pairs(n)), Some(n));
        }
        assert_eq!([0, 2, 4, 5, 7].map(n_conditions), [None; 5]);
    }
}
