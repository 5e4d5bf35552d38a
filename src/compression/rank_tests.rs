use super::*;
use crate::compression::importance::{Data, L1, Random};
use crate::compression::testing::{images, inception, residual, separable};
use crate::compression::topology::topology;
use crate::network::card;
use ndarray::Array2;

fn score(taps: &[Array2<f32>]) -> Result<f64> {
    // A score that most channels lower: closeness of the first output's mean to a number.
    Ok(-(f64::from(taps[0].column(0).mean().unwrap()) - 0.3).abs())
}

type Each<'a> = dyn FnMut(&Course) -> Result<()> + 'a;

/// A step for each call of `each`, stopped after some and gone on from what was written.
fn in_pieces(run: &dyn Fn(&mut Course, &mut Each<'_>) -> Result<()>, stop: usize) -> Course {
    let mut course = Course::default();
    loop {
        let mut calls = 0;
        let result = run(&mut course, &mut |_| {
            calls += 1;
            if calls > stop { Err(Error::Interrupted { dir: "here".into() }) } else { Ok(()) }
        });
        let text = serde_json::to_string(&course).unwrap();
        course = serde_json::from_str(&text).unwrap();
        match result {
            Ok(()) => return course,
            Err(e) => assert_eq!(e.exit_code(), 75),
        }
    }
}

#[test]
fn ranks_of_every_scope() {
    let graph = inception();
    let pruner = Pruner::new(&graph);
    let all = |scope| pruner.rank(&mut L1, scope).unwrap();
    let global = all(Scope::Global);
    assert_eq!(global.len(), 8 + 5 + 4 + 6 + 3 + 7);
    assert!(global.windows(2).all(|p| p[0].importance <= p[1].importance));
    // Each layer loses about the same share.
    let layer = all(Scope::Layer);
    let half = pruner.first(&layer, 16).unwrap();
    for (name, width) in [("stem", 8), ("one", 5), ("reduce", 4), ("three", 6), ("proj", 3), ("mix", 7)] {
        let own: Vec<f64> = layer.iter().filter(|r| r.group == name).map(|r| r.importance).collect();
        assert!(own.len() == width && own.windows(2).all(|p| p[0] <= p[1]));
        assert!(half[name].len().abs_diff(width / 2) <= 1, "{name}: {half:?}");
    }
    assert_eq!(layer, all(Scope::Layer));
    // The blocks of a residual network have the same topology, and compete.
    let graph = residual();
    let groups = Groups::of(&graph, &[]).unwrap();
    let kind = |name: &str| topology(&graph, &groups, groups.named(name).unwrap());
    assert_eq!(kind("a.conv1"), kind("b.conv1"));
    assert!(kind("a.conv1") != kind("grown") && kind("stem") != kind("a.conv1"));
    let ranked = Pruner::new(&graph).rank(&mut L1, Scope::Isomorphic).unwrap();
    let blocks: Vec<&Ranked> = ranked.iter().filter(|r| r.group.ends_with("conv1")).collect();
    let mean = |name: &str| blocks.iter().filter(|r| r.group == name).map(|r| r.importance).sum::<f64>() / 5.0;
    let scaled: Vec<f64> = blocks.iter().map(|r| r.importance / mean(&r.group)).collect();
    assert!(blocks.len() == 10 && scaled.windows(2).all(|p| p[0] <= p[1]), "{scaled:?}");
}

#[test]
fn layers_keep_what_they_must() {
    let graph = separable();
    let pruner = Pruner { minimum: 3, ..Pruner::new(&graph) };
    let order = pruner.rank(&mut Random { seed: 1 }, Scope::Global).unwrap();
    let most = pruner.first(&order, 3 + 2 + 1).unwrap();
    assert_eq!(most.values().map(|c| c.len()).collect::<Vec<_>>(), [3, 2, 1]);
    remove(&graph, &Groups::of(&graph, &[]).unwrap(), &most, 3).unwrap();
    let error = pruner.first(&order, 7).unwrap_err().to_string();
    assert!(error.contains("at most 6 channels"), "{error}");
    let odd = Pruner { layers: vec!["nowhere".into()], ..Pruner::new(&graph) };
    assert_eq!(odd.rank(&mut L1, Scope::Layer).unwrap_err().exit_code(), 2);
    let only = Pruner { layers: vec!["point".into()], ..Pruner::new(&graph) };
    assert!(only.rank(&mut L1, Scope::Layer).unwrap().iter().all(|r| r.group == "point"));
}

/// By the weights of the filters themselves, which no other removal changes but that of their
/// inputs: within one layer, greedy order is ranked order.
#[test]
fn greedy_within_a_layer_is_ranking() {
    let graph = inception();
    let pruner = Pruner { layers: vec!["three".into()], ..Pruner::new(&graph) };
    let ranked = pruner.rank(&mut L1, Scope::Layer).unwrap();
    let run = |course: &mut Course, each: &mut Each<'_>| {
        pruner.greedy(&mut L1, None, Until { keep: Some(2), max_drop: None }, course, each)
    };
    let mut course = Course::default();
    run(&mut course, &mut |_| Ok(())).unwrap();
    let gone: Vec<usize> = course.steps.iter().map(|s| *s.removed["three"].first().unwrap()).collect();
    assert_eq!(gone, ranked[..4].iter().map(|r| r.channel).collect::<Vec<_>>());
    assert!(course.done && course.whole.is_none());
    for stop in 1..4 {
        assert_eq!(in_pieces(&run, stop), course, "stopped after {stop}");
    }
}

#[test]
fn ablation_stops_at_the_largest_drop_and_goes_on_where_it_was() {
    let (graph, x) = (separable(), images(6));
    let pruner = Pruner::new(&graph);
    let run = |until: Until| {
        let (pruner, graph, x) = (&pruner, &graph, &x);
        move |course: &mut Course, each: &mut Each<'_>| {
            let mut ablation = Ablation::new(Data::new(x), &[graph.scores()], &score);
            pruner.iterative_ablate(&mut ablation, until, course, each)
        }
    };
    let mut whole = Course::default();
    run(Until { keep: Some(6), max_drop: None })(&mut whole, &mut |_| Ok(())).unwrap();
    assert_eq!(whole.steps.len(), 6 + 5 + 4 - 6);
    // Scores are those of the networks that are really smaller.
    let groups = Groups::of(&graph, &[]).unwrap();
    let smaller = remove(&graph, &groups, &whole.removed(), 1).unwrap();
    let judge = Ablation::new(Data::new(&x), &[graph.scores()], &score);
    assert_eq!(judge.whole(&smaller).unwrap().score, whole.steps.last().unwrap().score.unwrap());
    assert_eq!(judge.whole(&graph).unwrap().score, whole.whole.unwrap());
    assert_eq!(in_pieces(&run(Until { keep: Some(6), max_drop: None }), 2), whole);
    // The first step beyond the bound ends it.
    let drops: Vec<f64> = whole.steps.iter().map(|s| whole.whole.unwrap() - s.score.unwrap()).collect();
    let bound = drops.iter().fold(f64::MIN, |m, d| m.max(*d)) - 1e-9;
    let n = drops.iter().take_while(|d| **d <= bound).count();
    let mut bounded = Course::default();
    run(Until { keep: Some(6), max_drop: Some(bound) })(&mut bounded, &mut |_| Ok(())).unwrap();
    assert!(bounded.steps == whole.steps[..n] && bounded.done && n < whole.steps.len(), "{drops:?}");
    let none = pruner.greedy(
        &mut L1,
        None,
        Until { keep: None, max_drop: Some(0.1) },
        &mut Course::default(),
        &mut |_| Ok(()),
    );
    assert_eq!(none.unwrap_err().exit_code(), 2);
}

#[test]
fn from_the_last_layer_to_the_first() {
    let (graph, x) = (separable(), images(8));
    let pruner = Pruner::new(&graph);
    let run = |course: &mut Course, each: &mut Each<'_>| {
        let rule = LayerwiseVariance { minimum: 2, share: 0.8, ..LayerwiseVariance::new(Data::new(&x)) };
        pruner.layer_by_layer(&rule, course, each)
    };
    let mut course = Course::default();
    run(&mut course, &mut |_| Ok(())).unwrap();
    let names: Vec<&str> = course.steps.iter().flat_map(|s| s.removed.keys().map(String::as_str)).collect();
    assert_eq!(names, ["point2", "point", "first"]);
    assert!(course.done && course.steps.iter().any(|s| s.removed.values().any(|c| !c.is_empty())));
    assert!(course.steps.iter().all(|s| s.score.unwrap() >= 0.8));
    for stop in 1..3 {
        assert_eq!(in_pieces(&run, stop), course, "stopped after {stop}");
    }
    let groups = Groups::of(&graph, &[]).unwrap();
    let smaller = remove(&graph, &groups, &course.removed(), 2).unwrap();
    assert!(
        card::encoded(&smaller, Default::default()).unwrap().len()
            < card::encoded(&graph, Default::default()).unwrap().len()
    );
}

#[test]
fn a_request_to_stop_leaves_what_was_done() {
    let graph = inception();
    let pruner = Pruner::new(&graph);
    let mut course = Course::default();
    let stop = pruner.cancel.clone();
    let each = &mut |c: &Course| {
        if c.steps.len() == 3 {
            stop.cancel();
        }
        Ok(())
    };
    let error = pruner.greedy(&mut L1, None, Until::default(), &mut course, each).unwrap_err();
    assert_eq!((error.exit_code(), course.steps.len(), course.done), (75, 3, false));
}
