//! Content codings (RFC 9110, section 8.4.1), decoded as they come.

use std::io;

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use gatehouse_protocol::Breach;
use zstd::stream::write::Decoder as ZstdDecoder;

/// Those that are understood.
pub(crate) const CODINGS: [&str; 5] = ["gzip", "deflate", "br", "zstd", "identity"];
/// How much is decoded at a time, in bytes: it becomes about a thousand times as much at most.
const CODED_BYTES_STEP: usize = 4096;
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
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    Zstd(Box<ZstdDecoder<'static, Vec<u8>>>),
}

impl Decoder {
    /// `None` if the coding is not understood.
    pub(crate) fn new(coding: Option<&str>) -> Option<Self> {
        match coding.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip(MultiGzDecoder::new(Vec::new()))),
            "deflate" => Some(Self::DeflateOrZlib),
            "br" => Some(Self::Brotli(Box::new(DecompressorWriter::new(Vec::new(), CODED_BYTES_STEP)))),
            "zstd" => {
                let mut decoder = ZstdDecoder::new(Vec::new()).ok()?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).ok()?;
                Some(Self::Zstd(Box::new(decoder)))
            }
            _ => None,
        }
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
            Self::Brotli(decoder) => decoder.close(),
            Self::Zstd(decoder) => decoder.do_finish(),
        };
        finished.map_err(|error| undecodable(&error))?;
        self.hand_on(&mut take)
    }

    /// What takes coded bytes.
    fn writer(&mut self) -> Option<&mut dyn io::Write> {
        match self {
            Self::Identity | Self::DeflateOrZlib => None,
            Self::Gzip(decoder) => Some(decoder),
            Self::Zlib(decoder) => Some(decoder),
            Self::Deflate(decoder) => Some(decoder),
            Self::Brotli(decoder) => Some(decoder),
            Self::Zstd(decoder) => Some(decoder),
        }
    }

    fn hand_on(&mut self, take: &mut impl FnMut(&[u8]) -> Result<(), Breach>) -> Result<(), Breach> {
        let decoded = match self {
            Self::Identity | Self::DeflateOrZlib => return Ok(()),
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        };
        take(decoded)?;
        decoded.clear();
        Ok(())
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
        for (name, made) in [("gzip", "gzip"), ("deflate", "zlib"), ("deflate", "deflate"), ("zstd", "zstd")] {
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
        for coding in ["gzip", "zstd"] {
            let (out, most) = decoded(coding, &coded(coding, &much), usize::MAX).unwrap();
            assert_eq!(out.len(), much.len(), "{coding}");
            assert!(most <= 4 << 20, "{most} bytes of {coding} at once");
        }
        // A window that is longer than a decoder has to keep (RFC 9659).
        let mut encoder = zstd::Encoder::new(Vec::new(), 19).unwrap();
        encoder.window_log(27).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&much).unwrap();
        assert!(decoded("zstd", &encoder.finish().unwrap(), usize::MAX).is_err());
    }
}
