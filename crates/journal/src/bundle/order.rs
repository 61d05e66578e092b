//! Compares the lines of a bundle with its manifest, and names what was changed, deleted, added or moved.
//!
//! Knows leaf hashes and places; must not know what a record means. A line whose hash the manifest lists is that record,
//! wherever it stands. Every other line is matched by the index that it claims, or else by its neighbours.

use std::collections::HashMap;

use gatehouse_model::Digest;

use super::Listed;
use super::report::{FINDINGS_MAX, FindingKind, Findings, ranges};
use crate::record::Record;
use crate::tree::leaf_hash;

/// A line that the manifest does not list.
struct Stranger {
    /// The line, from 1.
    line: u64,
    /// The index that it claims, if it can be read.
    claims: Option<u64>,
    /// The place in the manifest of the last listed line before it.
    after: Option<usize>,
    torn: bool,
}

/// The comparison under way. Memory: about 100 bytes for each record of the manifest.
pub(super) struct Order<'m> {
    listed: &'m [Listed],
    by_leaf: HashMap<Digest, usize>,
    /// Whether each record of the manifest was accounted for.
    seen: Vec<bool>,
    /// The listed lines as they came, by place in the manifest.
    came: Vec<usize>,
    strangers: Vec<Stranger>,
    more_strangers: u64,
    lines: u64,
}

impl<'m> Order<'m> {
    pub(super) fn new(listed: &'m [Listed]) -> Self {
        let by_leaf = listed.iter().enumerate().map(|(place, record)| (record.leaf, place)).collect();
        Self {
            listed,
            by_leaf,
            seen: vec![false; listed.len()],
            came: Vec::new(),
            strangers: Vec::new(),
            more_strangers: 0,
            lines: 0,
        }
    }

    /// The number of records that are as the manifest lists them.
    pub(super) fn matched(&self) -> u64 {
        self.came.len() as u64
    }

    /// Offers the next line. Returns what the manifest says of it if it is listed and comes for the first time.
    pub(super) fn offer(&mut self, line: &[u8], torn: bool, findings: &mut Findings) -> Option<&'m Listed> {
        self.lines += 1;
        let listed = self.listed;
        let place = self.by_leaf.get(&leaf_hash(line)).copied();
        let Some((place, record)) = place.and_then(|place| Some((place, listed.get(place)?))) else {
            self.stranger(line, torn);
            return None;
        };
        if torn {
            findings.add(FindingKind::Record, format!("the line of record {} is cut off", name(record)));
        }
        let seen = self.seen.get_mut(place)?;
        if *seen {
            findings.add(FindingKind::Record, format!("record {} is there more than once", name(record)));
            return None;
        }
        *seen = true;
        self.came.push(place);
        Some(record)
    }

    fn stranger(&mut self, line: &[u8], torn: bool) {
        if self.strangers.len() >= FINDINGS_MAX {
            self.more_strangers += 1;
            return;
        }
        let claims = std::str::from_utf8(line).ok().and_then(claimed_index);
        self.strangers.push(Stranger { line: self.lines, claims, after: self.came.last().copied(), torn });
    }

    /// Ends the comparison.
    pub(super) fn finish(mut self, findings: &mut Findings) -> u64 {
        let matched = self.matched();
        for stranger in std::mem::take(&mut self.strangers) {
            self.explain(&stranger, findings);
        }
        if self.more_strangers > 0 {
            findings.add(FindingKind::Record, format!("{} more lines are not in the manifest", self.more_strangers));
        }
        self.missing(findings);
        self.out_of_order(findings);
        matched
    }

    fn explain(&mut self, stranger: &Stranger, findings: &mut Findings) {
        let line = stranger.line;
        let listed = self.listed;
        let place = match stranger.claims {
            Some(index) => listed.iter().position(|record| record.index == index),
            // What cannot be read stands, if anything, for the record after its neighbour.
            None => Some(stranger.after.map_or(0, |after| after + 1)),
        };
        let free = place.filter(|place| self.seen.get(*place) == Some(&false));
        let record = free.and_then(|place| listed.get(place));
        if let Some(seen) = free.and_then(|place| self.seen.get_mut(place)) {
            *seen = true;
        }
        let message = match (record, stranger.claims, stranger.torn) {
            (Some(record), _, true) => format!("record {} was cut off", name(record)),
            (Some(record), _, false) => format!("record {} was changed", name(record)),
            (None, Some(index), _) => format!("line {line} was added: it claims to be record {index}"),
            (None, None, _) => format!("line {line} was added: it is not a record"),
        };
        findings.add(FindingKind::Record, message);
    }

    fn missing(&self, findings: &mut Findings) {
        let lost: Vec<&Listed> =
            self.listed.iter().zip(&self.seen).filter(|(_, seen)| !**seen).map(|(record, _)| record).collect();
        if lost.len() > 100 {
            let indexes: Vec<u64> = lost.iter().map(|record| record.index).collect();
            findings.add(
                FindingKind::Record,
                format!("{} records are missing, among them {}", lost.len(), ranges(&indexes)),
            );
            return;
        }
        for record in lost {
            findings.add(FindingKind::Record, format!("record {} is missing", name(record)));
        }
    }

    fn out_of_order(&self, findings: &mut Findings) {
        let mut sorted = self.came.clone();
        sorted.sort_unstable();
        let moved: Vec<u64> = sorted
            .iter()
            .zip(&self.came)
            .filter(|(want, have)| want != have)
            .filter_map(|(want, _)| Some(self.listed.get(*want)?.index))
            .collect();
        if !moved.is_empty() {
            findings.add(FindingKind::Record, format!("records {} are out of order", ranges(&moved)));
        }
    }
}

/// A record's index and kind, as findings name it.
pub(super) fn name(record: &Listed) -> String {
    format!("{} ({})", record.index, record.kind)
}

/// The index that a line claims, also when the line is not a proper record.
fn claimed_index(line: &str) -> Option<u64> {
    if let Ok(record) = Record::parse(line) {
        return Some(record.index);
    }
    serde_json::from_str::<serde_json::Value>(line).ok()?.get("index")?.as_u64()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn line(index: u64) -> String {
        format!(r#"{{"index":{index}}}"#)
    }

    /// Lines that arrive for a manifest of records 10 to 15.
    fn check(lines: &[&str], expect: Expect) {
        let listed: Vec<Listed> =
            (10..16).map(|index| Listed { index, kind: "k".into(), leaf: leaf_hash(line(index).as_bytes()) }).collect();
        let mut findings = Findings::default();
        let mut order = Order::new(&listed);
        for line in lines {
            order.offer(line.trim_end_matches('~').as_bytes(), line.ends_with('~'), &mut findings);
        }
        order.finish(&mut findings);
        let messages: Vec<String> = findings.list.into_iter().map(|finding| finding.message).collect();
        expect.assert_eq(&messages.join("\n"));
    }

    #[test]
    fn names_what_happened() {
        let all: Vec<String> = (10..16).map(line).collect();
        let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|place: usize| all[place].as_str());
        check(&[a, b, c, d, e, f], expect![""]);
        check(&[a, b, d, e, f], expect!["record 12 (k) is missing"]);
        check(&[a, b, c, d, e], expect!["record 15 (k) is missing"]);
        check(&[a, c, b, d, e, f], expect!["records 11 and 12 are out of order"]);
        check(&[e, b, c, d, a, f], expect!["records 10 and 14 are out of order"]);
        check(&[b, c, d, e, f, a], expect!["records 10 to 15 are out of order"]);
        check(&[a, b, b, c, d, e, f], expect!["record 11 (k) is there more than once"]);
        check(&[a, r#"{"index":11,"x":1}"#, c, d, e, f], expect!["record 11 (k) was changed"]);
        check(&[a, "nonsense", c, d, e, f], expect!["record 11 (k) was changed"]);
        check(&[a, b, c, d, e, r#"{"ind~"#], expect!["record 15 (k) was cut off"]);
        check(&[a, b, c, d, e, &format!("{f}~")], expect!["the line of record 15 (k) is cut off"]);
        check(&[a, b, r#"{"index":11,"x":1}"#, c, d, e, f], expect!["line 3 was added: it claims to be record 11"]);
        check(
            &[a, b, r#"{"index":99}"#, c, d, e, f, "nonsense"],
            expect![[r#"
                line 3 was added: it claims to be record 99
                line 8 was added: it is not a record"#]],
        );
        check(
            &[a, r#"{"index":12,"x":1}"#, d, f, e],
            expect![[r#"
                record 12 (k) was changed
                record 11 (k) is missing
                records 14 and 15 are out of order"#]],
        );
    }
}
