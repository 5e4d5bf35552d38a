//! Fitted encoding models.

use super::networks::small_graph;
use super::{Input, Reader, written};
use ndarray::{Array2, Array4};
use orthoscope::Result;
use orthoscope::encoding::features::{Components, GaussianWindow, Keep, PcaOptions, Projection, Reduction, RfGrid};
use orthoscope::encoding::model::{
    self, EncodingModel, ModelFile, ModelNetwork, ModelSpace, Output, PredictOptions, Readout, ReadoutWeights,
    SpaceFrom, TrainingStimulus,
};
use orthoscope::image::resize::Resize;
use orthoscope::network::{CpuEngine, Executor};

pub const READERS: &[Reader] =
    &[Reader::of_files("encoding-model", "model.safetensors", || vec![on_layers(), on_features()], read)];

/// Units of the tapped layer up to which a model is run.
const UNITS: usize = 10_000;

fn read(input: &Input<'_>) -> Result<()> {
    let file = ModelFile::open(input.path)?;
    file.some(&[file.head().targets.len() - 1])?;
    let whole = model::read(input.path)?;
    let Some(network) = whole.network.as_ref().filter(|_| !whole.needs_features()) else { return Ok(()) };
    let graph = &network.graph;
    if graph.nodes().iter().map(|node| node.shape.len()).sum::<usize>() > UNITS
        || graph.n_macs(graph.output()) > 400_000
    {
        return Ok(());
    }
    whole.to_graph()?;
    let images = Array4::from_elem((2, 3, graph.input.height, graph.input.width), 0.5);
    let mut make = |taps: &[_]| Ok(Box::new(CpuEngine::on_one_thread(graph, taps)?) as Box<dyn Executor>);
    whole.predict_images(&images, &mut make, &PredictOptions::default()).map(drop)
}

fn space(name: &str, from: SpaceFrom, width: usize, components: Option<Components>) -> ModelSpace {
    ModelSpace { name: name.into(), from, components, mean: vec![0.25; width], scale: vec![2.0; width] }
}

fn readout(spaces: &[usize], targets: &[usize], weights: ReadoutWeights) -> Readout {
    let (intercept, alphas) = (vec![0.5; targets.len()], vec![f64::NAN; targets.len()]);
    Readout { spaces: spaces.to_vec(), targets: targets.to_vec(), weights, intercept, alphas }
}

fn file(model: &EncodingModel) -> Vec<u8> {
    written("model.safetensors", |path| model.write(path).expect("parts that fit"))
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|t| format!("v{t}")).collect()
}

fn on_layers() -> Vec<u8> {
    let graph = small_graph();
    let tap = (1..graph.nodes().len()).find(|&id| !graph.node(id).shape.is_flat()).expect("a map");
    let (name, shape) = (graph.node(tap).name.clone(), graph.node(tap).shape);
    let (n, c, places) = (shape.len(), shape.channels, shape.height * shape.width);
    let from = |reduction| SpaceFrom::Tap { tap: name.clone(), reduction };
    let projection = Projection { n_components: Some(5), ..Projection::default() };
    let windows = vec![GaussianWindow { x_deg: 0.0, y_deg: 0.5, sd_deg: 1.0 }; 2];
    let pca = PcaOptions { keep: Keep::Components(2), zscore: true, project: None };
    let components = Components { mean: vec![0.1; n], scale: vec![1.5; n], components: Array2::from_elem((n, 2), 0.1) };
    let some = |rows, columns| Array2::from_shape_fn((rows, columns), |(i, j)| 0.01 * (1 + i + 3 * j) as f32);
    let rate = ReadoutWeights::Factorized { maps: some(places, 1), channels: some(c, 1), output: Output::Rate };
    file(&EncodingModel {
        network: Some(ModelNetwork {
            graph: graph.up_to(&[tap]).expect("a node of it"),
            source_blake3: "0".into(),
            resize: Resize::Pad,
        }),
        spaces: vec![
            space("means", from(Reduction::SpatialMean), c, None),
            space("projected", from(Reduction::SparseRandomProjection(projection)), 5, None),
            space("windows", from(Reduction::RfPooled(RfGrid { windows, ..RfGrid::new(4.0) })), 2 * c, None),
            space("components", from(Reduction::Pca(pca)), 2, Some(components)),
            space("all", from(Reduction::Flat), n, None),
        ],
        readouts: vec![
            readout(&[0, 3], &[0, 2], ReadoutWeights::Dense(some(c + 2, 2))),
            readout(&[1], &[1], ReadoutWeights::Dense(some(5, 1))),
            readout(&[2], &[4], ReadoutWeights::Windows { windows: vec![1], weights: some(c, 1) }),
            readout(&[4], &[5], rate),
        ],
        targets: names(6),
        delays: vec![],
        stimuli: vec![TrainingStimulus { name: "a.png".into(), hash: "00".into() }],
    })
}

fn on_features() -> Vec<u8> {
    file(&EncodingModel {
        network: None,
        spaces: vec![space("given", SpaceFrom::Given { n_features: 3 }, 3, None)],
        readouts: vec![readout(&[0], &[0, 1], ReadoutWeights::Dense(Array2::from_elem((6, 2), 0.5)))],
        targets: names(2),
        delays: vec![1, 2],
        stimuli: vec![],
    })
}
