//! A session's exchanges as an HTTP archive, HAR 1.2 (<http://www.softwareishard.com/blog/har-12-spec/>): of answers, what the
//! client saw; of requests, what their records say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;
use gatehouse_model::TargetName;
use gatehouse_protocol::{Archive, Breach, Frame, Head, Tag};
use serde_json::{Value, json};

/// How much of a body stands in an archive, and of all bodies together, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct HttpArchive {
    /// What its addresses begin with: readers of archives want whole ones, and a target's name stands for its host.
    origin: String,
    buf: BytesMut,
    entries: Vec<Entry>,
    /// The entry whose answer comes next, or is under way.
    answering: usize,
    bytes: usize,
}

/// One exchange; times are in microseconds since the session began.
#[derive(Default)]
struct Entry {
    asked: String,
    at: u64,
    answered: Option<u64>,
    ended: u64,
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    length: usize,
    comment: Option<&'static str>,
}

impl Archive for HttpArchive {
    fn mark(&mut self, at: u64, text: &str) {
        // What became of it, its number, and what it was.
        let asked = text.split_once('#').and_then(|(_, numbered)| numbered.split_once(' ')).map(|(_, asked)| asked);
        // Messages of a WebSocket are parts of its exchange.
        if let Some(asked) = asked.filter(|asked| !asked.starts_with("message to ")) {
            self.entries.push(Entry { asked: asked.into(), at, ended: at, ..Entry::default() });
        }
    }

    fn seen(&mut self, at: u64, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        loop {
            let len = match Frame::first(&self.buf, usize::MAX, Breach::target) {
                Ok(Ok(frame)) => frame.len,
                Ok(Err(_)) => return,
                Err(_) => return self.buf.clear(),
            };
            let whole = self.buf.split_to(len);
            if let Ok(Ok(frame)) = Frame::first(&whole, usize::MAX, Breach::target) {
                self.take(at, frame);
            }
        }
    }

    fn finish(&self, started: &dyn Fn(u64) -> String) -> String {
        let entries: Vec<Value> = self.entries.iter().map(|entry| entry.written(&self.origin, started)).collect();
        let creator = json!({ "name": "Gatehouse", "version": env!("CARGO_PKG_VERSION") });
        json!({ "log": { "version": "1.2", "creator": creator, "entries": entries } }).to_string()
    }
}

impl HttpArchive {
    pub(crate) fn new(target: &TargetName) -> Self {
        Self { origin: format!("http://{target}"), ..Self::default() }
    }

    fn take(&mut self, at: u64, frame: Frame<'_>) {
        let Some(entry) = self.entries.get_mut(self.answering) else { return };
        entry.ended = at;
        match frame.tag {
            Tag::Response => {
                let Some(head) = Head::read(frame.tag, frame.content) else { return };
                entry.answered = Some(at);
                entry.status = head.first.parse().unwrap_or_default();
                let text =
                    |(name, value): &(&str, &[u8])| ((*name).to_string(), String::from_utf8_lossy(value).into_owned());
                entry.fields = head.fields.iter().map(text).collect();
            }
            Tag::Body => {
                entry.length += frame.content.len();
                if entry.length > BODY_BYTES_MAX || self.bytes > BODIES_BYTES_MAX {
                    entry.comment = Some("the body is longer than what an archive holds: the recording has it");
                    return;
                }
                self.bytes += frame.content.len();
                entry.body.extend_from_slice(frame.content);
            }
            Tag::End => self.answering += 1,
            Tag::Abort => {
                entry.comment = Some("the answer was broken off");
                self.answering += 1;
            }
            Tag::Request | Tag::Interim | Tag::Message | Tag::Close => {}
        }
    }
}

impl Entry {
    fn written(&self, origin: &str, started: &dyn Fn(u64) -> String) -> Value {
        let asked = self.asked.split_once(" (").map_or(self.asked.as_str(), |(asked, _)| asked);
        // What rides on HTTP says what it is about in its own words.
        let is_method = |word: &str| word.bytes().all(|byte| byte.is_ascii_uppercase());
        let (method, target) = asked.split_once(' ').filter(|(word, _)| is_method(word)).unwrap_or(("POST", asked));
        let url = match target.starts_with('/') {
            true => format!("{origin}{target}"),
            false => format!("{origin}/#{}", escaped(target)),
        };
        let pairs = |(name, value): (&str, &str)| json!({ "name": name, "value": value });
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let query: Vec<Value> =
            form_urlencoded::parse(query.as_bytes()).map(|(name, value)| pairs((&name, &value))).collect();
        let field = |name: &str| self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let mut content = json!({
            "size": self.length,
            "mimeType": field("content-type").unwrap_or("application/octet-stream"),
        });
        if let Some(content) = content.as_object_mut() {
            match std::str::from_utf8(&self.body) {
                Ok(text) => drop(content.insert("text".into(), text.into())),
                Err(_) => {
                    content.insert("text".into(), BASE64.encode(&self.body).into());
                    content.insert("encoding".into(), "base64".into());
                }
            }
            content.extend(self.comment.map(|comment| ("comment".to_string(), comment.into())));
        }
        let headers: Vec<Value> = self.fields.iter().map(|(name, value)| pairs((name, value))).collect();
        let millis = |micros: u64| micros as f64 / 1000.0;
        let answered = self.answered.unwrap_or(self.ended);
        json!({
            "startedDateTime": started(self.at),
            "time": millis(self.ended.saturating_sub(self.at)),
            "request": {
                "method": method,
                "url": url,
                "httpVersion": "HTTP",
                "cookies": [],
                "headers": [],
                "queryString": query,
                "headersSize": -1,
                "bodySize": -1,
                "comment": "the record of the operation has its body, without what is classified",
            },
            "response": {
                "status": self.status,
                "statusText": "",
                "httpVersion": "HTTP",
                "cookies": [],
                "headers": headers,
                "content": content,
                "redirectURL": field("location").unwrap_or_default(),
                "headersSize": -1,
                "bodySize": self.length,
            },
            "cache": {},
            "timings": {
                "send": 0,
                "wait": millis(answered.saturating_sub(self.at)),
                "receive": millis(self.ended.saturating_sub(answered)),
            },
        })
    }
}

/// A text as a fragment of an address holds it (RFC 3986, section 3.5).
fn escaped(text: &str) -> String {
    let kept = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=?".contains(byte);
    let shown =
        text.bytes().map(|byte| if kept(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use gatehouse_protocol::{write_frame, write_head};

    use super::*;

    #[test]
    fn exchanges_are_archived_as_they_were_seen() {
        let mut archive = HttpArchive::new(&TargetName::new("api").unwrap());
        let mut seen = BytesMut::new();
        let fields = [("content-type", &b"text/plain"[..])];
        write_head(Tag::Response, Some(b"200"), fields.into_iter(), &mut seen);
        write_frame(Tag::Body, b"hello", &mut seen);
        write_head(Tag::End, None, std::iter::empty(), &mut seen);
        archive.mark(1000, "allow #0 GET /a?b=c%20d (without the field `x-key`, which the client sent)");
        let (first, rest) = seen.split_at(9);
        archive.seen(2500, first);
        archive.seen(3500, rest);
        archive.mark(5000, "refused #1 DELETE /a");
        archive.mark(5000, "a remark");
        let said = archive.finish(&|at| format!("at {at}"));
        let said: Value = serde_json::from_str(&said).unwrap();
        let [first, second] = said["log"]["entries"].as_array().unwrap().as_slice() else { panic!("{said}") };
        expect![[r#"{"send":0,"wait":2.5,"receive":0.0}"#]].assert_eq(&first["timings"].to_string());
        assert_eq!((&first["startedDateTime"], &first["time"]), (&json!("at 1000"), &json!(2.5)));
        assert_eq!(
            (&first["request"]["url"], &first["request"]["method"]),
            (&json!("http://api/a?b=c%20d"), &json!("GET"))
        );
        assert_eq!(first["request"]["queryString"], json!([{ "name": "b", "value": "c d" }]));
        assert_eq!(first["response"]["content"], json!({ "size": 5, "mimeType": "text/plain", "text": "hello" }));
        assert_eq!((&second["request"]["method"], &second["response"]["status"]), (&json!("DELETE"), &json!(0)));
    }
}
