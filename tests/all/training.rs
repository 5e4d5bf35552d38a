//! Training: gradients by finite differences, what is trained and what is not, going on from a
//! checkpoint.

use ndarray::{ArrayD, IxDyn};
use orthoscope::network::{Graph, GraphBuilder, InputSpec, NodeId, Op, Weights};
use orthoscope::rng::stream;
use orthoscope::tensor::{Device, Tensor, Var, tensor_from_vec};
use orthoscope::training::loss::cross_entropy;
use orthoscope::training::{Method, Normalisation, Options, Trainer, checkpoint};
use orthoscope::{Error, Result};

const BATCH: Normalisation = Normalisation::Batch { keep: 0.9 };

fn options(method: Method, normalisation: Normalisation) -> Options {
    Options { method, normalisation, clip: None }
}

/// Plain gradient descent: a step of rate r takes off r times the gradient.
fn descent(normalisation: Normalisation) -> Options {
    options(Method::Sgd { momentum: 0.0 }, normalisation)
}

/// A small network with a layer of the fused kind (`a`), and layers that are not: a bias before the
/// norm and a reader beside it (`b`), a kernel that is not square (`c`), a norm without scale and
/// shift.
fn network(seed: u64) -> Graph {
    let mut builder = GraphBuilder::new("small", InputSpec::preset("unit", 16, 16).unwrap(), Weights::new()).unwrap();
    let mut add = |name: &str, shape: &[usize], mean: f64, sd: f64| {
        let mut rng = stream(seed, name, 0);
        let values = ArrayD::from_shape_fn(IxDyn(shape), |_| (mean + sd * rng.normal()) as f32);
        builder.add_weight(name, values);
    };
    add("a.weight", &[6, 3, 3, 3], 0.0, 0.4);
    add("b.weight", &[5, 6, 3, 3], 0.0, 0.3);
    add("b.bias", &[5], 0.1, 0.2);
    add("c.weight", &[4, 5, 1, 3], 0.0, 0.4);
    add("out.weight", &[3, 4], 0.0, 0.8);
    add("out.bias", &[3], 0.0, 0.2);
    for (name, n) in [("a", 6), ("b", 5), ("c", 4)] {
        add(&format!("{name}.scale"), &[n], 1.0, 0.1);
        add(&format!("{name}.shift"), &[n], 0.2, 0.1);
        add(&format!("{name}.mean"), &[n], 0.1, 0.1);
        add(&format!("{name}.var"), &[n], 1.0, 0.05);
    }
    let conv = |name: &str, bias: bool, padding: [usize; 4]| Op::Conv2d {
        weight: format!("{name}.weight"),
        bias: bias.then(|| format!("{name}.bias")),
        stride: [1; 2],
        padding,
        dilation: [1; 2],
        groups: 1,
    };
    let norm = |name: &str, affine: bool| Op::BatchNorm {
        scale: affine.then(|| format!("{name}.scale")),
        shift: affine.then(|| format!("{name}.shift")),
        mean: format!("{name}.mean"),
        var: format!("{name}.var"),
        epsilon: 1e-5,
    };
    let mut push = |name: &str, op: Op, inputs: &[NodeId]| builder.push(name, op, inputs).unwrap();
    let x = push("a.conv", conv("a", false, [1; 4]), &[0]);
    let x = push("a.norm", norm("a", true), &[x]);
    let x = push("a", Op::Relu, &[x]);
    let x = push("pool", Op::MaxPool { kernel: [3; 2], stride: [2; 2], padding: [0; 4], ceil: true }, &[x]);
    let x = push("lrn", Op::Lrn { size: 3, alpha: 0.5, beta: 0.75, k: 1.0 }, &[x]);
    let z = push("b.conv", conv("b", true, [1; 4]), &[x]);
    let x = push("b.norm", norm("b", true), &[z]);
    let x = push("b", Op::Relu, &[x]);
    let x = push("sum", Op::Add, &[x, z]);
    let x = push("c.conv", conv("c", false, [0, 1, 0, 1]), &[x]);
    let x = push("c.norm", norm("c", false), &[x]);
    let x = push("c", Op::Tanh, &[x]);
    let x = push("gap", Op::GlobalAvgPool, &[x]);
    push("out", Op::Linear { weight: "out.weight".into(), bias: Some("out.bias".into()) }, &[x]);
    builder.finish().unwrap()
}

/// Noise, brighter from class to class.
fn images(step: u64) -> Tensor<4> {
    let mut rng = stream(3, "training images", step);
    let pixel = |i: usize| 0.25 * (i / (3 * 16 * 16) % 3) as f32;
    let values = (0..6 * 3 * 16 * 16).map(|i| 0.5 * rng.uniform() as f32 + pixel(i)).collect();
    tensor_from_vec(values, [6, 3, 16, 16], &Device::default())
}

fn loss(outputs: &[Var<4>]) -> Result<Var<1>> {
    cross_entropy(&outputs[0], &[0, 1, 2, 0, 1, 2], 0.1)
}

fn trainer(graph: Graph, options: Options, trains: &dyn Fn(&str) -> bool) -> Trainer {
    let output = graph.output();
    Trainer::new(graph, &[output], options, trains, &Device::default()).unwrap()
}

fn step(trainer: &mut Trainer, at: u64, rate: f64) -> f64 {
    trainer.step(images(at), rate, &|_, _| 0.0, loss).unwrap().loss
}

fn all(_: &str) -> bool {
    true
}

fn with(graph: &Graph, name: &str, array: ArrayD<f32>) -> Graph {
    let mut builder = GraphBuilder::from_graph(graph.clone());
    builder.add_weight(name, array);
    builder.finish().unwrap()
}

/// For each weight array, the loss along its gradient: the slope is the gradient's length.
#[test]
fn gradients_are_finite_differences() {
    for normalisation in [BATCH, Normalisation::Stored] {
        let graph = network(1);
        let mut trained = trainer(graph.clone(), descent(normalisation), &all);
        step(&mut trained, 0, 1.0);
        let after = trained.graph().unwrap();
        let mut n_checked = 0;
        for (name, before) in
            graph.weights().iter().filter(|(name, _)| !name.ends_with("mean") && !name.ends_with("var"))
        {
            let gradient = before - after.weight(name);
            let length = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            // Scale and shift of `c` are of no operation; a bias before a batch's own norm changes
            // nothing behind it.
            if length < 1e-3 {
                continue;
            }
            // Short enough to cross few of the kinks of ReLU, long enough for a loss in 32 bits.
            let reach = 2e-3;
            let at = |way: f64| {
                let moved = before + &gradient.mapv(|g| (way * reach * f64::from(g) / length) as f32);
                step(&mut trainer(with(&graph, name, moved), descent(normalisation), &all), 0, 0.0)
            };
            let slope = (at(1.0) - at(-1.0)) / (2.0 * reach);
            assert!((slope - length).abs() < 0.02 * length + 1e-4, "{name}, {normalisation:?}: {slope} and {length}");
            n_checked += 1;
        }
        assert!(n_checked >= 8, "{normalisation:?}: {n_checked} arrays have a gradient");
    }
}

#[test]
fn a_loss_falls_and_moments_follow_the_batches() {
    let graph = network(2);
    let mut trained = trainer(graph.clone(), options(Method::default(), BATCH), &all);
    let first = step(&mut trained, 0, 0.02);
    for _ in 0..60 {
        step(&mut trained, 0, 0.02);
    }
    let last = step(&mut trained, 0, 0.0);
    assert!(last < first - 0.2, "{first} to {last}");
    // A step of rate 0 moves the stored moments alone: 0.9 of the old and 0.1 of the batch's.
    let mut still = trainer(graph.clone(), descent(BATCH), &all);
    step(&mut still, 0, 0.0);
    let once = still.graph().unwrap();
    step(&mut still, 0, 0.0);
    let twice = still.graph().unwrap();
    for name in ["a.mean", "a.var", "b.mean", "b.var", "c.mean", "c.var"] {
        let batch = (once.weight(name) - &(graph.weight(name) * 0.9)) / 0.1;
        let expected = once.weight(name) * 0.9 + &(&batch * 0.1);
        assert!(graph.weight(name) != once.weight(name), "{name}");
        assert!(twice.weight(name).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
    for name in ["a.weight", "b.scale", "out.bias"] {
        assert_eq!(graph.weight(name), twice.weight(name));
    }
}

#[test]
fn only_what_is_asked_for_is_trained() {
    let graph = network(3);
    let mut trained = trainer(graph.clone(), descent(Normalisation::Stored), &|name| name.starts_with("out."));
    step(&mut trained, 0, 0.5);
    let after = trained.graph().unwrap();
    for (name, before) in graph.weights() {
        assert_eq!(after.weight(name) != before, name.starts_with("out."), "{name}");
    }
    let output = graph.output();
    let none = Trainer::new(graph.clone(), &[output], descent(BATCH), &|_| false, &Device::default());
    assert!(matches!(none, Err(Error::Invalid { .. })));
    // What an output does not depend on is left alone.
    let early = graph.find("a").unwrap();
    let mut trained = Trainer::new(graph.clone(), &[early], descent(BATCH), &all, &Device::default()).unwrap();
    trained.step(images(0), 0.1, &|_, _| 0.0, |outputs| Ok(outputs[0].clone().square().mean())).unwrap();
    let after = trained.graph().unwrap();
    assert!(after.weight("a.weight") != graph.weight("a.weight"));
    assert!(after.weight("b.weight") == graph.weight("b.weight") && after.weight("b.mean") == graph.weight("b.mean"));
}

#[test]
fn decay_and_clipping_reach_the_weights() {
    let graph = network(4);
    let method = Method::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let run = |decays: bool| {
        let mut trained = trainer(graph.clone(), options(method, BATCH), &all);
        let decay = |_: &str, shape: &[usize]| if decays && shape.len() > 1 { 0.5 } else { 0.0 };
        trained.step(images(0), 0.1, &decay, loss).unwrap();
        trained.graph().unwrap()
    };
    let (plain, decayed) = (run(false), run(true));
    for (name, before) in graph.weights() {
        let share = if before.ndim() > 1 { 0.1 * 0.5 } else { 0.0 };
        let expected = plain.weight(name) - &(before * share);
        assert!(decayed.weight(name).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
    }
    let mut free = trainer(graph.clone(), descent(BATCH), &all);
    let norm = free.step(images(0), 1.0, &|_, _| 0.0, loss).unwrap().gradient_norm;
    let clip = Some(norm / 4.0);
    let mut clipped = trainer(graph.clone(), Options { clip, ..descent(BATCH) }, &all);
    assert_eq!(clipped.step(images(0), 1.0, &|_, _| 0.0, loss).unwrap().gradient_norm, norm);
    let (free, clipped) = (free.graph().unwrap(), clipped.graph().unwrap());
    for name in ["a.weight", "b.weight", "c.weight", "out.weight", "a.shift"] {
        let (whole, quarter) = (graph.weight(name) - free.weight(name), graph.weight(name) - clipped.weight(name));
        assert!(whole.iter().zip(&quarter).all(|(a, b)| (a / 4.0 - b).abs() < 1e-6 + 1e-4 * a.abs()), "{name}");
    }
}

#[test]
fn a_loss_that_is_no_number_changes_nothing() {
    let graph = network(5);
    let mut trained = trainer(graph.clone(), descent(BATCH), &all);
    let bad = trained.step(images(0), 0.1, &|_, _| 0.0, |outputs| Ok((loss(outputs)? * -1.0).log()));
    assert!(bad.unwrap_err().to_string().contains("a loss of NaN"));
    let small = tensor_from_vec(vec![0.0; 3 * 8 * 8], [1, 3, 8, 8], &Device::default());
    assert!(trained.step(small, 0.1, &|_, _| 0.0, loss).is_err());
    assert_eq!(trained.graph().unwrap().weights(), graph.weights());
}

#[test]
fn a_resumed_training_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for (at, method) in [Method::default(), Method::Sgd { momentum: 0.9 }].into_iter().enumerate() {
        let path = folder.path().join(format!("{at}.safetensors"));
        let fresh = || trainer(network(6), options(method, BATCH), &all);
        let mut whole = fresh();
        for i in 0..6 {
            step(&mut whole, i, 0.05);
        }
        let mut first = fresh();
        assert!(checkpoint::resume::<u64>(&path, &mut first, &"settings").unwrap().is_none());
        for i in 0..3 {
            step(&mut first, i, 0.05);
        }
        checkpoint::save(&path, &first, &"settings", &3u64).unwrap();
        let mut second = fresh();
        let from: u64 = checkpoint::resume(&path, &mut second, &"settings").unwrap().unwrap();
        for i in from..6 {
            step(&mut second, i, 0.05);
        }
        assert_eq!(second.graph().unwrap().weights(), whole.graph().unwrap().weights(), "{method:?}");
        for (name, trained) in [("again", &whole), ("once more", &second)] {
            checkpoint::save(&folder.path().join(name), trained, &"settings", &6u64).unwrap();
        }
        let bytes = |name| std::fs::read(folder.path().join(name)).unwrap();
        assert!(bytes("again") == bytes("once more"), "{method:?}");
    }
}

#[test]
fn checkpoints_of_something_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.checkpoint");
    let fresh = || trainer(network(7), options(Method::default(), BATCH), &all);
    let mut trained = fresh();
    step(&mut trained, 0, 0.05);
    checkpoint::save(&path, &trained, &"settings", &1u64).unwrap();
    let other = checkpoint::resume::<u64>(&path, &mut fresh(), &"other settings").unwrap_err().to_string();
    assert!(other.contains("\"other settings\"") && other.contains("\"settings\""), "{other}");
    let mut fewer = trainer(network(7), options(Method::default(), BATCH), &|name| name != "b.bias");
    assert!(checkpoint::resume::<u64>(&path, &mut fewer, &"settings").unwrap_err().to_string().contains("b.bias"));
    let mut sgd = trainer(network(7), options(Method::Sgd { momentum: 0.9 }, BATCH), &all);
    assert!(checkpoint::resume::<u64>(&path, &mut sgd, &"settings").unwrap_err().to_string().contains("first a.scale"));
    assert!(matches!(checkpoint::resume::<String>(&path, &mut fresh(), &"settings"), Err(Error::Corrupt { .. })));
    let bytes = std::fs::read(&path).unwrap();
    for cut in [0, 9, 200, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(matches!(checkpoint::resume::<u64>(&path, &mut fresh(), &"settings"), Err(Error::Corrupt { .. })));
    }
}
