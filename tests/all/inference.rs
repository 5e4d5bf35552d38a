//! Rates of the tests where there is nothing, by simulation: of the same programs as the table of the
//! page on inference, with fewer data sets.

#[path = "../../examples/inference_rates/group.rs"]
mod group;
#[path = "../../examples/inference_rates/rate.rs"]
mod rate;

use group::{Compared, Study, Tested};
use orthoscope::mapping::{Residual, Statistic};
use rate::Rate;

/// 0.05, and three standard errors of it.
fn holds(rate: Rate) -> bool {
    rate.share() <= 0.05 + 3.0 * (0.05 * 0.95 / rate.of as f64).sqrt()
}

#[test]
fn a_group_without_effect_is_not_significant_in_any_statistic() {
    let study = Study { n_subjects: 8, side: 4, n_layers: 3, n_relabellings: 100, n_data_sets: 60 };
    for (statistic, residual, layer, centred) in [
        (Statistic::Spearman, Residual::None, 0, true),
        (Statistic::Spearman, Residual::SemiPartial, 1, true),
        (Statistic::Spearman, Residual::UniqueVariance, 1, false),
        (Statistic::Spearman, Residual::UniqueVariance, 3, false),
        (Statistic::Cosine, Residual::None, 0, false),
        (Statistic::CosineCov, Residual::None, 0, false),
        (Statistic::Nnls, Residual::None, 0, false),
    ] {
        let compared = Compared { statistic, residual, layer };
        let excess = study.false_positives(compared, Tested::Excess);
        let values = study.false_positives(compared, Tested::Values);
        println!("{statistic} {residual:?} {layer}: values {values}, excess {excess}");
        assert!(holds(excess), "{statistic} {residual:?} {layer}: {excess}");
        // What is 0 on average may be tested as it is; nothing else may.
        assert_eq!(holds(values), centred, "{statistic} {residual:?} {layer}: {values}");
    }
}
