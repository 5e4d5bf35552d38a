//! How well any fingerprint could do: noise ceilings.

use super::compare::{Comparator, Statistic};
use super::dissimilarity::{self, Condensed, Dissimilarity, Measurement, Patterns};
use super::measure::Question;
use super::residual::Residual;
use super::searchlight::Places;
use crate::data::Betas;
use crate::error::{Error, Result};
use crate::io::json::or_nan;
use crate::math::stats;
use crate::rdm::Rdm;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Bounds on the comparison of a perfect model: with single subjects ([`across_subjects`]), or with
/// the RDM of all of a subject's data ([`Halves::ceiling`]).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Mean comparison of a subject's RDM with the mean RDM of the others.
    #[serde(deserialize_with = "or_nan")]
    pub lower: f64,
    /// Mean comparison of a subject's RDM with the mean RDM of all.
    #[serde(deserialize_with = "or_nan")]
    pub upper: f64,
}

/// Noise ceiling of several subjects' RDMs of one region.
///
/// RDMs are brought to the comparison's scale before they are averaged: centred and divided by
/// their norm for Pearson and the whitened correlation, ranked for Spearman and Kendall's tau,
/// divided by their norm for cosines.
///
/// # Errors
/// [`Error::Invalid`] for fewer than 2 subjects, or a regression as the comparison.
///
/// # Source
/// Nili, Wingfield, Walther, Su, Marslen-Wilson, Kriegeskorte, PLoS Comput. Biol. 10:e1003553
/// (2014); rsatoolbox's `cv_noise_ceiling` (lower) and `boot_noise_ceiling` (upper), `pool_rdm`.
pub fn across_subjects(subjects: &[Rdm], statistic: Statistic) -> Result<Ceiling> {
    if subjects.len() < 2 {
        let found = subjects.len().to_string();
        return Err(Error::invalid("noise ceiling", "at least 2 subjects", found, "give the RDM of each subject"));
    }
    if matches!(statistic, Statistic::Ols | Statistic::Nnls) {
        let hint = "use pearson, spearman or cosine";
        return Err(Error::invalid("noise ceiling", "a comparison of two RDMs", statistic.to_string(), hint));
    }
    let pooled = |skip: Option<usize>| -> Result<Rdm> {
        let kept = subjects.iter().enumerate().filter(|(s, _)| Some(*s) != skip);
        let scaled: Vec<Vec<f64>> = kept.map(|(_, rdm)| to_scale(rdm.values(), statistic)).collect();
        let n = scaled.len() as f64;
        let mean = (0..scaled[0].len()).map(|k| scaled.iter().map(|s| s[k]).sum::<f64>() / n).collect();
        Rdm::new(subjects[0].measure(), mean, subjects[0].labels().to_vec())
    };
    let all = pooled(None)?;
    let (mut lower, mut upper) = (0.0, 0.0);
    for (s, own) in subjects.iter().enumerate() {
        lower += compare(&pooled(Some(s))?, own, statistic)?;
        upper += compare(&all, own, statistic)?;
    }
    let n = subjects.len() as f64;
    Ok(Ceiling { lower: lower / n, upper: upper / n })
}

fn compare(model: &Rdm, data: &Rdm, statistic: Statistic) -> Result<f64> {
    let comparator = Comparator::new(&[("mean".into(), model.clone())], statistic, Residual::None)?;
    let mut out = [f64::NAN];
    comparator.evaluate(Condensed::F64(data.values()), &mut comparator.scratch(), &mut out);
    Ok(out[0])
}

fn to_scale(values: &[f64], statistic: Statistic) -> Vec<f64> {
    let root_mean_square = |x: &[f64]| (stats::dot(x, x) / x.len() as f64).sqrt();
    match statistic {
        Statistic::Spearman | Statistic::KendallTauA => stats::ranks(values),
        Statistic::Cosine | Statistic::CosineCov => {
            let scale = root_mean_square(values);
            values.iter().map(|v| v / scale).collect()
        }
        _ => {
            let mean = stats::mean(values);
            let centred: Vec<f64> = values.iter().map(|v| v - mean).collect();
            let scale = root_mean_square(&centred);
            centred.iter().map(|v| v / scale).collect()
        }
    }
}

/// The two halves of a subject's samples: odd and even runs; with one run, odd and even repeats of
/// each condition.
///
/// # Errors
/// [`Error::Invalid`] when a condition has no sample in one of the halves.
pub fn halves(betas: &Betas) -> Result<[Betas; 2]> {
    let by_run = betas.n_runs() > 1;
    let mut seen = vec![0usize; betas.n_conditions()];
    let half: Vec<usize> = (0..betas.runs().len())
        .map(|s| {
            let count = &mut seen[betas.conditions()[s]];
            *count += 1;
            if by_run { betas.runs()[s] % 2 } else { (*count - 1) % 2 }
        })
        .collect();
    let one = |which: usize| -> Result<Betas> {
        let samples: Vec<usize> = (0..half.len()).filter(|&s| half[s] == which).collect();
        let missing = (0..betas.n_conditions()).find(|&c| samples.iter().all(|&s| betas.conditions()[s] != c));
        if let Some(c) = missing {
            let found = format!("none of `{}` in one of them", betas.condition_names()[c]);
            let hint = "a split-half ceiling needs every condition in odd and in even runs: turn it off";
            return Err(Error::invalid("split halves", "every condition in both", found, hint));
        }
        let pick = |of: &[usize], names: &[String]| samples.iter().map(|&s| names[of[s]].clone()).collect::<Vec<_>>();
        let conditions = pick(betas.conditions(), betas.condition_names());
        let runs = pick(betas.runs(), betas.run_names());
        let weights = samples.iter().map(|&s| betas.weights()[s]).collect();
        Betas::new(betas.patterns().select(ndarray::Axis(0), &samples), &conditions, &runs)?.weighted(weights)
    };
    Ok([one(0)?, one(1)?])
}

/// How much data each half has, and how the noise of its RDM falls with that.
///
/// The variance of a dissimilarity around its true value, in units of the variance of true
/// dissimilarities, is `v(m) = a / m + b q(m)` for patterns averaged over m samples: noise times
/// signal falls with 1 / m, noise times noise with `q(m) = 1 / m^2`, or `1 / (m (m - 1))` where runs
/// are held against each other. Two halves correlate with `r = 1 / sqrt((1 + v(m_1)) (1 + v(m_2)))`,
/// and the RDM of all data with the true one with `1 / sqrt(1 + v(m_1 + m_2))`. One r does not tell a
/// from b: b = 0 is the formula of Spearman and Brown, which is right for averaged RDMs and too
/// low for averaged patterns, a = 0 is the other end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Halves {
    /// Samples of a condition in either half; runs where they are held against each other.
    pub amounts: [f64; 2],
    /// Whether runs are held against each other.
    pub crossed: bool,
}

impl Halves {
    fn of(halves: &[Betas; 2], measurement: Measurement) -> Self {
        let crossed = measurement.dissimilarity == Dissimilarity::Crossnobis;
        let amount = |half: &Betas| match crossed {
            true => half.n_runs() as f64,
            false => half.conditions().len() as f64 / half.n_conditions() as f64,
        };
        Self { amounts: [amount(&halves[0]), amount(&halves[1])], crossed }
    }

    /// Where the correlation of the whole data's RDM with the true one lies, given that of the halves'
    /// RDMs with each other: what a fingerprint could reach at most, but by chance. It is as noisy as
    /// r, and 0 where r is not above 0.
    pub fn ceiling(&self, r: f64) -> Ceiling {
        let q = |m: f64| if self.crossed { 1.0 / (m * (m - 1.0)) } else { 1.0 / (m * m) };
        Ceiling { lower: self.extrapolated(r, |m| 1.0 / m), upper: self.extrapolated(r, q) }
    }

    fn extrapolated(&self, r: f64, falls: impl Fn(f64) -> f64) -> f64 {
        if r.is_nan() || r <= 0.0 {
            return if r.is_nan() { r } else { 0.0 };
        }
        let [one, two] = self.amounts.map(&falls);
        // (1 + x one) (1 + x two) = 1 / r^2, for x >= 0.
        let (linear, constant) = (one + two, 1.0 - 1.0 / (r.min(1.0) * r.min(1.0)));
        let x = (-linear + (linear * linear - 4.0 * one * two * constant).sqrt()) / (2.0 * one * two);
        1.0 / (1.0 + x.max(0.0) * falls(self.amounts[0] + self.amounts[1])).sqrt()
    }
}

/// Split-half reliability of the RDM of every place, and what follows for the best possible map
/// value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reliability {
    /// r: comparison of the RDMs of the two halves.
    pub split_half: Vec<f32>,
    /// Lower and upper end of the ceiling ([`Halves::ceiling`]). None where the comparison is a cosine of
    /// distances that noise makes larger: halves then agree in what is no signal.
    pub ceiling: Option<[Vec<f32>; 2]>,
}

/// Compares the RDMs of the [`halves`] of the data at every place, measured and compared as the
/// question says.
///
/// # Errors
/// As [`halves`] and [`split_half`].
pub fn reliability<P: Places>(betas: &Betas, question: &Question<'_>, places: &P) -> Result<Reliability> {
    split_half(&halves(betas)?, question.patterns.measurement(), question.comparator.statistic(), places)
}

/// Compares the RDMs of two halves of the data at every place.
///
/// # Errors
/// As [`Patterns::new`] for either half; [`Error::Invalid`] when the comparison is a regression.
///
/// # Source
/// Spearman, Br. J. Psychol. 3:271 (1910); Brown, ibid. 296; for the variance of dissimilarities of
/// averaged patterns Diedrichsen, Provost and Zareamoghaddam, arXiv 1607.01371 (2016).
pub fn split_half<P: Places>(
    halves: &[Betas; 2],
    measurement: Measurement,
    statistic: Statistic,
    places: &P,
) -> Result<Reliability> {
    if matches!(statistic, Statistic::Ols | Statistic::Nnls) {
        return split_half(halves, measurement, Statistic::Pearson, places);
    }
    let patterns = [Patterns::new(&halves[0], measurement)?, Patterns::new(&halves[1], measurement)?];
    let measure = super::compare::PairComparison::new(statistic, patterns[0].n_conditions())?;
    let split_half: Vec<f32> = (0..places.len())
        .into_par_iter()
        .map_init(
            || (Vec::new(), [dissimilarity::Scratch::default(), dissimilarity::Scratch::default()], measure.scratch()),
            |(voxels, [first, second], pair), place| {
                places.voxels(place, voxels);
                first.forget();
                second.forget();
                match (patterns[0].rdm(voxels, false, first), patterns[1].rdm(voxels, false, second)) {
                    (Some(a), Some(b)) => measure.compare(a, b, pair) as f32,
                    _ => f32::NAN,
                }
            },
        )
        .collect();
    let own = Halves::of(halves, measurement);
    let biased = !statistic.is_centred() && !own.crossed;
    let ends = |&r: &f32| {
        let Ceiling { lower, upper } = own.ceiling(f64::from(r));
        (lower as f32, upper as f32)
    };
    let ceiling = (!biased).then(|| {
        let (lower, upper) = split_half.iter().map(ends).unzip();
        [lower, upper]
    });
    Ok(Reliability { split_half, ceiling })
}
