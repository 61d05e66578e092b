//! The rules of the design, and a table of role by action by resource that a person can read.

use expect_test::{Expect, expect};
use gatehouse_model::{AgentName, Parent, kind};

use super::*;

const FRAGMENT: &str = r#"
entity Table in [Target];
entity Column in [Class, Table, Target];
type SqlContext = { has_where?: Bool };
action "sql:read", "sql:write", "sql:destroy";
action "sql:select" in ["sql:read"] appliesTo { principal: [User, Agent], resource: [Table], context: SqlContext };
action "sql:update" in ["sql:write"] appliesTo { principal: [User, Agent], resource: [Table], context: SqlContext };
action "sql:drop" in ["sql:destroy"] appliesTo { principal: [User, Agent], resource: [Table], context: SqlContext };
action "reveal" appliesTo { principal: [User, Agent], resource: [Column, Class], context: SqlContext };
"#;

const POLICIES: &str = r#"
@id("read")
permit (principal in Group::"agents", action in [Action::"connect", Action::"sql:read"], resource in Target::"shop");

@id("agent-writes") @hold("dba") @reason("agents' writes are read by a person first")
permit (principal in Group::"agents", action in Action::"sql:write", resource in Target::"shop");

@id("no-destroy")
forbid (principal, action in Action::"sql:destroy", resource);

@id("blind-update") @reason("name the rows to change")
forbid (principal, action == Action::"sql:update", resource) when { context has has_where && !context.has_where };

@id("payroll") @hold("hr")
forbid (principal, action, resource == Table::"shop/pay");

@id("support-email")
permit (principal in Group::"support", action == Action::"reveal", resource in Class::"email");

@id("dba") permit (principal in Group::"dba", action, resource in Target::"shop");
"#;

fn policies(text: &str) -> Result<Policies, Vec<PolicyFault>> {
    Policies::load(&[PolicySource { name: "test.cedar".into(), text: text.into() }], &[FRAGMENT])
}

fn subject(identity: &str, groups: &[&str]) -> Subject {
    Subject {
        identity: Identity::parse(identity).unwrap(),
        groups: groups.iter().map(|name| GroupName::new(name).unwrap()).collect(),
        on_behalf_of: None,
    }
}

fn target() -> Resource {
    Resource::root(kind::TARGET, "shop")
}

fn table(name: &str) -> Resource {
    Resource::new("Table", &format!("shop/{name}"), [Parent { kind: kind::TARGET, id: "shop".into() }])
}

fn column(class: &str) -> Resource {
    let parents = [
        Parent { kind: kind::CLASS, id: class.into() },
        Parent { kind: "Table", id: "shop/customers".into() },
        Parent { kind: kind::TARGET, id: "shop".into() },
    ];
    Resource::new("Column", &format!("shop/customers.{class}"), parents)
}

fn show(decision: &Decision) -> String {
    let names: Vec<&str> = decision.policies.iter().map(PolicyId::as_str).collect();
    let who = decision.hold.who();
    format!(
        "{} [{}]{}",
        decision.verdict,
        names.join(", "),
        if who.is_empty() { String::new() } else { format!(" for {who}") }
    )
}

#[test]
fn golden_table_of_role_by_action_by_resource() {
    let policies = policies(POLICIES).unwrap();
    let roles = [
        ("agent claude (agents)", subject("agent:claude", &["agents"])),
        ("user sam (support)", subject("user:sam", &["support"])),
        ("user dana (dba)", subject("user:dana", &["dba"])),
        ("user eve (-)", subject("user:eve", &[])),
    ];
    let accesses = [
        Access::new(Action::CONNECT, target()),
        Access::new(Action::new("sql:select"), table("orders")),
        Access::new(Action::new("sql:select"), table("pay")),
        Access::new(Action::new("sql:update"), table("orders")),
        Access::new(Action::new("sql:drop"), table("orders")),
        Access::new(Action::REVEAL, column("email")),
        Access::new(Action::REVEAL, column("ssn")),
    ];
    let mut lines = String::new();
    for (role, subject) in &roles {
        for access in &accesses {
            let decision = policies.decide(subject, access, &Facts::new());
            lines.push_str(&format!("{role:<22} {:<32} {}\n", access.to_string(), show(&decision)));
        }
    }
    expect![[r#"
        agent claude (agents)  connect on Target shop           allow [read]
        agent claude (agents)  sql:select on Table shop/orders  allow [read]
        agent claude (agents)  sql:select on Table shop/pay     hold [payroll] for hr
        agent claude (agents)  sql:update on Table shop/orders  hold [agent-writes] for dba
        agent claude (agents)  sql:drop on Table shop/orders    deny [no-destroy]
        agent claude (agents)  reveal on Column shop/customers.email deny []
        agent claude (agents)  reveal on Column shop/customers.ssn deny []
        user sam (support)     connect on Target shop           deny []
        user sam (support)     sql:select on Table shop/orders  deny []
        user sam (support)     sql:select on Table shop/pay     deny []
        user sam (support)     sql:update on Table shop/orders  deny []
        user sam (support)     sql:drop on Table shop/orders    deny [no-destroy]
        user sam (support)     reveal on Column shop/customers.email allow [support-email]
        user sam (support)     reveal on Column shop/customers.ssn deny []
        user dana (dba)        connect on Target shop           allow [dba]
        user dana (dba)        sql:select on Table shop/orders  allow [dba]
        user dana (dba)        sql:select on Table shop/pay     hold [payroll] for hr
        user dana (dba)        sql:update on Table shop/orders  allow [dba]
        user dana (dba)        sql:drop on Table shop/orders    deny [no-destroy]
        user dana (dba)        reveal on Column shop/customers.email allow [dba]
        user dana (dba)        reveal on Column shop/customers.ssn allow [dba]
        user eve (-)           connect on Target shop           deny []
        user eve (-)           sql:select on Table shop/orders  deny []
        user eve (-)           sql:select on Table shop/pay     deny []
        user eve (-)           sql:update on Table shop/orders  deny []
        user eve (-)           sql:drop on Table shop/orders    deny [no-destroy]
        user eve (-)           reveal on Column shop/customers.email deny []
        user eve (-)           reveal on Column shop/customers.ssn deny []
    "#]]
    .assert_eq(&lines);
}

#[test]
fn both_agent_and_user_must_be_permitted() {
    let policies = policies(POLICIES).unwrap();
    let mut agent = subject("agent:claude", &["agents"]);
    let read = Access::new(Action::new("sql:select"), table("orders"));
    agent.on_behalf_of = Some((UserName::new("eve").unwrap(), BTreeSet::new()));
    assert_eq!(policies.decide(&agent, &read, &Facts::new()).verdict, Verdict::Deny);
    agent.on_behalf_of = Some((UserName::new("dana").unwrap(), [GroupName::new("dba").unwrap()].into()));
    assert_eq!(policies.decide(&agent, &read, &Facts::new()).verdict, Verdict::Allow);
}

#[test]
fn facts_reach_the_policies() {
    let policies = policies(POLICIES).unwrap();
    let agent = subject("agent:claude", &["agents"]);
    let update = Access::new(Action::new("sql:update"), table("orders"));
    let decide = |facts: Facts| show(&policies.decide(&agent, &update, &facts));
    expect!["deny [blind-update]"].assert_eq(&decide([("has_where", FactValue::Bool(false))].into()));
    expect!["hold [agent-writes] for dba"].assert_eq(&decide([("has_where", FactValue::Bool(true))].into()));
}

#[test]
fn an_evaluation_error_denies() {
    let policies = policies(
        r#"permit (principal, action, resource);
           @id("overflows") forbid (principal, action == Action::"connect", resource)
             when { 9223372036854775807 + 1 == 0 };"#,
    )
    .unwrap();
    let agent = subject("agent:claude", &[]);
    let decision = policies.decide(&agent, &Access::new(Action::CONNECT, target()), &Facts::new());
    expect!["deny [overflows]"].assert_eq(&show(&decision));
}

#[test]
fn an_operation_without_an_access_or_with_an_unknown_action_is_denied() {
    let policies = policies("permit (principal, action, resource);").unwrap();
    let agent = subject("agent:claude", &[]);
    assert_eq!(policies.decide_all(&agent, &[], &Facts::new()).verdict, Verdict::Deny);
    let unheard_of = Access::new(Action::new("sql:unheard_of"), table("orders"));
    assert_eq!(policies.decide(&agent, &unheard_of, &Facts::new()).verdict, Verdict::Deny);
}

#[test]
fn an_agent_named_like_a_user_is_not_that_user() {
    let policies = policies(r#"permit (principal == User::"dana", action, resource);"#).unwrap();
    let agent = Subject {
        identity: Identity::Agent(AgentName::new("dana").unwrap()),
        groups: BTreeSet::new(),
        on_behalf_of: None,
    };
    let connect = Access::new(Action::CONNECT, target());
    assert_eq!(policies.decide(&agent, &connect, &Facts::new()).verdict, Verdict::Deny);
    assert_eq!(policies.decide(&subject("user:dana", &[]), &connect, &Facts::new()).verdict, Verdict::Allow);
}

fn check_faults(text: &str, expect: Expect) {
    let faults = policies(text).err().unwrap_or_default();
    expect.assert_eq(&faults.iter().map(|fault| format!("{fault}\n")).collect::<String>());
}

#[test]
fn mistakes_are_named_by_file_line_and_remedy() {
    check_faults(
        "permit (principal, action, resource)\n",
        expect![[r#"
        test.cedar:1: unexpected end of input. See docs/policies.md for the entity types and actions
    "#]],
    );
    check_faults(
        "\n\nforbid (principal, action == Action::\"sql:slect\", resource);",
        expect![[r#"
        test.cedar:3: for policy `test.cedar.1`, unrecognized action `Action::"sql:slect"`. did you mean `Action::"sql:select"`?
    "#]],
    );
    check_faults(
        "@hold(\"a b\")\npermit (principal, action, resource);",
        expect![[r#"
            test.cedar:1: @hold: `a b` is not a valid group name: use 1 to 128 printable ASCII characters without spaces, quotes, `/`, `:` and backslash. Write @hold("group"), several separated by commas
        "#]],
    );
    check_faults(
        "@id(\"x\") permit (principal, action, resource);\n@id(\"x\") forbid (principal, action, resource);",
        expect![[r#"
        test.cedar:2: the @id `x` is taken by another policy. Give each policy an @id of its own
    "#]],
    );
    check_faults(
        "@hodl(\"dba\")\npermit (principal, action, resource);",
        expect![[r#"
        test.cedar:1: there is no annotation @hodl. Use @id, @hold, @quorum and @reason
    "#]],
    );
    check_faults(
        "@hold(\"dba\") @quorum(\"0\")\npermit (principal, action, resource);\n@quorum(\"2\") permit (principal, action, resource);",
        expect![[r#"
            test.cedar:1: @quorum: `0` is not a number from 1 to 16. Write @quorum("2") beside @hold, for two members of each group
            test.cedar:3: @quorum says how many of whom, and there is no @hold. Write @quorum("2") beside @hold, for two members of each group
        "#]],
    );
}

#[test]
fn the_largest_quorum_counts() {
    let sources = [PolicySource {
        name: "test.cedar".into(),
        text: "@id(\"one\") @hold(\"dba\") permit (principal, action == Action::\"start\", resource);\n\
               @id(\"two\") @hold(\"dba, security\") @quorum(\"2\") permit (principal, action == Action::\"start\", resource);"
            .into(),
    }];
    let policies = Policies::load(&sources, &[]).unwrap();
    let subject =
        Subject { identity: Identity::parse("agent:claude").unwrap(), groups: BTreeSet::new(), on_behalf_of: None };
    let start = Access::new(Action::START, Resource::root(kind::TARGET, "shop"));
    let decision = policies.decide(&subject, &start, &Facts::new());
    expect!["hold [one, two] for 2 of dba and 2 of security"].assert_eq(&show(&decision));
}

#[test]
fn policies_that_never_apply_are_named() {
    let said = |text: &str| match policies(text) {
        Ok(policies) => policies.warnings().iter().map(|fault| format!("warning: {}", fault.message)).collect(),
        Err(faults) => faults.into_iter().map(|fault| format!("fault: {}", fault.message)).collect::<Vec<_>>(),
    };
    let impossible = "nothing is ever asked that this policy is about";
    for text in [
        "forbid (principal == Group::\"agents\", action, resource);",
        "forbid (principal, action == Action::\"sql:read\", resource);",
        "forbid (principal, action == Action::\"sql:select\", resource == Column::\"shop/pay.x\");",
    ] {
        assert_eq!(said(text), [format!("fault: {impossible}")], "{text}");
        assert_eq!(said(&text.replace("forbid", "permit")), [format!("warning: {impossible}")], "{text}");
    }
    let about = "warning: it is about Target::\"shop\" itself, and about nothing that is in it";
    assert_eq!(said("forbid (principal, action, resource == Target::\"shop\");"), [about]);
    assert_eq!(said("permit (principal, action, resource == Target::\"shop\");"), [about]);
    let condition = "forbid (principal, action, resource) when { resource == Target::\"shop\" };";
    assert_eq!(said(condition), [about]);
    let text = "@reason(\"see https://wiki\") forbid (principal in\n Group :: \"agnets\", action, resource) when { resource in Class::\"x\" };";
    let named: Vec<_> =
        policies(text).unwrap().mentions().iter().map(|m| (m.line, format!("{}::{}", m.kind, m.id))).collect();
    assert_eq!(named, [(2, "Group::agnets".to_string()), (2, "Class::x".to_string())]);
    for right in [
        "permit (principal, action == Action::\"connect\", resource == Target::\"shop\");",
        "forbid (principal, action in Action::\"sql:read\", resource in Target::\"shop\");",
        "forbid (principal, action, resource == Table::\"shop/pay\");",
    ] {
        assert!(said(right).is_empty(), "{right}: {:?}", said(right));
    }
}
