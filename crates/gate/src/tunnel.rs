//! Ways to hosts that are no targets. Nobody looks into them: policy says which there may be, and each is recorded by its host.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use gatehouse_journal::{TunnelClosed, TunnelOpened, TunnelRefused};
use gatehouse_model::{
    Access, Action, Denial, Facts, Lease, Parent, PolicyId, Reason, Resource, SessionId, TaskAccount, Verdict,
};
use gatehouse_policy::Policies;
use jiff::Timestamp;

use crate::gate::{Gate, on_behalf_of, policy_denial, task_ended, unrecorded_denial};
use crate::ledger::Unrecorded;

/// What a host is in policies.
const HOST: &str = "Host";

/// The right to one connection to a host that is no target. Only the gate makes one.
#[must_use = "a tunnel that is dropped leads nowhere"]
pub struct Tunnel {
    id: SessionId,
    lease: Lease,
    account: Arc<TaskAccount>,
    host: String,
    port: u16,
    /// By which it was permitted.
    policies: Mutex<Arc<Policies>>,
}

impl Tunnel {
    /// Where to, and at which port.
    pub fn to(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

/// Where a client wants to go, in small letters, and at which port.
#[derive(Debug, Clone, Copy)]
pub enum Whereto<'a> {
    /// To the gateway itself or to one of its targets, past itself.
    Own(&'a str, u16),
    /// To a host of others.
    Elsewhere(&'a str, u16),
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy)]
pub struct TunnelEnd<'a> {
    /// Why.
    pub cause: &'a str,
    /// How many bytes went there.
    pub sent: u64,
    /// How many came back.
    pub received: u64,
}

impl Gate {
    /// Opens a way to a host, if policy permits `tunnel` there and it is not the gateway's own or a target's.
    pub fn tunnel(
        &self,
        now: Timestamp,
        id: SessionId,
        (lease, account): (Lease, Arc<TaskAccount>),
        whereto: Whereto<'_>,
        peer: &str,
    ) -> Result<Tunnel, Denial> {
        let (Whereto::Own(host, port) | Whereto::Elsewhere(host, port)) = whereto;
        let policies = self.policies();
        let tunnel = Tunnel { id, lease, account, host: host.into(), port, policies: Mutex::new(policies.clone()) };
        let subject = &tunnel.lease.subject;
        let refuse = |denial: Denial| {
            let entry = TunnelRefused {
                task: tunnel.lease.task.id.to_string(),
                identity: subject.identity.to_string(),
                on_behalf_of: on_behalf_of(subject),
                host: host.into(),
                port,
                peer: peer.into(),
                cause: denial.detail.clone(),
                by: denial.policies.iter().map(PolicyId::to_string).collect(),
                policies: policies.revision().to_string(),
            };
            self.ledger().record(now, entry).err().map_or(denial, |_| unrecorded_denial())
        };
        if let Some(denial) = self.tunnel_shut(&tunnel, now) {
            return Err(refuse(denial));
        }
        if matches!(whereto, Whereto::Own(..)) {
            return Err(refuse(Denial::new(
                Reason::Policy,
                format!("{host} is a target's, or the gateway's own"),
                "nobody goes round the gateway to what lies behind it",
                "Use the address by which `gatehouse targets ls` has it",
            )));
        }
        let decision = policies.decide(subject, &Access::new(Action::TUNNEL, resource(host, port)), &Facts::new());
        match decision.verdict {
            Verdict::Allow => {}
            // There is nothing in it that a person could read.
            Verdict::Hold | Verdict::Deny => return Err(refuse(policy_denial(&decision, "tunnel"))),
        }
        let entry = TunnelOpened {
            tunnel: tunnel.id.to_string(),
            task: tunnel.lease.task.id.to_string(),
            identity: subject.identity.to_string(),
            on_behalf_of: on_behalf_of(subject),
            host: host.into(),
            port,
            peer: peer.into(),
            policies: policies.revision().to_string(),
        };
        self.ledger().record(now, entry).map_err(|_| unrecorded_denial())?;
        Ok(tunnel)
    }

    /// Why nothing passes through a tunnel any more, if so it is.
    pub fn tunnel_shut(&self, tunnel: &Tunnel, now: Timestamp) -> Option<Denial> {
        let task = &tunnel.lease.task;
        if tunnel.account.has_ended() || !task.is_live(now) {
            return Some(task_ended());
        }
        if let Some(lockdown) = self.lockdowns().of_who(&task.identity, task.on_behalf_of.as_ref()) {
            return Some(lockdown.denial());
        }
        // What was permitted may be so no more.
        let now_in_force = self.policies();
        let mut by = tunnel.policies.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&by, &now_in_force) {
            return None;
        }
        let access = Access::new(Action::TUNNEL, resource(&tunnel.host, tunnel.port));
        let decision = now_in_force.decide(&tunnel.lease.subject, &access, &Facts::new());
        *by = now_in_force;
        (decision.verdict != Verdict::Allow).then(|| policy_denial(&decision, "tunnel"))
    }

    /// Records the end of a tunnel.
    pub fn close_tunnel(&self, now: Timestamp, tunnel: &Tunnel, end: TunnelEnd<'_>) -> Result<(), Unrecorded> {
        let entry = TunnelClosed {
            tunnel: tunnel.id.to_string(),
            task: tunnel.lease.task.id.to_string(),
            cause: end.cause.into(),
            sent: end.sent,
            received: end.received,
        };
        self.ledger().record(now, entry).map(|_| ())
    }
}

/// A host at a port, which is in the host, and that in each domain above it.
fn resource(host: &str, port: u16) -> Resource {
    let parent = |name: &str| Parent { kind: HOST, id: name.into() };
    let mut within = vec![parent(host)];
    if host.parse::<IpAddr>().is_err() {
        let mut rest = host;
        while let Some((_, above)) = rest.split_once('.') {
            within.push(parent(above));
            rest = above;
        }
    }
    Resource::new(HOST, &format!("{host}:{port}"), within)
}
