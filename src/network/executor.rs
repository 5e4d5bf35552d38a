//! What runs a graph: forward to its deepest tap, and back to the pixels.

use super::burn_executor::BurnExecutor;
use super::cpu_engine::CpuEngine;
use super::graph::{Graph, NodeId};
use crate::error::{Error, Result};
use crate::tensor::{self, Device, Precision, SMALL, Tensor, Var};

/// What is wanted of a node's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TapRequest {
    /// The activations themselves.
    Activations(NodeId),
    /// Only their raw second moments across images: all that an RSM needs, N x N numbers instead of
    /// N x D.
    Moments(NodeId),
}

impl TapRequest {
    /// The tapped node.
    pub fn node(self) -> NodeId {
        match self {
            Self::Activations(id) | Self::Moments(id) => id,
        }
    }
}

/// Raw moments of N activation patterns `a_i` of D units.
#[derive(Debug, Clone)]
pub struct Moments {
    /// `gram[i, j] = sum_d a_i[d] a_j[d]`, N x N, in [`SMALL`] precision.
    pub gram: Tensor<2>,
    /// `sums[i] = sum_d a_i[d]`, N, in [`SMALL`] precision.
    pub sums: Tensor<1>,
    /// D.
    pub n_units: usize,
}

/// A tap's value.
#[derive(Debug, Clone)]
pub enum TapValue {
    /// N x C x H x W.
    Activations(Tensor<4>),
    Moments(Moments),
}

/// Gradient of the objective at a tap, of the tap's own shape.
#[derive(Debug, Clone)]
pub enum TapGrad {
    /// The objective does not depend on this tap.
    None,
    /// d objective / d activations, N x C x H x W.
    Activations(Tensor<4>),
    /// d objective / d gram (N x N, need not be symmetric) and d objective / d sums (N):
    /// `d/d a_i = sum_j (gram[i, j] + gram[j, i]) a_j + sums[i]`.
    Moments { gram: Tensor<2>, sums: Tensor<1> },
}

/// How often the pixels of a batch lie in memory: as they were read, as a tensor, and as the
/// executor takes them.
pub(super) const COPIES: usize = 3;

/// Runs a frozen graph. Weights never get gradients.
///
/// Images are N x 3 x H x W, displayed RGB in [0, 1], of the graph's input size; preprocessing is
/// the executor's work.
///
/// ```
/// use ndarray::Array4;
/// use orthoscope::network::zoo::{LoadOptions, load_model};
/// use orthoscope::network::{CpuEngine, Executor, TapGrad, TapRequest, TapValue};
/// use orthoscope::tensor::{Device, tensor};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let taps = [
///     TapRequest::Activations(graph.tap("inception_3a/output")?),
///     TapRequest::Moments(graph.tap("inception_5b/output")?),
/// ];
/// let mut engine = CpuEngine::new(&graph, &taps)?;
/// let images = Array4::from_shape_fn((2, 3, 96, 96), |(n, c, y, x)| {
///     ((n + 1) * (c + x + y) % 9) as f32 / 8.0
/// });
/// let values = engine.forward(&tensor(images.view(), &Device::default()))?;
/// let [TapValue::Activations(early), TapValue::Moments(late)] = &values[..] else {
///     panic!("values come in the order of the requests");
/// };
/// assert_eq!(early.dims(), [2, 80, 12, 12]);
/// assert_eq!((late.gram.dims(), late.n_units), ([2, 2], 304 * 3 * 3));
///
/// // The gradient of half a layer's sum of squares is the layer itself; from there to the pixels.
/// let pixels = engine.backward(&[TapGrad::Activations(early.clone()), TapGrad::None])?;
/// assert_eq!(pixels.dims(), [2, 3, 96, 96]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub trait Executor: Send {
    /// The graph as the user knows it (before any folding).
    fn graph(&self) -> &Graph;

    /// What [`forward`](Self::forward) returns, in this order.
    fn taps(&self) -> &[TapRequest];

    /// One line for the manifest: which executor, on what.
    fn describe(&self) -> String;

    /// Memory that [`infer`](Self::infer) takes for each image of a batch: an upper estimate, the
    /// pixels and the outputs of all operations that the taps depend on, in 32 bits.
    fn bytes_per_image(&self) -> usize {
        let graph = self.graph();
        let taps: Vec<NodeId> = self.taps().iter().map(|t| t.node()).collect();
        let needed = graph.needed(&taps);
        let outputs: usize =
            graph.nodes().iter().zip(needed).filter(|(_, n)| *n).map(|(node, _)| node.shape.len()).sum();
        4 * (outputs + COPIES * 3 * graph.input.height * graph.input.width)
    }

    /// Runs to the deepest tap without remembering anything.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the images do not have the graph's input shape.
    fn infer(&mut self, images: &Tensor<4>) -> Result<Vec<TapValue>>;

    /// Runs to the deepest tap and remembers what [`backward`](Self::backward) needs.
    ///
    /// # Errors
    /// As [`infer`](Self::infer).
    fn forward(&mut self, images: &Tensor<4>) -> Result<Vec<TapValue>>;

    /// Gradient at the pixels of the last [`forward`](Self::forward), N x 3 x H x W, for gradients
    /// at the taps. Gradients that arrive at several taps are added on the way back.
    ///
    /// # Errors
    /// [`Error::Invalid`] without a forward pass, or when a gradient has another shape than its
    /// tap.
    fn backward(&mut self, grads: &[TapGrad]) -> Result<Tensor<4>>;
}

/// The executor that this build uses for frozen networks: [`CpuEngine`] on the CPU, burn elsewhere.
///
/// # Errors
/// [`Error::Invalid`] without taps, or as the executor says.
pub fn frozen(graph: &Graph, taps: &[TapRequest], device: &Device) -> Result<Box<dyn Executor>> {
    if cfg!(any(feature = "cuda", feature = "wgpu")) {
        return Ok(Box::new(BurnExecutor::new(graph, taps, Precision::F32, device)?));
    }
    Ok(Box::new(CpuEngine::new(graph, taps)?))
}

/// Checks images before any tensor library sees them.
///
/// # Errors
/// [`Error::Invalid`] when they are not N x 3 x H x W of the graph's input size, N at least 1.
pub fn check_images(graph: &Graph, images: &Tensor<4>) -> Result<()> {
    let [n, c, h, w] = images.dims();
    if n > 0 && c == 3 && h == graph.input.height && w == graph.input.width {
        return Ok(());
    }
    Err(Error::invalid(
        format!("images for {}", graph.name),
        format!("N x 3 x {} x {}, N at least 1", graph.input.height, graph.input.width),
        format!("{n} x {c} x {h} x {w}"),
        "resize the images with `resize`",
    ))
}

/// Moments of activations by plain tensor products (differentiable): the reference for fused
/// implementations.
///
/// # Shapes
/// `activations` N x C x H x W; returns `gram` N x N and `sums` N.
pub fn moments_of(activations: Var<4>) -> (Var<2>, Var<1>) {
    let [n, c, h, w] = activations.dims();
    let flat = activations.reshape([n, c * h * w]);
    let gram = flat.clone().matmul(flat.clone().transpose());
    let sums = flat.sum_dim(1).reshape([n]);
    (gram, sums)
}

/// Moments of plain activations; see [`moments_of`].
pub fn moments(activations: &Tensor<4>) -> Moments {
    let [n, c, h, w] = activations.dims();
    let flat = activations.clone().reshape([n, c * h * w]);
    let gram = flat.clone().matmul(flat.clone().transpose());
    let sums = flat.sum_dim(1).reshape([n]);
    Moments { gram: tensor::cast(gram, SMALL), sums: tensor::cast(sums, SMALL), n_units: c * h * w }
}
