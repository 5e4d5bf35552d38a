//! Images: what is optimised, how it is rendered and kept displayable, and how given images reach a network's input size.

pub mod resize;
