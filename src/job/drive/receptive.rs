//! Where a unit looks: the energy of its gradient at the pixels.

use crate::error::Result;
use crate::image::Aperture;
use crate::network::{Executor, TapGrad, TapValue};
use crate::objective::UnitTap;
use crate::tensor::{Device, array_f64, tensor, tensor_from_vec};
use ndarray::{Array2, Array4, Axis};

/// `E[y, x] = sum over images and channels of (d response / d pixel)^2`, height x width.
///
/// # Errors
/// As [`Executor::forward`].
pub fn gradient_energy(
    executor: &mut dyn Executor,
    unit: UnitTap,
    images: &Array4<f32>,
    device: &Device,
) -> Result<Array2<f64>> {
    let values = executor.forward(&tensor(images.view(), device))?;
    let grads: Vec<TapGrad> = values
        .iter()
        .enumerate()
        .map(|(tap, value)| match value {
            TapValue::Activations(a) if tap == unit.tap => {
                let [n, c, h, w] = a.dims();
                let mut grad = Array4::<f32>::zeros((n, c, h, w));
                let mut plane = grad.index_axis_mut(Axis(1), unit.channel);
                match unit.at {
                    Some([y, x]) => plane.outer_iter_mut().for_each(|mut p| p[(y, x)] = 1.0),
                    None => plane.fill(1.0 / (h * w) as f32),
                }
                TapGrad::Activations(tensor_from_vec(grad.into_raw_vec_and_offset().0, [n, c, h, w], device))
            }
            _ => TapGrad::None,
        })
        .collect();
    let pixels = array_f64(&executor.backward(&grads)?).into_dimensionality::<ndarray::Ix4>().expect("four axes");
    Ok(pixels.mapv(|g| g * g).sum_axis(Axis(0)).sum_axis(Axis(0)))
}

/// Standard deviations of the energy that the disc's radius spans.
const RADIUS_SD: f64 = 2.0;

/// The disc around the energy's centre of mass with a radius of two standard deviations (mean of
/// both axes), soft over `edge_px` beyond it. `None` where there is no energy.
pub fn disc(energy: &Array2<f64>, edge_px: f64) -> Option<Aperture> {
    let total = energy.sum();
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    let (height, width) = energy.dim();
    let moment = |f: &dyn Fn(f64, f64) -> f64| {
        energy.indexed_iter().map(|((y, x), e)| e * f(y as f64, x as f64)).sum::<f64>() / total
    };
    let (cy, cx) = (moment(&|y, _| y), moment(&|_, x| x));
    let variance = 0.5 * moment(&|y, x| (y - cy).powi(2) + (x - cx).powi(2));
    let diameter = 2.0 * (RADIUS_SD * variance.sqrt() + edge_px) / height.min(width) as f64;
    let offset_px = (cy - (height as f64 - 1.0) / 2.0, cx - (width as f64 - 1.0) / 2.0);
    Some(Aperture { diameter: diameter.min(1.5), edge_px, offset_px, ..Aperture::default() })
}

#[cfg(test)]
mod tests {
    use super::disc;
    use ndarray::Array2;

    #[test]
    fn a_gaussian_of_energy_gives_its_centre_and_spread() {
        let energy = Array2::from_shape_fn((64, 64), |(y, x)| {
            let (dy, dx) = (y as f64 - 20.0, x as f64 - 40.0);
            (-0.5 * (dy * dy + dx * dx) / 16.0).exp()
        });
        let a = disc(&energy, 3.0).expect("there is energy");
        assert!((a.offset_px.0 + 11.5).abs() < 0.01 && (a.offset_px.1 - 8.5).abs() < 0.01, "{a:?}");
        assert!((a.diameter * 64.0 - 2.0 * (8.0 + 3.0)).abs() < 0.1, "{a:?}");
        assert!(disc(&Array2::zeros((4, 4)), 3.0).is_none());
    }
}
