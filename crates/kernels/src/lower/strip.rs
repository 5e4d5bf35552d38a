//! Convolutions of the image with five rows of taps: strips in Winograd's form, forward and
//! backward.

use super::conv::View;
use super::{Lower, Pull, act, grad};
use crate::epilogue::Act;
use crate::mem::Aligned;
use crate::real::Real;
use crate::spec::Id;
use crate::step::Step;
use crate::strip::{POINTS, ROWS, Strip, TAPS, kernel_transform};
use crate::strip_gradient::{Scratch, StripGradient};

/// Most elements that a column may send along its row, see [`StripGradient`].
const SENT: usize = 16;

/// `G w` of one tap column, output and channel.
fn transformed(conv: View<'_>, (o, c, kx): (usize, usize, usize), flipped: bool) -> [f64; POINTS] {
    let row = |k: usize| if flipped { TAPS - 1 - k } else { k };
    kernel_transform().map(|g| (0..TAPS).map(|k| g[k] * f64::from(conv.weight(o, c, row(k), kx))).sum())
}

impl<'a, T: Real> Lower<'a, T> {
    /// True for a convolution of the image whose rows of taps fill a strip's.
    pub(super) fn is_strip(&self, id: Id) -> bool {
        let Some(conv) = self.conv_of(id) else { return false };
        let plain = conv.stride == (1, 1) && conv.dilation == (1, 1) && conv.groups == 1;
        let few = conv.kernel.1 * conv.inputs <= SENT && conv.out >= 8;
        self.net.nodes[id].inputs[0] == 0 && plain && few && conv.kernel.0 == TAPS && self.shape(id).h >= ROWS
    }

    pub(super) fn strip_forward(&mut self, id: Id) {
        let Some(conv) = self.conv_of(id) else { return };
        let (out, lanes) = (self.shape(id), self.isa.lanes);
        let (top, left) = (conv.pad.top as isize, conv.pad.left as isize);
        let rows = (out.h.next_multiple_of(ROWS) + TAPS - 1) as isize;
        let columns = (out.w + conv.kernel.1 - 1) as isize;
        self.buffers.reach(act(0), (-top, rows - 1 - top), (-left, columns - 1 - left));
        let activation = Act::from(self.net.nodes[id].act);
        let k = conv.kernel.1 * conv.inputs;
        let padded = conv.out.next_multiple_of(lanes);
        self.push(&[act(0)], &[act(id)], move |buffers| {
            let image = buffers.layout(act(0));
            let mut weights = Aligned::zeros(padded * k * POINTS);
            for o in 0..conv.out {
                let to = &mut weights.as_mut_slice()[o / lanes * lanes * k * POINTS + o % lanes..];
                for i in 0..k {
                    let values = transformed(conv, (o, i % conv.inputs, i / conv.inputs), false);
                    let places = to[i * POINTS * lanes..].iter_mut().step_by(lanes);
                    places.zip(values).for_each(|(t, v)| *t = T::from_f64(v));
                }
            }
            let mut biases = Aligned::zeros(padded);
            biases.as_mut_slice().iter_mut().zip(conv.bias).for_each(|(b, &v)| *b = T::from_f32(v));
            Step::Strip(Strip {
                n_channels: conv.inputs,
                width: conv.kernel.1,
                space: image.space,
                at: image.at as isize - top * image.pitch as isize - left * image.cs as isize,
                pitch: image.pitch,
                out: buffers.layout(act(id)),
                act: activation,
                weights,
                biases,
            })
        });
        self.list.last_mut().expect("just pushed").weights = padded * (k * POINTS + 1);
    }

    pub(super) fn strip_backward(&mut self, id: Id, store: Pull) {
        let Some(conv) = self.conv_of(id) else { return };
        let (image, out) = (self.shape(0), self.shape(id));
        let top = conv.pad.top as isize - (TAPS as isize - 1);
        let rows = (image.h.next_multiple_of(ROWS) + TAPS - 1) as isize;
        self.buffers.reach(grad(id), (top, top + rows - 1), (0, out.w as isize - 1));
        let isa = *self.isa;
        let sent = conv.kernel.1 * conv.inputs;
        let padded = sent.next_multiple_of(isa.lanes);
        let n_weights = POINTS * conv.out * padded;
        let chunk = isa.mr.max(8);
        self.push(&store.reads(&[grad(id)]), &[grad(0)], move |buffers| {
            let gy = buffers.layout(grad(id));
            let mut weights = Aligned::zeros(n_weights);
            for o in 0..conv.out {
                for i in 0..sent {
                    let values = transformed(conv, (o, i % conv.inputs, i / conv.inputs), true);
                    let first = i / (isa.lanes * isa.nv) * isa.lanes * isa.nv;
                    let width = (padded - first).min(isa.lanes * isa.nv);
                    let to = &mut weights.as_mut_slice()[POINTS * conv.out * first + o * width + i - first..];
                    let places = to.iter_mut().step_by(conv.out * width);
                    places.zip(values).for_each(|(t, v)| *t = T::from_f64(v));
                }
            }
            Step::StripGradient(StripGradient {
                n_outputs: conv.out,
                width: conv.kernel.1,
                left: conv.pad.left,
                space: gy.space,
                at: gy.at as isize + top * gy.pitch as isize,
                pitch: gy.pitch,
                cs: gy.cs,
                columns: out.w,
                chunk,
                gx: buffers.layout(grad(0)),
                accumulate: store.accumulate,
                weights,
            })
        });
        let pending = self.list.last_mut().expect("just pushed");
        pending.weights = n_weights;
        pending.scratch = Scratch::new(conv.out, out.w, chunk, conv.kernel.1, conv.inputs).elements();
    }
}
