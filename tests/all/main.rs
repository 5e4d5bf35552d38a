//! All integration tests in one binary.

mod brains;
mod cpu_engine;
mod cross_reader;
mod googlenet;
mod support;
