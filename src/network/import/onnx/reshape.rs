//! ONNX operators that change how a tensor lies: to features, to another notation, from channels
//! last to channels first.

use super::constant::Constant;
use super::{Call, Import, Laid, Value};
use crate::error::Result;
use crate::network::graph::NodeId;
use crate::network::op::{FlattenOrder, Op};
use crate::size;
use ndarray::IxDyn;

/// Axes of a constant: NumPy's limit.
const MOST_AXES: i64 = 64;

/// Batch x features.
const FEATURES: Laid = Laid { rank: 2, last: false };

impl Import {
    /// To features, or nothing but a change of notation.
    pub(super) fn reshape(&mut self, call: &Call<'_>) -> Result<Value> {
        if let Some(Value::Constant(c)) = self.value(call, 0)? {
            return match call.kind.as_str() {
                "Flatten" => Err(self.refuse(call, "of a constant")),
                "Transpose" => self.transposed(call, &c),
                _ => self.reshaped(call, &c),
            };
        }
        let (x, laid) = self.any_tensor(call, 0)?;
        let flat = self.net.shape(x).is_flat();
        let to = match call.kind.as_str() {
            "Transpose" => return self.transpose(call, x, laid),
            "Flatten" if call.int("axis", 1) == 1 || call.int("axis", 1) == 1 - laid.rank as i64 => Some(FEATURES),
            "Reshape" => {
                if let Some(same) = self.same_pixels(call, x, laid)? {
                    return self.push_as(call, Op::Identity, &[x], same);
                }
                self.features(call, x, laid)?
            }
            "Squeeze" if flat && laid.rank == 4 => {
                let pixels = if laid.last { [1, 2] } else { [2, 3] };
                let axes = self.ints(call, "axes", 1)?.unwrap_or_else(|| pixels.to_vec());
                let mut axes: Vec<i64> = axes.iter().map(|a| if *a < 0 { a + 4 } else { *a }).collect();
                axes.sort_unstable();
                (axes == pixels).then_some(FEATURES)
            }
            "Unsqueeze" if laid.rank == 2 => match self.ints(call, "axes", 1)?.unwrap_or_default()[..] {
                [2, 3] | [-2, -1] | [3, 2] | [-1, -2] => Some(Laid { rank: 4, last: false }),
                [1, 2] | [2, 1] => Some(Laid { rank: 4, last: true }),
                _ => None,
            },
            _ => None,
        };
        let order = if laid.last { FlattenOrder::Hwc } else { FlattenOrder::Chw };
        match to {
            None => Err(self.refuse(call, "that does not end in one feature axis")),
            Some(to) if flat => self.push_as(call, Op::Identity, &[x], to),
            Some(to) => self.push_as(call, Op::Flatten { order }, &[x], to),
        }
    }

    /// Channels last to channels first and back: the numbers stay, what the file calls their axes
    /// changes.
    fn transpose(&mut self, call: &Call<'_>, x: NodeId, laid: Laid) -> Result<Value> {
        let perm = self.permutation(call, laid.rank);
        let to = match (laid.rank, laid.last, &perm[..]) {
            (_, _, perm) if perm.iter().enumerate().all(|(i, &p)| p == i as i64) => laid,
            (4, true, [0, 3, 1, 2]) => Laid { rank: 4, last: false },
            (4, false, [0, 2, 3, 1]) => Laid { rank: 4, last: true },
            _ => {
                let from = if laid.last { "height x width x channels" } else { "channels x height x width" };
                return Err(self.refuse(call, &format!("{perm:?} of a tensor laid out as batch x {from}")));
            }
        };
        self.push_as(call, Op::Identity, &[x], to)
    }

    /// The order of the axes; without one they are reversed.
    fn permutation(&self, call: &Call<'_>, rank: usize) -> Vec<i64> {
        call.attribute("perm").map_or_else(|| (0..rank as i64).rev().collect(), |a| a.ints.clone())
    }

    /// The shape that a Reshape asks for, with the axes that it copies filled in (batch: -1).
    fn target(&self, call: &Call<'_>, x: NodeId, laid: Laid) -> Result<Option<Vec<i64>>> {
        let target = match self.constant(call, 1)?.as_deref() {
            Some(Constant::Ints { values, .. }) => values.clone(),
            _ => return Ok(None),
        };
        let now = self.dimensions(x, laid);
        // 0 copies an axis; a batch of 1 or -1 stands for any batch, because images never mix.
        let copied = |(i, &d): (usize, &i64)| if d == 0 { now.get(i).copied().unwrap_or(0) } else { d };
        Ok(Some(target.iter().enumerate().map(copied).collect()))
    }

    fn dimensions(&self, x: NodeId, laid: Laid) -> Vec<i64> {
        let shape = self.net.shape(x);
        let [c, h, w] = [shape.channels, shape.height, shape.width].map(|d| d as i64);
        match (laid.rank, laid.last) {
            (2, _) => vec![-1, c],
            (_, true) => vec![-1, h, w, c],
            (_, false) => vec![-1, c, h, w],
        }
    }

    /// The layout after a Reshape that keeps every number in its place: one plane lies the same
    /// either way.
    fn same_pixels(&self, call: &Call<'_>, x: NodeId, laid: Laid) -> Result<Option<Laid>> {
        let Some(meant) = self.target(call, x, laid)? else { return Ok(None) };
        let one_plane = self.net.shape(x).channels == 1;
        let layouts = [Laid { rank: 4, last: false }, Laid { rank: 4, last: true }];
        let fits = |to: &Laid| {
            let dims = self.dimensions(x, *to);
            laid.rank == 4
                && (laid == *to || one_plane)
                && meant.len() == 4
                && matches!(meant[0], 1 | -1)
                && meant[1..] == dims[1..]
        };
        Ok(layouts.into_iter().filter(fits).min_by_key(|to| *to != laid))
    }

    /// The layout after a Reshape to batch x features (x 1 x 1).
    fn features(&self, call: &Call<'_>, x: NodeId, laid: Laid) -> Result<Option<Laid>> {
        let Some(meant) = self.target(call, x, laid)? else { return Ok(None) };
        let n = self.net.shape(x).len() as i64;
        let features = |d: i64, batch: i64| d == n || (d == -1 && batch != -1);
        // A batch that was copied is known.
        let copied =
            matches!(self.constant(call, 1)?.as_deref(), Some(Constant::Ints { values }) if values.first() == Some(&0));
        let batch = |b: i64| if copied { 0 } else { b };
        Ok(match meant[..] {
            [b, f] if (b == 1 || b == -1) && features(f, batch(b)) => Some(FEATURES),
            [b, f, 1, 1] if (b == 1 || b == -1) && features(f, batch(b)) => Some(Laid { rank: 4, last: false }),
            [b, 1, 1, f] if (b == 1 || b == -1) && features(f, batch(b)) => Some(Laid { rank: 4, last: true }),
            _ => None,
        })
    }

    fn transposed(&mut self, call: &Call<'_>, c: &Constant) -> Result<Value> {
        let Constant::Floats(array) = c else {
            return Err(self.refuse(call, "of whole numbers"));
        };
        let perm: Vec<usize> =
            self.permutation(call, array.ndim()).iter().filter_map(|&p| usize::try_from(p).ok()).collect();
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if sorted != (0..array.ndim()).collect::<Vec<_>>() {
            return Err(self.refuse(call, &format!("{perm:?} of {} axes", array.ndim())));
        }
        self.net.take_room(array.len())?;
        let turned = array.clone().permuted_axes(IxDyn(&perm)).as_standard_layout().into_owned();
        Ok(Value::Constant(Constant::Floats(turned).into()))
    }

    /// A constant in another shape.
    fn reshaped(&mut self, call: &Call<'_>, c: &Constant) -> Result<Value> {
        let Constant::Floats(array) = c else {
            return Err(self.refuse(call, "of whole numbers"));
        };
        let mut dims: Vec<i64> = array.shape().iter().map(|&d| d as i64).collect();
        match call.kind.as_str() {
            "Reshape" => dims = self.ints(call, "shape", 1)?.unwrap_or_default(),
            "Unsqueeze" => {
                let mut axes = self.ints(call, "axes", 1)?.unwrap_or_default();
                let rank = (dims.len() + axes.len()) as i64;
                if rank > MOST_AXES {
                    return Err(self.refuse(call, &format!("of a constant to {rank} axes")));
                }
                axes.iter_mut().filter(|a| **a < 0).for_each(|a| *a += rank);
                axes.sort_unstable();
                axes.iter()
                    .filter(|a| (0..rank).contains(*a))
                    .for_each(|&a| dims.insert((a as usize).min(dims.len()), 1));
            }
            _ => {
                let axes = self.ints(call, "axes", 1)?;
                let rank = dims.len() as i64;
                let axes = axes.map(|list| list.iter().map(|a| if *a < 0 { a + rank } else { *a }).collect::<Vec<_>>());
                let mut at = -1;
                dims.retain(|&d| {
                    at += 1;
                    d != 1 || axes.as_ref().is_some_and(|list| !list.contains(&at))
                });
            }
        }
        let Some(shape) = filled_in(&dims, array.len()) else {
            return Err(self.refuse(call, &format!("of a constant to {dims:?}")));
        };
        self.net.take_room(array.len())?;
        let changed = array.clone().into_shape_with_order(IxDyn(&shape)).expect("as many numbers as before");
        Ok(Value::Constant(Constant::Floats(changed).into()))
    }
}

/// Sides of `n` numbers, at most one of them given as -1.
fn filled_in(dims: &[i64], n: usize) -> Option<Vec<usize>> {
    if dims.len() as i64 > MOST_AXES {
        return None;
    }
    let known = size::product(dims.iter().filter(|d| **d != -1).map(|&d| usize::try_from(d).unwrap_or(usize::MAX)))?;
    let side = |&d: &i64| match d {
        -1 if known > 0 => Some(n / known),
        _ => usize::try_from(d).ok(),
    };
    let shape: Vec<usize> = dims.iter().map(side).collect::<Option<_>>()?;
    (size::product(shape.iter().copied()) == Some(n)).then_some(shape)
}

#[cfg(test)]
mod tests {
    use super::filled_in;

    #[test]
    fn sides_that_are_left_open_or_do_not_fit() {
        assert_eq!(filled_in(&[2, -1], 6), Some(vec![2, 3]));
        assert_eq!(filled_in(&[], 1), Some(vec![]));
        assert_eq!(filled_in(&[0, 5], 0), Some(vec![0, 5]));
        for wrong in [&[4, -1][..], &[-2, -3], &[0, -1], &[1 << 32, 1 << 32], &[0, i64::MAX, i64::MAX], &[1; 65]] {
            assert_eq!(filled_in(wrong, 6), None, "{wrong:?}");
        }
        assert_eq!(filled_in(&[0, i64::MAX, i64::MAX], 0), None);
    }
}
