//! What the jobs on brains share: layers over places in numbers, maps as files, figures of them.

pub mod figures;
pub mod layers;
pub mod maps;
pub mod page;
pub mod relabelled;
pub mod results;
