//! Provenance: which source tree the program was built from.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A path that does not exist would make every build start here again.
    if Path::new(".git/logs/HEAD").exists() {
        println!("cargo:rerun-if-changed=.git/logs/HEAD");
    }
    let described = Command::new("git").args(["describe", "--always", "--dirty", "--tags"]).output();
    let text = described.ok().filter(|o| o.status.success()).and_then(|o| String::from_utf8(o.stdout).ok());
    let text = text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=ORTHOSCOPE_GIT={text}");
}
