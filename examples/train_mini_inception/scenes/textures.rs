//! Textures that fill the image, seen at a slant.

use super::canvas::{Canvas, Dice, Rgb, mix, smoothstep};
use super::field::{bumps, clouds, hash, spectral};

/// Texture coordinates: turned, scaled to `pitch` units per image width, slanted in depth.
struct Surface {
    cos: f32,
    sin: f32,
    pitch: f32,
    slant: (f32, f32),
    offset: (f32, f32),
}

impl Surface {
    fn random(dice: &mut Dice, low: f32, high: f32) -> Self {
        let angle = dice.angle();
        Self {
            cos: angle.cos(),
            sin: angle.sin(),
            pitch: dice.range(low, high) / 2.0,
            slant: (dice.range(-0.3, 0.3), dice.range(-0.3, 0.3)),
            offset: (dice.range(20.0, 40.0), dice.range(20.0, 40.0)),
        }
    }

    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let depth = self.pitch / (1.0 + self.slant.0 * x + self.slant.1 * y);
        let (u, v) = (self.cos * x + self.sin * y, self.cos * y - self.sin * x);
        (u * depth + self.offset.0, v * depth + self.offset.1)
    }

    /// Half a pixel's width in texture units, for soft borders.
    fn blur(&self, canvas: &Canvas) -> f32 {
        1.2 * self.pitch / canvas.size as f32
    }
}

fn two(dice: &mut Dice) -> (Rgb, Rgb) {
    let a = dice.colour();
    (a, dice.colour_unlike(a, 0.35))
}

/// Distance to the nearest integer.
fn to_line(v: f32) -> f32 {
    (v - v.round()).abs()
}

pub(super) fn checker(canvas: &mut Canvas, dice: &mut Dice) {
    let (s, (a, b)) = (Surface::random(dice, 5.0, 14.0), two(dice));
    let blur = s.blur(canvas);
    canvas.paint(|x, y| {
        let (u, v) = s.at(x, y);
        let odd = (u.floor() + v.floor()).rem_euclid(2.0);
        let soft = 0.5 * smoothstep(0.0, blur, to_line(u).min(to_line(v))) + 0.5;
        mix(a, b, if odd > 0.5 { soft } else { 1.0 - soft })
    });
}

pub(super) fn dots(canvas: &mut Canvas, dice: &mut Dice) {
    let (s, (a, b)) = (Surface::random(dice, 5.0, 13.0), two(dice));
    let (blur, radius, jitter, key) = (s.blur(canvas), dice.range(0.22, 0.36), dice.range(0.0, 0.12), dice.bits());
    canvas.paint(|x, y| {
        let (u, v) = s.at(x, y);
        let (i, j) = (u.floor() as i32, v.floor() as i32);
        let (du, dv) = (hash(i, j, key) - 0.5, hash(i, j, key ^ 5) - 0.5);
        let d = (u - i as f32 - 0.5 - 2.0 * jitter * du).hypot(v - j as f32 - 0.5 - 2.0 * jitter * dv);
        mix(b, a, smoothstep(radius - blur, radius + blur, d))
    });
}

pub(super) fn bricks(canvas: &mut Canvas, dice: &mut Dice) {
    let (s, (mortar, brick)) = (Surface::random(dice, 3.0, 7.0), two(dice));
    let (blur, gap, key, other) = (s.blur(canvas), dice.range(0.04, 0.08), dice.bits(), dice.colour());
    canvas.paint(|x, y| {
        let (u, v) = s.at(x, y);
        let course = (2.0 * v).floor();
        let u = u + 0.5 * course.rem_euclid(2.0);
        let shade = mix(brick, other, 0.35 * hash(u.floor() as i32, course as i32, key));
        let edge = to_line(u).min(to_line(2.0 * v) / 2.0);
        mix(mortar, shade, smoothstep(gap - blur, gap + blur, edge))
    });
}

pub(super) fn wood(canvas: &mut Canvas, dice: &mut Dice) {
    let (s, (a, b)) = (Surface::random(dice, 5.0, 12.0), two(dice));
    let (key, warp, stretch) = (dice.bits(), dice.range(1.0, 2.2), dice.range(0.15, 0.3));
    canvas.paint(|x, y| {
        let (u, v) = s.at(x, y);
        let ring = v + warp * clouds(stretch * u, 0.35 * v, key);
        let fibre = bumps(1.2 * u, 9.0 * v, key ^ 9);
        mix(a, b, 0.75 * (ring - ring.floor()).powi(2) + 0.25 * fibre)
    });
}

/// Distances to the nearest and second nearest seed of a jittered lattice, and the nearest one's
/// own number.
fn seeds(u: f32, v: f32, key: u32, jitter: f32) -> (f32, f32, f32) {
    let (i, j) = (u.floor() as i32, v.floor() as i32);
    let mut best = (f32::MAX, f32::MAX, 0.0);
    for dj in -1..=1 {
        for di in -1..=1 {
            let (a, b) = (i + di, j + dj);
            let px = a as f32 + 0.5 + jitter * (hash(a, b, key) - 0.5);
            let py = b as f32 + 0.5 + jitter * (hash(a, b, key ^ 3) - 0.5);
            let d = (u - px).hypot(v - py);
            if d < best.0 {
                best = (d, best.0, hash(a, b, key ^ 7));
            } else if d < best.1 {
                best.1 = d;
            }
        }
    }
    best
}

pub(super) fn cells(canvas: &mut Canvas, dice: &mut Dice) {
    let (s, (a, b)) = (Surface::random(dice, 4.0, 10.0), two(dice));
    let (blur, key, width, wall) = (s.blur(canvas), dice.bits(), dice.range(0.03, 0.1), dice.colour());
    canvas.paint(|x, y| {
        let (u, v) = s.at(x, y);
        let (d1, d2, own) = seeds(u, v, key, 1.0);
        mix(wall, mix(a, b, own), smoothstep(width - blur, width + blur, d2 - d1))
    });
}

pub(super) fn honeycomb(canvas: &mut Canvas, dice: &mut Dice) {
    let (s, (wall, cell)) = (Surface::random(dice, 4.0, 10.0), two(dice));
    let (blur, width) = (s.blur(canvas), dice.range(0.06, 0.14));
    let rise = 3f32.sqrt();
    canvas.paint(|x, y| {
        let (u, v) = s.at(x, y);
        // Nearest centre of two interleaved rectangular lattices, then the distance to the
        // hexagon's wall.
        let lattice = |ou: f32, ov: f32| (u - ou - (u - ou).round(), v - ov - ((v - ov) / rise).round() * rise);
        let (first, second) = (lattice(0.0, 0.0), lattice(0.5, rise / 2.0));
        let (p, q) = if first.0.hypot(first.1) < second.0.hypot(second.1) { first } else { second };
        let d = 0.5 - p.abs().max(0.5 * p.abs() + 0.5 * rise * q.abs());
        mix(wall, cell, smoothstep(width - blur, width + blur, d))
    });
}

/// Band-pass noise cut at its mean: spots and labyrinths, as reaction and diffusion make them.
fn labyrinth(canvas: &mut Canvas, dice: &mut Dice, oriented: bool) {
    let (a, b) = two(dice);
    let (centre, lie) = (dice.range(4.0, 10.0), dice.range(0.0, 3.2));
    let level = dice.range(-0.5, 0.5) * if oriented { 0.4 } else { 1.0 };
    let (field, tint) = spectral(canvas.size, dice, |fx, fy| {
        let f = fx.hypot(fy);
        let band = (-((f - centre) / (0.2 * centre)).powi(2) / 2.0).exp();
        let turn = (fy.atan2(fx) - lie).cos().abs();
        if oriented { band * (-((1.0 - turn) / 0.06)).exp() } else { band }
    });
    let steep = dice.range(0.15, 0.6);
    for (i, pixel) in canvas.rgb.iter_mut().enumerate() {
        let shade = mix(a, b, smoothstep(level - steep, level + steep, field[i]));
        *pixel = shade.map(|v| v + 0.02 * tint[i]);
    }
}

pub(super) fn blobs(canvas: &mut Canvas, dice: &mut Dice) {
    labyrinth(canvas, dice, false);
}

pub(super) fn zebra(canvas: &mut Canvas, dice: &mut Dice) {
    labyrinth(canvas, dice, true);
}

pub(super) fn weave(canvas: &mut Canvas, dice: &mut Dice) {
    let (s, (warp, weft)) = (Surface::random(dice, 5.0, 12.0), two(dice));
    let (gap, ground) = (dice.range(0.05, 0.15), dice.colour().map(|v| 0.3 * v));
    canvas.paint(|x, y| {
        let (u, v) = s.at(x, y);
        let over = (u.floor() + v.floor()).rem_euclid(2.0) > 0.5;
        let (across, along) = if over { (u, v) } else { (v, u) };
        let (across, along) = (across - across.floor() - 0.5, along - along.floor() - 0.5);
        if across.abs() > 0.5 - gap {
            return ground;
        }
        let light = (1.0 - 1.6 * across * across) * (1.0 - 1.2 * along * along);
        (if over { warp } else { weft }).map(|c| c * light)
    });
}
