//! torchvision's chains (AlexNet, VGG, SqueezeNet), and the compact models of macaque V4.

use super::{Builder, window};
use crate::error::Result;
use crate::network::graph::NodeId;
use crate::network::op::{FlattenOrder, Op, same_padding};

/// Krizhevsky 2014, "one weird trick". Aliases: `conv1`..`conv5`, `pool1`, `pool2`, `pool5`,
/// `fc6`..`fc8`, after their ReLUs.
pub(super) fn alexnet(b: &mut Builder) -> Result<()> {
    let convs = [
        (0, window(11, 4, 2)),
        (3, window(5, 1, 2)),
        (6, window(3, 1, 1)),
        (8, window(3, 1, 1)),
        (10, window(3, 1, 1)),
    ];
    let mut x = 0;
    for (i, (at, w)) in convs.into_iter().enumerate() {
        x = conv_relu(b, at, x, w.kernel, w.stride, w.pad, &format!("conv{}", i + 1))?;
        if matches!(at, 0 | 3 | 10) {
            let name = format!("features.{}", at + 2);
            x = b.max_pool(&name, x, window(3, 2, 0), false)?;
            b.net.alias(&format!("pool{}", i + 1), &name);
        }
    }
    classifier(b, x, [1, 4, 6])
}

/// Simonyan and Zisserman 2014: stages of 3x3 convolutions. Aliases: `conv1_1`, ...,
/// `pool1`..`pool5`, `fc6`..`fc8`.
pub(super) fn vgg(b: &mut Builder, stages: &[usize; 5]) -> Result<()> {
    let (mut x, mut at) = (0, 0);
    for (stage, &n) in stages.iter().enumerate().map(|(s, n)| (s + 1, n)) {
        for i in 1..=n {
            x = conv_relu(b, at, x, 3, 1, 1, &format!("conv{stage}_{i}"))?;
            at += 2;
        }
        let name = format!("features.{at}");
        x = b.max_pool(&name, x, window(2, 2, 0), false)?;
        b.net.alias(&format!("pool{stage}"), &name);
        at += 1;
    }
    classifier(b, x, [0, 3, 6])
}

/// `features.<at>` and its ReLU `features.<at + 1>`.
fn conv_relu(
    b: &mut Builder,
    at: usize,
    x: NodeId,
    kernel: usize,
    stride: usize,
    pad: usize,
    alias: &str,
) -> Result<NodeId> {
    let name = format!("features.{at}");
    let x = b.conv(&name, &name, x, window(kernel, stride, pad), 1)?;
    let relu = format!("features.{}", at + 1);
    b.net.alias(alias, &relu);
    b.relu(&relu, x)
}

/// Three linear layers at these places of `classifier`, ReLU after the first two. (The adaptive
/// pooling before them changes nothing at 224 x 224.)
fn classifier(b: &mut Builder, x: NodeId, places: [usize; 3]) -> Result<()> {
    let mut x = b.flatten("flatten", x, FlattenOrder::Chw)?;
    for (i, at) in places.into_iter().enumerate() {
        let name = format!("classifier.{at}");
        x = b.linear(&name, &name, x)?;
        let mut output = name;
        if i < 2 {
            output = format!("classifier.{}", at + 1);
            x = b.relu(&output, x)?;
        }
        b.net.alias(&format!("fc{}", 6 + i), &output);
    }
    Ok(())
}

/// Iandola et al. 2016, version 1.1. A fire module's output is `features.<i>`; Caffe's
/// `fire2/concat`, ... are aliases.
pub(super) fn squeezenet(b: &mut Builder) -> Result<()> {
    let x = b.conv("features.0", "features.0", 0, window(3, 2, 0), 1)?;
    let mut x = b.relu("features.1", x)?;
    b.net.alias("conv1", "features.1");
    let mut fire = 2;
    for at in 2..=12 {
        let name = format!("features.{at}");
        if matches!(at, 2 | 5 | 8) {
            x = b.max_pool(&name, x, window(3, 2, 0), true)?;
            continue;
        }
        x = fire_module(b, &name, x)?;
        b.net.alias(&format!("fire{fire}/concat"), &name);
        b.net.alias(&format!("fire{fire}"), &name);
        fire += 1;
    }
    let x = b.conv("classifier.1", "classifier.1", x, window(1, 1, 0), 1)?;
    let x = b.relu("classifier.2", x)?;
    b.net.alias("conv10", "classifier.2");
    b.net.push("classifier.3", Op::GlobalAvgPool, &[x])?;
    b.net.alias("pool10", "classifier.3");
    Ok(())
}

fn fire_module(b: &mut Builder, name: &str, x: NodeId) -> Result<NodeId> {
    let part = |b: &mut Builder, what: &str, x: NodeId, kernel: usize| {
        let conv = format!("{name}.{what}");
        let y = b.conv(&conv, &conv, x, window(kernel, 1, kernel / 2), 1)?;
        b.relu(&format!("{conv}_activation"), y)
    };
    let squeezed = part(b, "squeeze", x, 1)?;
    let (one, three) = (part(b, "expand1x1", squeezed, 1)?, part(b, "expand3x3", squeezed, 3)?);
    b.net.push(name, Op::Concat, &[one, three])
}

/// Cowley et al. 2023: five layers, TensorFlow's padding, a readout of (row, column, channel).
/// Nodes are called as in the Keras files.
///
/// Epsilon is 1e-3, as in the Keras files. The published `.pt` files hold, in layers 1 to 4, the
/// variance of the Keras files plus 1e-3 (all 164, to the last bit of 32), so nothing may be added
/// again there.
pub(super) fn compact(b: &mut Builder) -> Result<()> {
    let mut x = 0;
    for (i, stride) in [1, 2, 2, 1, 1].into_iter().enumerate() {
        let (t, bottom) = same_padding(b.net.shape(x).height, 5, stride);
        let (l, right) = same_padding(b.net.shape(x).width, 5, stride);
        let (node, tensors) = (format!("layer{i}_conv"), format!("layers.layer{i}_conv"));
        x = if i == 0 {
            b.conv_padded(&node, &tensors, x, stride, [t, l, bottom, right], 1)?
        } else {
            let channels = b.net.shape(x).channels;
            let deep = format!("{node}.depthwise");
            let y = b.conv_padded(&deep, &format!("{tensors}_depth"), x, stride, [t, l, bottom, right], channels)?;
            b.conv(&node, &format!("{tensors}_point"), y, window(1, 1, 0), 1)?
        };
        let epsilon = if i == 0 { 1e-3 } else { 0.0 };
        x = b.batch_norm(&format!("layer{i}_bn"), &format!("layers.layer{i}_bn"), x, epsilon)?;
        x = b.relu(&format!("layer{i}_act"), x)?;
    }
    let x = b.flatten("embeddings", x, FlattenOrder::Hwc)?;
    b.linear("Beta", "layers.Beta", x)?;
    Ok(())
}
