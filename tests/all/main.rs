//! All integration tests in one binary.

mod architecture;
mod brains;
mod cpu_engine;
mod cross_reader;
mod googlenet;
mod objectives;
mod program;
mod runs;
mod support;
