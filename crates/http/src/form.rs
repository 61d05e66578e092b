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
        // A name may be a value as well, and is one where it has none.
        let named = edited(TEXT, name.as_bytes(), editor);
        let column = columns.of(&name).unwrap_or(TEXT);
        let valued = if value.is_empty() { None } else { edited(column, value.as_bytes(), editor) };
        if named.is_none() && valued.is_none() {
            out.extend_from_slice(pair);
            continue;
        }
        let mut write = |text: &[u8]| out.extend(form_urlencoded::byte_serialize(text).flat_map(str::bytes));
        write(named.as_deref().unwrap_or(name.as_bytes()));
        if !value.is_empty() {
            out.push(b'=');
            let text = valued.as_deref().unwrap_or(value.as_bytes());
            out.extend(form_urlencoded::byte_serialize(text).flat_map(str::bytes));
        }
    }
}

/// What a text becomes, if it does not stay.
fn edited(column: usize, text: &[u8], editor: &mut dyn Editor) -> Option<Vec<u8>> {
    let mut edited = Vec::new();
    let field = Field { column, kind: ANY_TEXT, encoding: gatehouse_model::Encoding::Text, value: Some(text) };
    match editor.edit(field, &mut edited) {
        Edit::Keep => None,
        Edit::Null => Some(Vec::new()),
        Edit::Replace => Some(edited),
    }
}
