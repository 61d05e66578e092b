//! Decides accesses with Cedar policies.
//!
//! Knows the words of the model and the Cedar language. It does not know where policies are kept, what a protocol is,
//! or what becomes of a decision. A decision is a pure function of subject, access, facts and policies.

mod depth;
mod load;
mod remembered;

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId as CedarId, PolicySet,
    Request, RestrictedExpression,
};
use gatehouse_model::{
    Access, Action, Decision, Digest, FactValue, Facts, GroupName, Hold, Identity, PolicyId, Resource, Subject,
    UserName, Verdict,
};

pub use load::{PolicyFault, PolicySource};
use remembered::Remembered;

/// A set of policies that parsed, passed the schema and can decide.
pub struct Policies {
    /// `forbid` without `@hold`: deny.
    walls: PolicySet,
    /// `permit`: without one, nothing passes.
    permits: PolicySet,
    /// `forbid` with `@hold`: hold.
    brakes: PolicySet,
    notes: HashMap<CedarId, Note>,
    types: EntityTypes,
    /// For each action, the groups that it is in.
    action_groups: HashMap<String, HashSet<EntityUid>>,
    action_type: EntityTypeName,
    authorizer: Authorizer,
    revision: Digest,
    sources: Vec<PolicySource>,
    warnings: Vec<PolicyFault>,
    mentions: Vec<Mention>,
    remembered: Remembered,
}

/// An entity that a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The entity's type.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// The entity types that requests are made of, parsed once.
struct EntityTypes {
    user: EntityTypeName,
    agent: EntityTypeName,
    group: EntityTypeName,
    resources: HashMap<String, EntityTypeName>,
}

/// What a policy's annotations say.
#[derive(Debug, Clone)]
struct Note {
    id: PolicyId,
    file: String,
    hold: BTreeSet<GroupName>,
    /// How many of each group.
    quorum: u32,
    reason: Option<String>,
}

/// One policy, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySummary {
    /// Its `@id`, or the file and position that stand for it.
    pub id: PolicyId,
    /// The file that it stands in.
    pub file: String,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// The groups of its `@hold`.
    pub hold: BTreeSet<GroupName>,
    /// Its `@quorum`: how many members of each of them.
    pub quorum: u32,
    /// Its `@reason`.
    pub reason: Option<String>,
    /// Its text.
    pub text: String,
}

/// What the policies of one set said to one request.
#[derive(Default)]
struct Said {
    satisfied: BTreeSet<CedarId>,
    failed: BTreeSet<CedarId>,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Policies {
    /// Parses and validates policies against the core schema and the protocols' fragments.
    pub fn load(sources: &[PolicySource], fragments: &[&str]) -> Result<Self, Vec<PolicyFault>> {
        load::load(sources, fragments)
    }

    /// The SHA-256 digest over every source's name and text: what a verdict names as the policies in force.
    pub fn revision(&self) -> Digest {
        self.revision
    }

    /// The entities that they name.
    pub fn mentions(&self) -> &[Mention] {
        &self.mentions
    }

    /// What of them looks like a mistake.
    pub fn warnings(&self) -> &[PolicyFault] {
        &self.warnings
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The texts that these policies were loaded from.
    pub fn sources(&self) -> &[PolicySource] {
        &self.sources
    }

    /// Every policy, in the order of their ids.
    pub fn summaries(&self) -> Vec<PolicySummary> {
        let all = [&self.walls, &self.permits, &self.brakes].into_iter().flat_map(PolicySet::policies);
        let mut summaries: Vec<PolicySummary> = all
            .filter_map(|policy| {
                let note = self.notes.get(policy.id())?;
                Some(PolicySummary {
                    id: note.id.clone(),
                    file: note.file.clone(),
                    effect: match policy.effect() {
                        cedar_policy::Effect::Permit => "permit",
                        cedar_policy::Effect::Forbid => "forbid",
                    },
                    hold: note.hold.clone(),
                    quorum: note.quorum,
                    reason: note.reason.clone(),
                    text: policy.to_string(),
                })
            })
            .collect();
        summaries.sort_by(|a, b| a.id.cmp(&b.id));
        summaries
    }

    /// The groups that some policy holds for.
    pub fn hold_groups(&self) -> BTreeSet<GroupName> {
        self.notes.values().flat_map(|note| note.hold.iter().cloned()).collect()
    }

    /// Decides one access. Where the subject acts for a person, both are asked and the stricter answer counts.
    pub fn decide(&self, subject: &Subject, access: &Access, facts: &Facts) -> Decision {
        if facts.is_empty() {
            self.remembered.of(subject, access, || self.decide_anew(subject, access, facts))
        } else {
            self.decide_anew(subject, access, facts)
        }
    }

    fn decide_anew(&self, subject: &Subject, access: &Access, facts: &Facts) -> Decision {
        let own = self.decide_for(&subject.identity, &subject.groups, access, facts);
        match &subject.on_behalf_of {
            None => own,
            Some((user, groups)) => {
                let principal = Identity::User(user.clone());
                let theirs = self.decide_for(&principal, groups, access, facts);
                combine([naming(own, &subject.identity), naming(theirs, &principal)])
            }
        }
    }

    /// Decides a list of accesses: each must be allowed.
    pub fn decide_all(&self, subject: &Subject, accesses: &[Access], facts: &Facts) -> Decision {
        combine(accesses.iter().map(|access| self.decide(subject, access, facts)))
    }

    /// Whether this person may answer requests about a target.
    pub fn may_approve(&self, user: &UserName, groups: &BTreeSet<GroupName>, target: Resource) -> bool {
        self.may(user, groups, Access::new(Action::APPROVE, target))
    }

    /// Whether this person may administer the gateway over the network.
    pub fn may_administer(&self, user: &UserName, groups: &BTreeSet<GroupName>, gateway: Resource) -> bool {
        self.may(user, groups, Access::new(Action::ADMINISTER, gateway))
    }

    fn may(&self, user: &UserName, groups: &BTreeSet<GroupName>, access: Access) -> bool {
        let decision = self.decide_for(&Identity::User(user.clone()), groups, &access, &Facts::new());
        decision.verdict == Verdict::Allow
    }

    fn decide_for(
        &self,
        identity: &Identity,
        groups: &BTreeSet<GroupName>,
        access: &Access,
        facts: &Facts,
    ) -> Decision {
        match self.request(identity, groups, access, facts) {
            Ok((request, entities)) => self.judge(access, &request, &entities),
            Err(cause) => deny(format!("{access} cannot be decided: {cause}")),
        }
    }

    /// The order of DESIGN section 5: a wall denies, the want of a permit denies, a hold holds, else it passes.
    fn judge(&self, access: &Access, request: &Request, entities: &Entities) -> Decision {
        let walls = self.ask(&self.walls, request, entities);
        let permits = self.ask(&self.permits, request, entities);
        let brakes = self.ask(&self.brakes, request, entities);

        let failed: BTreeSet<CedarId> =
            [&walls.failed, &permits.failed, &brakes.failed].into_iter().flatten().cloned().collect();
        if !failed.is_empty() {
            let mut decision = deny(format!("a policy failed to evaluate for {access}"));
            decision.policies = self.names(&failed);
            return decision;
        }
        if !walls.satisfied.is_empty() {
            let reasons: Vec<String> = self.reasons(&walls.satisfied).into_iter().collect();
            let cause = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
            let mut decision = deny(format!("{access} is forbidden{cause}"));
            decision.policies = self.names(&walls.satisfied);
            return decision;
        }
        if permits.satisfied.is_empty() {
            return deny(format!("no policy permits {access}"));
        }
        let satisfied: BTreeSet<CedarId> = permits.satisfied.union(&brakes.satisfied).cloned().collect();
        let holding: BTreeSet<CedarId> = satisfied
            .iter()
            .filter(|id| self.notes.get(*id).is_some_and(|note| !note.hold.is_empty()))
            .cloned()
            .collect();
        if holding.is_empty() {
            return Decision {
                verdict: Verdict::Allow,
                policies: self.names(&satisfied),
                hold: Hold::default(),
                reasons: BTreeSet::new(),
            };
        }
        let mut hold = Hold { reasons: self.reasons(&holding), ..Hold::default() };
        for note in holding.iter().filter_map(|id| self.notes.get(id)) {
            note.hold.iter().for_each(|group| hold.need(group.clone(), note.quorum));
        }
        Decision { verdict: Verdict::Hold, policies: self.names(&holding), hold, reasons: BTreeSet::new() }
    }

    fn ask(&self, policies: &PolicySet, request: &Request, entities: &Entities) -> Said {
        if policies.is_empty() {
            return Said::default();
        }
        let response = self.authorizer.is_authorized(request, policies, entities);
        let diagnostics = response.diagnostics();
        Said {
            satisfied: diagnostics.reason().cloned().collect(),
            failed: diagnostics
                .errors()
                .map(|error| match error {
                    cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().clone(),
                })
                .collect(),
        }
    }

    fn names(&self, ids: &BTreeSet<CedarId>) -> BTreeSet<PolicyId> {
        ids.iter().filter_map(|id| self.notes.get(id)).map(|note| note.id.clone()).collect()
    }

    fn reasons(&self, ids: &BTreeSet<CedarId>) -> BTreeSet<String> {
        ids.iter().filter_map(|id| self.notes.get(id)).filter_map(|note| note.reason.clone()).collect()
    }

    fn request(
        &self,
        identity: &Identity,
        groups: &BTreeSet<GroupName>,
        access: &Access,
        facts: &Facts,
    ) -> Result<(Request, Entities), String> {
        let principal_type = match identity {
            Identity::User(_) => &self.types.user,
            Identity::Agent(_) => &self.types.agent,
        };
        let principal = uid(principal_type, identity.name());
        let parents = groups.iter().map(|group| uid(&self.types.group, group.as_str())).collect();

        let action = uid(&self.action_type, access.action.as_str());
        let action_parents = self.action_groups.get(access.action.as_str());
        let action_parents = action_parents.ok_or_else(|| format!("the schema has no action `{}`", access.action))?;

        let resource = uid(self.resource_type(access.resource.kind)?, &access.resource.id);
        let within: Result<HashSet<EntityUid>, String> =
            access.resource.within.iter().map(|parent| Ok(uid(self.resource_type(parent.kind)?, &parent.id))).collect();

        let entities = [
            Entity::new_no_attrs(principal.clone(), parents),
            Entity::new_no_attrs(action.clone(), action_parents.clone()),
            Entity::new_no_attrs(resource.clone(), within?),
        ];
        let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
        let request =
            Request::new(principal, action, resource, context(facts)?, None).map_err(|error| error.to_string())?;
        Ok((request, entities))
    }

    fn resource_type(&self, kind: &str) -> Result<&EntityTypeName, String> {
        self.types.resources.get(kind).ok_or_else(|| format!("the schema has no entity type `{kind}`"))
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn context(facts: &Facts) -> Result<Context, String> {
    let pairs = facts.iter().map(|(name, value)| {
        let value = match value {
            FactValue::Bool(value) => RestrictedExpression::new_bool(*value),
            FactValue::Long(value) => RestrictedExpression::new_long(*value),
            FactValue::Text(value) => RestrictedExpression::new_string(value.clone()),
            FactValue::Texts(values) => RestrictedExpression::new_set(
                values.iter().map(|value| RestrictedExpression::new_string(value.clone())),
            ),
        };
        ((*name).to_string(), value)
    });
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

/// A denial of one of two who must both be permitted says of which.
fn naming(decision: Decision, who: &Identity) -> Decision {
    match decision.verdict {
        Verdict::Allow | Verdict::Hold => decision,
        Verdict::Deny => {
            let reasons = decision.reasons.iter().map(|reason| format!("{reason}, for {who}")).collect();
            Decision { reasons, ..decision }
        }
    }
}

fn deny(reason: String) -> Decision {
    Decision {
        verdict: Verdict::Deny,
        policies: BTreeSet::new(),
        hold: Hold::default(),
        reasons: BTreeSet::from([reason]),
    }
}

/// The strictest of several decisions, with everything that made it so strict. Of nothing: deny, for an operation
/// without an access was not understood.
pub fn combine(decisions: impl IntoIterator<Item = Decision>) -> Decision {
    let mut decisions = decisions.into_iter();
    let Some(first) = decisions.next() else {
        return deny("the operation has no access that could be decided".into());
    };
    decisions.fold(first, |mut whole, part| match part.verdict.cmp(&whole.verdict) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => part,
        std::cmp::Ordering::Equal => {
            whole.policies.extend(part.policies);
            whole.hold.join(part.hold);
            whole.reasons.extend(part.reasons);
            whole
        }
    })
}

#[cfg(test)]
mod tests;
