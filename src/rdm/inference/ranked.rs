//! Ranks and Kendall's tau of values that come several times.
//!
//! A resampled RDM holds the dissimilarity of images i and j as often as the product of how often i
//! and j were drawn. Instead of repeating it, every pair is kept once with its weight; ranks count
//! weights. Sorting is done once for the original RDMs: a resample only walks along the sorted
//! pairs.

/// Bits that one pass of the radix sort takes.
const RADIX_BITS: u32 = 11;

/// The order of a vector's pairs: positions in ascending order, and the dense rank of every pair
/// (equal values share one).
#[derive(Debug, Clone)]
pub struct SortedPairs {
    order: Vec<u32>,
    dense: Vec<u32>,
}

impl SortedPairs {
    /// Of finite values.
    pub fn new(values: &[f64]) -> Self {
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        let mut dense = vec![0; values.len()];
        // By ==: -0 and 0 are one value.
        for (rank, group) in order.chunk_by(|&a, &b| values[a as usize] == values[b as usize]).enumerate() {
            group.iter().for_each(|&p| dense[p as usize] = rank as u32);
        }
        Self { order, dense }
    }
}

/// The pairs that a resample holds.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// The pair at each position.
    pub pairs: Vec<u32>,
    /// How often it comes.
    pub weights: Vec<u32>,
    /// Position of every pair; one beyond the last where its weight is 0.
    position: Vec<u32>,
    weight_of_pair: Vec<u32>,
    /// Sum of the weights.
    pub total: u64,
}

impl Pairs {
    /// From the weight of every pair; pairs of weight 0 are left out.
    pub fn new(weight_of_pair: Vec<u32>) -> Self {
        let pairs: Vec<u32> = (0..weight_of_pair.len() as u32).filter(|&p| weight_of_pair[p as usize] > 0).collect();
        let weights: Vec<u32> = pairs.iter().map(|&p| weight_of_pair[p as usize]).collect();
        let mut position = vec![pairs.len() as u32; weight_of_pair.len()];
        pairs.iter().enumerate().for_each(|(at, &p)| position[p as usize] = at as u32);
        let total = weights.iter().map(|&w| u64::from(w)).sum();
        Self { pairs, weights, position, weight_of_pair, total }
    }

    /// Ranks of a vector among these pairs.
    pub fn ranked(&self, sorted: &SortedPairs) -> Ranked {
        let kept = sorted.order.iter().filter(|&&p| self.weight_of_pair[p as usize] > 0);
        let order = kept.map(|&p| (self.position[p as usize], sorted.dense[p as usize])).collect::<Vec<_>>();
        self.rank(order)
    }

    /// [`Ranked::twice`] of a vector, for many vectors. One number beyond the last position is
    /// overwritten: pairs that are left out write there, which costs less than a branch that cannot
    /// be foretold.
    pub fn twice_ranks(&self, sorted: &SortedPairs, out: &mut [f64]) {
        let n = self.weights.len();
        if sorted.dense.len() != sorted.order.last().map_or(0, |&p| sorted.dense[p as usize] as usize + 1) {
            return out[..n].copy_from_slice(&self.ranked(sorted).twice);
        }
        let centre = self.total as f64;
        let mut before = 0;
        for &p in &sorted.order {
            let weight = u64::from(self.weight_of_pair[p as usize]);
            out[self.position[p as usize] as usize] = (2 * before + weight) as f64 - centre;
            before += weight;
        }
    }

    /// Ranks of the values `keys`, one a position.
    pub fn ranked_keys(&self, keys: &[u32], scratch: &mut Vec<u64>) -> Ranked {
        let mut items: Vec<u64> = keys.iter().zip(0u64..).map(|(&key, at)| u64::from(key) << 32 | at).collect();
        radix_sort(&mut items, scratch);
        self.rank(items.into_iter().map(|item| (item as u32, (item >> 32) as u32)).collect())
    }

    /// `order`: (position, value) in ascending order of the values.
    fn rank(&self, order: Vec<(u32, u32)>) -> Ranked {
        let n = self.weights.len();
        let mut ranked = Ranked { sorted: Vec::with_capacity(n), group: vec![0; n], twice: vec![0.0; n], norm: 0.0 };
        let centre = self.total as f64 + 1.0;
        let (mut before, mut n_groups) = (0u64, 0);
        for group in order.chunk_by(|a, b| a.1 == b.1) {
            let weight: u64 = group.iter().map(|(at, _)| u64::from(self.weights[*at as usize])).sum();
            // Twice the mean rank, less its mean: 2 before + weight + 1 - (total + 1).
            let twice = (2 * before + weight + 1) as f64 - centre;
            for &(at, _) in group {
                ranked.group[at as usize] = n_groups;
                ranked.twice[at as usize] = twice;
                ranked.sorted.push(at);
            }
            ranked.norm += weight as f64 * twice * twice;
            before += weight;
            n_groups += 1;
        }
        ranked.norm = ranked.norm.sqrt();
        ranked
    }

    /// Spearman's correlation of two ranked vectors; 0 when one does not vary (rsatoolbox's rule).
    pub fn spearman(&self, a: &Ranked, b: &Ranked) -> f64 {
        if a.norm == 0.0 || b.norm == 0.0 {
            return 0.0;
        }
        let products = a.twice.iter().zip(&b.twice).zip(&self.weights).map(|((x, y), &w)| x * y * f64::from(w));
        products.sum::<f64>() / (a.norm * b.norm)
    }

    /// Kendall's tau-a, (concordant - discordant) / (total (total - 1) / 2) over all pairs of
    /// entries, repetitions included.
    ///
    /// Walks along `a` in ascending order and asks for the weight of what came before with smaller
    /// `b`.
    pub fn tau_a(&self, a: &Ranked, b: &Ranked, tree: &mut Tree) -> f64 {
        tree.clear(self.weights.len());
        let (mut score, mut seen) = (0i64, 0i64);
        for tied in a.sorted.chunk_by(|&p, &q| a.group[p as usize] == a.group[q as usize]) {
            for &at in tied {
                let (weight, group) = (i64::from(self.weights[at as usize]), b.group[at as usize]);
                let below = tree.below(group);
                let above = seen - below - i64::from(tree.at[group as usize]);
                score += weight * (below - above);
            }
            for &at in tied {
                tree.add(b.group[at as usize], self.weights[at as usize]);
                seen += i64::from(self.weights[at as usize]);
            }
        }
        let total = self.total as f64;
        score as f64 / (total * (total - 1.0) / 2.0)
    }
}

/// A vector's ranks.
#[derive(Debug, Clone)]
pub struct Ranked {
    /// Positions in ascending order.
    sorted: Vec<u32>,
    /// Dense rank of every position.
    group: Vec<u32>,
    /// Twice the rank (ties averaged, weights counted), less the mean.
    pub twice: Vec<f64>,
    /// Root of the weighted sum of its squares.
    pub norm: f64,
}

/// Entries of a node of [`Tree`].
const NODE: usize = 16;

/// For each place of a node: all bits for the places after it.
const AFTER: [[u32; NODE]; NODE] = {
    let mut after = [[0; NODE]; NODE];
    let mut place = 0;
    while place < NODE {
        let mut later = place + 1;
        while later < NODE {
            after[place][later] = u32::MAX;
            later += 1;
        }
        place += 1;
    }
    after
};

/// Running sums of weights in a tree of nodes of 16: a question is one load a level, and an
/// addition one masked addition of 16 numbers a level, which the processor does several at a time
/// and without a branch.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Level k, entry i: weight of the entries of the same node before i; an entry of level k is a
    /// node of level k - 1.
    levels: Vec<Vec<[u32; NODE]>>,
    at: Vec<u32>,
}

impl Tree {
    fn clear(&mut self, n: usize) {
        self.at.clear();
        self.at.resize(n, 0);
        let (mut level, mut n_nodes) = (0, n);
        while level == 0 || n_nodes > 1 {
            n_nodes = n_nodes.div_ceil(NODE).max(1);
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].clear();
            self.levels[level].resize(n_nodes, [0; NODE]);
            level += 1;
        }
        self.levels.truncate(level);
    }

    /// Weight in the groups below `group`.
    fn below(&self, group: u32) -> i64 {
        let (mut at, mut sum) = (group as usize, 0);
        for level in &self.levels {
            sum += i64::from(level[at / NODE][at % NODE]);
            at /= NODE;
        }
        sum
    }

    fn add(&mut self, group: u32, weight: u32) {
        let mut at = group as usize;
        self.at[at] += weight;
        for level in &mut self.levels {
            let (node, after) = (&mut level[at / NODE], &AFTER[at % NODE]);
            // The sums stay below the total weight, which is 32-bit; checked additions would be
            // done one by one.
            for (sum, mask) in node.iter_mut().zip(after) {
                *sum = sum.wrapping_add(weight & mask);
            }
            at /= NODE;
        }
    }
}

/// Sorts by the upper 32 bits; stable.
fn radix_sort(items: &mut Vec<u64>, scratch: &mut Vec<u64>) {
    let largest = items.iter().copied().max().unwrap_or(0);
    scratch.resize(items.len(), 0);
    let mut shift = 32;
    while shift < u64::BITS && largest >> shift > 0 {
        let digit = |item: u64| (item >> shift) as usize & ((1 << RADIX_BITS) - 1);
        let mut starts = [0u32; 1 << RADIX_BITS];
        items.iter().for_each(|&item| starts[digit(item)] += 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for &item in items.iter() {
            let slot = &mut starts[digit(item)];
            scratch[*slot as usize] = item;
            *slot += 1;
        }
        std::mem::swap(items, scratch);
        shift += RADIX_BITS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::stats;
    use proptest::prelude::*;

    fn repeated(values: &[f64], weights: &[u32]) -> Vec<f64> {
        values.iter().zip(weights).flat_map(|(v, &w)| std::iter::repeat_n(*v, w as usize)).collect()
    }

    proptest! {
        #[test]
        fn weights_are_repetitions(items in prop::collection::vec((0i8..9, 0i8..9, 0u32..4), 4..40)) {
            let x: Vec<f64> = items.iter().map(|i| f64::from(i.0)).collect();
            let y: Vec<f64> = items.iter().map(|i| f64::from(i.1)).collect();
            let weights: Vec<u32> = items.iter().map(|i| i.2).collect();
            let pairs = Pairs::new(weights.clone());
            let (a, b) = (pairs.ranked(&SortedPairs::new(&x)), pairs.ranked(&SortedPairs::new(&y)));
            let (long_x, long_y) = (repeated(&x, &weights), repeated(&y, &weights));
            let expected = stats::spearman(&long_x, &long_y);
            let expected = if expected.is_nan() { 0.0 } else { expected };
            prop_assert!((pairs.spearman(&a, &b) - expected).abs() < 1e-12);
            if pairs.total > 1 {
                let expected = stats::kendall_tau_a(&long_x, &long_y);
                prop_assert!((pairs.tau_a(&a, &b, &mut Tree::default()) - expected).abs() < 1e-12);
            }
            let keys: Vec<u32> = pairs.pairs.iter().map(|&p| 70_000 * items[p as usize].1 as u32).collect();
            for values in [&x, &(0..x.len()).map(|i| (i * 7919 % 10_007) as f64).collect()] {
                let mut twice = vec![0.0; pairs.weights.len() + 1];
                pairs.twice_ranks(&SortedPairs::new(values), &mut twice);
                twice.pop();
                prop_assert_eq!(twice, pairs.ranked(&SortedPairs::new(values)).twice);
            }
            let by_keys = pairs.ranked_keys(&keys, &mut Vec::new());
            prop_assert_eq!(by_keys.twice, b.twice);
        }

        #[test]
        fn the_radix_sort_sorts(keys in prop::collection::vec(any::<u32>(), 0..300)) {
            let mut items: Vec<u64> = keys.iter().zip(0u64..).map(|(&k, i)| u64::from(k) << 32 | i).collect();
            let mut expected = items.clone();
            expected.sort_unstable();
            radix_sort(&mut items, &mut Vec::new());
            prop_assert_eq!(items, expected);
        }
    }
}
