//! Second moments of what a linear operation reads: from them follows, without any image, how much
//! of its output varies with any set of its input channels.
//!
//! An output is `y_k = sum_r w[k, r] u_r` over rows r (input channels, or channels times kernel
//! positions), so that sums of squares over images and positions of any part of it are `sum_k w_k'
//! M w_k` with M the moments of the rows in it.

use crate::compression::groups::{Groups, Place};
use crate::error::{Error, Result};
use crate::network::{Graph, NodeId, Op, Shape};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use orthoscope_kernels::gram::Kernels;
use rayon::prelude::*;

/// Pairs of rows of an operation, at most: 8 bytes each.
const PAIRS: usize = 30_000_000;
/// Numbers of rows that are laid out at a time.
const LAID_OUT: usize = 1 << 24;

/// An operation that reads channels of a group and adds up what they contribute.
pub struct Reader {
    pub node: NodeId,
    pub input: NodeId,
    kind: Kind,
    /// Independent parts: the groups of a convolution, or the outputs of a linear layer.
    pub blocks: Vec<Block>,
}

enum Kind {
    Convolution(Windows),
    /// Rows are features.
    Features,
    /// A block for each output; rows are channels of the group, then the sum of all others.
    Outputs {
        weight: Array2<f32>,
        row: Vec<usize>,
    },
}

/// What a convolution's kernels see.
struct Windows {
    /// Of its input and output.
    shape: [Shape; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    pad: [usize; 2],
    dilation: [usize; 2],
}

/// Rows whose moments are taken together.
pub struct Block {
    /// Outputs x rows.
    weight: Array2<f64>,
    /// The channel of the group that each row is of.
    pub channel: Vec<Option<usize>>,
    /// Taken off every row, so that sums of squares lose no digits.
    shift: Vec<f32>,
    raw: Array2<f64>,
    sums: Vec<f64>,
    n: f64,
    /// Sums over images, at each position.
    at: Array2<f64>,
    n_images: f64,
    /// Sums of products with a teacher's centred responses.
    pub cross: Vec<f64>,
}

impl Block {
    fn new(weight: Array2<f64>, channel: Vec<Option<usize>>, positions: usize) -> Self {
        let rows = channel.len();
        Self {
            weight,
            channel,
            shift: vec![],
            raw: Array2::zeros((rows, rows)),
            sums: vec![0.0; rows],
            n: 0.0,
            at: Array2::zeros((rows, positions)),
            n_images: 0.0,
            cross: vec![0.0; rows],
        }
    }

    /// Rows x (images x positions), laid out row by row.
    fn add(&mut self, mut rows: Array2<f32>, kernels: &Kernels) {
        let positions = self.at.ncols();
        let n_images = rows.ncols() / positions;
        if self.shift.is_empty() {
            let image = rows.slice_axis(Axis(1), Slice::from(..positions));
            self.shift = image.mean_axis(Axis(1)).expect("a position at least").to_vec();
        }
        let shift = &self.shift;
        rows.rows_mut().into_iter().zip(shift).for_each(|(mut r, s)| r.mapv_inplace(|v| v - s));
        for (i, row) in rows.rows().into_iter().enumerate() {
            for (column, &v) in row.iter().enumerate() {
                self.at[[i, column % positions]] += f64::from(v);
            }
        }
        for (sum, row) in self.sums.iter_mut().zip(rows.rows()) {
            *sum += row.iter().map(|&v| f64::from(v)).sum::<f64>();
        }
        self.n += rows.ncols() as f64;
        self.n_images += n_images as f64;
        let (len, all) = (rows.ncols(), rows.as_slice().expect("laid out row by row"));
        let n_rows = self.sums.len();
        let out = self.raw.as_slice_mut().expect("laid out row by row");
        out.par_chunks_mut(8 * n_rows).zip(all.par_chunks(8 * len)).for_each(|(out, xs)| {
            let mut products = vec![0.0; out.len()];
            kernels.products(xs, all, len, &mut products);
            out.iter_mut().zip(products).for_each(|(o, p)| *o += p);
        });
    }

    /// Moments about the means over images and positions.
    pub fn centred(&self) -> Array2<f64> {
        let sums = ArrayView2::from_shape((self.sums.len(), 1), &self.sums).expect("one column");
        &self.raw - &(sums.dot(&sums.t()) / self.n)
    }

    /// Moments about the means over images, at each position its own.
    fn about_images(&self) -> Array2<f64> {
        &self.raw - &(self.at.dot(&self.at.t()) / self.n_images)
    }

    fn products(&self) -> Array2<f64> {
        self.weight.t().dot(&self.weight)
    }

    /// Adds what each channel contributes alone, and what pairs of channels do together; returns
    /// that of all rows.
    pub fn contributions(&self, alone: &mut [f64], pairs: &mut Array2<f64>) -> f64 {
        let products = self.products();
        let together = self.centred() * &products;
        let by_image = self.about_images() * &products;
        for (i, a) in self.channel.iter().enumerate() {
            for (j, b) in self.channel.iter().enumerate() {
                if let (Some(a), Some(b)) = (*a, *b) {
                    pairs[[a, b]] += together[[i, j]];
                    if a == b {
                        alone[a] += by_image[[i, j]];
                    }
                }
            }
        }
        together.sum()
    }
}

/// The convolutions and linear layers that read channels of a group. The linear layer that makes the
/// network's output is taken output by output where that is affordable, and where the outputs are
/// `taught`.
///
/// # Errors
/// [`Error::Invalid`] for an operation that reads too many rows.
pub fn readers(graph: &Graph, groups: &Groups, group: usize, taught: bool) -> Result<Vec<Reader>> {
    let mut found = Vec::new();
    for (node, of) in graph.nodes().iter().enumerate() {
        let linear = match &of.op {
            Op::Conv2d { .. } => !groups.keeps_apart(node),
            op => matches!(op, Op::Linear { .. }),
        };
        let carries = |&i: &NodeId| groups.places(i).iter().flatten().any(|p| p.group == group);
        if linear && of.inputs.iter().any(carries) {
            found.push(reader(graph, groups, group, node, taught)?);
        }
    }
    Ok(found)
}

fn reader(graph: &Graph, groups: &Groups, group: usize, node: NodeId, taught: bool) -> Result<Reader> {
    let (of, input) = (graph.node(node), graph.node(node).inputs[0]);
    let of_group = |p: &Option<Place>| p.filter(|p| p.group == group).map(|p| p.channel);
    let places: Vec<Option<usize>> = groups.places(input).iter().map(of_group).collect();
    let (kind, blocks) = match &of.op {
        Op::Conv2d { weight, stride, padding, dilation, groups: parts, .. } => {
            let array = graph.weight(weight);
            let [out, each, h, w] = array.shape() else { unreachable!("checked when the graph was built") };
            let rows = each * h * w;
            check(graph, node, rows * rows)?;
            let flat = array.to_shape((*out, rows)).expect("a kernel's numbers").mapv(f64::from);
            let shape = [graph.node(input).shape, of.shape];
            let positions = of.shape.height * of.shape.width;
            let block = |part: usize| {
                let channel = (0..rows).map(|r| places[part * each + r / (h * w)]).collect();
                let from = part * out / parts;
                let weight = flat.slice_axis(Axis(0), Slice::from(from..from + out / parts)).to_owned();
                Block::new(weight, channel, positions)
            };
            let pad = [padding[0], padding[1]];
            let seen = Windows { shape, kernel: [*h, *w], stride: *stride, pad, dilation: *dilation };
            (Kind::Convolution(seen), (0..*parts).map(block).collect())
        }
        op => {
            let weight = graph.weight(op.weights()[0]);
            let (out, features) = (weight.shape()[0], weight.shape()[1]);
            let width = groups.group(group).width();
            let weight = weight.to_shape((out, features)).expect("two axes").to_owned();
            let pairs = out * (width + 1) * (width + 1);
            if node == graph.scores() && (taught || pairs <= PAIRS) || pairs <= features * features {
                check(graph, node, pairs)?;
                let row = places.iter().map(|p| p.unwrap_or(width)).collect();
                let channel: Vec<Option<usize>> = (0..width).map(Some).chain([None]).collect();
                let block = |_| Block::new(Array2::ones((1, width + 1)), channel.clone(), 1);
                (Kind::Outputs { weight, row }, (0..out).map(block).collect())
            } else {
                check(graph, node, features * features)?;
                (Kind::Features, vec![Block::new(weight.mapv(f64::from), places, 1)])
            }
        }
    };
    Ok(Reader { node, input, kind, blocks })
}

fn check(graph: &Graph, node: NodeId, pairs: usize) -> Result<()> {
    if pairs <= PAIRS {
        return Ok(());
    }
    Err(Error::invalid(
        format!("node `{}` ({})", graph.node(node).name, graph.node(node).op.kind()),
        format!("at most {PAIRS} pairs of inputs whose covariances are to be taken"),
        pairs.to_string(),
        "judge the layer before it by another importance (l1, taylor, activation-variance)",
    ))
}

impl Reader {
    /// Adds a batch of the tensor that is read, N x C x H x W, row-major; `teacher` are centred
    /// responses, N x outputs.
    pub fn add(&mut self, x: &[f32], n_images: usize, teacher: Option<ArrayView2<'_, f64>>, kernels: &Kernels) {
        let each = x.len() / n_images;
        match &self.kind {
            Kind::Convolution(seen) => {
                let parts = self.blocks.len();
                for (part, block) in self.blocks.iter_mut().enumerate() {
                    let first = part * seen.shape[0].channels / parts;
                    let step = (LAID_OUT / (block.channel.len() * block.at.ncols())).max(1);
                    for images in x.chunks(step * each) {
                        block.add(seen.rows(images, first, block.channel.len()), kernels);
                    }
                }
            }
            Kind::Features => {
                let features = ArrayView2::from_shape((n_images, each), x).expect("N x features");
                self.blocks[0].add(features.t().as_standard_layout().into_owned(), kernels);
            }
            Kind::Outputs { weight, row } => {
                let features = ArrayView2::from_shape((n_images, each), x).expect("N x features");
                for (k, block) in self.blocks.iter_mut().enumerate() {
                    let mut rows = Array2::<f64>::zeros((block.channel.len(), n_images));
                    for (n, image) in features.rows().into_iter().enumerate() {
                        for ((&v, &w), &r) in image.iter().zip(weight.row(k)).zip(row) {
                            rows[[r, n]] += f64::from(v) * f64::from(w);
                        }
                    }
                    if let Some(teacher) = teacher {
                        let products = rows.dot(&teacher.column(k));
                        block.cross.iter_mut().zip(products).for_each(|(c, p)| *c += p);
                    }
                    block.add(rows.mapv(|v| v as f32), kernels);
                }
            }
        }
    }

    /// Whether there is a block for each output.
    pub fn by_output(&self) -> bool {
        matches!(self.kind, Kind::Outputs { .. })
    }
}

impl Windows {
    /// What each position of the kernels sees of images, C x H x W one after the other: rows
    /// (channels from `first`, each at all positions of the kernel) x (images x output positions).
    fn rows(&self, images: &[f32], first: usize, n_rows: usize) -> Array2<f32> {
        let plane = self.shape[0].height * self.shape[0].width;
        let (each, positions) = (self.shape[0].len(), self.shape[1].height * self.shape[1].width);
        let taps = self.kernel[0] * self.kernel[1];
        let mut rows = Array2::zeros((n_rows, images.len() / each * positions));
        rows.outer_iter_mut().into_par_iter().enumerate().for_each(|(r, mut row)| {
            let (channel, tap) = (first + r / taps, r % taps);
            let at = [tap / self.kernel[1] * self.dilation[0], tap % self.kernel[1] * self.dilation[1]];
            let row = row.as_slice_mut().expect("laid out row by row");
            for (image, out) in images.chunks(each).zip(row.chunks_mut(positions)) {
                self.window(&image[channel * plane..][..plane], at, out);
            }
        });
        rows
    }

    /// What position `at` of a kernel sees of a plane, at each output position; 0 beyond the plane.
    fn window(&self, plane: &[f32], at: [usize; 2], out: &mut [f32]) {
        let [from, to] = &self.shape;
        for y in 0..to.height {
            let row = (y * self.stride[0] + at[0]).checked_sub(self.pad[0]).filter(|r| *r < from.height);
            for x in 0..to.width {
                let column = (x * self.stride[1] + at[1]).checked_sub(self.pad[1]).filter(|c| *c < from.width);
                if let (Some(r), Some(c)) = (row, column) {
                    out[y * to.width + x] = plane[r * from.width + c];
                }
            }
        }
    }
}
