//! The grid's axes by anatomy.

use crate::data::{Grid, Mask};

/// The grid's axes by anatomy: which voxel axis runs left-right, back-front, up, and whether it
/// runs that way.
#[derive(Clone, Copy)]
pub(super) struct Anatomy {
    /// Which voxel axis runs along each.
    pub(super) axes: [usize; 3],
    forward: [bool; 3],
    shape: [usize; 3],
}

impl Anatomy {
    pub(super) fn of(grid: &Grid) -> Self {
        let orientation = grid.affine.orientation();
        let mut found = Self { axes: [0; 3], forward: [true; 3], shape: [0; 3] };
        for (axis, (world, forward)) in orientation.into_iter().enumerate() {
            found.axes[world] = axis;
            found.forward[world] = forward;
            found.shape[world] = grid.shape[axis];
        }
        found
    }

    /// The voxel at (right, front, up) counted from the left, the back, below.
    pub(super) fn voxel(&self, at: [usize; 3]) -> [usize; 3] {
        let mut voxel = [0; 3];
        for world in 0..3 {
            let n = self.shape[world];
            voxel[self.axes[world]] = if self.forward[world] { at[world] } else { n - 1 - at[world] };
        }
        voxel
    }
}

/// First and last place along (right, front, up) where the mask has voxels.
pub(super) fn extent(mask: &Mask, anatomy: &Anatomy) -> [(usize, usize); 3] {
    let mut found = [(usize::MAX, 0); 3];
    for &position in mask.voxels() {
        let voxel = mask.grid().voxel(position as usize);
        for world in 0..3 {
            let v = voxel[anatomy.axes[world]];
            let at = if anatomy.forward[world] { v } else { anatomy.shape[world] - 1 - v };
            found[world] = (found[world].0.min(at), found[world].1.max(at));
        }
    }
    found
}
