//! Who calls without proving anything: known by the address that the call comes from.
//!
//! How often anybody may call it asks [`Control`](crate::Control).

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;

use crate::caller::Door;
use crate::problem::Problem;
use crate::routes::Served;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where a call comes from; where a proxy before the gateway says so, the last address that it names.
pub fn peer(parts: &Parts, is_forwarded: bool) -> Option<IpAddr> {
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
            Door::Tcp => served.count_stranger(parts).map(|()| Self),
        }
    }
}

impl Served {
    /// Counts a call of somebody who proves nothing.
    pub(crate) fn count_stranger(&self, parts: &Parts) -> Result<(), Problem> {
        self.control.count_stranger(peer(parts, self.control.is_forwarded()))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn the_last_address_that_the_proxy_names_counts() {
        let parts = |named: &str| Request::get("/").header(FORWARDED_FOR, named).body(()).unwrap().into_parts().0;
        let said = |named: &str, is_forwarded| peer(&parts(named), is_forwarded).map(|address| address.to_string());
        // What stands before the last one, whoever calls may have written.
        assert_eq!(said("192.0.2.9, 192.0.2.7", true).as_deref(), Some("192.0.2.7"));
        assert_eq!((said("192.0.2.7", false), said("x", true)), (None, None));
    }
}
