//! How often callers may call: each person by themselves, and whoever proves nothing by their address.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Extensions;
use axum::http::request::Parts;
use gatehouse_model::UserName;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::caller::Door;
use crate::problem::Problem;
use crate::routes::Served;

/// Addresses that are kept count of. Where there are more at a time, whoever proves nothing waits.
const ADDRESSES_MAX: usize = 10_000;

/// How many calls a minute are taken, of whom.
#[derive(Debug, Clone, Copy)]
pub struct PaceLimits {
    /// Of a person.
    pub person: NonZeroU32,
    /// Of an address whose callers prove nothing.
    pub stranger: NonZeroU32,
}

pub(crate) struct Pace {
    people: DefaultKeyedRateLimiter<UserName>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
}

impl Pace {
    pub(crate) fn new(limits: PaceLimits) -> Self {
        Self {
            people: DefaultKeyedRateLimiter::keyed(Quota::per_minute(limits.person)),
            strangers: DefaultKeyedRateLimiter::keyed(Quota::per_minute(limits.stranger)),
        }
    }

    /// Counts a call of a person.
    pub(crate) fn person(&self, user: &UserName) -> Result<(), Problem> {
        counted(&self.people, user, "you call")
    }

    /// Counts a call of somebody who proves nothing.
    pub(crate) fn stranger(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        if self.strangers.len() > ADDRESSES_MAX {
            self.strangers.retain_recent();
            if self.strangers.len() > ADDRESSES_MAX {
                return Err(Problem::too_many("too many call who prove nothing"));
            }
        }
        counted(&self.strangers, &network(peer), "calls that prove nothing come from your address")
    }
}

fn counted<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, whose: &str) -> Result<(), Problem> {
    limiter.check_key(key).map_err(|early| {
        let wait = early.wait_time_from(DefaultClock::default().now()).as_secs() + 1;
        Problem::too_many(format!("{whose} too often")).retry_after(wait)
    })
}

/// Whoever has one address of version 6 has a whole network of them.
fn network(peer: Option<IpAddr>) -> IpAddr {
    match peer {
        Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        },
        Some(address) => address,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Where a call comes from.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}

/// A caller who need not prove anything.
pub(crate) struct Stranger;

impl FromRequestParts<Served> for Stranger {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Problem> {
        match served.door {
            Door::AdminSocket => Ok(Self),
            Door::Tcp => served.pace.stranger(peer(&parts.extensions)).map(|()| Self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_pace_of_their_own() {
        let limits = PaceLimits { person: NonZeroU32::new(2).unwrap(), stranger: NonZeroU32::new(1).unwrap() };
        let pace = Pace::new(limits);
        let (dana, sam) = (UserName::new("dana").unwrap(), UserName::new("sam").unwrap());
        assert!([pace.person(&dana), pace.person(&dana), pace.person(&sam)].iter().all(Result::is_ok));
        let early = pace.person(&dana).unwrap_err();
        assert_eq!((early.status, early.title.as_str()), (429, "you call too often"));
        let from = |address: &str| pace.stranger(Some(address.parse().unwrap())).is_ok();
        assert!(from("192.0.2.1") && from("192.0.2.2") && !from("192.0.2.1"));
        assert!(!from("::ffff:192.0.2.2"), "the same address, written otherwise");
        assert!(from("2001:db8::1") && !from("2001:db8::2") && from("2001:db8:0:1::1"));
    }
}
