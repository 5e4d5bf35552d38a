use super::*;
use crate::compression::reads;
use crate::compression::testing::{error, every, images, inception, outputs, residual, separable};
use crate::rng::stream;

/// About half of the channels of each group, never all.
fn some(groups: &Groups, seed: u64) -> Removed {
    let mut rng = stream(seed, "removed", 0);
    let of = |group: &crate::compression::Group| {
        let mut order = rng.permutation(group.width());
        order.truncate(rng.below(group.width()));
        (group.name.clone(), order.into_iter().collect())
    };
    groups.all().iter().map(of).collect()
}

/// Sums of 64-bit numbers in another order.
const ORDER: f64 = 1e-12;

#[test]
fn what_is_removed_computes_what_is_masked() {
    let x = images(3);
    for graph in every() {
        let groups = Groups::of(&graph, &[]).unwrap();
        let whole = outputs(&graph, graph.output(), &x);
        for seed in 0..8 {
            let removed = some(&groups, seed);
            let smaller = remove(&graph, &groups, &removed, 1).unwrap();
            let zeroed = masked(&graph, &groups, &removed).unwrap();
            let (a, b) = (outputs(&smaller, smaller.output(), &x), outputs(&zeroed, zeroed.output(), &x));
            assert!(error(&a, &b) < ORDER, "{}, {seed}: {}", graph.name, error(&a, &b));
            if removed.values().any(|c| !c.is_empty()) {
                assert!(error(&b, &whole) > 1e-4, "{}: the channels matter", graph.name);
                assert!(smaller.n_parameters() < graph.n_parameters());
            }
        }
    }
}

#[test]
fn each_group_alone_equals_its_mask_too() {
    let x = images(2);
    for graph in every() {
        let groups = Groups::of(&graph, &[]).unwrap();
        for group in groups.all() {
            let removed = Removed::from([(group.name.clone(), (1..group.width()).collect())]);
            let smaller = remove(&graph, &groups, &removed, 1).unwrap();
            let zeroed = masked(&graph, &groups, &removed).unwrap();
            let found = error(&outputs(&smaller, smaller.output(), &x), &outputs(&zeroed, zeroed.output(), &x));
            assert!(found < ORDER, "{}, {}: {found}", graph.name, group.name);
        }
    }
}

/// Removing in two steps is removing at once.
#[test]
fn steps_add_up() {
    let graph = residual();
    let groups = Groups::of(&graph, &[]).unwrap();
    let at_once = Removed::from([("stem".into(), [0, 2, 5].into()), ("a.conv1".into(), [4].into())]);
    let first = Removed::from([("stem".into(), [2].into())]);
    let then = Removed::from([("stem".into(), [0, 4].into()), ("a.conv1".into(), [4].into())]);
    let one = remove(&graph, &groups, &at_once, 1).unwrap();
    let half = remove(&graph, &groups, &first, 1).unwrap();
    let two = remove(&half, &Groups::of(&half, &[]).unwrap(), &then, 1).unwrap();
    assert_eq!(one.weights(), two.weights());
    assert_eq!(one.nodes(), two.nodes());
}

/// Zeros before a batch norm are not zeros behind it: the place of the mask matters.
#[test]
fn a_mask_before_the_batch_norm_is_another_network() {
    let (graph, x) = (separable(), images(2));
    let groups = Groups::of(&graph, &[]).unwrap();
    let removed = Removed::from([("point2".into(), [1].into())]);
    let smaller = remove(&graph, &groups, &removed, 1).unwrap();
    let mut weights = graph.weights().clone();
    for name in ["point2.w", "point2.b"] {
        weights.get_mut(name).unwrap().index_axis_mut(Axis(0), 1).fill(0.0);
    }
    let mut builder = GraphBuilder::new("before", graph.input.clone(), weights).unwrap();
    for node in &graph.nodes()[1..] {
        builder.push(&node.name, node.op.clone(), &node.inputs).unwrap();
    }
    let before = builder.finish().unwrap();
    let found = error(&outputs(&before, before.output(), &x), &outputs(&smaller, smaller.output(), &x));
    assert!(found > 1e-3, "{found}");
}

/// Across a normalisation, zeros in the removed channels' places give other numbers than removal.
#[test]
fn neighbours_move_together_in_a_normalisation() {
    let (graph, x) = (inception(), images(2));
    let groups = Groups::of(&graph, &[]).unwrap();
    let removed = Removed::from([("stem".into(), [2, 3].into())]);
    let smaller = remove(&graph, &groups, &removed, 1).unwrap();
    let mut weights = graph.weights().clone();
    for (name, places) in ["one.w", "reduce.w", "proj.w"].map(|w| (w, groups.axis(w, 1).unwrap())) {
        for at in (0..places.len()).filter(|&i| [2, 3].contains(&places[i].unwrap().channel)) {
            weights.get_mut(name).unwrap().index_axis_mut(Axis(1), at).fill(0.0);
        }
    }
    let mut builder = GraphBuilder::new("zeros", graph.input.clone(), weights).unwrap();
    for node in &graph.nodes()[1..] {
        builder.push(&node.name, node.op.clone(), &node.inputs).unwrap();
    }
    let zeros = builder.finish().unwrap();
    let found = error(&outputs(&zeros, zeros.output(), &x), &outputs(&smaller, smaller.output(), &x));
    assert!(found > 1e-3, "{found}");
}

#[test]
fn places_of_masks() {
    let graph = inception();
    let groups = Groups::of(&graph, &[]).unwrap();
    let at = |group: &str, taps: &[NodeId]| -> Vec<(String, Vec<String>, bool)> {
        let name = |id: NodeId| graph.node(id).name.clone();
        let found = reads(&graph, &groups, groups.named(group).unwrap(), taps);
        found.into_iter().map(|r| (name(r.node), r.readers.into_iter().map(name).collect(), r.tapped)).collect()
    };
    // Behind batch norm and ReLU; the pool behind the normalisation has its zeros already.
    assert_eq!(at("stem", &[]), [("stem.out".into(), vec!["lrn".into()], false)]);
    // Behind the sigmoid, whose zeros would be halves.
    assert_eq!(at("mix", &[]), [("gap".into(), vec!["scores".into()], false)]);
    let out = graph.find("mix.out").unwrap();
    assert_eq!(at("mix", &[out]), [("mix.out".into(), vec![], true), ("gap".into(), vec!["scores".into()], false)]);
    assert_eq!(at("one", &[]), [("cat".into(), vec!["mix".into()], false)]);
}

#[test]
fn too_much_is_refused() {
    let graph = separable();
    let groups = Groups::of(&graph, &[]).unwrap();
    let all = Removed::from([("point".into(), (0..5).collect())]);
    let error = remove(&graph, &groups, &all, 0).unwrap_err().to_string();
    assert!(error.contains("`point` (conv2d): expected at least 1 of its 5 channels left, found 0"), "{error}");
    let three = Removed::from([("point".into(), [0, 1, 2].into())]);
    remove(&graph, &groups, &three, 2).unwrap();
    assert!(remove(&graph, &groups, &three, 3).is_err());
    for wrong in [Removed::from([("point".into(), [5].into())]), Removed::from([("response".into(), [0].into())])] {
        assert_eq!(remove(&graph, &groups, &wrong, 1).unwrap_err().exit_code(), 2);
        assert!(masked(&graph, &groups, &wrong).is_err());
    }
}
