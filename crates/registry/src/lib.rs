//! The protocols that this gateway speaks: one line each.

use std::sync::Arc;

use gatehouse_protocol::Protocol;

/// Every protocol.
pub fn protocols() -> Vec<Arc<dyn Protocol>> {
    vec![
        Arc::new(gatehouse_postgres::Postgres::default()),
        Arc::new(gatehouse_http::Http),
        Arc::new(gatehouse_mcp::Mcp),
    ]
}

/// The protocol of this name.
pub fn protocol(name: &str) -> Option<Arc<dyn Protocol>> {
    protocols().into_iter().find(|protocol| protocol.name() == name)
}

/// The protocols' Cedar schema fragments.
pub fn schemas() -> Vec<&'static str> {
    protocols().iter().map(|protocol| protocol.schema()).collect()
}
