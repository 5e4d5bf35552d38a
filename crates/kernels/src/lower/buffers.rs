//! Where tensors lie: views into concats, zero borders, lifetimes, addresses.

use crate::mem::{Layout, Space};
use crate::spec::Shape;

/// A tensor of the program: the activation or the gradient of a node, or a part of one.
pub type Buf = usize;

#[derive(Debug, Clone)]
struct Buffer {
    shape: Shape,
    /// Channels per pixel in memory.
    cs: usize,
    /// The tensor that this one is a part of, and its first channel there.
    inside: Option<(Buf, usize)>,
    /// Zeros around it: top, left, bottom, right.
    border: [usize; 4],
    /// First and last step that touches it.
    life: Option<(usize, usize)>,
    in_forward: bool,
    in_backward: bool,
    keep: bool,
    batch: bool,
    place: Option<(Space, usize)>,
}

/// All tensors of a program.
#[derive(Debug)]
pub struct Buffers {
    lanes: usize,
    all: Vec<Buffer>,
}

/// Elements after each block, for vectors that read past the last channel.
const SLACK: usize = 64;

impl Buffers {
    pub fn new(lanes: usize) -> Self {
        Buffers { lanes, all: Vec::new() }
    }

    /// A new tensor; `tight` ones have no channels beyond their own.
    pub fn add(&mut self, shape: Shape, tight: bool) -> Buf {
        let cs = if tight { shape.c } else { shape.c.next_multiple_of(self.lanes) };
        self.all.push(Buffer {
            shape,
            cs,
            inside: None,
            border: [0; 4],
            life: None,
            in_forward: false,
            in_backward: false,
            keep: false,
            batch: false,
            place: None,
        });
        self.all.len() - 1
    }

    pub fn is_root(&self, b: Buf) -> bool {
        self.all[b].inside.is_none()
    }

    pub fn make_view(&mut self, b: Buf, of: Buf, channel: usize) {
        self.all[b].inside = Some((of, channel));
    }

    pub fn shape(&self, b: Buf) -> Shape {
        self.all[b].shape
    }

    /// The tensor with memory of its own, and the first channel in it.
    fn root(&self, b: Buf) -> (Buf, usize) {
        match self.all[b].inside {
            None => (b, 0),
            Some((of, channel)) => {
                let (root, first) = self.root(of);
                (root, first + channel)
            }
        }
    }

    /// Makes sure that rows `rows.0..=rows.1` and columns `cols.0..=cols.1` of `b` can be touched.
    pub fn reach(&mut self, b: Buf, rows: (isize, isize), cols: (isize, isize)) {
        let root = self.root(b).0;
        let (h, w) = (self.all[root].shape.h as isize, self.all[root].shape.w as isize);
        let need = [-rows.0, -cols.0, rows.1 - h + 1, cols.1 - w + 1];
        for (have, need) in self.all[root].border.iter_mut().zip(need) {
            *have = (*have).max(need.max(0) as usize);
        }
    }

    pub fn keep(&mut self, b: Buf) {
        let root = self.root(b).0;
        self.all[root].keep = true;
    }

    pub fn used(&mut self, b: Buf, t: usize, backward: bool) {
        let root = self.root(b).0;
        let buffer = &mut self.all[root];
        let (first, last) = buffer.life.unwrap_or((t, t));
        buffer.life = Some((first.min(t), last.max(t)));
        if backward {
            buffer.in_backward = true;
        } else {
            buffer.in_forward = true;
        }
    }

    /// A tensor that exists only as a window of its rows; see [`crate::rolling`].
    pub fn roll(&mut self, b: Buf) {
        self.all[b].place = Some((Space::Window, 0));
    }

    /// Zeros around a tensor: top, left, bottom, right.
    pub fn border(&self, b: Buf) -> [usize; 4] {
        self.all[self.root(b).0].border
    }

    pub fn shared_by_batch(&mut self, b: Buf) {
        let root = self.root(b).0;
        self.all[root].batch = true;
    }

    fn len(&self, b: Buf) -> usize {
        let Buffer { shape, border: [t, l, bottom, r], cs, .. } = &self.all[b];
        ((shape.h + t + bottom) * (shape.w + l + r) * cs).next_multiple_of(16)
    }

    /// Gives every used tensor its address; returns the lengths of the image and the worker block.
    ///
    /// Kept: what the backward pass reads of the forward pass, and taps. Other tensors share memory
    /// with those of other times; they lie in the worker's block unless a step over the whole batch
    /// falls into their life.
    pub fn allocate(&mut self, batch: &[usize]) -> (usize, usize) {
        let mut kept = 0;
        let (mut image, mut worker) = (Vec::new(), Vec::new());
        for b in 0..self.all.len() {
            let Some(life) = self.all[b].life.filter(|_| self.is_root(b)) else { continue };
            let buffer = &self.all[b];
            if buffer.keep || (buffer.in_forward && buffer.in_backward) {
                let len = self.len(b);
                self.all[b].keep = true;
                self.all[b].place = Some((Space::Image, kept));
                kept += len;
            } else if buffer.batch || batch.iter().any(|&t| life.0 <= t && t <= life.1) {
                image.push(b);
            } else {
                worker.push(b);
            }
        }
        let image_len = self.pack(image, Space::Image, kept) + SLACK;
        let worker_len = self.pack(worker, Space::Worker, 0) + SLACK;
        (image_len, worker_len)
    }

    /// First fit, largest first; returns the end.
    fn pack(&mut self, mut list: Vec<Buf>, space: Space, start: usize) -> usize {
        list.sort_by_key(|&b| (std::cmp::Reverse(self.len(b)), b));
        let mut end = start;
        let mut placed: Vec<Buf> = Vec::new();
        for b in list {
            let life = self.all[b].life.expect("only used tensors are packed");
            let overlaps = |other: &Buf| {
                let o = self.all[*other].life.expect("only used tensors are packed");
                o.0 <= life.1 && life.0 <= o.1
            };
            let mut taken: Vec<(usize, usize)> = placed
                .iter()
                .filter(|o| overlaps(o))
                .map(|&o| (self.all[o].place.expect("placed").1, self.len(o)))
                .collect();
            taken.sort_unstable();
            let len = self.len(b);
            let mut at = start;
            for (from, n) in taken {
                if at + len <= from {
                    break;
                }
                at = at.max(from + n);
            }
            self.all[b].place = Some((space, at));
            end = end.max(at + len);
            placed.push(b);
        }
        end
    }

    /// Borders of shared memory that must be zeroed before step `t`.
    pub fn borders_to_clear(&self, t: usize) -> Vec<(Layout, [usize; 4])> {
        let due = |b: &Buf| {
            let buffer = &self.all[*b];
            buffer.inside.is_none() && !buffer.keep && buffer.life.is_some_and(|l| l.0 == t) && buffer.border != [0; 4]
        };
        (0..self.all.len()).filter(due).map(|b| (self.layout(b), self.all[b].border)).collect()
    }

    /// Where a tensor lies; only after [`Buffers::allocate`], only for used tensors.
    pub fn layout(&self, b: Buf) -> Layout {
        let (root, channel) = self.root(b);
        let whole = &self.all[root];
        let (space, start) = whole.place.expect("every tensor that a step touches has a place");
        let [top, left, _, right] = whole.border;
        let pitch = (whole.shape.w + left + right) * whole.cs;
        let shape = self.all[b].shape;
        let last = channel + shape.c == whole.shape.c;
        Layout {
            space,
            at: start + top * pitch + left * whole.cs + channel,
            h: shape.h,
            w: shape.w,
            c: shape.c,
            cs: whole.cs,
            pitch,
            room: if last { whole.cs - channel } else { shape.c },
        }
    }
}
