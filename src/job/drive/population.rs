//! Models and the units of them that are driven.

use super::pool::on_all_threads;
use crate::data::names::{matches, natural_order, nfc, twice};
use crate::error::{Error, Result};
use crate::job::fitted;
use crate::job::model::{self, NetworkConfig};
use crate::network::card::{CARD, OF_RUN};
use crate::network::units::{Unit, channels};
use crate::network::zoo::{EXTENSIONS, Model};
use crate::network::{Executor, Graph, JointExecutor, NodeId, TapRequest, TapValue};
use crate::objective::UnitTap;
use crate::progress::{Progress, Sink};
use crate::tensor::{Device, array, tensor};
use crate::warning::Warning;
use ndarray::{Array2, Array4, ArrayD, Axis, Slice};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// One network.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    pub graph: Graph,
    pub origin: String,
    pub blake3: String,
}

/// One unit of one of the networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PopulationUnit {
    /// Unique among the units.
    pub name: String,
    /// Index of its network.
    pub member: usize,
    pub unit: Unit,
}

/// Networks with one input size, and units of theirs.
#[derive(Debug, Clone)]
pub struct Population {
    pub members: Vec<Member>,
    pub units: Vec<PopulationUnit>,
}

/// An executor with what is read from its taps.
pub struct Wired {
    pub executor: Box<dyn Executor>,
    /// One per unit asked for.
    pub units: Vec<UnitTap>,
    /// The tap of the layer asked for.
    pub layer: Option<usize>,
}

/// Images that go through a network at once when only responses are wanted.
const CHUNK: usize = 32;

impl Population {
    /// Reads one network and its units ([`Graph::units`]), or a folder of network files or model directories: there
    /// `names` select files by their place in natural order (`3`, `0-8`), by name (`*` stands for
    /// anything, `?` for one character) or `all`, and every output of a file is a unit. Of a fitted
    /// encoding model the units are targets, chosen in the same way ([`fitted::select`]).
    ///
    /// # Errors
    /// What the readers say, for the first bad file; with `skip_bad` bad files of a folder become
    /// warnings as long as one is good. [`Error::Invalid`] for units that are not there, or
    /// networks of different input sizes.
    pub fn load(network: &NetworkConfig, names: &[String], skip_bad: bool) -> Result<(Self, Vec<Warning>)> {
        if let Some(file) = fitted::file(&network.model) {
            return super::fitted::load(&file, network, names);
        }
        let folder = Path::new(&network.model);
        // A run directory of a job that made one network is that network.
        let single = [folder.join(CARD), folder.join(OF_RUN).join(CARD)].iter().any(|card| card.is_file());
        let files = if folder.is_dir() && !single { network_files(folder)? } else { vec![] };
        if files.is_empty() {
            let mut found = network.load()?;
            let warnings = std::mem::take(&mut found.warnings);
            let units = found.graph.units(names)?;
            let units =
                units.into_iter().map(|u| PopulationUnit { name: u.name.clone(), member: 0, unit: u }).collect();
            return Ok((Self { members: vec![member(found)], units }, warnings));
        }
        let mut warnings = Vec::new();
        let mut population = Self { members: vec![], units: vec![] };
        let called = file_names(&files);
        for chosen in select(&called, names, folder)? {
            let (file, name) = (&files[chosen], &called[chosen]);
            match network.load_other(&file.display().to_string()) {
                Ok(mut found) => {
                    warnings.append(&mut found.warnings);
                    population.add(found, name)?;
                }
                Err(e) if skip_bad => {
                    warnings.push(Warning::SkippedModel { name: file.display().to_string(), reason: e.to_string() });
                }
                Err(e) => return Err(e),
            }
        }
        population.check_names("units")?;
        if population.members.is_empty() {
            let hint = "none of the files could be read";
            return Err(Error::invalid(folder.display().to_string(), "at least one good model", "none", hint));
        }
        population.check_sizes()?;
        Ok((population, warnings))
    }

    fn add(&mut self, found: Model, name: &str) -> Result<()> {
        let units = found.graph.units(&["all".into()])?;
        let several = units.len() > 1;
        for unit in units {
            let name = if several { format!("{name}:{}", unit.channel) } else { name.to_owned() };
            self.units.push(PopulationUnit { name, member: self.members.len(), unit });
        }
        self.members.push(Member { name: name.to_owned(), ..member(found) });
        Ok(())
    }

    /// Refuses two units of one name: results could not say which is which.
    fn check_names(&self, at: &str) -> Result<()> {
        let Some(name) = twice(self.units.iter().map(|unit| unit.name.as_str())) else { return Ok(()) };
        let mut files =
            self.units.iter().filter(|unit| unit.name == name).map(|unit| &self.members[unit.member].origin);
        let found = match (files.next(), files.next()) {
            (Some(first), Some(second)) if first != second => format!("`{name}` of {first} and of {second}"),
            _ => format!("`{name}` twice"),
        };
        Err(Error::invalid(
            at,
            "one unit a name",
            found,
            "units of a folder are called by their files: rename one of them",
        ))
    }

    fn check_sizes(&self) -> Result<()> {
        let size = |m: &Member| (m.graph.input.height, m.graph.input.width);
        match self.members.iter().find(|m| size(m) != size(&self.members[0])) {
            None => Ok(()),
            Some(other) => Err(Error::invalid(
                "network.model",
                format!("networks of one input size ({} x {})", self.size().0, self.size().1),
                format!("`{}` of {} x {}", other.name, size(other).0, size(other).1),
                "drive networks of another size in a run of their own",
            )),
        }
    }

    /// Puts the networks and units of another population behind its own; names that are taken
    /// already get the network's in front.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the input sizes differ.
    pub fn join(&mut self, other: Self) -> Result<()> {
        let before = self.members.len();
        for unit in other.units {
            let taken = self.units.iter().any(|u| u.name == unit.name);
            let name = if taken { format!("{}/{}", other.members[unit.member].name, unit.name) } else { unit.name };
            self.units.push(PopulationUnit { name, member: before + unit.member, unit: unit.unit });
        }
        self.members.extend(other.members);
        self.check_names("against")?;
        self.check_sizes()
    }

    /// Whether all units are of one layer.
    pub fn of_one_layer(&self) -> bool {
        let place = |unit: &PopulationUnit| (unit.member, unit.unit.node);
        self.units.windows(2).all(|pair| place(&pair[0]) == place(&pair[1]))
    }

    /// Height and width of the images.
    pub fn size(&self) -> (usize, usize) {
        let input = &self.members[0].graph.input;
        (input.height, input.width)
    }

    /// An executor of the networks that these units belong to, and where in its taps each unit is
    /// read.
    ///
    /// # Errors
    /// As the executor's constructor.
    pub fn executor(&self, units: &[usize], device: &Device) -> Result<(Box<dyn Executor>, Vec<UnitTap>)> {
        self.wire(units, None, device).map(|wired| (wired.executor, wired.units))
    }

    /// As [`executor`](Self::executor), with one more layer (network, node) tapped.
    ///
    /// # Errors
    /// As the executor's constructor.
    pub fn wire(&self, units: &[usize], layer: Option<(usize, NodeId)>, device: &Device) -> Result<Wired> {
        let mut wanted: Vec<(usize, usize)> = units.iter().map(|&u| self.place(u)).chain(layer).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut members: Vec<Box<dyn Executor>> = Vec::new();
        for group in wanted.chunk_by(|a, b| a.0 == b.0) {
            let requests: Vec<TapRequest> = group.iter().map(|&(_, node)| TapRequest::Activations(node)).collect();
            members.push(model::executor(&self.members[group[0].0].graph, &requests, device)?);
        }
        let tap = |&u: &usize| {
            let place = self.place(u);
            let tap = wanted.iter().position(|w| *w == place).expect("every unit's place was collected");
            UnitTap { tap, channel: self.units[u].unit.channel, at: self.units[u].unit.at }
        };
        let taps = units.iter().map(tap).collect();
        let layer = layer.and_then(|place| wanted.iter().position(|w| *w == place));
        let executor = if members.len() == 1 { members.remove(0) } else { Box::new(JointExecutor::new(members)?) };
        Ok(Wired { executor, units: taps, layer })
    }

    fn place(&self, unit: usize) -> (usize, usize) {
        (self.units[unit].member, self.units[unit].unit.node)
    }

    /// Responses of every unit to every image (n x 3 x h x w in [0, 1]): n_images x n_units. `done`
    /// is called per network.
    ///
    /// # Errors
    /// As [`Executor::infer`].
    pub fn responses(&self, images: &Array4<f32>, device: &Device, done: impl Fn() + Sync) -> Result<Array2<f64>> {
        let columns = on_all_threads(self.members.len(), |member| {
            let units: Vec<usize> = (0..self.units.len()).filter(|&u| self.units[u].member == member).collect();
            let found = self.unit_responses(&units, images, device);
            done();
            found.map(|table| (units, table))
        })?;
        let mut out = Array2::zeros((images.dim().0, self.units.len()));
        for (units, table) in columns {
            for (column, unit) in units.into_iter().enumerate() {
                out.column_mut(unit).assign(&table.column(column));
            }
        }
        Ok(out)
    }

    /// [`responses`](Self::responses) with a progress line called `label`.
    ///
    /// # Errors
    /// As there.
    pub fn responses_shown(
        &self,
        images: &Array4<f32>,
        device: &Device,
        sink: &Sink,
        label: &str,
    ) -> Result<Array2<f64>> {
        let progress = Mutex::new(Progress::new(sink, label, self.members.len() as u64, 0));
        let tick = || progress.lock().expect("no worker panics while it reports").tick(String::new);
        let found = self.responses(images, device, tick)?;
        progress.into_inner().expect("all workers have ended").finish();
        Ok(found)
    }

    /// Responses of some units to images: n_images x units.
    ///
    /// # Errors
    /// As [`Executor::infer`].
    pub fn unit_responses(&self, units: &[usize], images: &Array4<f32>, device: &Device) -> Result<Array2<f64>> {
        let mut out = Array2::zeros((images.dim().0, units.len()));
        if units.is_empty() {
            return Ok(out);
        }
        let (mut executor, taps) = self.executor(units, device)?;
        let n = images.dim().0;
        for start in (0..n).step_by(CHUNK) {
            let chunk = images.slice_axis(Axis(0), Slice::from(start..(start + CHUNK).min(n)));
            let values: Vec<ArrayD<f32>> = executor
                .infer(&tensor(chunk.view(), device))?
                .iter()
                .map(|v| match v {
                    TapValue::Activations(a) => array(a),
                    TapValue::Moments(_) => ArrayD::zeros(vec![0]),
                })
                .collect();
            for (column, tap) in taps.iter().enumerate() {
                for (row, image) in values[tap.tap].outer_iter().enumerate() {
                    let plane = image.index_axis(Axis(0), tap.channel);
                    out[(start + row, column)] = match tap.at {
                        Some([y, x]) => f64::from(plane[[y, x]]),
                        None => plane.iter().map(|&v| f64::from(v)).sum::<f64>() / plane.len() as f64,
                    };
                }
            }
        }
        Ok(out)
    }
}

fn member(found: Model) -> Member {
    Member { name: found.graph.name.clone(), graph: found.graph, origin: found.origin, blake3: found.blake3 }
}

/// What the models of files are called: the file's name without its ending; with it where another
/// has the same.
fn file_names(files: &[PathBuf]) -> Vec<String> {
    let text = |part: Option<&std::ffi::OsStr>| nfc(&part.unwrap_or_default().to_string_lossy()).into_owned();
    let stem = |f: &PathBuf| if f.is_dir() { text(f.file_name()) } else { text(f.file_stem()) };
    let stems: Vec<String> = files.iter().map(stem).collect();
    let alone = |stem: &String| stems.iter().filter(|other| *other == stem).count() == 1;
    stems.iter().zip(files).map(|(stem, f)| if alone(stem) { stem.clone() } else { text(f.file_name()) }).collect()
}

/// Files of a folder that can be imported and model directories in it, in natural order; also those that cannot be opened, a link
/// that leads nowhere for example, which are an error where they are asked for.
fn network_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "read"))? {
        let path = entry.map_err(Error::io(folder, "read"))?.path();
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let is_model = if path.is_dir() { path.join(CARD).is_file() } else { EXTENSIONS.contains(&ending.as_str()) };
        if is_model {
            files.push(path);
        }
    }
    files.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(files)
}

/// Indices of the files that are asked for, by their place or name.
fn select(files: &[String], names: &[String], folder: &Path) -> Result<Vec<usize>> {
    let mut chosen = std::collections::BTreeSet::new();
    for name in names {
        let found: Vec<usize> = match channels(name, files.len()) {
            Some(places) => places,
            None => (0..files.len()).filter(|&i| matches(&nfc(name), &files[i])).collect(),
        };
        if found.is_empty() || found.iter().any(|&i| i >= files.len()) {
            return Err(Error::invalid(
                "units",
                format!(
                    "one of the {} models of {} (0 to {}, a name with *, or all)",
                    files.len(),
                    folder.display(),
                    files.len() - 1
                ),
                format!("`{name}`"),
                "models count from 0 in natural order of their names; two files of one name are called with their endings",
            ));
        }
        chosen.extend(found);
    }
    Ok(chosen.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::{file_names, select};
    use std::path::{Path, PathBuf};

    #[test]
    fn two_files_of_one_name_are_two_models() {
        let files = ["m/a.onnx", "m/a.pt", "m/e\u{301}.onnx"].map(PathBuf::from);
        let names = file_names(&files);
        assert_eq!(names, ["a.onnx", "a.pt", "\u{e9}"]);
        let chosen = |name: &str| select(&names, &[name.to_owned()], Path::new("m"));
        assert_eq!((chosen("a.pt").unwrap(), chosen("e\u{301}").unwrap()), (vec![1], vec![2]));
        assert!(chosen("a").unwrap_err().to_string().contains("`a`"), "which of the two is not said");
    }
}
