//! How often the API may be called: by each person, and from each address whose callers prove nothing.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use gatehouse_api::Problem;
use gatehouse_model::UserName;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::config::Limits;

/// Addresses that are kept count of. Where there are more at a time, whoever proves nothing waits.
const ADDRESSES_MAX: usize = 10_000;

/// The calls of late.
pub(crate) struct Pace {
    people: DefaultKeyedRateLimiter<UserName>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            people: DefaultKeyedRateLimiter::keyed(Quota::per_minute(limits.api_calls_per_minute_max)),
            strangers: DefaultKeyedRateLimiter::keyed(Quota::per_minute(limits.api_unproven_calls_per_minute_max)),
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn each_has_a_pace_of_their_own() {
        let pace = Pace::new(&Limits {
            api_calls_per_minute_max: NonZeroU32::new(2).unwrap(),
            api_unproven_calls_per_minute_max: NonZeroU32::new(1).unwrap(),
            ..Limits::default()
        });
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
