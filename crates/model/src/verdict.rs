//! What is decided: a verdict, the policies that made it, and the digest that an approval binds to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{GroupName, PolicyId, UserName};

/// Most restrictive last, so that the maximum of several verdicts is the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It may pass.
    Allow,
    /// A person decides.
    Hold,
    /// It may not pass.
    Deny,
}

impl Verdict {
    /// The word that stands in records and on screens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who must approve what is held, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Hold {
    /// How many members of each group must approve.
    pub groups: BTreeMap<GroupName, u32>,
    /// The policies' `@reason`s.
    pub reasons: BTreeSet<String>,
}

impl Hold {
    /// So many members of a group must approve, or as many as must already, if those are more.
    pub fn need(&mut self, group: GroupName, members: u32) {
        let needed = self.groups.entry(group).or_default();
        *needed = (*needed).max(members);
    }

    /// Everything that another hold needs too.
    pub fn join(&mut self, other: Self) {
        other.groups.into_iter().for_each(|(group, members)| self.need(group, members));
        self.reasons.extend(other.reasons);
    }

    /// Those who have not approved yet, with how many of them still must.
    pub fn missing(&self, approvals: &BTreeMap<GroupName, BTreeSet<UserName>>) -> Self {
        let have = |group: &GroupName| approvals.get(group).map_or(0, BTreeSet::len);
        let groups = self.groups.iter().filter_map(|(group, members)| {
            let missing = members.saturating_sub(u32::try_from(have(group)).unwrap_or(u32::MAX));
            (missing > 0).then(|| (group.clone(), missing))
        });
        Self { groups: groups.collect(), reasons: self.reasons.clone() }
    }

    /// Who must approve, as people read it: `dba and 2 of security`.
    pub fn who(&self) -> String {
        let words = self.groups.iter().map(|(group, members)| match members {
            1 => group.to_string(),
            _ => format!("{members} of {group}"),
        });
        words.collect::<Vec<_>>().join(" and ")
    }
}

/// A verdict with what explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The policies that made it; none when it is a deny for want of a permit.
    pub policies: BTreeSet<PolicyId>,
    /// For a hold: who decides. Empty otherwise.
    pub hold: Hold,
    /// For a deny: what to tell the client. Empty otherwise.
    pub reasons: BTreeSet<String>,
}
