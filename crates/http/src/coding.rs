//! Content codings (RFC 9110, section 8.4.1), decoded as they come.

use std::io::Write as _;

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use gatehouse_protocol::Breach;

/// Those that are understood.
pub(crate) const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "identity"];
/// How much is decoded at a time, in bytes: it becomes about a thousand times as much at most.
const CODED_BYTES_STEP: usize = 4096;

/// Decodes one body.
pub(crate) enum Decoder {
    Identity,
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// What is called `deflate` has a zlib wrapper, or, from some servers, none: its first byte says which.
    DeflateOrZlib,
    Zlib(ZlibDecoder<Vec<u8>>),
    Deflate(DeflateDecoder<Vec<u8>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
}

impl Decoder {
    /// `None` if the coding is not understood.
    pub(crate) fn new(coding: Option<&str>) -> Option<Self> {
        match coding.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip(MultiGzDecoder::new(Vec::new()))),
            "deflate" => Some(Self::DeflateOrZlib),
            "br" => Some(Self::Brotli(Box::new(DecompressorWriter::new(Vec::new(), CODED_BYTES_STEP)))),
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
            let written = match self {
                Self::Identity | Self::DeflateOrZlib => Ok(()),
                Self::Gzip(decoder) => decoder.write_all(part).and_then(|()| decoder.flush()),
                Self::Zlib(decoder) => decoder.write_all(part).and_then(|()| decoder.flush()),
                Self::Deflate(decoder) => decoder.write_all(part).and_then(|()| decoder.flush()),
                Self::Brotli(decoder) => decoder.write_all(part).and_then(|()| decoder.flush()),
            };
            written.map_err(|error| undecodable(&error))?;
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
        };
        finished.map_err(|error| undecodable(&error))?;
        self.hand_on(&mut take)
    }

    fn hand_on(&mut self, take: &mut impl FnMut(&[u8]) -> Result<(), Breach>) -> Result<(), Breach> {
        let decoded = match self {
            Self::Identity | Self::DeflateOrZlib => return Ok(()),
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
        };
        take(decoded)?;
        decoded.clear();
        Ok(())
    }
}

fn undecodable(error: &std::io::Error) -> Breach {
    Breach::target(format!("the target's body is not what its content coding says: {error}"))
}
