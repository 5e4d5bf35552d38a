//! What students cost, and how well they do what the teacher does and neurons did.

use super::lessons::Taught;
use super::plan::{Plan, Recorded as Given};
use super::results::{Median, Medians, Network, Recorded, Results, Student};
use super::run::{Found, Learnt};
use super::teacher::{Responses, respond};
use super::{RunDir, Session};
use crate::compression::Cost;
use crate::compression::distillation::View;
use crate::compression::distillation::teach::{correlations, outputs};
use crate::encoding::reliability::{Repeats, r2_er};
use crate::error::Result;
use crate::io::weights::Storage;
use crate::job::machine::peak_rss_mb;
use crate::job::model::executor;
use crate::math::stats;
use crate::network::{Graph, TapRequest};
use crate::tensor::tensor;
use ndarray::{Array4, Axis, Slice};
use std::time::Instant;

/// Test images at the students' size, and the teacher's responses to them.
pub struct Tests<'a> {
    images: Array4<f32>,
    teacher: Responses,
    recorded: Option<&'a Given>,
}

impl<'a> Tests<'a> {
    /// Where there are test images.
    ///
    /// # Errors
    /// As the teacher's responses.
    pub fn new(plan: &'a Plan, session: &Session, run: &RunDir) -> Result<Option<Self>> {
        let Some(tested) = &plan.tested else { return Ok(None) };
        let all: Vec<usize> = (0..tested.pictures.n()).collect();
        let seen: Vec<(usize, View)> = all.iter().map(|&i| (i, View::WHOLE)).collect();
        let teacher = respond(plan, session, run, "test images", &tested.pictures, &seen)?;
        let size = (plan.input.height, plan.input.width);
        let images = tested.pictures.read(&all, &vec![View::WHOLE; all.len()], size)?;
        Ok(Some(Self { images, teacher, recorded: tested.recorded.as_ref() }))
    }

    /// Scores of a unit's predictions for all test images.
    fn score(&self, unit: usize, predicted: &[f64]) -> Option<Recorded> {
        let recorded = self.recorded?;
        let target = recorded.targets[unit]?;
        let own: Vec<f64> = recorded.aligned.stimuli.iter().map(|&i| predicted[i]).collect();
        let responses = &recorded.aligned.responses;
        let measured = responses.mean().row(target).to_vec();
        let r = stats::pearson(&own, &measured);
        let corrected = || r2_er(&own, &Repeats::of(responses.values().index_axis(Axis(0), target)));
        let r2_er = (responses.n_repeats() > 1).then(corrected).filter(|v| v.is_finite());
        Some(Recorded { r: if r.is_finite() { r } else { 0.0 }, r2_er })
    }

    fn of(&self, plan: &Plan, unit: usize, graph: &Graph) -> Result<Option<Recorded>> {
        let predicted = outputs(graph, &self.images, &plan.device)?;
        Ok(self.score(unit, &predicted.column(0).iter().map(|&v| f64::from(v)).collect::<Vec<_>>()))
    }
}

/// Measures all students.
///
/// # Errors
/// As running them.
pub fn results(
    plan: &Plan,
    session: &Session,
    taught: &Taught,
    tests: Option<&Tests<'_>>,
    found: &Found,
) -> Result<Results> {
    let mut students = Vec::new();
    for (unit, made) in found.units.iter().enumerate() {
        session.cancel.check()?;
        let network = |learnt: &Learnt, stage: &str| -> Result<Network> {
            let recorded = tests.map(|t| t.of(plan, unit, &learnt.graph)).transpose()?.flatten();
            let model = format!("{}/{stage}/{}", crate::job::distill::MODELS, plan.files[unit]);
            Ok(Network { recorded, ..measured(plan, taught, learnt, &[unit], model)? })
        };
        let unpruned = network(&made.unpruned, "unpruned")?;
        let pruned = made.pruned.as_ref().map(|(_, learnt)| network(learnt, "pruned")).transpose()?;
        let teacher = tests.and_then(|t| t.score(unit, &t.teacher.mean.column(unit).to_vec()));
        students.push(Student { unit: plan.teacher.names[unit].clone(), teacher, unpruned, pruned });
    }
    let all: Vec<usize> = (0..students.len()).collect();
    let shared = found
        .shared
        .as_ref()
        .map(|core| measured(plan, taught, core, &all, format!("{}/shared", crate::job::distill::MODELS)));
    Ok(Results {
        teacher: plan.config.teacher.model.clone(),
        n_units: students.len(),
        n_members: plan.teacher.parts[0].len(),
        n_images: plan.taught.len(),
        n_views: plan.config.views.n,
        n_held: plan.held.len(),
        n_test: plan.tested.as_ref().map(|t| t.pictures.n()),
        shared: shared.transpose()?,
        medians: medians(&students),
        students,
        seconds: session.seconds(),
        peak_rss_mb: peak_rss_mb(),
    })
}

fn measured(plan: &Plan, taught: &Taught, learnt: &Learnt, units: &[usize], model: String) -> Result<Network> {
    let graph = &learnt.graph;
    let cost = Cost::of(graph, Storage::F32)?;
    let found = outputs(graph, taught.held_images(), &plan.device)?;
    let r = stats::mean(&correlations(found.view(), taught.held(units).view()));
    let layer = |i: usize| graph.find(&format!("layer{i}_act")).map(|id| graph.node(id).shape.channels);
    Ok(Network {
        model,
        parameters: cost.parameters,
        filters: (0..).map_while(layer).collect(),
        kernels: cost.layers.iter().map(|l| l.kernels).sum(),
        macs: cost.macs,
        bytes: cost.bytes,
        latency_ms: latency(plan, taught, graph)?,
        r,
        recorded: None,
        epochs: learnt.history.epochs.len(),
    })
}

/// Median of a few runs on one image, in milliseconds.
fn latency(plan: &Plan, taught: &Taught, graph: &Graph) -> Result<f64> {
    const RUNS: usize = 5;
    let mut made = executor(graph, &[TapRequest::Activations(graph.output())], &plan.device)?;
    let image = tensor(taught.held_images().slice_axis(Axis(0), Slice::from(0..1)), &plan.device);
    let mut times = Vec::new();
    for _ in 0..=RUNS {
        let began = Instant::now();
        made.infer(&image)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(stats::median(&times[1..]))
}

fn medians(students: &[Student]) -> Medians {
    let some = |values: Vec<f64>| (!values.is_empty()).then(|| stats::median(&values));
    let of = |networks: Vec<&Network>| Median {
        parameters: stats::median(&networks.iter().map(|n| n.parameters as f64).collect::<Vec<_>>()),
        kernels: stats::median(&networks.iter().map(|n| n.kernels as f64).collect::<Vec<_>>()),
        r: stats::median(&networks.iter().map(|n| n.r).collect::<Vec<_>>()),
        recorded_r: some(networks.iter().filter_map(|n| n.recorded.map(|s| s.r)).collect()),
    };
    let pruned: Vec<&Network> = students.iter().filter_map(|s| s.pruned.as_ref()).collect();
    Medians {
        unpruned: of(students.iter().map(|s| &s.unpruned).collect()),
        pruned: (!pruned.is_empty()).then(|| of(pruned)),
        teacher_recorded_r: some(students.iter().filter_map(|s| s.teacher.map(|t| t.r)).collect()),
    }
}
