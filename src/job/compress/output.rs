//! Files of `compress`.

use super::RunDir;
use super::plan::Plan;
use super::results::Stage;
use super::run::{Found, operators};
use super::sets::Truth;
use crate::data::StimulusSource;
use crate::error::Result;
use crate::io::atomic;
use crate::io::npz::{self, NpzWriter};
use crate::io::tsv::{self, Table};
use crate::io::weights::Storage;
use crate::network::card::{self, About};
use crate::network::probe;
use ndarray::Array2;

/// Classes that a row of the table of classes names.
const NAMED: usize = 3;

/// Writes the model directory and the tables.
///
/// # Errors
/// As writing says.
pub fn write(plan: &Plan, run: &RunDir, found: &Found, stages: &[Stage]) -> Result<()> {
    let last = found.stages.last().expect("at least the network itself");
    let mut graph = last.graph.clone();
    graph.name = format!("{}-compressed", plan.subject.graph.name);
    let about = About { golden: Some(probe::record_presets(&graph, &plan.device)?), ..about(plan, found, stages) };
    card::write(&run.file(card::OF_RUN), &graph, &about, Storage::F32, true)?;
    if let Some(stream) = &last.stream {
        atomic::write(&run.file("arrays/weights.deep"), stream)?;
    }
    images(plan, run)?;
    channels(plan, run, found)?;
    curve(run, found)?;
    classes(plan, run, found)
}

/// Which images were used for what, and their classes.
fn images(plan: &Plan, run: &RunDir) -> Result<()> {
    let mut table = Table::new(["image", "side", "class"]);
    for (side, set) in [("judged", &plan.judged), ("tested", &plan.tested)] {
        for (i, name) in set.images.names().into_iter().enumerate() {
            let class = match &set.truth {
                Truth::Labels(labels) => plan.outputs[labels[i]].clone(),
                _ => "n/a".into(),
            };
            table.push([name, side.to_owned(), class]);
        }
    }
    tsv::write(&run.file("arrays/images.tsv"), &table)
}

/// The card of what was made: its ancestor, the operators, what it costs.
fn about(plan: &Plan, found: &Found, stages: &[Stage]) -> About {
    let (subject, operators) = (&plan.subject, operators(plan, found));
    let text = |value: &str| toml::Value::String(value.to_owned());
    let (before, after) = (&stages[0], stages.last().expect("at least one"));
    let entries = [
        ("ancestor", text(&subject.origin)),
        ("ancestor_blake3", text(&subject.blake3)),
        ("operators", toml::Value::Array(operators.iter().map(|o| text(o)).collect())),
        ("before", cost(before)),
        ("after", cost(after)),
    ];
    // What the ancestor's card says of its training, such as the names of its outputs, still holds.
    let mut training = subject.about.training.clone().unwrap_or_default();
    let table = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    training.insert("compression".into(), toml::Value::Table(table));
    let accuracy = [
        ("score", text(super::judge::describe(plan))),
        ("images", integer(plan.tested.images.n_images() as u64)),
        ("before", toml::Value::Float(before.score)),
        ("after", toml::Value::Float(after.score)),
    ];
    let licence = match subject.about.licence.as_str() {
        "" => "that of the network that it was made from".to_owned(),
        known => known.to_owned(),
    };
    About {
        description: format!("{}, compressed: {}", subject.graph.name, operators.join("; ")),
        source: format!("compressed from {} (blake3 {})", subject.origin, subject.blake3),
        licence,
        training: Some(training),
        accuracy: Some(accuracy.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        golden: None,
    }
}

fn integer(n: u64) -> toml::Value {
    toml::Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

/// What does not depend on the machine.
fn cost(stage: &Stage) -> toml::Value {
    let all = [
        ("params", stage.params as u64),
        ("nonzero", stage.nonzero as u64),
        ("filters", stage.filters as u64),
        ("macs", stage.macs),
        ("bytes", stage.bytes),
    ];
    toml::Value::Table(all.map(|(key, n)| (key.to_owned(), integer(n))).into_iter().collect())
}

/// Every channel of the pruned layers: its importance, and when it went.
fn channels(plan: &Plan, run: &RunDir, found: &Found) -> Result<()> {
    let Some(pruned) = &found.pruned else { return Ok(()) };
    let mut table = Table::new(["layer", "channel", "importance", "round", "score"]);
    for &g in &plan.pruned {
        let group = plan.groups.group(g);
        for channel in 0..group.width() {
            let gone =
                |step: &crate::compression::Step| step.removed.get(&group.name).is_some_and(|c| c.contains(&channel));
            let round = pruned.course.steps.iter().position(gone);
            let score = round.and_then(|round| pruned.course.steps[round].score).unwrap_or(f64::NAN);
            let importance = pruned.first.importance.get(&group.name).map_or(f64::NAN, |all| all[channel]);
            let round = round.map_or("n/a".into(), |round| (round + 1).to_string());
            table.push([group.name.clone(), channel.to_string(), tsv::field(importance), round, tsv::field(score)]);
        }
    }
    tsv::write(&run.file("arrays/channels.tsv"), &table)
}

/// Networks along the way.
fn curve(run: &RunDir, found: &Found) -> Result<()> {
    if found.points.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["n_removed", "params", "macs", "score", "judged_score"]);
    for point in &found.points {
        let judged = tsv::field(point.judged.unwrap_or(f64::NAN));
        let numbers = [point.n_removed.to_string(), point.params.to_string(), point.macs.to_string()];
        table.push(numbers.into_iter().chain([tsv::field(point.score), judged]));
    }
    tsv::write(&run.file("arrays/curve.tsv"), &table)
}

/// Classes: their accuracy before and after; and, by car, what each loses with each channel.
fn classes(plan: &Plan, run: &RunDir, found: &Found) -> Result<()> {
    let Truth::Labels(_) = plan.judged.truth else { return Ok(()) };
    let (before, after) = (&found.scores[0], found.scores.last().expect("at least one"));
    let mut table = Table::new(["class", "before", "after"]);
    for (k, name) in plan.outputs.iter().enumerate() {
        let field = |parts: &[Option<f64>]| tsv::field(parts[k].unwrap_or(f64::NAN));
        table.push([name.clone(), field(&before.parts), field(&after.parts)]);
    }
    tsv::write(&run.file("arrays/classes.tsv"), &table)?;
    let Some(pruned) = found.pruned.as_ref().filter(|p| !p.first.ablated.is_empty()) else { return Ok(()) };
    let mut table = Table::new(["layer", "channel", "drop", "most_important_for", "least_important_for"]);
    let mut arrays = NpzWriter::new();
    for (layer, ablated) in &pruned.first.ablated {
        let n = ablated.without.len();
        let parts: Vec<Vec<Option<f64>>> = (0..n).map(|c| ablated.drops_of_parts(c)).collect();
        let drops = Array2::from_shape_fn((n, plan.outputs.len()), |(c, k)| parts[c][k].unwrap_or(f64::NAN));
        arrays = arrays.add(&npz::key(layer), &drops);
        for (c, drop) in ablated.drops().into_iter().enumerate() {
            let [most, least] = ends(&parts[c], &plan.outputs);
            table.push([layer.clone(), c.to_string(), tsv::field(drop), most, least]);
        }
    }
    arrays.write(&run.file("arrays/class_drops.npz"))?;
    tsv::write(&run.file("arrays/channel_classes.tsv"), &table)
}

/// The classes that lose most with a channel, and those that gain most, with their drops.
fn ends(parts: &[Option<f64>], names: &[String]) -> [String; 2] {
    let mut known: Vec<(f64, &String)> = parts.iter().zip(names).filter_map(|(p, name)| Some(((*p)?, name))).collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let told = |some: Vec<&(f64, &String)>| -> String {
        let words: Vec<String> = some.into_iter().map(|(drop, name)| format!("{name} ({drop:+.3})")).collect();
        if words.is_empty() { "n/a".into() } else { words.join(", ") }
    };
    let most = known.iter().filter(|(drop, _)| *drop > 0.0).take(NAMED).collect();
    let least = known.iter().rev().filter(|(drop, _)| *drop < 0.0).take(NAMED).collect();
    [told(most), told(least)]
}
