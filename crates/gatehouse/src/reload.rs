//! Takes changed configuration and policies over: all of it or nothing, the last good one kept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gatehouse_engine::House as _;
use gatehouse_journal::{ConfigurationLoaded, FileAttachments};
use gatehouse_model::{Denial, Digest, Reason};
use gatehouse_protocol::{Carriage, Protocol};
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::load::{self, Fault, Loaded};
use crate::state::State;
use crate::{at_start, keys, registry, serve};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1500);
/// How long nothing may change before it is read: a file that is being written may for a moment lack the half that
/// forbids.
const SETTLED_AFTER: Duration = Duration::from_millis(250);
/// After how many looks it is said that they do not.
const TELL_EVERY: u32 = 5;

/// Watches the files, and listens for SIGHUP, until the runtime ends. `seen` is what they were before the gateway read them at its
/// start: what changed since then is news.
pub(crate) async fn watch(state: Arc<State>, config: PathBuf, mut seen: [u8; 32]) {
    let look = || {
        let loaded = state.loaded.load();
        fingerprint(&loaded.config, &loaded.base, &config)
    };
    let mut unsettled = 0_u32;
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "changed files will not be noticed");
            return;
        }
    };
    loop {
        tokio::select! {
            // Whoever sends it says that the files are as they shall be.
            _ = hangup.recv() => {
                seen = look();
                apply(&state, load_all(&state, &config));
            }
            () = tokio::time::sleep(LOOK_EVERY) => {
                let now = look();
                if now == seen {
                    continue;
                }
                tokio::time::sleep(SETTLED_AFTER).await;
                if now == look() {
                    let outcome = load_all(&state, &config);
                    // Only what stood still before and after it was read was read as one.
                    if now == look() {
                        (seen, unsettled) = (now, 0);
                        apply(&state, outcome);
                        continue;
                    }
                }
                unsettled += 1;
                if unsettled.is_multiple_of(TELL_EVERY) {
                    tracing::warn!("changed files are not in force: they do not stand still long enough to be read");
                }
            }
        }
    }
}

/// A digest over all files that count: those that the file names now, be it in force or not, for a mistake in one of them is
/// mended there.
pub(crate) fn fingerprint(in_force: &Config, base: &Path, config: &Path) -> [u8; 32] {
    let text = std::fs::read_to_string(config);
    let mut hash = Sha256::new();
    // What is gone is a change like any other.
    let mut add = |content: std::io::Result<String>| {
        hash.update([u8::from(content.is_ok())]);
        hash.update(Sha256::digest(content.unwrap_or_default()));
    };
    let named = text.as_deref().ok().and_then(|text| toml::from_str::<Config>(text).ok());
    let named = named.as_ref().unwrap_or(in_force);
    add(text);
    match load::policy_sources(&base.join(&named.policies.directory)) {
        Ok(sources) => sources.into_iter().for_each(|source| {
            add(Ok(source.name));
            add(Ok(source.text));
        }),
        Err(error) => add(Err(error)),
    }
    load::watched_files(named).for_each(|file| add(std::fs::read_to_string(base.join(file))));
    hash.finalize().into()
}

fn load_all(state: &State, config: &Path) -> Result<Loaded, Vec<Fault>> {
    let key = keys::pseudonym_key(&state.data).map_err(|error| {
        vec![Fault { file: "keys".into(), line: None, message: error.to_string(), remedy: "Restore it".into() }]
    })?;
    load::load(config, key)
}

/// Puts what was loaded in force if nothing is wrong with it.
fn apply(state: &State, outcome: Result<Loaded, Vec<Fault>>) {
    let fault = match outcome {
        Ok(loaded) => adopt(state, loaded).err(),
        Err(faults) => Some(faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")),
    };
    if let Some(fault) = &fault {
        tracing::error!("the changed configuration is not used, the last good one is kept: {fault}");
    }
    *state.reload_fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
}

fn adopt(state: &State, mut loaded: Loaded) -> Result<(), String> {
    let tls = serve::new_tls(state, &loaded).map_err(|error| format!("{error:#}"))?;
    let now = state.now();
    keep_policies(&state.attachments, &loaded)
        .map_err(|error| format!("the policies cannot be kept as evidence: {error}"))?;
    state
        .gate
        .ledger()
        .record(now, ConfigurationLoaded { digest: loaded.digest.to_string() })
        .map_err(|error| error.to_string())?;
    let old = state.loaded.load_full();
    if loaded.policies.revision() != old.policies.revision() {
        state.gate.adopt(now, loaded.policies.clone()).map_err(|error| error.to_string())?;
    }
    tracing::info!(policies = %loaded.policies.revision(), "the changed configuration is in force");
    for setting in at_start::waiting(&state.started, &old.config, &loaded.config) {
        tracing::warn!("{setting} counts at the next start: until then the gateway goes on as it started");
    }
    if let Some(keeper) = Arc::get_mut(&mut loaded.keeper) {
        keeper.go_on_from(&old.keeper);
    }
    for (sender, tls) in tls {
        sender.send_replace(tls);
    }
    state.loaded.store(Arc::new(loaded));
    state.recheck_approvals();
    cut_changed(state, &old);
    tell_misnamed(state);
    Ok(())
}

/// What the catalogs of targets are known to lack is said before the next session finds it.
fn tell_misnamed(state: &State) {
    let Some(engine) = state.engine.get() else {
        return;
    };
    for target in state.loaded.load_full().targets.values() {
        if let Some(Carriage::Stream(protocol)) = registry::protocol(&target.protocol).map(Protocol::carriage) {
            engine.tell_misnamed(target, &*protocol);
        }
    }
}

/// Sessions whose target, classes or groups are no longer what they were opened with end; all others are judged by the
/// new policies from their next operation.
fn cut_changed(state: &State, old: &Loaded) {
    let Some(engine) = state.engine.get() else {
        return;
    };
    let new = state.loaded.load_full();
    let classes_changed = old.config.classes != new.config.classes;
    let denial = Denial::new(
        Reason::TaskEnded,
        "the configuration of this session's target or identity changed",
        "the session stood on what it was before",
        "Connect again",
    );
    engine.roster.end_where(&denial, |session| {
        let target = session.target.as_str();
        let Some((task, _)) = state.tasks.task(&session.task, state.now()) else {
            return true;
        };
        let subject = |loaded| state.known(loaded).subject(&task.identity, task.on_behalf_of.as_ref()).ok();
        classes_changed
            || old.config.targets.get(target) != new.config.targets.get(target)
            || subject(old) != subject(&new)
    });
}

/// Keeps the text of every policy file under its digest, for evidence bundles.
pub(crate) fn keep_policies(attachments: &FileAttachments, loaded: &Loaded) -> std::io::Result<()> {
    loaded
        .policies
        .sources()
        .iter()
        .try_for_each(|source| attachments.keep_policy(source.text.as_bytes()).map(|_: Digest| ()))
}
