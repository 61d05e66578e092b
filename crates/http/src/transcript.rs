//! Shows a person what a client saw of answers.

use bytes::BytesMut;
use gatehouse_protocol::{Breach, Frame, Head, Tag, Transcript};

use crate::body::Kind;

/// How much of a body is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

#[derive(Default)]
pub(crate) struct HttpTranscript {
    buf: BytesMut,
    is_text: bool,
    shown: usize,
}

impl Transcript for HttpTranscript {
    fn show(&mut self, bytes: &[u8]) -> Vec<String> {
        self.buf.extend_from_slice(bytes);
        let mut lines = Vec::new();
        loop {
            let len = match Frame::first(&self.buf, usize::MAX, Breach::target) {
                Ok(Ok(frame)) => frame.len,
                Ok(Err(_)) => return lines,
                Err(_) => {
                    self.buf.clear();
                    return lines;
                }
            };
            let whole = self.buf.split_to(len);
            if let Ok(Ok(frame)) = Frame::first(&whole, usize::MAX, Breach::target) {
                self.show_frame(frame, &mut lines);
            }
        }
    }
}

impl HttpTranscript {
    fn show_frame(&mut self, frame: Frame<'_>, lines: &mut Vec<String>) {
        match frame.tag {
            Tag::Response | Tag::Interim => {
                let Some(head) = Head::read(frame.tag, frame.content) else { return };
                self.shown = 0;
                self.is_text = Kind::of(head.text("content-type")) != Kind::Opaque;
                lines.push(plain(head.first));
                for (name, value) in &head.fields {
                    lines.push(plain(&format!("{name}: {}", String::from_utf8_lossy(value))));
                }
            }
            Tag::Body if self.is_text && self.shown < SHOWN_BYTES_MAX => {
                self.shown += frame.content.len();
                lines.extend(String::from_utf8_lossy(frame.content).lines().map(plain));
            }
            Tag::Body => lines.push(format!("({} bytes)", frame.content.len())),
            Tag::Abort => lines.push("(broken off)".into()),
            Tag::Message => lines.extend(match frame.content.split_first() {
                Some((b't', text)) => String::from_utf8_lossy(text).lines().map(plain).collect(),
                Some(_) | None => vec![format!("({} bytes)", frame.content.len())],
            }),
            Tag::Close => lines.push("(closed)".into()),
            Tag::End | Tag::Request => {}
        }
    }
}

/// Without control characters, which a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\t' { '\u{fffd}' } else { char }).collect()
}
