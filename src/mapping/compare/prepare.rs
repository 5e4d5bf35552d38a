//! What fingerprints must be.

use super::Statistic;
use crate::error::{Error, Result};
use crate::mapping::residual::Residual;
use crate::rdm::Rdm;

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
        return Err(Error::invalid("residual", expected, format!("{residual} with {statistic}"), hint));
    }
    Ok(())
}
