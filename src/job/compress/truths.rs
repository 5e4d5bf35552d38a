//! What is known of images: their classes, or recorded responses to them.

use super::config::Config;
use super::labels;
use super::plan::Sides;
use super::sets::{Chosen, Opened, Truth};
use super::subject::Subject;
use crate::data::names::find_all;
use crate::error::{Error, Result};
use crate::job::fitted::select;
use crate::job::inputs::targets::{self, Aligned, Matching};
use crate::network::Shape;
use crate::warning::Warning;
use ndarray::{Array2, Axis};
use std::collections::HashMap;

/// Where to look.
pub struct Known<'a> {
    pub config: &'a Config,
    pub subject: &'a Subject,
    pub judged: &'a Opened,
    pub tested: Option<&'a Opened>,
    pub sides: &'a Sides,
}

impl Known<'_> {
    /// What is known of the images of both sides, and the outputs' names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for classes or responses that do not fit the images or the outputs.
    pub fn truths(&self, warnings: &mut Vec<Warning>) -> Result<([Truth; 2], Vec<String>)> {
        let graph = &self.subject.graph;
        let shape = graph.node(graph.scores()).shape;
        if !self.config.targets.files.is_empty() {
            let (found, names) = self.responses(shape.len(), warnings)?;
            return Ok((found.map(Truth::Responses), names));
        }
        if !self.config.outputs.is_empty() && self.subject.fitted.is_none() {
            let hint = "they say which target each output is";
            return Err(Error::invalid("outputs", "recorded responses (`targets.files`) beside them", "none", hint));
        }
        if let Some(fitted) = &self.subject.fitted {
            return Ok(([Truth::Nothing, Truth::Nothing], fitted.targets.clone()));
        }
        match &self.judged.classes {
            Some(own) => self.classes(own, shape, warnings),
            None => {
                let numbers = (0..shape.channels).map(|k| k.to_string()).collect();
                Ok(([Truth::Nothing, Truth::Nothing], numbers))
            }
        }
    }

    /// Classes as outputs.
    fn classes(&self, own: &[String], shape: Shape, warnings: &mut Vec<Warning>) -> Result<([Truth; 2], Vec<String>)> {
        if !shape.is_flat() {
            let found = format!("{} x {} x {}", shape.channels, shape.height, shape.width);
            return Err(Error::invalid("labels", "a network with one output a class", found, "leave the classes out"));
        }
        let others = self.tested.map(|opened| opened.classes.as_deref());
        if others == Some(None) {
            let hint = "give them as `images`: a folder for each class, or rows of the table of labels";
            return Err(Error::invalid("test_images", "images with classes, as `images` have them", "none", hint));
        }
        let training = self.subject.about.training.as_ref();
        let known = labels::outputs(self.config.classes.as_deref(), training, shape.channels)?;
        let lists: Vec<&[String]> = std::iter::once(own).chain(others.flatten()).collect();
        let numbered = labels::number(&lists, known, shape.channels)?;
        warnings.extend(numbered.warnings);
        let labels = |images: &Chosen, list: usize| {
            Truth::Labels(images.places().iter().map(|&i| numbered.labels[list][i]).collect())
        };
        // Without images of its own the test is a part of the others.
        let truths = [labels(&self.sides.judged, 0), labels(&self.sides.tested, lists.len() - 1)];
        Ok((truths, numbered.names))
    }

    /// Recorded responses of both sides, n_images x n_outputs, and the targets' names.
    fn responses(&self, n_outputs: usize, warnings: &mut Vec<Warning>) -> Result<([Array2<f64>; 2], Vec<String>)> {
        let config = self.config;
        let mut read = targets::read(&config.targets)?;
        warnings.append(&mut read.warnings);
        if config.targets.matching == Matching::Order && config.test_images.is_some() {
            let hint = "name the stimulus of each row (`targets.ids`), or give one set of images";
            let expected = "names of stimuli, for two sets of images";
            return Err(Error::invalid("targets.match", expected, "their order", hint));
        }
        // All images, in the order of their set where there is one.
        let names: Vec<String> = match config.test_images {
            None => self.sides.judged.all_names(),
            Some(_) => [self.sides.judged.names(), self.sides.tested.names()].concat(),
        };
        let Aligned { responses, stimuli, warnings: noted } = targets::align(&read, &names, config.targets.matching)?;
        warnings.extend(noted);
        let chosen = self.chosen(responses.targets(), n_outputs)?;
        let named: Vec<String> = chosen.iter().map(|&t| responses.targets()[t].clone()).collect();
        let means = responses.mean().select(Axis(0), &chosen);
        let rows: HashMap<&str, usize> = stimuli.iter().map(|&i| names[i].as_str()).zip(0..).collect();
        let of = |side: &Chosen| of_side(side, &means, &rows, &named);
        Ok(([of(&self.sides.judged)?, of(&self.sides.tested)?], named))
    }

    /// The targets that the outputs are.
    fn chosen(&self, there: &[String], n_outputs: usize) -> Result<Vec<usize>> {
        if let Some(own) = &self.subject.fitted {
            return Ok(find_all(&own.targets, there, "targets.names", ("targets of the model", "responses"))?.places);
        }
        let asked = &self.config.outputs;
        let chosen = if asked.is_empty() { (0..there.len()).collect() } else { select(there, asked)? };
        if chosen.len() == n_outputs {
            return Ok(chosen);
        }
        let expected = format!("{n_outputs} targets, one an output of the network");
        Err(Error::invalid("outputs", expected, chosen.len().to_string(), "name the targets that the outputs are"))
    }
}

/// The rows of a side's images, n_images x n_targets, of means n_targets x n_stimuli.
fn of_side(side: &Chosen, means: &Array2<f64>, rows: &HashMap<&str, usize>, targets: &[String]) -> Result<Array2<f64>> {
    let names = side.names();
    let row = |name: &String| {
        rows.get(name.as_str()).copied().ok_or_else(|| {
            let hint = "take the image out of the set, or add its responses";
            Error::invalid("targets.files", format!("responses to the image `{name}`"), "none", hint)
        })
    };
    let places = names.iter().map(row).collect::<Result<Vec<usize>>>()?;
    let values = means.select(Axis(1), &places).reversed_axes();
    match values.indexed_iter().find(|(_, v)| !v.is_finite()) {
        None => Ok(values),
        Some(((image, target), v)) => {
            let expected = format!("a response of `{}` to every image", targets[target]);
            let found = format!("{v} for `{}`", names[image]);
            Err(Error::invalid("targets.files", expected, found, "take the target or the image out"))
        }
    }
}
