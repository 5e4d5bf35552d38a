//! Flat figures with straight sides, on backgrounds with clutter.

use super::canvas::{Canvas, Dice, Fill, Pose};
use super::field::background;
use std::f32::consts::TAU;

/// Background and small things that do not matter; returns a fill that stands out.
pub(super) fn stage(canvas: &mut Canvas, dice: &mut Dice) -> Fill {
    let ground = background(canvas, dice);
    for _ in 0..dice.below(5) {
        let pose = Pose::new(dice.range(-1.0, 1.0), dice.range(-1.0, 1.0), dice.range(0.05, 0.16), dice.angle());
        let fill = Fill::random(dice, ground, 0.2);
        if dice.chance(0.5) {
            canvas.shape(&pose, 1.2, fill, |u, v| u.hypot(v) - 1.0);
        } else {
            canvas.shape(&pose, 2.2, fill, |u, v| (u.abs() - 2.0).max(v.abs() - 0.2));
        }
    }
    Fill::random(dice, ground, 0.4)
}

/// Signed distance (up to a factor near 1 outside) to a polygon through `corners`, in order.
fn polygon(corners: &[(f32, f32)], x: f32, y: f32) -> f32 {
    let (mut nearest, mut inside) = (f32::MAX, false);
    for (i, &(ax, ay)) in corners.iter().enumerate() {
        let (bx, by) = corners[(i + 1) % corners.len()];
        let (ex, ey, px, py) = (bx - ax, by - ay, x - ax, y - ay);
        let t = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
        nearest = nearest.min((px - t * ex).powi(2) + (py - t * ey).powi(2));
        if (ay > y) != (by > y) && px < ex * py / ey {
            inside = !inside;
        }
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

/// A polygon, filled or as an outline, squeezed a little.
fn draw(canvas: &mut Canvas, dice: &mut Dice, pose: Pose, corners: &[(f32, f32)]) {
    let fill = stage(canvas, dice);
    let outline = dice.chance(0.35).then(|| dice.range(0.08, 0.16));
    let (squeeze, shear) = (dice.range(0.8, 1.0), dice.range(-0.15, 0.15));
    let corners: Vec<(f32, f32)> = corners.iter().map(|&(x, y)| (x + shear * y, y * squeeze)).collect();
    canvas.shape(&pose, 1.6, fill, |u, v| {
        let d = polygon(&corners, u, v);
        outline.map_or(d, |width| d.abs() - width)
    });
}

pub(super) fn regular(canvas: &mut Canvas, dice: &mut Dice, n: usize) {
    let pose = dice.pose(0.35, 0.8, 3.2);
    let corners: Vec<_> = (0..n).map(|i| i as f32 / n as f32 * TAU).map(|a| (a.cos(), a.sin())).collect();
    draw(canvas, dice, pose, &corners);
}

pub(super) fn star(canvas: &mut Canvas, dice: &mut Dice) {
    let (pose, depth) = (dice.pose(0.4, 0.85, 3.2), dice.range(0.35, 0.55));
    let n = 5 + dice.below(2);
    let corners: Vec<_> = (0..2 * n)
        .map(|i| (i as f32 / n as f32 * TAU / 2.0, if i % 2 == 0 { 1.0 } else { depth }))
        .map(|(a, r)| (r * a.cos(), r * a.sin()))
        .collect();
    draw(canvas, dice, pose, &corners);
}

pub(super) fn cross(canvas: &mut Canvas, dice: &mut Dice) {
    let (pose, w) = (dice.pose(0.4, 0.8, 3.2), dice.range(0.18, 0.36));
    let corners = [
        (w, w),
        (1.0, w),
        (1.0, -w),
        (w, -w),
        (w, -1.0),
        (-w, -1.0),
        (-w, -w),
        (-1.0, -w),
        (-1.0, w),
        (-w, w),
        (-w, 1.0),
        (w, 1.0),
    ];
    draw(canvas, dice, pose, &corners);
}

pub(super) fn arrow(canvas: &mut Canvas, dice: &mut Dice) {
    let (pose, w) = (dice.pose(0.45, 0.85, 3.2), dice.range(0.12, 0.25));
    let (neck, head) = (dice.range(0.0, 0.35), dice.range(0.45, 0.7));
    let corners = [(1.0, 0.0), (neck, head), (neck, w), (-1.0, w), (-1.0, -w), (neck, -w), (neck, -head)];
    draw(canvas, dice, pose, &corners);
}
