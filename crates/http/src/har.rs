//! A session's exchanges as an HTTP archive, HAR 1.2 (<http://www.softwareishard.com/blog/har-12-spec/>): of answers, what the
//! client saw; of requests, what their records say.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use gatehouse_model::TargetName;
use gatehouse_protocol::{Archive, Breach, Frame, Head, Tag};
use serde_json::{Value, json};

use crate::head;

/// How much of a body stands in an archive, and of all bodies together, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many messages of WebSockets stand in an archive.
const MESSAGES_MAX: usize = 100_000;

#[derive(Default)]
pub(crate) struct HttpArchive {
    /// What its addresses begin with: readers of archives want whole ones, and a target's name stands for its host.
    origin: String,
    buf: BytesMut,
    /// What records say of operations besides, by their numbers.
    said: BTreeMap<u64, Vec<String>>,
    entries: Vec<Entry>,
    /// The entry whose answer comes next, or is under way.
    answering: usize,
    bytes: usize,
    messages: usize,
}

/// One exchange; times are in microseconds since the session began.
#[derive(Default)]
struct Entry {
    asked: String,
    /// What its record says besides: of the body, where it has one, and of the head.
    said: Vec<String>,
    at: u64,
    answered: Option<u64>,
    ended: u64,
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    length: usize,
    comment: Option<&'static str>,
    messages: Vec<Message>,
}

/// A message of a WebSocket.
struct Message {
    at: u64,
    /// What the client sent is in the record of its operation, without what is classified.
    seen: Option<Bytes>,
}

impl Archive for HttpArchive {
    fn records(&mut self, said: BTreeMap<u64, Vec<String>>) {
        self.said = said;
    }

    fn mark(&mut self, at: u64, text: &str) {
        // What became of it, its number, and what it was.
        let asked = text.split_once('#').and_then(|(_, numbered)| numbered.split_once(' '));
        let said = asked.and_then(|(number, _)| self.said.remove(&number.parse::<u64>().ok()?)).unwrap_or_default();
        match asked.map(|(_, asked)| asked) {
            // Messages of a WebSocket are parts of its exchange; elsewhere they are what a client calls its own.
            Some(asked) if asked.starts_with("message to ") && self.is_messaging() => {
                self.message(Message { at, seen: None })
            }
            Some(asked) => self.entries.push(Entry { asked: asked.into(), said, at, ended: at, ..Entry::default() }),
            None => {}
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

    fn finish(&mut self, time: &dyn Fn(u64) -> (String, f64)) -> String {
        let creator = json!({ "name": "Gatehouse", "version": env!("CARGO_PKG_VERSION") });
        let mut archive = format!(r#"{{"log":{{"version":"1.2","creator":{creator},"entries":["#);
        // Each goes when it is written: together they may be most of what there is room for.
        for (place, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            if place > 0 {
                archive.push(',');
            }
            archive.push_str(&entry.written(&self.origin, time).to_string());
        }
        archive.push_str("]}}");
        archive
    }
}

impl HttpArchive {
    pub(crate) fn new(target: &TargetName) -> Self {
        Self { origin: format!("http://{target}"), ..Self::default() }
    }

    /// Whether the exchange at hand has become a WebSocket.
    fn is_messaging(&self) -> bool {
        self.entries.get(self.answering).is_some_and(|entry| entry.status == 101)
    }

    fn message(&mut self, message: Message) {
        let Some(entry) = self.entries.get_mut(self.answering) else { return };
        let length = message.seen.as_ref().map_or(0, Bytes::len);
        if self.messages >= MESSAGES_MAX || self.bytes + length > BODIES_BYTES_MAX {
            entry.comment = Some("there were more messages than an archive holds: the recording has them");
            return;
        }
        self.messages += 1;
        self.bytes += length;
        entry.messages.push(message);
    }

    fn take(&mut self, at: u64, frame: Frame<'_>) {
        if frame.tag == Tag::Message {
            return self.message(Message { at, seen: Some(Bytes::copy_from_slice(frame.content)) });
        }
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

impl Message {
    /// As browsers write them, for the archive's format has no place for any.
    fn written(&self, time: &dyn Fn(u64) -> (String, f64)) -> Value {
        let Some(seen) = &self.seen else {
            let comment = "the record of the operation has it, without what is classified";
            return json!({ "type": "send", "time": time(self.at).1, "opcode": 1, "data": "", "comment": comment });
        };
        let (opcode, data) = match seen.split_first() {
            Some((b't', text)) => (1, String::from_utf8_lossy(text).into_owned()),
            Some((_, bytes)) => (2, BASE64.encode(bytes)),
            None => (1, String::new()),
        };
        json!({ "type": "receive", "time": time(self.at).1, "opcode": opcode, "data": data })
    }
}

impl Entry {
    fn written(self, origin: &str, time: &dyn Fn(u64) -> (String, f64)) -> Value {
        let asked = self.asked.split_once(" (").map_or(self.asked.as_str(), |(asked, _)| asked);
        // What rides on HTTP says what it is about in its own words.
        let is_method = |word: &str| word.bytes().all(|byte| byte.is_ascii_uppercase());
        let (method, target) = asked.split_once(' ').filter(|(word, _)| is_method(word)).unwrap_or(("POST", asked));
        let url = match target.starts_with('/') {
            true => format!("{origin}{target}"),
            false => format!("{origin}/#{}", escaped(target)),
        };
        let request = self.request(method, &url, target);
        let field = |name: &str| self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let mut content = json!({
            "size": self.length,
            "mimeType": field("content-type").unwrap_or("application/octet-stream"),
        });
        if let Some(content) = content.as_object_mut() {
            match String::from_utf8(self.body) {
                Ok(text) => drop(content.insert("text".into(), text.into())),
                Err(bytes) => {
                    content.insert("text".into(), BASE64.encode(bytes.as_bytes()).into());
                    content.insert("encoding".into(), "base64".into());
                }
            }
            content.extend(self.comment.map(|comment| ("comment".to_string(), comment.into())));
        }
        let headers: Vec<Value> = self.fields.iter().map(|(name, value)| pair(name, value)).collect();
        let millis = |micros: u64| micros as f64 / 1000.0;
        let answered = self.answered.unwrap_or(self.ended);
        let mut entry = json!({
            "startedDateTime": time(self.at).0,
            "time": millis(self.ended.saturating_sub(self.at)),
            "request": request,
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
        });
        if let Some(entry) = entry.as_object_mut().filter(|_| !self.messages.is_empty()) {
            let messages: Vec<Value> = self.messages.iter().map(|message| message.written(time)).collect();
            entry.insert("_resourceType".into(), "websocket".into());
            entry.insert("_webSocketMessages".into(), messages.into());
        }
        entry
    }

    /// What was asked, as far as its record has it.
    fn request(&self, method: &str, url: &str, target: &str) -> Value {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let query: Vec<Value> =
            form_urlencoded::parse(query.as_bytes()).map(|(name, value)| pair(&name, &value)).collect();
        // A head stands behind the body.
        let head = self.said.last().and_then(|said| head::read(said));
        let bodies = self.said.len() - usize::from(head.is_some());
        let (fields, left_out) = head.unwrap_or_default();
        let mut comment = "as its record has it, without what is classified and what proves the client".to_string();
        comment.extend(left_out.map(|left_out| format!(" {left_out}")));
        let mut request = json!({
            "method": method,
            "url": url,
            "httpVersion": "HTTP",
            "cookies": [],
            "headers": fields.iter().map(|(name, value)| pair(name, value)).collect::<Vec<_>>(),
            "queryString": query,
            "headersSize": -1,
            "bodySize": -1,
            "comment": comment,
        });
        // Of a body that is long or cannot be looked into, the record has its length.
        let is_kept = |body: &&String| !(body.starts_with('(') && body.ends_with(" bytes)"));
        let body = self.said.first().filter(|_| bodies > 0).filter(is_kept);
        if let (Some(body), Some(request)) = (body, request.as_object_mut()) {
            let kind = fields.iter().find(|(name, _)| *name == "content-type").map_or("", |(_, kind)| *kind);
            request.insert("postData".into(), json!({ "mimeType": kind, "params": [], "text": body }));
        }
        request
    }
}

fn pair(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
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
        let said = ["{\"email\":\"…\"}", "(fields of the head)\ncontent-type: application/json\naccept: */*"];
        archive.records(BTreeMap::from([(1, said.map(String::from).to_vec())]));
        archive.seen(2500, first);
        archive.seen(3500, rest);
        archive.mark(5000, "refused #1 DELETE /a");
        archive.mark(5000, "a remark");
        archive.mark(6000, "allow #2 message to nobody");
        let said = archive.finish(&|at| (format!("at {at}"), at as f64 / 1e6));
        let said: Value = serde_json::from_str(&said).unwrap();
        let entries = said["log"]["entries"].as_array().unwrap();
        let [first, second, third] = entries.as_slice() else { panic!("{said}") };
        // Only on a WebSocket is that a part of something else.
        assert_eq!(third["request"]["url"], "http://api/#message%20to%20nobody");
        expect![[r#"{"send":0,"wait":2.5,"receive":0.0}"#]].assert_eq(&first["timings"].to_string());
        assert_eq!((&first["startedDateTime"], &first["time"]), (&json!("at 1000"), &json!(2.5)));
        assert_eq!(
            (&first["request"]["url"], &first["request"]["method"]),
            (&json!("http://api/a?b=c%20d"), &json!("GET"))
        );
        assert_eq!(first["request"]["queryString"], json!([{ "name": "b", "value": "c d" }]));
        assert_eq!(first["response"]["content"], json!({ "size": 5, "mimeType": "text/plain", "text": "hello" }));
        assert_eq!((&second["request"]["method"], &second["response"]["status"]), (&json!("DELETE"), &json!(0)));
        assert_eq!(first["request"]["headers"], json!([]), "of it no record is known");
        let sent = ["content-type", "accept"].into_iter().zip(["application/json", "*/*"]);
        let sent: Vec<Value> = sent.map(|(name, value)| pair(name, value)).collect();
        assert_eq!(second["request"]["headers"], json!(sent));
        let body = json!({ "mimeType": "application/json", "params": [], "text": "{\"email\":\"…\"}" });
        assert_eq!(second["request"]["postData"], body);
    }

    #[test]
    fn messages_are_parts_of_their_exchange() {
        let mut archive = HttpArchive::new(&TargetName::new("chat").unwrap());
        let mut seen = BytesMut::new();
        write_head(Tag::Response, Some(b"101"), std::iter::empty(), &mut seen);
        archive.mark(0, "allow #0 GET /room");
        archive.seen(1000, &seen.split());
        archive.mark(2000, "allow #1 message to /room");
        write_frame(Tag::Message, b"thello", &mut seen);
        write_frame(Tag::Message, b"b\x00\x01", &mut seen);
        archive.seen(3000, &seen);
        let said: Value = serde_json::from_str(&archive.finish(&|at| (String::new(), at as f64 / 1e6))).unwrap();
        let [entry] = said["log"]["entries"].as_array().unwrap().as_slice() else { panic!("{said}") };
        let told = |message: &Value| {
            format!("{} {} {} {}", message["type"], message["time"], message["opcode"], message["data"])
        };
        let told: Vec<String> = entry["_webSocketMessages"].as_array().unwrap().iter().map(told).collect();
        expect![[r#"
            [
                "\"send\" 0.002 1 \"\"",
                "\"receive\" 0.003 1 \"hello\"",
                "\"receive\" 0.003 2 \"AAE=\"",
            ]
        "#]]
        .assert_debug_eq(&told);
    }
}
