//! Which voxels are neighbours.

use crate::data::mask::Mask;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// When two voxels touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connectivity {
    /// By a face: 6 neighbours (nilearn, scipy's default).
    #[default]
    Faces,
    /// By a face or an edge: 18 neighbours (SPM).
    Edges,
    /// By a face, an edge or a corner: 26 neighbours (FSL).
    Corners,
}

impl Connectivity {
    /// Largest number of the three coordinates in which two neighbours differ.
    fn order(self) -> usize {
        match self {
            Self::Faces => 1,
            Self::Edges => 2,
            Self::Corners => 3,
        }
    }
}

/// The neighbours of every voxel of a mask, or of every vertex of a surface, by their numbers in
/// the maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbours {
    starts: Vec<usize>,
    list: Vec<u32>,
}

impl Neighbours {
    /// The neighbours inside a mask.
    pub fn of_mask(mask: &Mask, connectivity: Connectivity) -> Self {
        let grid = mask.grid();
        let offsets: Vec<[isize; 3]> = (0..27)
            .map(|i| [i / 9 - 1, i / 3 % 3 - 1, i % 3 - 1])
            .filter(|offset| (1..=connectivity.order()).contains(&offset.iter().filter(|&&d| d != 0).count()))
            .collect();
        let mut neighbours = Self { starts: vec![0], list: Vec::new() };
        for &position in mask.voxels() {
            let at = grid.voxel(position as usize);
            let near = offsets.iter().filter_map(|offset| {
                let mut moved = [0; 3];
                for axis in 0..3 {
                    moved[axis] = at[axis].checked_add_signed(offset[axis]).filter(|&i| i < grid.shape[axis])?;
                }
                mask.rank(grid.index(moved)).map(|v| v as u32)
            });
            neighbours.list.extend(near);
            neighbours.starts.push(neighbours.list.len());
        }
        neighbours
    }

    /// From pairs of neighbours, each given once or twice: the edges of a surface's mesh, for
    /// example.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a pair names a vertex that does not exist, or one vertex twice.
    pub fn from_pairs(n_vertices: usize, pairs: &[(usize, usize)]) -> Result<Self> {
        let mut lists = vec![Vec::new(); n_vertices];
        for &(a, b) in pairs {
            if a >= n_vertices || b >= n_vertices || a == b || n_vertices >= u32::MAX as usize {
                let expected = format!("pairs of different vertices below {n_vertices}");
                return Err(Error::invalid("neighbours", expected, format!("({a}, {b})"), ""));
            }
            lists[a].push(b as u32);
            lists[b].push(a as u32);
        }
        let mut neighbours = Self { starts: vec![0], list: Vec::new() };
        for mut near in lists {
            near.sort_unstable();
            near.dedup();
            neighbours.list.extend(near);
            neighbours.starts.push(neighbours.list.len());
        }
        Ok(neighbours)
    }

    /// Number of voxels.
    pub fn n_voxels(&self) -> usize {
        self.starts.len() - 1
    }

    /// The neighbours of one voxel.
    pub fn of(&self, voxel: usize) -> &[u32] {
        &self.list[self.starts[voxel]..self.starts[voxel + 1]]
    }
}

/// A mask on a grid of 1 mm, for tests.
#[cfg(test)]
pub(super) fn mask(shape: [usize; 3], inside: impl Fn(usize) -> bool) -> Mask {
    let grid = crate::data::volume::Grid { shape, affine: crate::data::affine::Affine::scaling([1.0; 3]) };
    Mask::from_fn(grid, inside).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cube_has_6_18_and_26_neighbours_inside() {
        let cube = mask([3; 3], |_| true);
        for (connectivity, inside, corner) in
            [(Connectivity::Faces, 6, 3), (Connectivity::Edges, 18, 6), (Connectivity::Corners, 26, 7)]
        {
            let neighbours = Neighbours::of_mask(&cube, connectivity);
            assert_eq!((neighbours.of(13).len(), neighbours.of(0).len()), (inside, corner));
            for v in 0..27 {
                assert!(neighbours.of(v).iter().all(|&u| neighbours.of(u as usize).contains(&(v as u32))), "mutual");
            }
        }
    }

    #[test]
    fn only_voxels_of_the_mask_are_neighbours() {
        let neighbours = Neighbours::of_mask(&mask([4, 1, 1], |v| v != 2), Connectivity::Corners);
        assert_eq!([neighbours.of(0), neighbours.of(1), neighbours.of(2)], [&[1][..], &[0], &[]]);
        assert_eq!(neighbours, Neighbours::from_pairs(3, &[(0, 1), (1, 0)]).unwrap());
        assert!(Neighbours::from_pairs(2, &[(0, 2)]).is_err() && Neighbours::from_pairs(2, &[(1, 1)]).is_err());
    }
}
