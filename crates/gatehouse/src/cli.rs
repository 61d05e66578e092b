//! What a person types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use jiff::Timestamp;

/// A data-path gateway between AI agents (and people) and infrastructure.
#[derive(Debug, Parser)]
#[command(name = "gatehouse", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How a command reaches the gateway, and how it answers.
#[derive(Debug, Clone, Args)]
pub struct Reach {
    /// The admin socket of a gateway on this machine.
    #[arg(long, global = true, env = "GATEHOUSE_ADMIN_SOCKET", value_name = "PATH", default_value = "data/admin.sock")]
    pub admin_socket: PathBuf,
    /// The address of a gateway's API, with its https://; used in place of the admin socket, with a token.
    #[arg(long, global = true, env = "GATEHOUSE_API", value_name = "URL")]
    pub api: Option<String>,
    /// PEM certificates of the authorities that vouch for the API; the system's where not given.
    #[arg(long, global = true, env = "GATEHOUSE_TLS_AUTHORITIES", value_name = "PATH")]
    pub tls_authorities: Option<PathBuf>,
    /// The file with your token for the API: the one that `gatehouse login` writes, where not given.
    #[arg(long, global = true, env = "GATEHOUSE_TOKEN_FILE", value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// Answer with JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts a PostgreSQL with sample data and a gateway before it, and prints what to try.
    Demo,
    /// Runs the gateway.
    Serve(ConfigFile),
    /// Checks configuration and policies, and names file, line and remedy of every mistake.
    ///
    /// A key that there is not, and whatever else keeps the configuration from being read, is named alone: once it is mended, what is behind
    /// it shows.
    Check {
        /// Which.
        #[command(flatten)]
        config: ConfigFile,
        /// Answer with JSON.
        #[arg(long)]
        json: bool,
    },
    /// What is masked: how well detectors find it.
    Mask {
        /// What to do.
        #[command(subcommand)]
        action: MaskAction,
    },
    /// Starts a task and runs a command under it: its credential is in the command's environment, and ends with it.
    Run {
        /// Which task.
        #[command(flatten)]
        task: NewTaskArgs,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
        /// The command.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Serves MCP on standard input and output, for an agent that speaks nothing else: it asks for access, and works under it.
    Mcp {
        /// Who works.
        #[command(flatten)]
        who: WhoArgs,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Tasks: who works where, why, and until when.
    #[command(visible_alias = "task")]
    Tasks {
        /// What to do with them.
        #[command(subcommand)]
        action: TaskAction,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Requests: what waits for a person.
    #[command(visible_alias = "request")]
    Requests(Listing),
    /// Sessions: what was and is connected.
    #[command(visible_alias = "session")]
    Sessions(Listing),
    /// Targets: what can be reached.
    #[command(visible_alias = "target")]
    Targets {
        /// What to show.
        #[command(subcommand)]
        action: TargetAction,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Policies: those in force, and whether others would do.
    #[command(visible_alias = "policy")]
    Policies {
        /// What to do with them.
        #[command(subcommand)]
        action: PolicyAction,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Shows what the gateway would make of a statement: what it wants, what is decided of that and by which policies, and what
    /// would come back. Nothing is sent to the target.
    Explain {
        /// The target.
        #[arg(long, value_name = "NAME")]
        target: String,
        /// Who would ask it: user:NAME or agent:NAME; you, where not given.
        #[arg(long = "as", visible_alias = "identity", value_name = "IDENTITY")]
        identity: Option<String>,
        /// For whom: user:NAME.
        #[arg(long, value_name = "USER")]
        on_behalf_of: Option<String>,
        /// SQL; `GET /path` with fields and, after an empty line, a body; or a tool of MCP with its arguments. `-` reads it.
        statement: String,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Static keys of agents that can show nothing better.
    #[command(visible_alias = "key")]
    Keys {
        /// What to do with them.
        #[command(subcommand)]
        action: KeyAction,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Approves a request; of a task, all of it or less.
    Approve {
        /// The request.
        id: String,
        /// Why; the requester reads it.
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Only this target of a task; may be given several times.
        #[arg(long = "target", value_name = "NAME")]
        targets: Vec<String>,
        /// A task only for so long, such as 10m.
        #[arg(long, value_parser = seconds)]
        ttl: Option<u32>,
        /// Who approves, at the admin socket: user:NAME.
        #[arg(long = "as", env = "GATEHOUSE_AS", value_name = "IDENTITY")]
        acting_as: Option<String>,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Denies a request.
    Deny {
        /// The request.
        id: String,
        /// Why; the requester reads it.
        #[arg(long)]
        reason: String,
        /// Who denies, at the admin socket: user:NAME.
        #[arg(long = "as", env = "GATEHOUSE_AS", value_name = "IDENTITY")]
        acting_as: Option<String>,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Takes a request of your own back.
    Withdraw {
        /// The request.
        id: String,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Takes a task away: its credential is dead and its sessions are cut at once.
    Revoke {
        /// The task.
        task: String,
        /// Why, for the record and for whoever works under it.
        #[arg(long)]
        reason: Option<String>,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Shuts everything, an identity or a target at once, whatever policy permits.
    Lockdown {
        /// What to do.
        #[command(subcommand)]
        action: LockdownAction,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Cuts a session.
    Kill {
        /// The session.
        session: String,
        /// Why, for the record and for the client.
        #[arg(long)]
        reason: Option<String>,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Shows what was asked in a session and what its client saw.
    Replay {
        /// The session.
        #[arg(required_unless_present = "task")]
        session: Option<String>,
        /// As an HTTP archive (HAR 1.2), for sessions over HTTP.
        #[arg(long)]
        har: bool,
        /// All sessions of this task that were over HTTP, in one archive, in the order of time.
        #[arg(long, value_name = "ID", requires = "har", conflicts_with = "session")]
        task: Option<String>,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Evidence: exports it, or verifies it offline.
    Evidence {
        /// What to do.
        #[command(subcommand)]
        action: EvidenceAction,
    },
    /// Signs you in at the gateway of --api, by your provider; or makes anybody's token or link, at the admin socket.
    Login {
        /// Who, at the admin socket: user:NAME.
        #[arg(long = "as", value_name = "IDENTITY")]
        acting_as: Option<String>,
        /// Makes a link that signs their browser in, once, in place of a token.
        #[arg(long, requires = "acting_as", conflicts_with_all = ["ttl", "output"])]
        link: bool,
        /// For how long a token of the admin socket is good, such as 8h.
        #[arg(long, default_value = "8h", value_parser = seconds)]
        ttl: u32,
        /// Where to put the token, with mode 0600. One of the admin socket is printed where this is not given.
        #[arg(long, short, value_name = "PATH")]
        output: Option<PathBuf>,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Ends your token at the gateway of --api.
    Logout {
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Prints completions for a shell.
    Completions {
        /// Which.
        shell: Shell,
    },
    /// Prints a generated reference.
    #[command(hide = true)]
    Reference {
        /// Which: configuration, openapi or commands.
        which: String,
    },
}

/// The configuration file.
#[derive(Debug, Clone, Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(long, env = "GATEHOUSE_CONFIG", value_name = "PATH", default_value = "gatehouse.toml")]
    pub config: PathBuf,
}

/// What to do about masks.
#[derive(Debug, Subcommand)]
pub enum MaskAction {
    /// Shows what detectors find in each line of a file, and how it would be shown. A line `{"text": "…", "classes": ["email"]}`
    /// says what is in it: then only what differs is listed, with scores for each class, and the command fails if anything does.
    Test {
        /// The file.
        file: PathBuf,
        /// The target whose classes count; the first without.
        #[arg(long)]
        target: Option<String>,
        /// Where the classes are.
        #[command(flatten)]
        config: ConfigFile,
        /// Answer with JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A listing, or one entry of it.
#[derive(Debug, Args)]
pub struct Listing {
    /// What to show.
    #[command(subcommand)]
    pub action: Show,
    /// How the gateway is reached.
    #[command(flatten)]
    pub reach: Reach,
}

/// What to show of targets.
#[derive(Debug, Subcommand)]
pub enum TargetAction {
    /// All.
    Ls,
    /// One.
    Show {
        /// Which.
        id: String,
    },
    /// What a target says of itself, such as its tables, as text for `gatehouse policies test`. No data is in it.
    Catalog {
        /// Which.
        id: String,
    },
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyAction {
    /// All in force.
    Ls,
    /// One in force.
    Show {
        /// Which.
        id: String,
    },
    /// Whether statements come to what the *.toml files of a folder say of them; needs neither a gateway nor a target.
    Test {
        /// The folder.
        directory: PathBuf,
        /// Where the policies, identities and classes are.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// What the policies of a folder would have said to what this machine's journal has on record.
    Backtest {
        /// Since when: so long ago, such as 30d, or a time (RFC 3339).
        #[arg(long, default_value = "30d", value_parser = moment)]
        since: Timestamp,
        /// The folder with *.cedar files.
        #[arg(long, value_name = "DIRECTORY")]
        policies: PathBuf,
        /// Where the identities are, and the journal.
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Which part of a listing is wanted.
#[derive(Debug, Args)]
pub struct Part {
    /// How many at most.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub limit: usize,
    /// Only what belongs to this task.
    #[arg(long, value_name = "ID")]
    pub task: Option<String>,
    /// Only what this identity does or asks for, or another on its behalf: user:NAME or agent:NAME.
    #[arg(long, value_name = "IDENTITY")]
    pub identity: Option<String>,
    /// Only what goes to this target.
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Only what is in this state: of tasks live, done, expired, revoked or abandoned; of sessions live or ended; of requests
    /// open, approved, denied, used, withdrawn or expired; of keys good, revoked or expired.
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,
}

/// What to show.
#[derive(Debug, Subcommand)]
pub enum Show {
    /// The newest, newest first.
    Ls(Part),
    /// One.
    Show {
        /// Which.
        id: String,
    },
}

/// What to do with lockdowns.
#[derive(Debug, Subcommand)]
pub enum LockdownAction {
    /// What is shut.
    Ls,
    /// Shuts it: its sessions are cut, and nothing of it passes until it is lifted.
    Begin {
        /// What: all, agent:NAME, user:NAME or target:NAME.
        scope: String,
        /// Why; whoever meets it reads it.
        #[arg(long)]
        reason: String,
    },
    /// Opens it again, as far as policy permits.
    Lift {
        /// What.
        scope: String,
    },
}

/// What to do with static keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// The newest, newest first.
    Ls(Part),
    /// One.
    Show {
        /// Which.
        id: String,
    },
    /// Issues one, which is shown this once.
    Issue {
        /// Whose it is to be: agent:NAME.
        #[arg(long = "as", env = "GATEHOUSE_AS", value_name = "IDENTITY")]
        identity: String,
        /// The targets that tasks may be started for with it; may be given several times.
        #[arg(long = "target", required = true, value_name = "NAME")]
        targets: Vec<String>,
        /// Why nothing better will do.
        #[arg(long)]
        reason: String,
        /// For how long, such as 720h.
        #[arg(long, value_parser = seconds)]
        ttl: u32,
        /// Where to put the key, with mode 0600. It is printed where this is not given.
        #[arg(long, short, value_name = "PATH")]
        output: Option<PathBuf>,
    },
    /// Ends one, and the tasks that were started with it.
    Revoke {
        /// Which.
        id: String,
    },
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskAction {
    /// The newest, newest first.
    Ls(Part),
    /// One.
    Show {
        /// Which.
        id: String,
    },
    /// Starts a task and issues its credential, which is shown this once.
    Start(NewTaskArgs),
    /// Ends a task whose work is done.
    End {
        /// Which.
        id: String,
    },
}

/// Who works, and for whom.
#[derive(Debug, Clone, Args)]
pub struct WhoArgs {
    /// Who works: agent:NAME or user:NAME. Where there is but one agent, it is that one.
    #[arg(long = "as", env = "GATEHOUSE_AS", value_name = "IDENTITY")]
    pub identity: Option<String>,
    /// For whom: user:NAME.
    #[arg(long, value_name = "IDENTITY")]
    pub on_behalf_of: Option<String>,
}

/// What a task is started with.
#[derive(Debug, Clone, Args)]
pub struct NewTaskArgs {
    /// Who works.
    #[command(flatten)]
    pub who: WhoArgs,
    /// Where; may be given several times.
    #[arg(long = "target", required = true, value_name = "NAME")]
    pub targets: Vec<String>,
    /// Why.
    #[arg(long)]
    pub reason: Option<String>,
    /// For how long, such as 30m.
    #[arg(long, default_value = "30m", value_parser = seconds)]
    pub ttl: u32,
    /// How many operations may pass.
    #[arg(long, value_name = "NUMBER")]
    pub operations_max: Option<u64>,
    /// How many rows clients may be sent.
    #[arg(long, value_name = "NUMBER")]
    pub rows_max: Option<u64>,
    /// How many bytes clients may be sent.
    #[arg(long, value_name = "NUMBER")]
    pub bytes_max: Option<u64>,
    /// How many different values of a class may be seen unmasked, such as email=100; may be given several times.
    #[arg(long, value_name = "CLASS=NUMBER", value_parser = figure)]
    pub values_max: Vec<(String, u64)>,
    /// Where a person must approve, wait for that.
    #[arg(long)]
    pub wait: bool,
}

/// What to do with evidence.
#[derive(Debug, Subcommand)]
pub enum EvidenceAction {
    /// Writes an evidence bundle.
    Export {
        /// Only what belongs to this task.
        #[arg(long, conflicts_with = "session")]
        task: Option<String>,
        /// Only what belongs to this session.
        #[arg(long)]
        session: Option<String>,
        /// Only what was recorded from this time on (RFC 3339), or since so long ago, such as 30d, and the whole of the sessions
        /// and tasks that it is of.
        #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with_all = ["task", "session"])]
        since: Option<Timestamp>,
        /// The same until this time; until now where it is not given.
        #[arg(long, value_name = "TIME", value_parser = moment, requires = "since")]
        until: Option<Timestamp>,
        /// Where to put it.
        #[arg(long, short, value_name = "PATH", default_value = "evidence.tar")]
        output: PathBuf,
        /// Write over a file that is there already.
        #[arg(long)]
        force: bool,
        /// How the gateway is reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Verifies an evidence bundle: needs nothing but the file and the public key.
    Verify {
        /// The bundle.
        file: PathBuf,
        /// The journal's public key, or a file that holds it (data/journal.pub).
        #[arg(long)]
        key: String,
        /// Answer with JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A class and a figure.
fn figure(text: &str) -> Result<(String, u64), String> {
    let parsed = text.split_once('=').and_then(|(class, figure)| Some((class.to_string(), figure.parse().ok()?)));
    parsed.ok_or_else(|| "write CLASS=NUMBER, such as email=100".into())
}

/// A time, or so long ago, where a day has 24 hours.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let no_moment =
        || format!("`{text}` is no time: write 2026-11-01T00:00:00Z; or how long ago, such as 12h, 30d or 8w");
    let span: jiff::Span = text.parse().map_err(|_| no_moment())?;
    let ago = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| no_moment())?;
    if !ago.is_positive() {
        return Err(no_moment());
    }
    Ok(Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN))
}

fn seconds(text: &str) -> Result<u32, String> {
    let duration: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{text}` is no duration: write 90s, 30m or 8h"))?;
    u32::try_from(duration.as_secs())
        .ok()
        .filter(|secs| *secs > 0)
        .ok_or_else(|| format!("`{text}` is not between 1s and a century"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        let time: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        assert_eq!(moment("2026-11-01T00:00:00Z"), Ok(time));
        let (month, day) = (moment("30d").unwrap(), moment("24h").unwrap());
        assert!(month < day && day < Timestamp::now());
        for text in ["", "-30d", "0s", "yesterday"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
