//! Every operation against PyTorch, forward and backward, and against finite differences through
//! the executor.

use burn_tensor::DType;
use ndarray::{ArrayD, IxDyn};
use orthoscope::network::burn_ops::{BurnWeights, apply};
use orthoscope::network::graph::Weights;
use orthoscope::network::shape::infer;
use orthoscope::network::{
    BurnExecutor, ChannelOrder, Executor, FlattenOrder, Graph, GraphBuilder, InputSpec, Op, Shape, TapGrad, TapRequest,
    TapValue,
};
use orthoscope::rng::stream;
use orthoscope::tensor::{AutoBackend, Device, Precision, Var, array_f64, constant, leaf, tensor_f64};
use serde_json::Value;

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn sizes(v: &Value) -> Vec<usize> {
    v.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

fn array(v: &Value) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(&sizes(&v["shape"])), numbers(&v["values"])).unwrap()
}

fn input(height: usize, width: usize) -> InputSpec {
    InputSpec { height, width, order: ChannelOrder::Rgb, range: 1.0, mean: vec![0.0; 3], std: vec![1.0; 3] }
}

/// Weights on the device in 64 bits.
fn on_device(weights: &Weights) -> BurnWeights<AutoBackend> {
    let mut builder = GraphBuilder::new("weights", input(1, 1), weights.clone()).unwrap();
    builder.push("out", Op::Identity, &[0]).unwrap();
    BurnWeights::new(&builder.finish().unwrap(), &Device::default(), DType::F64)
}

fn close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        // Ten digits are given; constants of an operation (alpha, epsilon, ...) have exact 32-bit
        // values in the cases.
        assert!((f - e).abs() <= 1e-9 * scale, "{what}[{i}]: {f} against {e}");
    }
}

#[test]
fn operations_agree_with_pytorch() {
    let cases: Value = serde_json::from_str(include_str!("../golden/ops.json")).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() >= 40);
    let mut kinds = std::collections::BTreeSet::new();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let op: Op = serde_json::from_value(case["op"].clone()).unwrap();
        kinds.insert(op.kind());
        let weights: Weights = case["weights"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.clone(), array(v).mapv(|v| v as f32)))
            .collect();
        let inputs: Vec<Var<4>> = case["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| leaf(tensor_f64(array(v).view(), Precision::F64, &Device::default())))
            .collect();
        let output = apply(&op, &inputs, &on_device(&weights));
        let shape = sizes(&case["output"]["shape"]);
        assert_eq!(output.dims().to_vec(), shape, "{name}");
        let shapes: Vec<Shape> = inputs.iter().map(|i| Shape::new(i.dims()[1], i.dims()[2], i.dims()[3])).collect();
        assert_eq!(infer(name, &op, &shapes, &weights).unwrap(), Shape::new(shape[1], shape[2], shape[3]), "{name}");
        close(name, array_f64(&output.clone().inner()).as_slice().unwrap(), &numbers(&case["output"]["values"]));
        let cotangent = ArrayD::from_shape_vec(IxDyn(&shape), numbers(&case["cotangent"])).unwrap();
        let scalar = (output * constant(tensor_f64(cotangent.view(), Precision::F64, &Device::default()))).sum();
        let gradients = scalar.backward();
        for (i, (x, expected)) in inputs.iter().zip(case["gradients"].as_array().unwrap()).enumerate() {
            let found = array_f64(&x.grad(&gradients).unwrap());
            close(&format!("{name}, gradient {i}"), found.as_slice().unwrap(), &numbers(expected));
        }
    }
    assert_eq!(kinds.len(), 18, "every kind but the input: {kinds:?}");
}

fn random(shape: &[usize], name: &str) -> ArrayD<f32> {
    let mut rng = stream(11, name, 0);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.uniform_in(-1.0, 1.0) as f32)
}

/// `data` -> 3x3 convolution to five channels -> the operation.
fn small_graph(op: &Op) -> Graph {
    let mut b = GraphBuilder::new("small", input(9, 8), Weights::new()).unwrap();
    for (name, shape) in [
        ("first", &[5, 3, 3, 3][..]),
        ("w", &[4, 5, 3, 3]),
        ("deep", &[10, 1, 3, 3]),
        ("b", &[4]),
        ("v5", &[5]),
        ("u5", &[5]),
    ] {
        b.add_weight(name, random(shape, name));
    }
    b.add_weight("p5", random(&[5], "p5").mapv(|v| v.abs() + 0.5));
    b.add_weight("line", random(&[3, 360], "line"));
    b.add_weight("fb", random(&[3], "fb"));
    let first = Op::Conv2d {
        weight: "first".into(),
        bias: Some("v5".into()),
        stride: [1, 1],
        padding: [1; 4],
        dilation: [1, 1],
        groups: 1,
    };
    let x = b.push("first", first, &[0]).unwrap();
    let inputs = match op {
        Op::Concat | Op::Add => vec![x, b.push("second", Op::Tanh, &[x]).unwrap()],
        Op::Linear { .. } => vec![b.push("flat", Op::Flatten { order: FlattenOrder::Hwc }, &[x]).unwrap()],
        _ => vec![x],
    };
    b.push("op", op.clone(), &inputs).unwrap();
    b.finish().unwrap()
}

fn operations() -> Vec<Op> {
    let conv = |weight: &str, bias: Option<&str>, stride, padding, dilation, groups| Op::Conv2d {
        weight: weight.into(),
        bias: bias.map(str::to_owned),
        stride,
        padding,
        dilation,
        groups,
    };
    let max = |ceil| Op::MaxPool { kernel: [3, 3], stride: [2, 2], padding: [1, 1, 1, 1], ceil };
    let avg = |ceil, count_include_pad| Op::AvgPool {
        kernel: [3, 2],
        stride: [2, 2],
        padding: [1, 0, 1, 1],
        ceil,
        count_include_pad,
    };
    vec![
        conv("w", Some("b"), [1, 1], [1, 1, 1, 1], [1, 1], 1),
        conv("w", None, [2, 2], [0, 1, 2, 1], [1, 1], 1),
        conv("w", Some("b"), [1, 2], [2, 2, 2, 2], [2, 2], 1),
        conv("deep", None, [2, 1], [1, 1, 1, 1], [1, 1], 5),
        Op::BatchNorm {
            scale: Some("v5".into()),
            shift: Some("u5".into()),
            mean: "u5".into(),
            var: "p5".into(),
            epsilon: 1e-3,
        },
        Op::ChannelAffine { scale: "v5".into(), shift: "u5".into() },
        Op::Relu,
        Op::LeakyRelu { slope: 0.2 },
        Op::Sigmoid,
        Op::Tanh,
        max(false),
        max(true),
        avg(false, true),
        avg(true, true),
        avg(true, false),
        Op::GlobalAvgPool,
        Op::Lrn { size: 3, alpha: 0.7, beta: 0.75, k: 1.0 },
        Op::Concat,
        Op::Add,
        Op::Flatten { order: FlattenOrder::Chw },
        Op::Flatten { order: FlattenOrder::Hwc },
        Op::Linear { weight: "line".into(), bias: Some("fb".into()) },
        Op::Softmax,
        Op::Identity,
        Op::Pad { padding: [1, 0, 2, 3] },
    ]
}

#[test]
fn gradients_at_the_pixels_are_finite_differences() {
    let device = Device::default();
    for op in operations() {
        let graph = small_graph(&op);
        let at = format!("{op:?}");
        let request = [TapRequest::Activations(graph.output())];
        let mut run = BurnExecutor::new(&graph, &request, Precision::F64, &device).unwrap();
        let mut rng = stream(12, &at, 0);
        let mut draw = |shape: &[usize]| ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.uniform_in(-1.0, 1.0));
        let x = draw(&[2, 3, 9, 8]);
        let direction = draw(&[2, 3, 9, 8]);
        let mut value = |x: &ArrayD<f64>| {
            let images = tensor_f64::<4, _>(x.view(), Precision::F64, &device);
            let TapValue::Activations(v) = run.forward(&images).unwrap().remove(0) else { panic!() };
            v
        };
        let y = value(&x);
        let cotangent = draw(&y.dims());
        let gradient = tensor_f64::<4, _>(cotangent.view(), Precision::F64, &device);
        let mut objective = |x: &ArrayD<f64>| (array_f64(&value(x)) * &cotangent).sum();
        // Small enough that no unit passes a kink of a ReLU or changes a maximum in these draws.
        let h = 1e-6;
        let numeric = (objective(&(&x + &(&direction * h))) - objective(&(&x - &(&direction * h)))) / (2.0 * h);
        value(&x);
        let back = array_f64(&run.backward(&[TapGrad::Activations(gradient)]).unwrap());
        let exact = (&back * &direction).sum();
        // f64 rounding of sums of ~1e3 terms of order 1, divided by 2e-6: 1e-7 relative.
        assert!((numeric - exact).abs() <= 1e-6 * exact.abs().max(1.0), "{at}: {numeric} against {exact}");
        assert!(exact.abs() > 1e-9, "{at}: the gradient must not vanish");
    }
}
