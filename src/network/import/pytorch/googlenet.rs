//! torchvision's GoogLeNet (`IMAGENET1K_V1`): batch norm after each convolution, and the "5x5"
//! branch is 3x3.

use super::{Builder, Window, window};
use crate::error::Result;
use crate::network::graph::NodeId;
use crate::network::op::Op;

const EPSILON: f32 = 1e-3;

pub(super) fn googlenet(b: &mut Builder) -> Result<()> {
    b.forget(&["aux1.", "aux2."]);
    let x = transform_input(b)?;
    let x = unit(b, "conv1", x, window(7, 2, 3))?;
    let x = b.max_pool("maxpool1", x, window(3, 2, 0), true)?;
    let x = unit(b, "conv2", x, window(1, 1, 0))?;
    let x = unit(b, "conv3", x, window(3, 1, 1))?;
    let mut x = b.max_pool("maxpool2", x, window(3, 2, 0), true)?;
    for block in ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"] {
        x = match block {
            "4a" => b.max_pool("maxpool3", x, window(3, 2, 0), true)?,
            "5a" => b.max_pool("maxpool4", x, window(2, 2, 0), true)?,
            _ => x,
        };
        x = inception(b, &format!("inception{block}"), x)?;
    }
    b.head(x)
}

/// From ImageNet's means and standard deviations to 0.5 and 0.5, which the converted weights were
/// trained with.
fn transform_input(b: &mut Builder) -> Result<NodeId> {
    let (mean, std) = ([0.485f64, 0.456, 0.406], [0.229f64, 0.224, 0.225]);
    let scale = b.net.vector("transform_input.scale", std.iter().map(|s| (s / 0.5) as f32).collect())?;
    let shift = b.net.vector("transform_input.shift", mean.iter().map(|m| ((m - 0.5) / 0.5) as f32).collect())?;
    b.net.push("transform_input", Op::ChannelAffine { scale, shift }, &[0])
}

/// Convolution, batch norm and ReLU.
fn unit(b: &mut Builder, name: &str, x: NodeId, w: Window) -> Result<NodeId> {
    let x = b.conv(&format!("{name}.conv"), &format!("{name}.conv"), x, w, 1)?;
    let x = b.batch_norm(&format!("{name}.bn"), &format!("{name}.bn"), x, EPSILON)?;
    b.relu(name, x)
}

fn inception(b: &mut Builder, name: &str, x: NodeId) -> Result<NodeId> {
    let one = unit(b, &format!("{name}.branch1"), x, window(1, 1, 0))?;
    let reduced = unit(b, &format!("{name}.branch2.0"), x, window(1, 1, 0))?;
    let two = unit(b, &format!("{name}.branch2.1"), reduced, window(3, 1, 1))?;
    let reduced = unit(b, &format!("{name}.branch3.0"), x, window(1, 1, 0))?;
    let three = unit(b, &format!("{name}.branch3.1"), reduced, window(3, 1, 1))?;
    let pooled = b.max_pool(&format!("{name}.branch4.0"), x, window(3, 1, 1), true)?;
    let four = unit(b, &format!("{name}.branch4.1"), pooled, window(1, 1, 0))?;
    b.net.push(name, Op::Concat, &[one, two, three, four])
}
