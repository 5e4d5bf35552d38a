//! Every random draw of the program comes from [`stream`]: a counter-based generator keyed by seed,
//! purpose and item.
//!
//! Results therefore do not depend on the thread count, the batch size, or on which shard an item
//! ran.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// An independent, reproducible stream for (`seed`, `purpose`, `item`).
///
/// The key is BLAKE3(`seed` little-endian, `purpose`); `item` selects the ChaCha stream, so items
/// never overlap.
pub fn stream(seed: u64, purpose: &str, item: u64) -> Stream {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(purpose.as_bytes());
    let mut inner = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
    inner.set_stream(item);
    Stream { inner }
}

/// A seed of its own for something that has a name, so that what it draws does not depend on what
/// else is drawn.
pub fn seed_of(seed: u64, name: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    let hash = hasher.finalize();
    hash.as_bytes()[..8].iter().fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}

/// A random stream; see [`stream`].
#[derive(Debug, Clone)]
pub struct Stream {
    inner: ChaCha8Rng,
}

impl Stream {
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.inner.next_u64()
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform integer in 0..n (n > 0), without modulo bias worth naming (bias < n / 2^64).
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Standard normal, by Box and Muller (1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Random order of 0..n (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_reproducible_and_distinct() {
        let draw = |seed, purpose, item| stream(seed, purpose, item).bits();
        assert_eq!(draw(1, "init", 0), draw(1, "init", 0));
        assert_ne!(draw(1, "init", 0), draw(1, "init", 1));
        assert_ne!(draw(1, "init", 0), draw(2, "init", 0));
        assert_ne!(draw(1, "init", 0), draw(1, "jitter", 0));
    }

    #[test]
    fn normal_has_its_moments() {
        let mut rng = stream(3, "moments", 0);
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let var = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "mean {mean}, variance {var}");
    }

    #[test]
    fn permutation_holds_every_index_once() {
        let mut order = stream(5, "order", 2).permutation(100);
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
