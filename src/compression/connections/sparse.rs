//! Few numbers among zeros, by the distances between them.

/// An entry: how many zeros lie before it, and its symbol; 0 is a zero that fills a longer gap.
pub type Entry = (usize, usize);

/// Entries of a row of symbols, 0 where a weight is zero: gaps take `bits` bits, and a gap that is
/// longer is filled with an entry of symbol 0 each `2^bits` positions. Zeros at the end take
/// nothing.
///
/// # Source
/// Han, Mao and Dally 2016, section 2 and figure 2.
pub fn entries(symbols: &[usize], bits: u32) -> Vec<Entry> {
    let most = 1usize << bits;
    let (mut out, mut gap) = (Vec::new(), 0);
    for &symbol in symbols {
        if symbol == 0 {
            gap += 1;
            continue;
        }
        while gap >= most {
            out.push((most - 1, 0));
            gap -= most;
        }
        out.push((gap, symbol));
        gap = 0;
    }
    out
}

/// The row of `n` symbols; `None` where entries lie beyond it.
pub fn symbols(entries: impl Iterator<Item = Entry>, n: usize) -> Option<Vec<usize>> {
    let (mut out, mut at) = (vec![0; n], 0usize);
    for (gap, symbol) in entries {
        at = at.checked_add(gap)?;
        *out.get_mut(at)? = symbol;
        at += 1;
    }
    Some(out)
}
