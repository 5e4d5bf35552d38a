//! A differentiable function with a hand-made gradient inside a burn expression.

use crate::tensor::{AutoBackend, Backend, Tensor, Var};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::tensor::TensorPrimitive;
use std::fmt;
use std::sync::Arc;

/// `y` as a function of `x` for the backward pass: `pullback` takes d(objective)/dy and returns d(objective)/dx.
///
/// `pullback` is called at most once per backward pass, and not at all when `x` is a constant.
pub(super) fn with_gradient<const D: usize, const E: usize>(
    x: Var<D>,
    y: Tensor<E>,
    pullback: impl Fn(Tensor<E>) -> Tensor<D> + Send + Sync + 'static,
) -> Var<E> {
    let x = x.into_primitive().tensor();
    let y = y.into_primitive().tensor();
    let prepared = HandMade::<D, E>.prepare::<NoCheckpointing>([x.node.clone()]).compute_bound().stateful();
    let out = match prepared {
        OpsKind::Tracked(prep) => prep.finish(Pullback(Arc::new(pullback)), y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    };
    burn::tensor::Tensor::<AutoBackend, E>::from_primitive(TensorPrimitive::Float(out))
}

#[derive(Debug)]
struct HandMade<const D: usize, const E: usize>;

#[derive(Clone)]
struct Pullback<const D: usize, const E: usize>(Arc<dyn Fn(Tensor<E>) -> Tensor<D> + Send + Sync>);

impl<const D: usize, const E: usize> fmt::Debug for Pullback<D, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pullback")
    }
}

impl<const D: usize, const E: usize> Backward<Backend, 1> for HandMade<D, E> {
    type State = Pullback<D, E>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Pullback(pullback) = ops.state;
        unary::<Backend, _>(ops.parents, ops.node, grads, |grad| {
            let grad = Tensor::<E>::from_primitive(TensorPrimitive::Float(grad));
            pullback(grad).into_primitive().tensor()
        });
    }
}
