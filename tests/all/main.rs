//! All integration tests in one binary.

mod brains;
mod cross_reader;
mod googlenet;
mod support;
