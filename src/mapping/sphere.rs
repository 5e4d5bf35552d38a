//! Which voxels belong to a centre.

use crate::data::{Grid, Mask};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Unit of a radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RadiusUnit {
    /// Millimetres, by the affine.
    #[default]
    Mm,
    /// Voxel indices, whatever their size in mm.
    Voxels,
}

/// Shape of the neighbourhood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SphereShape {
    /// Distance <= radius.
    #[default]
    Ball,
    /// Distance < radius: a radius of one voxel is the centre alone.
    OpenBall,
    /// Every coordinate within the radius: 125 voxels for radius 2.
    Cube,
}

/// The rule by which a centre gets its voxels.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `radius` | 10 | in `unit`s |
/// | `unit` | mm | mm or voxels |
/// | `shape` | ball | ball (<=), open_ball (<), cube |
/// | `min_voxels` | 10 | centres with fewer voxels in the mask are left out |
/// | `min_fraction` | 0 | centres are left out where fewer of the shape's voxels within the volume are in the mask |
/// | `whole` | false | centres are left out whose shape leaves the volume |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sphere {
    pub radius: f64,
    pub unit: RadiusUnit,
    pub shape: SphereShape,
    pub min_voxels: usize,
    pub min_fraction: f64,
    pub whole: bool,
}

impl Default for Sphere {
    fn default() -> Self {
        Self {
            radius: 10.0,
            unit: RadiusUnit::Mm,
            shape: SphereShape::Ball,
            min_voxels: 10,
            min_fraction: 0.0,
            whole: false,
        }
    }
}

/// The rules of other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// rsatoolbox 0.3 `get_volume_searchlight(mask, radius=2, threshold=1.0)`: distance < radius in
    /// voxels, all of the sphere's voxels in the mask.
    Rsatoolbox,
    /// nilearn 0.14 `SearchLight(radius=2.0)`: distance <= radius in mm, any number of voxels.
    Nilearn,
    /// BrainIAK `Searchlight(sl_rad=1)`, its default shape: the cube of side 2 radius + 1, within
    /// the volume.
    Brainiak,
}

impl Preset {
    /// The rule, with another radius where one is given.
    pub fn sphere(self, radius: Option<f64>) -> Sphere {
        let voxels = Sphere { unit: RadiusUnit::Voxels, min_voxels: 1, ..Sphere::default() };
        match self {
            Self::Rsatoolbox => {
                Sphere { radius: radius.unwrap_or(2.0), shape: SphereShape::OpenBall, min_fraction: 1.0, ..voxels }
            }
            Self::Nilearn => Sphere { radius: radius.unwrap_or(2.0), unit: RadiusUnit::Mm, ..voxels },
            Self::Brainiak => Sphere { radius: radius.unwrap_or(1.0), shape: SphereShape::Cube, whole: true, ..voxels },
        }
    }
}

impl fmt::Display for Sphere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.unit == RadiusUnit::Mm { "mm" } else { "voxels" };
        match self.shape {
            SphereShape::Ball => write!(f, "distance <= {} {unit}", self.radius),
            SphereShape::OpenBall => write!(f, "distance < {} {unit}", self.radius),
            SphereShape::Cube => write!(f, "cube of {} {unit} in each direction", self.radius),
        }
    }
}

/// A ball whose radius is a multiple of the voxel size contains the voxels at that distance,
/// whatever the last bit says.
const SLACK: f64 = 1e-9;

impl Sphere {
    /// Index offsets of the shape's voxels, the slowest axis first.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the radius is not a positive number, or a limit makes no sense.
    pub fn offsets(&self, grid: &Grid) -> Result<Vec<[i32; 3]>> {
        if !(self.radius > 0.0 && self.radius.is_finite()) {
            return Err(Error::invalid("radius", "a number above 0", self.radius.to_string(), ""));
        }
        if self.min_voxels == 0 || !(0.0..=1.0).contains(&self.min_fraction) {
            let found = format!("{} and {}", self.min_voxels, self.min_fraction);
            return Err(Error::invalid("min_voxels, min_fraction", "at least 1 voxel, and 0..1", found, ""));
        }
        let size = match self.unit {
            RadiusUnit::Mm => grid.affine.voxel_size(),
            RadiusUnit::Voxels => [1.0; 3],
        };
        // Axes that are not at right angles bring voxels closer than their sizes say: look twice as
        // far.
        let reach = |axis: usize| {
            let far = (2.0 * self.radius / size[axis]).floor().min(grid.shape[axis] as f64);
            far as i32
        };
        let inside = |d: [i32; 3]| {
            let d = d.map(f64::from);
            let length = match self.unit {
                RadiusUnit::Mm => grid.affine.length(d),
                RadiusUnit::Voxels => d.iter().map(|x| x * x).sum::<f64>().sqrt(),
            };
            let within = self.radius * (1.0 + SLACK);
            match self.shape {
                SphereShape::Ball => length <= within,
                SphereShape::OpenBall => length < self.radius * (1.0 - SLACK),
                SphereShape::Cube => (0..3).all(|a| d[a].abs() * size[a] <= within),
            }
        };
        let mut offsets = Vec::new();
        for k in -reach(2)..=reach(2) {
            for j in -reach(1)..=reach(1) {
                for i in -reach(0)..=reach(0) {
                    if inside([i, j, k]) {
                        offsets.push([i, j, k]);
                    }
                }
            }
        }
        Ok(offsets)
    }
}

/// Centres and the rule that gives each its voxels; the lists themselves are made when they are
/// needed.
#[derive(Debug, Clone)]
pub struct Neighbourhoods<'a> {
    mask: &'a Mask,
    sphere: Sphere,
    offsets: Vec<[i32; 3]>,
    centres: Vec<u32>,
    n_skipped: usize,
}

impl<'a> Neighbourhoods<'a> {
    /// Finds the centres, voxels of `centres` (of `mask` where there is none), that have enough
    /// voxels of `mask` around.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the masks are on different grids, the rule makes no sense, or no
    /// centre is left.
    pub fn new(mask: &'a Mask, centres: Option<&Mask>, sphere: Sphere) -> Result<Self> {
        let candidates = centres.unwrap_or(mask);
        mask.grid().require_same("mask of centres", candidates.grid())?;
        let offsets = sphere.offsets(mask.grid())?;
        let mut found = Self { mask, sphere, offsets, centres: Vec::new(), n_skipped: 0 };
        let mut voxels = Vec::new();
        let mut most = 0;
        found.centres = candidates
            .voxels()
            .iter()
            .copied()
            .filter(|&centre| {
                let kept = found.collect(centre, &mut voxels);
                most = most.max(voxels.len());
                kept
            })
            .collect();
        found.n_skipped = candidates.n_voxels() - found.centres.len();
        if found.centres.is_empty() {
            let expected = format!("a centre with at least {} voxels ({sphere})", sphere.min_voxels);
            let hint = "raise `radius`, or lower `min_voxels` or `min_fraction`";
            return Err(Error::invalid("searchlight", expected, format!("{most} at most"), hint));
        }
        Ok(found)
    }

    /// Positions of the centres in the grid, ascending.
    pub fn centres(&self) -> &[u32] {
        &self.centres
    }

    /// Candidates that have too few voxels around.
    pub fn n_skipped(&self) -> usize {
        self.n_skipped
    }

    /// Voxels of the whole shape.
    pub fn n_shape(&self) -> usize {
        self.offsets.len()
    }

    /// The mask from which voxels are taken.
    pub fn mask(&self) -> &Mask {
        self.mask
    }

    /// Numbers within the mask of a centre's voxels; `voxels` is overwritten.
    pub fn voxels(&self, centre: u32, voxels: &mut Vec<u32>) {
        self.collect(centre, voxels);
    }

    fn collect(&self, centre: u32, voxels: &mut Vec<u32>) -> bool {
        voxels.clear();
        let grid = self.mask.grid();
        let at = grid.voxel(centre as usize).map(|v| v as i32);
        let mut n_within = 0;
        for d in &self.offsets {
            let voxel = [at[0] + d[0], at[1] + d[1], at[2] + d[2]];
            if (0..3).all(|a| voxel[a] >= 0 && voxel[a] < grid.shape[a] as i32) {
                n_within += 1;
                if let Some(rank) = self.mask.rank(grid.index(voxel.map(|v| v as usize))) {
                    voxels.push(rank as u32);
                }
            }
        }
        voxels.len() >= self.sphere.min_voxels
            && voxels.len() as f64 >= self.sphere.min_fraction * f64::from(n_within)
            && (!self.sphere.whole || n_within as usize == self.offsets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Affine;

    fn grid(side: usize, mm: f64) -> Grid {
        Grid { shape: [side; 3], affine: Affine::scaling([mm; 3]) }
    }

    fn count(sphere: Sphere) -> usize {
        sphere.offsets(&grid(30, 3.0)).unwrap().len()
    }

    #[test]
    fn shapes_have_their_known_sizes() {
        let voxels = |radius, shape| Sphere { radius, shape, unit: RadiusUnit::Voxels, ..Sphere::default() };
        assert_eq!([1.0, 2.0, 5.0].map(|r| count(voxels(r, SphereShape::Ball))), [7, 33, 515]);
        assert_eq!([1.0, 2.0, 5.0].map(|r| count(voxels(r, SphereShape::OpenBall))), [1, 27, 485]);
        assert_eq!([1.0, 2.0].map(|r| count(voxels(r, SphereShape::Cube))), [27, 125]);
        let mm = |radius| count(Sphere { radius, ..Sphere::default() });
        assert_eq!([3.0, 6.0, 15.0, 2.9].map(mm), [7, 33, 515, 1]);
    }

    #[test]
    fn anisotropic_voxels_make_a_ball_in_mm() {
        let grid = Grid { shape: [20; 3], affine: Affine::scaling([1.0, 1.0, 4.0]) };
        let offsets = Sphere { radius: 4.0, ..Sphere::default() }.offsets(&grid).unwrap();
        assert_eq!(offsets.iter().filter(|d| d[2] != 0).count(), 2, "only straight above and below");
        assert_eq!(offsets.len(), 49 + 2, "and the disc of radius 4");
    }

    #[test]
    fn centres_need_enough_voxels() {
        let mask = Mask::from_fn(grid(5, 1.0), |_| true).unwrap();
        let rule = |shape, min_fraction, whole| Sphere {
            radius: 1.0,
            unit: RadiusUnit::Voxels,
            shape,
            min_voxels: 1,
            min_fraction,
            whole,
        };
        let n = |rule| Neighbourhoods::new(&mask, None, rule).unwrap().centres().len();
        assert_eq!(n(rule(SphereShape::Cube, 0.0, true)), 27);
        assert_eq!(n(rule(SphereShape::Cube, 1.0, false)), 125, "cut at the volume's edge, all in the mask");
        let hole = Mask::from_fn(grid(5, 1.0), |v| v != 62).unwrap();
        let around = Neighbourhoods::new(&hole, Some(&mask), rule(SphereShape::Ball, 1.0, false)).unwrap();
        assert_eq!((around.centres().len(), around.n_skipped()), (125 - 7, 7));
        let error = Neighbourhoods::new(&mask, None, Sphere { radius: 0.5, ..Sphere::default() }).unwrap_err();
        assert!(error.to_string().contains("found 1 at most"), "{error}");
    }
}
