//! Images that the program makes itself: many classes of scenes, each drawn with random pose, size,
//! colour, light and background.
//!
//! They train and test the embedded network; their statistics are natural-like (occlusion, 1/f
//! spectra, shading). Every image is a function of (seed, index, size) alone; geometry is drawn in
//! coordinates of [-1, 1] (x to the right, y down), so that one scene looks the same at any size.

mod canvas;
mod curves;
mod field;
mod glyphs;
mod gratings;
mod leaves;
mod places;
mod polygons;
mod solids;
mod textures;
mod things;

use canvas::{Canvas, Dice};
use ndarray::Array3;
use orthoscope::rng::stream;

/// A class of scenes.
pub struct Class {
    /// Name, unique, such as `star`.
    pub name: &'static str,
    /// The family it belongs to, such as `polygons`.
    pub family: &'static str,
    draw: fn(&mut Canvas, &mut Dice),
}

macro_rules! classes {
    ($($family:literal: $($name:literal => $draw:expr),+ $(,)?;)+) => {
        &[$($(Class { name: $name, family: $family, draw: |canvas, dice| $draw(canvas, dice) }),+),+]
    };
}

/// All classes, in the order of the embedded network's outputs.
pub const CLASSES: &[Class] = classes! {
    "dead leaves":
        "leaves-discs" => leaves::power_law_discs, "leaves-even" => leaves::even_discs,
        "leaves-squares" => leaves::squares, "leaves-slivers" => leaves::slivers;
    "noise":
        "noise-white" => field::white, "noise-pink" => field::pink, "noise-red" => field::red,
        "noise-horizontal" => field::horizontal, "noise-vertical" => field::vertical;
    "gratings":
        "grating-0-low" => (|c, d| gratings::grating(c, d, 0, false)), "grating-0-high" => (|c, d| gratings::grating(c, d, 0, true)),
        "grating-45-low" => (|c, d| gratings::grating(c, d, 1, false)), "grating-45-high" => (|c, d| gratings::grating(c, d, 1, true)),
        "grating-90-low" => (|c, d| gratings::grating(c, d, 2, false)), "grating-90-high" => (|c, d| gratings::grating(c, d, 2, true)),
        "grating-135-low" => (|c, d| gratings::grating(c, d, 3, false)), "grating-135-high" => (|c, d| gratings::grating(c, d, 3, true));
    "plaids":
        "plaid-square" => gratings::square_plaid, "plaid-acute" => gratings::acute_plaid,
        "rings" => gratings::rings, "rays" => gratings::rays, "swirl" => gratings::swirl;
    "polygons":
        "triangle" => (|c, d| polygons::regular(c, d, 3)), "square" => (|c, d| polygons::regular(c, d, 4)),
        "pentagon" => (|c, d| polygons::regular(c, d, 5)), "hexagon" => (|c, d| polygons::regular(c, d, 6)),
        "star" => polygons::star, "cross" => polygons::cross, "arrow" => polygons::arrow;
    "curves":
        "disc" => curves::disc, "ellipse" => curves::ellipse, "ring" => curves::ring, "crescent" => curves::crescent,
        "spiral" => curves::spiral, "wave" => curves::wave, "zigzag" => curves::zigzag;
    "textures":
        "checker" => textures::checker, "dots" => textures::dots, "bricks" => textures::bricks, "wood" => textures::wood,
        "cells" => textures::cells, "blobs" => textures::blobs, "zebra" => textures::zebra, "weave" => textures::weave,
        "honeycomb" => textures::honeycomb;
    "lit objects":
        "sphere" => (|c, d| solids::solid(c, d, solids::Solid::Sphere)), "cube" => (|c, d| solids::solid(c, d, solids::Solid::Cube)),
        "cylinder" => (|c, d| solids::solid(c, d, solids::Solid::Cylinder)), "cone" => (|c, d| solids::solid(c, d, solids::Solid::Cone)),
        "torus" => (|c, d| solids::solid(c, d, solids::Solid::Torus)), "bowl" => (|c, d| solids::solid(c, d, solids::Solid::Bowl));
    "glyphs":
        "letter-A" => (|c, d| glyphs::glyph(c, d, 'A')), "letter-E" => (|c, d| glyphs::glyph(c, d, 'E')),
        "letter-H" => (|c, d| glyphs::glyph(c, d, 'H')), "letter-K" => (|c, d| glyphs::glyph(c, d, 'K')),
        "letter-R" => (|c, d| glyphs::glyph(c, d, 'R')), "letter-S" => (|c, d| glyphs::glyph(c, d, 'S')),
        "letter-T" => (|c, d| glyphs::glyph(c, d, 'T')), "letter-X" => (|c, d| glyphs::glyph(c, d, 'X')),
        "digit-3" => (|c, d| glyphs::glyph(c, d, '3')), "digit-4" => (|c, d| glyphs::glyph(c, d, '4'));
    "things":
        "face" => (|c, d| things::face(c, d, things::Arrangement::Upright)),
        "face-inverted" => (|c, d| things::face(c, d, things::Arrangement::Inverted)),
        "face-scrambled" => (|c, d| things::face(c, d, things::Arrangement::Scrambled)),
        "house" => things::house, "tree" => things::tree, "figure" => things::figure;
    "places":
        "landscape" => places::landscape, "corridor" => places::corridor;
};

/// One image of a class: displayed RGB in [0, 1], 3 x `size` x `size`.
///
/// Images of different `index` are independent; the class is part of the stream's name, so that
/// adding a class changes no other class's images.
///
/// # Panics
/// Never for `class < CLASSES.len()` and `size > 0`.
pub fn draw(class: usize, seed: u64, index: u64, size: usize) -> Array3<f32> {
    let class = &CLASSES[class];
    let mut rng = stream(seed, &format!("scene {}", class.name), index);
    let mut dice = Dice::new(&mut rng);
    let mut canvas = Canvas::new(size.max(1));
    (class.draw)(&mut canvas, &mut dice);
    canvas.develop(&mut dice);
    canvas.into_array()
}

/// The `index`-th image of an endless sequence in which classes take turns: (class, image).
pub fn sample(seed: u64, index: u64, size: usize) -> (usize, Array3<f32>) {
    let n = CLASSES.len() as u64;
    let class = (index % n) as usize;
    (class, draw(class, seed, index / n, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_class_draws_varied_images_in_range() {
        for (class, c) in CLASSES.iter().enumerate() {
            let images: Vec<_> = (0..3).map(|i| draw(class, 7, i, 48)).collect();
            for image in &images {
                assert_eq!(image.dim(), (3, 48, 48));
                assert!(image.iter().all(|v| (0.0..=1.0).contains(v)), "{}: out of range", c.name);
                let mean = image.mean().unwrap();
                let sd = image.mapv(|v| (v - mean).powi(2)).mean().unwrap().sqrt();
                assert!(sd > 0.01, "{}: flat image, sd {sd}", c.name);
            }
            let change = (&images[0] - &images[1]).mapv(f32::abs).mean().unwrap();
            assert!(change > 0.01, "{}: two draws differ by {change} only", c.name);
        }
    }

    #[test]
    fn images_are_reproducible_and_names_unique() {
        assert_eq!(draw(20, 1, 5, 32), draw(20, 1, 5, 32));
        assert_ne!(draw(20, 1, 5, 32), draw(20, 2, 5, 32));
        let names: BTreeSet<_> = CLASSES.iter().map(|c| c.name).collect();
        assert_eq!(names.len(), CLASSES.len());
    }

    #[test]
    fn a_scene_is_the_same_at_any_size() {
        for (class, c) in CLASSES.iter().enumerate().filter(|(_, c)| c.family == "polygons") {
            let (small, large) = (draw(class, 3, 1, 32), draw(class, 3, 1, 96));
            let block = |p: usize, y: usize, x: usize| {
                (0..9).map(|i| large[(p, 3 * y + i / 3, 3 * x + i % 3)]).sum::<f32>() / 9.0
            };
            let difference: f32 =
                small.indexed_iter().map(|((p, y, x), v)| (block(p, y, x) - v).abs()).sum::<f32>() / small.len() as f32;
            assert!(difference < 0.02, "{}: mean difference {difference}", c.name);
        }
    }
}
