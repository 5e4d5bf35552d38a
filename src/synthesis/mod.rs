//! (floor module)
