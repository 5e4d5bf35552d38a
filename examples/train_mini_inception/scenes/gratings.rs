//! Gratings and their relatives: plaids, rings, rays and swirls.

use super::canvas::{Canvas, Dice, Rgb, mix};
use std::f32::consts::{PI, TAU};

/// Two colours, and how square the wave between them is.
struct Wave {
    a: Rgb,
    b: Rgb,
    gain: f32,
    phase: f32,
}

impl Wave {
    fn random(dice: &mut Dice) -> Self {
        let a = dice.colour();
        let b = dice.colour_unlike(a, 0.35);
        let gain = if dice.chance(0.5) { 1.0 } else { dice.range(2.0, 6.0) };
        Self { a, b, gain, phase: dice.angle() }
    }

    /// Colour for a wave of height -1..1.
    fn colour(&self, height: f32) -> Rgb {
        mix(self.a, self.b, 0.5 + 0.5 * (height * self.gain).clamp(-1.0, 1.0))
    }
}

/// Softly windowed on half of the images, on the wave's mean colour.
fn windowed(canvas: &mut Canvas, dice: &mut Dice, wave: &Wave, height: impl Fn(f32, f32) -> f32) {
    let (cx, cy) = (dice.range(-0.3, 0.3), dice.range(-0.3, 0.3));
    let width = if dice.chance(0.5) { dice.range(0.4, 0.7) } else { 9.0 };
    canvas.paint(|x, y| {
        let window = (-((x - cx).powi(2) + (y - cy).powi(2)) / (2.0 * width * width)).exp();
        let colour = wave.colour(height(x, y));
        mix(mix(wave.a, wave.b, 0.5), colour, window)
    });
}

/// Stripes near one of four orientations (`bin` x 45 degrees), at 3 to 6 or 10 to 20 cycles per
/// image.
pub(super) fn grating(canvas: &mut Canvas, dice: &mut Dice, bin: usize, high: bool) {
    let angle = (bin as f32 * 45.0 + dice.range(-15.0, 15.0)).to_radians();
    let cycles = if high { dice.range(10.0, 20.0) } else { dice.range(3.0, 6.0) };
    let (kx, ky) = (cycles * PI * angle.cos(), cycles * PI * angle.sin());
    let wave = Wave::random(dice);
    windowed(canvas, dice, &wave, |x, y| (kx * x + ky * y + wave.phase).sin());
}

fn plaid(canvas: &mut Canvas, dice: &mut Dice, between: f32) {
    let (first, cycles) = (dice.angle(), dice.range(4.0, 12.0) * PI);
    let second = first + between;
    let ((ax, ay), (bx, by)) = ((first.cos(), first.sin()), (second.cos(), second.sin()));
    let (wave, other) = (Wave::random(dice), dice.angle());
    windowed(canvas, dice, &wave, |x, y| {
        0.5 * ((cycles * (ax * x + ay * y) + wave.phase).sin() + (cycles * (bx * x + by * y) + other).sin())
    });
}

/// Two gratings at right angles.
pub(super) fn square_plaid(canvas: &mut Canvas, dice: &mut Dice) {
    let between = dice.range(80.0, 100.0).to_radians();
    plaid(canvas, dice, between);
}

/// Two gratings 30 to 50 degrees apart.
pub(super) fn acute_plaid(canvas: &mut Canvas, dice: &mut Dice) {
    let between = dice.range(30.0, 50.0).to_radians();
    plaid(canvas, dice, between);
}

/// A grating in polar coordinates: `turns` per radius, `arms` per turn.
fn polar(canvas: &mut Canvas, dice: &mut Dice, turns: f32, arms: f32) {
    let (cx, cy) = (dice.range(-0.5, 0.5), dice.range(-0.5, 0.5));
    let wave = Wave::random(dice);
    windowed(canvas, dice, &wave, |x, y| {
        let (dx, dy) = (x - cx, y - cy);
        (TAU * turns * dx.hypot(dy) + arms * dy.atan2(dx) + wave.phase).sin()
    });
}

pub(super) fn rings(canvas: &mut Canvas, dice: &mut Dice) {
    let turns = dice.range(2.0, 7.0);
    polar(canvas, dice, turns, 0.0);
}

pub(super) fn rays(canvas: &mut Canvas, dice: &mut Dice) {
    let arms = 4 + dice.below(11);
    polar(canvas, dice, 0.0, arms as f32);
}

pub(super) fn swirl(canvas: &mut Canvas, dice: &mut Dice) {
    let (turns, arms) = (dice.range(1.0, 3.0), 3 + dice.below(5));
    let hand = if dice.chance(0.5) { 1.0 } else { -1.0 };
    polar(canvas, dice, hand * turns, arms as f32);
}
