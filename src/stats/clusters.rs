//! Clusters: connected voxels beyond a threshold.

use super::neighbours::Neighbours;
use crate::math::permutation::Tail;
use serde::Serialize;

/// Disjoint sets of voxels, joined pair by pair (union by size, path halving).
#[derive(Debug, Clone)]
pub(super) struct Forest {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl Forest {
    pub fn new(n: usize) -> Self {
        Self { parent: (0..n as u32).collect(), size: vec![1; n] }
    }

    /// Every voxel on its own again.
    pub fn reset(&mut self) {
        self.parent.iter_mut().zip(0..).for_each(|(parent, i)| *parent = i);
        self.size.fill(1);
    }

    pub fn root(&mut self, mut voxel: u32) -> u32 {
        while self.parent[voxel as usize] != voxel {
            let above = self.parent[self.parent[voxel as usize] as usize];
            self.parent[voxel as usize] = above;
            voxel = above;
        }
        voxel
    }

    /// Number of voxels of the set with this root.
    pub fn size(&self, root: u32) -> u32 {
        self.size[root as usize]
    }

    /// Joins two different roots; gives (the new root, the one below it).
    pub fn join(&mut self, a: u32, b: u32) -> (u32, u32) {
        let (root, child) = if self.size(a) >= self.size(b) { (a, b) } else { (b, a) };
        self.parent[child as usize] = root;
        self.size[root as usize] += self.size[child as usize];
        (root, child)
    }
}

/// A connected set of voxels whose statistic is beyond a threshold, all on one side of zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cluster {
    /// Number of voxels.
    pub size: usize,
    /// Sum over its voxels of |statistic| - threshold (nilearn's cluster mass).
    pub mass: f64,
    /// The voxel where the statistic is furthest from zero (the first of equals).
    pub peak_voxel: usize,
    /// The statistic there, with its sign.
    pub peak: f64,
}

/// Connected voxels with statistic > threshold, < -threshold, or both (never in one cluster),
/// largest cluster first.
///
/// The first vector says for every voxel to which cluster it belongs, counted from 1, and is 0
/// elsewhere. NaN belongs nowhere.
///
/// # Shapes
/// `map`: n_voxels, the number that `neighbours` was made for.
pub fn clusters(map: &[f64], threshold: f64, tail: Tail, neighbours: &Neighbours) -> (Vec<u32>, Vec<Cluster>) {
    assert_eq!(map.len(), neighbours.n_voxels(), "a map of the voxels that the neighbours are of");
    let sides: Vec<i8> = map.iter().map(|&value| side(value, threshold, tail)).collect();
    let mut forest = Forest::new(map.len());
    for v in 0..map.len() as u32 {
        if sides[v as usize] == 0 {
            continue;
        }
        for &u in neighbours.of(v as usize) {
            if u < v && sides[u as usize] == sides[v as usize] {
                let (a, b) = (forest.root(u), forest.root(v));
                if a != b {
                    forest.join(a, b);
                }
            }
        }
    }
    measure(map, &sides, threshold, &mut forest)
}

fn side(value: f64, threshold: f64, tail: Tail) -> i8 {
    match tail {
        Tail::Greater | Tail::TwoSided if value > threshold => 1,
        Tail::Less | Tail::TwoSided if value < -threshold => -1,
        _ => 0,
    }
}

fn measure(map: &[f64], sides: &[i8], threshold: f64, forest: &mut Forest) -> (Vec<u32>, Vec<Cluster>) {
    let mut of_root = vec![u32::MAX; map.len()];
    let mut labels = vec![0; map.len()];
    let mut found: Vec<Cluster> = Vec::new();
    for v in (0..map.len()).filter(|&v| sides[v] != 0) {
        let root = forest.root(v as u32) as usize;
        if of_root[root] == u32::MAX {
            of_root[root] = found.len() as u32;
            found.push(Cluster { size: 0, mass: 0.0, peak_voxel: v, peak: map[v] });
        }
        labels[v] = of_root[root] + 1;
        let cluster = &mut found[of_root[root] as usize];
        cluster.size += 1;
        cluster.mass += map[v].abs() - threshold;
        if map[v].abs() > cluster.peak.abs() {
            (cluster.peak_voxel, cluster.peak) = (v, map[v]);
        }
    }
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|&c| std::cmp::Reverse(found[c].size));
    let mut rank = vec![0; found.len()];
    order.iter().zip(1..).for_each(|(&c, place)| rank[c] = place);
    labels.iter_mut().filter(|l| **l > 0).for_each(|l| *l = rank[*l as usize - 1]);
    (labels, order.into_iter().map(|c| found[c]).collect())
}

/// The voxels of a cluster that no neighbour exceeds, furthest from zero first: what a table lists
/// below the main peak.
///
/// `min_distance` is asked for every pair of peaks: a peak that is nearer than that to one already
/// listed is left out.
///
/// # Shapes
/// `map`, `labels`: n_voxels; `label` counts from 1; `distance(u, v)` of two voxels in the unit of
/// `min_distance`.
pub fn peaks(
    map: &[f64],
    labels: &[u32],
    label: u32,
    neighbours: &Neighbours,
    min_distance: f64,
    distance: impl Fn(usize, usize) -> f64,
) -> Vec<usize> {
    let inside = |v: usize| labels[v] == label;
    let highest =
        |v: usize| neighbours.of(v).iter().all(|&u| !inside(u as usize) || map[u as usize].abs() <= map[v].abs());
    let mut candidates: Vec<usize> = (0..map.len()).filter(|&v| inside(v) && highest(v)).collect();
    candidates.sort_by(|&a, &b| map[b].abs().total_cmp(&map[a].abs()));
    let mut kept: Vec<usize> = Vec::new();
    for v in candidates {
        if kept.iter().all(|&k| distance(k, v) >= min_distance) {
            kept.push(v);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> Neighbours {
        Neighbours::from_pairs(n, &(1..n).map(|i| (i - 1, i)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn clusters_of_a_line_are_its_runs() {
        let map = [3.0, 2.5, 1.0, f64::NAN, 4.0, -3.0, -5.0, -2.5, 2.0];
        let (labels, found) = clusters(&map, 2.0, Tail::TwoSided, &line(9));
        assert_eq!(labels, [2, 2, 0, 0, 3, 1, 1, 1, 0], "2.0 is not beyond 2.0, and a sign change ends a cluster");
        let sizes: Vec<_> = found.iter().map(|c| (c.size, c.peak_voxel, c.peak, c.mass)).collect();
        assert_eq!(sizes, [(3, 6, -5.0, 4.5), (2, 0, 3.0, 1.5), (1, 4, 4.0, 2.0)]);
        let (labels, found) = clusters(&map, 2.0, Tail::Greater, &line(9));
        assert_eq!((labels[5], found.len()), (0, 2));
        assert_eq!(clusters(&map, 2.0, Tail::Less, &line(9)).1.len(), 1);
        assert_eq!(clusters(&map, 9.0, Tail::TwoSided, &line(9)).1, []);
    }

    #[test]
    fn peaks_are_local_and_apart() {
        let map = [3.0, 5.0, 3.0, 4.0, 3.5, 4.5, 3.0];
        let (labels, _) = clusters(&map, 2.0, Tail::Greater, &line(7));
        let distance = |a: usize, b: usize| a.abs_diff(b) as f64;
        assert_eq!(peaks(&map, &labels, 1, &line(7), 0.0, distance), [1, 5, 3]);
        assert_eq!(peaks(&map, &labels, 1, &line(7), 3.0, distance), [1, 5]);
    }
}
