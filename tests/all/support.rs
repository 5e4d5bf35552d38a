//! What the integration tests share: the folder of real data, comparisons, running a network.

use ndarray::{Array1, Array3, ArrayD, IxDyn};
use orthoscope::network::{BurnExecutor, ChannelOrder, Executor, Graph, NodeId, TapRequest, TapValue};
use orthoscope::tensor::{Device, Precision, Tensor, array, tensor};
use std::path::{Path, PathBuf};

/// A file or folder of real data (`$ORTHOSCOPE_DATA`, else `../shared/data`), or `None` after
/// saying that the test was skipped.
pub fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ORTHOSCOPE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: {} is absent; set ORTHOSCOPE_DATA to the folder of real data", found.display());
    None
}

/// A 32-bit array of a `.npy` file.
pub fn npy(path: &Path) -> ArrayD<f32> {
    ndarray_npy::read_npy(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The displayed image that a network with this input turns into `x` (its own planes): the inverse
/// of the preprocessing.
pub fn displayed(graph: &Graph, x: &Array3<f32>) -> Tensor<4> {
    let (c, h, w) = x.dim();
    let spec = &graph.input;
    let image = ArrayD::from_shape_fn(IxDyn(&[1, c, h, w]), |i| {
        let plane = if spec.order == ChannelOrder::Bgr { c - 1 - i[1] } else { i[1] };
        (x[[plane, i[2], i[3]]] * spec.std[plane] + spec.mean[plane]) / spec.range
    });
    tensor(image.view(), &Device::default())
}

/// Activations of some nodes, each N x C x H x W.
pub fn activations(graph: &Graph, nodes: &[NodeId], images: &Tensor<4>) -> Vec<ArrayD<f32>> {
    let taps: Vec<TapRequest> = nodes.iter().map(|&n| TapRequest::Activations(n)).collect();
    let mut executor = BurnExecutor::new(graph, &taps, Precision::F32, &Device::default()).unwrap();
    let value = |v: TapValue| match v {
        TapValue::Activations(a) => array(&a),
        TapValue::Moments(_) => panic!("asked for activations"),
    };
    executor.infer(images).unwrap().into_iter().map(value).collect()
}

/// `60 sin(2 pi (x (c+1)/32 + y/48)) + 20 cos(2 pi y (c+1)/19)`, the data folder's synthetic
/// network input.
pub fn synthetic(size: usize) -> Array3<f32> {
    let tau = std::f64::consts::TAU;
    Array3::from_shape_fn((3, size, size), |(c, y, x)| {
        let (c, y, x) = (c as f64 + 1.0, y as f64, x as f64);
        (60.0 * (tau * (x * c / 32.0 + y / 48.0)).sin() + 20.0 * (tau * y * c / 19.0).cos()) as f32
    })
}

/// Largest absolute difference, relative to the largest absolute value expected.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "as many numbers");
    let scale = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// The indices of the five largest values, largest first.
pub fn top5(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order.truncate(5);
    order
}

/// Everything within `tolerance` of the largest expected entry; NaN is nowhere near.
#[track_caller]
pub fn near<'a>(
    found: impl IntoIterator<Item = f64>,
    expected: impl IntoIterator<Item = &'a f64>,
    tolerance: f64,
    what: &str,
) {
    let (found, expected): (Vec<f64>, Vec<f64>) =
        (found.into_iter().collect(), expected.into_iter().copied().collect());
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what} at {i}: {a} against {b}");
    }
}

/// Pearson correlation.
#[allow(dead_code)]
pub fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (Array1::from(a.to_vec()), Array1::from(b.to_vec()));
    let (a, b) = (&a - a.mean().unwrap(), &b - b.mean().unwrap());
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// A photograph as the reference prepared it: grey repeated, shorter side to `side` by Pillow's
/// bicubic, centre cut out.
pub fn photograph(path: &Path, side: usize, crop: usize) -> Tensor<4> {
    use orthoscope::image::resize::{Filter, Resize, resize};
    let image = image::open(path).unwrap().to_rgb8();
    let (w, h) = (image.width() as usize, image.height() as usize);
    let pixels = Array3::from_shape_vec((h, w, 3), image.into_raw()).unwrap();
    let long = |a: usize, b: usize| (side as f64 * a as f64 / b as f64).round() as usize;
    let size = if h < w { (side, long(w, h)) } else { (long(h, w), side) };
    let small = resize(pixels.view(), size, Resize::Stretch, Filter::Bicubic);
    let (top, left) = ((size.0 - crop) / 2, (size.1 - crop) / 2);
    let values = ArrayD::from_shape_fn(IxDyn(&[1, 3, crop, crop]), |i| {
        f32::from(small[[top + i[2], left + i[3], i[1]]]) / 255.0
    });
    tensor(values.view(), &Device::default())
}

/// Runs a job as the program does, silently; its `results` object.
pub fn results_of<J: orthoscope::job::Job>(config: J::Config, out: &Path) -> orthoscope::Result<serde_json::Value> {
    use orthoscope::job::{self, Outcome, Session};
    match job::run::<J>(config, &Session::new(out))? {
        Outcome::Plan(plan) => Ok(plan),
        Outcome::Results(results) => Ok(serde_json::to_value(results).unwrap()),
    }
}
