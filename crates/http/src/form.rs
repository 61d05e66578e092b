//! Forms (`application/x-www-form-urlencoded`): values by the names of their fields. One that is not masked stays to the byte.

use gatehouse_protocol::Editor;

use crate::body::{self, Shown};
use crate::columns::{Columns, UNKNOWN};

/// Appends a form with its values masked.
pub(crate) fn mask_form(form: &[u8], columns: &mut Columns, editor: &mut dyn Editor, out: &mut Vec<u8>) {
    columns.tidy();
    for (place, pair) in form.split(|byte| *byte == b'&').enumerate() {
        if place > 0 {
            out.push(b'&');
        }
        let Some((name, value)) = form_urlencoded::parse(pair).next() else {
            out.extend_from_slice(pair);
            continue;
        };
        // A name may be a value as well, and is one where it has none.
        let named = body::shown(b"", name.as_bytes(), columns, editor, 0);
        let valued = match columns.of(&name) {
            _ if value.is_empty() => Shown::AsIs,
            Some(column) => body::masked(column, value.as_bytes(), editor),
            None => body::shown(name.as_bytes(), value.as_bytes(), columns, editor, 0),
        };
        if (&named, &valued) == (&Shown::AsIs, &Shown::AsIs) {
            out.extend_from_slice(pair);
            continue;
        }
        let mut text_of = |shown: Shown, plain: &[u8]| match shown {
            Shown::AsIs => plain.to_vec(),
            Shown::Nothing => Vec::new(),
            // What is no text is many times as long as one.
            Shown::Text(text) if 3 * text.len() > body::room_for(pair.len()) => {
                match body::masked(UNKNOWN, &text, editor) {
                    Shown::Text(text) => text,
                    Shown::AsIs | Shown::Nothing => Vec::new(),
                }
            }
            Shown::Text(text) => text,
        };
        let named = text_of(named, name.as_bytes());
        out.extend(form_urlencoded::byte_serialize(&named).flat_map(str::bytes));
        if !value.is_empty() {
            out.push(b'=');
            let valued = text_of(valued, value.as_bytes());
            out.extend(form_urlencoded::byte_serialize(&valued).flat_map(str::bytes));
        }
    }
}
