//! All integration tests in one binary.

mod architecture;
mod googlenet;
mod objectives;
mod support;
