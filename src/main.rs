//! Parse, run, and turn an error into a message, a hint and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match orthoscope::cli::run(&orthoscope::cli::matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            orthoscope::cli::say(format_args!("error: {error}"));
            if let Some(hint) = error.hint() {
                orthoscope::cli::say(format_args!("hint: {hint}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
