//! The one optimisation loop: render -> view -> executor -> objective -> gradient -> optimizer -> trace.

mod converge;
mod lbfgs;
mod optimizer;
mod state;
mod synthesizer;
mod trace;

pub use converge::{Verdict, verdict};
pub use lbfgs::Lbfgs;
pub use optimizer::{Adam, NormalizedGradient, Optimizer, OptimizerKind};
pub use state::State;
pub use synthesizer::{StepReport, Synthesizer, Views};
pub use trace::Trace;
