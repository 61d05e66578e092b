//! One pass over a value for all detectors: a multi-pattern automaton finds where to look, the detectors look.
//!
//! Knows which pattern leads to which detector and how finds that overlap are settled. The patterns are short and
//! bounded and each detector reads a bounded way around a match, or consumes what it reads: the time is linear.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::meta::{BuildError, Regex};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Input, Match};

use super::bytes::after_lead;
use super::fold::Folded;
use super::{Detector, Detectors, Recognizer, iban, mail, national, number, recognizer, secret};

/// How many letters begin the code of a bank.
const BANK_LETTERS: usize = 6;
/// Shorter values hold nothing that a detector could find: the shortest e-mail address has as many.
const VALUE_BYTES_MIN: usize = 6;

/// One value found inside another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) detector: Detector,
}

/// Where to look closer.
#[derive(Debug, Clone, Copy)]
enum Trigger {
    Mail,
    Number,
    International,
    Bracketed,
    NamedPhone,
    Contact,
    Trunk,
    Iban,
    Jwt,
    PrivateKey,
    Token,
    AwsSecret,
    AzureKey,
    PasswordHash,
    Url,
    National,
    Mac,
    Password,
}

/// What may stand before a value: a boundary of words, `_`, or an escape of JSON.
macro_rules! lead {
    () => {
        r"(?:\b|_|\\[nrtbf]|\\u[0-9A-Fa-f]{4})"
    };
}

static TRIGGERS: [(Trigger, &str); 18] = [
    (Trigger::Mail, r"(?:@|%40)[A-Za-z0-9\x80-\xff]"),
    (
        Trigger::Number,
        concat!(
            lead!(),
            r"(?:[2-689][0-9]{3}[ \-]?[0-9]{4}[ \-]?[0-9]{2}",
            r"|[2-689][0-9]{3}(?:\.[0-9]{4}){3}",
            r"|4[0-9]{3}[ \-][0-9]{3}[ \-][0-9]{3}[ \-][0-9]{3}",
            r"|[0-9]{3}[ \-][0-9]{2}[ \-][0-9]{4}",
            r"|(?:1-)?[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}|1 [2-9][0-9]{2} [2-9][0-9]{2} [0-9]{4}|[2-9][0-9]{2}\.[2-9][0-9]{2}\.[0-9]{4}",
            r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}",
            r"|(?:[23][0-9A-Fa-f]{3}|[Ff][CcDd][0-9A-Fa-f]{2}|[Ff][Ee]80):[0-9A-Fa-f:])",
        ),
    ),
    (
        Trigger::International,
        concat!(r"(?:\+|%2[Bb])[1-9][0-9 ().\-/]{8}|", lead!(), r"00 ?[1-9](?:[ ().\-/]{0,2}[0-9]){6}"),
    ),
    (
        Trigger::Bracketed,
        concat!(
            r"\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .\-]?[0-9]{4}|\(0[1-9][0-9]{0,3}\) ?[0-9]{3}[ \-]?[0-9]",
            r"|\([1-9][0-9]\) ?[0-9]{4,5}[ \-][0-9]{4}|\([3-9][0-9]{2}\) ?[0-9]{3}-[0-9]{2}-[0-9]{2}",
        ),
    ),
    (
        Trigger::NamedPhone,
        concat!(
            r"(?:(?i:phone|tel(?:efono?|efone)?|mobile?|mobil(?:funk)?|m(?:ó|o)vil|portable|cell(?:ulare)?|fax|handy|rufnummer|телефон",
            r"|telefon(?:as|i|ie|u)|tel(?:é|e)fono|telefoon|tele(?:m|M)(?:ó|o)vel|mobiel|celular|msisdn|телефона|电话|電話|手机|手機|携帯|전화|тел|τηλ|tel[.] kom)|",
            lead!(),
            r"(?i:t(?:é|É)l(?:(?:é|É)phone)?|ph|mob|gsm|tlf|puh|sms|hotline|whatsapp|contact[ _\-]?(?:no|num|number)",
            r"|(?:my|mi|mijn|mio|meine) n(?:umber|(?:u|ú)mero|ummer)))",
            r"(?i:[ _\-]?(?:number|nummer|num|nr|no|n°|kom)|番号|号码|号|번호)?[.]?(?i: (?:is|ist|est|es|è|lautet))?",
            r"[^A-Za-z0-9\n+(]{1,5}[0-9(](?:[ ().\-/]{0,3}[0-9]){6}",
        ),
    ),
    (
        Trigger::Contact,
        concat!(
            lead!(),
            r"(?i:call|whatsapp|contact[eo]?|kontakt|contatto)(?i:[ _\-]?(?:me|number|nummer|nr|no))?(?i: (?:at|on))?",
            r"[^A-Za-z0-9\n+(]{1,3}\(?0[1-9](?:[ ().\-/]{0,2}[0-9]){7}",
        ),
    ),
    // As numbers are written at home where a call inside the country begins with 0.
    (Trigger::Trunk, concat!(lead!(), r"0[1-9](?:[0-9]{0,3}[ \-/](?:[0-9][ \-/]?){4}|(?:\.[0-9]{2}){3})")),
    (Trigger::Iban, concat!(lead!(), r"(?:IBAN)?[A-Z]{2}[0-9]{2}[ \-]?[A-Z0-9]{4}")),
    (Trigger::Jwt, concat!(lead!(), r"eyJ[A-Za-z0-9_\-]{8}")),
    (Trigger::PrivateKey, r"----[ \-]BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY|PuTTY-User-Key-File-[0-9]:"),
    (
        Trigger::Token,
        concat!(
            lead!(),
            r"(?:A[BKS]IA[A-Z0-9]{4}|gh[oprsu]_|github_pat_|gl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rt|rtr|soat)-|xox[a-eprs]-|xapp-|[rs]k_live_|sk-[A-Za-z0-9]",
            r"|[rs]k_test_|ya29\.|GOCSPX-|AccountKey=|SharedAccessKey=|npm_|pypi-AgE|AIza|AQ\.Ab8RN6|whsec_|hooks\.slack\.com/(?:services|workflows|triggers)/|sig=",
            r"|hf_|SG\.[A-Za-z0-9_\-]{22}\.|dop_v1_|shp(?:at|ca|pa|ss)_|glsa_|dckr_pat_|[A-Za-z0-9]{3}[0-9]Q~[A-Za-z0-9])",
        ),
    ),
    (
        Trigger::AwsSecret,
        r#"(?i:aws[_\-. ]?secret|secret[_\- ]?access[_\- ]?key|aws[_\-]?session[_\-]token|awssessiontoken["' \\]{0,2}[=:]|s3a?\.secret[.\-]key)"#,
    ),
    (
        Trigger::AzureKey,
        r#"(?i:azure[_\-]storage(?:[_\-]account)?[_\-]key|(?:account|primary|secondary)[_\-]?key)["' \\]{0,2}[=:]"#,
    ),
    (
        Trigger::PasswordHash,
        concat!(
            r"\$2[abxy]\$[0-9]{2}\$|\$argon2(?:id|i|d)\$|\$(?:[156789yPHS]|gy|s0|apr1|scrypt|sha1|md5|bcrypt-sha256)\$[A-Za-z0-9./]|\*[0-9A-F]{40}",
            r"|\$pbkdf2(?:-sha(?:1|256|512))?\$[0-9]",
            r"|\{(?:SSHA(?:256|512)?|SHA|S?MD5)\}|",
            lead!(),
            r"(?:SCRAM-SHA-(?:1|256|512)\$|md5[0-9a-f]{8}|pbkdf2_sha(?:1|256|512)\$|(?:scrypt|pbkdf2):[a-z0-9]{2}|sha(?:1|256|512)\$[A-Za-z0-9]{1,24}\$[0-9a-f]{8}|grub\.pbkdf2\.)",
        ),
    ),
    (Trigger::Url, r":(?:\\?/){2}|(?i:jdbc:oracle:(?:thin|oci8?):)"),
    (
        Trigger::National,
        concat!(
            lead!(),
            r"(?:[0-9](?:[ .\-/]?[0-9]){8}|[0-9]{6}\+[0-9]{4}|[0-9]{8}[ \-]?[A-Za-z]|[0-9]{2}\.[0-9]{3}\.[0-9]{3}-?[A-Z]|[A-Z]{1,3}[ \-]?[0-9](?:[ \-]?[0-9]){5}",
            r"|[A-Z]{5}[0-9]{4}[A-Z]|[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z]|(?:AT|ES)[ \-]?[A-Z]-?[0-9]{7}",
            r"|[12][ .\-]?[0-9]{2}[ .\-]?[0-9]{2}[ .\-]?2[AB][ .\-]?[0-9]{3}|[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-[0-9]{2}",
            r"|[A-Z]{3} [A-Z]{3} [0-9]{2}[A-EHLMPRST][0-9]{2} [A-Z]|[xyz][ \-]?[0-9]{7}[ \-]?[a-z]",
            r"|[A-Z]{2} ?[0-9]{4}\.[0-9]{3}|(?i:bic|swift|identifier code)(?i:code|fi)?[^A-Za-z\n][^\n]{0,12}?[A-Z]{6}",
            // In small letters: account numbers, codici fiscali and national insurance numbers.
            r"|[a-z]{2}[0-9]{2}[ \-]?[a-z]{0,4}(?:[ \-]?[0-9]){8}|[a-z]{6}[0-9]{2}[a-ehlmprst][0-9]{2}[a-z][0-9]{3}[a-z]",
            r"|[a-z]{2}(?:[ \-]?[0-9]{2}){3}[ \-]?[a-d])",
        ),
    ),
    (
        Trigger::Mac,
        concat!(
            lead!(),
            r"(?:[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}:|-[0-9A-Fa-f]{2}-)[0-9A-Fa-f]{2}",
            r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})",
        ),
    ),
    (
        Trigger::Password,
        concat!(
            r#"(?i:mot de passe|pass(?:wo?r?[dt]?|ord|phrase)?|pwd|contrase(?:ñ|n)a|senha|bindpw|wachtwoord|kennwort|lösenord|hasło|heslo"#,
            r#"|parola|пароль|Пароль|密码|密碼|パスワード|비밀번호)["' \\]{0,2}(?:=>?|:)|(?:密码|密碼|パスワード|비밀번호) ?："#,
            r#"|(?i:<passwo?r?d>)|(?i:password|identified by) '|--(?i:pass(?:word|wd|phrase)?) |sshpass -p ?|"#,
            lead!(),
            r#"(?i:pw)["' ]{0,2}(?:=>?|:)"#,
        ),
    ),
];

/// The largest table of states for [`CANDIDATES`], in bytes.
const TABLE_BYTES_MAX: usize = 1280 * 1024;

/// What every match of a trigger holds, in fewer states: short, and without a look at what stands around it.
const HINTS: [&str; 21] = [
    "@|%40",
    r"[0-9][0-9 .\-/()+]{6}",
    r"[0-9A-Fa-f]{4}(?::|\.[0-9A-Fa-f])",
    r"\+[1-9]",
    r"\([2-9][0-9]{2}\)",
    r"[A-Z]{2}[0-9]{2}[ \-A-Z0-9]",
    "eyJ|PRIVATE KEY|PuTTY-U|A[BKS]IA|gh[oprsu]_|github_pat_|xox[a-eprs]-|xapp-|k_live_|k_test_|ya29|GOCSPX|AccountKey|AccessKey=|sk-[A-Za-z0-9]|npm_|pypi-|AIza",
    "gl[dr]t-|gl(?:cb|p[at]|ff?c?|im|soa|rtr|agen|oa)|whsec_|hooks.slack|sig=|hf_|SG\\.|op_v1_|shp[acps][ast]_|glsa_|dckr_p|[0-9]Q~|AQ.Ab",
    r"\.[0-9A-Z]{3}/",
    r"[0-9][ .\-]?2[AB][ .\-]?[0-9]",
    r"\$(?:[156789yPHS]|gy|s0|apr1|scrypt|sha1|md5|bcrypt-sha256)\$|sha[0-9]{1,3}\$|\*[0-9A-F]{3}|\{(?:SS?H|S?MD)|scrypt:",
    r"(?i:aws[_\-. ]?se|secret[_\- ]?access|s3a?\.secret)",
    r#"(?i:(?:account|mary|dary|rage)[_\-]?key)["' \\]{0,2}[=:]|(?i:oracle:)"#,
    r"\$2[abxy]\$|\$argon2|SCRAM-SHA-|pbkdf2",
    "md5[0-9a-f]{2}",
    r":\\?/",
    r"[A-Z][ \-]?[0-9]{2}[ \-]?(?:[0-9]{2}|[A-Z][0-9]{2})|(?i:bic|swift|fier code)(?:[^A-Za-z\n]|[CcFf])",
    r"[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}:|[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-",
    r"[a-z][ \-]?[0-9]{6}[ \-]?[a-d]|[a-z][0-9]{2}[a-z][0-9]{3}[a-z]",
    r#"(?i:pass(?:wo?r?[dt]?|ord|phrase|e)?|pwd)["' \\]{0,2}[=:>']|--(?i:pass)|(?i:fied by) '"#,
    // Of words in other scripts as few different bytes as tell them: past 128 kinds of bytes the table is twice as large.
    r#"(?i:rase(?:\xc3|na)|senha)|(?i:pw)["' ]{0,2}[=:]|sshp|(?i:htwoord|nnwort|senord|heslo|parola|has\xc5)|\xd0\xb0\xd1\x80\xd0|\xe5\xaf|\xe3\x83\xbc\xe3|\xeb\xb0\x80\xeb"#,
];

/// Tells whether there is anything to look closer at, with one look-up for each byte: nearly all values hold nothing.
/// Without it everything is looked at closely, which is slower and finds the same.
static CANDIDATES: LazyLock<Option<dense::DFA<Vec<u32>>>> = LazyLock::new(|| {
    let config = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(TABLE_BYTES_MAX))
        .determinize_size_limit(Some(2 * TABLE_BYTES_MAX));
    dense::Builder::new()
        .configure(config)
        .syntax(plain_bytes())
        .thompson(thompson::Config::new().utf8(false))
        .build_many(&HINTS)
        .ok()
});

fn plain_bytes() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

/// How many bytes of some kinds a value has: without a look at their order it rules most values out.
#[derive(Clone, Copy)]
struct Census(u64);

/// One for each byte of a kind, in eight bits of their own.
mod kind {
    pub(super) const DIGIT: u64 = 1;
    pub(super) const DOT: u64 = 1 << 8;
    pub(super) const UPPER: u64 = 1 << 16;
    /// Every match of some triggers has one.
    pub(super) const SIGN: u64 = 1 << 24;
    pub(super) const C: u64 = 1 << 32;
    pub(super) const M: u64 = 1 << 40;
    pub(super) const W: u64 = 1 << 48;
    pub(super) const Z: u64 = 1 << 56;
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would stop at it")]
static KINDS: [u64; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (this, place) = (byte as u8, byte);
        let letter = match this.to_ascii_lowercase() {
            b'c' => kind::C,
            b'm' => kind::M,
            b'w' => kind::W,
            b'z' => kind::Z,
            _ => 0,
        };
        kinds[place] = letter
            | match this {
                b'0'..=b'9' => kind::DIGIT,
                b'.' => kind::DOT,
                b'J' => kind::UPPER | kind::SIGN,
                b'A'..=b'Z' => kind::UPPER,
                b'@' | b'+' | b'(' | b':' | b'-' | b'_' | b'$' | b'=' | b'%' | b'{' | b'*' | b'<' | b'\'' | b'~'
                | 0xEF => kind::SIGN,
                _ => 0,
            };
        byte += 1;
    }
    kinds
};

impl Census {
    /// Of a longer value a count could overflow.
    const BYTES_MAX: usize = 255;

    fn of(hay: &[u8]) -> Self {
        Self(hay.iter().fold(0, |sum, byte| sum + KINDS.get(usize::from(*byte)).copied().unwrap_or_default()))
    }

    fn count(self, kind: u64) -> u64 {
        (self.0 / kind) & 0xff
    }

    /// False only if no trigger matches anywhere: whatever a trigger matches has what one of these lines asks for.
    fn allows_something(self) -> bool {
        let [digits, dots, upper] = [kind::DIGIT, kind::DOT, kind::UPPER].map(|kind| self.count(kind));
        let has = |kind| self.count(kind) > 0;
        // Mail, International, Bracketed, Jwt, PrivateKey, Url; IPv6; tokens and hashes with `-`, `_` or `$`.
        let sign = has(kind::SIGN);
        // Number: cards, social security numbers, phone numbers; IPv4.
        let number = digits >= 6 || digits >= 4 && dots >= 3;
        // Iban, and `AKIA…` of Token.
        let capitals = upper >= 2 && upper + digits >= 8 || upper >= 1 && digits >= 6;
        // A bank's letters behind `bic` or `swift`.
        let bank = upper >= 6 && (has(kind::C) || has(kind::W));
        // `AIza` and `ya29.` of Token, and `md5…` of PasswordHash.
        let rare = upper >= 2 && has(kind::Z) || digits >= 1 && has(kind::M) || digits >= 2 && dots >= 1;
        // AwsSecret: `awssecret` and `secretaccesskey`.
        let secret = has(kind::W) && has(kind::C) || self.count(kind::C) >= 3;
        // Mac with dots.
        let parts = dots >= 2;
        sign || number || capitals || bank || rare || secret || parts
    }
}

/// False only if no trigger matches anywhere.
fn may_hold_something(hay: &[u8]) -> bool {
    if hay.len() <= Census::BYTES_MAX && !Census::of(hay).allows_something() {
        return false;
    }
    let Some(candidates) = &*CANDIDATES else {
        return true;
    };
    !matches!(candidates.try_search_fwd(&Input::new(hay).earliest(true)), Ok(None))
}

/// Finds values. Built once: its automaton is filled as it runs, and shared by all threads.
pub(crate) struct Finder {
    regex: Regex,
    recognizer: Option<Arc<dyn Recognizer>>,
}

impl Finder {
    pub(crate) fn new(recognizer: Option<Arc<dyn Recognizer>>) -> Result<Self, Box<BuildError>> {
        let patterns = TRIGGERS.map(|(_, pattern)| pattern);
        let regex = Regex::builder()
            .syntax(plain_bytes())
            .configure(Regex::config().utf8_empty(false).which_captures(WhichCaptures::Implicit))
            .build_many(&patterns)
            .map_err(Box::new)?;
        Ok(Self { regex, recognizer })
    }

    /// What the wanted detectors find, in order and without overlaps.
    pub(crate) fn find(&self, hay: &[u8], wanted: Detectors) -> Vec<Found> {
        let mut finds = self.find_by_form(hay, wanted);
        if let Some(recognizer) = &self.recognizer
            && wanted.iter().any(Detector::is_recognized)
        {
            match recognizer::recognize(&**recognizer, hay, wanted) {
                Ok(recognized) => recognized.into_iter().for_each(|found| fill(&mut finds, found)),
                // Whatever else is in it.
                Err(all) => return vec![all],
            }
        }
        finds
    }

    /// What is known by how it is written. Where spaces, dashes or digits are not ASCII, it is so as if they were, too.
    pub(crate) fn find_by_form(&self, hay: &[u8], wanted: Detectors) -> Vec<Found> {
        let mut finds = self.search(hay, wanted);
        if !hay.is_ascii()
            && let Some(folded) = Folded::of(hay)
        {
            for found in self.search(&folded.text, wanted) {
                let Range { start, end } = folded.original(&(found.start..found.end));
                keep(&mut finds, Found { start, end, detector: found.detector });
            }
        }
        finds
    }

    fn search(&self, hay: &[u8], wanted: Detectors) -> Vec<Found> {
        let mut finds = Vec::new();
        if hay.len() < VALUE_BYTES_MIN || wanted.is_empty() || !may_hold_something(hay) {
            return finds;
        }
        let mut at = 0;
        while at < hay.len() {
            let Some(matched) = self.regex.search(&Input::new(hay).range(at..)) else { break };
            at = matched.start() + 1;
            let trigger = TRIGGERS.get(matched.pattern().as_usize());
            let Some(found) = trigger.and_then(|(trigger, _)| look(*trigger, hay, &matched, wanted)) else { continue };
            // A find further on is only announced by the match: what lies between is still to be searched.
            let is_here = found.start < matched.end();
            if keep(&mut finds, found) && is_here {
                at = at.max(found.end);
            }
        }
        finds
    }
}

/// Asks the detectors that a trigger leads to.
fn look(trigger: Trigger, hay: &[u8], matched: &Match, wanted: Detectors) -> Option<Found> {
    let start = after_lead(hay, matched.start());
    let ask = |detector: Detector, find: &dyn Fn() -> Option<Range<usize>>| {
        let range = wanted.contains(detector).then(find)??;
        Some(Found { start: range.start, end: range.end, detector })
    };
    match trigger {
        Trigger::Mail => ask(Detector::Email, &|| mail::email(hay, matched.start()..matched.end() - 1)),
        Trigger::Number => [
            ask(Detector::UsSsn, &|| number::ssn(hay, start)),
            ask(Detector::PhoneNumber, &|| number::phone_dashed(hay, start)),
            ask(Detector::PhoneNumber, &|| number::phone_at_home(hay, start)),
            ask(Detector::IpAddress, &|| number::ipv4(hay, start)),
            ask(Detector::IpAddress, &|| number::ipv6(hay, start)),
            ask(Detector::MacAddress, &|| national::mac(hay, start)),
            look_national(hay, start, wanted),
            // The last of those that are as long.
            ask(Detector::PaymentCard, &|| number::card(hay, start).or_else(|| number::card_dotted(hay, start))),
        ]
        .into_iter()
        .flatten()
        .max_by_key(|found| found.end),
        Trigger::International => ask(Detector::PhoneNumber, &|| number::phone_international(hay, start))
            .or_else(|| look_national(hay, start, wanted)),
        Trigger::Bracketed => ask(Detector::PhoneNumber, &|| number::phone_bracketed(hay, matched.range())),
        Trigger::NamedPhone => ask(Detector::PhoneNumber, &|| number::phone_named(hay, start..matched.end())),
        Trigger::Contact => ask(Detector::PhoneNumber, &|| number::phone_contact(hay, start..matched.end())),
        Trigger::Trunk => ask(Detector::PhoneNumber, &|| number::phone_at_home(hay, start))
            .or_else(|| look_national(hay, start, wanted))
            .or_else(|| ask(Detector::MacAddress, &|| national::mac(hay, start))),
        Trigger::Iban => ask(Detector::Iban, &|| iban::iban(hay, iban::after_label(hay, start)))
            .or_else(|| look_national(hay, start, wanted)),
        Trigger::Jwt => ask(Detector::Jwt, &|| secret::jwt(hay, start)),
        Trigger::PrivateKey => ask(Detector::PrivateKey, &|| secret::private_key(hay, matched.range())),
        Trigger::Token => {
            let entra = || secret::entra_secret(hay, start).map(|range| (Detector::ApiKey, range));
            let (detector, range) = secret::token(hay, start).or_else(entra)?;
            ask(detector, &|| Some(range.clone()))
        }
        Trigger::AwsSecret => ask(Detector::AwsKey, &|| secret::aws_secret(hay, matched.end())),
        Trigger::PasswordHash => ask(Detector::PasswordHash, &|| secret::password_hash(hay, start)),
        Trigger::AzureKey => ask(Detector::ApiKey, &|| secret::azure_key(hay, matched.end())),
        Trigger::Url => ask(Detector::UrlPassword, &|| match hay.get(matched.start()) {
            Some(b':') => secret::url_password(hay, matched.end()),
            _ => secret::oracle_password(hay, matched.end()),
        }),
        // The letters of a bank stand behind the word that names them.
        Trigger::National => look_national(hay, start, wanted)
            .or_else(|| ask(Detector::Iban, &|| iban::iban(hay, start)))
            .or_else(|| look_national(hay, matched.end().saturating_sub(BANK_LETTERS), wanted))
            .or_else(|| ask(Detector::MacAddress, &|| national::mac(hay, start))),
        Trigger::Mac => ask(Detector::MacAddress, &|| national::mac(hay, start)),
        Trigger::Password => ask(Detector::UrlPassword, &|| secret::named_password(hay, matched.range())),
    }
}

fn look_national(hay: &[u8], start: usize, wanted: Detectors) -> Option<Found> {
    let (detector, range) = national::number(hay, start)?;
    wanted.contains(detector).then_some(Found { start: range.start, end: range.end, detector })
}

/// Adds what other finds leave of one.
fn fill(finds: &mut Vec<Found>, new: Found) {
    let Found { mut start, end, detector } = new;
    while start < end {
        let place = finds.partition_point(|old| old.end <= start);
        let until = finds.get(place).map_or(end, |next| next.start.min(end));
        if until > start {
            finds.insert(place, Found { start, end: until, detector });
        }
        let after = finds.get(place).map_or(end, |covering| covering.end);
        start = after.max(until);
    }
}

/// Puts a find in its place; returns false if it gives way to others. One that covers all that it overlaps takes their
/// place, except that of what opens doors: `password@host` is no address.
fn keep(finds: &mut Vec<Found>, new: Found) -> bool {
    let first = finds.partition_point(|old| old.end <= new.start);
    let overlapped = finds.iter().skip(first).take_while(|old| old.start < new.end);
    let mut count = 0;
    for old in overlapped {
        let is_covered = new.start <= old.start && new.end >= old.end && (new.start, new.end) != (old.start, old.end);
        let opens = [Detector::UrlPassword, Detector::GithubToken, Detector::ApiKey, Detector::AwsKey];
        if !is_covered || opens.contains(&old.detector) {
            return false;
        }
        count += 1;
    }
    drop(finds.splice(first..first + count, [new]));
    true
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static FINDER: LazyLock<Finder> = LazyLock::new(|| Finder::new(None).unwrap());

    /// Each text holds the one value, and nothing else that the detector finds.
    pub(in crate::detect) fn check_found(detector: Detector, table: &[(&str, &str)]) {
        for (text, value) in table {
            let finds = FINDER.find(text.as_bytes(), Detectors::default().with(detector));
            let finds: Vec<_> = finds.iter().map(|found| &text[found.start..found.end]).collect();
            assert_eq!(finds, [*value], "{detector} in {text:?}");
        }
    }

    /// The detector finds nothing in any of the texts.
    pub(in crate::detect) fn check_left(detector: Detector, table: &[&str]) {
        for text in table {
            let finds = FINDER.find(text.as_bytes(), Detectors::default().with(detector));
            let finds: Vec<_> = finds.iter().map(|found| &text[found.start..found.end]).collect();
            assert!(finds.is_empty(), "{detector} in {text:?}: {finds:?}");
        }
    }

    /// A text that some trigger matches, with nothing around it.
    fn trigger() -> impl Strategy<Value = String> {
        let patterns = TRIGGERS.map(|(_, pattern)| pattern.replace(lead!(), "").replace(r"\x80-\xff", ""));
        prop::sample::select(patterns.to_vec())
            .prop_flat_map(|pattern| prop::string::string_regex(&pattern).expect("a pattern that makes texts"))
    }

    fn check_all(text: &str, expected: &[(Detector, &str)]) {
        let finds = FINDER.find(text.as_bytes(), Detectors::all());
        let finds: Vec<_> = finds.iter().map(|found| (found.detector, &text[found.start..found.end])).collect();
        assert_eq!(finds, expected, "{text:?}");
    }

    #[test]
    fn settles_overlaps() {
        check_all("415-555-0123@example.com", &[(Detector::Email, "415-555-0123@example.com")]);
        check_all("bob.415-555-0123@example.com", &[(Detector::Email, "bob.415-555-0123@example.com")]);
        check_all("postgres://app:hunter2@db.example", &[(Detector::UrlPassword, "hunter2")]);
        check_all(
            "amqp://415-555-0123:hunter2@db.example",
            &[(Detector::PhoneNumber, "415-555-0123"), (Detector::UrlPassword, "hunter2")],
        );
    }

    #[test]
    fn finds_what_is_written_with_other_spaces_and_digits() {
        let card = "4111\u{a0}1111\u{202f}1111\u{2009}1111";
        check_all(&format!("carte {card} \u{e0} jour"), &[(Detector::PaymentCard, card)]);
        let card = "\u{ff14}\u{ff11}\u{ff11}\u{ff11}\u{3000}1111\u{3000}1111\u{3000}1111";
        check_all(card, &[(Detector::PaymentCard, card)]);
        check_all(
            "4111\u{200b}1111\u{200b}1111\u{200b}1111",
            &[(Detector::PaymentCard, "4111\u{200b}1111\u{200b}1111\u{200b}1111")],
        );
        check_all(
            "DE89\u{a0}3704\u{a0}0044\u{a0}0532\u{a0}0130\u{a0}00",
            &[(Detector::Iban, "DE89\u{a0}3704\u{a0}0044\u{a0}0532\u{a0}0130\u{a0}00")],
        );
        check_all("SSN 123\u{2011}45\u{2011}6789", &[(Detector::UsSsn, "123\u{2011}45\u{2011}6789")]);
        check_all(
            "as noted\u{2014}+44\u{2011}7700\u{2011}900950\u{2014}by us",
            &[(Detector::PhoneNumber, "+44\u{2011}7700\u{2011}900950")],
        );
        check_all("anna\u{ff20}example.com", &[(Detector::Email, "anna\u{ff20}example.com")]);
        check_all(
            "call 415-555-0123\u{2013}now, or bob@example.com",
            &[(Detector::PhoneNumber, "415-555-0123"), (Detector::Email, "bob@example.com")],
        );
        check_all("caf\u{e9} pages 12\u{2013}34 \u{201c}x\u{201d}", &[]);
    }

    #[test]
    fn what_is_recognized_stands_beside_what_is_found() {
        let finder = Finder::new(Some(Arc::new(recognizer::tests::Lotte))).unwrap();
        let text = "Lotte, Lotte@corp.example";
        let find = |wanted| -> Vec<_> {
            let finds = finder.find(text.as_bytes(), wanted);
            finds.iter().map(|found| (found.detector, &text[found.start..found.end])).collect()
        };
        let (person, mail) = ((Detector::PersonName, "Lotte"), (Detector::Email, "Lotte@corp.example"));
        assert_eq!(find(Detectors::all()), [person, mail]);
        assert_eq!(find(Detectors::all().without(Detector::PersonName)), [mail]);
        assert_eq!(FINDER.find(text.as_bytes(), Detectors::all()).len(), 1, "without a recognizer");
        let text = "whose? ghp_16C7e42F292c6912E7710c838347Ae178B4a";
        let finds = finder.find(text.as_bytes(), Detectors::all());
        assert_eq!((finds.len(), finds[0].start, finds[0].end), (1, 0, text.len()), "what was not looked at");
    }

    #[test]
    fn what_other_finds_leave_is_added() {
        let find = |start, end, detector| Found { start, end, detector };
        let places = |old: &[(usize, usize)], start, end| {
            let mut finds: Vec<_> = old.iter().map(|(start, end)| find(*start, *end, Detector::Email)).collect();
            fill(&mut finds, find(start, end, Detector::PersonName));
            finds.iter().map(|found| (found.start, found.end)).collect::<Vec<_>>()
        };
        assert_eq!(places(&[], 2, 5), [(2, 5)]);
        assert_eq!(places(&[(0, 3)], 2, 5), [(0, 3), (3, 5)]);
        assert_eq!(places(&[(3, 4)], 2, 5), [(2, 3), (3, 4), (4, 5)]);
        assert_eq!(places(&[(1, 6)], 2, 5), [(1, 6)]);
        assert_eq!(places(&[(0, 1), (4, 8)], 2, 5), [(0, 1), (2, 4), (4, 8)]);
        assert_eq!(places(&[(5, 8)], 2, 5), [(2, 5), (5, 8)]);
    }

    #[test]
    fn finds_several_in_order() {
        check_all(
            "bob@example.com,eve@example.org; 123-45-6789 from 10.1.2.3",
            &[
                (Detector::Email, "bob@example.com"),
                (Detector::Email, "eve@example.org"),
                (Detector::UsSsn, "123-45-6789"),
                (Detector::IpAddress, "10.1.2.3"),
            ],
        );
    }

    #[test]
    fn goes_on_after_what_was_refused() {
        check_all("000-12-123-45-6789 12.34.56.78.90 a@b@example.com", &[(Detector::Email, "b@example.com")]);
    }

    #[test]
    fn takes_linear_time_over_what_nearly_matches() {
        let near = [
            "eyJ-eyJaaaaaaaaa",
            "4111 ",
            "a@",
            "-----BEGIN",
            "://a:",
            "+1 1 ",
            "AWS_SECRET",
            "1.1.",
            "DE89 3704 ",
            "password:\"",
            "pw='",
        ];
        for text in near {
            let text = text.repeat(200_000 / text.len());
            FINDER.find(text.as_bytes(), Detectors::all());
        }
    }

    #[test]
    fn the_table_of_candidates_stands_and_overlooks_nothing() {
        let table = CANDIDATES.as_ref().expect("it is small enough");
        assert!(table.memory_usage() < TABLE_BYTES_MAX, "{}", table.memory_usage());
        for (trigger, text) in [
            (Trigger::Mail, "a@b"),
            (Trigger::Number, "x 4111 1111 11"),
            (Trigger::International, "+44 20 7946"),
            (Trigger::Jwt, "_eyJhbGciOiJ"),
            (Trigger::AwsSecret, "AWS_secret"),
            (Trigger::Url, "x://"),
        ] {
            assert!(may_hold_something(text.as_bytes()), "{trigger:?}");
        }
        assert!(!may_hold_something(b"prefers letters to calls, City 512"));
    }

    /// The least that each alternative of each trigger matches; around it nothing counts.
    const LEAST: &[&str] = &[
        "@a",
        "4000000000",
        "4000 0000 00",
        "000 00 0000",
        "200-200-0000",
        "1-200-200-0000",
        "1.1.1.1",
        "2000:a",
        "FC00:a",
        "fe80:a",
        "+1 00000000",
        "200.200.0000",
        "4000.0000.0000.0000",
        "+298 00000",
        "(200) 2000000",
        "AA00AAAA",
        "AA00-AAAA",
        "AA000000",
        "eyJaaaaaaaa",
        "-----BEGIN PRIVATE KEY",
        "AKIAAAAA",
        "ASIA0000",
        "gho_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xapp-",
        "rk_live_",
        "sk_test_",
        "ya29.",
        "GOCSPX-",
        "AccountKey=",
        "SharedAccessKey=",
        "xoxd-",
        "sk-a",
        "npm_",
        "pypi-AgE",
        "AIza",
        "glrt-",
        "whsec_",
        "hooks.slack.com/services/",
        "sig=",
        "a%40a",
        "4000 000 000 000",
        "tel:2000000",
        "fax no. (20 0 0 00 0",
        "call 01 0000000",
        "AAA 000000",
        "ES A0000000",
        "aa000000000000",
        "aa00a0 0 0 0 0 0 0 0",
        "aa 000000 a",
        "aaaaaa00a00a000a",
        "IBANAA00AAAA",
        "00 1000000",
        "%2b100000000",
        "(01)2345",
        "(11) 2000-0000",
        "(495) 000-00-00",
        "01 0000",
        "01.00.00.00",
        "1 200 200 0000",
        "my number is:2000000",
        "\u{442}\u{435}\u{43b} 2000000",
        "000000+0000",
        "AAA AAA 00A00 A",
        "x0000000a",
        "ABIA0000",
        "glft-",
        "glsoat-",
        "glagent-",
        "AQ.Ab8RN6",
        "hooks.slack.com/triggers/",
        "hf_",
        "SG.aaaaaaaaaaaaaaaaaaaaaa.",
        "dop_v1_",
        "shpss_",
        "glsa_",
        "dckr_pat_",
        "aaa0Q~a",
        "---- BEGIN PRIVATE KEY",
        "PuTTY-User-Key-File-3:",
        "aws.secret",
        "AWS_SESSION_TOKEN",
        "awsSessionToken\":",
        "aws secret",
        "Secret Access Key",
        "s3a.secret.key",
        "s3.secret-key",
        "AZURE_STORAGE_KEY=",
        "azure-storage-account-key:",
        "accountKey\":",
        "primary_key =",
        "SecondaryKey:",
        "jdbc:oracle:thin:",
        "JDBC:ORACLE:OCI8:",
        "$sha1$a",
        "$8$a",
        "$bcrypt-sha256$a",
        "sha1$a$00000000",
        "grub.pbkdf2.",
        "bindpw=",
        "pw:",
        "sshpass -p",
        "bic:AAAAAA",
        "identifier code:AAAAAA",
        "wachtwoord:",
        "Kennwort=",
        "l\u{f6}senord:",
        "Has\u{142}o:",
        "heslo=",
        "parola:",
        "\u{41f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}:",
        "\u{5bc6}\u{7801}\u{ff1a}",
        "\u{30d1}\u{30b9}\u{30ef}\u{30fc}\u{30c9}:",
        "\u{be44}\u{bc00}\u{bc88}\u{d638}:",
        "10000002A000",
        "AA.AAA.AAA/AAAA-00",
        "00.000.000A",
        "aaaa.aaaa.aaaa",
        "$6$a",
        "$apr1$/",
        "*0000000000000000000000000000000000000000",
        "{SHA}",
        "{SMD5}",
        "$pbkdf2-sha1$0",
        "scrypt:aa",
        "pbkdf2:aa",
        "pwd:",
        "pwd\\\":",
        "pass=",
        "passphrase:",
        "passord:",
        "senha=",
        "contrase\u{f1}a=",
        "--passwd ",
        "<password>",
        "PASSWORD '",
        "identified by '",
        "awssecret",
        "AWS-secret",
        "secretaccesskey",
        "SECRET_ACCESS_KEY",
        "$2a$00$",
        "$argon2i$",
        "SCRAM-SHA-1$",
        "md5aaaaaaaa",
        "pbkdf2_sha1$",
        "://",
        ":\\/\\/",
    ];

    #[test]
    fn the_census_lets_the_least_of_every_trigger_by() {
        for least in LEAST {
            assert!(FINDER.regex.is_match(least.as_bytes()), "{least} is what no trigger matches");
            for hay in [least.to_string(), format!("a {least} o")] {
                assert!(Census::of(hay.as_bytes()).allows_something(), "{hay}");
                assert!(may_hold_something(hay.as_bytes()), "{hay}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_no_candidate_holds_nothing(hay in "[0-9a-fA-FSKIVP@.:/\\\\ +()_$eyJ\"-]{0,80}") {
            prop_assert!(may_hold_something(hay.as_bytes()) || !FINDER.regex.is_match(hay.as_bytes()));
        }

        #[test]
        fn the_census_lets_everything_by_that_a_trigger_matches(
            before in "[aeiou ]{0,20}",
            found in trigger(),
            after in "[aeiou ]{0,20}",
        ) {
            let hay = [before, found, after].concat();
            let allows = Census::of(hay.as_bytes()).allows_something();
            prop_assert!(allows || !FINDER.regex.is_match(hay.as_bytes()), "{hay}");
        }

        #[test]
        fn finds_in_what_is_folded_are_whole_characters(hay in "[0-9 @.+\u{a0}\u{200b}\u{2013}\u{ff10}-\u{ff19}\u{ff20}a-c\u{e9}]{0,80}") {
            for found in FINDER.find(hay.as_bytes(), Detectors::all()) {
                prop_assert!(hay.get(found.start..found.end).is_some(), "{hay:?} {found:?}");
            }
        }

        #[test]
        fn finds_are_in_order_and_inside(hay in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut end = 0;
            for found in FINDER.find(&hay, Detectors::all()) {
                prop_assert!(end <= found.start && found.start < found.end && found.end <= hay.len());
                end = found.end;
            }
        }

        #[test]
        fn finds_hold_up_in_likely_text(hay in "[0-9a-fA-F@.:/\\\\ +()_$eyJ\"-]{0,200}") {
            let mut end = 0;
            for found in FINDER.find(hay.as_bytes(), Detectors::all()) {
                prop_assert!(end <= found.start && found.start < found.end && found.end <= hay.len());
                end = found.end;
            }
        }
    }
}
