//! (floor module)
pub mod models;
