//! The pages that the program writes about itself, and whether the committed ones are of today.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{Findings, House};

/// What `gatehouse reference` is asked for, and where the answer is kept.
const PAGES: &[(&str, &str)] =
    &[("configuration", "docs/configuration.md"), ("commands", "docs/commands.md"), ("openapi", "docs/openapi.json")];

/// Compares the pages, or writes them.
pub(crate) fn check(house: &House, write: bool, findings: &mut Findings) -> Result<()> {
    for (reference, page) in PAGES {
        let fresh = generate(house, reference)?;
        let path = house.path(page);
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        if kept == fresh {
            continue;
        }
        if write {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&path, fresh).with_context(|| format!("writing {page}"))?;
            findings.note(format!("{page} is written anew"));
        } else {
            let differs = kept.lines().zip(fresh.lines()).take_while(|(old, new)| old == new).count() + 1;
            findings.wrong(page, differs, "is not what the program says: run `cargo run -p xtask -- tidy --write`");
        }
    }
    Ok(())
}

/// Asks the program. `GATEHOUSE_BIN` names one that is built already.
fn generate(house: &House, reference: &str) -> Result<String> {
    let mut command = match std::env::var_os("GATEHOUSE_BIN") {
        Some(program) => Command::new(program),
        None => {
            let mut cargo = house.cargo();
            // As the tests have it, so that it is not built once more.
            cargo.args(["run", "-q", "--locked", "-p", "gatehouse", "--features", "recognizer", "--"]);
            cargo
        }
    };
    let output = command.args(["reference", reference]).output().context("running gatehouse")?;
    if !output.status.success() {
        bail!("gatehouse reference {reference} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
