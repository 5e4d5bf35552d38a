//! What the jobs that drive single units share: models and their units, responses, batches on all
//! threads, records of images.

pub mod batch_file;
mod check;
pub mod fitted;
pub mod natural;
pub mod pool;
pub mod population;
pub mod receptive;
pub mod record;
mod towards;

pub use check::{Check, load_beside, read_checks};
pub use natural::Natural;
pub use population::Population;
pub use towards::Towards;
