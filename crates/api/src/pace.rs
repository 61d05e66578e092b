//! How often callers may call: each person by themselves, and whoever proves nothing by their address.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::{ConnectInfo, FromRequestParts};
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
    /// Whether a proxy before the gateway says in `X-Forwarded-For` whom it speaks for.
    pub is_forwarded: bool,
}

const FORWARDED_FOR: &str = "x-forwarded-for";

pub(crate) struct Pace {
    people: DefaultKeyedRateLimiter<UserName>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
    is_forwarded: bool,
}

impl Pace {
    pub(crate) fn new(limits: PaceLimits) -> Self {
        Self {
            people: DefaultKeyedRateLimiter::keyed(Quota::per_minute(limits.person)),
            strangers: DefaultKeyedRateLimiter::keyed(Quota::per_minute(limits.stranger)),
            is_forwarded: limits.is_forwarded,
        }
    }

    /// Counts a call of a person.
    pub(crate) fn person(&self, user: &UserName) -> Result<(), Problem> {
        counted(&self.people, user, "you call")
    }

    /// Counts a call of somebody who proves nothing.
    pub(crate) fn stranger(&self, parts: &Parts) -> Result<(), Problem> {
        self.address(peer(parts, self.is_forwarded))
    }

    fn address(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
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

/// Where a call comes from; where a proxy before the gateway says so, the last address that it names.
pub(crate) fn peer(parts: &Parts, is_forwarded: bool) -> Option<IpAddr> {
    let named = || {
        let header = parts.headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
        header.rsplit(',').next()?.trim().parse().ok()
    };
    let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    if is_forwarded { named().or(socket) } else { socket }
}

/// A caller who need not prove anything.
pub(crate) struct Stranger;

impl FromRequestParts<Served> for Stranger {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Problem> {
        match served.door {
            Door::AdminSocket => Ok(Self),
            Door::Tcp => served.pace.stranger(parts).map(|()| Self),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn each_has_a_pace_of_their_own() {
        let limits = PaceLimits {
            person: NonZeroU32::new(2).unwrap(),
            stranger: NonZeroU32::new(1).unwrap(),
            is_forwarded: true,
        };
        let pace = Pace::new(limits);
        let (dana, sam) = (UserName::new("dana").unwrap(), UserName::new("sam").unwrap());
        assert!([pace.person(&dana), pace.person(&dana), pace.person(&sam)].iter().all(Result::is_ok));
        let early = pace.person(&dana).unwrap_err();
        assert_eq!((early.status, early.title.as_str()), (429, "you call too often"));
        let from = |address: &str| pace.address(Some(address.parse().unwrap())).is_ok();
        assert!(from("192.0.2.1") && from("192.0.2.2") && !from("192.0.2.1"));
        assert!(!from("::ffff:192.0.2.2"), "the same address, written otherwise");
        let parts = |named: &str| Request::get("/").header(FORWARDED_FOR, named).body(()).unwrap().into_parts().0;
        let said = |named: &str, is_forwarded| peer(&parts(named), is_forwarded).map(|address| address.to_string());
        // What stands before the last one, whoever calls may have written.
        assert_eq!(said("192.0.2.9, 192.0.2.7", true).as_deref(), Some("192.0.2.7"));
        assert_eq!((said("192.0.2.7", false), said("x", true)), (None, None));
        assert!(from("2001:db8::1") && !from("2001:db8::2") && from("2001:db8:0:1::1"));
    }
}
