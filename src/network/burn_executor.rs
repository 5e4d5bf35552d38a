//! The reference executor: burn tensors and burn's automatic differentiation, on every device and
//! in both widths.

use super::burn_ops::{BurnWeights, apply, preprocess};
use super::executor::{Executor, Moments, TapGrad, TapRequest, TapValue, check_images, moments, moments_of};
use super::fold::fold_batch_norm;
use super::graph::{Graph, NodeId};
use crate::error::{Error, Result};
use crate::tensor::{self, Backend, Device, Precision, SMALL, Tensor, Var, constant, leaf};
use burn_tensor::DType;

/// Runs a graph with burn. Batch norms are folded into the convolutions before them; weights are
/// never tracked.
pub struct BurnExecutor {
    graph: Graph,
    folded: Graph,
    /// Wanted nodes in `folded`, one per request.
    wanted: Vec<NodeId>,
    needed: Vec<bool>,
    taps: Vec<TapRequest>,
    plain: BurnWeights<Backend>,
    recorded: BurnWeights<crate::tensor::AutoBackend>,
    device: Device,
    precision: Precision,
    pending: Option<Pending>,
}

/// What the last forward pass left for the backward pass.
struct Pending {
    images: Var<4>,
    taps: Vec<Recorded>,
}

enum Recorded {
    Activations(Var<4>),
    Moments { gram: Var<2>, sums: Var<1> },
}

impl BurnExecutor {
    /// Prepares a graph for the given taps.
    ///
    /// # Errors
    /// [`Error::Invalid`] without taps.
    pub fn new(graph: &Graph, taps: &[TapRequest], precision: Precision, device: &Device) -> Result<Self> {
        if taps.is_empty() {
            return Err(Error::invalid(&graph.name, "at least one tap", "none", "name some with `taps`"));
        }
        let nodes: Vec<NodeId> = taps.iter().map(|t| t.node()).collect();
        let (folded, wanted) = fold_batch_norm(graph, &nodes)?;
        let needed = folded.needed(&wanted);
        let dtype = if precision == Precision::F64 { DType::F64 } else { DType::F32 };
        Ok(Self {
            graph: graph.clone(),
            plain: BurnWeights::new(&folded, device, dtype),
            recorded: BurnWeights::new(&folded, device, dtype),
            folded,
            wanted,
            needed,
            taps: taps.to_vec(),
            device: device.clone(),
            precision,
            pending: None,
        })
    }

    /// All wanted nodes' outputs on a backend; buffers are dropped after their last reader.
    fn run<B: burn_tensor::backend::Backend>(
        &self,
        images: burn_tensor::Tensor<B, 4>,
        weights: &BurnWeights<B>,
    ) -> Vec<burn_tensor::Tensor<B, 4>> {
        let nodes = self.folded.nodes();
        let deepest = self.wanted.iter().copied().max().unwrap_or(0);
        let mut last_reader = vec![0; nodes.len()];
        for (id, node) in nodes.iter().enumerate().take(deepest + 1).filter(|(id, _)| self.needed[*id]) {
            node.inputs.iter().for_each(|&i| last_reader[i] = id);
        }
        let mut values: Vec<Option<burn_tensor::Tensor<B, 4>>> = vec![None; nodes.len()];
        let mut out = vec![None; self.wanted.len()];
        for id in (0..=deepest).filter(|&id| self.needed[id]) {
            let value = if id == 0 {
                preprocess(images.clone(), &self.folded.input, weights)
            } else {
                let inputs: Vec<_> = nodes[id]
                    .inputs
                    .iter()
                    .map(|&i| values[i].clone().expect("inputs run before their readers"))
                    .collect();
                apply(&nodes[id].op, &inputs, weights)
            };
            for (slot, _) in self.wanted.iter().enumerate().filter(|(_, w)| **w == id) {
                out[slot] = Some(value.clone());
            }
            values[id] = Some(value);
            for &i in &nodes[id].inputs {
                if last_reader[i] == id {
                    values[i] = None;
                }
            }
        }
        out.into_iter().map(|v| v.expect("the deepest tap was reached")).collect()
    }

    fn check_grads(&self, grads: &[TapGrad]) -> Result<()> {
        if grads.len() == self.taps.len() {
            return Ok(());
        }
        Err(Error::invalid(
            "backward",
            format!("{} gradients, one per tap", self.taps.len()),
            format!("{}", grads.len()),
            "",
        ))
    }
}

impl Executor for BurnExecutor {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn taps(&self) -> &[TapRequest] {
        &self.taps
    }

    fn describe(&self) -> String {
        let width = if self.precision == Precision::F64 { "f64" } else { "f32" };
        format!("burn {}, {width}", <Backend as burn_tensor::backend::Backend>::name(&self.device))
    }

    fn infer(&mut self, images: &Tensor<4>) -> Result<Vec<TapValue>> {
        check_images(&self.graph, images)?;
        let values = self.run(tensor::cast(images.clone(), self.precision), &self.plain);
        let value = |(request, v): (&TapRequest, Tensor<4>)| match request {
            TapRequest::Activations(_) => TapValue::Activations(v),
            TapRequest::Moments(_) => TapValue::Moments(moments(&v)),
        };
        Ok(self.taps.iter().zip(values).map(value).collect())
    }

    fn forward(&mut self, images: &Tensor<4>) -> Result<Vec<TapValue>> {
        check_images(&self.graph, images)?;
        let images = leaf(tensor::cast(images.clone(), self.precision));
        let values = self.run(images.clone(), &self.recorded);
        let mut recorded = Vec::with_capacity(values.len());
        let mut out = Vec::with_capacity(values.len());
        for (request, v) in self.taps.iter().zip(values) {
            match request {
                TapRequest::Activations(_) => {
                    out.push(TapValue::Activations(v.clone().inner()));
                    recorded.push(Recorded::Activations(v));
                }
                TapRequest::Moments(_) => {
                    let n_units = v.dims()[1..].iter().product();
                    let (gram, sums) = moments_of(v);
                    out.push(TapValue::Moments(Moments {
                        gram: tensor::cast(gram.clone().inner(), SMALL),
                        sums: tensor::cast(sums.clone().inner(), SMALL),
                        n_units,
                    }));
                    recorded.push(Recorded::Moments { gram, sums });
                }
            }
        }
        self.pending = Some(Pending { images, taps: recorded });
        Ok(out)
    }

    fn backward(&mut self, grads: &[TapGrad]) -> Result<Tensor<4>> {
        self.check_grads(grads)?;
        let pending = self
            .pending
            .take()
            .ok_or_else(|| Error::invalid("backward", "a forward pass before it", "none", "call forward first"))?;
        let at = self.precision;
        // The scalar whose gradient at the taps is the one given: sum over taps of <tap, gradient>.
        let mut terms: Vec<Var<1>> = Vec::new();
        for (tap, grad) in pending.taps.into_iter().zip(grads) {
            match (tap, grad) {
                (_, TapGrad::None) => {}
                (Recorded::Activations(v), TapGrad::Activations(g)) if v.dims() == g.dims() => {
                    terms.push((v * constant(tensor::cast(g.clone(), at))).sum());
                }
                (Recorded::Moments { gram, sums }, TapGrad::Moments { gram: dg, sums: ds })
                    if gram.dims() == dg.dims() && sums.dims() == ds.dims() =>
                {
                    terms.push((gram * constant(tensor::cast(dg.clone(), at))).sum());
                    terms.push((sums * constant(tensor::cast(ds.clone(), at))).sum());
                }
                _ => return Err(Error::invalid("backward", "a gradient of the tap's kind and shape", "another", "")),
            }
        }
        let images = pending.images;
        let zeros = || images.clone().inner().zeros_like();
        let Some(total) = terms.into_iter().reduce(|a, b| a + b) else {
            return Ok(zeros());
        };
        let grads = total.backward();
        Ok(images.grad(&grads).unwrap_or_else(zeros))
    }
}
