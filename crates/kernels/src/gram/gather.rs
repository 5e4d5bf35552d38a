//! Voxels' rows copied into panels.

use super::WIDTH;
use crate::simd::{Body, Simd};

struct Means<'a> {
    means: &'a mut [f32],
    matrix: &'a [f32],
    voxels: &'a [u32],
}

impl Body for Means<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let stride = self.means.len();
        self.means.fill(0.0);
        for &v in self.voxels {
            let row = &self.matrix[v as usize * stride..][..stride];
            self.means.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        }
        let inverse = 1.0 / self.voxels.len() as f32;
        self.means.iter_mut().for_each(|m| *m *= inverse);
    }
}

pub(super) unsafe fn means<S: Simd<T = f32>>(means: &mut [f32], matrix: &[f32], voxels: &[u32]) {
    S::vectorize(Means { means, matrix, voxels });
}

struct Gather<'a> {
    panels: &'a mut [f32],
    offset: &'a [f32],
    sums: &'a mut [f32],
    matrix: &'a [f32],
    voxels: &'a [u32],
    sign: f32,
}

impl Body for Gather<'_> {
    type Out = ();
    #[inline(always)]
    fn call(self) {
        let (n_k, stride) = (self.voxels.len(), self.offset.len());
        for p in 0..stride / WIDTH {
            let at = p * WIDTH;
            let offset: [f32; WIDTH] = self.offset[at..at + WIDTH].try_into().expect("a panel");
            let mut sums = [0.0f32; WIDTH];
            let panel = &mut self.panels[at * n_k..][..n_k * WIDTH];
            for (line, &v) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().zip(self.voxels) {
                let from: &[f32; WIDTH] = self.matrix[v as usize * stride + at..][..WIDTH].try_into().expect("a panel");
                for i in 0..WIDTH {
                    line[i] = from[i] - offset[i];
                    sums[i] += line[i];
                }
            }
            for i in 0..WIDTH {
                self.sums[at + i] += self.sign * sums[i];
            }
        }
    }
}

pub(super) unsafe fn gather<S: Simd<T = f32>>(
    panels: &mut [f32],
    offset: &[f32],
    sums: &mut [f32],
    matrix: &[f32],
    voxels: &[u32],
    sign: f32,
) {
    S::vectorize(Gather { panels, offset, sums, matrix, voxels, sign });
}
