//! Receptive fields: which pixels of the input a unit sees.
//!
//! Pixel centres lie at whole numbers: the top left pixel is at (0, 0). The unit in row `i` of a
//! layer sees the rows `start + stride i` to `start + stride i + size - 1`, so its centre is at
//! `centre + stride i` with `centre = start + (size - 1) / 2`. Fields may reach into the padding,
//! beyond the image. Through a concatenation or sum, the field is the union of the parts' fields.
//! Source: Araujo, Norris and Sim, Distill 2019, equations 1 to 4.

use super::graph::Graph;
use super::op::Op;
use super::shape::Shape;
use serde::Serialize;

/// One axis of a layer's receptive fields, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Axis {
    /// Pixels that a unit sees.
    pub size: usize,
    /// Pixels between the centres of neighbours; 0 when every unit sees the same.
    pub stride: usize,
    /// Centre of the first unit's field.
    pub centre: f64,
    #[serde(skip)]
    start: i64,
}

/// A layer's receptive fields.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReceptiveField {
    pub rows: Axis,
    pub columns: Axis,
}

/// Pixels beyond any image.
const FAR: i64 = 1 << 40;

impl Axis {
    fn new(start: i64, size: usize, stride: usize) -> Self {
        // Strides of many layers multiply beyond all numbers; no image is that wide.
        let (start, size, stride) = (start.clamp(-FAR, FAR), size.min(FAR as usize), stride.min(FAR as usize));
        Self { size, stride, centre: start as f64 + (size as f64 - 1.0) / 2.0, start }
    }

    /// After a window of `extent` inputs, `pad` of them before the first.
    fn window(self, extent: usize, stride: usize, pad: usize) -> Self {
        let start = self.start - (self.stride * pad) as i64;
        Self::new(start, self.size + (extent - 1) * self.stride, self.stride * stride)
    }

    /// Of a unit that sees all `n` units of a layer.
    fn whole(self, n: usize) -> Self {
        Self::new(self.start, self.size + n.saturating_sub(1) * self.stride, 0)
    }

    fn union(self, other: Self) -> Self {
        let start = self.start.min(other.start);
        let end = |a: Self| a.start + a.size as i64;
        Self::new(start, (end(self).max(end(other)) - start) as usize, self.stride.max(other.stride))
    }
}

/// The receptive field of every node, in order.
pub fn receptive_fields(graph: &Graph) -> Vec<ReceptiveField> {
    let mut fields: Vec<ReceptiveField> = Vec::with_capacity(graph.nodes().len());
    let pixel = ReceptiveField { rows: Axis::new(0, 1, 1), columns: Axis::new(0, 1, 1) };
    for node in graph.nodes() {
        let before = node.inputs.iter().map(|&i| (fields[i], graph.node(i).shape));
        let united = before.reduce(|(a, s), (b, _)| {
            (ReceptiveField { rows: a.rows.union(b.rows), columns: a.columns.union(b.columns) }, s)
        });
        fields.push(united.map_or(pixel, |(field, shape)| through(graph, &node.op, field, shape)));
    }
    fields
}

fn through(graph: &Graph, op: &Op, f: ReceptiveField, input: Shape) -> ReceptiveField {
    let windows = |extent: [usize; 2], stride: [usize; 2], pad: [usize; 2]| ReceptiveField {
        rows: f.rows.window(extent[0], stride[0], pad[0]),
        columns: f.columns.window(extent[1], stride[1], pad[1]),
    };
    match op {
        Op::Conv2d { weight, stride, padding, dilation, .. } => {
            let shape = graph.weight(weight).shape();
            let extent = [dilation[0] * (shape[2] - 1) + 1, dilation[1] * (shape[3] - 1) + 1];
            windows(extent, *stride, [padding[0], padding[1]])
        }
        Op::MaxPool { kernel, stride, padding, .. } | Op::AvgPool { kernel, stride, padding, .. } => {
            windows(*kernel, *stride, [padding[0], padding[1]])
        }
        Op::Pad { padding } => windows([1, 1], [1, 1], [padding[0], padding[1]]),
        // Features of a flattened layer see different pixels: what all of them together see is
        // given.
        Op::GlobalAvgPool | Op::Flatten { .. } => {
            ReceptiveField { rows: f.rows.whole(input.height), columns: f.columns.whole(input.width) }
        }
        _ => f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ChannelOrder, GraphBuilder, InputSpec};
    use ndarray::{ArrayD, IxDyn};

    fn conv(b: &mut GraphBuilder, name: &str, x: usize, k: usize, stride: usize, pad: usize) -> usize {
        let channels = b.shape(x).channels;
        b.add_weight(name, ArrayD::ones(IxDyn(&[1, channels, k, k])));
        let op = Op::Conv2d {
            weight: name.into(),
            bias: None,
            stride: [stride; 2],
            padding: [pad; 4],
            dilation: [1, 1],
            groups: 1,
        };
        b.push(name, op, &[x]).unwrap()
    }

    #[test]
    fn a_chain_and_a_union() {
        let input =
            InputSpec { height: 32, width: 32, order: ChannelOrder::Grey, range: 1.0, mean: vec![0.0], std: vec![1.0] };
        let mut b = GraphBuilder::new("n", input, Default::default()).unwrap();
        let a = conv(&mut b, "a", 0, 7, 2, 3);
        let p = b.push("p", Op::MaxPool { kernel: [3, 3], stride: [2, 2], padding: [0; 4], ceil: true }, &[a]).unwrap();
        let one = conv(&mut b, "one", p, 1, 1, 0);
        let five = conv(&mut b, "five", p, 5, 1, 2);
        let both = b.push("both", Op::Concat, &[one, five]).unwrap();
        b.push("gap", Op::GlobalAvgPool, &[both]).unwrap();
        let graph = b.finish().unwrap();
        let rows: Vec<(usize, usize, f64)> =
            receptive_fields(&graph).iter().map(|f| (f.rows.size, f.rows.stride, f.rows.centre)).collect();
        // 7; 7 + 2*2 = 11; 11 + 4*4 = 27. The first unit of p sees rows -3..=7; the first of `five`
        // -11..=15.
        assert_eq!(rows[1..6], [(7, 2, 0.0), (11, 4, 2.0), (11, 4, 2.0), (27, 4, 2.0), (27, 4, 2.0)]);
        let n = graph.node(both).shape.height;
        assert_eq!(rows[6].0, 27 + (n - 1) * 4);
        assert_eq!(rows[6].1, 0);
    }

    /// The pixels that really move a unit are within the computed field, and touch its sides.
    #[test]
    fn the_gradient_of_a_unit_fills_its_field() {
        use crate::network::{BurnExecutor, Executor, TapGrad, TapRequest, TapValue};
        use crate::tensor::{Device, Precision, array, tensor};
        let input = InputSpec {
            height: 40,
            width: 40,
            order: ChannelOrder::Rgb,
            range: 1.0,
            mean: vec![0.0; 3],
            std: vec![1.0; 3],
        };
        let mut b = GraphBuilder::new("n", input, Default::default()).unwrap();
        let a = conv(&mut b, "a", 0, 5, 2, 2);
        let c = conv(&mut b, "c", a, 3, 2, 1);
        let pool =
            Op::AvgPool { kernel: [3, 3], stride: [1, 1], padding: [1; 4], ceil: false, count_include_pad: true };
        let p = b.push("p", pool, &[c]).unwrap();
        let graph = b.finish().unwrap();
        let mut run =
            BurnExecutor::new(&graph, &[TapRequest::Activations(p)], Precision::F32, &Device::default()).unwrap();
        let images = tensor::<4, _>(ArrayD::from_elem(IxDyn(&[1, 3, 40, 40]), 0.5f32).view(), &Device::default());
        let TapValue::Activations(v) = run.forward(&images).unwrap().remove(0) else { panic!() };
        let mut one = ArrayD::zeros(IxDyn(&v.dims()));
        one[[0, 0, 5, 4]] = 1.0f32;
        let gradient = array(&run.backward(&[TapGrad::Activations(tensor(one.view(), &Device::default()))]).unwrap());
        let field = receptive_fields(&graph)[p];
        let rows: Vec<i64> =
            (0..40).filter(|&y| (0..40).any(|x| gradient[[0, 0, y, x]] != 0.0)).map(|y| y as i64).collect();
        let columns: Vec<i64> =
            (0..40).filter(|&x| (0..40).any(|y| gradient[[0, 0, y, x]] != 0.0)).map(|x| x as i64).collect();
        let ends = |axis: Axis, i: usize| {
            let first = axis.start + (axis.stride * i) as i64;
            (first, first + axis.size as i64 - 1)
        };
        assert_eq!((rows[0], rows[rows.len() - 1]), ends(field.rows, 5));
        assert_eq!((columns[0], columns[columns.len() - 1]), ends(field.columns, 4));
    }
}
