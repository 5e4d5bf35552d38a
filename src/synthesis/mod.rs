//! The one optimisation loop: render -> view -> executor -> objective -> gradient -> optimizer ->
//! trace.

mod batch;
mod converge;
mod lbfgs;
mod optimizer;
mod state;
mod synthesizer;
mod trace;
mod views;

pub use batch::{Batch, Leave, Row};
pub use converge::{Verdict, verdict};
pub use lbfgs::Lbfgs;
pub use optimizer::{Adam, Gradient, NormalizedGradient, Optimizer, OptimizerKind};
pub use state::State;
pub use synthesizer::{StepReport, Synthesizer};
pub use trace::Trace;
pub use views::Views;
