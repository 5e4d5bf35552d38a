//! All integration tests in one binary.

mod googlenet;
mod squeezenet;
mod support;
