//! What a survey asks, in the words of a simple query.
//!
//! Each time in full: behind a pooler a name that was prepared may stand for what somebody else prepared by it.
//! Must not know what the answers mean, nor frames.

/// What one statement of a survey tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// For each view a stamp of what its definition is read from: its rule and the names of everything in it. Whoever changes
    /// one of them writes its row anew in a transaction that no survey before has seen. Left out are views that somebody
    /// changes right now, or what is underneath, for their definitions are about to be others.
    Views,
    /// Foreign keys.
    References,
    /// The columns by which rows are told apart: those of unique indexes that hold of every row at any time.
    Keys,
    /// Settings again, with a limit on the waiting for locks.
    PrintSettings,
    /// What generated columns are computed by, of some relations.
    Expressions,
    /// The queries of views, with every name qualified, of some. To read one takes a lock on the tables underneath, so that those
    /// which somebody changes right now are left out, and nobody is waited for.
    Definitions,
}

/// What is asked in one message. An error in it ends the survey.
pub(super) const CATALOG: [Topic; 14] = [
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
    Topic::References,
    Topic::Keys,
    Topic::Views,
];

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
            Self::Views => include_str!("views.sql"),
            Self::PrintSettings => {
                "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), \
                 pg_catalog.set_config('lock_timeout', '200ms', true)"
            }
            Self::Definitions => include_str!("definitions.sql"),
            Self::Expressions => include_str!("expressions.sql"),
            Self::References => include_str!("references.sql"),
            Self::Keys => include_str!("keys.sql"),
        }
    }
}

/// Stands for what a topic is asked with: the stamp of what is known of it (see [`super::answer::Kept`]), or a list of relations.
const PARAMETER: &str = "$1";

/// The words that ask; `parameter` gives what each topic is asked with.
pub(super) fn words(topics: &[Topic], parameter: impl Fn(Topic) -> String) -> String {
    let ask = |topic: &Topic| format!("{};\n", topic.sql().replace(PARAMETER, &format!("'{}'", parameter(*topic))));
    topics.iter().map(ask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_said() {
        let words = words(&[Topic::Settings, Topic::Columns, Topic::Keys], |_| "7f".to_owned());
        assert!(words.contains("<> '7f'\n") && !words.contains(PARAMETER), "{words}");
        assert!(words.starts_with("select pg_catalog.set_config"), "{words}");
    }
}
