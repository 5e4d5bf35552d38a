//! What reports say about maps of layers, whichever job made them.

use super::results::{GradientResults, OverlapResults};
use crate::mapping::layers::Gradient;
use crate::report::values::{entries, text_of, values};
use crate::report::{Figures, Page};

/// Results that have a table of their own.
pub const PLACED: [&str; 9] =
    ["layers", "rois", "overlap", "reliability", "glm", "sets", "brain", "gradient", "overlap_difference"];

/// Where the winning layers lie along the axes.
pub fn gradient(page: &mut Page, along: Option<&GradientResults>) {
    let Some(along) = along else { return };
    page.section("Along the axes");
    page.text("Correlation of the winning layer's place in the network with the position, over the places that have a winner, and its slope in layers per mm; along y, posterior to anterior, a visual hierarchy rises.");
    let row = |(axis, along): (&str, &Gradient)| {
        let along = entries(along);
        let numbers = ["pearson", "spearman", "slope", "n_voxels"].map(|key| text_of(&along[key]));
        std::iter::once(axis.to_owned()).chain(numbers).collect::<Vec<String>>()
    };
    let cells = [("x", &along.x), ("y", &along.y), ("z", &along.z)].map(row);
    page.table(&["axis", "pearson", "spearman", "layers per mm", "places"], &cells);
}

/// How much the layers' maps overlap.
pub fn overlap(page: &mut Page, overlap: Option<&OverlapResults>) {
    if let Some(overlap) = overlap {
        values(page, "Overlap", entries(overlap).iter().filter(|(_, v)| !v.is_null()));
    }
}

/// Slices, glass brains and the winning layers.
pub fn maps(page: &mut Page, figures: &mut Figures, what: &str) {
    if figures.has_prefix("slices") {
        page.section("Maps");
        figures.show_all(page, "slices", &format!("{what}; left is left. Where there is a test, places that are not significant are pale, and significant ones have an edge."));
        figures.show_all(
            page,
            "glass",
            "The value furthest from zero along each line of sight; of significant places only, where there are any.",
        );
    }
    if figures.has("winner") {
        page.section("Which layer is where");
        figures.show(page, "winner", "The layer with the largest value among the significant ones.");
        figures.show(
            page,
            "layers_per_voxel",
            "How many layers are significant at a place: a selective mapping has one.",
        );
    }
}

/// Similarities of maps and fingerprints.
pub fn matrices(page: &mut Page, figures: &mut Figures) {
    for (stem, caption) in [
        ("map_correlation", "Correlation over voxels of the unthresholded maps of two layers."),
        ("dice", "Dice overlap of the significant voxels of two layers."),
        (
            "fingerprint_similarity",
            "Similarity of the fingerprints themselves: what the maps cannot tell apart if it is high.",
        ),
    ] {
        if figures.has(stem) {
            figures.show(page, stem, caption);
        }
    }
}
