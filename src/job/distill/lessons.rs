//! What students learn from: views of images, and the teacher's responses to them.

use super::pictures::Pictures;
use super::plan::Plan;
use super::teacher::{Responses, respond};
use crate::compression::distillation::{Lessons, View};
use crate::data::StimulusSource;
use crate::error::{Error, Result};
use crate::job::{RunDir, Session};
use crate::math::stats;
use ndarray::{Array2, Array4, Axis, concatenate};
use std::ops::Range;

/// The teacher's responses to all that students see.
pub struct Taught {
    /// View by view, n_images x units, in standard deviations from the mean.
    views: Vec<Array2<f32>>,
    held: Array2<f32>,
    /// Images and responses are of these sizes.
    held_images: Array4<f32>,
    /// Of the responses to the images that are learnt from, unit by unit.
    pub means: Vec<f64>,
    pub sds: Vec<f64>,
    /// To the held-out images, as the teacher gives them.
    pub held_raw: Responses,
}

impl Taught {
    /// Asks the teacher, and standardises its responses: mean 0 and standard deviation 1 over the
    /// images that are learnt from, unit by unit.
    ///
    /// # Errors
    /// As [`respond`]; [`Error::Invalid`] for a unit that always responds the same.
    pub fn new(plan: &Plan, session: &Session, run: &RunDir) -> Result<Self> {
        let (options, seed) = (&plan.config.views, plan.config.seed);
        let whole = |images: &[usize]| images.iter().map(|&i| (i, View::WHOLE)).collect::<Vec<_>>();
        let held_raw = respond(plan, session, run, "held-out images", &plan.pictures, &whole(&plan.held))?;
        let mut raw = Vec::new();
        for view in 0..options.n {
            let drawn = Pictures::views(options, seed, view, &plan.taught);
            let seen: Vec<(usize, View)> = plan.taught.iter().copied().zip(drawn).collect();
            raw.push(respond(plan, session, run, &format!("view {view}"), &plan.pictures, &seen)?.mean);
        }
        let views: Vec<_> = raw.iter().map(|r| r.view()).collect();
        let all = concatenate(Axis(0), &views).expect("views have the same units");
        let columns: Vec<Vec<f64>> = all.columns().into_iter().map(|c| c.to_vec()).collect();
        let means: Vec<f64> = columns.iter().map(|c| stats::mean(c)).collect();
        let sds: Vec<f64> = columns.iter().map(|c| stats::sd(c, 0)).collect();
        if let Some(unit) = sds.iter().position(|sd| sd.is_nan() || *sd <= 1e-12) {
            let at = format!("responses of `{}`", plan.teacher.names[unit]);
            let hint = "a unit that never changes teaches nothing: choose others (`units`)";
            return Err(Error::invalid(at, "responses that vary over images", format!("always {}", means[unit]), hint));
        }
        let z =
            |raw: &Array2<f64>| Array2::from_shape_fn(raw.dim(), |(i, u)| ((raw[(i, u)] - means[u]) / sds[u]) as f32);
        let size = (plan.input.height, plan.input.width);
        let held_images = plan.pictures.read(&plan.held, &vec![View::WHOLE; plan.held.len()], size)?;
        Ok(Self { views: raw.iter().map(z).collect(), held: z(&held_raw.mean), held_images, means, sds, held_raw })
    }

    /// Responses of some units to the held-out images, standardised.
    pub fn held(&self, units: &[usize]) -> Array2<f32> {
        self.held.select(Axis(1), units)
    }

    /// Responses of a unit to the first images that are learnt from, as they are: what pruning is
    /// judged by.
    pub fn first(&self, unit: usize, n: usize) -> Array2<f64> {
        Array2::from_shape_fn((n, 1), |(i, _)| f64::from(self.views[0][(i, unit)]))
    }

    pub fn held_images(&self) -> &Array4<f32> {
        &self.held_images
    }
}

/// The lessons of one student.
pub struct Lesson<'a> {
    pub plan: &'a Plan,
    pub taught: &'a Taught,
    /// Units that are its outputs.
    pub units: Vec<usize>,
}

impl Lessons for Lesson<'_> {
    fn n_images(&self) -> usize {
        self.plan.taught.len()
    }

    fn read(&self, epoch: usize, images: &[usize]) -> Result<(Array4<f32>, Array2<f32>)> {
        let (plan, view) = (self.plan, epoch % self.plan.config.views.n);
        let chosen: Vec<usize> = images.iter().map(|&i| plan.taught[i]).collect();
        let views = Pictures::views(&plan.config.views, plan.config.seed, view, &chosen);
        let shown = plan.pictures.read(&chosen, &views, (plan.input.height, plan.input.width))?;
        Ok((shown, self.taught.views[view].select(Axis(0), images).select(Axis(1), &self.units)))
    }

    fn held_out(&self) -> Result<(Array4<f32>, Array2<f32>)> {
        Ok((self.taught.held_images.clone(), self.taught.held(&self.units)))
    }
}

/// The first images that are learnt from, as they are, at the students' size.
pub struct Judging<'a> {
    pub plan: &'a Plan,
    pub n: usize,
}

impl StimulusSource for Judging<'_> {
    fn n_images(&self) -> usize {
        self.n
    }

    fn read(&self, range: Range<usize>) -> Result<Array4<f32>> {
        let images = &self.plan.taught[range];
        let size = (self.plan.input.height, self.plan.input.width);
        self.plan.pictures.read(images, &vec![View::WHOLE; images.len()], size)
    }
}
