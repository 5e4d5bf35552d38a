use super::*;
use crate::compression::testing::{Net, grouped, inception, residual, separable};
use crate::network::FlattenOrder;

fn names(groups: &Groups) -> Vec<(&str, usize)> {
    groups.all().iter().map(|g| (g.name.as_str(), g.width())).collect()
}

/// Group name and channel of each entry.
fn entries(groups: &Groups, weight: &str, axis: usize) -> Vec<Option<(String, usize)>> {
    let places = groups.axis(weight, axis).unwrap();
    places.iter().map(|p| p.map(|p| (groups.group(p.group).name.clone(), p.channel))).collect()
}

fn of(group: &str, channels: impl IntoIterator<Item = usize>) -> Vec<Option<(String, usize)>> {
    channels.into_iter().map(|c| Some((group.to_owned(), c))).collect()
}

#[test]
fn a_concatenation_moves_channels_and_the_output_stays() {
    let graph = inception();
    let groups = Groups::of(&graph, &[]).unwrap();
    assert_eq!(names(&groups), [("stem", 8), ("one", 5), ("reduce", 4), ("three", 6), ("proj", 3), ("mix", 7)]);
    let columns = [of("one", 0..5), of("three", 0..6), of("proj", 0..3)].concat();
    assert_eq!(entries(&groups, "mix.w", 1), columns);
    assert_eq!(entries(&groups, "proj.w", 1), of("stem", 0..8), "through LRN and two pools");
    assert_eq!(entries(&groups, "stem.bn.var", 0), of("stem", 0..8));
    assert_eq!(entries(&groups, "scores.w", 0), vec![None; 5]);
    assert_eq!(entries(&groups, "stem.w", 1), vec![None; 3]);
    let lrn = graph.find("lrn").unwrap();
    assert_eq!(groups.all().iter().map(|g| g.normalisations.len()).collect::<Vec<_>>(), [1, 0, 0, 0, 0, 0]);
    assert_eq!(groups.group(0).normalisations, [lrn]);
    let parameters = groups.parameters(groups.named("reduce").unwrap());
    assert_eq!(parameters, [("reduce.b", 0, 4), ("reduce.w", 0, 4), ("three.w", 1, 4)]);
    // What is kept by the caller takes everything that passes through it out of the groups.
    let kept = Groups::of(&graph, &[graph.find("cat").unwrap()]).unwrap();
    assert_eq!(names(&kept), [("stem", 8), ("reduce", 4), ("mix", 7)]);
}

#[test]
fn depthwise_kernels_and_flattened_features_go_with_their_channel() {
    let graph = separable();
    let groups = Groups::of(&graph, &[]).unwrap();
    assert_eq!(names(&groups), [("first", 6), ("point", 5), ("point2", 4)]);
    let twice = || (0..6).flat_map(|c| [c, c]);
    assert_eq!(entries(&groups, "deep.w", 0), of("first", twice()));
    assert_eq!(entries(&groups, "deep.bn.mean", 0), of("first", twice()));
    assert_eq!(entries(&groups, "point.w", 1), of("first", twice()));
    assert!(groups.axis("deep.w", 1).is_none());
    // Three by three positions, channels fastest.
    assert_eq!(entries(&groups, "response.w", 1), of("point2", (0..9).flat_map(|_| 0..4)));
}

#[test]
fn convolutions_in_groups_lose_the_same_channel_of_each() {
    let graph = grouped();
    let groups = Groups::of(&graph, &[]).unwrap();
    assert_eq!(names(&groups), [("first", 4), ("second", 3), ("third", 4), ("hidden", 9)]);
    let [first, second] = ["first", "second"].map(|n| groups.group(groups.named(n).unwrap()));
    let (a, b) = (graph.find("first").unwrap(), graph.find("second").unwrap());
    assert_eq!(first.channels[1], [(a, 1), (a, 5)]);
    assert_eq!(second.channels[2], [(b, 2), (b, 5)]);
    assert_eq!(entries(&groups, "second.w", 1), of("first", 0..4));
    assert_eq!(entries(&groups, "second.bn.mean", 0), of("second", [0, 1, 2, 0, 1, 2]));
    assert_eq!(entries(&groups, "hidden.w", 1), of("third", (0..4).flat_map(|c| [c; 9])), "channels slowest");
    assert_eq!(entries(&groups, "flat.bn.shift", 0), of("third", (0..4).flat_map(|c| [c; 9])));
}

#[test]
fn sums_tie_layers() {
    let graph = residual();
    let groups = Groups::of(&graph, &[]).unwrap();
    assert_eq!(names(&groups), [("stem", 6), ("a.conv1", 5), ("b.conv1", 5), ("grown", 4)]);
    let stem = groups.group(0);
    let layers = ["stem", "a.conv2", "b.conv2"].map(|n| graph.find(n).unwrap());
    assert_eq!(stem.layers, layers);
    assert_eq!(stem.channels[4], layers.map(|l| (l, 4)));
    let twice = [of("stem", 0..6), of("grown", 0..4), of("stem", 0..6)].concat();
    assert_eq!(entries(&groups, "scores.w", 1), twice);
    assert_eq!(groups.named("a.conv2").unwrap_err().exit_code(), 2, "the group goes by its first layer");
}

#[test]
fn two_readers_of_one_weight_are_tied() {
    let mut n = Net::new("shared");
    let a = n.conv("a", 0, [4, 3, 1, 1], true);
    let b = n.conv("b", a, [4, 3, 1, 1], true);
    let again = n.b.find("b").map(|id| n.b.shape(id)).unwrap();
    let op = Op::Conv2d {
        weight: "b.w".into(),
        bias: Some("b.b".into()),
        stride: [1, 1],
        padding: [1; 4],
        dilation: [1, 1],
        groups: 1,
    };
    let c = n.op("c", op, &[b]);
    assert_eq!(n.b.shape(c), again);
    let flat = n.op("gap", Op::GlobalAvgPool, &[c]);
    n.linear("out", flat, 2);
    let graph = n.finish();
    let groups = Groups::of(&graph, &[]).unwrap();
    assert_eq!(names(&groups), [("a", 4)]);
    assert_eq!(groups.group(0).layers.len(), 3);
}

#[test]
fn a_softmax_on_the_way_is_an_error_that_names_it() {
    let mut n = Net::new("soft");
    let x = n.conv("a", 0, [4, 3, 1, 1], true);
    let x = n.op("attention", Op::Softmax, &[x]);
    let x = n.op("flat", Op::Flatten { order: FlattenOrder::Chw }, &[x]);
    n.linear("out", x, 2);
    let graph = n.finish();
    let error = Groups::of(&graph, &[]).unwrap_err().to_string();
    assert!(error.contains("`attention` (softmax)"), "{error}");
    let kept = Groups::of(&graph, &[graph.find("a").unwrap()]).unwrap();
    assert!(kept.all().is_empty());
}

/// Groups of what is left are those of the smaller graph.
#[test]
fn what_is_left_is_known_without_asking_again() {
    for graph in crate::compression::testing::every() {
        let groups = Groups::of(&graph, &[]).unwrap();
        let odd = |g: &Group| (g.name.clone(), (1..g.width()).step_by(2).collect());
        let removed: Removed = groups.all().iter().map(odd).collect();
        let smaller = crate::compression::remove(&graph, &groups, &removed, 1).unwrap();
        let (known, asked) = (groups.without(&removed).unwrap(), Groups::of(&smaller, &[]).unwrap());
        assert_eq!(known.all(), asked.all(), "{}", graph.name);
        assert!((0..graph.nodes().len()).all(|id| known.places(id) == asked.places(id)));
        assert_eq!(known.axes, asked.axes);
    }
}

/// A depthwise convolution of one channel still goes with it.
#[test]
fn the_last_channel_of_a_depthwise_convolution() {
    let graph = separable();
    let groups = Groups::of(&graph, &[]).unwrap();
    let left = groups.without(&[("first".into(), [0, 1, 2, 4, 5].into())].into()).unwrap();
    assert_eq!(names(&left), [("first", 1), ("point", 5), ("point2", 4)]);
    assert!(left.keeps_apart(graph.find("deep").unwrap()));
    assert_eq!(entries(&left, "deep.w", 0), of("first", [0, 0]));
}
