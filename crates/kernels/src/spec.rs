//! What the engine is told: a frozen network as a list of nodes with numbers and weights.
//!
//! Nodes are in execution order; the id of a node is its place in the list and the name of its
//! output. Node 0 is the image. Shapes are per image, `height x width x n_channels`; weights are in
//! the order of PyTorch.

use std::fmt;

/// A node, and the tensor that it makes.
pub type Id = usize;

/// What is wrong with a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError(pub String);

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}

/// Size of a tensor for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.h * self.w * self.c
    }
    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A function applied to each element; its derivative is computed from its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `y = z`.
    None,
    /// `y = max(z, 0)`.
    Relu,
    /// `y = z` for `z > 0`, else `slope z`; the slope is positive.
    Leaky(f32),
    /// `y = 1 / (1 + exp(-z))`.
    Sigmoid,
    /// `y = tanh z`.
    Tanh,
}

/// Zeros around a tensor, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same on all sides.
    pub fn all(p: usize) -> Self {
        Padding { top: p, left: p, bottom: p, right: p }
    }
}

/// `y[o] = act(b[o] + sum w[o,i,ky,kx] x[i, y s + ky d - pad, x s + kx d - pad])`.
#[derive(Debug, Clone)]
pub struct Conv {
    /// `out x in/groups x kh x kw`.
    pub weight: Vec<f32>,
    /// `out`, or empty.
    pub bias: Vec<f32>,
    /// Output channels.
    pub out: usize,
    /// `(kh, kw)`.
    pub kernel: (usize, usize),
    /// `(sy, sx)`.
    pub stride: (usize, usize),
    /// Zero padding.
    pub pad: Padding,
    /// `(dy, dx)`.
    pub dilation: (usize, usize),
    /// Groups of channels.
    pub groups: usize,
}

/// Which reduction a pool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    /// Maximum; padding never wins, the first of equals does.
    Max,
    /// Mean over the window clipped to the padded image.
    AvgIncludePad,
    /// Mean over the window clipped to the image.
    AvgExcludePad,
}

/// A pool over windows.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// Reduction.
    pub kind: PoolKind,
    /// `(kh, kw)`.
    pub kernel: (usize, usize),
    /// `(sy, sx)`.
    pub stride: (usize, usize),
    /// Padding.
    pub pad: Padding,
    /// Round the number of windows up (a window never starts beyond the image and its leading
    /// padding).
    pub ceil: bool,
}

/// Local response normalisation across channels: `y = x (k + alpha/n sum x^2)^-beta`.
#[derive(Debug, Clone, Copy)]
pub struct Lrn {
    /// Channels in the window, odd.
    pub n: usize,
    /// `alpha`; it is divided by `n`.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Offset.
    pub k: f32,
}

/// Order of the elements of a flattened tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Channels slowest (PyTorch, Caffe).
    Chw,
    /// Channels fastest (Keras).
    Hwc,
}

/// One operation.
#[derive(Debug, Clone)]
pub enum Op {
    /// The image, `shape` given.
    Input(Shape),
    /// Convolution.
    Conv(Conv),
    /// `y = W x + b` over the flattened input, `W` is `out x in` for that order.
    Linear {
        /// `out x in`.
        weight: Vec<f32>,
        /// `out`, or empty.
        bias: Vec<f32>,
        /// Output size.
        out: usize,
        /// Order in which the input is flattened.
        order: Order,
    },
    /// Pool.
    Pool(Pool),
    /// Mean over the image.
    GlobalAvg,
    /// Local response normalisation.
    Lrn(Lrn),
    /// Sum of all inputs.
    Add,
    /// Inputs one after the other along the channels.
    Concat,
    /// `y = scale_c x + shift_c`.
    Affine {
        /// Per channel.
        scale: Vec<f32>,
        /// Per channel.
        shift: Vec<f32>,
    },
    /// `y = x` (then the activation).
    Identity,
    /// Softmax over the channels of each pixel.
    Softmax,
    /// `1 x 1 x len`.
    Flatten(Order),
    /// Explicit zero padding.
    Pad(Padding),
}

/// An operation, what it reads, and the activation applied to its result.
#[derive(Debug, Clone)]
pub struct Node {
    /// Operation.
    pub op: Op,
    /// Tensors read.
    pub inputs: Vec<Id>,
    /// Applied to the result; only `None` for `Input`, `Concat` and `Softmax`.
    pub act: Activation,
    /// Of the result.
    pub shape: Shape,
}

/// How one channel of the network's input is made from the planes of the image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepare {
    /// One factor for each plane.
    pub gains: Vec<f32>,
    /// Added.
    pub offset: f32,
}

/// A frozen network and what happens to pixels before it.
#[derive(Debug, Clone)]
pub struct Net {
    /// In execution order.
    pub nodes: Vec<Node>,
    /// Per channel of the network's input: `x_c = sum_k gains[k] pixels_k + offset`.
    pub prepare: Vec<Prepare>,
}

impl Net {
    /// A network that so far only has an image of `shape`, given to it unchanged.
    pub fn new(shape: Shape) -> Self {
        let input = Node { op: Op::Input(shape), inputs: vec![], act: Activation::None, shape };
        let unit =
            |c: usize| Prepare { gains: (0..shape.c).map(|k| f32::from(u8::from(k == c))).collect(), offset: 0.0 };
        Net { nodes: vec![input], prepare: (0..shape.c).map(unit).collect() }
    }

    /// Adds a node and infers its shape.
    ///
    /// # Errors
    /// Shapes, weights and parameters that do not fit together.
    pub fn push(&mut self, op: Op, inputs: &[Id], act: Activation) -> Result<Id, SpecError> {
        let id = self.nodes.len();
        if let Some(bad) = inputs.iter().find(|&&i| i >= id) {
            return Err(SpecError(format!("node {id}: reads node {bad}, which does not come before it")));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&i| self.nodes[i].shape).collect();
        let shape = infer(&op, &shapes).map_err(|e| SpecError(format!("node {id}: {e}")))?;
        let plain = matches!(op, Op::Concat | Op::Softmax | Op::Input(_));
        if plain && act != Activation::None {
            return Err(SpecError(format!("node {id}: this operation takes no activation")));
        }
        if let Activation::Leaky(slope) = act
            && slope <= 0.0
        {
            return Err(SpecError(format!("node {id}: leaky slope: expected above 0, found {slope}")));
        }
        self.nodes.push(Node { op, inputs: inputs.to_vec(), act, shape });
        Ok(id)
    }
}

/// Number of windows along one side: `floor` or `ceil((n + before + after - k) / s) + 1`.
pub fn windows(n: usize, before: usize, after: usize, k: usize, s: usize, ceil: bool) -> Option<usize> {
    let room = (n + before + after).checked_sub(k)?;
    let mut count = if ceil { room.div_ceil(s) } else { room / s } + 1;
    while count > 1 && (count - 1) * s >= n + before {
        count -= 1;
    }
    Some(count)
}

fn expect<T: PartialEq + fmt::Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

fn infer(op: &Op, inputs: &[Shape]) -> Result<Shape, String> {
    let one = || match inputs {
        [x] => Ok(*x),
        _ => Err(format!("expected one input, found {}", inputs.len())),
    };
    match op {
        Op::Input(_) => Err("a network has one image, made by Net::new".to_string()),
        Op::Conv(conv) => conv_shape(conv, one()?),
        Op::Linear { weight, bias, out, .. } => {
            let x = one()?;
            expect("linear weight length", out * x.len(), weight.len())?;
            expect("linear bias length", if bias.is_empty() { 0 } else { *out }, bias.len())?;
            Ok(Shape { h: 1, w: 1, c: *out })
        }
        Op::Pool(pool) => pool_shape(pool, one()?),
        Op::GlobalAvg => Ok(Shape { h: 1, w: 1, c: one()?.c }),
        Op::Lrn(lrn) => {
            if lrn.n % 2 == 0 {
                return Err(format!("lrn size: expected an odd number of channels, found {}", lrn.n));
            }
            one()
        }
        Op::Add => {
            let first = *inputs.first().ok_or("add: expected an input")?;
            inputs.iter().try_for_each(|s| expect("add input shape", first, *s))?;
            Ok(first)
        }
        Op::Concat => {
            let first = *inputs.first().ok_or("concat: expected an input")?;
            inputs.iter().try_for_each(|s| expect("concat input size", (first.h, first.w), (s.h, s.w)))?;
            Ok(Shape { c: inputs.iter().map(|s| s.c).sum(), ..first })
        }
        Op::Affine { scale, shift } => {
            let x = one()?;
            expect("affine scale length", x.c, scale.len())?;
            expect("affine shift length", x.c, shift.len())?;
            Ok(x)
        }
        Op::Identity | Op::Softmax => one(),
        Op::Flatten(_) => Ok(Shape { h: 1, w: 1, c: one()?.len() }),
        Op::Pad(p) => one().map(|x| Shape { h: x.h + p.top + p.bottom, w: x.w + p.left + p.right, c: x.c }),
    }
}

fn conv_shape(conv: &Conv, x: Shape) -> Result<Shape, String> {
    let Conv { kernel, stride, pad, dilation, groups, out, .. } = conv;
    if [kernel.0, kernel.1, stride.0, stride.1, dilation.0, dilation.1, *groups, *out].contains(&0) {
        return Err("convolution: kernel, stride, dilation, groups and channels must be at least 1".into());
    }
    if !x.c.is_multiple_of(*groups) || !out.is_multiple_of(*groups) {
        return Err(format!("convolution: {groups} groups divide neither {} nor {out} channels", x.c));
    }
    expect("convolution weight length", out * x.c / groups * kernel.0 * kernel.1, conv.weight.len())?;
    expect("convolution bias length", if conv.bias.is_empty() { 0 } else { *out }, conv.bias.len())?;
    let (kh, kw) = ((kernel.0 - 1) * dilation.0 + 1, (kernel.1 - 1) * dilation.1 + 1);
    let h = windows_plain(x.h + pad.top + pad.bottom, kh, stride.0);
    let w = windows_plain(x.w + pad.left + pad.right, kw, stride.1);
    match (h, w) {
        (Some(h), Some(w)) => Ok(Shape { h, w, c: *out }),
        _ => Err(format!("convolution: a kernel of {kh}x{kw} does not fit into {}x{} with its padding", x.h, x.w)),
    }
}

fn windows_plain(n: usize, k: usize, s: usize) -> Option<usize> {
    Some(n.checked_sub(k)? / s + 1)
}

fn pool_shape(pool: &Pool, x: Shape) -> Result<Shape, String> {
    let Pool { kernel, stride, pad, ceil, kind } = pool;
    if [kernel.0, kernel.1, stride.0, stride.1].contains(&0) {
        return Err("pool: kernel and stride must be at least 1".into());
    }
    if *kind == PoolKind::Max && kernel.0 * kernel.1 > 255 {
        return Err(format!("max pool: expected a window of at most 255 pixels, found {}x{}", kernel.0, kernel.1));
    }
    if pad.top.max(pad.bottom) >= kernel.0 || pad.left.max(pad.right) >= kernel.1 {
        return Err("pool: padding must be smaller than the window".into());
    }
    let h = windows(x.h, pad.top, pad.bottom, kernel.0, stride.0, *ceil);
    let w = windows(x.w, pad.left, pad.right, kernel.1, stride.1, *ceil);
    match (h, w) {
        (Some(h), Some(w)) => Ok(Shape { h, w, c: x.c }),
        _ => Err(format!("pool: a window of {}x{} does not fit into {}x{}", kernel.0, kernel.1, x.h, x.w)),
    }
}
