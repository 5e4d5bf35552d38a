//! All integration tests in one binary.

mod cpu_engine;
mod googlenet;
mod support;
