//! The sheet of figures: medians, spreads, and ratios within each round.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Between these lines stands what the bench wrote.
const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// Every figure, by what was measured and by contestant, one value a round.
#[derive(Default)]
pub(crate) struct Sheet {
    order: Vec<String>,
    figures: BTreeMap<String, Vec<(&'static str, Vec<f64>)>>,
}

impl Sheet {
    pub(crate) fn add(&mut self, what: &str, way: &'static str, value: f64) {
        if !self.figures.contains_key(what) {
            self.order.push(what.into());
        }
        let ways = self.figures.entry(what.into()).or_default();
        match ways.iter_mut().find(|(name, _)| *name == way) {
            Some((_, values)) => values.push(value),
            None => ways.push((way, vec![value])),
        }
    }

    /// Prints the sheet and, where a file is given, puts it between its marks.
    pub(crate) fn print(&self, file: Option<&Path>) -> Result<()> {
        let text = format!("{}\n\n{}", machine(), self.table());
        println!("{text}");
        if let Some(path) = file {
            let old = std::fs::read_to_string(path)?;
            let (head, rest) = old.split_once(BEGIN).context("the file has no mark for the figures")?;
            let (_, tail) = rest.split_once(END).context("the file has no end mark for the figures")?;
            std::fs::write(path, format!("{head}{BEGIN}\n\n{text}\n{END}{tail}"))?;
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut out = String::new();
        for what in &self.order {
            let Some(ways) = self.figures.get(what) else { continue };
            let _ = writeln!(out, "**{what}**\n");
            let _ = writeln!(
                out,
                "| way | median | least to most | of direct | of splice | of PgBouncer |\n|---|---|---|---|---|---|"
            );
            for (name, values) in ways {
                let (least, middle, most) = spread(values.clone());
                // With TLS against the others with TLS, where they have it.
                let tls = if name.ends_with("TLS") { ", TLS" } else { "" };
                let against = |other: &str| {
                    let find = |wanted: String| ways.iter().find(|(way, _)| *way == wanted);
                    find(format!("{other}{tls}"))
                        .or_else(|| find(other.into()))
                        .map_or(String::new(), |(_, base)| ratio(values, base))
                };
                let _ = writeln!(
                    out,
                    "| {name} | {} | {} to {} | {} | {} | {} |",
                    shown(middle),
                    shown(least),
                    shown(most),
                    against("direct"),
                    against("splice"),
                    against("pgbouncer"),
                );
            }
            out.push('\n');
        }
        out
    }
}

/// Median of the ratios within each round, with their spread.
fn ratio(values: &[f64], base: &[f64]) -> String {
    let ratios: Vec<f64> = values.iter().zip(base).map(|(value, base)| value / base).collect();
    if ratios.iter().any(|ratio| !ratio.is_finite()) {
        return String::new();
    }
    let (least, middle, most) = spread(ratios);
    format!("{middle:.2} ({least:.2} to {most:.2})")
}

fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

fn shown(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// The machine, for no absolute figure means anything without it.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown")
        .trim_matches([' ', '\t', ':']);
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = read("/proc/meminfo");
    let total =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(|rest| rest.trim().split(' ').next());
    let gib = total.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0 / 1024.0;
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("Machine: {count} × {model}, {gib:.0} GiB, Linux {}.", kernel.trim())
}
