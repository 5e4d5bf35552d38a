//! What fingerprints must be, and what brain RDMs are multiplied with.

use super::{NOTHING, Statistic};
use crate::error::{Error, Result};
use crate::mapping::residual::{self, Residual};
use crate::rdm::Rdm;
use ndarray::Array2;

/// Refuses fingerprints that cannot be compared so.
pub(super) fn check(fingerprints: &[(String, Rdm)], n: usize, statistic: Statistic, residual: Residual) -> Result<()> {
    if n < 3 {
        let hint = "an RDM of two conditions has a single number, which correlates with nothing";
        return Err(Error::invalid("fingerprints", "at least 3 conditions", n.to_string(), hint));
    }
    for (name, rdm) in fingerprints {
        if rdm.n_conditions() != n {
            let found = format!("{} in `{name}`", rdm.n_conditions());
            return Err(Error::invalid(
                "fingerprints",
                format!("RDMs of {n} conditions"),
                found,
                "all of the same images",
            ));
        }
        if rdm.values().iter().any(|v| !v.is_finite()) {
            let found = format!("{} undefined entries in `{name}`", rdm.n_undefined());
            let hint = "a layer whose response to an image is constant has no correlation distance: leave it out";
            return Err(Error::invalid("fingerprints", "RDMs without undefined entries", found, hint));
        }
    }
    let combined = !matches!(residual, Residual::None | Residual::ActivationLevel);
    let refused = match statistic {
        Statistic::KendallTauA => combined,
        Statistic::Ols => combined && residual != Residual::UniqueVariance,
        Statistic::Nnls => combined && residual != Residual::UniqueVariance,
        _ => false,
    };
    if refused {
        let expected = "a comparison that residual fingerprints have";
        let hint =
            "regressions hold the layers against each other already; tau has no residuals: use pearson or spearman";
        return Err(Error::invalid("--residual", expected, format!("{residual} with {statistic}"), hint));
    }
    Ok(())
}

/// Rows of weights of unit-norm fingerprints, made unit-norm again; and the norms before.
pub(super) fn weights(gram: &Array2<f64>, statistic: Statistic, residual: Residual) -> Result<(Array2<f64>, Vec<f64>)> {
    let n = gram.nrows();
    let variant = match statistic {
        Statistic::Ols => Residual::SemiPartial,
        Statistic::Nnls => Residual::None,
        _ => residual,
    };
    let mut weights = residual::combinations(gram, variant)?;
    let mut kept = Vec::with_capacity(n);
    for mut row in weights.rows_mut() {
        let norm = row.dot(&gram.dot(&row)).max(0.0).sqrt();
        row.mapv_inplace(|w| if norm > NOTHING { w / norm } else { 0.0 });
        kept.push(norm);
    }
    let wants_r2 = statistic == Statistic::Ols
        || matches!(residual, Residual::Partial | Residual::UniqueVariance) && statistic != Statistic::Nnls;
    if wants_r2 {
        weights.append(ndarray::Axis(0), residual::orthonormal(gram).view()).expect("as many columns");
    }
    Ok((weights, kept))
}
