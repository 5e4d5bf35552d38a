//! One item: one seed, from its start or its checkpoint to its last step.

use super::checkpoint::{self, Checkpoint};
use super::plan::Plan;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::{render_array, resample_bilinear};
use crate::progress::Progress;
use crate::synthesis::{State, Synthesizer};
use ndarray::Array4;
use std::path::Path;

/// An item after its last step.
pub struct Finished {
    pub checkpoint: Checkpoint,
    /// The images before any step and after the last, unquantized.
    pub start: Array4<f32>,
    pub images: Array4<f32>,
}

/// Runs an item to its end, writing a checkpoint every `checkpoint_every` steps and when a signal
/// arrives.
///
/// # Errors
/// [`Error::Interrupted`] after the checkpoint was written; whatever a step or a write says.
pub fn run_item(plan: &Plan, folder: &Path, item: usize, cancel: &Cancel, progress: &mut Progress) -> Result<Finished> {
    let path = checkpoint::path(folder, item);
    let start = plan.synthesizer(item as u64, 0, None)?;
    let start_images = start.images(&start.start());
    let mut current = match checkpoint::read(&path)? {
        Some(found) if found.octave >= plan.octaves.len() => {
            return Err(checkpoint::damaged(&path, &format!("enlargement {}", found.octave)));
        }
        Some(found) => found,
        None => Checkpoint { state: start.start(), octave: 0, seconds: 0.0, executor_seconds: 0.0 },
    };
    let mut synthesizer = match current.octave {
        0 => start,
        octave => plan.synthesizer(item as u64, octave, None)?,
    };
    if !current.state.continues(&synthesizer.start()) {
        return Err(checkpoint::damaged(&path, "images or an optimizer of other shapes"));
    }
    loop {
        run_octave(plan, &path, cancel, &mut synthesizer, &mut current, progress)?;
        if current.octave + 1 == plan.octaves.len() {
            break;
        }
        enlarge(plan, item, &mut synthesizer, &mut current)?;
    }
    checkpoint::write(&path, &current)?;
    let images = synthesizer.images(&current.state);
    Ok(Finished { checkpoint: current, start: start_images, images })
}

fn run_octave(
    plan: &Plan,
    path: &Path,
    cancel: &Cancel,
    synthesizer: &mut Synthesizer,
    current: &mut Checkpoint,
    progress: &mut Progress,
) -> Result<()> {
    while !current.state.is_done() {
        let report = synthesizer.step(&mut current.state)?;
        current.seconds += report.seconds;
        current.executor_seconds += report.executor_seconds;
        progress.tick(|| describe(&report.metrics));
        if cancel.requested() {
            checkpoint::write(path, current)?;
            return Err(Error::Interrupted { dir: path.to_path_buf() });
        }
        if current.state.step.is_multiple_of(plan.config.checkpoint_every) {
            checkpoint::write(path, current)?;
        }
    }
    Ok(())
}

fn describe(metrics: &crate::objective::Metrics) -> String {
    let get = |name: &str| metrics.get(name).and_then(|values| values.first()).copied();
    match (get("mean_abs_r"), get("max_abs_r"), get("target_rms_error")) {
        (Some(mean), Some(max), _) => format!("mean |R| {mean:.3}, max {max:.3}"),
        (_, _, Some(error)) => format!("rms deviation {error:.3}"),
        _ => String::new(),
    }
}

/// Goes on at the next octave: the images enlarged, the optimizer fresh, the trace continued.
fn enlarge(plan: &Plan, item: usize, synthesizer: &mut Synthesizer, current: &mut Checkpoint) -> Result<()> {
    let octave = current.octave + 1;
    let [height, width] = plan.octaves[octave];
    let small = render_array(plan.param(item as u64, current.octave, None)?.as_ref(), &current.state.leaves);
    let images = resample_bilinear(&small, height, width);
    *synthesizer = plan.synthesizer(item as u64, octave, Some(&images))?;
    let done = current.state.step;
    let mut state = State::new(synthesizer.param.leaves(), done + plan.steps_per_octave());
    state.step = done;
    state.trace = std::mem::take(&mut current.state.trace);
    current.state = state;
    current.octave = octave;
    Ok(())
}
