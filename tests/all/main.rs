//! All integration tests in one binary.

mod architecture;
mod bad_models;
mod brains;
mod compact;
mod cpu_engine;
mod cross_reader;
mod fused_training;
mod googlenet;
mod objectives;
mod mini_inception;
mod ops;
mod program;
mod runs;
mod squeezenet;
mod support;
mod torch_archs;
