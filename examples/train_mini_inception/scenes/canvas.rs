//! What scenes are painted on and with: a square of RGB, dice, poses and fills.

use ndarray::Array3;
use orthoscope::rng::Stream;

/// Red, green, blue in [0, 1].
pub(super) type Rgb = [f32; 3];

/// `a` at 0, `b` at 1.
pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}

/// 0 below `low`, 1 above `high`, smooth between.
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Random draws in 32 bits.
pub(super) struct Dice<'a> {
    rng: &'a mut Stream,
}

impl<'a> Dice<'a> {
    pub fn new(rng: &'a mut Stream) -> Self {
        Self { rng }
    }

    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        self.rng.uniform_in(f64::from(low), f64::from(high)) as f32
    }

    pub fn chance(&mut self, p: f32) -> bool {
        self.rng.uniform() < f64::from(p)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.rng.below(n)
    }

    pub fn bits(&mut self) -> u32 {
        (self.rng.bits() >> 32) as u32
    }

    pub fn normal(&mut self) -> f32 {
        self.rng.normal() as f32
    }

    pub fn angle(&mut self) -> f32 {
        self.range(0.0, std::f32::consts::TAU)
    }

    /// Any colour: hue uniform, from grey to saturated, from dark to bright.
    pub fn colour(&mut self) -> Rgb {
        let (hue, value) = (self.angle(), self.range(0.08, 1.0));
        let saturation = self.range(0.0, 1.0).powf(0.7);
        std::array::from_fn(|i| {
            let wave = 0.5 + 0.5 * (hue + i as f32 * std::f32::consts::TAU / 3.0).cos();
            value * (1.0 - saturation * wave)
        })
    }

    /// A colour at least `distance` away from another (Euclidean in RGB), by rejection.
    pub fn colour_unlike(&mut self, other: Rgb, distance: f32) -> Rgb {
        for _ in 0..20 {
            let c = self.colour();
            if (0..3).map(|i| (c[i] - other[i]).powi(2)).sum::<f32>().sqrt() > distance {
                return c;
            }
        }
        let bright = other.iter().sum::<f32>() > 1.5;
        if bright { [0.05; 3] } else { [0.95; 3] }
    }

    /// A centre near the middle, an angle in `+-turn`, a half-size in `low..high`.
    pub fn pose(&mut self, low: f32, high: f32, turn: f32) -> Pose {
        let scale = self.range(low, high);
        let room = (0.95 - scale).max(0.05);
        let (x, y) = (self.range(-room, room), self.range(-room, room));
        Pose::new(x, y, scale, self.range(-turn, turn))
    }
}

/// Where a thing is, how large and how turned.
#[derive(Clone, Copy)]
pub(super) struct Pose {
    pub x: f32,
    pub y: f32,
    pub scale: f32,
    cos: f32,
    sin: f32,
}

impl Pose {
    pub fn new(x: f32, y: f32, scale: f32, angle: f32) -> Self {
        Self { x, y, scale, cos: angle.cos(), sin: angle.sin() }
    }

    /// The thing's own coordinates, in units of its half-size.
    pub fn local(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = ((x - self.x) / self.scale, (y - self.y) / self.scale);
        (self.cos * dx + self.sin * dy, self.cos * dy - self.sin * dx)
    }
}

/// The inside of a shape: plain, shaded from one colour to another, or striped.
#[derive(Clone, Copy)]
pub(super) struct Fill {
    a: Rgb,
    b: Rgb,
    direction: (f32, f32),
    stripes: bool,
}

impl Fill {
    /// A random fill that stands out from `ground` by `distance`.
    pub fn random(dice: &mut Dice, ground: Rgb, distance: f32) -> Self {
        let a = dice.colour_unlike(ground, distance);
        let angle = dice.angle();
        let kind = dice.below(10);
        let near = mix(a, dice.colour(), 0.3);
        let (b, frequency) = match kind {
            0..=4 => (a, 0.0),
            5..=8 => (near, dice.range(0.4, 0.8)),
            _ => (mix(a, near, 0.8), dice.range(12.0, 30.0)),
        };
        Self { a, b, direction: (frequency * angle.cos(), frequency * angle.sin()), stripes: kind == 9 }
    }

    pub fn plain(colour: Rgb) -> Self {
        Self { a: colour, b: colour, direction: (0.0, 0.0), stripes: false }
    }

    pub fn main(&self) -> Rgb {
        self.a
    }

    pub fn at(&self, x: f32, y: f32) -> Rgb {
        let t = self.direction.0 * x + self.direction.1 * y;
        mix(self.a, self.b, if self.stripes { 0.5 + 0.5 * t.sin() } else { (0.5 + t).clamp(0.0, 1.0) })
    }
}

/// A square image in the making.
pub(super) struct Canvas {
    pub size: usize,
    pub rgb: Vec<Rgb>,
}

impl Canvas {
    pub fn new(size: usize) -> Self {
        Self { size, rgb: vec![[0.5; 3]; size * size] }
    }

    /// Centre of pixel `i` along an axis, in [-1, 1].
    pub fn at(&self, i: usize) -> f32 {
        (2.0 * i as f32 + 1.0) / self.size as f32 - 1.0
    }

    /// Every pixel anew.
    pub fn paint(&mut self, colour: impl Fn(f32, f32) -> Rgb) {
        for row in 0..self.size {
            let y = self.at(row);
            for column in 0..self.size {
                self.rgb[row * self.size + column] = colour(self.at(column), y);
            }
        }
    }

    /// Lays colours over the image with a weight in [0, 1] that is 0 outside `x, y +- reach`.
    pub fn blend(&mut self, centre: (f32, f32), reach: f32, layer: impl Fn(f32, f32) -> (Rgb, f32)) {
        let half = self.size as f32 / 2.0;
        let clip = |v: f32| ((v + 1.0) * half).clamp(0.0, self.size as f32) as usize;
        let span = |c: f32| clip(c - reach)..(clip(c + reach) + 1).min(self.size);
        for row in span(centre.1) {
            let y = self.at(row);
            for column in span(centre.0) {
                let (colour, weight) = layer(self.at(column), y);
                if weight > 0.0 {
                    let pixel = &mut self.rgb[row * self.size + column];
                    *pixel = mix(*pixel, colour, weight.min(1.0));
                }
            }
        }
    }

    /// A filled shape with antialiased border, given the signed distance to its border in units of
    /// the pose's half-size.
    pub fn shape(&mut self, pose: &Pose, extent: f32, fill: Fill, distance: impl Fn(f32, f32) -> f32) {
        let sharpness = pose.scale * self.size as f32 / 2.0;
        self.blend((pose.x, pose.y), extent * pose.scale, |x, y| {
            let (u, v) = pose.local(x, y);
            (fill.at(u, v), (0.5 - distance(u, v) * sharpness).clamp(0.0, 1.0))
        });
    }

    /// The mean colour.
    pub fn mean(&self) -> Rgb {
        let mut sum = [0.0f32; 3];
        self.rgb.iter().for_each(|p| (0..3).for_each(|i| sum[i] += p[i]));
        sum.map(|s| s / self.rgb.len() as f32)
    }

    /// The last step of every scene: uneven light, contrast, brightness, a touch of grain.
    pub fn develop(&mut self, dice: &mut Dice) {
        let (angle, slope) = (dice.angle(), dice.range(0.0, 0.2));
        let (contrast, brightness) = (dice.range(0.65, 1.1), dice.range(-0.1, 0.1));
        let grain = if dice.chance(0.5) { dice.range(0.0, 0.04) } else { 0.0 };
        let key = dice.bits();
        let (dx, dy) = (slope * angle.cos(), slope * angle.sin());
        for row in 0..self.size {
            for column in 0..self.size {
                let light = 1.0 + dx * self.at(column) + dy * self.at(row);
                // Grain is keyed by the pixel, so that it needs no draws of its own from the
                // stream.
                let noise = grain * (super::field::hash(column as i32, row as i32, key) * 2.0 - 1.0);
                let pixel = &mut self.rgb[row * self.size + column];
                *pixel = pixel.map(|v| ((v - 0.5) * contrast + 0.5 + brightness).max(0.0) * light + noise);
            }
        }
    }

    /// 3 x size x size, clipped to [0, 1].
    pub fn into_array(self) -> Array3<f32> {
        let n = self.size;
        Array3::from_shape_fn((3, n, n), |(p, y, x)| self.rgb[y * n + x][p].clamp(0.0, 1.0))
    }
}
