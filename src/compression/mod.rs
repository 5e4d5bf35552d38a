//! Compression: smaller networks that do the same.
//!
//! | question | module |
//! |---|---|
//! | which channels can be removed, and what goes with each | [`groups`] |
//! | what "without a channel" means, where | [`mod@reads`] |
//! | the smaller network; the same size with zeros | [`surgery`] |

pub mod groups;
pub mod reads;
pub mod surgery;
#[cfg(test)]
mod testing;
mod ties;

pub use groups::{Group, Groups, Place};
pub use reads::{Read, reads};
pub use surgery::{Removed, masked, remove};
