//! From a described network to a program: what is computed, in which order, where everything lies.

mod backward;
mod buffers;
mod conv;
mod depthwise;
mod forward;
mod gemm;
mod rolling;
mod strip;
mod thin;
mod winograd;

use crate::epilogue::{Act, Store, ZeroBorder};
use crate::isa::Isa;
use crate::mem::Layout;
use crate::real::Real;
use crate::spec::{Activation, Id, Net, Op, Shape, SpecError};
use crate::step::Step;
use buffers::{Buf, Buffers};
use rayon::prelude::*;

/// What is wanted of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tap {
    /// Its elements.
    Plain(Id),
    /// Its raw moments across images.
    Moments(Id),
}

impl Tap {
    /// The tensor.
    pub fn id(self) -> Id {
        match self {
            Tap::Plain(id) | Tap::Moments(id) => id,
        }
    }
}

/// A planned network.
#[derive(Debug, Clone)]
pub struct Program<T> {
    /// From pixels to the deepest tap.
    pub forward: Vec<Step<T>>,
    /// From gradients at taps to the gradient at the pixels; empty when no gradient was asked for.
    pub backward: Vec<Step<T>>,
    /// Sizes.
    pub sizes: Sizes,
    /// Where each tap lies.
    pub taps: Vec<(Tap, Layout)>,
    /// Pixels: planes, rows, columns.
    pub pixels: (usize, usize, usize),
}

/// How much a program holds and computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Elements kept for each image.
    pub image_len: usize,
    /// Elements for each worker.
    pub worker_len: usize,
    /// Elements of scratch memory for each thread.
    pub scratch_len: usize,
    /// Winner bytes for each image.
    pub bytes_len: usize,
    /// Elements of packed weights.
    pub weights_len: usize,
    /// Multiply-accumulates of one image forward, counting convolutions and linear layers.
    pub macs: u64,
}

/// Makes a step once addresses are known; packs its weights.
type Build<'a, T> = Box<dyn FnOnce(&Buffers) -> Step<T> + Send + 'a>;

/// A step before addresses are known.
struct Pending<'a, T> {
    reads: Vec<Buf>,
    writes: Vec<Buf>,
    batch: bool,
    /// Elements of packed weights, and of scratch memory per thread.
    weights: usize,
    scratch: usize,
    /// The tensor of which the step holds a window of rows, and the step, reads and makes of
    /// [`crate::rolling::Rolling`].
    window: Option<(Buf, (usize, usize, usize))>,
    build: Build<'a, T>,
}

struct Lower<'a, T> {
    net: &'a Net,
    isa: &'a Isa<T>,
    /// Nodes that some tap depends on.
    live: Vec<bool>,
    taps: Vec<Tap>,
    buffers: Buffers,
    list: Vec<Pending<'a, T>>,
    /// With the way back.
    gradient: bool,
    held: Vec<rolling::Held<'a, T>>,
    /// First winner byte of each max pool, first byte of the signs of each rolled tensor.
    winners: Vec<Option<usize>>,
    bytes_len: usize,
    /// For each concat, per input: the buffers of its region when it had to be copied (activation,
    /// gradient).
    copied: Vec<Vec<Option<(Buf, Buf)>>>,
}

fn act(id: Id) -> Buf {
    2 * id
}

fn grad(id: Id) -> Buf {
    2 * id + 1
}

/// Plans a network for an instruction set.
///
/// # Errors
/// No taps, or a tap that does not exist.
pub fn plan<'a, T: Real>(
    net: &'a Net,
    taps: &[Tap],
    gradient: bool,
    isa: &'a Isa<T>,
) -> Result<Planned<'a, T>, SpecError> {
    if taps.is_empty() {
        return Err(SpecError("taps: expected at least one, found none".into()));
    }
    if let Some(bad) = taps.iter().find(|t| t.id() >= net.nodes.len()) {
        return Err(SpecError(format!("taps: expected nodes below {}, found {}", net.nodes.len(), bad.id())));
    }
    let mut lower = Lower::new(net, taps, gradient, isa);
    lower.place_concats();
    lower.lower_forward();
    let n_forward = lower.list.len();
    if gradient {
        lower.lower_backward();
    }
    let sizes = lower.allocate(n_forward);
    Ok(Planned { lower, n_forward, sizes })
}

/// A network whose steps and addresses are decided, before weights are packed.
pub struct Planned<'a, T> {
    lower: Lower<'a, T>,
    n_forward: usize,
    sizes: Sizes,
}

impl<T: Real> Planned<'_, T> {
    /// How much the program will hold and compute.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Packs the weights.
    pub fn build(self) -> Program<T> {
        self.lower.build(self.n_forward, self.sizes)
    }
}

impl<'a, T: Real> Lower<'a, T> {
    fn new(net: &'a Net, taps: &[Tap], gradient: bool, isa: &'a Isa<T>) -> Self {
        let mut live = vec![false; net.nodes.len()];
        taps.iter().for_each(|t| live[t.id()] = true);
        for id in (0..net.nodes.len()).rev().filter(|&id| id > 0) {
            if live[id] {
                net.nodes[id].inputs.iter().for_each(|&i| live[i] = true);
            }
        }
        live[0] = true;
        let mut buffers = Buffers::new(isa.lanes);
        for (id, node) in net.nodes.iter().enumerate() {
            buffers.add(node.shape, id == 0);
            buffers.add(node.shape, id == 0);
        }
        Lower {
            net,
            isa,
            live,
            taps: taps.to_vec(),
            buffers,
            list: Vec::new(),
            gradient,
            held: Vec::new(),
            winners: vec![None; net.nodes.len()],
            bytes_len: 0,
            copied: vec![Vec::new(); net.nodes.len()],
        }
    }

    fn shape(&self, id: Id) -> Shape {
        self.net.nodes[id].shape
    }

    fn tapped(&self, id: Id) -> bool {
        self.taps.iter().any(|t| t.id() == id)
    }

    /// Live nodes that read `id`, once for each time they do, with the place among their inputs.
    fn readers(&self, id: Id) -> Vec<(Id, usize)> {
        let nodes = self.net.nodes.iter().enumerate().filter(|(n, _)| self.live[*n]);
        nodes
            .flat_map(|(n, node)| (0..node.inputs.len()).filter(|&k| node.inputs[k] == id).map(move |k| (n, k)))
            .collect()
    }

    fn push(&mut self, reads: &[Buf], writes: &[Buf], build: impl FnOnce(&Buffers) -> Step<T> + Send + 'a) {
        self.list.push(Pending {
            reads: reads.to_vec(),
            writes: writes.to_vec(),
            batch: false,
            weights: 0,
            scratch: 0,
            window: None,
            build: Box::new(build),
        });
    }

    /// Makes the inputs of each concat parts of its output; inputs that cannot be are copied into
    /// it.
    fn place_concats(&mut self) {
        for id in (0..self.net.nodes.len()).rev() {
            if !self.live[id] || !matches!(self.net.nodes[id].op, Op::Concat) {
                continue;
            }
            let mut channel = 0;
            for &input in &self.net.nodes[id].inputs {
                let shape = self.shape(input);
                let free = input != 0 && self.buffers.is_root(act(input));
                let copy = if free {
                    self.buffers.make_view(act(input), act(id), channel);
                    self.buffers.make_view(grad(input), grad(id), channel);
                    None
                } else {
                    let region = self.buffers.add(shape, false);
                    let region_grad = self.buffers.add(shape, false);
                    self.buffers.make_view(region, act(id), channel);
                    self.buffers.make_view(region_grad, grad(id), channel);
                    Some((region, region_grad))
                };
                self.copied[id].push(copy);
                channel += shape.c;
            }
        }
    }

    /// Decides where everything lies.
    fn allocate(&mut self, n_forward: usize) -> Sizes {
        for t in &self.taps {
            self.buffers.keep(act(t.id()));
        }
        for (t, step) in self.list.iter().enumerate() {
            for &b in step.reads.iter().chain(&step.writes) {
                self.buffers.used(b, t, t >= n_forward);
                if step.batch {
                    self.buffers.shared_by_batch(b);
                }
            }
        }
        let batch: Vec<usize> = (0..self.list.len()).filter(|&t| self.list[t].batch).collect();
        let (image_len, worker_len) = self.buffers.allocate(&batch);
        Sizes {
            image_len,
            worker_len,
            scratch_len: self.list.iter().map(|p| p.scratch + self.window_len(p)).max().unwrap_or(0),
            bytes_len: self.bytes_len,
            weights_len: self.list.iter().map(|p| p.weights).sum(),
            macs: macs(self.net, &self.live),
        }
    }

    /// Packs weights, steps in parallel.
    fn build(self, n_forward: usize, sizes: Sizes) -> Program<T> {
        let buffers = &self.buffers;
        let with_borders = |(t, pending): (usize, Pending<'a, T>)| {
            let borders = buffers.borders_to_clear(t).into_iter();
            let clear = borders.map(|(layout, border)| Step::ZeroBorder(ZeroBorder { layout, border }));
            clear.chain([(pending.build)(buffers)]).collect::<Vec<_>>()
        };
        let mut steps: Vec<Vec<Step<T>>> = self.list.into_par_iter().enumerate().map(with_borders).collect();
        let backward = steps.split_off(n_forward);
        Program {
            forward: steps.into_iter().flatten().collect(),
            backward: backward.into_iter().flatten().collect(),
            sizes,
            taps: self.taps.iter().map(|&t| (t, self.buffers.layout(act(t.id())))).collect(),
            pixels: (
                self.net.prepare.first().map_or(0, |p| p.gains.len()),
                self.net.nodes[0].shape.h,
                self.net.nodes[0].shape.w,
            ),
        }
    }
}

/// Multiply-accumulates of one image.
fn macs(net: &Net, live: &[bool]) -> u64 {
    let node_macs = |n: &crate::spec::Node| match &n.op {
        Op::Conv(c) => (c.weight.len() * n.shape.h * n.shape.w) as u64,
        Op::Linear { weight, .. } => weight.len() as u64,
        _ => 0,
    };
    net.nodes.iter().zip(live).filter(|(_, live)| **live).map(|(n, _)| node_macs(n)).sum()
}

/// How the contributions to one gradient follow each other: the first overwrites, the last applies
/// the derivative.
#[derive(Debug, Clone, Copy)]
struct Pull {
    accumulate: bool,
    pull: Option<(Activation, Buf)>,
}

impl Pull {
    fn store<T: Real>(self, buffers: &Buffers) -> Store<T> {
        Store { accumulate: self.accumulate, pull: self.pull.map(|(a, b)| (Act::from(a), buffers.layout(b))) }
    }
    fn reads(self, first: &[Buf]) -> Vec<Buf> {
        first.iter().copied().chain(self.pull.map(|p| p.1)).collect()
    }
}
