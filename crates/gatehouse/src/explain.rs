//! `gatehouse explain`: what the gateway would make of a statement, from what the door foresees to the view that is shown.
//!
//! Knows the words of the view. What is foreseen is the door's business.

use std::collections::BTreeMap;

use gatehouse_api::{ExplainedAccess, ExplainedColumn, ExplanationView};
use gatehouse_gate::{Foreseen, Understood};
use gatehouse_mask::ColumnPlan;
use gatehouse_model::{
    Access, ClassName, Column, Decision, Denial, Effect, FactValue, Facts, PolicyId, Provenance, Resource, Subject,
    TargetName, kind,
};
use serde_json::Value;

use crate::output;

/// The view of what is foreseen for somebody.
pub(crate) fn view(
    target: &TargetName,
    subject: &Subject,
    understood: &Understood,
    foreseen: &Foreseen,
    revision: String,
) -> ExplanationView {
    let intent = &understood.operation.intent;
    let Foreseen { decision, accesses, columns } = foreseen;
    let unclear = intent.unclear.iter().map(|denial| denial.message.clone());
    ExplanationView {
        target: target.to_string(),
        identity: subject.identity.to_string(),
        on_behalf_of: subject.on_behalf_of.as_ref().map(|(user, _)| format!("user:{user}")),
        title: intent.title.clone(),
        effect: match intent.effect {
            Effect::Read => "read".into(),
            Effect::Write => "write".into(),
        },
        verdict: decision.verdict.to_string(),
        policies: names(decision),
        hold: decision.hold.groups.iter().map(|(group, members)| (group.to_string(), *members)).collect(),
        reasons: unclear.chain(decision.reasons.iter().chain(&decision.hold.reasons).cloned()).collect(),
        accesses: accesses.iter().map(|(access, decision)| access_view(access, decision)).collect(),
        facts: facts_view(&intent.facts),
        columns: columns
            .as_ref()
            .map(|columns| columns.iter().map(|(column, plan)| column_view(column, plan)).collect()),
        revision,
    }
}

fn names(decision: &Decision) -> Vec<String> {
    decision.policies.iter().map(PolicyId::to_string).collect()
}

fn access_view(access: &Access, decision: &Decision) -> ExplainedAccess {
    let classes = access.resource.within.iter().filter(|parent| parent.kind == kind::CLASS);
    ExplainedAccess {
        action: access.action.to_string(),
        resource: access.resource.to_string(),
        classes: classes.map(|class| class.id.to_string()).collect(),
        verdict: decision.verdict.to_string(),
        policies: names(decision),
    }
}

fn facts_view(facts: &Facts) -> BTreeMap<String, Value> {
    let value = |fact: &FactValue| match fact {
        FactValue::Bool(value) => Value::from(*value),
        FactValue::Long(value) => Value::from(*value),
        FactValue::Text(value) => Value::from(value.as_str()),
        FactValue::Texts(values) => Value::from(values.clone()),
    };
    facts.iter().map(|(name, fact)| ((*name).to_string(), value(fact))).collect()
}

fn column_view(column: &Column, plan: &ColumnPlan) -> ExplainedColumn {
    let ids = |resources: &[Resource]| resources.iter().map(|resource| resource.id.to_string()).collect();
    let (source, of) = match &column.provenance {
        Provenance::Copy(of) => ("copy", ids(std::slice::from_ref(of))),
        Provenance::Derived(of) => ("derived", ids(of)),
        Provenance::Clean => ("clean", Vec::new()),
        Provenance::Unknown => ("unknown", Vec::new()),
    };
    let (shown, class, mask) = match plan {
        ColumnPlan::Keep => ("clear", None, None),
        ColumnPlan::Show(_, detectors) if detectors.is_empty() => ("clear", None, None),
        ColumnPlan::Scan(_) | ColumnPlan::ScanOwn(_) | ColumnPlan::Show(..) => ("scanned", None, None),
        ColumnPlan::Mask(class, transform) => ("masked", Some(class.to_string()), Some(transform.name().to_string())),
        ColumnPlan::Fields(fields, _) => {
            let classes: Vec<&str> = fields.classes().into_iter().map(ClassName::as_str).collect();
            ("masked", Some(classes.join(", ")), None)
        }
        ColumnPlan::Hide => ("hidden", None, None),
    };
    ExplainedColumn { name: column.name.to_string(), source: source.into(), of, shown: shown.into(), class, mask }
}

/// What a client would be told of what is not understood, in a line.
pub(crate) fn cause(denial: &Denial) -> String {
    match denial.detail.as_str() {
        "" => denial.message.clone(),
        detail => format!("{}: {detail}", denial.message),
    }
}

/// What a person reads.
pub(crate) fn shown(view: &ExplanationView) -> String {
    let for_whom = view.on_behalf_of.as_deref().map(|user| format!(" for {user}")).unwrap_or_default();
    let mut parts =
        vec![format!("{} at {} by {}{for_whom}: {}", view.title, view.target, view.identity, verdict(view))];
    parts.extend(view.reasons.iter().map(|reason| format!("  {}", output::plain(reason))));
    let row = |access: &ExplainedAccess| {
        let ExplainedAccess { action, resource, classes, verdict, policies } = access;
        vec![action.clone(), resource.clone(), classes.join(" "), verdict.clone(), policies.join(" ")]
    };
    let heads = ["ACCESS", "ON", "CLASSES", "VERDICT", "POLICIES"];
    parts.push(String::new());
    parts.push(output::table(&heads, view.accesses.iter().map(row).collect()));
    let facts: Vec<Vec<String>> =
        view.facts.iter().map(|(name, value)| vec![name.clone(), value.to_string()]).collect();
    if !facts.is_empty() {
        parts.push(String::new());
        parts.push(output::table(&["FACT", "VALUE"], facts));
    }
    parts.push(String::new());
    parts.push(match &view.columns {
        None => "What comes back shows when it comes; detectors look through it.".into(),
        Some(columns) if columns.is_empty() => "No rows come back.".into(),
        Some(columns) => {
            let row = |column: &ExplainedColumn| {
                let ExplainedColumn { name, source, of, class, mask, shown } = column;
                let masked = [Some(shown.as_str()), class.as_deref(), mask.as_deref()];
                let masked = masked.into_iter().flatten().collect::<Vec<_>>().join(" ");
                vec![name.clone(), source.clone(), of.join(" "), masked]
            };
            output::table(&["COLUMN", "SOURCE", "OF", "SHOWN"], columns.iter().map(row).collect())
        }
    });
    parts.join("\n")
}

fn verdict(view: &ExplanationView) -> String {
    let by = match view.policies.as_slice() {
        [] => String::new(),
        policies => format!(" (policy {})", policies.join(", ")),
    };
    let groups = view.hold.iter().map(|(group, members)| match members {
        1 => group.clone(),
        _ => format!("{members} of {group}"),
    });
    match view.hold.is_empty() {
        true => format!("{}{by}", view.verdict),
        false => format!("{} for {}{by}", view.verdict, groups.collect::<Vec<_>>().join(" and ")),
    }
}
