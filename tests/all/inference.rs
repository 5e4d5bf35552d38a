//! Rates of the tests where there is nothing, by simulation: of the same programs as the table of
//! the page on inference, with fewer data sets.

#[path = "../../examples/inference_rates/beside.rs"]
mod beside;
#[path = "../../examples/inference_rates/ceiling.rs"]
mod ceiling;
#[path = "../../examples/inference_rates/group.rs"]
mod group;
#[path = "../../examples/inference_rates/images.rs"]
mod images;
#[path = "../../examples/inference_rates/layers.rs"]
mod layers;
#[path = "../../examples/inference_rates/rate.rs"]
mod rate;

use group::{Compared, Study, Tested};
use orthoscope::mapping::{Dissimilarity, PlaceCorrection, Residual, Statistic};
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

/// Where one layer is, others are not significant beside it, and it is itself: residuals are
/// relabelled. Raw fingerprints find every layer that resembles it.
#[test]
fn layers_beside_the_one_that_is_there_are_not_significant() {
    let study = beside::OneLayer { n_images: 16, snr: 3.0, n_relabellings: 99, n_data_sets: 200 };
    let of = |statistic, residual| {
        let rates = study.significant(statistic, residual);
        println!("{statistic} {residual}: {}", rates.map(|r| r.to_string()).join(", "));
        rates
    };
    let raw = of(Statistic::Spearman, Residual::None);
    assert!(raw.iter().take(3).all(|rate| rate.share() > 0.9), "neighbours share half of their units");
    for (statistic, residual) in [
        (Statistic::Spearman, Residual::SemiPartial),
        (Statistic::Spearman, Residual::Partial),
        (Statistic::Pearson, Residual::SemiPartial),
        (Statistic::Pearson, Residual::Partial),
        (Statistic::Ols, Residual::None),
    ] {
        let rates = of(statistic, residual);
        for (l, rate) in rates.into_iter().enumerate() {
            if l == beside::TRUE {
                assert!(rate.share() > 0.95, "{statistic} {residual}: {rate}");
            } else {
                // Nearly exact: noise of correlations is not the same for all pairs of images.
                let (low, high) = rate.interval();
                assert!(low < 0.06 && high > 0.02, "{statistic} {residual}, layer {l}: {rate}");
            }
        }
    }
}

/// What subjects share by accident is significant by sign flips and not by relabelling; where they
/// differ in their relation to the layer, too, only the test of both holds.
#[test]
fn a_shared_geometry_is_no_effect_of_other_images() {
    let study = |geometry, layer, own| images::Shared {
        n_subjects: 10,
        n_images: 16,
        geometry,
        layer,
        own,
        n_relabellings: 99,
        n_data_sets: 150,
    };
    let of = |words: &str, study: images::Shared| {
        let [subjects, images, both] = study.significant();
        println!("{words}: over subjects {subjects}, images {images}, both {both}");
        [subjects, images, both]
    };
    let [subjects, images, both] = of("shared", study(1.0, 0.0, 0.0));
    assert!(!holds(subjects) && holds(images) && holds(both), "shared");
    let [subjects, images, both] = of("differing", study(0.0, 0.0, 0.3));
    assert!(holds(subjects) && !holds(images) && holds(both), "differing");
    let [subjects, images, both] = of("shared and differing", study(1.0, 0.0, 0.2));
    assert!(!holds(subjects) && !holds(images) && holds(both), "shared and differing");
    let [.., both] = of("the layer", study(1.0, 1.0, 0.0));
    assert!(both.share() > 0.8, "the layer is found: {both}");
}

/// The model without noise lies between the ends of the ceiling, averaged over regions.
#[test]
fn the_true_model_lies_within_the_noise_ceiling() {
    for (dissimilarity, statistic, n_runs, snr) in [
        (Dissimilarity::Correlation, Statistic::Spearman, 4, 0.2),
        (Dissimilarity::Correlation, Statistic::Spearman, 3, 0.2),
        (Dissimilarity::Euclidean, Statistic::Pearson, 4, 0.3),
        (Dissimilarity::Crossnobis, Statistic::Spearman, 8, 0.1),
    ] {
        let found = ceiling::Subject { n_runs, snr, dissimilarity, statistic, n_regions: 150 }.compared();
        let (low, high) = (found.ceiling.lower, found.ceiling.upper);
        println!("{dissimilarity} {statistic} {n_runs} {snr}: {found:?}");
        assert!(low - 0.02 < found.model && found.model < high + 0.02, "{dissimilarity} {statistic}: {found:?}");
        assert!(low < high - 0.01, "{found:?}");
        // As often above the upper end as below it, at most: single ceilings are noisy.
        assert!(found.above.share() <= 0.5, "{}", found.above);
    }
}

/// Twelve layers have twelve chances, unless they are corrected for together.
#[test]
fn the_family_is_the_places_of_all_layers() {
    let noise = layers::Noise { n_places: 60, n_layers: 12, n_relabellings: 200, n_data_sets: 100 };
    for correction in [PlaceCorrection::Fwe, PlaceCorrection::Fdr] {
        let [layer, all] = noise.false_positives(correction);
        println!("{correction:?}: within layers {layer}, over all {all}");
        assert!(holds(all), "{correction:?}: {all}");
    }
    let [layer, _] = noise.false_positives(PlaceCorrection::Fwe);
    assert!(!holds(layer), "within layers something is found too often: {layer}");
}
