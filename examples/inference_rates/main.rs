//! How often the tests say something where there is nothing, and where there is something: the table
//! of the page on inference.
//!
//!     cargo run --release --example inference_rates [PART]
//!
//! Parts: group, layers, ceiling.

mod ceiling;
mod group;
mod layers;
mod rate;

use ceiling::Subject;
use group::{Compared, Study, Tested};
use orthoscope::mapping::ceiling::Ceiling;
use orthoscope::mapping::{Dissimilarity, PlaceCorrection, Residual, Statistic};
use rate::Rate;

fn main() {
    let part = std::env::args().nth(1).unwrap_or_default();
    if part.is_empty() || part == "group" {
        of_groups();
    }
    if part.is_empty() || part == "layers" {
        of_layers();
    }
    if part.is_empty() || part == "ceiling" {
        of_ceilings();
    }
}

/// Family-wise errors over places and layers.
fn of_layers() {
    println!("| 125 places of noise, 12 unrelated layers | within each layer | over all layers |\n|---|---|---|");
    let noise = layers::Noise { n_places: 125, n_layers: 12, n_relabellings: 1000, n_data_sets: 300 };
    for (name, correction) in [("`fwe`", PlaceCorrection::Fwe), ("`fdr`", PlaceCorrection::Fdr)] {
        let [layer, all] = noise.false_positives(correction);
        println!("| {name} | {layer} | {all} |");
    }
}

/// The noise-free model beside the ceiling.
fn of_ceilings() {
    println!(
        "| dissimilarity, comparison | runs | snr | model | ceiling | regions above its upper end |\n|---|---|---|---|---|---|"
    );
    for (dissimilarity, statistic, n_runs, snr) in [
        (Dissimilarity::Correlation, Statistic::Spearman, 3, 0.2),
        (Dissimilarity::Correlation, Statistic::Spearman, 4, 0.05),
        (Dissimilarity::Correlation, Statistic::Spearman, 4, 0.2),
        (Dissimilarity::Correlation, Statistic::Spearman, 4, 1.0),
        (Dissimilarity::Correlation, Statistic::Spearman, 8, 0.2),
        (Dissimilarity::Euclidean, Statistic::Pearson, 4, 0.2),
        (Dissimilarity::Crossnobis, Statistic::Spearman, 8, 0.05),
        (Dissimilarity::Crossnobis, Statistic::Spearman, 8, 0.2),
        (Dissimilarity::Crossnobis, Statistic::Cosine, 8, 0.2),
    ] {
        let found = Subject { n_runs, snr, dissimilarity, statistic, n_regions: 500 }.compared();
        let Ceiling { lower, upper } = found.ceiling;
        let model = found.model;
        println!(
            "| {dissimilarity}, {statistic} | {n_runs} | {snr} | {model:.3} | {lower:.3}-{upper:.3} | {} |",
            found.above
        );
    }
}

/// Sign flips over subjects.
fn of_groups() {
    println!("| maps of a group of 10, nothing there | values | excess over relabelling |\n|---|---|---|");
    let study = Study { n_subjects: 10, side: 6, n_layers: 4, n_relabellings: 200, n_data_sets: 200 };
    let of = |name: &str, statistic, residual, layer| {
        let compared = Compared { statistic, residual, layer };
        let rate = |tested| study.false_positives(compared, tested);
        println!("| {name} | {} | {} |", rate(Tested::Values), rate(Tested::Excess));
    };
    of("`spearman`", Statistic::Spearman, Residual::None, 0);
    of("`spearman`, `semi_partial`", Statistic::Spearman, Residual::SemiPartial, 0);
    of("`ols`", Statistic::Ols, Residual::None, 0);
    of("`spearman`, `unique_variance`", Statistic::Spearman, Residual::UniqueVariance, 0);
    of("its R^2", Statistic::Spearman, Residual::UniqueVariance, 4);
    of("`cosine`", Statistic::Cosine, Residual::None, 0);
    of("`cosine_cov`", Statistic::CosineCov, Residual::None, 0);
    of("`nnls`", Statistic::Nnls, Residual::None, 0);
}
