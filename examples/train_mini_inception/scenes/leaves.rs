//! Dead leaves (Matheron 1968; Lee, Mumford & Huang 2001): opaque things that fall on one another.

use super::canvas::{Canvas, Dice, Fill, Pose};

/// Leaves fall until every place has been covered several times over on average.
fn fall(canvas: &mut Canvas, dice: &mut Dice, mut leaf: impl FnMut(&mut Canvas, &mut Dice) -> f32) {
    let ground = dice.colour();
    canvas.paint(|_, _| ground);
    let (mut covered, mut n) = (0.0, 0);
    while covered < 12.0 && n < 900 {
        covered += leaf(canvas, dice);
        n += 1;
    }
}

/// A radius with density proportional to r^-3 between two bounds: statistics without a scale.
fn power_radius(dice: &mut Dice, low: f32, high: f32) -> f32 {
    let u = dice.range(0.0, 1.0);
    (low.powi(-2) + u * (high.powi(-2) - low.powi(-2))).powf(-0.5)
}

fn anywhere(dice: &mut Dice, scale: f32, angle: f32) -> Pose {
    Pose::new(dice.range(-1.0, 1.0) * (1.0 + scale), dice.range(-1.0, 1.0) * (1.0 + scale), scale, angle)
}

fn leaf_fill(dice: &mut Dice) -> Fill {
    Fill::random(dice, [9.0; 3], 0.0)
}

/// Discs of all sizes.
pub(super) fn power_law_discs(canvas: &mut Canvas, dice: &mut Dice) {
    fall(canvas, dice, |canvas, dice| {
        let r = power_radius(dice, 0.04, 0.8);
        let (pose, fill) = (anywhere(dice, r, 0.0), leaf_fill(dice));
        canvas.shape(&pose, 1.1, fill, |u, v| u.hypot(v) - 1.0);
        r * r
    });
}

/// Discs of one size.
pub(super) fn even_discs(canvas: &mut Canvas, dice: &mut Dice) {
    let size = dice.range(0.12, 0.3);
    fall(canvas, dice, |canvas, dice| {
        let r = size * dice.range(0.9, 1.1);
        let (pose, fill) = (anywhere(dice, r, 0.0), leaf_fill(dice));
        canvas.shape(&pose, 1.1, fill, |u, v| u.hypot(v) - 1.0);
        r * r
    });
}

/// Upturned squares of all sizes.
pub(super) fn squares(canvas: &mut Canvas, dice: &mut Dice) {
    fall(canvas, dice, |canvas, dice| {
        let r = power_radius(dice, 0.05, 0.7);
        let angle = dice.angle();
        let (pose, fill) = (anywhere(dice, r, angle), leaf_fill(dice));
        canvas.shape(&pose, 1.5, fill, |u, v| u.abs().max(v.abs()) - 1.0);
        r * r
    });
}

/// Needles that lie roughly in one direction.
pub(super) fn slivers(canvas: &mut Canvas, dice: &mut Dice) {
    let lie = dice.angle();
    fall(canvas, dice, |canvas, dice| {
        let r = power_radius(dice, 0.1, 0.9);
        let angle = lie + dice.range(-0.35, 0.35);
        let (pose, fill) = (anywhere(dice, r, angle), leaf_fill(dice));
        let width = dice.range(0.12, 0.25);
        canvas.shape(&pose, 1.1, fill, |u, v| (u.hypot(v / width) - 1.0) * width);
        r * r * width
    });
}
