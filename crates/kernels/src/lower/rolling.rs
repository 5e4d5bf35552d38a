//! Which pairs of steps run as one, row by row: the strips of an image and the depthwise
//! convolution that alone reads their result, forward; the depthwise gradient and the strips'
//! gradient, backward.

use super::{Lower, Pending, act, grad};
use crate::epilogue::Act;
use crate::real::Real;
use crate::rolling::{Rolling, Signs};
use crate::spec::{Activation, Id};
use crate::step::Step;
use crate::strip::{POINTS, ROWS, TAPS};

/// Bytes of a window: half of a second-level cache of 1 MiB.
const WINDOW_BYTES: usize = 512 * 1024;

/// Steps that make a tensor, until the one that reads it is known.
pub(super) struct Held<'a, T> {
    buf: super::Buf,
    steps: Vec<Pending<'a, T>>,
    makes: usize,
    signs: Signs<T>,
}

impl<'a, T: Real> Lower<'a, T> {
    /// The depthwise convolution that strips `id` feed row by row.
    pub(super) fn rolls_into(&self, id: Id) -> Option<Id> {
        let node = &self.net.nodes[id];
        let signs = matches!(node.act, Activation::None | Activation::Relu | Activation::Leaky(_));
        let bytes = (node.shape.w * node.shape.c.next_multiple_of(self.isa.lanes)).is_multiple_of(8);
        let alone = id != 0 && !self.tapped(id) && signs && bytes && self.is_strip(id);
        match self.readers(id)[..] {
            [(reader, 0)] if alone && self.is_depthwise(reader) => Some(reader),
            _ => None,
        }
    }

    /// Takes the steps that make `act(id)` off the list.
    pub(super) fn hold_forward(&mut self, id: Id, first: usize) {
        let shape = self.shape(id);
        let mut signs = Signs::None;
        if self.gradient && self.net.nodes[id].act != Activation::None {
            signs = Signs::Keep(self.bytes_len);
            self.winners[id] = Some(self.bytes_len);
            self.bytes_len += shape.h * shape.w * shape.c.next_multiple_of(self.isa.lanes) / 8;
        }
        let steps = self.list.split_off(first);
        self.held.push(Held { buf: act(id), steps, makes: ROWS, signs });
    }

    /// Takes the steps that make `grad(id)` off the list; the depthwise convolution `reader` sends
    /// it.
    pub(super) fn hold_backward(&mut self, id: Id, reader: Id, first: usize) {
        let signs = self.winners[id].map_or(Signs::None, |at| Signs::Pull(at, Act::from(self.net.nodes[id].act)));
        let steps = self.list.split_off(first);
        let makes = self.conv_of(reader).map_or(1, |conv| conv.stride.0);
        self.held.push(Held { buf: grad(id), steps, makes, signs });
    }

    /// Joins the depthwise convolution just pushed with the strips that it reads, if they are held.
    pub(super) fn roll_forward(&mut self, id: Id) {
        let Some(conv) = self.conv_of(id) else { return };
        let reads = (conv.kernel.0 - 1) * conv.dilation.0 + 1;
        self.roll(act(self.net.nodes[id].inputs[0]), -(conv.pad.top as isize), conv.stride.0, reads);
    }

    /// Joins the strips' gradient just pushed with the depthwise gradient that it reads, if that is
    /// held.
    pub(super) fn roll_backward(&mut self, id: Id) {
        let Some(conv) = self.conv_of(id) else { return };
        self.roll(grad(id), conv.pad.top as isize + 1 - TAPS as isize, ROWS, POINTS);
    }

    /// Elements of the window of a step, if it has one.
    pub(super) fn window_len(&self, pending: &Pending<'a, T>) -> usize {
        let Some((buf, rows)) = pending.window else { return 0 };
        let pitch = self.buffers.layout(buf).pitch;
        Rolling::<T>::window_for(Rolling::<T>::band_for(WINDOW_BYTES, pitch, rows), pitch, rows)
    }

    fn roll(&mut self, buf: super::Buf, at: isize, step: usize, reads: usize) {
        let Some(n) = self.held.iter().position(|h| h.buf == buf) else { return };
        let Held { steps, makes, signs, .. } = self.held.swap_remove(n);
        let consumer = self.list.pop().expect("just pushed");
        let rows = (step, reads, makes);
        self.buffers.roll(buf);
        let both = || steps.iter().chain([&consumer]);
        let outside = |pick: for<'p> fn(&'p Pending<'a, T>) -> &'p Vec<super::Buf>| {
            both().flat_map(|p| pick(p).iter().copied()).filter(|&b| b != buf).collect()
        };
        self.list.push(Pending {
            reads: outside(|p| &p.reads),
            writes: outside(|p| &p.writes),
            batch: false,
            weights: both().map(|p| p.weights).sum(),
            scratch: both().map(|p| p.scratch).max().unwrap_or(0),
            window: Some((buf, rows)),
            build: Box::new(move |buffers| {
                let tensor = buffers.layout(buf);
                let consumer = Box::new((consumer.build)(buffers));
                let band = Rolling::<T>::band_for(WINDOW_BYTES, tensor.pitch, rows);
                Step::Rolling(Rolling {
                    producers: steps.into_iter().map(|p| (p.build)(buffers)).collect(),
                    makes,
                    at,
                    step,
                    reads,
                    tensor,
                    border: buffers.border(buf),
                    band: band.clamp(1, consumer.units(1).max(1)),
                    consumer,
                    signs,
                })
            }),
        });
    }
}
