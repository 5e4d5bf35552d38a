//! Threshold-free cluster enhancement.

use super::clusters::Forest;
use super::neighbours::Neighbours;
use crate::math::permutation::Tail;
use serde::{Deserialize, Serialize};

/// More steps than this change no digit that matters; levels are 16-bit.
const MAX_STEPS: usize = 10_000;

/// At which heights the integral is sampled. The largest sample is the map's maximum (of |value|
/// when two-sided).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heights {
    /// So many equal steps from 0 to the maximum: dh = maximum / n (fslmaths and nilearn: 100).
    Steps(usize),
    /// Steps of about this height: n = round(maximum / dh), from 10 to 1000 (nilearn with `dh`
    /// given).
    Dh(f64),
}

/// Parameters of [`Enhancer`].
///
/// | name | default | purpose |
/// |---|---|---|
/// | `extent` | 0.5 | E, the exponent of a cluster's size |
/// | `height` | 2 | H, the exponent of the height |
/// | `heights` | 100 steps | where the integral is sampled |
/// | `times_dh` | true | multiply by dh: Smith and Nichols' integral |
///
/// Without `times_dh` the numbers are those of nilearn 0.14 and fslmaths, which leave dh out. dh
/// depends on the map's maximum, so that a map with a high peak is then divided by more than the
/// permuted maps that it is tested against, and power is lost exactly where the effect is strong;
/// hence the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tfce {
    pub extent: f64,
    pub height: f64,
    pub heights: Heights,
    pub times_dh: bool,
}

impl Default for Tfce {
    fn default() -> Self {
        Self { extent: 0.5, height: 2.0, heights: Heights::Steps(100), times_dh: true }
    }
}

impl Tfce {
    /// The rule of nilearn 0.14's `permuted_ols(tfce=True)`.
    pub fn nilearn() -> Self {
        Self { times_dh: false, ..Self::default() }
    }

    /// h_1 < ... < h_n = maximum, as numpy.linspace(0, maximum, n + 1) without its first.
    fn sampled(&self, maximum: f64) -> Vec<f64> {
        let n = match self.heights {
            Heights::Steps(n) => n.clamp(1, MAX_STEPS),
            // The bounds are nilearn's.
            Heights::Dh(dh) => ((maximum / dh).round() as usize).clamp(10, 1000),
        };
        let dh = maximum / n as f64;
        (1..n).map(|k| k as f64 * dh).chain([maximum]).collect()
    }
}

/// Enhances maps of one mask; keeps its working memory between maps.
///
/// TFCE(v) = sum over heights h_k <= |map(v)| of e_k(v)^E h_k^H dh, e_k(v) the size of the cluster
/// of voxels with
/// |map| >= h_k (of one sign) that v is in. Negative values give negative TFCE.
///
/// Voxels are added from the highest to the lowest and clusters joined as they meet: O(n_voxels),
/// where labelling the map at every height is O(n_heights n_voxels). The sums are the same.
///
/// # Source
/// Smith and Nichols, NeuroImage 44:83 (2009), equation 1.
#[derive(Debug, Clone)]
pub struct Enhancer<'a> {
    neighbours: &'a Neighbours,
    options: Tfce,
    forest: Forest,
    /// Index of the highest threshold that a voxel reaches, from 1; 0: none.
    level: Vec<u16>,
    /// What the cluster with this root has gathered; below a root, the difference to the root's.
    gathered: Vec<f64>,
    /// Level down to which `gathered` is complete.
    settled: Vec<u16>,
    order: Vec<u32>,
    joined: Vec<(u32, u32)>,
    /// Voxels that set no heights.
    outlying: &'a [usize],
}

impl<'a> Enhancer<'a> {
    /// For maps of `neighbours.n_voxels()` voxels.
    pub fn new(neighbours: &'a Neighbours, options: Tfce) -> Self {
        let n = neighbours.n_voxels();
        let forest = Forest::new(n);
        let (level, settled) = (vec![0; n], vec![0; n]);
        Self {
            neighbours,
            options,
            forest,
            level,
            gathered: vec![0.0; n],
            settled,
            order: Vec::new(),
            joined: Vec::new(),
            outlying: &[],
        }
    }

    /// The largest sample is the maximum of the map without these voxels, which count as being that
    /// high where they are higher: one value without measure would else lift every height beyond
    /// all others. They are the same for a map and the permuted maps that it is tested against.
    #[must_use]
    pub fn without_heights_of(mut self, outlying: &'a [usize]) -> Self {
        self.outlying = outlying;
        self
    }

    /// The enhanced map; NaN stays NaN and belongs to no cluster.
    ///
    /// # Shapes
    /// `map`: n_voxels.
    pub fn enhance(&mut self, map: &[f64], tail: Tail) -> Vec<f64> {
        assert_eq!(map.len(), self.neighbours.n_voxels(), "a map of the voxels that the neighbours are of");
        let reached = |v: f64| match tail {
            Tail::Greater => v,
            Tail::Less => -v,
            Tail::TwoSided => v.abs(),
        };
        let largest = |outlying: &[usize]| {
            let ruling = map.iter().enumerate().filter(|(v, _)| outlying.binary_search(v).is_err());
            ruling.map(|(_, &x)| reached(x)).filter(|x| x.is_finite()).fold(0.0, f64::max)
        };
        let maximum = Some(largest(self.outlying)).filter(|m| *m > 0.0).unwrap_or_else(|| largest(&[]));
        let mut enhanced: Vec<f64> = map.iter().map(|v| if v.is_nan() { f64::NAN } else { 0.0 }).collect();
        if maximum > 0.0 {
            let heights = self.options.sampled(maximum);
            if tail != Tail::Less {
                self.one_side(map, 1.0, &heights, &mut enhanced);
            }
            if tail != Tail::Greater {
                self.one_side(map, -1.0, &heights, &mut enhanced);
            }
        }
        enhanced
    }

    fn one_side(&mut self, map: &[f64], sign: f64, heights: &[f64], enhanced: &mut [f64]) {
        self.sort(map, sign, heights);
        // weight[k]: sum of h_j^H dh for j <= k, so that a cluster that lives from level a down to
        // b + 1 gathers e^E (weight[a] - weight[b]).
        let dh = if self.options.times_dh { heights[0] } else { 1.0 };
        let mut weight = vec![0.0; heights.len() + 1];
        for (k, h) in heights.iter().enumerate() {
            weight[k + 1] = weight[k] + h.powf(self.options.height) * dh;
        }
        self.forest.reset();
        self.gathered.fill(0.0);
        self.joined.clear();
        for i in 0..self.order.len() {
            let v = self.order[i];
            let level = self.level[v as usize];
            self.settled[v as usize] = level;
            for &u in self.neighbours.of(v as usize) {
                // A neighbour is in when it is higher, or as high and earlier in the order (the
                // order is stable).
                if self.level[u as usize] > level || (self.level[u as usize] == level && u < v) {
                    self.meet(u, v, level, &weight);
                }
            }
        }
        for i in 0..self.order.len() {
            let root = self.forest.root(self.order[i]);
            self.settle(root, 0, &weight);
        }
        // A voxel's parent was joined to its own parent later, so the last joined come first.
        for &(parent, child) in self.joined.iter().rev() {
            self.gathered[child as usize] += self.gathered[parent as usize];
        }
        for &v in &self.order {
            enhanced[v as usize] = sign * self.gathered[v as usize];
        }
    }

    /// Fills `level` and `order`: voxels that reach the first height, highest level first, else by
    /// index.
    fn sort(&mut self, map: &[f64], sign: f64, heights: &[f64]) {
        let scale = 1.0 / heights[0];
        let mut starts = vec![0usize; heights.len() + 2];
        for (level, &value) in self.level.iter_mut().zip(map) {
            let value = sign * value;
            let mut k = if value > 0.0 { ((value * scale) as usize).min(heights.len()) } else { 0 };
            // The division may round to the wrong side of a height.
            while k > 0 && value < heights[k - 1] {
                k -= 1;
            }
            while value > 0.0 && k < heights.len() && value >= heights[k] {
                k += 1;
            }
            *level = k as u16;
            starts[heights.len() - k + 1] += usize::from(k > 0);
        }
        for k in 1..starts.len() {
            starts[k] += starts[k - 1];
        }
        self.order.clear();
        self.order.resize(starts[heights.len()], 0);
        for (v, &level) in self.level.iter().enumerate().filter(|(_, level)| **level > 0) {
            let slot = &mut starts[heights.len() - level as usize];
            self.order[*slot] = v as u32;
            *slot += 1;
        }
    }

    fn meet(&mut self, u: u32, v: u32, level: u16, weight: &[f64]) {
        let (a, b) = (self.forest.root(u), self.forest.root(v));
        if a != b {
            self.settle(a, level, weight);
            self.settle(b, level, weight);
            let (root, child) = self.forest.join(a, b);
            self.gathered[child as usize] -= self.gathered[root as usize];
            self.joined.push((root, child));
        }
    }

    /// Adds what a cluster gathers from its last change down to the level above `level`.
    fn settle(&mut self, root: u32, level: u16, weight: &[f64]) {
        let r = root as usize;
        if self.settled[r] > level {
            let size = f64::from(self.forest.size(root));
            let power = if self.options.extent == 0.5 { size.sqrt() } else { size.powf(self.options.extent) };
            self.gathered[r] += power * (weight[self.settled[r] as usize] - weight[level as usize]);
            self.settled[r] = level;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::neighbours::{Connectivity, mask};
    use super::*;
    use crate::rng;
    use crate::stats::clusters::clusters;

    /// By the definition: the map is labelled at every height.
    fn by_definition(map: &[f64], options: Tfce, tail: Tail, neighbours: &Neighbours) -> Vec<f64> {
        let largest = map.iter().filter(|v| !v.is_nan()).map(|v| match tail {
            Tail::Greater => *v,
            Tail::Less => -*v,
            Tail::TwoSided => v.abs(),
        });
        let heights = options.sampled(largest.fold(0.0, f64::max));
        let dh = if options.times_dh { heights[0] } else { 1.0 };
        let mut out: Vec<f64> = map.iter().map(|v| v * 0.0).collect();
        for h in heights {
            // clusters() takes values beyond a threshold, TFCE those that reach it.
            let (labels, found) = clusters(map, h.next_down(), tail, neighbours);
            for (v, &label) in labels.iter().enumerate().filter(|(_, l)| **l > 0) {
                let size = found[label as usize - 1].size as f64;
                out[v] += map[v].signum() * size.powf(options.extent) * h.powf(options.height) * dh;
            }
        }
        out
    }

    #[test]
    fn equals_labelling_at_every_height() {
        let mut rng = rng::stream(1, "tfce test", 0);
        let inside: Vec<bool> = (0..9 * 8 * 7).map(|_| rng.uniform() < 0.8).collect();
        let mask = mask([9, 8, 7], |v| inside[v]);
        let mut map: Vec<f64> = (0..mask.n_voxels()).map(|_| (4.0 * rng.normal()).round() / 3.0).collect();
        map[5] = f64::NAN;
        for connectivity in [Connectivity::Faces, Connectivity::Edges, Connectivity::Corners] {
            let neighbours = Neighbours::of_mask(&mask, connectivity);
            for tail in [Tail::Greater, Tail::Less, Tail::TwoSided] {
                for options in [
                    Tfce::default(),
                    Tfce::nilearn(),
                    Tfce { extent: 1.0, height: 1.5, heights: Heights::Dh(0.1), times_dh: true },
                    Tfce { heights: Heights::Steps(1), ..Tfce::default() },
                ] {
                    let expected = by_definition(&map, options, tail, &neighbours);
                    let found = Enhancer::new(&neighbours, options).enhance(&map, tail);
                    let scale = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                    for (v, (a, b)) in found.iter().zip(&expected).enumerate() {
                        assert!((a - b).abs() <= 1e-12 * scale || (v == 5 && a.is_nan()), "{a} against {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_value_does_not_set_the_heights_of_all() {
        let neighbours = Neighbours::of_mask(&mask([9, 1, 1], |_| true), Connectivity::Faces);
        let mut map = [1.0, 3.0, 4.0, 2.0, -1.0, 0.5, 0.2, -2.0, 1.5];
        let usual = Enhancer::new(&neighbours, Tfce::default()).enhance(&map, Tail::TwoSided);
        map[8] = 1e6;
        let ruled = Enhancer::new(&neighbours, Tfce::default()).enhance(&map, Tail::TwoSided);
        assert!(ruled[..8].iter().all(|v| *v == 0.0), "every other value is below the first height");
        let bounded =
            Enhancer::new(&neighbours, Tfce::default()).without_heights_of(&[8]).enhance(&map, Tail::TwoSided);
        assert_eq!(bounded[..8], usual[..8]);
        // As if it were as high as the highest of the others: a cluster of one voxel, 100 steps of
        // 0.04.
        let expected: f64 = (1..=100).map(|k| (0.04 * f64::from(k)).powi(2) * 0.04).sum();
        assert!((bounded[8] - expected).abs() < 1e-12 * expected, "{} against {expected}", bounded[8]);
        // Where nothing else reaches anything, it is the map.
        let alone = [f64::NAN, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 2.0];
        let found = Enhancer::new(&neighbours, Tfce::default()).without_heights_of(&[8]).enhance(&alone, Tail::Greater);
        assert!(found[8] > 0.0);
    }

    #[test]
    fn working_memory_is_clean_between_maps() {
        let neighbours = Neighbours::of_mask(&mask([6, 1, 1], |_| true), Connectivity::Faces);
        let maps = [[1.0, 2.0, 3.0, -1.0, 2.0, 2.0], [0.0; 6], [-4.0, 0.5, 0.0, 2.0, 2.0, 1.0]];
        let mut kept = Enhancer::new(&neighbours, Tfce::default());
        for map in maps {
            let fresh = Enhancer::new(&neighbours, Tfce::default()).enhance(&map, Tail::TwoSided);
            assert_eq!(kept.enhance(&map, Tail::TwoSided), fresh);
        }
        assert_eq!(kept.enhance(&[0.0; 6], Tail::TwoSided), [0.0; 6]);
    }
}
