//! (floor module)
pub mod scenes;
