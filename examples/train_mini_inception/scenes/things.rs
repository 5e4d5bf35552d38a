//! Things known by how their parts are arranged: faces, houses, trees, stick figures.

use super::canvas::{Canvas, Dice, Fill, Pose, Rgb, mix};
use super::curves::stroke;
use super::field::background;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Arrangement {
    Upright,
    Inverted,
    Scrambled,
}

/// Where the two eyes, the nose and the mouth go.
fn places(dice: &mut Dice, arrangement: Arrangement) -> [(f32, f32); 4] {
    let apart = dice.range(0.28, 0.4);
    let upright = [(-apart, -0.25), (apart, -0.25), (0.0, 0.15), (0.0, dice.range(0.45, 0.58))];
    match arrangement {
        Arrangement::Upright => upright,
        Arrangement::Inverted => upright.map(|(x, y)| (x, -y)),
        Arrangement::Scrambled => {
            let order = [[2, 0, 3, 1], [3, 2, 0, 1], [0, 3, 1, 2], [2, 3, 0, 1], [0, 2, 3, 1]][dice.below(5)];
            let mut out = [(0.0, 0.0); 4];
            for (part, place) in order.into_iter().enumerate() {
                out[part] = (upright[place].0 + dice.range(-0.1, 0.1), upright[place].1 + dice.range(-0.1, 0.1));
            }
            out
        }
    }
}

/// A spot at (`x`, `y`) of a larger pose's coordinates, `w` wide and `h` high.
fn spot(canvas: &mut Canvas, on: &Pose, at: (f32, f32), size: (f32, f32), colour: Rgb) {
    canvas.shape(on, 1.4, Fill::plain(colour), |u, v| {
        (((u - at.0) / size.0).hypot((v - at.1) / size.1) - 1.0) * size.0.min(size.1)
    });
}

pub(super) fn face(canvas: &mut Canvas, dice: &mut Dice, arrangement: Arrangement) {
    background(canvas, dice);
    let pose = dice.pose(0.5, 0.85, 0.2);
    let skin = mix(dice.colour(), [0.85, 0.65, 0.5], dice.range(0.3, 0.9));
    let shade = mix(skin, [0.05; 3], 0.7);
    let width = dice.range(0.7, 0.9);
    let hair = dice.colour_unlike(skin, 0.4);
    let (down, line) = (if arrangement == Arrangement::Inverted { -1.0 } else { 1.0 }, dice.range(-0.75, -0.5));
    let side = dice.range(-0.4, 0.4);
    canvas.shape(&pose, 1.2, Fill::plain(skin), |u, v| (u / width).hypot(v) - 1.0);
    canvas.blend((pose.x, pose.y), 1.2 * pose.scale, |x, y| {
        let (u, v) = pose.local(x, y);
        let inside = (u / width).hypot(v) < 1.0;
        if down * v < line && inside {
            (hair, 1.0)
        } else {
            (shade, if inside { (side * u + 0.1).clamp(0.0, 0.3) } else { 0.0 })
        }
    });
    let [left, right, nose, mouth] = places(dice, arrangement);
    let (open, iris, lips) =
        (dice.range(0.06, 0.12), mix(dice.colour(), [0.0; 3], 0.5), mix(dice.colour(), [0.6, 0.1, 0.1], 0.6));
    for eye in [left, right] {
        spot(canvas, &pose, eye, (0.17, open), [0.95; 3]);
        spot(canvas, &pose, eye, (0.07, open.min(0.07)), iris);
        stroke(
            canvas,
            &pose,
            &[(eye.0 - 0.16, eye.1 - down * 0.2), (eye.0 + 0.16, eye.1 - down * 0.2)],
            0.03,
            Fill::plain(hair),
        );
    }
    stroke(
        canvas,
        &pose,
        &[(nose.0, nose.1 - down * 0.15), (nose.0 + 0.05, nose.1 + down * 0.08), (nose.0 - 0.05, nose.1 + down * 0.1)],
        0.03,
        Fill::plain(shade),
    );
    let smile = down * dice.range(-0.05, 0.1);
    let curve: Vec<_> =
        (-4..=4).map(|i| i as f32 / 4.0).map(|t| (mouth.0 + 0.24 * t, mouth.1 + smile * (1.0 - t * t))).collect();
    stroke(canvas, &pose, &curve, 0.05, Fill::plain(lips));
}

pub(super) fn house(canvas: &mut Canvas, dice: &mut Dice) {
    let ground = background(canvas, dice);
    let pose = dice.pose(0.5, 0.85, 0.12);
    let wall = Fill::random(dice, ground, 0.3);
    let roof = dice.colour_unlike(wall.main(), 0.35);
    let (eaves, peak, wide) = (dice.range(-0.35, 0.0), dice.range(-0.95, -0.7), dice.range(0.55, 0.85));
    canvas.shape(&pose, 1.2, wall, |u, v| (u.abs() - wide).max((v - 0.9).max(eaves - v)));
    let slope = (eaves - peak) / (wide + 0.12);
    canvas.shape(&pose, 1.2, Fill::plain(roof), |u, v| (v - eaves).max(slope * u.abs() - (v - peak)) * 0.8);
    let (glass, wood) = (dice.colour_unlike(wall.main(), 0.35), dice.colour_unlike(wall.main(), 0.35));
    let pane = |canvas: &mut Canvas, x: f32, y: f32, w: f32, h: f32, colour: Rgb| {
        canvas.shape(&pose, 1.2, Fill::plain(colour), |u, v| ((u - x).abs() - w).max((v - y).abs() - h));
    };
    let door = dice.range(-0.25, 0.25) * wide;
    pane(canvas, door, 0.62, 0.13, 0.28, wood);
    for x in [-0.6 * wide, 0.6 * wide] {
        pane(canvas, x, eaves + 0.32, 0.13, 0.14, glass);
    }
}

pub(super) fn tree(canvas: &mut Canvas, dice: &mut Dice) {
    let ground = background(canvas, dice);
    let pose = dice.pose(0.55, 0.9, 0.1);
    let bark = Fill::plain(dice.colour_unlike(ground, 0.35));
    let leaf = dice.colour_unlike(ground, 0.35);
    let bare = dice.chance(0.3);
    branch(canvas, dice, &pose, (0.0, 1.0), (-0.25 * std::f32::consts::TAU, 0.75), 4, bark);
    if !bare {
        let n = 25 + dice.below(20);
        for _ in 0..n {
            let (a, r) = (dice.angle(), dice.range(0.0, 1.0).sqrt());
            let tone = mix(leaf, if dice.chance(0.5) { [0.0; 3] } else { [1.0; 3] }, dice.range(0.0, 0.35));
            let size = dice.range(0.08, 0.2);
            spot(canvas, &pose, (0.6 * r * a.cos(), -0.4 + 0.5 * r * a.sin()), (size, size), tone);
        }
    }
}

/// A branch and its branches; `to` is direction and length.
fn branch(
    canvas: &mut Canvas,
    dice: &mut Dice,
    pose: &Pose,
    from: (f32, f32),
    to: (f32, f32),
    depth: usize,
    fill: Fill,
) {
    let (angle, length) = to;
    let tip = (from.0 + length * angle.cos(), from.1 + length * angle.sin());
    stroke(canvas, pose, &[from, tip], 0.02 + 0.1 * length * length, fill);
    if depth > 1 {
        for side in [-1.0, 1.0] {
            let bend = (angle + side * dice.range(0.3, 0.7), length * dice.range(0.6, 0.75));
            branch(canvas, dice, pose, tip, bend, depth - 1, fill);
        }
    }
}

pub(super) fn figure(canvas: &mut Canvas, dice: &mut Dice) {
    let ground = background(canvas, dice);
    let pose = dice.pose(0.55, 0.9, 0.2);
    let (fill, weight) = (Fill::random(dice, ground, 0.45), dice.range(0.05, 0.1));
    spot(canvas, &pose, (0.0, -0.72), (0.2, 0.23), fill.main());
    let (neck, hip) = ((0.0, -0.5), (dice.range(-0.08, 0.08), 0.2));
    stroke(canvas, &pose, &[neck, hip], 1.6 * weight, fill);
    for side in [-1.0, 1.0] {
        let elbow = (side * dice.range(0.2, 0.4), dice.range(-0.45, 0.0));
        let hand = (elbow.0 + side * dice.range(0.0, 0.3), elbow.1 + dice.range(-0.35, 0.35));
        stroke(canvas, &pose, &[(0.0, -0.4), elbow, hand], weight, fill);
        let knee = (hip.0 + side * dice.range(0.05, 0.35), dice.range(0.5, 0.65));
        let foot = (knee.0 + side * dice.range(-0.1, 0.2), dice.range(0.9, 1.0));
        stroke(canvas, &pose, &[hip, knee, foot], weight, fill);
    }
}
