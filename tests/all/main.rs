//! All integration tests in one binary.

mod architecture;
mod bad_models;
mod brains;
mod compact;
mod cpu_engine;
mod cross_reader;
mod driven;
mod engine_graphs;
mod fused_training;
mod googlenet;
mod linalg;
mod map;
mod map_golden;
mod map_group;
mod map_series;
mod map_simulate;
mod map_stats;
mod mini_inception;
mod objectives;
mod ops;
mod program;
mod rdm_models;
mod runs;
mod squeezenet;
mod support;
mod torch_archs;
