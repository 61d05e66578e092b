//! Tasks that are asked for: policy says at once whether one may begin, or a person does first.

use gatehouse_journal::TaskRequested;
use gatehouse_model::{
    Access, Action, Decision, Digest, Facts, PolicyId, RequestId, Resource, Sha256, Subject, TargetName, Verdict, kind,
};
use jiff::{SignedDuration, Timestamp};

use crate::desk::{Asked, AskedTask, PendingRequest, RequestState};
use crate::gate::{Gate, budget_record, digest_part, on_behalf_of, quorum};
use crate::ledger::Unrecorded;

/// Whether a task may begin.
#[derive(Debug)]
pub enum MayBegin {
    /// It may, by these policies, which let it begin without asking anybody.
    Yes {
        /// The policies.
        policies: Vec<PolicyId>,
        /// The revision that they are of.
        revision: String,
    },
    /// It may, as this request was granted; the approval is used up by it.
    Granted(Box<PendingRequest>),
    /// A person is asked.
    Asked(Box<PendingRequest>),
    /// A person was asked, and said no.
    Denied(Box<PendingRequest>),
    /// It may not, and why.
    No(String),
    /// Too many requests of the same identity are open.
    TooMany,
}

impl Gate {
    /// Whether somebody may begin a task, where policy or a person says so: `start` on each of its targets. What a person
    /// must decide is filed, once; asked for again in the same words, it begins as it was granted.
    ///
    /// # Errors
    /// [`Unrecorded`] if the request cannot be recorded: then nobody is asked.
    pub fn may_begin(
        &self,
        now: Timestamp,
        subject: &Subject,
        task: AskedTask,
        request_secs_max: u32,
    ) -> Result<MayBegin, Unrecorded> {
        let policies = self.policies();
        let start = |target: &TargetName| Access::new(Action::START, Resource::root(kind::TARGET, target.as_str()));
        let accesses: Vec<Access> = task.targets.iter().map(start).collect();
        let decision = policies.decide_all(subject, &accesses, &Facts::new());
        match decision.verdict {
            Verdict::Allow => {
                let permits = decision.policies.into_iter().collect();
                return Ok(MayBegin::Yes { policies: permits, revision: policies.revision().to_string() });
            }
            Verdict::Deny => return Ok(MayBegin::No(decision.reasons.into_iter().collect::<Vec<_>>().join("; "))),
            Verdict::Hold => {}
        }
        let digest = digest(subject, &task);
        if let Some(granted) = self.desk().take(now, &digest, None, &decision.hold) {
            return Ok(MayBegin::Granted(Box::new(granted)));
        }
        if let Some(denied) = self.desk().denied(&digest) {
            return Ok(MayBegin::Denied(Box::new(denied)));
        }
        let expires = now.saturating_add(SignedDuration::from_secs(request_secs_max.into())).unwrap_or(now);
        let request = request(now, subject, task.clone(), &accesses, decision, digest, expires);
        let record = record(&request, &task, policies.revision());
        let opened = match self.desk().open(now, request, None, record.into()) {
            Ok(opened) => opened,
            Err(None) => return Ok(MayBegin::TooMany),
            Err(Some(unrecorded)) => return Err(unrecorded),
        };
        Ok(match self.desk().request(&opened.id) {
            Some(request) => MayBegin::Asked(Box::new(request)),
            None => MayBegin::No(format!("request {} was over in this moment: ask again", opened.id)),
        })
    }

    /// Puts an approval back by which no task began after all.
    pub fn not_begun(&self, granted: &PendingRequest) {
        self.desk().put_back(granted);
    }
}

/// What an approval binds to: who asks, for whom, by which way, where, why and for how long.
fn digest(subject: &Subject, task: &AskedTask) -> Digest {
    let mut hash = Sha256::default();
    let mut part = |text: &str| digest_part(&mut hash, text.as_bytes());
    part("gatehouse task 1");
    part(&subject.identity.to_string());
    part(&on_behalf_of(subject).unwrap_or_default());
    part(&task.by);
    part(&task.targets.len().to_string());
    task.targets.iter().for_each(|target| part(target.as_str()));
    part(&task.reason);
    part(&task.ttl_secs.to_string());
    part(&format!("{:?}", task.budget));
    hash.finish()
}

fn request(
    now: Timestamp,
    subject: &Subject,
    task: AskedTask,
    accesses: &[Access],
    decision: Decision,
    digest: Digest,
    expires: Timestamp,
) -> PendingRequest {
    let mut number = Sha256::default().with(digest.0);
    number.update(now.as_nanosecond().to_be_bytes());
    let number = number.finish().0.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head));
    PendingRequest {
        id: RequestId::from_random(number),
        subject: subject.clone(),
        title: "task".into(),
        statement: task.reason.clone(),
        accesses: accesses.iter().map(ToString::to_string).collect(),
        hold: decision.hold,
        policies: decision.policies,
        digest,
        opened: now,
        expires,
        state: RequestState::Open,
        approvals: std::collections::BTreeMap::new(),
        answer_reason: None,
        answered_by: None,
        asked: Asked::Task(task),
    }
}

fn record(request: &PendingRequest, task: &AskedTask, revision: Digest) -> TaskRequested {
    TaskRequested {
        request: request.id.to_string(),
        identity: request.subject.identity.to_string(),
        on_behalf_of: on_behalf_of(&request.subject),
        targets: task.targets.iter().map(TargetName::to_string).collect(),
        reason: task.reason.clone(),
        ttl_secs: task.ttl_secs,
        budget: budget_record(&task.budget),
        by: task.by.clone(),
        digest: request.digest.to_string(),
        groups: request.hold.groups.keys().map(ToString::to_string).collect(),
        quorum: quorum(&request.hold),
        reasons: request.hold.reasons.iter().cloned().collect(),
        policies: request.policies.iter().map(PolicyId::to_string).collect(),
        revision: revision.to_string(),
        expires: request.expires.to_string(),
    }
}
