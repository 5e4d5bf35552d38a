//! A parametrisation at a smaller size than the network's input, enlarged on the way.

use super::kernel;
use super::param::ImageParam;
use super::transform::mix;
use crate::tensor::Var;
use ndarray::Array2;

/// Bilinear enlargement of another parametrisation's images: how the ancestor's octaves start
/// small.
pub struct Upsampled {
    inner: Box<dyn ImageParam>,
    height: usize,
    width: usize,
    down: Array2<f64>,
    across: Array2<f64>,
}

impl Upsampled {
    /// Renders `inner` at `height` x `width`.
    pub fn new(inner: Box<dyn ImageParam>, [height, width]: [usize; 2]) -> Self {
        let [_, _, h, w] = inner.shape();
        Self { inner, height, width, down: kernel::resize(h, height), across: kernel::resize(w, width) }
    }
}

impl ImageParam for Upsampled {
    fn shape(&self) -> [usize; 4] {
        let [n, c, _, _] = self.inner.shape();
        [n, c, self.height, self.width]
    }

    fn leaves(&self) -> Vec<Array2<f32>> {
        self.inner.leaves()
    }

    fn render(&self, leaves: &[Var<2>]) -> Var<4> {
        mix(self.inner.render(leaves), &self.down, &self.across)
    }

    fn condition(&self, gradients: &mut [Array2<f32>], images: &[usize]) {
        self.inner.condition(gradients, images);
    }

    fn project(&self, leaves: &mut [Array2<f32>], images: &[usize], step: usize) {
        self.inner.project(leaves, images, step);
    }

    fn describe(&self) -> String {
        format!("{}, enlarged to {} x {}", self.inner.describe(), self.height, self.width)
    }
}
