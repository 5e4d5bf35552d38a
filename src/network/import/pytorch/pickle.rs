//! A pickle reader that builds data and never calls anything.
//!
//! Python's pickles are programs: `GLOBAL` names a function and `REDUCE` calls it. Here the few
//! names that a state dict needs are recognised and turned into data; any other name is refused by
//! [`parse`]. Values live in one arena, so that no nesting, however deep, can exhaust the stack.

use std::collections::HashMap;

/// Index of a value in [`Pickle::items`].
pub type Id = usize;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    None,
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name that is known to be harmless: `module name`.
    Global(String),
    /// What the pickle keeps outside itself: the id is a tuple.
    Persistent(Id),
    /// A view on a storage.
    Tensor {
        storage: Id,
        offset: Id,
        size: Id,
        stride: Id,
    },
    /// Floats and whatever else a state dict does not hold.
    Other,
}

/// A parsed pickle.
#[derive(Debug)]
pub struct Pickle {
    pub items: Vec<Item>,
    pub root: Id,
    /// Bytes that the pickle took.
    pub len: usize,
}

/// Why a pickle was not read.
#[derive(Debug, PartialEq)]
pub enum Refused {
    /// The bytes end or make no sense.
    Damaged(String),
    /// A name that a state dict does not need.
    Forbidden(String),
}

/// Names that stand for data. Storage types (`torch FloatStorage`) and dtypes are let through as
/// names.
const KNOWN: [&str; 7] = [
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "torch device",
    "torch.nn.parameter Parameter",
    "torch.serialization _get_layout",
];

fn harmless(name: &str) -> bool {
    let of_torch = name.strip_prefix("torch ").unwrap_or("");
    KNOWN.contains(&name)
        || of_torch.ends_with("Storage")
        || matches!(of_torch, "float16" | "float32" | "float64" | "bfloat16" | "int64")
}

/// Parses one pickle at the start of `bytes`.
///
/// # Errors
/// [`Refused`].
pub fn parse(bytes: &[u8]) -> Result<Pickle, Refused> {
    let mut reader = Reader { bytes, at: 0, items: vec![], stack: vec![], marks: vec![], memo: HashMap::new() };
    loop {
        let op = reader.take::<1>()?[0];
        if op == b'.' {
            let root = reader.pop()?;
            return Ok(Pickle { items: reader.items, root, len: reader.at });
        }
        reader.step(op)?;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    items: Vec<Item>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Reader<'a> {
    fn damaged(&self, what: &str) -> Refused {
        Refused::Damaged(format!("{what} at byte {}", self.at))
    }

    fn slice(&mut self, n: usize) -> Result<&'a [u8], Refused> {
        let end = self
            .at
            .checked_add(n)
            .filter(|&e| e <= self.bytes.len())
            .ok_or_else(|| self.damaged("the end of the pickle"))?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        Ok(self.slice(N)?.try_into().expect("a slice of N bytes"))
    }

    fn text(&mut self, n: usize) -> Result<String, Refused> {
        Ok(String::from_utf8_lossy(self.slice(n)?).into_owned())
    }

    fn line(&mut self) -> Result<String, Refused> {
        let n =
            self.bytes[self.at..].iter().position(|&b| b == b'\n').ok_or_else(|| self.damaged("an unfinished line"))?;
        let line = self.text(n)?;
        self.at += 1;
        Ok(line)
    }

    fn push(&mut self, item: Item) {
        self.items.push(item);
        self.stack.push(self.items.len() - 1);
    }

    fn pop(&mut self) -> Result<Id, Refused> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.damaged("an empty stack"));
        }
        Ok(self.stack.pop().expect("above the floor"))
    }

    fn top(&self) -> Result<Id, Refused> {
        self.stack.last().copied().ok_or_else(|| self.damaged("an empty stack"))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Refused> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged("no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, n: usize) -> Result<(), Refused> {
        let mut ids = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        ids.reverse();
        self.push(Item::Tuple(ids));
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Refused> {
        let full = format!("{module} {name}");
        if !harmless(&full) {
            return Err(Refused::Forbidden(format!("{module}.{name}")));
        }
        self.push(Item::Global(full));
        Ok(())
    }

    fn step(&mut self, op: u8) -> Result<(), Refused> {
        match op {
            0x80 => drop(self.take::<1>()?),
            0x95 => drop(self.take::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Item::None),
            0x88 => self.push(Item::Int(1)),
            0x89 => self.push(Item::Int(0)),
            b'0' => drop(self.pop()?),
            b'}' => self.push(Item::Dict(vec![])),
            b']' => self.push(Item::List(vec![])),
            b')' => self.push(Item::Tuple(vec![])),
            b't' => {
                let ids = self.since_mark()?;
                self.push(Item::Tuple(ids));
            }
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Item::Persistent(id));
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Item::Text(module), Item::Text(name)) = (self.items[module].clone(), self.items[name].clone())
                else {
                    return Err(self.damaged("a global without a name"));
                };
                self.global(&module, &name)?;
            }
            b'R' | 0x81 => self.reduce()?,
            b'b' => drop(self.pop()?),
            b's' | b'u' | b'a' | b'e' => self.fill(op)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(op)?,
            _ => self.literal(op)?,
        }
        Ok(())
    }

    fn literal(&mut self, op: u8) -> Result<(), Refused> {
        let item = match op {
            b'J' => Item::Int(i64::from(i32::from_le_bytes(self.take()?))),
            b'K' => Item::Int(i64::from(self.take::<1>()?[0])),
            b'M' => Item::Int(i64::from(u16::from_le_bytes(self.take()?))),
            0x8a => {
                let n = usize::from(self.take::<1>()?[0]);
                let bytes = self.slice(n)?;
                let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                let mut wide = [sign; 8];
                if n <= 8 {
                    wide[..n].copy_from_slice(bytes);
                }
                if n <= 8 { Item::Int(i64::from_le_bytes(wide)) } else { Item::Other }
            }
            b'G' => {
                self.take::<8>()?;
                Item::Other
            }
            b'X' | b'T' | b'B' => {
                let n = u32::from_le_bytes(self.take()?) as usize;
                Item::Text(self.text(n)?)
            }
            0x8c | b'U' | b'C' => {
                let n = usize::from(self.take::<1>()?[0]);
                Item::Text(self.text(n)?)
            }
            _ => return Err(self.damaged(&format!("opcode 0x{op:02x}, which no state dict has,"))),
        };
        self.push(item);
        Ok(())
    }

    fn remember(&mut self, op: u8) -> Result<(), Refused> {
        let key = match op {
            b'q' | b'h' => u32::from(self.take::<1>()?[0]),
            b'r' | b'j' => u32::from_le_bytes(self.take()?),
            _ => self.memo.len() as u32,
        };
        if matches!(op, b'h' | b'j') {
            let id = *self.memo.get(&key).ok_or_else(|| self.damaged("a value that was never stored"))?;
            self.stack.push(id);
        } else {
            let id = self.top()?;
            self.memo.insert(key, id);
        }
        Ok(())
    }

    /// Puts items into the dictionary or list below them.
    fn fill(&mut self, op: u8) -> Result<(), Refused> {
        let values = match op {
            b's' => {
                let (v, k) = (self.pop()?, self.pop()?);
                vec![k, v]
            }
            b'a' => vec![self.pop()?],
            _ => self.since_mark()?,
        };
        let target = self.top()?;
        match &mut self.items[target] {
            Item::Dict(pairs) if values.len() % 2 == 0 && op != b'a' && op != b'e' => {
                pairs.extend(values.chunks_exact(2).map(|c| (c[0], c[1])));
            }
            Item::List(list) if op == b'a' || op == b'e' => list.extend(values),
            Item::Other => {}
            _ => return Err(self.damaged("items without a container")),
        }
        Ok(())
    }

    /// Turns a recognised name and its arguments into data. (Neither is copied whole: one long list
    /// of arguments may be used again and again.)
    fn reduce(&mut self) -> Result<(), Refused> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Item::Tuple(list) = &self.items[arguments] else {
            return Err(self.damaged("arguments that are no tuple"));
        };
        let Item::Global(name) = &self.items[callee] else {
            return Err(self.damaged("a call of something that is no name"));
        };
        let made = match (name.as_str(), &list[..]) {
            ("collections OrderedDict", []) => Item::Dict(vec![]),
            ("torch._utils _rebuild_tensor_v2", &[storage, offset, size, stride, ..]) => {
                Item::Tensor { storage, offset, size, stride }
            }
            ("torch._utils _rebuild_parameter", &[same, ..]) | ("torch Size", &[same]) => {
                self.stack.push(same);
                return Ok(());
            }
            _ => Item::Other,
        };
        self.push(made);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_name_is_refused_before_anything_else() {
        // What `os.system("echo")` pickles to.
        let bytes = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00echoq\x01\x85q\x02Rq\x03.";
        assert_eq!(parse(bytes).unwrap_err(), Refused::Forbidden("posix.system".into()));
        let modern = b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94\x8c\x04eval\x94\x93\x94.";
        assert_eq!(parse(modern).unwrap_err(), Refused::Forbidden("builtins.eval".into()));
    }

    #[test]
    fn nonsense_is_damaged_and_depth_is_harmless() {
        for bytes in [
            &b""[..],
            b"\x80\x02",
            b".",
            b"R.",
            b"(.",
            b"u.",
            b"h\x07.",
            b"X\xff\xff\xff\xffab",
            b")R.",
            b"\x80\x02}K\x01a.",
        ] {
            assert!(matches!(parse(bytes), Err(Refused::Damaged(_))), "{bytes:?}");
        }
        let mut deep = b")".to_vec();
        deep.extend(std::iter::repeat_n(0x85, 1_000_000));
        deep.push(b'.');
        assert_eq!(parse(&deep).unwrap().items.len(), 1_000_001);
    }

    #[test]
    fn a_long_list_of_arguments_is_not_copied_at_every_call() {
        // torch.Size called 50,000 times with one tuple of 200,000 numbers.
        let mut bytes = b"\x80\x02ctorch\nSize\nq\x000(".to_vec();
        bytes.extend(std::iter::repeat_n(*b"K\x01", 200_000).flatten());
        bytes.extend(b"tq\x010");
        bytes.extend(std::iter::repeat_n(*b"h\x00h\x01R0", 50_000).flatten());
        bytes.extend(b"}.");
        let start = std::time::Instant::now();
        assert!(parse(&bytes).is_ok());
        assert!(start.elapsed().as_secs() < 5, "a copy a call takes far longer");
    }

    #[test]
    fn dictionaries_lists_and_numbers() {
        // pickle.dumps({"a": [1, 300, -70000], "b": (None, True)}, protocol=2)
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01M,\x01J\x90\xee\xfe\xffeX\x01\x00\x00\x00bq\x03N\x88\x86q\x04u.";
        let pickle = parse(bytes).unwrap();
        let Item::Dict(pairs) = &pickle.items[pickle.root] else { panic!() };
        assert_eq!(pairs.len(), 2);
        let Item::List(list) = &pickle.items[pairs[0].1] else { panic!() };
        let numbers: Vec<&Item> = list.iter().map(|&i| &pickle.items[i]).collect();
        assert_eq!(numbers, [&Item::Int(1), &Item::Int(300), &Item::Int(-70000)]);
        assert_eq!(pickle.len, bytes.len());
    }
}
