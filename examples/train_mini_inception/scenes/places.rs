//! Places: open land to a horizon, and a corridor in perspective.

use super::canvas::{Canvas, Dice, Fill, Pose, mix};
use super::field::{bumps, clouds};

pub(super) fn landscape(canvas: &mut Canvas, dice: &mut Dice) {
    let sky = mix(dice.colour(), [0.5, 0.7, 1.0], 0.5);
    let haze = mix(sky, [1.0; 3], dice.range(0.2, 0.6));
    let horizon = dice.range(-0.4, 0.4);
    let key = dice.bits();
    canvas.paint(|x, y| {
        let cloud = clouds(1.5 * x + 9.0, 4.0 * y + 9.0, key);
        mix(
            mix(sky, haze, ((y + 1.0) / (horizon + 1.0)).clamp(0.0, 1.0)),
            [1.0; 3],
            (2.0 * cloud - 1.1).clamp(0.0, 0.8),
        )
    });
    let layers = 2 + dice.below(3);
    for layer in 0..layers {
        let near = (layer + 1) as f32 / layers as f32;
        let colour = mix(haze, dice.colour(), 0.35 + 0.6 * near);
        let (level, rough, height) = (horizon + 0.5 * near * near, dice.range(1.0, 4.0), dice.range(0.1, 0.4));
        let key = dice.bits();
        let pixel = canvas.size as f32 / 2.0;
        canvas.blend((0.0, 0.0), 1.0, |x, y| {
            let crest = level - height * (clouds(rough * x + 9.0, 0.5, key) - 0.3);
            let grain = bumps(14.0 * x + 40.0, 40.0 / (0.3 + y - level + 1.0), key ^ 1);
            (colour.map(|c| c * (0.85 + 0.3 * grain)), ((y - crest) * pixel + 0.5).clamp(0.0, 1.0))
        });
    }
    for _ in 0..dice.below(4) {
        let size = dice.range(0.08, 0.2);
        let pose = Pose::new(dice.range(-0.9, 0.9), horizon + dice.range(0.1, 0.4), size, 0.0);
        let crown = Fill::plain(dice.colour().map(|c| 0.6 * c));
        canvas.shape(&pose, 1.6, crown, |u, v| (u.abs() * 1.4 - (v + 1.4) * 0.7).max(v - 0.6));
    }
}

pub(super) fn corridor(canvas: &mut Canvas, dice: &mut Dice) {
    let (vx, vy) = (dice.range(-0.4, 0.4), dice.range(-0.3, 0.3));
    let (wide, high) = (dice.range(0.8, 1.3), dice.range(0.8, 1.2));
    let (floor, ceiling, left, right) = (dice.colour(), dice.colour(), dice.colour(), dice.colour());
    let (end, tiles, doors) = (dice.range(3.0, 7.0), dice.range(1.0, 3.0), dice.range(0.5, 1.2));
    let (wall_end, dark) = (dice.colour(), dice.range(0.3, 0.8));
    canvas.paint(|x, y| {
        let (dx, dy) = (x - vx, y - vy);
        let depth = 1.0 / (dx.abs() / wide).max(dy.abs() / high).max(1e-3);
        let fog = 1.0 - dark * (depth / end).min(1.0);
        if depth > end {
            return wall_end.map(|c| c * fog);
        }
        let on_wall = dx.abs() / wide > dy.abs() / high;
        let colour = if on_wall {
            let (base, height) = (if dx > 0.0 { right } else { left }, dy * depth / high);
            let door = (depth * doors).fract() < 0.4 && height > -0.5;
            if door { base.map(|c| 0.55 * c) } else { base }
        } else if dy > 0.0 {
            let odd = ((depth * tiles).floor() + (dx * depth * tiles / wide + 20.0).floor()).rem_euclid(2.0);
            mix(floor, [0.1; 3], 0.45 * odd)
        } else {
            let lamp = (depth * doors + 0.5).fract() < 0.25 && (dx * depth / wide).abs() < 0.3;
            if lamp { [1.0; 3] } else { ceiling }
        };
        colour.map(|c| c * fog)
    });
}
