//! Letters and digits drawn with strokes, in varying weight, width and slant.

use super::canvas::{Canvas, Dice, Pose};
use super::curves::stroke;
use super::polygons::stage;

/// Points on an arc of an ellipse, angles in turns (0 right, 0.25 down).
fn arc(cx: f32, cy: f32, rx: f32, ry: f32, from: f32, to: f32) -> Vec<(f32, f32)> {
    (0..=10)
        .map(|i| (from + (to - from) * i as f32 / 10.0) * std::f32::consts::TAU)
        .map(|a| (cx + rx * a.cos(), cy + ry * a.sin()))
        .collect()
}

/// Strokes of a character in a box of +-0.6 x +-1.
fn strokes(character: char) -> Vec<Vec<(f32, f32)>> {
    let (l, r, t, b) = (-0.6, 0.6, -1.0, 1.0);
    match character {
        'A' => vec![vec![(l, b), (0.0, t), (r, b)], vec![(-0.37, 0.3), (0.37, 0.3)]],
        'E' => vec![vec![(r, t), (l, t), (l, b), (r, b)], vec![(l, 0.0), (0.4, 0.0)]],
        'H' => vec![vec![(l, t), (l, b)], vec![(r, t), (r, b)], vec![(l, 0.0), (r, 0.0)]],
        'K' => vec![vec![(l, t), (l, b)], vec![(r, t), (l, 0.1)], vec![(-0.25, -0.2), (r, b)]],
        'R' => {
            let mut bow = vec![(l, t)];
            bow.extend(arc(0.1, -0.5, 0.5, 0.5, -0.25, 0.25));
            bow.push((l, 0.0));
            vec![vec![(l, t), (l, b)], bow, vec![(0.0, 0.0), (r, b)]]
        }
        'S' => {
            let mut snake = arc(0.0, -0.5, 0.58, 0.5, -0.08, -0.75);
            snake.extend(arc(0.0, 0.5, 0.58, 0.5, -0.25, 0.42));
            vec![snake]
        }
        'T' => vec![vec![(l, t), (r, t)], vec![(0.0, t), (0.0, b)]],
        'X' => vec![vec![(l, t), (r, b)], vec![(r, t), (l, b)]],
        '3' => {
            let mut bows = arc(-0.05, -0.5, 0.55, 0.5, -0.4, 0.25);
            bows.extend(arc(-0.05, 0.5, 0.6, 0.5, -0.25, 0.4));
            vec![bows]
        }
        _ => vec![vec![(0.3, b), (0.3, t), (l, 0.4), (r, 0.4)]],
    }
}

pub(super) fn glyph(canvas: &mut Canvas, dice: &mut Dice, character: char) {
    let scale = dice.range(0.4, 0.75);
    let room = 0.9 - 0.95 * scale;
    let pose = Pose::new(dice.range(-room, room), dice.range(-room, room), scale, dice.range(-0.3, 0.3));
    let fill = stage(canvas, dice);
    let (width, slant, weight) = (dice.range(0.8, 1.15), dice.range(-0.25, 0.25), dice.range(0.08, 0.2));
    // The strokes are one figure: all in one fill, so that crossings do not show.
    for line in strokes(character) {
        let points: Vec<_> = line.iter().map(|&(x, y)| (width * x - slant * y, y)).collect();
        stroke(canvas, &pose, &points, weight, fill);
    }
}
