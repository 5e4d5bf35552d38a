//! How images are looked at while they are optimised.

use crate::image::warp::{self, Pose, PoseOptions};
use crate::image::{JitterOptions, Transform};
use crate::rng;
use crate::tensor::Var;

/// Each step draws random views; the network sees only them.
#[derive(Debug, Clone)]
pub enum Views {
    /// One view per step, shared by all images: what a set's RSMs need.
    Shared { jitter: JitterOptions, seed: u64 },
    /// One view per step and image.
    Each { pose: PoseOptions, seed: u64 },
}

impl Views {
    /// The images as seen at `step`; row `r` is image `items[r]` of item number `item`. Draws
    /// depend on these numbers only.
    pub(super) fn apply(&self, images: Var<4>, item: u64, items: &[usize], step: usize) -> Var<4> {
        match self {
            Self::Shared { jitter, seed } => {
                let mut stream = rng::stream(*seed, "views", item << 32 | step as u64);
                Transform::draw(&mut stream, jitter).apply(images)
            }
            Self::Each { pose, seed } => {
                let draw = |&image: &usize| {
                    let key = item << 44 | (image as u64) << 32 | step as u64;
                    Pose::draw(&mut rng::stream(*seed, "poses", key), pose)
                };
                warp::apply(images, items.iter().map(draw).collect())
            }
        }
    }
}
