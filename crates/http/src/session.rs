//! One session: one request after the other, each with its answer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gatehouse_model::{Denial, Operation, Reason, Shape, ShapeRole, TargetName};
use gatehouse_protocol::{
    Breach, Editor, Frame, Head, HttpFacts, Meaning, Misunderstood, Opening, Parted, Passed, Reply, Session, Side,
    Step, SurveyFacts, Tag, frames, write_frame, write_frames, write_head,
};

use crate::columns::Columns;
use crate::head;
use crate::refusal;
use crate::reply::Replies;
use crate::request::Request;
use crate::rider::{Reader, Rider};
use crate::seal::Seals;

/// The parts in which a body that lay elsewhere goes on, in bytes.
const PART_BYTES_MAX: usize = 64 * 1024;
/// By how many bytes what parts the pieces of a body may be longer than a body may be, before it is judged.
const AROUND_PARTS_BYTES: usize = 64 * 1024;

/// What the client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// Nothing yet.
    Nothing,
    /// The rest of a request that passed.
    Rest,
    /// The rest of one that did not.
    Refused,
}

/// A request that was read in part: up to where in what the client said, and what its body holds so far.
struct Reading {
    request: Request,
    len: usize,
    body: Vec<u8>,
}

pub(crate) struct HttpSession {
    target: TargetName,
    bytes_max: usize,
    asking: Asking,
    /// The request that was read last.
    request: Option<Request>,
    /// Its body came in so many pieces that not all of them are held.
    is_in_pieces: bool,
    /// How far the body of one was read that is not there in whole.
    reading: Option<Reading>,
    /// The request that opened the WebSocket, if this has become one.
    socket: Option<Request>,
    /// A message was refused, which ends the WebSocket: nothing that its client said after that goes on.
    is_closing: bool,
    replies: Replies,
}

impl HttpSession {
    pub(crate) fn new(opening: Opening, facts: Arc<HttpFacts>, rider: Option<Box<dyn Rider>>) -> Self {
        let role = if rider.is_some() { ShapeRole::Offers } else { ShapeRole::Rows };
        let columns = Columns::new(&opening.target, opening.classifier, facts.passes_opaque, role);
        let (bytes_max, seals) = (opening.frame_bytes_max, Seals::new(&opening.secrets));
        Self {
            target: opening.target,
            bytes_max,
            asking: Asking::Nothing,
            request: None,
            is_in_pieces: false,
            reading: None,
            socket: None,
            is_closing: false,
            replies: Replies::new(facts, columns, seals, bytes_max, rider),
        }
    }

    fn inspect_client(&mut self, buf: &[u8]) -> Result<Step, Breach> {
        let frame = match Frame::first(buf, self.bytes_max, Breach::client)? {
            Ok(frame) => frame,
            Err(at_least) => return Ok(Step::Read { at_least }),
        };
        let run = |meaning| Ok(Step::Run { len: frame.len, tail: 0, meaning });
        match (self.asking, frame.tag) {
            (Asking::Nothing, Tag::Message | Tag::Close) if self.is_closing => run(Meaning::Local),
            (Asking::Nothing, Tag::Message | Tag::Close | Tag::Request) if !self.is_quiet() => Ok(Step::Wait),
            (Asking::Nothing, Tag::Message) if self.replies.is_messaging() => Ok(self.inspect_message(frame)),
            (Asking::Nothing, Tag::Close) if self.replies.is_messaging() => run(Meaning::Plumbing),
            (Asking::Nothing, Tag::Request) if !self.replies.is_messaging() => self.inspect_request(frame, buf),
            (Asking::Rest, Tag::Body | Tag::End) => run(Meaning::Plumbing),
            (Asking::Refused, Tag::Body | Tag::End) => run(Meaning::Local),
            (
                Asking::Nothing | Asking::Rest | Asking::Refused,
                Tag::Request
                | Tag::Response
                | Tag::Interim
                | Tag::Body
                | Tag::End
                | Tag::Abort
                | Tag::Message
                | Tag::Close,
            ) => Err(Breach::client("the frames of the request are not in order")),
        }
    }

    fn inspect_message(&mut self, frame: Frame<'_>) -> Step {
        let facts = self.replies.facts.clone();
        let Some(socket) = &self.socket else { return Step::Wait };
        match socket.message(&self.target, &facts, &mut self.replies.columns, frame.content) {
            Ok(operation) => Step::Run { len: frame.len, tail: 0, meaning: Meaning::Act(Box::new(operation)) },
            Err(denial) => misunderstood("message", denial, frame.len),
        }
    }

    fn inspect_request(&mut self, first: Frame<'_>, buf: &[u8]) -> Result<Step, Breach> {
        let Reading { request, mut len, mut body } = match self.reading.take() {
            Some(reading) => reading,
            None => {
                let head = Head::read(first.tag, first.content);
                let head = head.ok_or_else(|| Breach::client("the request has no head"))?;
                let rider = self.replies.rider.as_deref();
                let read = Request::read(&head, &self.replies.facts, rider.is_some());
                let taken = read.and_then(|mut request| {
                    rider.map_or(Ok(()), |rider| request.take(rider))?;
                    Ok(request)
                });
                match taken {
                    Ok(request) => Reading { request, len: first.len, body: Vec::new() },
                    Err(denial) => return Ok(misunderstood(head.first, denial, first.len)),
                }
            }
        };
        self.is_in_pieces = false;
        let is_whole = !request.is_streamed(self.bytes_max)
            && loop {
                let rest = buf.get(len..).unwrap_or_default();
                let frame = match Frame::first(rest, self.bytes_max, Breach::client)? {
                    Ok(frame) => frame,
                    // Longer than may be held: it goes by unread.
                    Err(_) if body.len() > self.bytes_max => break false,
                    Err(_) if len - first.len - body.len() > self.bytes_max + AROUND_PARTS_BYTES => {
                        self.is_in_pieces = true;
                        break false;
                    }
                    Err(missing) => {
                        let at_least = len + missing;
                        self.reading = Some(Reading { request, len, body });
                        return Ok(Step::Read { at_least });
                    }
                };
                len += frame.len;
                match frame.tag {
                    Tag::Body => body.extend_from_slice(frame.content),
                    Tag::End => break true,
                    Tag::Request | Tag::Response | Tag::Interim | Tag::Abort | Tag::Message | Tag::Close => {
                        return Err(Breach::client("the frames of the request are not in order"));
                    }
                }
            };
        let facts = self.replies.facts.clone();
        let read = is_whole.then_some(body.as_slice());
        let reader = Reader { columns: &mut self.replies.columns, rider: self.replies.rider.as_deref_mut() };
        let mut operation = match request.operation(&self.target, &facts, reader, read) {
            Ok(operation) => operation,
            Err(denial) => {
                let len = if is_whole { len } else { first.len };
                return Ok(misunderstood(&request.method, denial, len));
            }
        };
        // Behind the body, so that listings begin with the address and then have what was sent.
        let head = head::evidence(request.fields(), &self.replies.columns, &self.replies.seals);
        operation.evidence_binds.extend(head);
        self.request = Some(request);
        let meaning = Meaning::Act(Box::new(operation));
        // What is not there in whole is given without the head's last byte, so that nobody approves what was not read.
        let (len, tail) = if is_whole { (len, 0) } else { (first.len - 1, 1) };
        Ok(Step::Run { len, tail, meaning })
    }

    fn inspect_target(&mut self, buf: &[u8]) -> Result<Step, Breach> {
        let frame = match Frame::first(buf, self.bytes_max, Breach::target)? {
            Ok(frame) => frame,
            Err(at_least) => return Ok(Step::Read { at_least }),
        };
        if !self.replies.is_due(frame.tag) {
            return Err(Breach::target("the target sent what is not due"));
        }
        Ok(Step::Run { len: frame.len, tail: 0, meaning: Meaning::Content(self.replies.columns.shape().clone()) })
    }
}

fn misunderstood(first: &str, denial: Denial, len: usize) -> Step {
    let method = first.split(' ').next().unwrap_or_default();
    let is_word = !method.is_empty() && method.len() <= 16 && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let title = if is_word { method } else { "request" };
    Step::Run { len, tail: 0, meaning: Meaning::Misunderstood(Box::new(Misunderstood { title: title.into(), denial })) }
}

/// What the body of a run holds.
fn body_of(run: &[u8]) -> Vec<u8> {
    frames(run).filter(|frame| frame.tag == Tag::Body).flat_map(|frame| frame.content).copied().collect()
}

/// Whether a run has the end of its message.
fn is_ended(run: &[u8]) -> bool {
    frames(run).any(|frame| frame.tag == Tag::End)
}

impl Session for HttpSession {
    fn inspect(&mut self, side: Side, buf: &[u8]) -> Result<Step, Breach> {
        match side {
            Side::Client => self.inspect_client(buf),
            Side::Target => self.inspect_target(buf),
        }
    }

    fn whole(&self, buf: &[u8]) -> Result<usize, Breach> {
        Ok(buf.len())
    }

    fn pass(&mut self, side: Side, run: &Bytes, out: &mut BytesMut) -> Passed {
        match side {
            Side::Client if self.asking == Asking::Rest => {
                if !is_ended(run) {
                    return Passed::AsIs;
                }
                // Nobody judged what comes after a body.
                write_head(Tag::End, None, std::iter::empty(), out);
                self.asking = Asking::Nothing;
                Passed::Written
            }
            Side::Client if self.replies.is_messaging() => match frames(run).next() {
                Some(Frame { tag: Tag::Close, content, .. }) => {
                    // Nobody judged the reason.
                    write_frame(Tag::Close, content.get(..2).unwrap_or_default(), out);
                    Passed::Written
                }
                Some(_) | None => Passed::AsIs,
            },
            Side::Client => {
                // Only what was judged is sent.
                let Some(request) = self.request.take() else { return Passed::Written };
                let is_whole = frames(run).any(|frame| frame.tag == Tag::End);
                request.write(is_whole, out);
                let body = is_whole.then(|| body_of(run));
                let own = request.own(body.as_deref());
                self.replies.expect(&request.method, request.base.clone(), own, request.is_socket);
                match frames(run).next() {
                    Some(_) => {
                        for part in frames(run).filter(|frame| frame.tag == Tag::Body) {
                            write_frame(Tag::Body, part.content, out);
                        }
                        write_head(Tag::End, None, std::iter::empty(), out);
                        self.asking = Asking::Nothing;
                    }
                    // The head's last byte goes by after it.
                    None => {
                        out.truncate(out.len().saturating_sub(1));
                        self.asking = Asking::Rest;
                    }
                }
                self.socket = Some(request).filter(|request| request.is_socket);
                Passed::Written
            }
            Side::Target => match frames(run).next().map(|frame| self.replies.show(frame, None, out)) {
                Some(Ok(passed)) => passed,
                Some(Err(breach)) => {
                    out.clear();
                    if let Some(denial) = breach.denial.filter(|_| self.replies.is_unbegun()) {
                        refusal::write(&denial, None, None, out);
                    }
                    // The target has more to say, which nobody waits for.
                    write_frame(Tag::Abort, b"", out);
                    Passed::Written
                }
                None => {
                    write_frame(Tag::Abort, b"", out);
                    Passed::Written
                }
            },
        }
    }

    fn rewrite(&mut self, _: &Shape, run: &Bytes, editor: &mut dyn Editor, out: &mut BytesMut) -> Result<(), Breach> {
        let frame = frames(run).next().ok_or_else(|| Breach::target("the target sent what is no frame"))?;
        match self.replies.show(frame, Some(editor), out)? {
            Passed::AsIs => out.extend_from_slice(run),
            Passed::Written => {}
        }
        Ok(())
    }

    fn refuse(&mut self, run: &Bytes, denial: &Denial, reply: &mut Reply) {
        if self.replies.is_messaging() {
            self.is_closing = true;
            return refusal::write_close(denial, &mut reply.to_client);
        }
        let request = self.request.take();
        let waits_at =
            request.as_ref().filter(|request| request.prefers_async).map(|request| request.base.path.as_str());
        // What was not read has no message to answer.
        let rider = self.replies.rider.as_deref().filter(|_| request.is_some());
        match rider.and_then(|rider| rider.refusal(denial)) {
            Some(message) => refusal::write_message(&message, &mut reply.to_client),
            None => {
                let looked_at = self.replies.facts.requests.as_deref();
                refusal::write(denial, waits_at, looked_at, &mut reply.to_client);
            }
        }
        self.asking = if is_ended(run) { Asking::Nothing } else { Asking::Refused };
    }

    fn unheld(&self, title: &str) -> Denial {
        // What no length is too long for goes by because nobody knows where it ends.
        let is_endless = self.request.as_ref().is_some_and(|request| request.is_streamed(usize::MAX));
        let (message, detail, hint) = if is_endless {
            (
                format!("{title} needs approval and its length is not known"),
                "its body has no Content-Length and is of no type that is read, so it goes by as it comes and a person could not be shown it"
                    .to_string(),
                "Send it with a Content-Length",
            )
        } else if self.is_in_pieces {
            (
                format!("{title} needs approval and comes in too many pieces to be held"),
                format!(
                    "what parts its pieces takes more than limits.body_bytes_max = {} and {AROUND_PARTS_BYTES} bytes, so a person \
                     could not be shown it",
                    self.bytes_max
                ),
                "Send it in fewer pieces, which are longer: each counts for five bytes",
            )
        } else {
            (
                format!("{title} needs approval and is too long to be held"),
                format!(
                    "its body is longer than limits.body_bytes_max = {}, so a person could not be shown it",
                    self.bytes_max
                ),
                "Send less at once, or ask the operator to raise the limit",
            )
        };
        Denial::new(Reason::Limit, message, detail, hint)
    }

    fn part(&self, run: &Bytes) -> Option<Parted> {
        let (mut outline, mut body) = (BytesMut::new(), Vec::new());
        // How often there is a place where the body goes back to.
        let mut places = 0;
        for frame in frames(run) {
            places += u32::from(matches!(frame.tag, Tag::End | Tag::Message));
            match frame.tag {
                Tag::Body => body.extend_from_slice(frame.content),
                // What kind of a message it is goes before it, in one byte.
                Tag::Message => {
                    let (kind, message) = frame.content.split_at_checked(1)?;
                    write_frame(Tag::Message, kind, &mut outline);
                    body.extend_from_slice(message);
                }
                Tag::Request | Tag::Response | Tag::Interim | Tag::End | Tag::Abort | Tag::Close => {
                    write_frame(frame.tag, frame.content, &mut outline);
                }
            }
        }
        (places == 1 && !body.is_empty()).then(|| Parted { outline: outline.freeze(), body })
    }

    fn join(&self, outline: &Bytes, body: &[u8]) -> Bytes {
        let mut run = BytesMut::new();
        for frame in frames(outline) {
            match frame.tag {
                Tag::Message => write_frame(Tag::Message, &[frame.content, body].concat(), &mut run),
                Tag::End => {
                    write_frames(Tag::Body, body, PART_BYTES_MAX, &mut run);
                    write_frame(Tag::End, frame.content, &mut run);
                }
                Tag::Request | Tag::Response | Tag::Interim | Tag::Body | Tag::Abort | Tag::Close => {
                    write_frame(frame.tag, frame.content, &mut run);
                }
            }
        }
        run.freeze()
    }

    fn answer(&mut self, _: Side, run: &Bytes, _: &mut Reply) {
        if is_ended(run) {
            self.asking = Asking::Nothing;
        }
    }

    fn held_bytes(&self) -> usize {
        self.reading.as_ref().map_or(0, |reading| reading.body.len()) + self.replies.held_bytes()
    }

    fn keeps_all(&self) -> bool {
        self.replies.keeps_all()
    }

    fn unparted(&self) -> Option<Arc<Shape>> {
        // Where what cannot be looked into passes, a part does, and whoever goes on with a long body asks for one.
        (!self.replies.facts.passes_opaque).then(|| self.replies.columns.shape().clone())
    }

    fn rows(&self) -> u64 {
        0
    }

    fn is_quiet(&self) -> bool {
        self.replies.is_quiet()
    }

    fn has_left(&self) -> bool {
        false
    }

    fn surveyed(&mut self, _: SurveyFacts) {}

    fn stands_for(&self, _: &Operation) -> String {
        String::new()
    }

    fn outdates_survey(&mut self) -> bool {
        false
    }

    fn remark(&self, _: &str, _: &mut BytesMut) {}

    fn end(&self, denial: &Denial, out: &mut BytesMut) {
        if self.replies.is_unbegun() {
            refusal::write(denial, None, self.replies.facts.requests.as_deref(), out);
        } else if self.replies.is_messaging() {
            refusal::write_close(denial, out);
        } else {
            write_frame(Tag::Abort, b"", out);
        }
    }
}
