//! Given RDMs of several subjects, of one region: their mean comparison with all fingerprints, and
//! its test.

use super::ceiling::{Ceiling, across_subjects};
use super::compare::{Comparator, Prepared, Statistic};
use super::dissimilarity::Condensed;
use super::null::{Relabellings, fill};
use crate::error::{Error, Result};
use crate::math::permutation::{p_value, permute_condensed};
use crate::math::{condensed, stats};
use crate::rdm::Rdm;
use crate::rdm::compare::relabellings;
use rayon::prelude::*;

/// Result of [`compare_subjects`]; one entry a layer, and one of R^2 where there is one.
#[derive(Debug, Clone)]
pub struct SubjectsComparison {
    /// Mean over subjects.
    pub values: Vec<f64>,
    /// Standard error over subjects; empty for one.
    pub errors: Vec<f64>,
    /// p of the mean by relabelling the conditions; empty without a test.
    pub p: Vec<f64>,
    /// Of two subjects or more, where the comparison is of two RDMs.
    pub ceiling: Option<Ceiling>,
}

/// Compares every subject's RDM with all fingerprints, and counts how often relabelled conditions
/// (the same in all subjects) reach the mean.
///
/// # Errors
/// [`Error::Invalid`] without subjects, or when one has another number of conditions.
pub fn compare_subjects(subjects: &[Rdm], comparator: &Comparator, how: &Relabellings) -> Result<SubjectsComparison> {
    let n_conditions = comparator.n_conditions();
    if subjects.is_empty() || subjects.iter().any(|rdm| rdm.n_conditions() != n_conditions) {
        let found: Vec<usize> = subjects.iter().map(Rdm::n_conditions).collect();
        let expected = format!("a subject or more, RDMs of {n_conditions} conditions");
        return Err(Error::invalid("subjects' RDMs", expected, format!("{found:?}"), "the fingerprints' conditions"));
    }
    let (n, n_values) = (subjects.len(), comparator.n_values());
    let own: Vec<&[f64]> = subjects.iter().map(Rdm::values).collect();
    let each = compared(&own, comparator);
    let values = means(&each);
    let error = |v: usize| stats::sd(&each.iter().map(|e| e[v]).collect::<Vec<_>>(), 1) / (n as f64).sqrt();
    let mut tested = values.clone();
    let beside = Beside::new(&own, comparator);
    beside.put(&(0..n_conditions).collect::<Vec<_>>(), &mut tested);
    let null: Vec<Vec<f64>> = relabellings(n_conditions, how.n_permutations, how.seed)
        .par_iter()
        .map(|order| {
            let relabelled: Vec<Vec<f64>> = own.iter().map(|rdm| permute_condensed(rdm, order)).collect();
            let mut values = means(&compared(&relabelled, comparator));
            beside.put(order, &mut values);
            values
        })
        .collect();
    let p = |v: usize| p_value(tested[v], &null.iter().map(|row| row[v]).collect::<Vec<_>>(), how.tail);
    let regression = matches!(comparator.statistic(), Statistic::Ols | Statistic::Nnls);
    Ok(SubjectsComparison {
        errors: if n > 1 { (0..n_values).map(error).collect() } else { vec![] },
        p: if null.is_empty() { vec![] } else { (0..n_values).map(p).collect() },
        ceiling: if n > 1 && !regression { Some(across_subjects(subjects, comparator.statistic())?) } else { None },
        values,
    })
}

/// n_subjects x n_values.
fn compared<R: AsRef<[f64]>>(rdms: &[R], comparator: &Comparator) -> Vec<Vec<f64>> {
    let mut scratch = comparator.scratch();
    let mut one = |rdm: &R| {
        let mut out = vec![0.0; comparator.n_values()];
        comparator.evaluate(Condensed::F64(rdm.as_ref()), &mut scratch, &mut out);
        out
    };
    rdms.iter().map(&mut one).collect()
}

/// The subjects' RDMs, where layers are tested beside others ([`super::null::permute`]).
struct Beside<'a> {
    comparator: &'a Comparator,
    subjects: Vec<Prepared>,
}

impl<'a> Beside<'a> {
    fn new(rdms: &[&[f64]], comparator: &'a Comparator) -> Self {
        let mut scratch = comparator.scratch();
        let subjects = rdms.iter().filter_map(|rdm| comparator.prepare(Condensed::F64(rdm), &mut scratch)).collect();
        Self { comparator, subjects }
    }

    /// Puts the mean of the tested statistics under a relabelling in the place of the layers'
    /// values.
    fn put(&self, order: &[usize], values: &mut [f64]) {
        let Some((reduced, kernels)) = self.comparator.reduced() else { return };
        let n_layers = self.comparator.layers().len();
        let mut table = vec![0; condensed::n_pairs(order.len())];
        fill(&mut table, order);
        let turned = reduced.turned(&table, kernels);
        let each: Vec<Vec<f64>> = self
            .subjects
            .iter()
            .map(|subject| {
                let mut tested = vec![0.0; n_layers];
                reduced.tested(subject, &turned, kernels, &mut tested);
                tested
            })
            .collect();
        values[..n_layers].copy_from_slice(&means(&each));
    }
}

/// The mean over subjects of each value.
fn means(each: &[Vec<f64>]) -> Vec<f64> {
    (0..each[0].len()).map(|v| each.iter().map(|e| e[v]).sum::<f64>() / each.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Residual;
    use crate::math::permutation::Tail;
    use crate::rdm::Measure;

    fn rdm(values: &[f64]) -> Rdm {
        Rdm::new(Measure::Given, values.to_vec(), Rdm::default_labels(4)).unwrap()
    }

    /// Pearson's r of (0, 0, 0, 0, 0, 1) with itself is 1 and with (1, 0, 0, 0, 0, 0) is -0.2: mean
    /// 0.4, sd 0.6 sqrt(2), standard error 0.6.
    #[test]
    fn means_errors_and_p_by_hand() {
        let layer = rdm(&[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let other = rdm(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let comparator =
            Comparator::new(&[("layer".into(), layer.clone())], Statistic::Pearson, Residual::None).unwrap();
        let how = |n_permutations, tail| Relabellings { n_permutations, seed: 2, tail, n_kept: 0 };
        let both = compare_subjects(&[layer.clone(), other], &comparator, &how(0, Tail::Greater)).unwrap();
        assert!((both.values[0] - 0.4).abs() < 1e-6 && (both.errors[0] - 0.6).abs() < 1e-6, "{both:?}");
        assert!(both.p.is_empty() && both.ceiling.is_some());
        // The pair that differs stays where it is in 4 of the 24 relabellings, and no value is
        // above 1.
        let one = compare_subjects(std::slice::from_ref(&layer), &comparator, &how(2000, Tail::Greater)).unwrap();
        assert!(one.errors.is_empty() && one.ceiling.is_none());
        assert!((one.p[0] - 4.0 / 24.0).abs() < 4.0 * (4.0 / 24.0 * 20.0 / 24.0 / 2000f64).sqrt(), "{one:?}");
        let less = compare_subjects(&[layer], &comparator, &how(200, Tail::Less)).unwrap();
        assert_eq!(less.p, [1.0]);
        assert!(compare_subjects(&[], &comparator, &how(0, Tail::Greater)).is_err());
    }
}
