//! A differentiable function with a hand-made gradient inside a burn expression.

use crate::tensor::{AutoBackend, Backend, Tensor, Var, precision, tensor_f64};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn_tensor::TensorPrimitive;
use std::fmt;
use std::sync::{Arc, Mutex};

/// `f` gives `y` for `x`, and `pullback`, which takes d(objective)/dy and returns d(objective)/dx.
///
/// `f` and `pullback` are handed their tensors to keep: where nobody else holds one, its memory can
/// be taken. `pullback` is called at most once per backward pass, and not at all when `x` is a
/// constant.
pub(super) fn with_gradient<const D: usize, const E: usize, P>(
    x: Var<D>,
    f: impl FnOnce(Tensor<D>) -> (Tensor<E>, P),
) -> Var<E>
where
    P: Fn(Tensor<E>) -> Tensor<D> + Send + Sync + 'static,
{
    let x = x.into_primitive().tensor();
    // The counter keeps the node of `x` in burn's graph until the new one is registered.
    let (primitive, node, _counter) = (x.primitive, x.node, x.rc);
    let (y, pullback) = f(Tensor::<D>::from_primitive(TensorPrimitive::Float(primitive)));
    let y = y.into_primitive().tensor();
    let prepared = HandMade::<D, E>.prepare::<NoCheckpointing>([node]).compute_bound().stateful();
    let out = match prepared {
        OpsKind::Tracked(prep) => prep.finish(Pullback(Arc::new(pullback)), y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    };
    burn_tensor::Tensor::<AutoBackend, E>::from_primitive(TensorPrimitive::Float(out))
}

/// Gradients at the leaves of `y` for a given gradient at `y`, of the same width.
pub(crate) fn backward_from<const D: usize>(y: Var<D>, gradient: Tensor<D>) -> Gradients {
    let gradient = Mutex::new(Some(gradient));
    let root: Var<1> = with_gradient(y, |y| {
        let zero = tensor_f64(ndarray::aview1(&[0.0]), precision(&y), &y.device());
        let take = move |_: Tensor<1>| gradient.lock().ok().and_then(|mut g| g.take()).expect("one backward pass");
        (zero, take)
    });
    root.backward()
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
