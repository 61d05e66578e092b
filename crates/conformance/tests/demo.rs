//! The demo, as a newcomer runs it: the lines that it prints are copied into shells, and do what it says.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use gatehouse_conformance::browser::Browser;
use gatehouse_conformance::fixture::{PATIENCE, program};
use rustix::process::{Pid, Signal, kill_process};

/// A demo that runs, and what it printed.
struct Demo {
    child: Child,
    said: String,
    home: tempfile::TempDir,
}

impl Demo {
    fn start() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let mut command = Command::new(program()?);
        command
            .arg("demo")
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let mut child = command.spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("its output is piped")?);
        let mut said = String::new();
        while !said.contains("Ctrl-C ends the demo") {
            if output.read_line(&mut said)? == 0 {
                bail!("the demo ended early:\n{said}");
            }
        }
        Ok(Self { child, said, home })
    }

    /// The line that begins so, without its indentation.
    fn line(&self, beginning: &str) -> Result<&str> {
        let mut lines = self.said.lines().map(str::trim);
        lines.find(|line| line.starts_with(beginning)).with_context(|| format!("no line begins with {beginning}"))
    }

    /// What a person would type into the agent's terminal, with one statement.
    fn agent(&self, sql: &str) -> Result<Command> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{} -X -A -t -c \"$SQL\"", self.line("PGPASSFILE=")?)).env("SQL", sql);
        shell.stdin(Stdio::null());
        Ok(shell)
    }

    /// The same in the approver's terminal: the printed command whose words these are.
    fn approver(&self, words: &str, fill: &[(&str, &str)]) -> Result<String> {
        let mut lines = self.said.lines().map(str::trim);
        let line = lines.find(|line| line.contains(words) && line.contains("gatehouse")).context("it is printed")?;
        let line = fill.iter().fold(line.to_string(), |line, (name, value)| line.replace(name, value));
        let script = format!("{}\n{line}", self.line("export GATEHOUSE_API=")?);
        let output =
            Command::new("sh").arg("-c").arg(&script).current_dir(self.home.path()).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("{line}: {}", text(&output));
        }
        Ok(text(&output))
    }

    fn wait_for_request(&self) -> Result<String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let listed = self.approver("requests ls", &[])?;
            let mut words = listed.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            if let Some(id) = words.find(|word| word.starts_with("req-")) {
                return Ok(id.into());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        bail!("no request was filed")
    }

    /// Ctrl-C, and what is left then.
    fn end(mut self) -> Result<Vec<String>> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a process id")?;
        kill_process(pid, Signal::INT)?;
        assert!(self.child.wait()?.success(), "it ends in order");
        let left = std::fs::read_dir(self.home.path())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into()));
        left.collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_demo_does_what_it_prints() -> Result<()> {
    let demo = Demo::start()?;
    let read = text(&demo.agent("SELECT email FROM customers WHERE id = 1")?.output()?);
    assert!(read.contains('@') && !read.contains("ERROR"), "a pseudonym comes back: {read}");
    let refused = text(&demo.agent("DROP TABLE customers")?.output()?);
    assert!(refused.contains("denied by policy"), "{refused}");

    let held = demo.agent("UPDATE customers SET tier = 'gold' WHERE id = 42")?.stdout(Stdio::piped()).spawn()?;
    let request = demo.wait_for_request()?;
    assert!(demo.approver("requests show", &[("REQUEST", &request)])?.contains("SET tier"));
    assert!(demo.approver("approve REQUEST", &[("REQUEST", &request)])?.contains("approved"));
    assert!(text(&held.wait_with_output()?).contains("UPDATE 1"), "it ran after the approval");

    let mut browser = Browser::default();
    browser.open(demo.line("http://")?)?;
    browser.submit(&[])?;
    // The page is the front end; who is signed in it asks like everybody else.
    let home = browser.page.url.clone();
    assert!(browser.open(&format!("{home}api/v1/me"))?.text.contains("user:dana"), "{}", browser.page.text);

    let sessions = demo.approver("sessions ls", &[])?;
    let mut words = sessions.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let session = words.find(|word| word.starts_with("ses-")).context("a session is listed")?.to_string();
    demo.approver("replay SESSION", &[("SESSION", &session)])?;
    demo.approver("evidence export", &[])?;
    assert!(demo.approver("evidence verify", &[])?.starts_with("sound:"));
    let left: Vec<String> = demo.end()?.into_iter().filter(|name| name != "evidence.tar").collect();
    assert_eq!(left, Vec::<String>::new(), "nothing is left behind");
    Ok(())
}
