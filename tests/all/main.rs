//! All integration tests in one binary.

mod brains;
mod cpu_engine;
mod cross_reader;
mod fused_training;
mod googlenet;
mod mini_inception;
mod support;
