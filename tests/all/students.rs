//! Students that learn: against PyTorch (`tests/golden/student.py`), and chains against burn's own
//! operations.

use crate::support::relative_error;
use ndarray::{ArrayD, Ix4};
use orthoscope::compression::distillation::{Reading, Student, readout};
use orthoscope::io::npz::{self, Npz};
use orthoscope::network::{Graph, GraphBuilder, InputSpec, Op, Weights};
use orthoscope::rng::stream;
use orthoscope::tensor::{Device, Tensor, Var, constant, tensor, tensor_from_vec};
use orthoscope::training::{Method, Normalisation, Options, Trainer};
use std::path::Path;

const SIZE: usize = 20;

fn golden() -> Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/student.npz")).unwrap()
}

fn student(reading: Reading) -> Graph {
    let n_outputs = if reading == Reading::Own { 1 } else { 4 };
    let input = InputSpec::preset("v4", SIZE, SIZE).unwrap();
    Student { widths: vec![6, 5, 4, 3, 3], reading, n_outputs, input }.build("student", 0).unwrap()
}

fn options(method: Method) -> Options {
    Options { method, normalisation: Normalisation::Batch { keep: 0.99 }, clip: None }
}

fn trainer(graph: Graph, method: Method) -> Trainer {
    let output = graph.output();
    Trainer::new(graph, &[output], options(method), &|_| true, &Device::default()).unwrap()
}

/// One step down the mean squared error; returns the loss before.
fn step(trainer: &mut Trainer, images: Tensor<4>, responses: &[f32], rate: f64) -> f64 {
    let outcome = trainer.step(images, rate, &|_, _| 0.0, |outputs: &[Var<4>]| {
        let wanted: Tensor<4> = tensor_from_vec(responses.to_vec(), outputs[0].dims(), &Device::default());
        Ok((outputs[0].clone() - constant(wanted)).square().mean())
    });
    outcome.unwrap().loss
}

fn own(weights: &ArrayD<f32>) -> Vec<f32> {
    weights.iter().copied().collect()
}

#[test]
fn losses_gradients_and_steps_are_pytorchs() {
    let golden = golden();
    for (kind, reading) in [("own", Reading::Own), ("factorised", Reading::Factorised)] {
        let get = |name: &str| golden.get::<f32>(&format!("{kind}|{name}")).unwrap();
        let blank = student(reading);
        let start: Weights = blank.weights().keys().map(|name| (name.clone(), get(&format!("start.{name}")))).collect();
        let graph = blank.with_weights(start).unwrap();
        let (images, responses) = (get("images"), get("responses"));
        let losses = golden.get::<f64>(&format!("{kind}|losses")).unwrap();
        let at = |step: usize| {
            let images = images.index_axis(ndarray::Axis(0), step).into_dimensionality::<Ix4>().unwrap();
            let responses: Vec<f32> = responses.index_axis(ndarray::Axis(0), step).iter().copied().collect();
            (tensor(images, &Device::default()), responses)
        };
        // A step of plain descent at rate 1 takes off the gradient.
        let mut descent = trainer(graph.clone(), Method::Sgd { momentum: 0.0 });
        let (shown, wanted) = at(0);
        step(&mut descent, shown, &wanted, 1.0);
        let after = descent.graph().unwrap();
        for name in graph.weights().keys().filter(|n| !n.ends_with("mean") && !n.ends_with("var")) {
            let found: Vec<f32> = graph.weight(name).iter().zip(after.weight(name)).map(|(a, b)| a - b).collect();
            if name.ends_with("_conv.bias") {
                assert!(found.iter().all(|v| *v == 0.0), "{kind} {name}: a bias before a batch's own norm");
                continue;
            }
            let expected = own(&get(&format!("grad.{name}")));
            let most = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            // The difference of two weights of order 1 has lost seven digits of them.
            for (f, e) in found.iter().zip(&expected) {
                assert!((f - e).abs() < 2e-4 * most + 2e-7, "{kind} {name}: {f} and {e}");
            }
        }
        let mut adam = trainer(graph, Method::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
        for (i, loss) in losses.iter().enumerate() {
            let (shown, wanted) = at(i);
            let found = step(&mut adam, shown, &wanted, 0.01);
            assert!((found / loss - 1.0).abs() < 2e-4, "{kind}, step {i}: {found} and {loss}");
        }
        let after = adam.graph().unwrap();
        for name in after.weights().keys() {
            let expected = own(&get(&format!("after.{name}")));
            let worst = own(after.weight(name)).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Adam's first steps are of the size of the rate whatever the gradient's: where that is
            // almost zero, its sign is rounding's.
            let most = expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            assert!(worst < 2e-3 * most, "{kind} {name}: {worst}");
        }
    }
}

fn images(n: usize, size: usize) -> Tensor<4> {
    let mut rng = stream(5, "students' images", 0);
    tensor_from_vec(
        (0..n * 3 * size * size).map(|_| rng.uniform() as f32).collect(),
        [n, 3, size, size],
        &Device::default(),
    )
}

/// The same graph with a node that does nothing is no chain: burn's operations run it.
#[test]
fn a_chain_is_the_graph_that_burn_trains() {
    for reading in [Reading::Own, Reading::Factorised] {
        let graph = student(reading);
        let mut builder = GraphBuilder::from_graph(graph.clone());
        builder.push("same", Op::Identity, &[graph.output()]).unwrap();
        let plain = builder.finish().unwrap();
        let n_outputs = graph.node(graph.output()).shape.channels;
        let responses: Vec<f32> = (0..6 * n_outputs).map(|i| (i as f32 * 0.7).sin()).collect();
        let after = |graph: Graph| {
            let mut trainer = trainer(graph, Method::Sgd { momentum: 0.0 });
            let losses: Vec<f64> = (0..2).map(|_| step(&mut trainer, images(6, SIZE), &responses, 0.05)).collect();
            (losses, trainer.graph().unwrap())
        };
        let ((chain, a), (burn, b)) = (after(graph), after(plain));
        assert!(chain.iter().zip(&burn).all(|(x, y)| (x / y - 1.0).abs() < 1e-4), "{chain:?} {burn:?}");
        // Burn's gradient at a bias before a batch's own norm is rounding's.
        for (name, array) in a.weights().iter().filter(|(name, _)| !name.ends_with("_conv.bias")) {
            let error = relative_error(&own(array), &own(b.weight(name)));
            assert!(error < 1e-3, "{reading:?} {name}: {error}");
        }
    }
}

fn outputs(graph: &Graph) -> Vec<f32> {
    crate::support::activations(graph, &[graph.output()], &images(3, SIZE)).remove(0).iter().copied().collect()
}

#[test]
fn readouts_are_split_and_scaled_exactly() {
    let shared = student(Reading::Factorised);
    let all = outputs(&shared);
    for k in 0..4 {
        let one = outputs(&readout::of_output(&shared, k).unwrap());
        let own: Vec<f32> = all.iter().skip(k).step_by(4).copied().collect();
        assert!(relative_error(&one, &own) < 1e-5, "{k}: {one:?} {own:?}");
    }
    assert!(readout::of_output(&shared, 4).is_err() && readout::of_output(&student(Reading::Own), 0).is_err());
    let (scale, offset) = ([2.0, 0.5, 1.0, 3.0], [1.0, 0.0, -1.0, 10.0]);
    let scaled = outputs(&readout::scaled(&shared, &scale, &offset).unwrap());
    let expected: Vec<f32> =
        all.iter().enumerate().map(|(i, y)| (f64::from(*y) * scale[i % 4] + offset[i % 4]) as f32).collect();
    assert!(relative_error(&scaled, &expected) < 1e-5);
    assert!(readout::scaled(&shared, &[1.0], &[0.0]).is_err());
}
