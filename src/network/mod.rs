//! Frozen image-computable networks: a typed graph, its taps, the executors that run it, and the
//! files it comes from.

pub mod architectures;
pub mod bounds;
pub mod burn_executor;
pub mod burn_ops;
pub mod card;
pub mod cpu_engine;
pub mod executor;
pub mod features;
pub mod fold;
pub mod graph;
pub mod import;
pub mod input;
pub mod inspect;
pub mod joint;
pub mod moments;
pub mod op;
pub mod plan;
pub mod probe;
pub mod receptive;
pub mod shape;
pub(crate) mod spill;
pub mod tail;
pub mod taps;
pub mod units;
pub mod zoo;

pub use burn_executor::BurnExecutor;
pub use cpu_engine::CpuEngine;
pub use executor::{Executor, Moments, TapGrad, TapRequest, TapValue};
pub use features::features;
pub use graph::{Graph, GraphBuilder, Node, NodeId, Weights};
pub use input::{ChannelOrder, InputSpec};
pub use joint::JointExecutor;
pub use moments::LayerMoments;
pub use op::{FlattenOrder, Op, Padding};
pub use shape::Shape;
pub use tail::{Change, Tail};
pub use taps::SpatialPooling;
pub use units::Unit;
