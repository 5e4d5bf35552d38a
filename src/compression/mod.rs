//! Compression: smaller networks that do the same.
//!
//! | question | module |
//! |---|---|
//! | which channels can be removed, and what goes with each | [`groups`] |
//! | what "without a channel" means, where | [`mod@reads`] |
//! | the smaller network; the same size with zeros | [`surgery`] |
//! | how much each channel matters | [`importance`] |
//! | in which order they go, and when to stop | [`rank`] |
//! | what a network costs | [`cost`] |
//! | how alike the layers of two networks are | [`cka`] |
//! | connections instead of channels: pruned, shared, coded | [`connections`] |
//! | a small network that learns a large one's responses | [`distillation`] |

pub mod cka;
pub mod connections;
pub mod cost;
pub mod distillation;
pub mod groups;
pub mod importance;
pub mod rank;
pub mod reads;
mod rounds;
pub mod surgery;
#[cfg(test)]
mod testing;
mod ties;
mod topology;

pub use cost::{Cost, LayerCost, Ratio};
pub use groups::{Group, Groups, Place, originals};
pub use rank::{Course, Pruner, Ranked, Scope, Step, Until};
pub use reads::{Read, reads};
pub use rounds::Rounds;
pub use surgery::{Removed, masked, remove};
