//! Where in a brain targets are: in the voxels of a mask, on surfaces, in grayordinates, or
//! nowhere (neurons, channels, regions).

use super::mask::Mask;
use super::volume::Grid;
use crate::error::{Error, Result};
use std::collections::HashSet;

/// Where targets are, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Place {
    /// Not known.
    #[default]
    Nowhere,
    /// Voxels of a mask, in its order.
    Volume(Mask),
    /// Vertices, and voxels where there are any.
    Brain(Grayordinates),
}

/// Vertices of surfaces and voxels of structures, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Grayordinates {
    parts: Vec<Part>,
    grid: Option<Grid>,
}

/// Some places of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// In the words of CIFTI without `CIFTI_STRUCTURE_`, such as `CORTEX_LEFT`.
    pub structure: String,
    pub places: Places,
}

/// Which vertices, or which voxels.
#[derive(Debug, Clone, PartialEq)]
pub enum Places {
    /// Vertices of a surface that has `n_vertices`, counted from 0.
    Vertices { n_vertices: usize, vertices: Vec<u32> },
    /// Voxels (i, j, k) of the grid, counted from 0.
    Voxels(Vec<[u32; 3]>),
}

impl Part {
    /// All vertices of a surface.
    pub fn surface(structure: impl Into<String>, n_vertices: usize) -> Self {
        let vertices = (0..n_vertices as u32).collect();
        Self { structure: structure.into(), places: Places::Vertices { n_vertices, vertices } }
    }

    /// How many places.
    pub fn len(&self) -> usize {
        match &self.places {
            Places::Vertices { vertices, .. } => vertices.len(),
            Places::Voxels(voxels) => voxels.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is wrong with its places, in words.
    fn wrong(&self, grid: Option<&Grid>) -> Option<String> {
        let name = &self.structure;
        match (&self.places, grid) {
            (Places::Vertices { n_vertices, vertices }, _) => {
                bad_number(vertices.iter().map(|&v| v as usize), *n_vertices)
                    .map(|v| format!("vertex {v} outside, or twice, of {n_vertices} of `{name}`"))
            }
            (Places::Voxels(_), None) => Some(format!("voxels of `{name}` and no grid")),
            (Places::Voxels(voxels), Some(grid)) => {
                let inside = |v: &[u32; 3]| (0..3).all(|axis| (v[axis] as usize) < grid.shape[axis]);
                let outside = voxels.iter().find(|v| !inside(v));
                let index = |v: &[u32; 3]| grid.index(v.map(|x| x as usize));
                let twice = || bad_number(voxels.iter().map(index), grid.n_voxels());
                match outside {
                    Some(v) => Some(format!("voxel {v:?} of `{name}` outside of {grid}")),
                    None => twice().map(|v| format!("voxel {:?} of `{name}` twice", grid.voxel(v))),
                }
            }
        }
    }
}

/// The first number that is not below `n`, or is there twice.
fn bad_number(numbers: impl Iterator<Item = usize>, n: usize) -> Option<usize> {
    let mut seen = HashSet::new();
    numbers.into_iter().find(|&v| v >= n || !seen.insert(v))
}

impl Grayordinates {
    /// Takes parts, and the grid of their voxels.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no place, a vertex or voxel lies outside its surface or
    /// grid or is there twice in one part, two parts are of one structure and kind, or there are
    /// voxels and no grid.
    pub fn new(parts: Vec<Part>, grid: Option<Grid>) -> Result<Self> {
        let bad = |expected: &str, found: String| Err(Error::invalid("grayordinates", expected, found, ""));
        if parts.iter().all(Part::is_empty) {
            return bad("a vertex or a voxel", "none".into());
        }
        for (p, part) in parts.iter().enumerate() {
            let name = &part.structure;
            let kind = std::mem::discriminant(&part.places);
            if parts[..p].iter().any(|other| other.structure == *name && std::mem::discriminant(&other.places) == kind)
            {
                return bad("one part a structure", format!("`{name}` twice"));
            }
            if let Some(found) = part.wrong(grid.as_ref()) {
                return bad("vertices of their surface and voxels of the grid, each once", found);
            }
        }
        Ok(Self { parts, grid })
    }

    /// The parts, in the order of the targets.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The grid of the voxels.
    pub fn grid(&self) -> Option<&Grid> {
        self.grid.as_ref()
    }

    /// How many places.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// Whether there are none, which [`Grayordinates::new`] refuses.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn names(&self) -> Vec<String> {
        let of = |part: &Part| match &part.places {
            Places::Vertices { vertices, .. } => {
                vertices.iter().map(|v| format!("{}-{v}", part.structure)).collect::<Vec<_>>()
            }
            Places::Voxels(voxels) => {
                voxels.iter().map(|[i, j, k]| format!("{}-{i}-{j}-{k}", part.structure)).collect()
            }
        };
        self.parts.iter().flat_map(of).collect()
    }
}

impl Place {
    /// How many places there are; `None` where nobody knows.
    pub fn n_places(&self) -> Option<usize> {
        match self {
            Self::Nowhere => None,
            Self::Volume(mask) => Some(mask.n_voxels()),
            Self::Brain(brain) => Some(brain.len()),
        }
    }

    /// A name for each of `n_targets`: voxels `i-j-k`, vertices `CORTEX_LEFT-17`, else their
    /// numbers; all count from 0, as NumPy and nibabel do.
    pub fn names(&self, n_targets: usize) -> Vec<String> {
        match self {
            Self::Nowhere => (0..n_targets).map(|t| t.to_string()).collect(),
            Self::Volume(mask) => {
                let name = |&v: &u32| {
                    let [i, j, k] = mask.grid().voxel(v as usize);
                    format!("{i}-{j}-{k}")
                };
                mask.voxels().iter().map(name).collect()
            }
            Self::Brain(brain) => brain.names(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Affine;

    fn part(structure: &str, n_vertices: usize, vertices: &[u32]) -> Part {
        Part { structure: structure.into(), places: Places::Vertices { n_vertices, vertices: vertices.to_vec() } }
    }

    #[test]
    fn places_have_names_that_count_from_zero() {
        let grid = Grid { shape: [2, 3, 4], affine: Affine::scaling([2.0; 3]) };
        let mask = Mask::from_fn(grid, |v| v == 1 || v == 23).unwrap();
        assert_eq!(Place::Volume(mask).names(2), ["1-0-0", "1-2-3"]);
        let voxels = Part { structure: "THALAMUS_LEFT".into(), places: Places::Voxels(vec![[1, 2, 3]]) };
        let parts = vec![part("CORTEX_LEFT", 9, &[8, 0]), voxels];
        let brain = Place::Brain(Grayordinates::new(parts, Some(grid)).unwrap());
        assert_eq!(brain.names(3), ["CORTEX_LEFT-8", "CORTEX_LEFT-0", "THALAMUS_LEFT-1-2-3"]);
        assert_eq!(brain.n_places(), Some(3));
        assert_eq!(Place::Nowhere.names(2), ["0", "1"]);
    }

    #[test]
    fn places_outside_and_twice_are_refused() {
        let grid = Grid { shape: [2, 2, 2], affine: Affine::scaling([2.0; 3]) };
        let voxels = |list: &[[u32; 3]]| Part { structure: "T".into(), places: Places::Voxels(list.to_vec()) };
        let refuse = |parts: Vec<Part>, grid: Option<Grid>, words: &str| {
            let text = Grayordinates::new(parts, grid).unwrap_err().to_string();
            assert!(text.contains(words), "{text}");
        };
        refuse(vec![part("L", 3, &[3])], None, "vertex 3 outside");
        refuse(vec![part("L", 3, &[1, 1])], None, "vertex 1 outside, or twice");
        refuse(vec![part("L", 3, &[1]), part("L", 3, &[2])], None, "`L` twice");
        refuse(vec![part("L", 3, &[])], None, "none");
        refuse(vec![voxels(&[[0, 0, 2]])], Some(grid), "outside of 2 x 2 x 2");
        refuse(vec![voxels(&[[0, 0, 1], [0, 0, 1]])], Some(grid), "[0, 0, 1] of `T` twice");
        refuse(vec![voxels(&[[0, 0, 1]])], None, "no grid");
    }
}
