//! Training: the weights of a graph, moved down a loss.
//!
//! One step ([`Trainer::step`]): images through the graph, a loss of the outputs (any function of
//! burn tensors), its gradient at the weights by burn's automatic differentiation, clipping,
//! optimizer.
//!
//! | module | what |
//! |---|---|
//! | [`trainer`] | weights, running moments, one step |
//! | `forward` | the graph on tensors that record; which operations are fused |
//! | `chain` | graphs that are a chain of layers: the whole step by `crates/kernels` |
//! | [`fused`], [`kernels`] | fused operations for the CPU |
//! | [`optimizer`] | AdamW, SGD with momentum, clipping |
//! | [`schedule`] | the learning rate over time |
//! | [`loss`] | cross-entropy |
//! | [`checkpoint`] | a training's state as a file, bit for bit |

mod chain;
pub mod checkpoint;
mod forward;
pub mod fused;
pub mod kernels;
pub mod loss;
pub mod optimizer;
pub mod schedule;
pub mod trainer;

pub use forward::Normalisation;
pub use optimizer::Method;
pub use schedule::Schedule;
pub use trainer::{Options, Outcome, Trainer};
