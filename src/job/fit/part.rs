//! What one round made of one model for a range of targets, as a checkpoint.

use crate::encoding::{AlphaReport, TargetState};
use crate::error::{Error, Result};
use crate::io::{npz, sealed};
use ndarray::{Array1, Array2, Axis, Ix2, concatenate};
use std::path::Path;

/// A fitted range of targets: what is known of them without their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The first target.
    pub start: usize,
    /// Penalties; NaN where there is nothing to fit.
    pub alphas: Vec<f64>,
    /// Scores of inner folds at the best penalty: what layers are chosen by, never a test score.
    pub cv_scores: Vec<f64>,
    pub states: Vec<TargetState>,
    /// What is added to features times weights.
    pub intercept: Vec<f64>,
    pub report: AlphaReport,
    /// Tested rows x targets; no rows in a round without a test.
    pub predictions: Array2<f32>,
    /// What every set of features adds to the tested r and R2, sets x targets; none of one set alone.
    pub shares: Option<[Array2<f64>; 2]>,
    /// The window of each target, for receptive fields.
    pub windows: Option<Vec<usize>>,
    /// Weights of the sets of features, sets x targets, of banded ridge.
    pub gammas: Option<Array2<f64>>,
    /// Features of each set.
    pub widths: Vec<usize>,
    /// Penalties of the grid as it was given; none where a search has its own.
    pub grid: Vec<f64>,
}

impl Part {
    pub fn n_targets(&self) -> usize {
        self.alphas.len()
    }

    /// Ranges that follow each other, as one.
    ///
    /// # Panics
    /// When there is none.
    pub fn joined(parts: &[Self]) -> Self {
        let flat = |of: fn(&Self) -> &Vec<f64>| parts.iter().flat_map(|p| of(p).iter().copied()).collect();
        let wide = |of: &dyn Fn(&Self) -> Option<Array2<f64>>| -> Option<Array2<f64>> {
            let all = parts.iter().map(of).collect::<Option<Vec<_>>>()?;
            let views: Vec<_> = all.iter().map(|part| part.view()).collect();
            Some(concatenate(Axis(1), &views).expect("the same sets of features"))
        };
        let predictions: Vec<_> = parts.iter().map(|p| p.predictions.view()).collect();
        let mut report = AlphaReport::default();
        parts.iter().for_each(|p| report += p.report);
        let shares = wide(&|p| p.shares.as_ref().map(|s| s[0].clone()));
        let windows = parts.iter().map(|p| p.windows.clone()).collect::<Option<Vec<_>>>();
        Self {
            start: parts[0].start,
            alphas: flat(|p| &p.alphas),
            cv_scores: flat(|p| &p.cv_scores),
            intercept: flat(|p| &p.intercept),
            states: parts.iter().flat_map(|p| p.states.iter().copied()).collect(),
            report,
            predictions: concatenate(Axis(1), &predictions).expect("predictions of the same rows"),
            shares: shares.zip(wide(&|p| p.shares.as_ref().map(|s| s[1].clone()))).map(|(r, r2)| [r, r2]),
            windows: windows.map(|all| all.concat()),
            gammas: wide(&|p| p.gammas.clone()),
            widths: parts[0].widths.clone(),
            grid: parts[0].grid.clone(),
        }
    }

    /// As arrays.
    pub fn archive(&self) -> npz::NpzWriter {
        let states: Vec<f64> = self.states.iter().map(|&s| f64::from(s as u8)).collect();
        let AlphaReport { at_lower_edge, at_upper_edge, extended } = self.report;
        let counts = [self.start, at_lower_edge, at_upper_edge, extended];
        let mut file = npz::NpzWriter::new()
            .add("counts", &whole(&counts))
            .add("widths", &whole(&self.widths))
            .add("grid", &Array1::from(self.grid.clone()))
            .add("alphas", &Array1::from(self.alphas.clone()))
            .add("cv_scores", &Array1::from(self.cv_scores.clone()))
            .add("intercept", &Array1::from(self.intercept.clone()))
            .add("states", &Array1::from(states))
            .add("predictions", &self.predictions);
        if let Some([r, r2]) = &self.shares {
            file = file.add("shares_r", r).add("shares_r2", r2);
        }
        if let Some(windows) = &self.windows {
            file = file.add("windows", &whole(windows));
        }
        if let Some(gammas) = &self.gammas {
            file = file.add("gammas", gammas);
        }
        file
    }

    /// From arrays; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they are not those of a part, or do not fit each other.
    pub fn of_archive(file: &npz::Npz, path: &Path) -> Result<Self> {
        let bad = |found: String| Error::corrupt(path, "a part of a fit", found, "remove it: it is fitted again");
        let has = |name: &str| file.names().any(|n| n == name);
        let matrix = |name: &str| -> Result<Array2<f64>> {
            file.get::<f64>(name)?.into_dimensionality::<Ix2>().map_err(|e| bad(e.to_string()))
        };
        let counts: Option<[usize; 4]> = whole_numbers(file, "counts", path)?.try_into().ok();
        let Some([start, at_lower_edge, at_upper_edge, extended]) = counts else {
            return Err(bad("other counts".into()));
        };
        let state = |v: f64| {
            [TargetState::Varies, TargetState::Constant, TargetState::NotFinite]
                .into_iter()
                .find(|&s| f64::from(s as u8) == v)
        };
        let states: Option<Vec<TargetState>> = numbers(file, "states")?.into_iter().map(state).collect();
        let states = states.ok_or_else(|| bad("states that are none".into()))?;
        let windows = has("windows").then(|| whole_numbers(file, "windows", path)).transpose()?;
        let shares = match has("shares_r") {
            true => Some([matrix("shares_r")?, matrix("shares_r2")?]),
            false => None,
        };
        let predictions = file.get::<f32>("predictions")?.into_dimensionality::<Ix2>();
        let part = Self {
            start,
            alphas: numbers(file, "alphas")?,
            cv_scores: numbers(file, "cv_scores")?,
            states,
            intercept: numbers(file, "intercept")?,
            report: AlphaReport { at_lower_edge, at_upper_edge, extended },
            predictions: predictions.map_err(|e| bad(e.to_string()))?,
            shares,
            windows,
            gammas: has("gammas").then(|| matrix("gammas")).transpose()?,
            widths: whole_numbers(file, "widths", path)?,
            grid: numbers(file, "grid")?,
        };
        let n = part.n_targets();
        let columns = |m: &Array2<f64>| m.ncols() == n;
        let fits = [part.cv_scores.len(), part.states.len(), part.intercept.len(), part.predictions.ncols()]
            .iter()
            .all(|&m| m == n)
            && part.shares.iter().flatten().chain(&part.gammas).all(columns)
            && part.windows.as_ref().is_none_or(|w| w.len() == n);
        if fits { Ok(part) } else { Err(bad("arrays of different numbers of targets".into())) }
    }

    /// The part in a checkpoint, if it is there: of `n_targets` targets from `start`, with
    /// predictions of `n_tested` rows.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a checkpoint of something else.
    pub fn kept(path: &Path, start: usize, n_targets: usize, n_tested: usize) -> Result<Option<Self>> {
        let Some(bytes) = sealed::read(path)? else { return Ok(None) };
        let part = Self::of_archive(&npz::decode(&bytes, path)?, path)?;
        let found = (part.start, part.n_targets(), part.predictions.nrows());
        if found == (start, n_targets, n_tested) {
            return Ok(Some(part));
        }
        let expected = format!("{n_targets} targets from {start}, {n_tested} tested rows");
        Err(Error::corrupt(path, expected, format!("{found:?}"), "remove it: it is fitted again"))
    }

    /// # Errors
    /// [`Error::Io`].
    pub fn keep(&self, path: &Path) -> Result<()> {
        sealed::write(path, &self.archive().bytes(path)?)
    }
}

/// Whole numbers as an archive holds them.
pub(super) fn whole(values: &[usize]) -> Array1<f64> {
    values.iter().map(|&v| v as f64).collect()
}

/// An array of an archive.
pub(super) fn numbers(file: &npz::Npz, name: &str) -> Result<Vec<f64>> {
    Ok(file.get::<f64>(name)?.iter().copied().collect())
}

/// [`whole`], read; `path` is for messages.
pub(super) fn whole_numbers(file: &npz::Npz, name: &str, path: &Path) -> Result<Vec<usize>> {
    let of = |v: f64| (v >= 0.0 && v.fract() == 0.0 && v < 1e15).then_some(v as usize);
    let found: Option<Vec<usize>> = numbers(file, name)?.into_iter().map(of).collect();
    let hint = "remove it: it is fitted again";
    found.ok_or_else(|| Error::corrupt(path, format!("whole numbers in `{name}`"), "others", hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn part(start: usize, n: usize) -> Part {
        let wide = |k: usize| Array2::from_shape_fn((k, n), |(i, t)| (10 * i + t + start) as f64);
        Part {
            start,
            alphas: (0..n).map(|t| if t == 0 { f64::NAN } else { t as f64 }).collect(),
            cv_scores: vec![0.25; n],
            states: (0..n).map(|t| if t == 0 { TargetState::NotFinite } else { TargetState::Varies }).collect(),
            intercept: vec![0.5; n],
            report: AlphaReport { at_lower_edge: 1, at_upper_edge: 2, extended: 3 },
            predictions: wide(4).mapv(|v| v as f32),
            shares: Some([wide(2), wide(2)]),
            windows: Some((start..start + n).collect()),
            gammas: Some(wide(2)),
            widths: vec![5, 7],
            grid: vec![1.0, 10.0],
        }
    }

    #[test]
    fn a_part_comes_back_and_another_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.checkpoint");
        assert_eq!(Part::kept(&path, 0, 3, 4).unwrap(), None);
        let own = part(3, 3);
        own.keep(&path).unwrap();
        let back = Part::kept(&path, 3, 3, 4).unwrap().unwrap();
        assert!(back.alphas[0].is_nan());
        assert_eq!(Part { alphas: vec![], ..back }, Part { alphas: vec![], ..own });
        for (start, n, rows) in [(0, 3, 4), (3, 2, 4), (3, 3, 5)] {
            assert!(Part::kept(&path, start, n, rows).is_err());
        }
    }

    #[test]
    fn ranges_join_in_order() {
        let both = Part::joined(&[part(0, 2), part(2, 1)]);
        assert_eq!((both.n_targets(), both.report.extended), (3, 6));
        assert_eq!(both.windows, Some(vec![0, 1, 2]));
        assert_eq!(both.shares.unwrap()[1], array![[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]);
    }
}
