//! Forms (`application/x-www-form-urlencoded`): values by the names of their fields. One that is not masked stays to the byte.

use gatehouse_protocol::{Edit, Editor, Field};

use crate::columns::{ANY_TEXT, Columns, TEXT};

/// Appends a form with its values masked.
pub(crate) fn mask_form(form: &[u8], columns: &Columns, editor: &mut dyn Editor, out: &mut Vec<u8>) {
    for (place, pair) in form.split(|byte| *byte == b'&').enumerate() {
        if place > 0 {
            out.push(b'&');
        }
        let Some((name, value)) = form_urlencoded::parse(pair).next() else {
            out.extend_from_slice(pair);
            continue;
        };
        // A word without a value may be one.
        let text = if value.is_empty() { name.as_bytes() } else { value.as_bytes() };
        let column = columns.of(&name).unwrap_or(TEXT);
        let mut edited = Vec::new();
        let field = Field { column, kind: ANY_TEXT, encoding: gatehouse_model::Encoding::Text, value: Some(text) };
        match editor.edit(field, &mut edited) {
            Edit::Keep => out.extend_from_slice(pair),
            edit @ (Edit::Null | Edit::Replace) => {
                let edited = if edit == Edit::Null { b"" } else { edited.as_slice() };
                if !value.is_empty() {
                    out.extend(form_urlencoded::byte_serialize(name.as_bytes()).flat_map(str::bytes));
                    out.push(b'=');
                }
                out.extend(form_urlencoded::byte_serialize(edited).flat_map(str::bytes));
            }
        }
    }
}
