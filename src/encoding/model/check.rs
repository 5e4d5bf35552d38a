//! Whether the parts of a model fit each other.

use super::{EncodingModel, ModelSpace, Readout, ReadoutWeights, SpaceFrom};
use crate::data::names::twice;
use crate::encoding::features::{Reduction, TapMap};
use crate::error::{Error, Result};
use crate::network::{Graph, NodeId, Shape};
use crate::size;

/// Samples that features may be delayed by.
const DELAY: usize = 1_000_000;
/// Numbers of masks and bytes of projections that are made anew from a model.
const MADE: u64 = 1 << 32;

impl EncodingModel {
    /// Whether everything fits: sizes, places, names; every target in one readout at most, numbers
    /// finite (penalties may be any).
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the part.
    pub fn check(&self) -> Result<()> {
        self.checked(false)
    }

    /// As [`check`](Self::check); weights of no columns are to come where `pending`.
    pub(super) fn checked(&self, pending: bool) -> Result<()> {
        let bad = |expected: &str, found: String| Err(Error::invalid("encoding model", expected, found, ""));
        if self.targets.is_empty() || self.spaces.is_empty() {
            return bad("targets and features", format!("{} and {}", self.targets.len(), self.spaces.len()));
        }
        if let Some(name) = self.targets.iter().find(|name| name.is_empty() || name.contains(['\n', '\r', '\0'])) {
            return bad("names of targets in one line", format!("{name:?}"));
        }
        if let Some(name) = twice(self.targets.iter().map(String::as_str)) {
            return bad("a name of its own for every target", format!("`{name}` twice"));
        }
        if let Some(delay) = self.delays.iter().find(|d| d.unsigned_abs() > DELAY) {
            return bad("delays of at most a million samples", delay.to_string());
        }
        self.spaces.iter().try_for_each(|space| self.check_space(space))?;
        let mut owners = vec![None; self.targets.len()];
        for (r, readout) in self.readouts.iter().enumerate() {
            self.check_readout(r, readout, pending)?;
            for &target in &readout.targets {
                if let Some(other) = owners[target].replace(r) {
                    let expected = "every target in one readout at most";
                    return bad(expected, format!("`{}` in {other} and {r}", self.targets[target]));
                }
            }
        }
        Ok(())
    }

    /// The network's node that a space is read from; none for features that others made.
    ///
    /// # Errors
    /// [`Error::Invalid`] without a network; [`Error::UnknownTap`].
    pub(super) fn node_of(&self, space: &ModelSpace) -> Result<Option<(&Graph, NodeId)>> {
        let SpaceFrom::Tap { tap, .. } = &space.from else { return Ok(None) };
        let Some(network) = &self.network else {
            let at = format!("features `{}`", space.name);
            return Err(Error::invalid(at, "a network that has the tap", "a model without one", ""));
        };
        Ok(Some((&network.graph, network.graph.tap(tap)?)))
    }

    fn check_space(&self, space: &ModelSpace) -> Result<()> {
        let at = format!("encoding model, features `{}`", space.name);
        let bad = |expected: String, found: String| Err(Error::invalid(at.clone(), expected, found, ""));
        let streamed = match (&space.from, self.node_of(space)?) {
            (SpaceFrom::Tap { reduction, .. }, Some((graph, node))) => streamed(reduction, graph, node, &at)?,
            (SpaceFrom::Given { n_features }, _) => *n_features,
            (SpaceFrom::Tap { .. }, None) => 0,
        };
        let learnt = matches!(&space.from, SpaceFrom::Tap { reduction: Reduction::Pca(_), .. });
        if learnt && space.components.is_none() {
            return bad("the components of its PCA".into(), "none".into());
        }
        let mut width = streamed;
        if let Some(found) = &space.components {
            let (rows, k) = found.components.dim();
            if [found.mean.len(), found.scale.len(), rows] != [streamed; 3] {
                let sizes = format!("{}, {} and {rows}", found.mean.len(), found.scale.len());
                return bad(format!("means, scales and components of {streamed} units"), sizes);
            }
            width = k;
            scales(&at, &found.mean, &found.scale)?;
            finite(&at, found.components.iter())?;
        }
        if width == 0 || [space.mean.len(), space.scale.len()] != [width; 2] {
            let found = format!("{} and {}", space.mean.len(), space.scale.len());
            return bad(format!("means and scales of {width} features, 1 or more"), found);
        }
        scales(&at, &space.mean, &space.scale)
    }

    fn check_readout(&self, r: usize, readout: &Readout, pending: bool) -> Result<()> {
        let at = format!("encoding model, readout {r}");
        let bad = |expected: &str, found: String| Err(Error::invalid(at.clone(), expected, found, ""));
        let n = readout.targets.len();
        let distinct = readout.spaces.iter().collect::<std::collections::BTreeSet<_>>().len();
        if n == 0 || distinct == 0 || distinct != readout.spaces.len() {
            return bad("targets, and spaces once each", format!("{n} targets, spaces {:?}", readout.spaces));
        }
        if readout.spaces.iter().any(|&s| s >= self.spaces.len()) {
            return bad("spaces of the model", format!("{:?} of {}", readout.spaces, self.spaces.len()));
        }
        let ascending = readout.targets.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || readout.targets.iter().any(|&t| t >= self.targets.len()) {
            return bad("ascending targets of the model", format!("others of {}", self.targets.len()));
        }
        if [readout.intercept.len(), readout.alphas.len()] != [n; 2] {
            let found = format!("{} and {}", readout.intercept.len(), readout.alphas.len());
            return bad(&format!("intercepts and penalties of {n} targets"), found);
        }
        finite64(&at, &readout.intercept)?;
        let (expected, found) = (self.shapes(readout)?, readout.weights.shapes());
        let fits = |(e, f): (&[usize; 2], &[usize; 2])| f[0] == e[0] && (f[1] == n || (pending && f[1] == 0));
        if !expected.iter().zip(&found).all(fits) {
            return bad(&format!("weights of {expected:?}"), format!("{found:?}"));
        }
        readout.weights.arrays().into_iter().try_for_each(|array| finite(&at, array.iter()))
    }

    /// The layer of a readout of a single space without delays, and how it is reduced.
    fn layer_of(&self, readout: &Readout, wanted: &str) -> Result<(&Reduction, Shape)> {
        let space = &self.spaces[readout.spaces[0]];
        if let (SpaceFrom::Tap { reduction, .. }, Some((graph, node)), [_], []) =
            (&space.from, self.node_of(space)?, &readout.spaces[..], &self.delays[..])
        {
            return Ok((reduction, graph.node(node).shape));
        }
        let found = format!("{} spaces, {} delays", readout.spaces.len(), self.delays.len());
        Err(Error::invalid("encoding model", wanted.to_owned(), found, ""))
    }

    /// What the arrays of a readout's weights measure.
    pub(super) fn shapes(&self, readout: &Readout) -> Result<Vec<[usize; 2]>> {
        let n = readout.targets.len();
        let other = |expected: &str, found: String| Err(Error::invalid("encoding model", expected, found, ""));
        match &readout.weights {
            ReadoutWeights::Dense(_) => {
                let widths = readout.spaces.iter().map(|&s| self.spaces[s].mean.len());
                Ok(vec![[widths.sum::<usize>() * self.delays.len().max(1), n]])
            }
            ReadoutWeights::Windows { windows, .. } => {
                let expected = "windows of one pooled layer without delays";
                let (reduction, shape) = self.layer_of(readout, expected)?;
                let Reduction::RfPooled(grid) = reduction else { return other(expected, reduction.describe()) };
                let n_windows = grid.candidates()?.len();
                if windows.len() != n || windows.iter().any(|&w| w >= n_windows) {
                    let expected = format!("one of {n_windows} windows for {n} targets");
                    return other(&expected, format!("{} windows", windows.len()));
                }
                Ok(vec![[shape.channels, n]])
            }
            ReadoutWeights::Factorized { .. } => {
                let expected = "maps on all units of one layer without delays";
                let (reduction, shape) = self.layer_of(readout, expected)?;
                match reduction {
                    Reduction::Flat => Ok(vec![[shape.height * shape.width, n], [shape.channels, n]]),
                    _ => other(expected, reduction.describe()),
                }
            }
        }
    }
}

impl ReadoutWeights {
    /// Arrays with a column a target.
    pub(super) fn arrays(&self) -> Vec<&ndarray::Array2<f32>> {
        match self {
            Self::Dense(weights) | Self::Windows { weights, .. } => vec![weights],
            Self::Factorized { maps, channels, .. } => vec![maps, channels],
        }
    }

    fn shapes(&self) -> Vec<[usize; 2]> {
        self.arrays().into_iter().map(|array| [array.nrows(), array.ncols()]).collect()
    }
}

/// Numbers of an image before anything learnt.
fn streamed(reduction: &Reduction, graph: &Graph, node: NodeId, at: &str) -> Result<usize> {
    let shape = graph.node(node).shape;
    let projection = match reduction {
        Reduction::SparseRandomProjection(projection) => Some(projection),
        Reduction::Pca(options) => options.project.as_ref(),
        _ => None,
    };
    if projection.is_some_and(|p| p.n_components.is_none()) {
        let hint = "how many there are depends on the images that it was fitted on";
        return Err(Error::invalid(at, "the number of a projection's vectors", "none", hint));
    }
    let width = reduction.streamed_size(shape, 1)?;
    let made = match (reduction, projection) {
        (Reduction::RfPooled(grid), _) => {
            TapMap::new(graph, node)?;
            size::product([4, shape.height, shape.width, grid.candidates()?.len()]).map_or(u64::MAX, |n| n as u64)
        }
        (_, Some(projection)) => projection.bytes(shape.len(), width),
        _ => 0,
    };
    if made > MADE {
        return Err(Error::invalid(at, format!("masks or projections of at most {MADE} bytes"), made.to_string(), ""));
    }
    Ok(width)
}

fn scales(at: &str, mean: &[f64], scale: &[f64]) -> Result<()> {
    finite64(at, mean)?;
    match scale.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
        None => Ok(()),
        Some(odd) => Err(Error::invalid(at, "scales above 0", odd.to_string(), "")),
    }
}

fn finite64(at: &str, values: &[f64]) -> Result<()> {
    match values.iter().find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(odd) => Err(Error::invalid(at, "finite numbers", odd.to_string(), "")),
    }
}

fn finite<'v>(at: &str, mut values: impl Iterator<Item = &'v f32>) -> Result<()> {
    match values.find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(odd) => Err(Error::invalid(at, "finite numbers", odd.to_string(), "")),
    }
}
