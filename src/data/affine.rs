//! From voxel indices to millimetres.

use std::fmt;

/// Largest difference in mm between two affines that describe one grid: headers are 32-bit.
const SAME_MM: f64 = 1e-3;

/// x = A (i, j, k, 1): the upper three rows of a 4 x 4 affine, voxel indices (from 0, at voxel
/// centres) to RAS+ mm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine(pub [[f64; 4]; 3]);

impl Affine {
    /// Axes along x, y, z with these voxel sizes (mm), origin at voxel 0.
    pub fn scaling(size_mm: [f64; 3]) -> Self {
        let mut rows = [[0.0; 4]; 3];
        (0..3).for_each(|a| rows[a][a] = size_mm[a]);
        Self(rows)
    }

    /// Rotation quaternion (b, c, d), voxel sizes, offset, and `qfac` (-1 flips the third axis).
    ///
    /// # Source
    /// The NIfTI-1 standard, method 2: a = sqrt(1 - b^2 - c^2 - d^2).
    pub fn from_quaternion(bcd: [f64; 3], size_mm: [f64; 3], offset: [f64; 3], qfac: f64) -> Self {
        let [b, c, d] = bcd;
        let square = b * b + c * c + d * d;
        // Three 32-bit numbers may add up to a little more than 1: the rotation is then by 180
        // degrees.
        let (a, b, c, d) = if square > 1.0 - 1e-7 {
            let norm = square.sqrt();
            (0.0, b / norm, c / norm, d / norm)
        } else {
            ((1.0 - square).sqrt(), b, c, d)
        };
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ];
        let size = [size_mm[0], size_mm[1], size_mm[2] * if qfac < 0.0 { -1.0 } else { 1.0 }];
        let mut rows = [[0.0; 4]; 3];
        for (row, (r, o)) in rows.iter_mut().zip(rotation.iter().zip(offset)) {
            *row = [r[0] * size[0], r[1] * size[1], r[2] * size[2], o];
        }
        Self(rows)
    }

    /// Millimetres of a (fractional) voxel index.
    pub fn apply(&self, ijk: [f64; 3]) -> [f64; 3] {
        self.0.map(|r| r[0] * ijk[0] + r[1] * ijk[1] + r[2] * ijk[2] + r[3])
    }

    /// Millimetres between two voxels that are `d` indices apart: the length of A d without the
    /// offset.
    pub fn length(&self, d: [f64; 3]) -> f64 {
        self.0.iter().map(|r| (r[0] * d[0] + r[1] * d[1] + r[2] * d[2]).powi(2)).sum::<f64>().sqrt()
    }

    /// Edge lengths of a voxel in mm.
    pub fn voxel_size(&self) -> [f64; 3] {
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|d| self.length(d))
    }

    /// Determinant of the 3 x 3 part: the signed volume of a voxel in mm^3.
    pub fn determinant(&self) -> f64 {
        let [x, y, z] = self.0;
        x[0] * (y[1] * z[2] - y[2] * z[1]) - x[1] * (y[0] * z[2] - y[2] * z[0]) + x[2] * (y[0] * z[1] - y[1] * z[0])
    }

    /// From mm to voxel indices; `None` when the voxels have no volume.
    pub fn inverse(&self) -> Option<Self> {
        let det = self.determinant();
        if det == 0.0 || !det.is_finite() {
            return None;
        }
        let m = &self.0;
        let cofactor = |i: usize, j: usize| {
            let (a, b) = ((i + 1) % 3, (i + 2) % 3);
            let (c, d) = ((j + 1) % 3, (j + 2) % 3);
            m[a][c] * m[b][d] - m[a][d] * m[b][c]
        };
        let mut rows = [[0.0; 4]; 3];
        for (i, row) in rows.iter_mut().enumerate() {
            (0..3).for_each(|j| row[j] = cofactor(j, i) / det);
            row[3] = -(0..3).map(|j| row[j] * m[j][3]).sum::<f64>();
        }
        Some(Self(rows))
    }

    /// Whether two affines agree to a thousandth of a millimetre in every entry.
    pub fn same(&self, other: &Self) -> bool {
        self.0.iter().flatten().zip(other.0.iter().flatten()).all(|(a, b)| (a - b).abs() <= SAME_MM)
    }

    /// The anatomical direction (0 = left-right, 1 = posterior-anterior, 2 = inferior-superior)
    /// that each voxel axis is nearest to, and whether it runs to the right, to the front, upwards.
    pub fn orientation(&self) -> [(usize, bool); 3] {
        let mut taken = [false; 3];
        let mut found = [(0, true); 3];
        let size = self.voxel_size();
        let share = |world: usize, axis: usize| self.0[world][axis].abs() / size[axis].max(f64::MIN_POSITIVE);
        let mut axes = [0, 1, 2];
        axes.sort_by(|&a, &b| {
            let best = |axis| (0..3).map(|w| share(w, axis)).fold(0.0, f64::max);
            best(b).total_cmp(&best(a)).then(a.cmp(&b))
        });
        for axis in axes {
            let free = (0..3).filter(|&w| !taken[w]);
            let world = free.max_by(|&a, &b| share(a, axis).total_cmp(&share(b, axis))).expect("three of each");
            taken[world] = true;
            found[axis] = (world, self.0[world][axis] >= 0.0);
        }
        found
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |r: &[f64; 4]| r.map(|v| format!("{}", (v * 1e4).round() / 1e4)).join(" ");
        write!(f, "[{}; {}; {}]", row(&self.0[0]), row(&self.0[1]), row(&self.0[2]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_undoes_the_affine() {
        let a = Affine([[-3.0, 0.1, 0.0, 78.0], [0.0, 2.5, -0.4, -112.0], [0.2, 0.3, 3.5, -50.0]]);
        let back = a.inverse().unwrap().apply(a.apply([3.0, 7.0, 1.5]));
        assert!(back.iter().zip([3.0, 7.0, 1.5]).all(|(x, y)| (x - y).abs() < 1e-12), "{back:?}");
        assert!(Affine::scaling([1.0, 0.0, 2.0]).inverse().is_none());
    }

    #[test]
    fn half_a_turn_about_z_and_a_flip() {
        // b = c = 0, d = 1: (x, y) -> (-x, -y); qfac -1 turns z over.
        let a = Affine::from_quaternion([0.0, 0.0, 1.0], [2.0, 3.0, 4.0], [1.0, 2.0, 3.0], -1.0);
        assert!(a.same(&Affine([[-2.0, 0.0, 0.0, 1.0], [0.0, -3.0, 0.0, 2.0], [0.0, 0.0, -4.0, 3.0]])), "{a}");
        assert_eq!(a.voxel_size(), [2.0, 3.0, 4.0]);
        assert_eq!(a.orientation(), [(0, false), (1, false), (2, false)]);
    }

    #[test]
    fn axes_may_be_swapped() {
        let a = Affine([[0.0, 0.0, 2.0, 0.0], [-2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]]);
        assert_eq!(a.orientation(), [(1, false), (2, true), (0, true)]);
    }
}
