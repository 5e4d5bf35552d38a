//! A model's file, read whole or for some targets.

use super::write::{FORMAT, Form, Head, ReadoutHead, SpaceHead};
use super::{EncodingModel, ModelNetwork, ModelSpace, Readout, ReadoutWeights, SpaceFrom};
use crate::encoding::features::Components;
use crate::error::{Error, Result};
use crate::io::tensors::TensorFile;
use crate::network::Weights;
use crate::network::card::Card;
use ndarray::{Array2, ArrayD, IxDyn};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Reads a whole model, and checks it.
///
/// # Errors
/// As [`ModelFile::open`]; [`Error::Corrupt`] for weights that are not finite.
pub fn read(path: &Path) -> Result<EncodingModel> {
    let file = ModelFile::open(path)?;
    file.some(&(0..file.head().targets.len()).collect::<Vec<_>>())
}

/// A model's file whose head was read: everything but the weights of its readouts, which are read
/// for the targets that are asked for.
#[derive(Debug)]
pub struct ModelFile {
    file: TensorFile,
    head: EncodingModel,
}

impl ModelFile {
    /// Reads everything but the readouts' weights, and checks it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] for a file that is damaged or no encoding model;
    /// [`Error::Invalid`] for parts that do not fit each other ([`EncodingModel::check`]).
    pub fn open(path: &Path) -> Result<Self> {
        let file = TensorFile::open(path)?;
        let head = decode(&file).map_err(|e| named(path, e))?;
        head.checked(true).map_err(|e| named(path, e))?;
        for (r, readout) in head.readouts.iter().enumerate() {
            let (n, shapes) = (readout.targets.len(), head.shapes(readout)?);
            for (what, [rows, _]) in names(&readout.weights).iter().zip(shapes) {
                require(&file, &format!("readouts/{r}/{what}"), &[n, rows])?;
            }
        }
        Ok(Self { file, head })
    }

    /// The model without the weights of its readouts: they have no columns.
    pub fn head(&self) -> &EncodingModel {
        &self.head
    }

    /// The model of some targets, in this order: no other weights are read, and spaces and layers
    /// that no target needs are left out.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a target that there is not, or twice; [`Error::Corrupt`] for weights
    /// that are not finite; [`Error::Io`].
    pub fn some(&self, targets: &[usize]) -> Result<EncodingModel> {
        let at = || self.file.path().display().to_string();
        let n = self.head.targets.len();
        let mut places = vec![None; n];
        for (place, &target) in targets.iter().enumerate() {
            if target >= n || places[target].replace(place).is_some() {
                let expected = format!("targets from 0 to {}, each once", n - 1);
                return Err(Error::invalid(at(), expected, target.to_string(), ""));
            }
        }
        let mut model = EncodingModel {
            readouts: vec![],
            targets: targets.iter().map(|&t| self.head.targets[t].clone()).collect(),
            ..self.head.clone()
        };
        for (r, readout) in self.head.readouts.iter().enumerate() {
            // New place and place within the readout, by the new place.
            let own = readout.targets.iter().enumerate();
            let mut chosen: Vec<(usize, usize)> = own.filter_map(|(i, &t)| Some((places[t]?, i))).collect();
            chosen.sort_unstable();
            if !chosen.is_empty() {
                model.readouts.push(self.part(r, readout, &chosen)?);
            }
        }
        model.prune()?;
        model.check().map_err(|e| named(self.file.path(), e))?;
        Ok(model)
    }

    fn part(&self, r: usize, readout: &Readout, chosen: &[(usize, usize)]) -> Result<Readout> {
        let rows: Vec<usize> = chosen.iter().map(|&(_, i)| i).collect();
        let array = |what: &str| -> Result<Array2<f32>> {
            let name = format!("readouts/{r}/{what}");
            let n_features = self.file.shape(&name)?[1];
            let values = self.file.rows(&name, &rows)?;
            let rows = Array2::from_shape_vec((rows.len(), n_features), values).expect("as many as rows have");
            Ok(rows.reversed_axes().as_standard_layout().into_owned())
        };
        let weights = match &readout.weights {
            ReadoutWeights::Dense(_) => ReadoutWeights::Dense(array("weights")?),
            ReadoutWeights::Windows { windows, .. } => {
                let windows = rows.iter().map(|&i| windows[i]).collect();
                ReadoutWeights::Windows { windows, weights: array("weights")? }
            }
            ReadoutWeights::Factorized { output, .. } => {
                ReadoutWeights::Factorized { maps: array("maps")?, channels: array("channels")?, output: *output }
            }
        };
        let of = |values: &[f64]| rows.iter().map(|&i| values[i]).collect();
        Ok(Readout {
            spaces: readout.spaces.clone(),
            targets: chosen.iter().map(|&(place, _)| place).collect(),
            weights,
            intercept: of(&readout.intercept),
            alphas: of(&readout.alphas),
        })
    }
}

impl EncodingModel {
    /// Leaves out what no readout needs.
    fn prune(&mut self) -> Result<()> {
        let used: BTreeSet<usize> = self.readouts.iter().flat_map(|r| r.spaces.iter().copied()).collect();
        if used.is_empty() || used.len() == self.spaces.len() {
            return Ok(());
        }
        let moved: BTreeMap<usize, usize> = used.iter().enumerate().map(|(new, &old)| (old, new)).collect();
        self.readouts.iter_mut().flat_map(|r| &mut r.spaces).for_each(|space| *space = moved[space]);
        self.spaces = used.iter().map(|&space| self.spaces[space].clone()).collect();
        let nodes = self.spaces.iter().map(|space| self.node_of(space)).collect::<Result<Vec<_>>>()?;
        let taps: Vec<usize> = nodes.into_iter().flatten().map(|(_, node)| node).collect();
        match &mut self.network {
            Some(network) if !taps.is_empty() => network.graph = network.graph.up_to(&taps)?,
            network => *network = None,
        }
        Ok(())
    }
}

/// What a readout's arrays are called.
fn names(weights: &ReadoutWeights) -> &'static [&'static str] {
    match weights {
        ReadoutWeights::Dense(_) | ReadoutWeights::Windows { .. } => &["weights"],
        ReadoutWeights::Factorized { .. } => &["maps", "channels"],
    }
}

/// An error that names the file.
fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Invalid { at, expected, found, hint } => {
            let file = path.display().to_string();
            let at = if at.contains(&file) { at } else { format!("{file}: {at}") };
            Error::Invalid { at, expected, found, hint }
        }
        other => other,
    }
}

fn require(file: &TensorFile, name: &str, shape: &[usize]) -> Result<()> {
    let found = file.shape(name)?;
    if found == shape {
        return Ok(());
    }
    let hint = "the file is damaged, or was written by something else";
    Err(Error::corrupt(file.path(), format!("`{name}` of {shape:?}"), format!("{found:?}"), hint))
}

fn decode(file: &TensorFile) -> Result<EncodingModel> {
    let path = file.path();
    let hint = "give the file `arrays/model.safetensors` of a fitted model";
    let text = |key: &str| file.metadata().get(key).map(String::as_str);
    match text("format") {
        Some(FORMAT) => {}
        Some(other) => return Err(Error::corrupt(path, FORMAT, format!("`{other}`"), "use the version that wrote it")),
        None => return Err(Error::corrupt(path, "an encoding model", "other tensors", hint)),
    }
    let head: Head = serde_json::from_str(text("model").unwrap_or_default())
        .map_err(|e| Error::corrupt(path, "the description of an encoding model", e.to_string(), hint))?;
    let mut known: BTreeSet<String> = BTreeSet::new();
    let network = match head.network {
        None => None,
        Some(about) => {
            let weights = network_weights(file, &mut known)?;
            let graph = Card::parse(text("card").unwrap_or_default(), path)?.graph(weights, path)?;
            Some(ModelNetwork { graph, source_blake3: about.source_blake3, resize: about.resize })
        }
    };
    let spaces = head.spaces.into_iter().enumerate();
    let spaces = spaces.map(|(i, about)| space(file, i, about, &mut known)).collect::<Result<Vec<_>>>()?;
    let readouts = head.readouts.into_iter().enumerate();
    let readouts = readouts.map(|(r, about)| readout(file, r, about, &mut known)).collect::<Result<Vec<_>>>()?;
    if let Some(other) = file.names().find(|name| !known.contains(*name)) {
        return Err(Error::corrupt(path, "the tensors of an encoding model", format!("`{other}` beside them"), ""));
    }
    let Head { targets, delays, stimuli, .. } = Head { network: None, spaces: vec![], readouts: vec![], ..head };
    Ok(EncodingModel { network, spaces, readouts, targets, delays, stimuli })
}

const NETWORK: &str = "network/";

fn network_weights(file: &TensorFile, known: &mut BTreeSet<String>) -> Result<Weights> {
    let mut weights = Weights::new();
    for name in file.names().filter(|name| name.starts_with(NETWORK)) {
        let array = ArrayD::from_shape_vec(IxDyn(file.shape(name)?), file.f32s(name)?).expect("sizes were checked");
        weights.insert(name[NETWORK.len()..].to_owned(), array);
        known.insert(name.to_owned());
    }
    Ok(weights)
}

fn space(file: &TensorFile, i: usize, about: SpaceHead, known: &mut BTreeSet<String>) -> Result<ModelSpace> {
    let mut f64s = |what: &str| {
        let name = format!("spaces/{i}/{what}");
        known.insert(name.clone());
        file.f64s(&name)
    };
    let (mean, scale) = (f64s("mean")?, f64s("scale")?);
    let SpaceHead { name, from, components } = about;
    if !components {
        return Ok(ModelSpace { name, from, components: None, mean, scale });
    }
    let (centre, spread) = (f64s("components.mean")?, f64s("components.scale")?);
    let tensor = format!("spaces/{i}/components");
    let &[n_units, k] = file.shape(&tensor)? else {
        let found = format!("{:?}", file.shape(&tensor)?);
        return Err(Error::corrupt(file.path(), format!("`{tensor}` of units x components"), found, ""));
    };
    let values = Array2::from_shape_vec((n_units, k), file.f32s(&tensor)?).expect("sizes were checked");
    known.insert(tensor);
    let components = Some(Components { mean: centre, scale: spread, components: values });
    Ok(ModelSpace { name, from, components, mean, scale })
}

fn readout(file: &TensorFile, r: usize, about: ReadoutHead, known: &mut BTreeSet<String>) -> Result<Readout> {
    let at = |what: &str| format!("readouts/{r}/{what}");
    let none = |what: &str| -> Result<Array2<f32>> {
        let name = at(what);
        match file.shape(&name)? {
            &[_, n_features] => Ok(Array2::zeros((n_features, 0))),
            other => {
                let expected = format!("`{name}` of targets x features");
                Err(Error::corrupt(file.path(), expected, format!("{other:?}"), ""))
            }
        }
    };
    let weights = match about.form {
        Form::Dense => ReadoutWeights::Dense(none("weights")?),
        Form::Windows { windows } => ReadoutWeights::Windows { windows, weights: none("weights")? },
        Form::Factorized { output } => {
            ReadoutWeights::Factorized { maps: none("maps")?, channels: none("channels")?, output }
        }
    };
    let (intercept, alphas) = (file.f64s(&at("intercept"))?, file.f64s(&at("alphas"))?);
    known.extend(["intercept", "alphas"].iter().chain(names(&weights)).map(|what| at(what)));
    Ok(Readout { spaces: about.spaces, targets: about.targets, weights, intercept, alphas })
}

impl EncodingModel {
    /// Whether features are needed that only files hold.
    pub fn needs_features(&self) -> bool {
        self.spaces.iter().any(|space| matches!(space.from, SpaceFrom::Given { .. }))
    }
}
