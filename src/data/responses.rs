//! Responses of targets (voxels, neurons, channels) to stimuli, with a name for each of both.

use super::betas::Betas;
use super::place::Place;
use crate::error::{Error, Result};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};
use std::collections::HashSet;

/// What the numbers of a target allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usable {
    /// They differ.
    Yes,
    /// One number throughout: nothing is there to predict.
    Constant,
    /// No number for some stimulus, or infinity: outside of the brain, or a channel that broke.
    NotFinite,
}

impl Usable {
    /// Of some rows, each of which must hold a number; NaN are the repeats that were not made.
    pub(super) fn of(rows: ArrayView2<'_, f32>) -> Self {
        let (mut first, mut varies) = (None, false);
        for row in rows.rows() {
            let mut measured = row.iter().copied().filter(|v| !v.is_nan()).peekable();
            if measured.peek().is_none() {
                return Self::NotFinite;
            }
            for v in measured {
                if v.is_infinite() {
                    return Self::NotFinite;
                }
                varies |= *first.get_or_insert(v) != v;
            }
        }
        if varies { Self::Yes } else { Self::Constant }
    }
}

/// Refuses another number of names than of items, and names that are empty or there twice.
pub(super) fn check_names(at: &str, axis: &str, names: &[String], n: usize) -> Result<()> {
    let bad = |expected: String, found: String, hint: &str| Err(Error::invalid(at, expected, found, hint));
    if names.len() != n {
        return bad(format!("{n} names, one a {axis}"), names.len().to_string(), "");
    }
    let mut seen = HashSet::new();
    match names.iter().find(|name| name.is_empty() || !seen.insert(name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let found = if name.is_empty() { "an empty name".into() } else { format!("`{name}` twice") };
            bad(format!("a name of its own for every {axis}"), found, "rename one of them")
        }
    }
}

/// Responses of every target to every stimulus, repeat by repeat.
///
/// A stimulus may have fewer repeats than others: what was not measured is NaN, and every stimulus
/// has a response of some target. Targets that cannot be used (voxels outside of the brain, dead
/// channels) keep their place and are told apart by [`Responses::usable`].
#[derive(Debug, Clone, PartialEq)]
pub struct Responses {
    values: Array3<f32>,
    targets: Vec<String>,
    stimuli: Vec<String>,
    usable: Vec<Usable>,
    place: Place,
}

impl Responses {
    /// Takes responses and the names of both axes.
    ///
    /// # Shapes
    /// `values`: n_targets x n_stimuli x n_repeats, in any unit, NaN where a repeat is missing;
    /// `targets`: n_targets; `stimuli`: n_stimuli.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an axis is empty or its number of names is another, a name is empty
    /// or there twice, or no target has a response to a stimulus.
    pub fn new(values: Array3<f32>, targets: Vec<String>, stimuli: Vec<String>) -> Result<Self> {
        let (n_targets, n_stimuli, n_repeats) = values.dim();
        if values.is_empty() {
            let found = format!("{n_targets} x {n_stimuli} x {n_repeats}");
            let expected = "n_targets x n_stimuli x n_repeats";
            return Err(Error::invalid("responses", expected, found, "none of them may be 0"));
        }
        check_names("responses", "target", &targets, n_targets)?;
        check_names("responses", "stimulus", &stimuli, n_stimuli)?;
        let without = |s: &usize| values.index_axis(Axis(1), *s).iter().all(|v| v.is_nan());
        let without: Vec<&str> = (0..n_stimuli).filter(without).map(|s| stimuli[s].as_str()).collect();
        if !without.is_empty() {
            let few = without.iter().take(4).copied().collect::<Vec<_>>().join("`, `");
            let found = format!("none to {} of the {n_stimuli}: `{few}`{}", without.len(), dots(without.len() > 4));
            let hint = "leave the stimulus out, or is its row of the file empty?";
            return Err(Error::invalid("responses", "a response of some target to every stimulus", found, hint));
        }
        let usable = values.axis_iter(Axis(0)).map(Usable::of).collect();
        let values = if values.is_standard_layout() { values } else { values.as_standard_layout().into_owned() };
        Ok(Self { values, targets, stimuli, usable, place: Place::Nowhere })
    }

    /// The same, knowing where its targets are.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of places than of targets.
    pub fn placed(self, place: Place) -> Result<Self> {
        match place.n_places() {
            Some(n) if n != self.n_targets() => {
                let found = format!("{n} places");
                Err(Error::invalid("responses", format!("places of {} targets", self.n_targets()), found, ""))
            }
            _ => Ok(Self { place, ..self }),
        }
    }

    /// Responses in single samples: the conditions are the stimuli, a condition's samples in their
    /// order its repeats, and the voxels, called `targets`, the targets.
    ///
    /// # Shapes
    /// `targets`: n_voxels.
    ///
    /// # Errors
    /// As [`Responses::new`].
    pub fn of_betas(betas: &Betas, targets: Vec<String>) -> Result<Self> {
        let mut n_seen = vec![0usize; betas.n_conditions()];
        betas.conditions().iter().for_each(|&c| n_seen[c] += 1);
        let n_repeats = n_seen.iter().copied().max().unwrap_or(0);
        let mut values = Array3::from_elem((betas.n_voxels(), betas.n_conditions(), n_repeats), f32::NAN);
        n_seen.fill(0);
        for (row, &c) in betas.patterns().axis_iter(Axis(0)).zip(betas.conditions()) {
            values.index_axis_mut(Axis(2), n_seen[c]).index_axis_mut(Axis(1), c).assign(&row);
            n_seen[c] += 1;
        }
        Self::new(values, targets, betas.condition_names().to_vec())
    }

    /// n_targets x n_stimuli x n_repeats, NaN where a repeat is missing; row-major.
    pub fn values(&self) -> ArrayView3<'_, f32> {
        self.values.view()
    }

    /// Names of the targets.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// Names of the stimuli.
    pub fn stimuli(&self) -> &[String] {
        &self.stimuli
    }

    /// Number of targets.
    pub fn n_targets(&self) -> usize {
        self.targets.len()
    }

    /// Number of stimuli.
    pub fn n_stimuli(&self) -> usize {
        self.stimuli.len()
    }

    /// Largest number of repeats of a stimulus.
    pub fn n_repeats(&self) -> usize {
        self.values.dim().2
    }

    /// What each target allows.
    ///
    /// # Shapes
    /// n_targets.
    pub fn usable(&self) -> &[Usable] {
        &self.usable
    }

    /// How many targets are of a kind.
    pub fn count(&self, kind: Usable) -> usize {
        self.usable.iter().filter(|u| **u == kind).count()
    }

    /// Where the targets are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The stimuli at these places, in this order.
    ///
    /// # Errors
    /// As [`Responses::new`]: a stimulus twice, or none.
    ///
    /// # Panics
    /// When there is no stimulus at a place.
    pub fn select(self, stimuli: &[usize]) -> Result<Self> {
        let Self { values, targets, stimuli: names, place, .. } = self;
        let names = stimuli.iter().map(|&s| names[s].clone()).collect();
        Self::new(values.select(Axis(1), stimuli), targets, names)?.placed(place)
    }

    /// One repeat a stimulus, the mean of those that were measured.
    ///
    /// # Errors
    /// None that [`Responses::new`] has not found before.
    pub fn averaged(self) -> Result<Self> {
        let mean = self.mean().mapv(|v| v as f32).insert_axis(Axis(2));
        Self::new(mean, self.targets, self.stimuli)?.placed(self.place)
    }

    /// Mean over the repeats that were measured (NaN where there are none), summed in 64 bits in
    /// their order.
    ///
    /// Formula: M[t, s] = sum_r x[t, s, r] / n_ts over the n_ts repeats that are numbers.
    ///
    /// # Shapes
    /// n_targets x n_stimuli.
    pub fn mean(&self) -> Array2<f64> {
        self.values.map_axis(Axis(2), |repeats| {
            let measured = repeats.iter().filter(|v| !v.is_nan());
            let (sum, n) = measured.fold((0.0, 0usize), |(sum, n), &v| (sum + f64::from(v), n + 1));
            sum / n as f64
        })
    }
}

fn dots(more: bool) -> &'static str {
    if more { ", ..." } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| s.to_string()).collect()
    }

    /// By hand: (1 + 3) / 2, 2; (-1 + 2) / 2, 6.
    #[test]
    fn missing_repeats_are_left_out_of_the_mean() {
        let values = array![[[1.0, 3.0], [2.0, f32::NAN]], [[-1.0, 2.0], [f32::NAN, 6.0]]];
        let found = Responses::new(values, names(&["v1", "v2"]), names(&["face", "house"])).unwrap();
        assert_eq!((found.n_targets(), found.n_stimuli(), found.n_repeats()), (2, 2, 2));
        assert_eq!(found.mean(), array![[2.0, 2.0], [0.5, 6.0]]);
    }

    #[test]
    fn samples_of_a_condition_are_its_repeats() {
        let patterns = array![[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [5.0, 50.0], [4.0, 40.0]];
        let conditions = names(&["im10", "im2", "im10", "im10", "im2"]);
        let betas = Betas::new(patterns, &conditions, &names(&["1", "1", "2", "2", "2"])).unwrap();
        let found = Responses::of_betas(&betas, names(&["a", "b"])).unwrap();
        assert_eq!(found.stimuli(), ["im2", "im10"]);
        let repeats = |t, s| (0..3).map(|r| found.values()[[t, s, r]]).collect::<Vec<f32>>();
        assert_eq!(repeats(0, 1), [1.0, 3.0, 5.0]);
        assert_eq!(repeats(1, 0)[..2], [20.0, 40.0]);
        assert!(repeats(1, 0)[2].is_nan());
        assert_eq!(found.mean(), betas.condition_means(|_| true).t());
        assert!(Responses::of_betas(&betas, names(&["a"])).is_err());
    }

    #[test]
    fn memory_is_row_major_whatever_came_in() {
        let last = Array3::from_shape_fn((2, 3, 4), |(r, s, t)| (r + 10 * s + 100 * t) as f32);
        let values = last.clone().permuted_axes([2, 1, 0]);
        let found = Responses::new(values, names(&["a", "b", "c", "d"]), names(&["x", "y", "z"])).unwrap();
        assert!(found.values().is_standard_layout());
        assert_eq!(found.values()[[3, 2, 1]], last[[1, 2, 3]]);
    }

    #[test]
    fn what_is_inconsistent_is_refused_by_name() {
        let ok = array![[[1.0f32], [2.0]]];
        let message = |values: &Array3<f32>, targets: &[&str], stimuli: &[&str]| {
            Responses::new(values.clone(), names(targets), names(stimuli)).unwrap_err().to_string()
        };
        assert!(message(&ok, &["a", "b"], &["x", "y"]).contains("1 names, one a target"));
        assert!(message(&ok, &["a"], &["x"]).contains("2 names, one a stimulus"));
        assert!(message(&ok, &["a"], &["x", "x"]).contains("`x` twice"));
        assert!(message(&ok, &[""], &["x", "y"]).contains("an empty name"));
        assert!(message(&Array3::zeros((1, 2, 0)), &["a"], &["x", "y"]).contains("1 x 2 x 0"));
        let text = message(&array![[[1.0], [f32::NAN]]], &["a"], &["x", "y"]);
        assert!(text.contains("none to 1 of the 2: `y`"), "{text}");
    }

    #[test]
    fn targets_that_cannot_be_used_keep_their_place() {
        let nan = f32::NAN;
        let values = array![
            [[1.0, nan], [2.0, 2.0]],
            [[3.0, nan], [3.0, 3.0]],
            [[nan, nan], [1.0, 2.0]],
            [[f32::INFINITY, 1.0], [1.0, 2.0]],
        ];
        let found = Responses::new(values, names(&["a", "b", "c", "d"]), names(&["x", "y"])).unwrap();
        assert_eq!(found.usable(), [Usable::Yes, Usable::Constant, Usable::NotFinite, Usable::NotFinite]);
        assert_eq!((found.count(Usable::NotFinite), found.count(Usable::Constant)), (2, 1));
        assert!(found.mean()[[2, 0]].is_nan());
        let swapped = found.clone().select(&[1, 0]).unwrap();
        assert_eq!((swapped.stimuli()[0].as_str(), swapped.values()[[2, 0, 1]]), ("y", 2.0));
        let averaged = found.averaged().unwrap();
        assert_eq!((averaged.n_repeats(), averaged.values()[[2, 1, 0]]), (1, 1.5));
        let brain = super::super::place::Grayordinates::new(vec![super::super::place::Part::surface("L", 3)], None);
        let text = averaged.placed(Place::Brain(brain.unwrap())).unwrap_err().to_string();
        assert!(text.contains("places of 4 targets, found 3"), "{text}");
    }
}
