//! torchvision's ResNets (the stride of a bottleneck is in its 3x3 convolution).

use super::{Builder, window};
use crate::error::Result;
use crate::network::graph::NodeId;
use crate::network::op::Op;

const EPSILON: f32 = 1e-5;

pub(super) fn resnet(b: &mut Builder, blocks: &[usize; 4], bottleneck: bool) -> Result<()> {
    let x = b.conv("conv1", "conv1", 0, window(7, 2, 3), 1)?;
    let x = b.batch_norm("bn1", "bn1", x, EPSILON)?;
    let x = b.relu("relu", x)?;
    let mut x = b.max_pool("maxpool", x, window(3, 2, 1), false)?;
    for (stage, &n) in blocks.iter().enumerate() {
        for i in 0..n {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            x = block(b, &format!("layer{}.{i}", stage + 1), x, stride, bottleneck)?;
        }
        b.net.alias(&format!("layer{}", stage + 1), &format!("layer{}.{}", stage + 1, n - 1));
    }
    b.head(x)
}

/// The block's output, after the sum and its ReLU, is called `name`.
fn block(b: &mut Builder, name: &str, x: NodeId, stride: usize, bottleneck: bool) -> Result<NodeId> {
    let layers = if bottleneck {
        vec![window(1, 1, 0), window(3, stride, 1), window(1, 1, 0)]
    } else {
        vec![window(3, stride, 1), window(3, 1, 1)]
    };
    let mut y = x;
    for (i, w) in layers.iter().enumerate().map(|(i, w)| (i + 1, *w)) {
        y = b.conv(&format!("{name}.conv{i}"), &format!("{name}.conv{i}"), y, w, 1)?;
        y = b.batch_norm(&format!("{name}.bn{i}"), &format!("{name}.bn{i}"), y, EPSILON)?;
        if i < layers.len() {
            y = b.relu(&format!("{name}.relu{i}"), y)?;
        }
    }
    let shortcut = if b.has(&format!("{name}.downsample.0.weight")) {
        let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
        let s = b.conv(&conv, &conv, x, window(1, stride, 0), 1)?;
        b.batch_norm(&norm, &norm, s, EPSILON)?
    } else {
        x
    };
    let sum = b.net.push(&format!("{name}.add"), Op::Add, &[y, shortcut])?;
    b.relu(name, sum)
}
