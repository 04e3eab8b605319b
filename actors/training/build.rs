//! Tells the crate which compiler and target it is built with: both are part of the numeric class.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let compiler = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(compiler)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "rustc unknown".to_owned(), |text| text.trim().to_owned());
    println!("cargo:rustc-env=TRAIND_RUSTC={version}");
    println!("cargo:rustc-env=TRAIND_TARGET={}", env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned()));
}
