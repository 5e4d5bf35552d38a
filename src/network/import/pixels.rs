//! What a file says about the pixels that its network takes: a type of whole numbers, a first layer
//! that scales them, the transformation that it was trained with. Where a file says so, nobody has
//! to.

use crate::error::{Error, Result};
use crate::network::graph::{Graph, NodeId};
use crate::network::input::{ChannelOrder, InputSpec, PRESETS};
use crate::network::op::Op;
use crate::warning::Warning;
use std::path::Path;

/// Standard deviations (or means) of pixels above this are of 0..255.
const WIDE: f32 = 20.0;
/// Means of B, G and R over ImageNet, 0..255.
const BGR: [f32; 3] = [103.94, 116.78, 123.68];
/// Means that ImageNet's are taken for: Caffe rounds them.
const NEAR: f32 = 3.0;

/// Pixels as a file describes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    pub input: InputSpec,
    /// How sure the file is.
    pub says: Says,
    /// In words: what in the file says so.
    pub why: String,
}

/// How much of an [`InputSpec`] a file decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The input is of whole numbers: any other range, mean or scale is impossible.
    Integers,
    /// The network itself scales pixels of a range: another range is wrong.
    Range,
    /// What the network was trained with; a user may know better.
    Training,
}

/// `placeholder` with pixels of 0..`range` as they are.
pub(super) fn plain(placeholder: &InputSpec, order: ChannelOrder, range: f32) -> InputSpec {
    let order = if placeholder.order == ChannelOrder::Grey { ChannelOrder::Grey } else { order };
    let n = placeholder.n_channels();
    InputSpec { order, range, mean: vec![0.0; n], std: vec![1.0; n], ..placeholder.clone() }
}

impl Pixels {
    /// Pixels of a network whose input has a type of whole numbers, called `kind`.
    pub(super) fn integers(graph: &Graph, kind: &str) -> Self {
        let input = plain(&graph.input, ChannelOrder::Rgb, 255.0);
        Self { input, says: Says::Integers, why: format!("its input is of type {kind}, pixels of 0..255") }
    }

    /// What the first layers of a network say, when they do nothing but scale and shift the planes:
    /// with `y = a x + b`, pixels of mean `-b/a` and standard deviation `1/a` come out as about 0
    /// and 1. Only a clear case counts: 20 or more is of 0..255; a mean within 0.1..1 with a
    /// standard deviation up to 0.6, or one below 0.05, is of 0..1.
    pub(super) fn of_first_layers(graph: &Graph) -> Option<Self> {
        let (mut gain, mut offset) = (vec![1.0f32; graph.input.n_channels()], vec![0.0f32; graph.input.n_channels()]);
        let (mut at, mut first) = (0, None);
        while let Some((node, (a, b))) = next_affine(graph, at) {
            for c in 0..gain.len() {
                (gain[c], offset[c]) = (a[c] * gain[c], a[c] * offset[c] + b[c]);
            }
            if first.is_none() && a.iter().zip(&b).any(|(&a, &b)| (a, b) != (1.0, 0.0)) {
                first = Some(node);
            }
            at = node;
        }
        let first = first?;
        if gain.iter().any(|a| *a == 0.0 || !a.is_finite()) {
            return None;
        }
        let std: Vec<f32> = gain.iter().map(|a| 1.0 / a.abs()).collect();
        let mean: Vec<f32> = gain.iter().zip(&offset).map(|(a, b)| -b / a).collect();
        let unit = |(s, m): (&f32, &f32)| *s < 0.05 || (*s <= 0.6 && (0.1..=1.0).contains(m));
        let range = match () {
            () if std.iter().all(|s| *s >= WIDE) || mean.iter().all(|m| *m >= WIDE) => 255.0,
            () if std.iter().zip(&mean).all(unit) => 1.0,
            () => return None,
        };
        let near = |m: &[f32]| m.len() == 3 && m.iter().zip(BGR).all(|(a, b)| (a - b).abs() < NEAR);
        let order = if range == 255.0 && near(&mean) { ChannelOrder::Bgr } else { ChannelOrder::Rgb };
        let name = &graph.node(first).name;
        let why = format!("its first layer, `{name}`, takes pixels of 0..{range}");
        Some(Self { input: plain(&graph.input, order, range), says: Says::Range, why })
    }
}

/// A node with its scales and shifts, one a channel.
type Affine = (NodeId, (Vec<f32>, Vec<f32>));

/// The one reader of a node, if all that it does is scale and shift: its node, scales and shifts.
fn next_affine(graph: &Graph, at: NodeId) -> Option<Affine> {
    let mut readers = (at + 1..graph.nodes().len()).filter(|&id| graph.node(id).inputs.contains(&at));
    let (only, None) = (readers.next()?, readers.next()) else { return None };
    let values = |name: &String| graph.weight(name).iter().copied().collect::<Vec<f32>>();
    let n = graph.node(only).shape.channels;
    let (a, b) = match &graph.node(only).op {
        Op::Identity => (vec![1.0; n], vec![0.0; n]),
        Op::ChannelAffine { scale, shift } => (values(scale), values(shift)),
        Op::BatchNorm { scale, shift, mean, var, epsilon } => {
            let scale = scale.as_ref().map_or_else(|| vec![1.0; n], values);
            let shift = shift.as_ref().map_or_else(|| vec![0.0; n], values);
            let a: Vec<f32> = scale.iter().zip(values(var)).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
            let b = shift.iter().zip(&a).zip(values(mean)).map(|((b, a), m)| b - a * m).collect();
            (a, b)
        }
        _ => return None,
    };
    Some((only, (a, b)))
}

/// The preprocessing of a bare file: what the file says, what the user gave, or what the network is
/// known for.
///
/// A preset that the network cannot have been made for is not used; any other that differs from the
/// file is, and said.
///
/// # Errors
/// [`Error::Invalid`] for an unknown preset, or when nobody knows.
pub fn choose(
    path: &Path,
    given: Option<(&str, InputSpec)>,
    known: Option<InputSpec>,
    said: Option<&Pixels>,
) -> Result<(InputSpec, Option<Warning>)> {
    let Some((name, spec)) = given else {
        let input = said.map(|s| s.input.clone()).or(known).ok_or_else(|| {
            Error::invalid(
                format!("{}: preprocessing", path.display()),
                format!("`preprocess` {PRESETS}"),
                "none, and not a network that we know",
                "say what the network was trained with; its authors' page says so",
            )
        })?;
        return Ok((input, None));
    };
    let Some(said) = said.filter(|s| InputSpec { order: spec.order, ..s.input.clone() } != spec || s.differs(&spec))
    else {
        return Ok((spec, None));
    };
    let impossible = match said.says {
        Says::Integers => true,
        Says::Range => said.input.range != spec.range,
        Says::Training => false,
    };
    let (input, used) = if impossible {
        let input = InputSpec { order: spec.order, ..said.input.clone() };
        let range = input.range;
        (
            input,
            format!(
                "pixels of 0..{range} are used (import the network and correct [input] of its card if the file errs)"
            ),
        )
    } else {
        (spec, format!("--preprocess {name} is used"))
    };
    let model = path.display().to_string();
    Ok((input, Some(Warning::Preprocessing { model, given: name.into(), why: said.why.clone(), used })))
}

impl Pixels {
    /// Whether another order of the planes contradicts the file: only training says the order for
    /// sure.
    fn differs(&self, spec: &InputSpec) -> bool {
        self.says == Says::Training && self.input.order != spec.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::graph::GraphBuilder;
    use ndarray::{ArrayD, IxDyn};

    /// A network that begins with `y = scale x + shift` per plane.
    fn begins(layers: &[([f32; 3], [f32; 3])]) -> Graph {
        let mut b = GraphBuilder::new("n", InputSpec::preset("unit", 4, 4).unwrap(), Default::default()).unwrap();
        let mut x = 0;
        for (i, (scale, shift)) in layers.iter().enumerate() {
            for (what, values) in [("scale", scale), ("shift", shift)] {
                b.add_weight(format!("{i}.{what}"), ArrayD::from_shape_vec(IxDyn(&[3]), values.to_vec()).unwrap());
            }
            let op = Op::ChannelAffine { scale: format!("{i}.scale"), shift: format!("{i}.shift") };
            x = b.push(format!("layer{i}"), op, &[x]).unwrap();
        }
        b.push("relu", Op::Relu, &[x]).unwrap();
        b.finish().unwrap()
    }

    #[test]
    fn first_layers_tell_the_range() {
        let range = |layers: &[([f32; 3], [f32; 3])]| Pixels::of_first_layers(&begins(layers)).map(|p| p.input.range);
        assert_eq!(range(&[]), None);
        assert_eq!(range(&[([1.0 / 255.0; 3], [0.0; 3])]), Some(255.0));
        assert_eq!(range(&[([2.0 / 255.0; 3], [-1.0; 3])]), Some(255.0));
        assert_eq!(range(&[([1.0; 3], [-123.68, -116.78, -103.94])]), Some(255.0));
        assert_eq!(range(&[([1.0; 3], [-127.5; 3]), ([1.0 / 127.5; 3], [0.0; 3])]), Some(255.0), "in two layers");
        assert_eq!(range(&[([2.0; 3], [-1.0; 3])]), Some(1.0));
        assert_eq!(range(&[([4.367, 4.464, 4.444], [-2.118, -2.036, -1.804])]), Some(1.0), "torchvision's");
        assert_eq!(range(&[([255.0; 3], [0.0; 3])]), Some(1.0));
        assert_eq!(range(&[([0.458, 0.448, 0.45], [-0.03, -0.088, -0.188])]), None, "between two conventions");
        assert_eq!(range(&[([0.0; 3], [1.0; 3])]), None);
    }

    #[test]
    fn means_of_imagenet_tell_the_order() {
        let order = |m: [f32; 3]| Pixels::of_first_layers(&begins(&[([1.0; 3], m.map(|v| -v))])).unwrap().input.order;
        assert_eq!(order([104.0, 117.0, 123.0]), ChannelOrder::Bgr);
        assert_eq!(order([123.68, 116.779, 103.939]), ChannelOrder::Rgb);
    }

    #[test]
    fn the_file_wins_where_the_user_cannot_be_right() {
        let path = Path::new("n.h5");
        let preset = |name: &'static str| Some((name, InputSpec::preset(name, 4, 4).unwrap()));
        let raw = InputSpec::preset("raw", 4, 4).unwrap();
        let said = Pixels::of_first_layers(&begins(&[([1.0 / 255.0; 3], [0.0; 3])])).unwrap();
        assert_eq!(choose(path, None, None, Some(&said)).unwrap(), (raw.clone(), None));
        assert_eq!(choose(path, preset("raw"), None, Some(&said)).unwrap(), (raw.clone(), None));
        let (used, warning) = choose(path, preset("unit"), None, Some(&said)).unwrap();
        assert_eq!(used, raw, "0..1 would be scaled twice");
        let text = warning.unwrap().to_string();
        assert!(["n.h5", "unit", "layer0", "0..255"].iter().all(|part| text.contains(part)), "{text}");
        let (used, warning) = choose(path, preset("lucid"), None, Some(&said)).unwrap();
        assert_eq!(used.mean, [117.0; 3], "the range fits: the user's mean is used, and said");
        assert!(warning.unwrap().to_string().contains("lucid is used"));
        let whole = Pixels::integers(&begins(&[]), "uint8");
        let (used, warning) = choose(path, preset("caffe"), None, Some(&whole)).unwrap();
        assert_eq!((used.mean, used.order), (vec![0.0; 3], ChannelOrder::Bgr), "order stays the user's");
        assert!(warning.is_some());
        assert!(choose(path, None, None, None).unwrap_err().to_string().contains("raw"));
    }
}
