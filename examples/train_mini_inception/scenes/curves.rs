//! Round figures and drawn lines.

use super::canvas::{Canvas, Dice, Fill, Pose};
use super::polygons::stage;
use std::f32::consts::TAU;

fn round(canvas: &mut Canvas, dice: &mut Dice, pose: Pose, distance: impl Fn(f32, f32) -> f32) {
    let fill = stage(canvas, dice);
    canvas.shape(&pose, 1.3, fill, distance);
}

pub(super) fn disc(canvas: &mut Canvas, dice: &mut Dice) {
    let pose = dice.pose(0.3, 0.8, 3.2);
    round(canvas, dice, pose, |u, v| u.hypot(v) - 1.0);
}

pub(super) fn ellipse(canvas: &mut Canvas, dice: &mut Dice) {
    let (pose, flat) = (dice.pose(0.45, 0.9, 3.2), dice.range(0.35, 0.6));
    round(canvas, dice, pose, |u, v| (u.hypot(v / flat) - 1.0) * flat);
}

pub(super) fn ring(canvas: &mut Canvas, dice: &mut Dice) {
    let (pose, width) = (dice.pose(0.35, 0.8, 3.2), dice.range(0.08, 0.2));
    round(canvas, dice, pose, |u, v| (u.hypot(v) - 1.0 + width).abs() - width);
}

pub(super) fn crescent(canvas: &mut Canvas, dice: &mut Dice) {
    let (pose, shift, inner) = (dice.pose(0.4, 0.85, 3.2), dice.range(0.35, 0.6), dice.range(0.75, 0.95));
    round(canvas, dice, pose, |u, v| (u.hypot(v) - 1.0).max(inner - (u - shift).hypot(v)));
}

/// A thick polyline through points of the pose's own coordinates.
pub(super) fn stroke(canvas: &mut Canvas, pose: &Pose, points: &[(f32, f32)], width: f32, fill: Fill) {
    let extent = 1.5 + points.iter().map(|p| p.0.abs().max(p.1.abs())).fold(0.0, f32::max);
    canvas.shape(pose, extent, fill, |u, v| {
        let near = points.windows(2).map(|p| {
            let (ex, ey, px, py) = (p[1].0 - p[0].0, p[1].1 - p[0].1, u - p[0].0, v - p[0].1);
            let t = ((px * ex + py * ey) / (ex * ex + ey * ey).max(1e-12)).clamp(0.0, 1.0);
            (px - t * ex).powi(2) + (py - t * ey).powi(2)
        });
        near.fold(f32::MAX, f32::min).sqrt() - width
    });
}

fn line(canvas: &mut Canvas, dice: &mut Dice, n: usize, curve: impl Fn(f32) -> (f32, f32)) {
    let pose = dice.pose(0.5, 0.85, 3.2);
    let fill = stage(canvas, dice);
    let points: Vec<_> = (0..=n).map(|i| curve(i as f32 / n as f32)).collect();
    let width = dice.range(0.05, 0.1);
    stroke(canvas, &pose, &points, width, fill);
}

pub(super) fn spiral(canvas: &mut Canvas, dice: &mut Dice) {
    let turns = dice.range(1.8, 2.8) * if dice.chance(0.5) { 1.0 } else { -1.0 };
    line(canvas, dice, 48, |t| {
        ((0.06 + 0.94 * t) * (turns * TAU * t).cos(), (0.06 + 0.94 * t) * (turns * TAU * t).sin())
    });
}

pub(super) fn wave(canvas: &mut Canvas, dice: &mut Dice) {
    let (cycles, height, phase) = (dice.range(1.5, 2.8), dice.range(0.2, 0.4), dice.angle());
    line(canvas, dice, 40, |t| (2.0 * t - 1.0, height * (cycles * TAU * t + phase).sin()));
}

pub(super) fn zigzag(canvas: &mut Canvas, dice: &mut Dice) {
    let (teeth, height) = (4 + dice.below(4), dice.range(0.2, 0.4));
    line(canvas, dice, teeth, |t| {
        let tooth = (t * teeth as f32).round() as usize;
        (2.0 * t - 1.0, if tooth.is_multiple_of(2) { height } else { -height })
    });
}
