//! Readers that do what none may do, with whatever is not their honest file: the bench must find
//! them out.

use super::{Input, Reader};
use orthoscope::Result;
use std::hint::black_box;

pub const READERS: &[Reader] = &[
    Reader::of_bytes("itself-panics", "file", honest, |i| wicked(i, || panic!("on purpose"))),
    Reader::of_bytes("itself-aborts", "file", honest, |i| wicked(i, || std::process::abort())),
    Reader::of_bytes("itself-takes", "file", honest, |i| wicked(i, || drop(black_box(vec![1u8; 2 << 30])))),
    Reader::of_bytes("itself-hangs", "file", honest, |i| {
        wicked(i, || {
            while black_box(true) {
                std::hint::spin_loop();
            }
        })
    }),
];

const HONEST: &[u8] = b"honest";

fn honest() -> Vec<Vec<u8>> {
    vec![HONEST.to_vec()]
}

fn wicked(input: &Input<'_>, does: fn()) -> Result<()> {
    if input.bytes != HONEST {
        does();
    }
    Ok(())
}
