//! Random scalar fields: lattice noise, noise of a given spectrum, and the backgrounds made from
//! them.

use super::canvas::{Canvas, Dice, Rgb, mix, smoothstep};
use ndarray::Array2;
use orthoscope::image::spectrum::inverse;

/// Uniform in [0, 1), a function of a lattice point and a key.
pub(super) fn hash(x: i32, y: i32, key: u32) -> f32 {
    let mut h = key ^ (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    for multiplier in [0x7feb_352d_u32, 0x846c_a68b] {
        h = (h ^ (h >> 15)).wrapping_mul(multiplier);
    }
    ((h ^ (h >> 16)) >> 8) as f32 / (1u32 << 24) as f32
}

/// Smooth lattice noise in [0, 1] with one bump per unit.
pub(super) fn bumps(x: f32, y: f32, key: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (ix, iy) = (fx as i32, fy as i32);
    let (tx, ty) = (smoothstep(0.0, 1.0, x - fx), smoothstep(0.0, 1.0, y - fy));
    let row = |j: i32| {
        let (a, b) = (hash(ix, iy + j, key), hash(ix + 1, iy + j, key));
        a + (b - a) * tx
    };
    let (top, bottom) = (row(0), row(1));
    top + (bottom - top) * ty
}

/// Three octaves of [`bumps`], in [0, 1].
pub(super) fn clouds(x: f32, y: f32, key: u32) -> f32 {
    (bumps(x, y, key) + 0.5 * bumps(2.0 * x + 7.3, 2.0 * y, key ^ 1) + 0.25 * bumps(4.0 * x, 4.0 * y + 3.1, key ^ 2))
        / 1.75
}

/// A fast background that fights for attention: plain, shaded, clouds, patches, or stripes. Returns
/// its mean colour.
pub(super) fn background(canvas: &mut Canvas, dice: &mut Dice) -> Rgb {
    let a = dice.colour();
    let b = mix(a, dice.colour(), dice.range(0.2, 0.55));
    let (key, angle, frequency) = (dice.bits(), dice.angle(), dice.range(1.0, 5.0));
    let (cos, sin) = (angle.cos(), angle.sin());
    match dice.below(6) {
        0 => canvas.paint(|_, _| a),
        1 => canvas.paint(|x, y| mix(a, b, 0.5 + 0.5 * (cos * x + sin * y))),
        2 | 3 => canvas.paint(|x, y| mix(a, b, clouds(frequency * x + 9.0, frequency * y + 9.0, key))),
        4 => {
            let c = mix(a, dice.colour(), 0.3);
            canvas.paint(|x, y| {
                let (u, v) = (cos * x + sin * y, cos * y - sin * x);
                let patch = hash((u * frequency + 50.0).floor() as i32, (v * frequency + 50.0).floor() as i32, key);
                if patch < 0.5 { mix(a, b, 2.0 * patch) } else { mix(a, c, 2.0 * patch - 1.0) }
            });
        }
        _ => {
            let pitch = dice.range(4.0, 22.0);
            let b = mix(a, b, 0.6);
            canvas.paint(|x, y| mix(a, b, 0.5 + 0.5 * ((cos * x + sin * y) * pitch).sin()));
        }
    }
    canvas.mean()
}

/// Two independent fields of zero mean and unit variance whose amplitude spectrum is
/// `amplitude(fx, fy)`, with frequencies in cycles per image; by the inverse Fourier transform of a
/// spectrum with random phases.
pub(super) fn spectral(size: usize, dice: &mut Dice, amplitude: impl Fn(f32, f32) -> f32) -> (Vec<f32>, Vec<f32>) {
    let signed = |i: usize| if i > size / 2 { i as f32 - size as f32 } else { i as f32 };
    let (mut re, mut im) = (Array2::<f32>::zeros((size, size)), Array2::<f32>::zeros((size, size)));
    for (i, (re, im)) in re.iter_mut().zip(&mut im).enumerate() {
        let (fx, fy) = (signed(i % size), signed(i / size));
        let strength = if i == 0 { 0.0 } else { amplitude(fx, fy) };
        (*re, *im) = (dice.normal() * strength, dice.normal() * strength);
    }
    let (re, im) = inverse(&re, &im);
    let field = |values: Vec<f32>| {
        let sd = (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt().max(1e-12);
        values.into_iter().map(|v| v / sd).collect()
    };
    (field(re.t().iter().copied().collect()), field(im.t().iter().copied().collect()))
}

/// Paints two fields: the first from one colour to another, the second as a tint.
fn paint_fields(canvas: &mut Canvas, dice: &mut Dice, fields: &(Vec<f32>, Vec<f32>)) {
    let low = dice.colour();
    let high = dice.colour_unlike(low, 0.5);
    let tint: [f32; 3] = std::array::from_fn(|_| dice.range(-0.12, 0.12));
    let gain = dice.range(0.16, 0.3);
    for (i, pixel) in canvas.rgb.iter_mut().enumerate() {
        let base = mix(low, high, 0.5 + gain * fields.0[i]);
        *pixel = std::array::from_fn(|c| base[c] + tint[c] * fields.1[i]);
    }
}

fn power_noise(canvas: &mut Canvas, dice: &mut Dice, slope: f32, stretch: (f32, f32)) {
    let fields = spectral(canvas.size, dice, |fx, fy| {
        let f = (fx * stretch.0).hypot(fy * stretch.1);
        f.max(0.7).powf(-slope)
    });
    paint_fields(canvas, dice, &fields);
}

/// Amplitude 1/f^0.2 at most: nearly white.
pub(super) fn white(canvas: &mut Canvas, dice: &mut Dice) {
    let slope = dice.range(0.0, 0.3);
    power_noise(canvas, dice, slope, (1.0, 1.0));
}

/// Amplitude 1/f, as in natural images.
pub(super) fn pink(canvas: &mut Canvas, dice: &mut Dice) {
    let slope = dice.range(0.8, 1.1);
    power_noise(canvas, dice, slope, (1.0, 1.0));
}

/// Amplitude 1/f^2: clouds.
pub(super) fn red(canvas: &mut Canvas, dice: &mut Dice) {
    let slope = dice.range(1.6, 2.2);
    power_noise(canvas, dice, slope, (1.0, 1.0));
}

/// 1/f noise drawn out along the rows.
pub(super) fn horizontal(canvas: &mut Canvas, dice: &mut Dice) {
    let (slope, stretch) = (dice.range(0.9, 1.5), dice.range(2.5, 6.0));
    power_noise(canvas, dice, slope, (stretch, 1.0));
}

/// 1/f noise drawn out along the columns.
pub(super) fn vertical(canvas: &mut Canvas, dice: &mut Dice) {
    let (slope, stretch) = (dice.range(0.9, 1.5), dice.range(2.5, 6.0));
    power_noise(canvas, dice, slope, (1.0, stretch));
}
