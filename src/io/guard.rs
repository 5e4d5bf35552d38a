//! Libraries that panic on files that they were not made for: their panics end here as errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread's panics are caught and need no message.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Says of all panics what was said before, but of those of [`catch`] nothing.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |about| {
            if !QUIET.get() {
                usual(about);
            }
        }));
    });
}

/// What `read` gives, or what it said when it panicked. `read` must not share state that a panic
/// could leave half changed, nor leave its thread: another one's panic is not silenced.
///
/// ```
/// use orthoscope::io::guard::catch;
/// assert_eq!(catch(|| 1), Ok(1));
/// let short: &[u8] = &[];
/// assert!(catch(|| short[3]).unwrap_err().contains("out of bounds"));
/// ```
///
/// # Errors
/// The panic's message, in one line.
pub fn catch<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    install();
    let before = QUIET.replace(true);
    let found = panic::catch_unwind(AssertUnwindSafe(read));
    QUIET.set(before);
    found.map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_text_and_the_thread_speaks_again() {
        assert_eq!(catch(|| 2), Ok(2));
        assert_eq!(catch(|| -> u8 { panic!("no\nmore") }), Err("no".to_owned()));
        let inner = || catch(|| -> u8 { panic!("{}", "inside") });
        assert_eq!(catch(inner), Ok(Err("inside".to_owned())));
        assert!(!QUIET.get());
        assert!(!std::thread::spawn(|| QUIET.get()).join().unwrap(), "other threads speak all the time");
    }
}
