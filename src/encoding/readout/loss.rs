//! The loss of factorised readouts, on burn tensors of either width.

use super::{ReadoutLoss, ReadoutOptions};
use crate::tensor::{Tensor, Var, constant};

/// Keeps the quotient of Hoyer's square from 0 / 0.
const HOYER_FLOOR: f64 = 1e-12;

/// What is trained, of n_targets targets.
#[derive(Clone)]
pub(super) struct Leaves {
    /// places x targets.
    pub map: Var<2>,
    /// channels x targets.
    pub channels: Var<2>,
    /// 1 x targets.
    pub intercept: Var<2>,
}

/// Some rows.
pub(super) struct Batch {
    /// (rows channels) x places, as they are.
    pub activations: Tensor<2>,
    /// rows x targets; z-scored for a squared loss.
    pub responses: Tensor<2>,
    /// 1 x channels x 1.
    pub mean: Tensor<3>,
    /// channels x 1: one over the scale.
    pub inverse_scale: Tensor<2>,
}

/// The sum over targets of loss and penalties: targets do not see each other.
pub(super) fn total(leaves: &Leaves, batch: &Batch, size: (usize, usize), options: &ReadoutOptions) -> Var<1> {
    let n = batch.responses.dims()[0] as f64;
    let mut total = data_term(predictions(leaves, batch), batch, options.loss) / n;
    let Leaves { map, channels, .. } = leaves;
    if options.l2_map > 0.0 {
        total = total + squares(map.clone()) * options.l2_map;
    }
    if options.l2_channels > 0.0 {
        total = total + squares(channels.clone()) * options.l2_channels;
    }
    if options.smoothness > 0.0 {
        let n_targets = map.dims()[1];
        let map = map.clone().reshape([size.0, size.1, n_targets]);
        total = total + (laplacian(map).powi_scalar(2).sum()) * options.smoothness;
    }
    if options.hoyer > 0.0 {
        let l1 = channels.clone().abs().sum_dim(0);
        let l2 = channels.clone().powi_scalar(2).sum_dim(0) + HOYER_FLOOR;
        total = total + (l1.powi_scalar(2) / l2).sum() * options.hoyer;
    }
    total
}

fn squares(x: Var<2>) -> Var<1> {
    x.powi_scalar(2).sum()
}

/// u, rows x targets.
fn predictions(leaves: &Leaves, batch: &Batch) -> Var<2> {
    let Leaves { map, channels, intercept } = leaves;
    let ([n, n_targets], n_channels) = (batch.responses.dims(), channels.dims()[0]);
    let pooled = constant(batch.activations.clone()).matmul(map.clone()).reshape([n, n_channels, n_targets]);
    // What every place gives of the channels' means.
    let whole = map.clone().sum_dim(0).reshape([1, 1, n_targets]);
    let centred = pooled - constant(batch.mean.clone()) * whole;
    let weights = (channels.clone() * constant(batch.inverse_scale.clone())).reshape([1, n_channels, n_targets]);
    (centred * weights).sum_dim(1).reshape([n, n_targets]) + intercept.clone()
}

/// Summed over rows and targets.
fn data_term(u: Var<2>, batch: &Batch, loss: ReadoutLoss) -> Var<1> {
    let y = constant(batch.responses.clone());
    match loss {
        ReadoutLoss::Mse => squares(y - u),
        ReadoutLoss::Poisson => {
            let (above, below) = (burn_tensor::activation::relu(u.clone()), -burn_tensor::activation::relu(-u));
            // 1 + elu(u) = max(u, 0) + exp(min(u, 0)), and its logarithm without a difference.
            let rate = above.clone() + below.clone().exp();
            let log_rate = above.log1p() + below;
            (rate - y * log_rate).sum()
        }
    }
}

/// For each place the sum over its neighbours of their difference to it; height x width x targets.
fn laplacian(map: Var<3>) -> Var<3> {
    let along = |dim: usize| {
        let n = map.dims()[dim];
        if n == 1 {
            return map.zeros_like();
        }
        let steps = map.clone().narrow(dim, 1, n - 1) - map.clone().narrow(dim, 0, n - 1);
        let edge = map.clone().narrow(dim, 0, 1).zeros_like();
        Var::cat(vec![steps.clone(), edge.clone()], dim) - Var::cat(vec![edge, steps], dim)
    };
    along(0) + along(1)
}
