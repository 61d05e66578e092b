//! The program's own log, on standard error.
//!
//! Whoever reads it may read nothing, and then nobody but a thread of its own waits for that: a line that has no room is
//! counted and lost.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How much of the log waits for its reader, in bytes.
const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a program that ends waits for that reader.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log, until the program ends.
pub struct Log(mpsc::Sender<Entry>);

enum Entry {
    Line(Vec<u8>),
    /// Nothing comes after it that anybody waits for.
    Last(mpsc::Sender<()>),
}

/// Begins the log. Programs read it as JSON; a person at a terminal reads lines.
///
/// # Errors
///
/// If there is no thread for it.
pub fn begin() -> io::Result<Log> {
    let (entries, written) = mpsc::channel();
    let lines = Lines { entries: entries.clone(), counts: Arc::default() };
    let counts = lines.counts.clone();
    // PostgreSQL's parser takes file descriptor 2 away while it parses.
    let copy = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).map(File::from);
    std::thread::Builder::new().name("log".into()).spawn(move || write(&written, &counts, copy.ok()))?;
    let filter = EnvFilter::try_from_env("GATEHOUSE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // Programs that print secrets are given none of it; and it says nothing of its own about lines that it cannot take.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines).log_internal_errors(false);
    if io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.json().init();
    }
    Ok(Log(entries))
}

impl Log {
    /// Waits until what was said is written, but not for a reader that does not read.
    pub fn end(self) {
        let (last, written) = mpsc::channel();
        if self.0.send(Entry::Last(last)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

#[derive(Default)]
struct Counts {
    waiting: AtomicUsize,
    lost: AtomicUsize,
}

/// Takes lines for the log, each in one piece.
#[derive(Clone)]
struct Lines {
    entries: mpsc::Sender<Entry>,
    counts: Arc<Counts>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Counts { waiting, lost } = &*self.counts;
        if waiting.fetch_add(line.len(), Ordering::Relaxed) + line.len() > LOG_BYTES_MAX
            || self.entries.send(Entry::Line(line.to_vec())).is_err()
        {
            waiting.fetch_sub(line.len(), Ordering::Relaxed);
            lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(entries: &mpsc::Receiver<Entry>, counts: &Counts, copy: Option<File>) {
    for entry in entries {
        let line = match entry {
            Entry::Line(line) => line,
            Entry::Last(last) => {
                let _ = last.send(());
                continue;
            }
        };
        let outcome = match &copy {
            Some(copy) => (&*copy).write_all(&line),
            None => io::stderr().write_all(&line),
        };
        counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
        let lost = counts.lost.swap(0, Ordering::Relaxed);
        if outcome.is_ok() && lost > 0 {
            tracing::warn!(lost, "lines of the log were lost, for nobody read it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_have_no_room_are_counted_and_lost() -> io::Result<()> {
        let (entries, written) = mpsc::channel();
        let mut lines = Lines { entries, counts: Arc::default() };
        let line = vec![b'.'; LOG_BYTES_MAX / 4];
        for _ in 0..6 {
            lines.write_all(&line)?;
        }
        assert_eq!(lines.counts.lost.load(Ordering::Relaxed), 2);
        assert_eq!(lines.counts.waiting.load(Ordering::Relaxed), LOG_BYTES_MAX);
        assert_eq!(written.try_iter().count(), 4);
        Ok(())
    }
}
