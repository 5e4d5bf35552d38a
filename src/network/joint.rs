//! Several networks on the same images, as one executor.

use super::executor::{Executor, TapGrad, TapRequest, TapValue};
use super::graph::Graph;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Runs its members on the same images: their taps follow each other, and gradients at the pixels
/// are added.
pub struct JointExecutor {
    members: Vec<Box<dyn Executor>>,
    taps: Vec<TapRequest>,
}

impl JointExecutor {
    /// Puts executors together.
    ///
    /// # Errors
    /// [`Error::Invalid`] without members, or when their inputs differ in size.
    pub fn new(members: Vec<Box<dyn Executor>>) -> Result<Self> {
        let sizes: Vec<(usize, usize)> =
            members.iter().map(|m| (m.graph().input.height, m.graph().input.width)).collect();
        if sizes.is_empty() || sizes.iter().any(|s| *s != sizes[0]) {
            return Err(Error::invalid(
                "networks of one objective",
                "at least one, all of one input size",
                format!("{sizes:?}"),
                "networks that see images of different sizes cannot share an image",
            ));
        }
        let taps = members.iter().flat_map(|m| m.taps().iter().copied()).collect();
        Ok(Self { members, taps })
    }
}

impl Executor for JointExecutor {
    /// The first member's.
    fn graph(&self) -> &Graph {
        self.members[0].graph()
    }

    fn taps(&self) -> &[TapRequest] {
        &self.taps
    }

    fn describe(&self) -> String {
        match self.members.len() {
            1 => self.members[0].describe(),
            n => format!("{n} networks, {}", self.members[0].describe()),
        }
    }

    fn bytes_per_image(&self) -> usize {
        self.members.iter().map(|m| m.bytes_per_image()).sum()
    }

    fn infer(&mut self, images: &Tensor<4>) -> Result<Vec<TapValue>> {
        let parts = self.members.iter_mut().map(|m| m.infer(images)).collect::<Result<Vec<_>>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn forward(&mut self, images: &Tensor<4>) -> Result<Vec<TapValue>> {
        let parts = self.members.iter_mut().map(|m| m.forward(images)).collect::<Result<Vec<_>>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn backward(&mut self, grads: &[TapGrad]) -> Result<Tensor<4>> {
        if grads.len() != self.taps.len() {
            let found = grads.len().to_string();
            return Err(Error::invalid("backward", format!("{} gradients", self.taps.len()), found, ""));
        }
        let mut rest = grads;
        let mut total: Option<Tensor<4>> = None;
        for member in &mut self.members {
            let (own, others) = rest.split_at(member.taps().len());
            rest = others;
            let pixels = member.backward(own)?;
            total = Some(match total {
                Some(sum) => sum + pixels,
                None => pixels,
            });
        }
        Ok(total.expect("a joint executor has members"))
    }
}
