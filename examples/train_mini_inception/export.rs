//! The trained network as a model directory: batch norms folded, 16-bit weights, accuracy measured
//! after rounding, figures.

use crate::net;
use crate::scenes;
use crate::train::{History, Settings, accuracy, seeds};
use anyhow::Result;
use ndarray::{Array3, Ix4};
use orthoscope::io::png;
use orthoscope::io::weights::Storage;
use orthoscope::network::card::{self, About};
use orthoscope::network::fold::fold_batch_norm;
use orthoscope::network::{Graph, Weights};
use orthoscope::report::figures::{TraceOptions, filters, trace};
use std::path::Path;

/// Held-out images of each class in the card's accuracy.
const IMAGES_PER_CLASS: usize = 20;

/// Writes `card.toml`, `weights.safetensors` and the figures.
pub fn export(trained: &Graph, settings: &Settings, history: &History, dir: &Path) -> Result<()> {
    let about = About {
        description:
            "GoogLeNet's pattern at about a third of its width, for 96 x 96 pixels, trained on generated scenes.".into(),
        source: "trained by examples/train_mini_inception on its own scenes (examples/train_mini_inception/scenes)"
            .into(),
        licence: "MIT OR Apache-2.0".into(),
        training: Some(training(settings, history)),
        accuracy: None,
        golden: None,
    };
    card::write(dir, &net::stored_graph(folded(trained)?)?, &about, Storage::F16, true)?;
    // What is stored is what is tested: 16-bit weights.
    let (graph, _) = card::read(dir)?;
    let n_right = accuracy(&graph, seeds(settings.seed).1, IMAGES_PER_CLASS * scenes::CLASSES.len())?;
    let about = About { accuracy: Some(table(settings, &n_right)), ..about };
    card::write(dir, &graph, &about, Storage::F16, true)?;
    draw(&graph, history, settings, dir)
}

/// `<layer>.weight` and `<layer>.bias` with batch norms folded in.
fn folded(trained: &Graph) -> Result<Weights> {
    let (graph, _) = fold_batch_norm(trained, &[])?;
    let used: Vec<&str> = graph.nodes().iter().flat_map(|n| n.op.weights()).collect();
    Ok(used.into_iter().map(|name| (name.replace(".bn.folded.", "."), graph.weight(name).clone())).collect())
}

fn training(settings: &Settings, history: &History) -> toml::Table {
    let mut table = toml::Table::new();
    let mut put = |key: &str, value: toml::Value| drop(table.insert(key.into(), value));
    put("command", "cargo run --release --example train_mini_inception".into());
    put("seed", (settings.seed as i64).into());
    put("steps", (settings.steps as i64).into());
    put("batch", (settings.batch as i64).into());
    put("images", ((settings.steps * settings.batch) as i64).into());
    put("rate", settings.rate.into());
    put("horizon", (settings.horizon as i64).into());
    put("cooldown", (settings.cooldown as i64).into());
    put("decay", settings.decay.into());
    put("first_decay", settings.first_decay.into());
    put("settle", (settings.settle as i64).into());
    put("minutes", ((history.seconds / 6.0).round() / 10.0).into());
    put("burn", "0.21.0".into());
    put("classes", scenes::CLASSES.iter().map(|c| toml::Value::from(c.name)).collect::<Vec<_>>().into());
    table
}

fn table(settings: &Settings, n_right: &[usize]) -> toml::Table {
    let rounded = |right: usize, n: usize| toml::Value::from((1e4 * right as f64 / n as f64).round() / 1e4);
    let mut table = toml::Table::new();
    let n = n_right.len() * IMAGES_PER_CLASS;
    table.insert("held_out".into(), rounded(n_right.iter().sum(), n));
    table.insert("chance".into(), rounded(1, n_right.len()));
    table.insert("n_images".into(), (n as i64).into());
    table.insert("seed".into(), (seeds(settings.seed).1 as i64).into());
    let (mut families, mut classes) = (toml::Table::new(), toml::Table::new());
    for class in scenes::CLASSES {
        let members = || scenes::CLASSES.iter().zip(n_right).filter(|(c, _)| c.family == class.family);
        families.insert(
            class.family.into(),
            rounded(members().map(|(_, r)| r).sum(), members().count() * IMAGES_PER_CLASS),
        );
    }
    for (class, right) in scenes::CLASSES.iter().zip(n_right) {
        classes.insert(class.name.into(), rounded(*right, IMAGES_PER_CLASS));
    }
    table.insert("families".into(), families.into());
    table.insert("by_class".into(), classes.into());
    table
}

fn draw(graph: &Graph, history: &History, settings: &Settings, dir: &Path) -> Result<()> {
    let first = graph.weight("conv1/7x7_s2.weight").clone().into_dimensionality::<Ix4>()?;
    filters(first.view(), &dir.join("filters"))?;
    png::write(&dir.join("classes.png"), sheet(settings.seed)?.view())?;
    let learned =
        |f: fn(&(usize, f64, f64)) -> f64| history.training.iter().map(|t| (t.0 as f64, f(t))).collect::<Vec<_>>();
    let series = [
        ("training batches".to_owned(), learned(|t| t.2)),
        ("held-out images".to_owned(), history.held_out.iter().map(|h| (h.0 as f64, h.1)).collect()),
    ];
    let options = TraceOptions {
        title: "Images recognised while training".into(),
        y_label: "fraction right".into(),
        references: vec![("chance".into(), 1.0 / scenes::CLASSES.len() as f64)],
        ..TraceOptions::default()
    };
    trace(&series, &dir.join("training"), &options)?;
    Ok(())
}

/// Two held-out images of each class at half size, six classes per row, in the order of the
/// outputs.
fn sheet(seed: u64) -> Result<Array3<u8>> {
    let (side, gap, columns) = (48, 2, 12);
    let rows = scenes::CLASSES.len().div_ceil(columns / 2);
    let mut out = Array3::from_elem((rows * (side + gap), columns * (side + gap), 3), 255u8);
    for tile in 0..2 * scenes::CLASSES.len() {
        let image = png::quantize(scenes::draw(tile / 2, seeds(seed).1, (tile % 2) as u64, side).view())?;
        let (y, x) = (tile / columns * (side + gap), tile % columns * (side + gap));
        out.slice_mut(ndarray::s![y..y + side, x..x + side, ..]).assign(&image);
    }
    Ok(out)
}
