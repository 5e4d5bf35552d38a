//! The gradient of a convolution at a tensor of few channels, phase by phase of the stride.

use super::conv::{View, phase_taps, window};
use super::gemm::Pixels;
use super::{Lower, Pull, grad};
use crate::depthwise::Grid;
use crate::mem::Aligned;
use crate::real::Real;
use crate::spec::Id;
use crate::step::Step;
use crate::thin::{Phase, Thin};

/// Most channels that count as few.
pub(super) const CHANNELS: usize = 4;

/// Kernel row and column, and where its output lies from the phase's pixel.
type Hits = Vec<(usize, usize, isize, isize)>;

/// Per tap: vector of outputs, channel, lane.
fn pack<T: Real>(conv: View<'_>, n_channels: usize, hits: &Hits, lanes: usize, to: &mut [T]) {
    let per_tap = conv.out.next_multiple_of(lanes) * n_channels;
    for (&(ky, kx, ..), to) in hits.iter().zip(to.chunks_exact_mut(per_tap)) {
        for o in 0..conv.out {
            for c in 0..n_channels {
                to[(o / lanes * n_channels + c) * lanes + o % lanes] = T::from_f32(conv.weight(o, c, ky, kx));
            }
        }
    }
}

impl<'a, T: Real> Lower<'a, T> {
    pub(super) fn conv_thin(&mut self, x: Id, id: Id, conv: View<'a>, store: Pull) {
        let (shape, lanes) = (self.shape(x), self.isa.lanes);
        let places = window(conv.stride).filter(|&(py, px)| py < shape.h && px < shape.w);
        let phases: Vec<((usize, usize), Hits)> = places.map(|at| (at, phase_taps(&conv, at))).collect();
        let size =
            |at: (usize, usize)| ((shape.h - at.0).div_ceil(conv.stride.0), (shape.w - at.1).div_ceil(conv.stride.1));
        for (at, hits) in &phases {
            let (rows, cols) = size(*at);
            for &(_, _, dy, dx) in hits {
                self.buffers.reach(grad(id), (dy, dy + rows as isize - 1), (dx, dx + cols as isize - 1));
            }
        }
        let stride = conv.stride;
        let per_tap = conv.out.next_multiple_of(lanes) * shape.c;
        let n_weights = per_tap * phases.iter().map(|p| p.1.len()).sum::<usize>();
        let sized: Vec<_> = phases.into_iter().map(|(at, hits)| (at, size(at), hits)).collect();
        let n_outputs = conv.out;
        self.push(&store.reads(&[grad(id)]), &[grad(x)], move |buffers| {
            let source = buffers.layout(grad(id));
            let mut weights = Aligned::zeros(n_weights);
            let mut weight = 0;
            let phase = |(at, size, hits): ((usize, usize), (usize, usize), Hits)| {
                let target = Pixels { buf: grad(x), at: (at.0 as isize, at.1 as isize), step: stride };
                let first = weight;
                weight += per_tap * hits.len();
                pack(conv, shape.c, &hits, lanes, &mut weights.as_mut_slice()[first..weight]);
                Phase {
                    size,
                    src: Grid::new(buffers, &Pixels { buf: grad(id), at: (0, 0), step: (1, 1) }),
                    dst: Grid::new(buffers, &target),
                    taps: hits
                        .iter()
                        .map(|&(_, _, dy, dx)| dy * source.pitch as isize + dx * source.cs as isize)
                        .collect(),
                    weight: first,
                }
            };
            let phases = sized.into_iter().map(phase).collect();
            Step::Thin(Thin { n_channels: shape.c, n_outputs, phases, weights, accumulate: store.accumulate })
        });
        self.list.last_mut().expect("just pushed").weights = n_weights;
    }
}
