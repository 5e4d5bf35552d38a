//! What a network is worth while channels go, on images that nothing was chosen on; and how alike
//! its layers stay.

use super::judge::Side;
use super::plan::Plan;
use super::results::Similarity;
use crate::compression::cka;
use crate::compression::{Course, remove};
use crate::data::StimulusSource;
use crate::data::image_source::check_range;
use crate::error::Result;
use crate::job::Session;
use crate::job::model::executor;
use crate::network::moments::{LayerMoments, fits, moments, n_steps};
use crate::network::{Graph, NodeId, TapRequest};
use crate::progress::Progress;
use ndarray::Array4;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

/// Networks along the course that are tested.
const POINTS: usize = 24;

/// A network along the course.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub n_removed: usize,
    pub params: usize,
    pub macs: u64,
    /// On the test images.
    pub score: f64,
    /// On the images that channels were judged on, where rounds were judged.
    pub judged: Option<f64>,
}

/// Networks after some of the rounds, evenly spread, the first and the last among them.
///
/// # Errors
/// As running says.
pub fn curve(plan: &Plan, course: &Course, tested: &Side<'_>, session: &Session) -> Result<Vec<Point>> {
    let n = course.steps.len();
    let mut rounds: Vec<usize> = (0..=POINTS.min(n)).map(|k| k * n / POINTS.min(n).max(1)).collect();
    rounds.dedup();
    let mut progress = Progress::new(&session.progress, "scores along the way", rounds.len() as u64, 0);
    let mut points = Vec::with_capacity(rounds.len());
    for round in rounds {
        session.cancel.check()?;
        let part = Course { steps: course.steps[..round].to_vec(), ..Course::default() };
        let removed = part.removed();
        let graph = remove(&plan.subject.graph, &plan.groups, &removed, 1)?;
        let judged = if round == 0 { course.whole } else { course.steps[round - 1].score };
        points.push(Point {
            n_removed: removed.values().map(|channels| channels.len()).sum(),
            params: graph.n_parameters(),
            macs: graph.n_macs(graph.output()),
            score: tested.score(&graph)?.score,
            // Of layerwise variance there is a share of variance instead of a score.
            judged: judged.filter(|_| course.whole.is_some()),
        });
        progress.tick(String::new);
    }
    progress.finish();
    Ok(points)
}

/// Images that layers are compared on, at most, and the bytes of their activations in memory.
const COMPARED: usize = 128;
const MEMORY: usize = 1 << 30;

/// The first images of others.
struct FirstOf<'a>(&'a dyn StimulusSource, usize);

impl StimulusSource for FirstOf<'_> {
    fn n_images(&self) -> usize {
        self.1
    }

    fn read(&self, range: Range<usize>) -> Result<Array4<f32>> {
        check_range(&range, self.1)?;
        self.0.read(range)
    }
}

/// Linear CKA of the layers of two networks with the same nodes, on at most 128 test images.
///
/// # Errors
/// As running says; [`crate::Error::Interrupted`] when stopped.
pub fn alike(
    plan: &Plan,
    (before, after): (&Graph, &Graph),
    layers: &[NodeId],
    tested: &Side<'_>,
    session: &Session,
    scratch: &Path,
) -> Result<Vec<Similarity>> {
    let images = FirstOf(tested.images.as_ref(), tested.images.n_images().min(COMPARED));
    let run = |graph: &Graph| -> Result<Vec<LayerMoments>> {
        let whole: Vec<TapRequest> = layers.iter().map(|&n| TapRequest::Moments(n)).collect();
        let mut found = executor(graph, &whole, &plan.device)?;
        if !fits(found.as_ref(), images.n_images(), MEMORY) {
            let plain: Vec<TapRequest> = layers.iter().map(|&n| TapRequest::Activations(n)).collect();
            found = executor(graph, &plain, &plan.device)?;
        }
        let steps = n_steps(found.as_ref(), images.n_images())?;
        let progress = Mutex::new(Progress::new(&session.progress, "layers compared", steps as u64, 0));
        let done = |_: usize| {
            progress.lock().expect("nobody panics with it").tick(String::new);
            !session.cancel.requested()
        };
        let mut all = Vec::with_capacity(layers.len());
        moments(found.as_mut(), &images, &plan.device, scratch, &done, &mut |_, layer| {
            all.push(layer);
            Ok(())
        })?;
        progress.into_inner().expect("nobody panics with it").finish();
        Ok(all)
    };
    let (a, b) = (run(before)?, run(after)?);
    let finite = |value: f64| Some(value).filter(|v| v.is_finite());
    let of = |((&node, a), b): ((&NodeId, &LayerMoments), &LayerMoments)| {
        let enough = images.n_images() > 3;
        let debiased = enough.then(|| cka::debiased(a.gram.view(), b.gram.view())).transpose()?;
        let linear = cka::linear(a.gram.view(), b.gram.view())?;
        let tap = before.node(node).name.clone();
        Ok(Similarity { tap, cka: finite(linear), debiased: debiased.and_then(finite) })
    };
    layers.iter().zip(&a).zip(&b).map(of).collect()
}
