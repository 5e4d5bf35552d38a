//! The filters of a network that can be looked at, in the order in which they would go.

use super::plan::Plan;
use super::prune::Pruned;
use crate::compression::Place;
use crate::network::input::ChannelOrder;
use crate::network::{FlattenOrder, Graph, NodeId, Op};
use crate::report::figures::{FilterRow, FilterTile};
use ndarray::{Array3, ArrayView2, ArrayView4, Axis, Ix2, Ix4};
use std::collections::BTreeMap;

/// When each channel goes: the round (rounds that never come last), then its importance.
pub struct Turns {
    turns: BTreeMap<(usize, usize), (usize, f64)>,
    n_rounds: usize,
}

impl Turns {
    /// Of the channels of all groups; those that were not judged come in their own order.
    pub fn of(plan: &Plan, pruned: Option<&Pruned>) -> Self {
        let mut turns = BTreeMap::new();
        let steps = pruned.map_or(&[][..], |p| &p.course.steps);
        for (g, group) in plan.groups.all().iter().enumerate() {
            let importance = pruned.and_then(|p| p.first.importance.get(&group.name));
            let round = |c: usize| {
                let gone =
                    |step: &crate::compression::Step| step.removed.get(&group.name).is_some_and(|all| all.contains(&c));
                steps.iter().position(gone).unwrap_or(steps.len())
            };
            for c in 0..group.width() {
                turns.insert((g, c), (round(c), importance.map_or(0.0, |all| all[c])));
            }
        }
        Self { turns, n_rounds: steps.len() }
    }

    fn turn(&self, place: Option<Place>) -> (usize, f64) {
        place.map_or((self.n_rounds, f64::INFINITY), |p| self.turns[&(p.group, p.channel)])
    }

    fn gone(&self, place: Option<Place>) -> bool {
        self.turn(place).0 < self.n_rounds
    }

    /// Tiles of the channels of a node, the first to go first.
    fn tiles(&self, plan: &Plan, node: NodeId, weights: impl Fn(usize) -> Array3<f32>) -> Vec<FilterTile> {
        let places = plan.groups.places(node);
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by(|&a, &b| {
            let (a_turn, b_turn) = (self.turn(places[a]), self.turn(places[b]));
            a_turn.0.cmp(&b_turn.0).then(a_turn.1.total_cmp(&b_turn.1)).then(a.cmp(&b))
        });
        let tile = |c: usize| FilterTile { label: c.to_string(), weights: weights(c), gone: self.gone(places[c]) };
        order.into_iter().map(tile).collect()
    }
}

/// Sections of the page: filters that see colours, depthwise kernels, and maps of a readout.
pub fn rows(plan: &Plan, turns: &Turns) -> Vec<FilterRow> {
    let graph = &plan.subject.graph;
    (1..graph.nodes().len()).filter_map(|node| row(plan, turns, graph, node)).collect()
}

fn row(plan: &Plan, turns: &Turns, graph: &Graph, id: NodeId) -> Option<FilterRow> {
    let node = graph.node(id);
    match &node.op {
        Op::Conv2d { weight, .. } => {
            let weights = graph.weight(weight).view().into_dimensionality::<Ix4>().ok()?;
            let (n, planes, h, w) = weights.dim();
            let name = node.name.strip_suffix(".pre_relu").unwrap_or(&node.name);
            let (kind, tiles) = match planes {
                3 | 1 if node.inputs[0] == 0 && h * w > 1 => {
                    let flip = graph.input.order == ChannelOrder::Bgr;
                    ("colour filters", turns.tiles(plan, id, |c| colours(weights, c, flip)))
                }
                1 if plan.groups.keeps_apart(id) && h * w > 1 => {
                    ("depthwise kernels", turns.tiles(plan, id, |c| weights.index_axis(Axis(0), c).to_owned()))
                }
                _ => return None,
            };
            let kind = if planes == 1 && node.inputs[0] == 0 { "filters" } else { kind };
            Some(FilterRow { title: format!("{name}: {n} {kind}, {h} x {w}"), tiles })
        }
        Op::Linear { weight, .. } => {
            let flat = graph.node(node.inputs[0]);
            let Op::Flatten { order } = &flat.op else { return None };
            let shape = graph.node(flat.inputs[0]).shape;
            let weights = graph.weight(weight).view().into_dimensionality::<Ix2>().ok()?;
            if shape.height * shape.width == 1 {
                return None;
            }
            let (n, h, w) = (shape.channels, shape.height, shape.width);
            let tiles = turns.tiles(plan, flat.inputs[0], |c| map(weights, *order, (n, h, w), c));
            let of = plan
                .outputs
                .first()
                .filter(|_| weights.nrows() > 1)
                .map_or(String::new(), |name| format!(" of `{name}`"));
            let title = format!("{}: {n} readout maps{of}, {h} x {w}, red excites, blue inhibits", node.name);
            Some(FilterRow { title, tiles })
        }
        _ => None,
    }
}

/// A filter in red, green and blue.
fn colours(weights: ArrayView4<'_, f32>, channel: usize, flip: bool) -> Array3<f32> {
    let filter = weights.index_axis(Axis(0), channel);
    let planes = filter.dim().0;
    if flip && planes == 3 { filter.select(Axis(0), &[2, 1, 0]) } else { filter.to_owned() }
}

/// The weights of the first output on one channel of a flattened layer.
fn map(
    weights: ArrayView2<'_, f32>,
    order: FlattenOrder,
    (n, h, w): (usize, usize, usize),
    channel: usize,
) -> Array3<f32> {
    Array3::from_shape_fn((1, h, w), |(_, y, x)| {
        let unit = match order {
            FlattenOrder::Chw => (channel * h + y) * w + x,
            FlattenOrder::Hwc => (y * w + x) * n + channel,
        };
        weights[[0, unit]]
    })
}
