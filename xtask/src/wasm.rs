//! A second proof that the pure rooms are pure: a machine without sockets, threads or files can build them.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{Findings, House};

const TARGET: &str = "wasm32-unknown-unknown";

/// The rooms that are built. The journal keeps files, and PostgreSQL's parser is C.
const ROOMS: &[&str] = &["gatehouse-model", "gatehouse-protocol", "gatehouse-mask", "gatehouse-policy"];

/// Builds the rooms where the target is installed, and says so where it is not.
pub(crate) fn check(house: &House, findings: &mut Findings) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let folder = String::from_utf8_lossy(&folder.stdout);
    if folder.trim().is_empty() || !Path::new(folder.trim()).exists() {
        findings.note(format!("{TARGET} is not installed; the pure rooms' dependencies were checked in its place"));
        return Ok(());
    }
    let mut cargo = house.cargo();
    cargo.args(["check", "--locked", "--target", TARGET]);
    for room in ROOMS {
        cargo.args(["-p", room]);
    }
    let output = cargo.output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        findings.wrong("Cargo.toml", 0, format!("{} do not build for {TARGET}:\n{errors}", ROOMS.join(", ")));
    }
    Ok(())
}
