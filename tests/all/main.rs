//! All integration tests in one binary.

mod compact;
mod googlenet;
mod squeezenet;
mod support;
