//! How often the tests say something where there is nothing, and where there is something: the
//! table of the page on inference.
//!
//!     cargo run --release --example inference_rates [PART]
//!
//! Parts: group, images, beside, layers, ceiling.

mod beside;
mod ceiling;
mod group;
mod images;
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
    if part.is_empty() || part == "images" {
        of_images();
    }
    if part.is_empty() || part == "beside" {
        of_one_layer();
    }
    if part.is_empty() || part == "layers" {
        of_layers();
    }
    if part.is_empty() || part == "ceiling" {
        of_ceilings();
    }
}

/// What subjects share by accident, and what they share with the layer.
fn of_images() {
    println!("| 12 subjects have | images | `subjects` | `images` | `both` |\n|---|---|---|---|---|");
    let study = |n_images, geometry, layer, own| images::Shared {
        n_subjects: 12,
        n_images,
        geometry,
        layer,
        own,
        n_relabellings: 199,
        n_data_sets: 1000,
    };
    let row = |words: &str, study: images::Shared| {
        let [subjects, images, both] = study.significant();
        println!("| {words} | {} | {subjects} | {images} | {both} |", study.n_images);
    };
    row("noise", study(16, 0.0, 0.0, 0.0));
    for n_images in [16, 40, 92] {
        row("a geometry in common", study(n_images, 1.0, 0.0, 0.0));
    }
    row("a geometry in common, with little noise", study(16, 3.0, 0.0, 0.0));
    row("relations of either sign", study(16, 0.0, 0.0, 0.2));
    for own in [0.1, 0.2, 0.4] {
        row(&format!("a geometry in common and relations of either sign, sd {own}"), study(16, 1.0, 0.0, own));
    }
    row("the layer", study(16, 0.0, 0.3, 0.0));
    row("the layer beside a geometry in common", study(16, 1.0, 1.0, 0.0));
    row("the layer beside a geometry in common", study(40, 1.0, 1.0, 0.0));
    row("the layer beside both", study(16, 1.0, 1.0, 0.2));
}

/// Layers beside the one that is there.
fn of_one_layer() {
    println!("| images, snr | comparison | layer 1 | layer 2, there | layer 3 | layer 4 |\n|---|---|---|---|---|---|");
    let (p, s) = (Statistic::Pearson, Statistic::Spearman);
    for (n_images, snr) in [(16, 0.1), (16, 1.0), (16, 10.0), (40, 1.0)] {
        for (statistic, residual) in [
            (s, Residual::None),
            (s, Residual::SemiPartial),
            (s, Residual::Partial),
            (p, Residual::SemiPartial),
            (p, Residual::Partial),
            (p, Residual::UniqueVariance),
            (Statistic::Ols, Residual::None),
            (s, Residual::Ordered),
            (s, Residual::Adjacent),
        ] {
            let study = beside::OneLayer { n_images, snr, n_relabellings: 199, n_data_sets: 1000 };
            let rates = study.significant(statistic, residual).map(|rate| rate.to_string());
            println!("| {n_images}, {snr} | {statistic}, {residual} | {} |", rates.join(" | "));
        }
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
