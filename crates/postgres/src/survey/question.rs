//! What a survey asks, and how: in the words of a simple query, or by names that stand for them on a connection that is asked
//! again, so that nothing is planned twice.
//!
//! Must not know what the answers mean, nor frames.

use std::fmt::Write as _;

/// What one statement of a survey tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// The schemas that the account's search path comes to. It is asked before that path is set, so it uses no operator and
    /// qualifies every function.
    SearchPath,
    /// Settings that last as long as the question's implicit transaction: what follows finds its operators in PostgreSQL's
    /// own schema. To compile the statements would take longer than to answer them.
    Settings,
    /// Relations, and what a write to them sets off.
    ///
    /// Function 817 is `current_query`, by which what is computed of a row tells the text of the statement.
    Relations,
    /// Their columns.
    Columns,
    /// What of indexes, checks, partitions and collations counts of a column: `?` looked at by a check, an expression or a
    /// partition's key, `%` decides the partition, `~` equal to what is not the same, `#` held by an index, `&` in the order of
    /// an index that has some rows only or other columns too.
    Marks,
    /// Which relations inherit from which.
    Parents,
    /// Functions by name. Those of extensions that only compute from their arguments are marked as such.
    Functions,
    /// Operators that are neither PostgreSQL's own nor an extension's.
    Operators,
    /// Types that are neither arrays nor rows.
    Types,
    /// Functions that run where a value of a type is made.
    Makings,
    /// A digest of all functions, aggregates, operators, casts and checks of domains that are not PostgreSQL's own, and for each
    /// relation one of its triggers, rules, checks and query: whatever is changed of them, the digest is another, for each
    /// change writes its row anew, with the number of its transaction in `xmin`. So it is where something was changed and put
    /// back: whoever looked at it in between saw what does not run. Functions of temporary schemas are among them, of all
    /// sessions, for a survey cannot know which is whose.
    Code,
    /// Settings again, with a limit on the waiting for locks.
    Patience,
    /// The queries of views, with every name qualified. To read one takes a lock on the tables underneath, so that those which
    /// somebody changes right now are left out, and nobody is waited for.
    Definitions,
    /// What generated columns are computed by.
    Expressions,
    /// Foreign keys.
    References,
    /// The columns by which rows are told apart: those of unique indexes that hold of every row at any time.
    Keys,
}

/// How many topics there are.
const TOPICS: usize = Topic::Keys as usize + 1;

/// What is asked at first. An error in it ends the survey.
pub(super) const CATALOG: [Topic; 11] = [
    Topic::SearchPath,
    Topic::Settings,
    Topic::Relations,
    Topic::Columns,
    Topic::Marks,
    Topic::Parents,
    Topic::Functions,
    Topic::Operators,
    Topic::Types,
    Topic::Makings,
    Topic::Code,
];

/// What is asked then. What cannot be read of it is not known. What takes locks comes last, for they are held until the end.
pub(super) const DEFINITIONS: [Topic; 5] =
    [Topic::Patience, Topic::Expressions, Topic::References, Topic::Keys, Topic::Definitions];

impl Topic {
    const fn sql(self) -> &'static str {
        match self {
            Self::SearchPath => "select s from pg_catalog.unnest(pg_catalog.current_schemas(false)) as s",
            Self::Settings => {
                "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), \
                 pg_catalog.set_config('jit', 'off', true)"
            }
            Self::Relations => include_str!("relations.sql"),
            Self::Columns => include_str!("columns.sql"),
            Self::Marks => include_str!("marks.sql"),
            Self::Parents => "select i.inhrelid, i.inhparent from pg_catalog.pg_inherits i",
            Self::Functions => include_str!("functions.sql"),
            Self::Operators => include_str!("operators.sql"),
            Self::Types => include_str!("types.sql"),
            Self::Makings => include_str!("makings.sql"),
            Self::Code => include_str!("code.sql"),
            Self::Patience => {
                "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), \
                 pg_catalog.set_config('lock_timeout', '200ms', true)"
            }
            Self::Definitions => include_str!("definitions.sql"),
            Self::Expressions => include_str!("expressions.sql"),
            Self::References => include_str!("references.sql"),
            Self::Keys => include_str!("keys.sql"),
        }
    }

    /// Whether planning it is worth to be saved. What comes before the search path is set is not: it would be kept with another.
    const fn is_kept(self) -> bool {
        !matches!(self, Self::SearchPath | Self::Settings | Self::Patience | Self::Parents)
    }
}

/// Stands for the stamp of what is known of the server's own: see [`super::answer::Own`].
const STAMP: &str = "$1";

/// How a connection was asked before.
#[derive(Debug, Default)]
pub(super) struct Acquaintance {
    was_asked: bool,
    prepared: [bool; TOPICS],
}

impl Acquaintance {
    /// The words of a simple query; `stamp` gives what is known of a topic.
    ///
    /// Whoever is asked once is asked plainly: behind a pooler each survey may come to another server, so that a name stands only
    /// where a connection is kept and asked again.
    pub(super) fn words<'s>(&self, topics: &[Topic], stamp: impl Fn(Topic) -> &'s str) -> String {
        let mut words = String::new();
        for &topic in topics {
            let stamp = format!("'{}'", stamp(topic));
            let (sql, takes_stamp) = (topic.sql(), topic.sql().contains(STAMP));
            if !self.was_asked || !topic.is_kept() {
                words.push_str(&sql.replace(STAMP, &stamp));
            } else {
                let (parameters, values) =
                    if takes_stamp { (" (pg_catalog.text)", format!(" ({stamp})")) } else { ("", String::new()) };
                if !self.prepared(topic) {
                    let _ = writeln!(words, "prepare gatehouse_{topic:?}{parameters} as {sql};");
                }
                let _ = write!(words, "execute gatehouse_{topic:?}{values}");
            }
            words.push_str(";\n");
        }
        words
    }

    /// All that was asked is answered.
    pub(super) fn meet(&mut self) {
        self.was_asked = true;
    }

    /// From now on a name stands for what is asked of a topic.
    pub(super) fn prepare(&mut self, topic: Topic) {
        if let Some(prepared) = self.prepared.get_mut(topic as usize) {
            *prepared = true;
        }
    }

    fn prepared(&self, topic: Topic) -> bool {
        self.prepared.get(topic as usize).is_some_and(|prepared| *prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_asked_again_plans_nothing_twice() {
        let topics = [Topic::Settings, Topic::Columns, Topic::Keys];
        let mut acquaintance = Acquaintance::default();
        let words = |acquaintance: &Acquaintance, stamp: &'static str| acquaintance.words(&topics, |_| stamp);
        let plain = words(&acquaintance, "");
        assert!(plain.contains("<> ''") && !plain.contains(STAMP) && !plain.contains("gatehouse_"), "{plain}");
        acquaintance.meet();
        let again = words(&acquaintance, "7 8");
        assert!(again.contains("prepare gatehouse_Columns (pg_catalog.text) as ") && again.contains(STAMP), "{again}");
        assert!(again.contains("execute gatehouse_Columns ('7 8');\n"), "{again}");
        assert!(
            again.contains("prepare gatehouse_Keys as ") && again.ends_with("execute gatehouse_Keys;\n"),
            "{again}"
        );
        // One was not reached, for an error came before.
        acquaintance.prepare(Topic::Columns);
        let last = words(&acquaintance, "7 8");
        assert!(!last.contains("prepare gatehouse_Columns") && last.contains("prepare gatehouse_Keys"), "{last}");
        assert!(last.starts_with("select pg_catalog.set_config"), "{last}");
    }
}
