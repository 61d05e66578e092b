//! Keeps the facts about each target fresh: one survey serves every session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use gatehouse_gate::{Grant, Route};
use gatehouse_model::{Secret, TargetName};
use gatehouse_protocol::{Protocol, SurveyFacts};
use tokio::time::Instant;

use crate::dial::{self, DialError};
use crate::disk::Disk;

/// How long a survey may take.
const SURVEY_SECS_MAX: u64 = 15;
/// What a read of its answer asks for, in bytes.
const SURVEY_READ_BYTES: usize = 64 * 1024;

struct Surveyed {
    facts: SurveyFacts,
    /// Of which server and database they tell.
    route: Route,
    at: Instant,
}

/// The newest facts of each target.
#[derive(Default)]
pub(crate) struct Surveyor {
    newest: Mutex<HashMap<TargetName, Surveyed>>,
}

impl Surveyor {
    /// The newest facts, if they are young enough.
    pub(crate) fn fresh(&self, grant: &Grant) -> Option<SurveyFacts> {
        let target = grant.target();
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = newest.get(&target.name)?;
        let max = Duration::from_secs(u64::from(target.survey_secs_max));
        (newest.at.elapsed() < max && newest.route == target.route).then(|| newest.facts.clone())
    }

    /// Asks the target, over a connection of its own.
    pub(crate) async fn survey(
        &self,
        grant: &Grant,
        protocol: &dyn Protocol,
        secret: Secret,
        entropy: [u8; 32],
        disk: &Disk,
    ) -> Result<SurveyFacts, DialError> {
        // What changes while the survey runs is not in it, so its age counts from before.
        let at = Instant::now();
        let answer = ask(grant, protocol, secret, entropy, disk);
        let facts =
            tokio::time::timeout(Duration::from_secs(SURVEY_SECS_MAX), answer).await.map_err(|_| DialError::Slow)??;
        let surveyed = Surveyed { facts: facts.clone(), route: grant.target().route.clone(), at };
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newer =
            newest.get(&grant.target().name).is_none_or(|other| other.at < at || other.route != surveyed.route);
        if is_newer {
            newest.insert(grant.target().name.clone(), surveyed);
        }
        Ok(facts)
    }
}

async fn ask(
    grant: &Grant,
    protocol: &dyn Protocol,
    secret: Secret,
    entropy: [u8; 32],
    disk: &Disk,
) -> Result<SurveyFacts, DialError> {
    let mut survey = protocol.survey();
    let mut reached = dial::dial(grant, protocol, secret, survey.parameters(), entropy, disk).await?;
    reached.outlet.push(grant.hello(survey.question()));
    reached.outlet.drain(disk).await?;
    let mut read: BytesMut = reached.read;
    loop {
        if let Some(facts) = survey.handle(&mut read).map_err(DialError::Breach)? {
            reached.outlet.shut().await;
            return Ok(facts);
        }
        read.reserve(SURVEY_READ_BYTES);
        if reached.outlet.read(&mut read).await? == 0 {
            return Err(DialError::Wire(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// Facts shared by reference, to see whether newer ones came.
pub(crate) fn same(a: &SurveyFacts, b: &SurveyFacts) -> bool {
    Arc::ptr_eq(a, b)
}
