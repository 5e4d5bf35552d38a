//! Lit objects: solids turned at random, found by walking along parallel rays (sphere tracing, Hart
//! 1996), with diffuse and specular light and a soft shadow on the ground behind them.

use super::canvas::{Canvas, Dice, Fill, Pose, mix};
use super::field::background;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Solid {
    Sphere,
    Cube,
    Cylinder,
    Cone,
    Torus,
    Bowl,
}

type V3 = [f32; 3];

fn dot(a: V3, b: V3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn unit(a: V3) -> V3 {
    let n = dot(a, a).sqrt().max(1e-9);
    a.map(|v| v / n)
}

fn turn(m: &[V3; 3], p: V3) -> V3 {
    [dot(m[0], p), dot(m[1], p), dot(m[2], p)]
}

/// A rotation uniform over all of them, from a random unit quaternion.
fn rotation(dice: &mut Dice) -> [V3; 3] {
    let q: [f32; 4] = std::array::from_fn(|_| dice.normal());
    let n = q.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
    let [w, x, y, z] = q.map(|v| v / n);
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

impl Solid {
    /// Signed distance to the surface; every solid fits in the unit sphere.
    fn distance(self, [x, y, z]: V3) -> f32 {
        let slab = |a: f32, b: f32| a.max(b).min(0.0) + a.max(0.0).hypot(b.max(0.0));
        match self {
            Self::Sphere => x.hypot(y).hypot(z) - 0.9,
            Self::Cube => {
                let q = [x.abs() - 0.57, y.abs() - 0.57, z.abs() - 0.57];
                let outside = q.map(|v| v.max(0.0));
                dot(outside, outside).sqrt() + q[0].max(q[1]).max(q[2]).min(0.0)
            }
            Self::Cylinder => slab(x.hypot(z) - 0.45, y.abs() - 0.85),
            Self::Cone => {
                // The slope's distance is exact beside it and a lower bound elsewhere, which is all
                // that walking needs.
                let (sin, cos) = (0.42, 0.907);
                (cos * x.hypot(z) + sin * (y - 0.9)).max(-y - 0.7)
            }
            Self::Torus => (x.hypot(z) - 0.65).hypot(y) - 0.27,
            Self::Bowl => ((x.hypot(y).hypot(z) - 0.85).abs() - 0.06).max(y - 0.15),
        }
    }

    fn normal(self, p: V3) -> V3 {
        let e = 1e-3;
        let step = |i: usize, s: f32| {
            let mut q = p;
            q[i] += s * e;
            self.distance(q)
        };
        unit(std::array::from_fn(|i| step(i, 1.0) - step(i, -1.0)))
    }

    /// First hit of the ray from `start` along `ray`, within two units.
    fn hit(self, start: V3, ray: V3) -> Option<V3> {
        let mut t = 0.0;
        for _ in 0..40 {
            let p = std::array::from_fn(|i| start[i] + t * ray[i]);
            let d = self.distance(p);
            if d < 2e-3 {
                return Some(p);
            }
            t += d;
            if t > 2.2 {
                break;
            }
        }
        None
    }
}

/// A tilt that keeps a solid recognisable: any turn about its axis, the axis 25 to 75 degrees from
/// the line of sight.
fn view(dice: &mut Dice, solid: Solid) -> [V3; 3] {
    if matches!(solid, Solid::Cube | Solid::Sphere) {
        return rotation(dice);
    }
    let (tilt, roll) = (dice.range(0.45, 1.3), dice.angle());
    let (axis_x, axis_y) = (tilt.sin() * roll.cos(), tilt.sin() * roll.sin());
    let y = [axis_x, axis_y, tilt.cos()];
    let x = unit([y[1], -y[0], 0.0]);
    let z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
    [x, y, z]
}

pub(super) fn solid(canvas: &mut Canvas, dice: &mut Dice, solid: Solid) {
    let ground = background(canvas, dice);
    let (pose, frame) = (dice.pose(0.5, 0.9, 0.0), view(dice, solid));
    let fill = Fill::random(dice, ground, 0.3);
    let light = unit([dice.range(-1.0, 1.0), dice.range(-1.0, 1.0), dice.range(0.4, 1.0)]);
    let (ambient, gloss) = (dice.range(0.1, 0.3), if dice.chance(0.5) { dice.range(0.2, 0.7) } else { 0.0 });
    let shadow = Pose::new(pose.x - 0.3 * light[0] * pose.scale, pose.y - 0.3 * light[1] * pose.scale, pose.scale, 0.0);
    canvas.blend((shadow.x, shadow.y), 1.2 * pose.scale, |x, y| {
        let (u, v) = shadow.local(x, y);
        ([0.0; 3], 0.5 * (1.0 - u.hypot(v)).clamp(0.0, 0.6))
    });
    let half = unit([light[0], light[1], light[2] + 1.0]);
    let ray = turn(&frame, [0.0, 0.0, -1.0]);
    canvas.blend((pose.x, pose.y), 1.05 * pose.scale, |x, y| {
        let (u, v) = pose.local(x, y);
        if u.hypot(v) > 1.02 {
            return ([0.0; 3], 0.0);
        }
        let Some(p) = solid.hit(turn(&frame, [u, v, 1.1]), ray) else {
            return ([0.0; 3], 0.0);
        };
        let n = solid.normal(p);
        let diffuse = dot(n, turn(&frame, light)).max(0.0);
        let shine = gloss * dot(n, turn(&frame, half)).max(0.0).powi(20);
        let lit = fill.at(u, v).map(|c| c * (ambient + (1.0 - ambient) * 1.1 * diffuse));
        (mix(lit, [1.0; 3], shine), 1.0)
    });
}
