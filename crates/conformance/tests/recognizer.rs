//! Names and addresses that only a model finds.

use anyhow::Result;
use gatehouse_conformance::fixture::POLICIES;
use gatehouse_conformance::{Fixture, Setup};
use gatehouse_recognizer::sample;
use tempfile::TempDir;

/// The section, with a model in a folder.
fn section(folder: &TempDir) -> Result<String> {
    for (name, content) in sample::files() {
        std::fs::write(folder.path().join(name), content)?;
    }
    let file = |name: &str| folder.path().join(name).display().to_string();
    let [model, tokenizer, labels] = ["model.onnx", "tokenizer.json", "config.json"].map(file);
    Ok(format!("[recognizer]\nmodel = {model:?}\ntokenizer = {tokenizer:?}\nlabels = {labels:?}\n"))
}

#[test]
fn what_a_model_finds_is_masked() -> Result<()> {
    let folder = TempDir::new()?;
    let policies =
        format!("{POLICIES}\npermit (principal == User::\"dana\", action == Action::\"reveal\", resource);\n");
    let fixture = Fixture::start(Setup { policies, config: section(&folder)?, ..Setup::default() })?;
    fixture.truth("update orders set note = 'ask Lotte Jansen, Kerkstraat 7, Delft' where id = 1")?;
    let agent = fixture.task("agent:claude", "10m")?;
    let dana = fixture.task("user:dana", "10m")?;
    let asked = "select note from orders where id = 1";
    let seen = fixture.psql(&agent, asked)?;
    assert!(seen.starts_with("ask ") && seen.contains("[redacted:street_address]"), "{seen}");
    // A pseudonym may begin with anybody's given name, so that the family name is what must not be there.
    for hidden in ["Jansen", "Kerkstraat", "Delft"] {
        assert!(!seen.contains(hidden), "{seen}");
    }
    assert_eq!(fixture.psql(&agent, asked)?, seen, "equal values stay equal");
    // Also where a value comes with many others, and inside of JSON.
    let many = "select note from orders, generate_series(1, 3000) where orders.id = 1";
    assert!(!fixture.psql(&agent, many)?.contains("Jansen"));
    let json = fixture.psql(&agent, "select to_jsonb(o) from (select id, note from orders where id = 1) o")?;
    assert!(!json.contains("Jansen"), "{json}");
    assert!(fixture.psql(&dana, asked)?.contains("Lotte Jansen"), "who may see everything does");
    // What is too long for it is not shown.
    fixture.truth("update orders set note = repeat('so ', 30000) where id = 2")?;
    let long = fixture.psql(&agent, "select note from orders where id = 2")?;
    assert!(!long.contains("so so"), "{} bytes are shown", long.len());
    Ok(())
}

#[test]
fn a_model_that_cannot_be_used_is_named() -> Result<()> {
    let folder = TempDir::new()?;
    let fixture = Fixture::start(Setup::default())?;
    let config = std::fs::read_to_string(fixture.config())?;
    let check = |more: &str| -> Result<String> {
        std::fs::write(fixture.config(), format!("{config}\n{more}"))?;
        let output = fixture.command(&["check", "--config", &fixture.config().display().to_string()])?;
        assert!(!output.status.success());
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    let section = section(&folder)?;
    let said = check(&section.replace("model.onnx", "none.onnx"))?;
    assert!(said.contains("none.onnx") && said.contains("cannot be read"), "{said}");
    let said = check(&format!("{section}persons = [\"LOC\"]\naddresses = []\n"))?;
    assert!(said.contains("see `persons` and `addresses`"), "{said}");
    let said = check("[classes.colleague]\nmask = \"redact\"\ndetector = \"person_name\"\n")?;
    assert!(said.contains("[recognizer]"), "{said}");
    Ok(())
}
