//! Content codings (RFC 9110, section 8.4.1), decoded as they come.

use std::io;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use gatehouse_protocol::Breach;
use zstd::stream::write::Decoder as ZstdDecoder;

/// Those that are understood.
pub(crate) const CODINGS: [&str; 5] = ["gzip", "deflate", "br", "zstd", "identity"];
/// How much is decoded at a time, in bytes.
const CODED_BYTES_STEP: usize = 4096;
/// How much comes of that at a time, at most, and how much of what is fed at once, in bytes: more is nobody's honest text.
const DECODED_BYTES_STEP: usize = 32 * 1024;
const DECODED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How far back zstd may refer, as a power of two: 8 MiB (RFC 9659, section 3).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Decodes one body.
pub(crate) enum Decoder {
    Identity,
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// What is called `deflate` has a zlib wrapper, or, from some servers, none: its first byte says which.
    DeflateOrZlib,
    Zlib(ZlibDecoder<Vec<u8>>),
    Deflate(DeflateDecoder<Vec<u8>>),
    Brotli(Box<Brotli>),
    Zstd(Box<ZstdDecoder<'static, Vec<u8>>>),
}

impl Decoder {
    /// `None` if the coding is not understood.
    pub(crate) fn new(coding: Option<&str>) -> Option<Self> {
        match coding.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip(MultiGzDecoder::new(Vec::new()))),
            "deflate" => Some(Self::DeflateOrZlib),
            "br" => Some(Self::Brotli(Box::default())),
            "zstd" => {
                let mut decoder = ZstdDecoder::new(Vec::new()).ok()?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).ok()?;
                Some(Self::Zstd(Box::new(decoder)))
            }
            _ => None,
        }
    }

    /// Whether anything has to be decoded.
    pub(crate) fn is_coded(&self) -> bool {
        !matches!(self, Self::Identity)
    }

    /// Takes the next bytes a few at a time, and hands on what they decode to.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Breach>,
    ) -> Result<(), Breach> {
        if let Self::Identity = self {
            return take(bytes);
        }
        let mut decoded = 0;
        let mut take = |part: &[u8]| {
            decoded += part.len();
            if decoded > DECODED_BYTES_MAX {
                return Err(Breach::target("the target's body stands for far more than it is long"));
            }
            take(part)
        };
        for part in bytes.chunks(CODED_BYTES_STEP) {
            if let Self::DeflateOrZlib = self {
                // A zlib header says in its low bits that it is deflate (RFC 1950).
                let is_zlib = part.first().is_some_and(|first| first & 0x0f == 8);
                *self = if is_zlib {
                    Self::Zlib(ZlibDecoder::new(Vec::new()))
                } else {
                    Self::Deflate(DeflateDecoder::new(Vec::new()))
                };
            }
            if let Self::Brotli(brotli) = self {
                brotli.feed(part, &mut take)?;
                continue;
            }
            let mut rest = part;
            while !rest.is_empty() {
                let taken = self.writer().map_or(Ok(rest.len()), |decoder| decoder.write(rest));
                let taken = taken.map_err(|error| undecodable(&error))?;
                if taken == 0 {
                    return Err(undecodable(&io::ErrorKind::WriteZero.into()));
                }
                // Not all at once: four bytes of zstd may stand for 128 KiB.
                self.hand_on(&mut take)?;
                rest = rest.get(taken..).unwrap_or_default();
            }
            self.writer().map_or(Ok(()), io::Write::flush).map_err(|error| undecodable(&error))?;
            self.hand_on(&mut take)?;
        }
        Ok(())
    }

    /// The body is complete.
    pub(crate) fn finish(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), Breach>) -> Result<(), Breach> {
        let finished = match self {
            Self::Identity | Self::DeflateOrZlib => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
            Self::Brotli(brotli) if brotli.is_done => Ok(()),
            Self::Brotli(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Self::Zstd(decoder) => decoder.do_finish(),
        };
        finished.map_err(|error| undecodable(&error))?;
        self.hand_on(&mut take)
    }

    /// What takes coded bytes.
    fn writer(&mut self) -> Option<&mut dyn io::Write> {
        match self {
            Self::Identity | Self::DeflateOrZlib | Self::Brotli(_) => None,
            Self::Gzip(decoder) => Some(decoder),
            Self::Zlib(decoder) => Some(decoder),
            Self::Deflate(decoder) => Some(decoder),
            Self::Zstd(decoder) => Some(decoder),
        }
    }

    fn hand_on(&mut self, take: &mut impl FnMut(&[u8]) -> Result<(), Breach>) -> Result<(), Breach> {
        let decoded = match self {
            Self::Identity | Self::DeflateOrZlib | Self::Brotli(_) => return Ok(()),
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        };
        take(decoded)?;
        decoded.clear();
        Ok(())
    }
}

/// Decodes brotli (RFC 7932) into a buffer of fixed size. Windows that are larger than that has are refused.
pub(crate) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    buf: Vec<u8>,
    is_done: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        let state = BrotliState::new_strict(alloc(), alloc(), alloc());
        Self { state, buf: vec![0; DECODED_BYTES_STEP], is_done: false }
    }
}

impl Brotli {
    fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), Breach>) -> Result<(), Breach> {
        let (mut left, mut read, mut total) = (bytes.len(), 0, 0);
        loop {
            let (mut room, mut written) = (self.buf.len(), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut read,
                bytes,
                &mut room,
                &mut written,
                &mut self.buf,
                &mut total,
                &mut self.state,
            );
            take(self.buf.get(..written).unwrap_or_default())?;
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultSuccess if left == 0 => {
                    self.is_done = true;
                    return Ok(());
                }
                BrotliResult::ResultSuccess | BrotliResult::ResultFailure => {
                    return Err(undecodable(&io::ErrorKind::InvalidData.into()));
                }
            }
        }
    }
}

fn undecodable(error: &io::Error) -> Breach {
    Breach::target(format!("the target's body is not what its content coding says: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn coded(coding: &str, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            "gzip" => GzEncoder::new(&mut out, Compression::best()).write_all(text).unwrap(),
            "zlib" => ZlibEncoder::new(&mut out, Compression::best()).write_all(text).unwrap(),
            "deflate" => DeflateEncoder::new(&mut out, Compression::best()).write_all(text).unwrap(),
            // Of the text below, by Google's encoder.
            "br" => out = include_bytes!("../fixture/text.br").to_vec(),
            _ => out = zstd::encode_all(text, 9).unwrap(),
        }
        out
    }

    /// What comes of it, fed so many bytes at a time, and the most that came at once.
    fn decoded(coding: &str, coded: &[u8], step: usize) -> Result<(Vec<u8>, usize), Breach> {
        let (mut out, mut most) = (Vec::new(), 0);
        let mut take = |part: &[u8]| {
            most = most.max(part.len());
            out.extend_from_slice(part);
            Ok(())
        };
        let mut decoder = Decoder::new(Some(coding)).unwrap();
        for part in coded.chunks(step) {
            decoder.feed(part, &mut take)?;
        }
        decoder.finish(&mut take)?;
        Ok((out, most))
    }

    #[test]
    fn codings_are_decoded_however_they_are_split() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|at| (at % 251).to_string().into_bytes()).collect();
        for (name, made) in
            [("gzip", "gzip"), ("deflate", "zlib"), ("deflate", "deflate"), ("br", "br"), ("zstd", "zstd")]
        {
            let coded = coded(made, &text);
            for step in [1, 7, 5000, usize::MAX] {
                assert!(decoded(name, &coded, step).is_ok_and(|(out, _)| out == text), "{made} by {step}");
            }
            let cut = &coded[..coded.len() - 5];
            assert!(decoded(name, cut, 100).is_err(), "{made} without its end");
        }
        let twice = [coded("zstd", b"one "), coded("zstd", b"two")].concat();
        assert!(decoded("zstd", &twice, 3).is_ok_and(|(out, _)| out == b"one two"));
    }

    #[test]
    fn little_that_stands_for_much_comes_in_parts() {
        let much = vec![b'0'; 16 << 20];
        // By Google's encoder: 64 MiB of zeros, with a window of 24 bits; and one that says a window of 30 bits.
        let brotli = include_bytes!("../fixture/zeros.br");
        for (coding, coded) in [("gzip", coded("gzip", &much)), ("zstd", coded("zstd", &much)), ("br", brotli.to_vec())]
        {
            let (mut all, mut most) = (0, 0);
            let mut take = |part: &[u8]| {
                (all, most) = (all + part.len(), most.max(part.len()));
                Ok(())
            };
            let mut decoder = Decoder::new(Some(coding)).unwrap();
            let fed = coded.chunks(8).try_for_each(|part| decoder.feed(part, &mut take));
            assert!(fed.is_ok() && all >= much.len(), "{coding}: {fed:?}");
            assert!(most <= 256 * 1024, "{most} bytes of {coding} at once");
            // All at once it is more than anybody means.
            let whole = Decoder::new(Some(coding)).unwrap().feed(&coded, |_| Ok(()));
            assert_eq!(whole.is_err(), coding == "br", "{coding}: {whole:?}");
        }
        assert!(decoded("br", include_bytes!("../fixture/window.br"), 100).is_err());
        // A window that is longer than a decoder has to keep (RFC 9659).
        let mut encoder = zstd::Encoder::new(Vec::new(), 19).unwrap();
        encoder.window_log(27).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&much).unwrap();
        assert!(decoded("zstd", &encoder.finish().unwrap(), usize::MAX).is_err());
    }
}
