//! Loads policies: parses, validates against the schema, reads annotations, and names every mistake by file and line.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, Authorizer, Effect, EntityTypeName, EntityUid, Policy, PolicyId as CedarId, PolicySet,
    ResourceConstraint, Schema, ValidationMode, ValidationWarning, Validator,
};
use gatehouse_model::{Digest, GroupName, PolicyId, Sha256};
use miette::Diagnostic;
use serde_json::Value;

use crate::depth::too_deep;
use crate::remembered::Remembered;
use crate::{EntityTypes, Mention, Note, Policies};

const CORE_SCHEMA: &str = include_str!("core.cedarschema");

/// Members of one group whom a hold may need.
const QUORUM_MAX: u32 = 16;

/// One policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    /// Its name, as messages show it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One mistake in the policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// The file.
    pub file: String,
    /// The line, from 1; `None` where the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}. {}", self.file, self.message, self.remedy),
            None => write!(f, "{}: {}. {}", self.file, self.message, self.remedy),
        }
    }
}

/// Types that hold what is asked about; policies about one alone are seldom meant so.
const CONTAINERS: [&str; 3] = ["Class", "Schema", "Target"];
/// What to do about a policy that never applies.
const IMPOSSIBLE: &str = "Groups of identities and of actions, and what holds others, are written with `in`, not `==`; \
     docs/policies.md says which action is asked on which resource";

/// The policies of a set being loaded, sorted by what they do.
#[derive(Default)]
struct Sorted {
    walls: PolicySet,
    permits: PolicySet,
    brakes: PolicySet,
    whole: PolicySet,
    notes: HashMap<CedarId, Note>,
    places: HashMap<CedarId, Place>,
    faults: Vec<PolicyFault>,
    warnings: Vec<PolicyFault>,
}

/// Where a policy stands.
struct Place {
    file: String,
    text: String,
    offset: usize,
}

pub(crate) fn load(sources: &[PolicySource], fragments: &[&str]) -> Result<Policies, Vec<PolicyFault>> {
    let schema = schema(fragments).map_err(|fault| vec![fault])?;
    let mut sorted = Sorted::default();
    for source in sources {
        if let Some((line, message)) = too_deep(&source.text) {
            let remedy = "Split it into several policies, or use a set: `[…].contains(…)`".into();
            sorted.faults.push(PolicyFault { file: source.name.clone(), line: Some(line), message, remedy });
        }
    }
    if !sorted.faults.is_empty() {
        return Err(sorted.faults);
    }
    for source in sources {
        sorted.read(source);
    }
    sorted.validate(&schema);
    if !sorted.faults.is_empty() {
        return Err(sorted.faults);
    }
    let (types, action_groups, action_type) = vocabulary(&schema).map_err(|fault| vec![fault])?;
    sorted.look_at_containers(&schema, &action_groups);
    let mentions = sorted.mentions();
    Ok(Policies {
        walls: sorted.walls,
        permits: sorted.permits,
        brakes: sorted.brakes,
        notes: sorted.notes,
        types,
        action_groups,
        action_type,
        authorizer: Authorizer::new(),
        revision: revision(sources),
        sources: sources.to_vec(),
        mentions,
        warnings: sorted.warnings,
        remembered: Remembered::default(),
    })
}

fn schema(fragments: &[&str]) -> Result<Schema, PolicyFault> {
    let text = std::iter::once(CORE_SCHEMA).chain(fragments.iter().copied()).collect::<Vec<_>>().join("\n");
    Schema::from_cedarschema_str(&text)
        .map(|(schema, _warnings)| schema)
        .map_err(|error| own_fault(format!("the schema does not load: {}", describe(&error))))
}

fn own_fault(message: String) -> PolicyFault {
    PolicyFault {
        file: "(schema)".into(),
        line: None,
        message,
        remedy: "This is a defect of Gatehouse: please report it".into(),
    }
}

impl Sorted {
    fn read(&mut self, source: &PolicySource) {
        let set = match PolicySet::from_str(&source.text) {
            Ok(set) => set,
            Err(errors) => {
                self.faults.extend(errors.iter().map(|error| parse_fault(source, error)));
                return;
            }
        };
        if let Some(template) = set.templates().next() {
            self.faults.push(PolicyFault {
                file: source.name.clone(),
                line: None,
                message: format!("`{}` is a template", template.id()),
                remedy: "Write the principal and the resource out: Gatehouse links no templates".into(),
            });
        }
        let mut policies: Vec<&Policy> = set.policies().collect();
        // Cedar numbers the policies of a text in order: `policy0`, `policy1`, …
        policies.sort_by_key(|policy| ordinal(policy.id()));
        let mut from = 0;
        for (place, policy) in policies.into_iter().enumerate() {
            let text = policy.to_string();
            let offset = source.text.get(from..).and_then(|rest| rest.find(&text)).map_or(from, |found| from + found);
            from = offset + text.len().min(source.text.len().saturating_sub(offset));
            self.take(source, place, offset, policy);
        }
    }

    fn take(&mut self, source: &PolicySource, place: usize, offset: usize, policy: &Policy) {
        let name = match policy.annotation("id") {
            Some(name) => name.to_string(),
            None => format!("{}.{}", source.name.replace(['/', ' '], "_"), place + 1),
        };
        let line = line_of(&source.text, offset);
        let mut fault = |message: String, remedy: &str| {
            self.faults.push(PolicyFault {
                file: source.name.clone(),
                line: Some(line),
                message,
                remedy: remedy.into(),
            });
        };
        let Ok(id) = PolicyId::new(&name) else {
            return fault(format!("`{name}` cannot be a policy's @id"), "Use letters, digits, `.`, `_` and `-`");
        };
        let cedar_id = CedarId::new(&name);
        if self.notes.contains_key(&cedar_id) {
            return fault(format!("the @id `{name}` is taken by another policy"), "Give each policy an @id of its own");
        }
        let hold = match hold_groups(policy) {
            Ok(hold) => hold,
            Err(message) => return fault(message, "Write @hold(\"group\"), several separated by commas"),
        };
        let quorum = match quorum(policy, &hold) {
            Ok(quorum) => quorum,
            Err(message) => return fault(message, "Write @quorum(\"2\") beside @hold, for two members of each group"),
        };
        for (key, _) in policy.annotations() {
            if !["id", "hold", "quorum", "reason"].contains(&key) {
                fault(format!("there is no annotation @{key}"), "Use @id, @hold, @quorum and @reason");
            }
        }
        let renamed = policy.new_id(cedar_id.clone());
        let set = match (policy.effect(), hold.is_empty()) {
            (Effect::Permit, _) => &mut self.permits,
            (Effect::Forbid, true) => &mut self.walls,
            (Effect::Forbid, false) => &mut self.brakes,
        };
        if set.add(renamed.clone()).is_err() || self.whole.add(renamed).is_err() {
            return fault(format!("the policy `{name}` cannot be added"), "Give it another @id");
        }
        let reason = policy.annotation("reason").map(str::to_string);
        self.notes.insert(cedar_id.clone(), Note { id, file: source.name.clone(), hold, quorum, reason });
        self.places.insert(cedar_id, Place { file: source.name.clone(), text: source.text.clone(), offset });
    }

    fn validate(&mut self, schema: &Schema) {
        let result = Validator::new(schema.clone()).validate(&self.whole, ValidationMode::Strict);
        let mut by_place = BTreeMap::new();
        for error in result.validation_errors() {
            let Some(place) = self.places.get(error.policy_id()) else {
                continue;
            };
            let offset = label_offset(error).unwrap_or(place.offset);
            let line = line_of(&place.text, offset);
            by_place.entry((place.file.clone(), line, describe(error))).or_insert_with(|| remedy(error));
        }
        self.faults.extend(by_place.into_iter().map(|((file, line, message), remedy)| PolicyFault {
            file,
            line: Some(line),
            message,
            remedy,
        }));
        // What is mistaken otherwise is named already.
        let warnings = result.validation_warnings().filter(|_| self.faults.is_empty());
        for warning in warnings.collect::<Vec<_>>() {
            let ValidationWarning::ImpossiblePolicy(_) = warning else { continue };
            let fault = self.fault(warning.policy_id(), "nothing is ever asked that this policy is about", IMPOSSIBLE);
            match self.whole.policy(warning.policy_id()).map(Policy::effect) {
                // Whoever wrote it believes that something is shut.
                Some(Effect::Forbid) => self.faults.extend(fault),
                Some(Effect::Permit) | None => self.warnings.extend(fault),
            }
        }
    }

    fn fault(&self, id: &CedarId, message: &str, remedy: &str) -> Option<PolicyFault> {
        let place = self.places.get(id)?;
        let line = Some(line_of(&place.text, place.offset));
        Some(PolicyFault { file: place.file.clone(), line, message: message.into(), remedy: remedy.into() })
    }

    /// The entities that policies name, wherever they do.
    fn mentions(&self) -> Vec<Mention> {
        let mut mentions = Vec::new();
        for policy in self.whole.policies() {
            let (Some(place), Ok(json)) = (self.places.get(policy.id()), policy.to_json()) else { continue };
            entities(&json, &mut |kind, id| {
                // Where it stands, if it is written there as it is meant.
                let rest = place.text.get(place.offset..).unwrap_or_default();
                let offset = rest.find(&format!("\"{id}\"")).map_or(place.offset, |found| place.offset + found);
                let (file, line) = (place.file.clone(), line_of(&place.text, offset));
                mentions.push(Mention { file, line, kind: kind.into(), id: id.into() });
            });
        }
        mentions.sort_by(|one, other| (&one.file, one.line, &one.id).cmp(&(&other.file, other.line, &other.id)));
        mentions
    }

    /// Warns of policies about a target or class alone where what is asked is of things in it.
    fn look_at_containers(&mut self, schema: &Schema, action_groups: &HashMap<String, HashSet<EntityUid>>) {
        let mut faults = Vec::new();
        for policy in self.whole.policies() {
            let Some(resource) = sole_resource(policy) else { continue };
            let is_covered = |action: &EntityUid| match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(one) => one == *action,
                ActionConstraint::In(many) => {
                    let groups = action_groups.get(action.id().unescaped());
                    many.contains(action) || groups.is_some_and(|groups| many.iter().any(|one| groups.contains(one)))
                }
            };
            let own = resource.type_name();
            if !CONTAINERS.contains(&own.to_string().as_str()) {
                continue;
            }
            let is_within = |kind: &EntityTypeName| {
                let mut ancestors = schema.ancestors(kind).into_iter().flatten();
                ancestors.any(|ancestor| ancestor == own)
            };
            let mut kinds = schema.actions().filter(|action| is_covered(action));
            if kinds.any(|action| schema.resources_for_action(action).into_iter().flatten().any(is_within)) {
                let message = format!("it is about {resource} itself, and about nothing that is in it");
                faults.extend(self.fault(policy.id(), &message, "Write `resource in` in place of `resource ==`"));
            }
        }
        self.warnings.extend(faults);
    }
}

/// The one resource that a policy is about, whether its scope or its conditions say so.
fn sole_resource(policy: &Policy) -> Option<EntityUid> {
    if let ResourceConstraint::Eq(resource) = policy.resource_constraint() {
        return Some(resource);
    }
    let json = policy.to_json().ok()?;
    let conditions = json.get("conditions")?.as_array()?;
    let sole = |condition: &Value| {
        let same = condition.get("body")?.get("==")?;
        let is_resource = same.get("left")?.get("Var")? == "resource";
        let entity = same.get("right")?.get("Value")?.get("__entity").filter(|_| is_resource)?;
        EntityUid::from_json(entity.clone()).ok()
    };
    let is_when = |condition: &&Value| condition.get("kind").is_some_and(|kind| kind == "when");
    conditions.iter().filter(is_when).find_map(sole)
}

/// Tells of every entity in the JSON form of a policy.
fn entities(json: &Value, tell: &mut dyn FnMut(&str, &str)) {
    match json {
        Value::Object(members) => {
            if let (Some(Value::String(kind)), Some(Value::String(id))) = (members.get("type"), members.get("id")) {
                tell(kind, id);
            }
            members.values().for_each(|member| entities(member, tell));
        }
        Value::Array(items) => items.iter().for_each(|item| entities(item, tell)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn ordinal(id: &CedarId) -> usize {
    let text: &str = id.as_ref();
    text.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn hold_groups(policy: &Policy) -> Result<BTreeSet<GroupName>, String> {
    let Some(text) = policy.annotation("hold") else {
        return Ok(BTreeSet::new());
    };
    text.split(',').map(|name| GroupName::new(name.trim()).map_err(|error| format!("@hold: {error}"))).collect()
}

fn quorum(policy: &Policy, hold: &BTreeSet<GroupName>) -> Result<u32, String> {
    let Some(text) = policy.annotation("quorum") else {
        return Ok(1);
    };
    if hold.is_empty() {
        return Err("@quorum says how many of whom, and there is no @hold".into());
    }
    let quorum = text.parse().ok().filter(|quorum| (1..=QUORUM_MAX).contains(quorum));
    quorum.ok_or_else(|| format!("@quorum: `{text}` is not a number from 1 to {QUORUM_MAX}"))
}

fn parse_fault(source: &PolicySource, error: &cedar_policy::ParseError) -> PolicyFault {
    PolicyFault {
        file: source.name.clone(),
        line: label_offset(error).map(|offset| line_of(&source.text, offset)),
        message: describe(error),
        remedy: remedy(error),
    }
}

fn label_offset(error: &dyn Diagnostic) -> Option<usize> {
    error.labels()?.next().map(|label| label.offset())
}

fn describe(error: &dyn Diagnostic) -> String {
    error.to_string().trim_end_matches('.').replace('\n', " ")
}

fn remedy(error: &dyn Diagnostic) -> String {
    match error.help() {
        Some(help) => help.to_string(),
        None => "See docs/policies.md for the entity types and actions".into(),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

fn revision(sources: &[PolicySource]) -> Digest {
    let mut hash = Sha256::default();
    for source in sources {
        for part in [&source.name, &source.text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.finish()
}

type Vocabulary = (EntityTypes, HashMap<String, HashSet<EntityUid>>, EntityTypeName);

fn vocabulary(schema: &Schema) -> Result<Vocabulary, PolicyFault> {
    let name = |text: &str| EntityTypeName::from_str(text).map_err(|error| own_fault(error.to_string()));
    let resources = schema.entity_types().map(|kind| (kind.to_string(), kind.clone())).collect();
    let actions = schema.action_entities().map_err(|error| own_fault(error.to_string()))?;
    let groups = actions
        .iter()
        .map(|action| {
            let parents = actions.ancestors(&action.uid()).into_iter().flatten().cloned().collect();
            (action.uid().id().unescaped().to_string(), parents)
        })
        .collect();
    let types = EntityTypes { user: name("User")?, agent: name("Agent")?, group: name("Group")?, resources };
    Ok((types, groups, name("Action")?))
}
