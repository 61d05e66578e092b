//! The verbs that SQL adds to the policy vocabulary. `schema.cedarschema` groups them and says why.

use gatehouse_model::Action;

/// To read rows.
pub(crate) const SELECT: Action = Action::new("sql:select");
/// To add rows.
pub(crate) const INSERT: Action = Action::new("sql:insert");
/// To change rows, or a sequence.
pub(crate) const UPDATE: Action = Action::new("sql:update");
/// To remove rows.
pub(crate) const DELETE: Action = Action::new("sql:delete");
/// To `MERGE`; what its branches do is asked for besides.
pub(crate) const MERGE: Action = Action::new("sql:merge");
/// To empty a table.
pub(crate) const TRUNCATE: Action = Action::new("sql:truncate");
/// To drop an object.
pub(crate) const DROP: Action = Action::new("sql:drop");
/// To create or change an object.
pub(crate) const DDL: Action = Action::new("sql:ddl");
/// `COPY … FROM`.
pub(crate) const COPY_IN: Action = Action::new("sql:copy_in");
/// `COPY … TO`.
pub(crate) const COPY_OUT: Action = Action::new("sql:copy_out");
/// To call a function that is not PostgreSQL's own.
pub(crate) const CALL: Action = Action::new("sql:call");
/// `DO`.
pub(crate) const DO: Action = Action::new("sql:do");
/// To change a setting of the session.
pub(crate) const SET: Action = Action::new("sql:set");
/// To see a setting.
pub(crate) const SHOW: Action = Action::new("sql:show");
/// To begin and end transactions.
pub(crate) const TRANSACTION: Action = Action::new("sql:transaction");
/// `LISTEN`, `NOTIFY`, `UNLISTEN`.
pub(crate) const LISTEN: Action = Action::new("sql:listen");
/// To open, read and close cursors.
pub(crate) const CURSOR: Action = Action::new("sql:cursor");
/// To prepare, execute and forget statements by name.
pub(crate) const PREPARED: Action = Action::new("sql:prepared");
/// To lock tables or rows.
pub(crate) const LOCK: Action = Action::new("sql:lock");
/// To see the plan of a statement.
pub(crate) const EXPLAIN: Action = Action::new("sql:explain");
/// To run a program on the target's machine.
pub(crate) const PROGRAM: Action = Action::new("sql:program");
/// To read or write a file on the target's machine.
pub(crate) const FILE: Action = Action::new("sql:file");
/// What only administrators do: roles, grants, extensions, servers, other sessions, statistics that quote data.
pub(crate) const ADMIN: Action = Action::new("sql:admin");
/// Publications and subscriptions.
pub(crate) const REPLICATION: Action = Action::new("sql:replication");
/// What Gatehouse does not understand, whatever it is.
pub(crate) const OPAQUE: Action = Action::new("sql:opaque");

/// Every verb of this vocabulary.
pub(crate) const ALL: [Action; 26] = [
    SELECT,
    INSERT,
    UPDATE,
    DELETE,
    MERGE,
    TRUNCATE,
    DROP,
    DDL,
    COPY_IN,
    COPY_OUT,
    CALL,
    DO,
    SET,
    SHOW,
    TRANSACTION,
    LISTEN,
    CURSOR,
    PREPARED,
    LOCK,
    EXPLAIN,
    PROGRAM,
    FILE,
    ADMIN,
    REPLICATION,
    OPAQUE,
    Action::PROBE,
];
