//! What interrupted runs leave behind.

use super::networks::small_graph;
use super::{Input, Reader, written};
use ndarray::{Array2, Array3, array};
use orthoscope::Result;
use orthoscope::io::{npz, sealed};
use orthoscope::job::drive::batch_file;
use orthoscope::job::map::parts;
use orthoscope::job::orthogonalize::checkpoint::{self, Checkpoint};
use orthoscope::mapping::Part;
use orthoscope::mapping::null::Null;
use orthoscope::mapping::searchlight::Maps;
use orthoscope::network::probe::waves;
use orthoscope::synthesis::{Batch, Row, State, Trace};
use orthoscope::tensor::Device;
use orthoscope::training::{Method, Normalisation, Options, Trainer};
use std::path::Path;

/// A checkpoint as a whole, whose seal no mutant breaks unseen; and what lies under the seals, sealed
/// again.
pub const READERS: &[Reader] = &[
    Reader::of_files("sealed", "item.checkpoint", whole, read_whole),
    Reader::of_bytes("checkpoint-set", "item.safetensors", sets, |i| {
        seal(i).and_then(|()| checkpoint::read(i.path).map(drop))
    }),
    Reader::of_bytes("checkpoint-batch", "batch.safetensors", batches, |i| {
        seal(i).and_then(|()| batch_file::read(i.path).map(drop))
    }),
    Reader::of_bytes("checkpoint-map", "part.npz", map_parts, |i| {
        let file = npz::decode(i.bytes, i.path)?;
        let part = parts::read(&file, i.path)?;
        parts::kept(&file, &part, i.path).map(drop)
    }),
    Reader::of_bytes("checkpoint-training", "training.safetensors", trainings, |i| {
        seal(i).and_then(|()| read_training(i))
    }),
];

fn seal(input: &Input<'_>) -> Result<()> {
    sealed::write(input.path, input.bytes)
}

/// What a writer of checkpoints puts under its seal.
fn unsealed(write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkpoint");
    write(&path);
    sealed::read(&path).expect("it was sealed").expect("it was written")
}

fn whole() -> Vec<Vec<u8>> {
    sets().iter().map(|bytes| written("a.checkpoint", |path| sealed::write(path, bytes).expect("a new file"))).collect()
}

fn read_whole(input: &Input<'_>) -> Result<()> {
    let kept = checkpoint::read(input.path)?;
    assert!(kept.is_some() && input.bytes == whole_once(), "a checkpoint that was changed is taken for whole");
    Ok(())
}

/// The one honest file of [`whole`], made once.
fn whole_once() -> &'static [u8] {
    static ONCE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    ONCE.get_or_init(|| whole().remove(0))
}

fn sets() -> Vec<Vec<u8>> {
    let leaves = vec![Array2::from_elem((3, 4), 0.25f32), Array2::from_elem((3, 2), 0.5)];
    let columns = [("objective".to_owned(), vec![0.5, f64::NAN, 0.75])].into();
    let state = State {
        step: 3,
        horizon: 9,
        leaves,
        optimizer: vec![("first.0".into(), vec![1.0; 12]), ("steps".into(), vec![3.0])],
        trace: Trace::from_columns(columns),
    };
    let checkpoint = Checkpoint { state, octave: 1, seconds: 1.5, executor_seconds: 1.0 };
    vec![unsealed(|path| checkpoint::write(path, &checkpoint).expect("finite leaves"))]
}

fn batches() -> Vec<Vec<u8>> {
    let row = |v: f64, done| Row {
        values: vec![v, 0.1 + v],
        responses: vec![-v, f64::NAN],
        kept: vec![array![v as f32, 2.0]],
        kept_value: v,
        kept_response: f64::NAN,
        kept_step: 1,
        done,
        converged: done,
    };
    let of = |active: Vec<usize>| {
        let batch = Batch {
            step: 2,
            leaves: vec![Array2::from_elem((active.len(), 2), 0.25f32)],
            optimizer: vec![("first.0".to_owned(), vec![1.0f32, 2.0])],
            rows: vec![row(0.3, true), row(1.0 / 3.0, active.is_empty())],
            active,
            seconds: 1.5,
            executor_seconds: 1.0,
        };
        unsealed(|path| batch_file::write(path, &batch).expect("finite leaves"))
    };
    vec![of(vec![1]), of(vec![])]
}

fn map_parts() -> Vec<Vec<u8>> {
    let maps = || Maps { values: Array2::from_elem((2, 5), 0.5), n_voxels: vec![7; 5], n_undefined: 1 };
    let tail = orthoscope::math::permutation::Tail::Greater;
    let null = Null {
        p: Array2::from_elem((2, 5), 0.25),
        observed: Array2::from_elem((2, 5), 0.5),
        extreme: Array2::from_elem((4, 2), 0.9),
        mean: Array2::zeros((2, 5)),
        kept: Array3::from_elem((3, 2, 5), 0.125),
        tail,
    };
    [None, Some(null)]
        .into_iter()
        .map(|null| {
            let part = Part { start: 64, maps: maps(), null };
            written("part.npz", |path| parts::archive(&part).write(path).expect("other names"))
        })
        .collect()
}

const METHODS: [Method; 2] = [Method::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, Method::Sgd { momentum: 0.9 }];

fn trainer(method: Method) -> Trainer {
    let graph = small_graph();
    let outputs = [graph.output()];
    let options = Options { method, normalisation: Normalisation::Batch { keep: 0.9 }, clip: None };
    Trainer::new(graph, &outputs, options, &|_| true, &Device::default()).expect("weights to train")
}

fn trainings() -> Vec<Vec<u8>> {
    let of = |method| {
        let mut trainer = trainer(method);
        let images = waves(8, 8, &Device::default());
        let loss = |outputs: &[orthoscope::tensor::Var<4>]| Ok(outputs[0].clone().powf_scalar(2.0).mean());
        trainer.step(images, 0.01, &|_, _| 0.0, loss).expect("a finite loss");
        let write = |path: &Path| {
            orthoscope::training::checkpoint::save(path, &trainer, &"settings", &[1.0, 0.5]).expect("finite weights");
        };
        unsealed(write)
    };
    METHODS.map(of).into()
}

fn read_training(input: &Input<'_>) -> Result<()> {
    let read = |method| {
        let history: Result<Option<Vec<f64>>> =
            orthoscope::training::checkpoint::resume(input.path, &mut trainer(method), &"settings");
        history.map(drop)
    };
    super::any(METHODS.map(read))
}
