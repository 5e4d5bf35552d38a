//! Everything that a configuration names, read and checked.

use super::config::Config;
use super::pictures::{Pictures, enough};
use super::teacher::Teacher;
use crate::compression::distillation::{Reading, Student};
use crate::data::names::nfc;
use crate::error::{Error, Result};
use crate::io::filename::{Part, distinct};
use crate::job::drive::Population;
use crate::job::inputs::targets::{self, Aligned};
use crate::network::InputSpec;
use crate::rng::stream;
use crate::tensor::Device;
use crate::warning::Warning;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// A checked configuration.
pub struct Plan {
    pub config: Config,
    pub teacher: Teacher,
    /// What each unit's files are called.
    pub files: Vec<String>,
    /// Where each unit's arrays stand in an npz.
    pub keys: Vec<String>,
    pub pictures: Pictures,
    /// Images that are learnt from, and those that never are.
    pub taught: Vec<usize>,
    pub held: Vec<usize>,
    pub tested: Option<Tested>,
    pub input: InputSpec,
    pub device: Device,
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

/// Images with recorded responses.
pub struct Tested {
    pub pictures: Pictures,
    pub recorded: Option<Recorded>,
}

/// Responses to compare with.
pub struct Recorded {
    pub aligned: Aligned,
    /// For each unit, the recorded target of its name.
    pub targets: Vec<Option<usize>>,
}

impl Plan {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Error::Invalid`] and whatever the readers say.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let device = config.machine.device()?;
        let [height, width] = config.student.size;
        let input = InputSpec::preset(&config.student.preprocess, height, width)?;
        input.check("student.size")?;
        let (population, mut warnings) = Population::load(&config.teacher.network(), &config.units, config.skip_bad)?;
        let mut sets: BTreeMap<String, String> =
            population.members.iter().map(|m| (format!("model {}", m.name), m.blake3.clone())).collect();
        let teacher = Teacher::new(population, config.ensemble)?;
        student(&config, &input, teacher.names.len()).build("student", 0)?;
        let (tested, without) = tested(&config, &teacher, &mut sets, &mut warnings)?;
        let (pictures, _, found) = Pictures::open(&config.images, config.resize, &without)?;
        warnings.extend(found);
        sets.insert("images".into(), pictures.hash.clone());
        enough(pictures.n(), config.n_held + 10, &format!("{} are held out, and some must be left", config.n_held))?;
        let order = stream(config.seed, "held-out images", 0).permutation(pictures.n());
        let (mut held, mut taught) = (order[..config.n_held].to_vec(), order[config.n_held..].to_vec());
        held.sort_unstable();
        taught.sort_unstable();
        let files = distinct(Part::Stem, &teacher.names);
        let keys = distinct(Part::Key, &teacher.names);
        Ok(Self { config, teacher, files, keys, pictures, taught, held, tested, input, device, sets, warnings })
    }

    /// A student of some outputs.
    pub fn student(&self, n_outputs: usize) -> Student {
        student(&self.config, &self.input, n_outputs)
    }

    /// What `--dry-run` prints.
    ///
    /// # Errors
    /// As building a student.
    pub fn describe(&self) -> Result<Value> {
        let n = self.teacher.names.len();
        let shared = self.config.student.shared;
        let graph = self.student(if shared { n } else { 1 }).build("student", self.config.seed)?;
        let trained = if shared { 1 } else { n };
        let seen = self.config.training.epochs * self.taught.len() * trained;
        Ok(json!({
            "dry_run": true,
            "teacher": self.config.teacher.model,
            "units": self.teacher.names,
            "n_images": self.taught.len(),
            "n_held": self.held.len(),
            "n_test": self.tested.as_ref().map(|t| t.pictures.n()),
            "n_views": self.config.views.n,
            "parameters": graph.n_parameters(),
            // Forward, and twice as much back but for the image's gradient.
            "training_gflop": 6.0 * graph.n_macs(graph.output()) as f64 * seen as f64 / 1e9,
        }))
    }
}

fn student(config: &Config, input: &InputSpec, n_outputs: usize) -> Student {
    let shared = config.student.shared;
    let reading = if shared { Reading::Factorised } else { Reading::Own };
    Student {
        widths: config.student.widths.clone(),
        reading,
        n_outputs: if shared { n_outputs } else { 1 },
        input: input.clone(),
    }
}

type Hashes = HashSet<super::pictures::PixelHash>;

fn tested(
    config: &Config,
    teacher: &Teacher,
    sets: &mut BTreeMap<String, String>,
    warnings: &mut Vec<Warning>,
) -> Result<(Option<Tested>, Hashes)> {
    let Some(path) = &config.test_images else { return Ok((None, Hashes::new())) };
    let (pictures, seen, found) = Pictures::open(std::slice::from_ref(path), config.resize, &Hashes::new())?;
    warnings.extend(found);
    sets.insert("test_images".into(), pictures.hash.clone());
    enough(pictures.n(), 2, "a correlation needs some")?;
    let recorded = recorded(config, teacher, &pictures.names, warnings)?;
    Ok((Some(Tested { pictures, recorded }), seen))
}

fn recorded(
    config: &Config,
    teacher: &Teacher,
    stimuli: &[String],
    warnings: &mut Vec<Warning>,
) -> Result<Option<Recorded>> {
    if config.targets.files.is_empty() {
        return Ok(None);
    }
    let mut read = targets::read(&config.targets)?;
    warnings.append(&mut read.warnings);
    let mut aligned = targets::align(&read, stimuli, config.targets.matching)?;
    warnings.append(&mut aligned.warnings);
    let there: BTreeMap<_, usize> = aligned.responses.targets().iter().map(|name| nfc(name)).zip(0..).collect();
    let found: Vec<Option<usize>> = teacher.names.iter().map(|name| there.get(&nfc(name)).copied()).collect();
    let n_missing = found.iter().filter(|f| f.is_none()).count();
    if n_missing == found.len() {
        let expected = format!("targets with the names of units, such as `{}`", teacher.names[0]);
        let first = aligned.responses.targets().first().map_or("", String::as_str);
        let hint = "name the targets as the teacher's units are called (`targets.names`)";
        return Err(Error::invalid("targets.names", expected, format!("others, such as `{first}`"), hint));
    }
    if n_missing > 0 {
        let text = format!("{n_missing} of {} units have no recorded responses", found.len());
        warnings.push(Warning::Note { text });
    }
    Ok(Some(Recorded { aligned, targets: found }))
}
