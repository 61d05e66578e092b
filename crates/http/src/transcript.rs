//! Shows a person what a client saw of answers.

use bytes::BytesMut;
use gatehouse_protocol::{Breach, Frame, Head, Seen, Tag, Transcript};

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
    fn show(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.buf.extend_from_slice(bytes);
        let mut seen = Vec::new();
        loop {
            let len = match Frame::first(&self.buf, usize::MAX, Breach::target) {
                Ok(Ok(frame)) => frame.len,
                Ok(Err(_)) => return seen,
                Err(_) => {
                    self.buf.clear();
                    return seen;
                }
            };
            let whole = self.buf.split_to(len);
            if let Ok(Ok(frame)) = Frame::first(&whole, usize::MAX, Breach::target) {
                self.show_frame(frame, &mut seen);
            }
        }
    }
}

impl HttpTranscript {
    fn show_frame(&mut self, frame: Frame<'_>, seen: &mut Vec<Seen>) {
        match frame.tag {
            Tag::Response | Tag::Interim => {
                let Some(head) = Head::read(frame.tag, frame.content) else { return };
                self.shown = 0;
                self.is_text = Kind::of(head.text("content-type")) != Kind::Opaque;
                seen.push(Seen::Head(head.first.into()));
                for (name, value) in &head.fields {
                    seen.push(Seen::Field((*name).into(), String::from_utf8_lossy(value).into_owned()));
                }
            }
            Tag::Body if self.is_text && self.shown < SHOWN_BYTES_MAX => {
                self.shown += frame.content.len();
                seen.extend(lines(frame.content));
            }
            Tag::Body => seen.push(Seen::Text(format!("({} bytes)", frame.content.len()))),
            Tag::Abort => seen.extend([Seen::Done("broken off".into()), Seen::Turn]),
            Tag::Message => match frame.content.split_first() {
                Some((b't', text)) => seen.extend(lines(text)),
                Some(_) | None => seen.push(Seen::Text(format!("({} bytes)", frame.content.len()))),
            },
            Tag::Close => seen.push(Seen::Done("closed".into())),
            Tag::End => seen.push(Seen::Turn),
            Tag::Request => {}
        }
    }
}

fn lines(bytes: &[u8]) -> Vec<Seen> {
    String::from_utf8_lossy(bytes).lines().map(|line| Seen::Text(line.into())).collect()
}
