//! What PostgreSQL's own functions do beyond computing from their arguments.
//!
//! Knows names, and the catalog's word on who owns a name. Must not know trees, lineage or resources. Err on the side
//! of danger: a function that is not immutable and not known to be harmless counts as dangerous.

mod reviewed;

use crate::catalog::{Catalog, Volatility, is_system_schema, is_temporary_schema};

/// What a call of a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its result is computed from its arguments alone, or tells nothing of the data.
    Plain,
    /// An aggregate that only counts.
    Count,
    /// A window function that only tells a place.
    Place,
    /// As many rows as its arguments say, so that their number tells of them.
    Rows,
    /// Waits for a lock, or takes one that others wait for.
    Lock,
    /// Leaves something behind that a later statement can see.
    Memory,
    /// Changes a sequence.
    Sequence,
    /// Tells where a sequence stands.
    SequenceRead,
    /// Tells settings, as `SHOW` does: the one that its first argument names, or else all.
    Setting,
    /// Sends a notification.
    Notify,
    /// Reads files, runs statements given as text, changes settings, stops sessions, shows other sessions' data, or makes a value of
    /// a type that an argument names, and so runs the checks of any domain.
    Dangerous,
    /// Not PostgreSQL's own: what it does is not known.
    User,
}

/// Dangerous whatever the catalog says of their volatility.
const DANGEROUS_PREFIXES: [&str; 40] = [
    "binary_upgrade_",
    "brin_desummarize",
    "brin_summarize",
    "cursor_to_xml",
    "database_to_xml",
    "dblink",
    "file_fdw",
    "fmgr_",
    "gin_clean",
    "lo_",
    "pageinspect",
    "pg_backup_",
    "pg_copy_",
    "pg_create_",
    "pg_drop_",
    "pg_event_trigger",
    "pg_export_",
    "pg_file_",
    "pg_import_",
    "pg_log_",
    "pg_logical_",
    "pg_ls_",
    "pg_read_",
    "pg_reload",
    "pg_replication_",
    "pg_restore_",
    "pg_rotate_",
    "pg_set_",
    "pg_sleep",
    "pg_start_",
    "pg_stat_get_backend_",
    "pg_stat_reset",
    "pg_stop_",
    "pg_switch_",
    "pg_sync_",
    "pg_wal_replay",
    "pg_write_",
    "plpgsql_",
    "query_to_xml",
    "table_to_xml",
];

const DANGEROUS: [&str; 80] = [
    "amvalidate",
    "anycompatiblemultirange_in",
    "anycompatiblerange_in",
    "anymultirange_in",
    "anyrange_in",
    "array_in",
    "connectby",
    "crosstab",
    "currtid2",
    "domain_in",
    "enum_in",
    "loread",
    "lowrite",
    "multirange_in",
    "pg_cancel_backend",
    "pg_clear_attribute_stats",
    "pg_clear_relation_stats",
    "pg_conf_load_time",
    "pg_config",
    "pg_control_checkpoint",
    "pg_current_logfile",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_cursor",
    "pg_extension_config_dump",
    "pg_get_backend_memory_contexts",
    "pg_get_replication_slots",
    "pg_get_shmem_allocations",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_input_error_info",
    "pg_input_is_valid",
    "pg_isolation_test_session_is_blocked",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_lock_status",
    "pg_logdir_ls",
    "pg_mcv_list_items",
    "pg_nextoid",
    "pg_prepared_statement",
    "pg_prepared_xact",
    "pg_promote",
    "pg_relation_filepath",
    "pg_show_all_file_settings",
    "pg_show_replication_origin_status",
    "pg_stat_clear_snapshot",
    "pg_stat_file",
    "pg_stat_force_next_flush",
    "pg_stat_get_activity",
    "pg_stat_get_blocks_fetched",
    "pg_stat_get_blocks_hit",
    "pg_stat_get_db_blocks_hit",
    "pg_stat_get_db_temp_bytes",
    "pg_stat_get_db_temp_files",
    "pg_stat_get_progress_info",
    "pg_stat_get_replication_slot",
    "pg_stat_get_subscription",
    "pg_stat_get_tuples_hot_updated",
    "pg_stat_get_wal",
    "pg_stat_get_wal_receiver",
    "pg_stat_get_wal_senders",
    "pg_stat_get_xact_blocks_fetched",
    "pg_stat_get_xact_blocks_hit",
    "pg_stat_get_xact_tuples_hot_updated",
    "pg_stat_get_xact_tuples_newpage_updated",
    "pg_stat_statements",
    "pg_stat_statements_info",
    "pg_stat_statements_reset",
    "pg_terminate_backend",
    "range_in",
    "record_in",
    "satisfies_hash_partition",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "set_config",
    "ts_rewrite",
    "ts_stat",
    "xpath_table",
];

/// Volatile, and yet no more than a clock, a die or a fact about the server.
const HARMLESS: [&str; 48] = [
    "clock_timestamp",
    "current_query",
    "gen_random_uuid",
    "lastval",
    "pg_blocking_pids",
    "pg_collation_actual_version",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_database_collation_actual_version",
    "pg_database_size",
    "pg_get_multixact_members",
    "pg_get_wal_replay_pause_state",
    "pg_get_wal_resource_managers",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_jit_available",
    "pg_last_committed_xact",
    "pg_last_xact_replay_timestamp",
    "pg_notification_queue_usage",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_relation_size",
    "pg_safe_snapshot_blocking_pids",
    "pg_stat_get_recovery_prefetch",
    "pg_stat_get_xact_function_calls",
    "pg_stat_get_xact_function_self_time",
    "pg_stat_get_xact_function_total_time",
    "pg_stat_get_xact_numscans",
    "pg_stat_get_xact_tuples_deleted",
    "pg_stat_get_xact_tuples_fetched",
    "pg_stat_get_xact_tuples_inserted",
    "pg_stat_get_xact_tuples_returned",
    "pg_stat_get_xact_tuples_updated",
    "pg_stat_have_stats",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "pg_xact_commit_timestamp",
    "pg_xact_commit_timestamp_origin",
    "pg_xact_status",
    "random",
    "random_normal",
    "timeofday",
    "txid_status",
    "uuidv4",
    "uuidv7",
];

/// Set-returning functions: the number of rows tells of the arguments.
const ROWS: [&str; 29] = [
    "_pg_expandarray",
    "aclexplode",
    "each",
    "generate_series",
    "generate_subscripts",
    "json_array_elements",
    "json_array_elements_text",
    "json_each",
    "json_each_text",
    "json_object_keys",
    "json_populate_recordset",
    "json_to_recordset",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_keys",
    "jsonb_path_query",
    "jsonb_path_query_tz",
    "jsonb_populate_recordset",
    "jsonb_to_recordset",
    "pg_options_to_table",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
    "ts_debug",
    "ts_parse",
    "ts_token_type",
    "unnest",
];

/// Functions in FROM whose result is one column, named by the alias or else by the function.
const ONE_COLUMN: [&str; 8] = [
    "generate_series",
    "generate_subscripts",
    "json_object_keys",
    "jsonb_object_keys",
    "jsonb_path_query",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
];

/// The same, named by the parameter that gives it, whatever the alias.
const ONE_VALUE: [&str; 4] =
    ["json_array_elements", "json_array_elements_text", "jsonb_array_elements", "jsonb_array_elements_text"];

/// Functions whose failure, or whose NULL, tells nothing of the values of their first argument, so that a masked result
/// gives nothing away. Any other can be made to fail, or to give NULL, for chosen values; `max` and `min` say which of several
/// is the greater, by the mask of what they choose.
const PASSING: [&str; 12] = [
    "array_agg",
    "concat",
    "json_agg",
    "jsonb_agg",
    "lower",
    "row_to_json",
    "string_agg",
    "text",
    "to_json",
    "to_jsonb",
    "upper",
    "varchar",
];

/// Functions that write their arguments as JSON, each type by its cast to `json` where users made one.
const JSON_MAKERS: [&str; 4] = ["array_to_json", "row_to_json", "to_json", "to_jsonb"];

/// Whole families of such functions, behind `json_` or `jsonb_`.
const JSON_MAKER_PREFIXES: [&str; 3] = ["agg", "build_", "object_agg"];

/// Types that any value can be cast to, as it is written.
const PASSING_TYPES: [&str; 2] = ["text", "varchar"];

/// True for one of PostgreSQL's own functions that gives nothing of its first argument away but in its result.
pub(crate) fn is_passing(name: &str) -> bool {
    PASSING.contains(&name)
}

/// True for the name of one of PostgreSQL's own functions that write their arguments as JSON.
pub(crate) fn makes_json(name: &str) -> bool {
    let rest = name.strip_prefix("jsonb_").or_else(|| name.strip_prefix("json_")).unwrap_or_default();
    JSON_MAKERS.contains(&name) || JSON_MAKER_PREFIXES.iter().any(|prefix| rest.starts_with(prefix))
}

/// True for one of PostgreSQL's own operators that gives nothing of its operands away but in its result.
pub(crate) fn is_passing_operator(name: &str) -> bool {
    name == "||"
}

/// True for one of PostgreSQL's own types that any value can be cast to.
pub(crate) fn is_passing_type(name: &str) -> bool {
    PASSING_TYPES.contains(&name)
}

/// The name of the column of one of PostgreSQL's own functions in FROM whose result is one column.
pub(crate) fn only_column<'n>(name: &'n str, alias: Option<&'n str>) -> Option<&'n str> {
    if ONE_VALUE.contains(&name) {
        return Some("value");
    }
    ONE_COLUMN.contains(&name).then(|| alias.unwrap_or(name))
}

/// True for a name that is dangerous whoever owns it.
pub(crate) fn is_dangerous(name: &str) -> bool {
    DANGEROUS.contains(&name) || DANGEROUS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What a call of a function does, by its schema (if one is written) and name.
///
/// `visible` says whether functions of a schema can be meant by an unqualified name.
pub(crate) fn kind(schema: Option<&str>, name: &str, catalog: &Catalog, visible: impl Fn(&str) -> bool) -> Kind {
    let has_user = |schema: &str| catalog.user_function_schemas(name).iter().any(|other| &**other == schema);
    let own = match schema {
        Some(schema) if is_system_schema(schema) => !has_user(schema),
        // A name of PostgreSQL's own in another schema, such as the temporary one, is somebody else's function.
        Some(schema) => !is_temporary_schema(schema) && catalog.is_computing_function(schema, name),
        None => !catalog.user_function_schemas(name).iter().any(|schema| is_system_schema(schema) || visible(schema)),
    };
    if !own {
        return Kind::User;
    }
    match (catalog.own_function(name), own_kind(name)) {
        (_, Some(kind)) => kind,
        (Some(Volatility::Volatile), None) => Kind::Dangerous,
        (Some(Volatility::Stable), None) if !reviewed::is_harmless(name) => Kind::Dangerous,
        (Some(Volatility::Stable | Volatility::Immutable), None) => Kind::Plain,
        // A type's name called as a function is a cast.
        (None, None) if catalog.is_own_type(name) => Kind::Plain,
        (None, None) => Kind::User,
    }
}

/// Whether somebody has looked at what one of PostgreSQL's own functions does that is not immutable. One that nobody has looked at is
/// taken for dangerous: a test finds it on servers that have it.
pub(crate) fn is_judged(name: &str, is_volatile: bool) -> bool {
    own_kind(name).is_some() || !is_volatile && reviewed::is_harmless(name)
}

/// What is known of one of PostgreSQL's own functions by its name alone.
fn own_kind(name: &str) -> Option<Kind> {
    if is_dangerous(name) {
        return Some(Kind::Dangerous);
    }
    match name {
        "count" => Some(Kind::Count),
        "row_number" | "rank" | "dense_rank" | "percent_rank" | "cume_dist" => Some(Kind::Place),
        "nextval" | "setval" => Some(Kind::Sequence),
        "currval" | "pg_sequence_last_value" => Some(Kind::SequenceRead),
        "current_setting" | "pg_show_all_settings" => Some(Kind::Setting),
        "pg_notify" => Some(Kind::Notify),
        // The other two take the number of a transaction, which stays taken.
        "setseed" | "pg_current_xact_id" | "txid_current" => Some(Kind::Memory),
        _ if name.starts_with("pg_advisory_unlock") => Some(Kind::Memory),
        _ if name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_") => Some(Kind::Lock),
        _ if ROWS.contains(&name) => Some(Kind::Rows),
        _ if HARMLESS.contains(&name) => Some(Kind::Plain),
        _ => None,
    }
}

/// Columns of PostgreSQL's own relations that quote data, statements or secrets; `None` for a relation that quotes
/// nothing. An empty list stands for all columns.
pub(crate) fn quoting_columns(relation: &str) -> Option<&'static [&'static str]> {
    Some(match relation {
        "pg_statistic" | "pg_statistic_ext_data" | "pg_stats_ext_exprs" | "pg_largeobject" => &[],
        "pg_stats" => &["most_common_vals", "histogram_bounds", "most_common_elems", "range_bounds_histogram"],
        "pg_stats_ext" => &["most_common_vals", "exprs"],
        "pg_stat_activity" | "pg_stat_statements" | "pg_stat_monitor" => &["query"],
        "pg_stat_ssl" => &["client_dn", "client_serial", "issuer_dn"],
        "pg_stat_gssapi" => &["principal"],
        "pg_stat_replication" => &["client_hostname", "sent_lsn", "write_lsn", "flush_lsn", "replay_lsn"],
        "pg_stat_subscription" => &["received_lsn", "latest_end_lsn"],
        "pg_authid" => &["rolpassword"],
        "pg_shadow" => &["passwd"],
        "pg_user_mapping" | "pg_user_mappings" => &["umoptions"],
        "pg_foreign_server" => &["srvoptions"],
        "pg_foreign_table" => &["ftoptions"],
        "pg_foreign_data_wrapper" => &["fdwoptions"],
        "pg_subscription" => &["subconninfo"],
        "pg_stat_wal_receiver" => &["conninfo", "written_lsn", "flushed_lsn", "latest_end_lsn"],
        "pg_stat_wal" | "pg_backend_memory_contexts" => &[],
        "pg_hba_file_rules" | "pg_ident_file_mappings" | "pg_config" => &[],
        "pg_file_settings" => &["setting"],
        "pg_prepared_statements" | "pg_cursors" => &["statement"],
        "pg_prepared_xacts" => &["gid"],
        "user_mapping_options" | "foreign_server_options" | "foreign_table_options" => &["option_value"],
        "foreign_data_wrapper_options" => &["option_value"],
        "_pg_user_mappings" => &["umoptions"],
        "_pg_foreign_servers" => &["srvoptions"],
        "_pg_foreign_tables" => &["ftoptions"],
        "_pg_foreign_data_wrappers" => &["fdwoptions"],
        _ => return None,
    })
}

/// Columns of PostgreSQL's own relations that measure what statements handle: how long values are, or beside which others they lie
/// in an index.
pub(crate) fn measuring_columns(relation: &str) -> &'static [&'static str] {
    match relation {
        "pg_locks" => &["page", "tuple"],
        "pg_stat_database" => &["temp_bytes", "temp_files"],
        "pg_stat_io" => &["reads", "read_bytes", "writes", "write_bytes", "extends", "extend_bytes", "hits"],
        "pg_stat_progress_copy" => &["bytes_processed", "bytes_total"],
        "pg_replication_slots" => &["restart_lsn", "confirmed_flush_lsn", "safe_wal_size"],
        "pg_stat_replication_slots" => &["spill_bytes", "stream_bytes", "total_bytes"],
        _ => &[],
    }
}

/// Columns of PostgreSQL's own relations that count updates by whether what an index holds became what it was, or the
/// blocks of indexes that they looked at.
pub(crate) fn counts_changes_of_indexes(relation: &str, column: &str) -> bool {
    matches!(column, "n_tup_hot_upd" | "n_tup_newpage_upd") && relation.starts_with("pg_stat_")
        || matches!(column, "idx_blks_read" | "idx_blks_hit" | "blks_hit") && relation.starts_with("pg_stat")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{FunctionInfo, Parts};

    fn function(name: &str, schema: Option<&str>, volatile: bool) -> FunctionInfo {
        FunctionInfo { name: name.into(), schema: schema.map(Into::into), computes: false, volatile, stable: false }
    }

    #[test]
    fn names_are_told_apart() {
        let functions = vec![
            function("lower", None, false),
            function("brand_new", None, true),
            function("random", None, true),
            FunctionInfo { stable: true, ..function("brand_new_stable", None, false) },
            FunctionInfo { stable: true, ..function("to_char", None, false) },
            function("leak", Some("public"), false),
            function("lower", Some("hidden"), false),
            FunctionInfo { computes: true, ..function("similarity", Some("public"), false) },
            FunctionInfo { computes: true, ..function("shadowed", Some("public"), false) },
            function("shadowed", Some("public"), false),
        ];
        let catalog = Catalog::new(Parts { functions, ..Parts::default() });
        let of = |schema, name| kind(schema, name, &catalog, |schema| schema == "public");
        assert_eq!(of(None, "lower"), Kind::Plain);
        assert_eq!(of(Some("hidden"), "lower"), Kind::User);
        assert_eq!(of(Some("pg_temp"), "lower"), Kind::User);
        assert_eq!(of(Some("pg_temp_3"), "count"), Kind::User);
        assert_eq!(of(Some("public"), "count"), Kind::User);
        assert_eq!(of(Some("public"), "similarity"), Kind::Plain);
        assert_eq!(of(None, "similarity"), Kind::Plain);
        assert_eq!(of(Some("hidden"), "similarity"), Kind::User);
        assert_eq!(of(Some("pg_temp"), "similarity"), Kind::User);
        assert_eq!(of(Some("public"), "shadowed"), Kind::User);
        assert_eq!(of(None, "shadowed"), Kind::User);
        assert_eq!(of(None, "leak"), Kind::User);
        assert_eq!(of(None, "nobody_knows"), Kind::User);
        assert_eq!(of(None, "brand_new"), Kind::Dangerous);
        assert_eq!(of(None, "brand_new_stable"), Kind::Dangerous);
        assert_eq!(of(None, "to_char"), Kind::Plain);
        assert_eq!(of(None, "random"), Kind::Plain);
        assert_eq!(of(None, "pg_read_file"), Kind::Dangerous);
        assert_eq!(of(Some("pg_catalog"), "count"), Kind::Count);
        assert_eq!(kind(None, "lower", &catalog, |_| true), Kind::User);
    }

    #[test]
    fn what_nobody_has_looked_at_is_known() {
        assert!(is_judged("nextval", true) && is_judged("pg_read_file", true) && is_judged("lastval", true));
        assert!(is_judged("to_char", false) && is_judged("database_to_xml", false));
        assert!(!is_judged("to_char", true) && !is_judged("brand_new", true) && !is_judged("brand_new", false));
    }

    /// What makes values of a type that an argument names by its OID runs the checks of any domain; the others run code as well.
    #[test]
    fn what_runs_code_of_others_is_dangerous() {
        for name in [
            "domain_in",
            "array_in",
            "record_in",
            "range_in",
            "multirange_in",
            "enum_in",
            "anyrange_in",
            "anycompatiblemultirange_in",
            "pg_input_is_valid",
            "pg_input_error_info",
            "fmgr_c_validator",
            "satisfies_hash_partition",
        ] {
            assert_eq!(own_kind(name), Some(Kind::Dangerous), "{name}");
            assert!(!reviewed::is_harmless(name), "{name}");
        }
        assert_eq!([own_kind("txid_current"), own_kind("pg_current_xact_id")], [Some(Kind::Memory); 2]);
        assert_eq!([own_kind("ts_debug"), own_kind("pg_options_to_table")], [Some(Kind::Rows); 2]);
        assert!(is_judged("txid_current_if_assigned", false) && own_kind("txid_current_if_assigned").is_none());
    }

    #[test]
    fn lists_are_in_order() {
        for list in [
            &DANGEROUS[..],
            &HARMLESS[..],
            &ROWS[..],
            &ONE_COLUMN[..],
            &ONE_VALUE[..],
            &PASSING[..],
            &JSON_MAKERS[..],
            &JSON_MAKER_PREFIXES[..],
            &DANGEROUS_PREFIXES[..],
        ]
        .into_iter()
        .chain(reviewed::GROUPS)
        {
            assert!(list.iter().zip(list.iter().skip(1)).all(|(one, next)| one < next), "{list:?}");
        }
    }
}
