//! Messages of PostgreSQL's clients and servers, as any of them would write them.

use bytes::{BufMut as _, BytesMut};

/// Builds a frame.
pub fn frame(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_u8(tag);
    out.put_i32(4 + i32::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).unwrap_or(i32::MAX));
    parts.iter().for_each(|part| out.put_slice(part));
    out.to_vec()
}

/// A simple query.
pub fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', &[sql.as_bytes(), b"\0"])
}

/// A Parse without declared types.
pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    frame(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0", &[0, 0]])
}

/// A Bind without values.
pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    frame(b'B', &[portal.as_bytes(), b"\0", statement.as_bytes(), b"\0", &[0, 0, 0, 0, 0, 0]])
}

/// A Describe of a statement (`S`) or a portal (`P`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    frame(b'D', &[&[kind], name.as_bytes(), b"\0"])
}

/// An Execute of all rows.
pub fn execute(portal: &str) -> Vec<u8> {
    frame(b'E', &[portal.as_bytes(), b"\0", &[0; 4]])
}

/// A Sync.
pub fn sync() -> Vec<u8> {
    frame(b'S', &[])
}
