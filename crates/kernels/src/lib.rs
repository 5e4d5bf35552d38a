//! Concrete numeric kernels: the engine for frozen networks.
//!
//! A network is described by a [`spec::Net`], planned for some taps by [`engine::Engine::new`], and
//! run in a [`engine::Session`]: forward to the deepest tap, and back to the pixels for gradients
//! at the taps. Weights are frozen there: they are packed once, and have no gradient ([`train`] is apart).
//!
//! | module | what |
//! |---|---|
//! | [`spec`] | description of a network |
//! | [`lower`] | description to program: fusion, views, lifetimes, packing |
//! | [`engine`] | running programs: images and units over threads |
//! | [`conv`], [`winograd`], [`depthwise`], [`thin`], [`strip`], [`strip_gradient`], [`pool`], [`lrn`], [`pointwise`], [`moments`], [`pixels`] | one kernel family each |
//! | [`team`] | threads that go through a list of jobs together |
//! | [`rolling`] | two steps as one, row by row |
//! | [`gram`], [`ranks`], [`dense`] | patterns gathered around a voxel: all products of pairs; ranks; whitening |
//! | [`train`] | chains of layers forward and back, with the gradient at their weights |
//! | [`panels`] | products with very many columns, kept or scored at once |
//! | [`simd`], [`isa`] | instruction sets and the choice among them |
//!
//! `unsafe` is confined to this crate: raw views of a session's memory ([`mem`]) and vector
//! intrinsics. Debug builds check every access of a kernel against its block.

// Kernels are written as loops over register tiles: indices are the notation.
#![allow(clippy::needless_range_loop, clippy::too_many_arguments)]

pub mod conv;
pub mod dense;
pub mod depthwise;
pub mod engine;
pub mod epilogue;
pub mod gram;
pub mod isa;
pub mod lower;
pub mod lrn;
pub mod mem;
pub mod moments;
pub mod panels;
mod pass;
pub mod pixels;
pub mod pointwise;
pub mod pool;
pub mod ranks;
pub mod real;
pub mod rolling;
pub mod simd;
pub mod spec;
pub mod step;
pub mod strip;
pub mod strip_gradient;
pub mod team;
pub mod thin;
pub mod train;
pub mod winograd;

pub use engine::{Cost, Engine, Moments, Session, TapGradient};
pub use isa::Isa;
pub use lower::Tap;
pub use spec::{Activation, Net, SpecError};
