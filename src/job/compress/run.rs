//! The work of `compress`.

use super::judge::{Side, describe};
use super::plan::Plan;
use super::prune::{Pruned, prune};
use super::results::{Layer, Ratios, Results, Similarity, Stage, Step};
use super::stages::{Made, connections, measure};
use super::{RunDir, Session, curve, figures, output, tune};
use crate::compression::importance::Scored;
use crate::compression::{Cost, Removed, remove};
use crate::data::StimulusSource;
use crate::error::Result;
use crate::io::weights::Storage;
use crate::job::machine::peak_rss_mb;
use crate::job::model::executor;
use crate::network::TapRequest;
use crate::warning::Warning;

/// Everything that is drawn and written.
#[derive(Default)]
pub struct Found {
    pub pruned: Option<Pruned>,
    pub points: Vec<curve::Point>,
    pub stages: Vec<Made>,
    /// Scores of the stages on the test images.
    pub scores: Vec<Scored>,
    /// How alike layers are before and after.
    pub similarity: Vec<Similarity>,
    /// Mean losses of passes of fine-tuning.
    pub losses: Vec<f64>,
}

/// Operators in their order: channels, fine-tuning, connections, shared weights.
pub fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
    let graph = &plan.subject.graph;
    run.computes_on(executor(graph, &[TapRequest::Activations(graph.output())], &plan.device)?.describe())?;
    let judged = Side::new(plan, &plan.judged, session)?;
    let tested = Side::new(plan, &plan.tested, session)?;
    let mut found = Found { stages: vec![Made::plain("original", graph.clone())?], ..Found::default() };
    channels(plan, (&judged, &tested), session, run, &mut found)?;
    connections(plan, &mut found.stages)?;
    session.cancel.check()?;
    let (rows, scores) = measure(plan, &found.stages, &judged, &tested)?;
    found.scores = scores;
    let last = &found.stages.last().expect("at least the network itself").graph;
    let layers = graph.resolve_taps(&["default".into()])?;
    found.similarity = curve::alike(plan, (graph, last), &layers, &tested, session, &run.checkpoint())?;
    session.cancel.check()?;
    output::write(plan, run, &found, &rows)?;
    figures::draw(plan, run, &found, &rows)?;
    results(plan, found, rows, session)
}

/// Channels pruned, what is left fine-tuned.
fn channels(
    plan: &Plan,
    (judged, tested): (&Side<'_>, &Side<'_>),
    session: &Session,
    run: &mut RunDir,
    found: &mut Found,
) -> Result<()> {
    let Some(pruned) = prune(plan, judged, session, run)? else { return Ok(()) };
    let removed = pruned.course.removed();
    noted(run, &removed);
    let smaller = remove(&plan.subject.graph, &plan.groups, &removed, 1)?;
    found.points = curve::curve(plan, &pruned.course, tested, session)?;
    found.pruned = Some(pruned);
    found.stages.push(Made::plain("channels pruned", smaller.clone())?);
    if plan.config.fine_tune.epochs > 0 {
        let tuned = tune::tune(plan, smaller, judged, session, run)?;
        found.losses = tuned.losses;
        found.stages.push(Made::plain("fine-tuned", tuned.graph)?);
    }
    Ok(())
}

fn results(plan: &Plan, found: Found, stages: Vec<Stage>, session: &Session) -> Result<Results> {
    let (before, after) = (stages[0].clone(), stages.last().expect("at least one").clone());
    Ok(Results {
        model: plan.subject.origin.clone(),
        made: crate::network::card::OF_RUN.into(),
        operators: operators(plan, &found),
        score: describe(plan).into(),
        n_images: plan.judged.images.n_images(),
        n_test_images: plan.tested.images.n_images(),
        split: plan.split.clone(),
        ratio: Ratios::of(&before, &after),
        before,
        after,
        stages,
        layers: layer_rows(plan, &found)?,
        steps: found.pruned.as_ref().map(|p| p.course.steps.iter().map(step).collect()).unwrap_or_default(),
        similarity: found.similarity,
        losses: found.losses,
        seconds: session.seconds(),
        peak_rss_mb: peak_rss_mb(),
    })
}

fn noted(run: &mut RunDir, removed: &Removed) {
    if removed.is_empty() {
        let text = "no channel could go: the first would already have gone too far, or no layer has any to spare";
        run.warn(Warning::Note { text: text.into() });
    }
}

/// What was done, in words.
pub fn operators(plan: &Plan, found: &Found) -> Vec<String> {
    let config = &plan.config;
    let mut out = Vec::new();
    if let Some(pruned) = &found.pruned {
        let n: usize = pruned.course.removed().values().map(|channels| channels.len()).sum();
        let layers = if config.prune.layers.is_empty() { "all layers".into() } else { config.prune.layers.join(", ") };
        out.push(format!("{n} of {} channels of {layers} removed, by {}", plan.n_channels(), pruned.by));
    }
    if config.fine_tune.epochs > 0 {
        let against = match &plan.judged.truth {
            super::sets::Truth::Labels(_) => "the images' labels",
            _ => "the outputs of the whole network",
        };
        let (n, rate) = (config.fine_tune.epochs, config.fine_tune.rate);
        out.push(format!("fine-tuned against {against}, passes {n}, rate {rate}"));
    }
    if let Some(share) = config.connections.share {
        out.push(format!("{share} of the weights of convolutions and linear layers set to 0, the smallest first"));
    }
    if let Some(bits) = config.codebook.bits {
        out.push(format!("weights shared, {bits} bits, and Huffman-coded"));
    }
    out
}

fn step(step: &crate::compression::Step) -> Step {
    let of = |(layer, channels): (&String, &std::collections::BTreeSet<usize>)| {
        channels.iter().map(|c| format!("{layer}:{c}")).collect::<Vec<_>>()
    };
    Step { removed: step.removed.iter().flat_map(of).collect(), score: step.score }
}

fn layer_rows(plan: &Plan, found: &Found) -> Result<Vec<Layer>> {
    let before = Cost::of(&plan.subject.graph, Storage::F32)?;
    let after = Cost::of(&found.stages.last().expect("at least one").graph, Storage::F32)?;
    let row = |(b, a): (&crate::compression::LayerCost, &crate::compression::LayerCost)| Layer {
        layer: b.name.clone(),
        filters: [b.filters, a.filters],
        params: [b.parameters, a.parameters],
        macs: [b.macs, a.macs],
    };
    Ok(before.layers.iter().zip(&after.layers).map(row).collect())
}
