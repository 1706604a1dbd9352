//! Takes tag-length-value units from a reader, without holding more than one field.

use std::io::{self, BufRead as _, BufReader, Read};

use crate::finding::Report;
use crate::rules::{COMPLETE, NO_TRAILING_OCTETS};
use crate::tree::Header;

use super::Field;

/// A reader that knows how far it is.
#[derive(Debug)]
pub(super) struct Source<R> {
    reader: BufReader<R>,
    offset: u64,
}

/// A value whose header has been read and whose contents follow.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) offset: u64,
    pub(super) header: Header,
    header_octets: [u8; Header::LONGEST],
}

impl Begun {
    /// Octets of header and contents.
    pub(super) fn length(&self) -> u64 {
        self.header.length.saturating_add(self.header.octets.into())
    }
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, reader), offset: 0 }
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Octets that have been read ahead; none when the next read asks the reader.
    pub(super) fn ahead(&self) -> &[u8] {
        self.reader.buffer()
    }

    /// Goes on by octets that lie ahead.
    pub(super) fn pass(&mut self, octets: usize) {
        self.reader.consume(octets);
        self.offset = crate::tree::advance(self.offset, octets);
    }

    /// Reads the header of the next value, which with its contents must fit into `left` octets.
    /// `None` after a finding that stops reading.
    pub(super) fn begin(&mut self, left: u64, report: &mut Report) -> io::Result<Option<Begun>> {
        let offset = self.offset;
        let mut octets = [0; Header::LONGEST];
        let (short, long) = octets.split_at_mut(2);
        let mut read = self.fill(short)?;
        if let [_, first @ 0x81..=0x88] = *short {
            let count = usize::from(first & 0x7f);
            read += self.fill(long.get_mut(..count).unwrap_or_default())?;
        }
        let Some(header) = Header::read(octets.get(..read).unwrap_or_default(), offset, report)
        else {
            return Ok(None);
        };
        let begun = Begun { offset, header, header_octets: octets };
        if begun.length() > left {
            let seen = format!("{} octets are announced, {left} are left", begun.length());
            report.stop(&COMPLETE, offset, seen);
            return Ok(None);
        }
        Ok(Some(begun))
    }

    /// Reads the contents of a value that has begun, at most `longest` octets.
    pub(super) fn finish(
        &mut self,
        begun: Begun,
        longest: u64,
        report: &mut Report,
    ) -> io::Result<Option<Field>> {
        let mut octets = Vec::new();
        Ok(self
            .finish_into(&begun, longest, &mut octets, report)?
            .then_some(Field { offset: begun.offset, octets }))
    }

    /// As [`Self::finish`], into a buffer that is used again; `false` after a finding.
    pub(super) fn finish_into(
        &mut self,
        begun: &Begun,
        longest: u64,
        octets: &mut Vec<u8>,
        report: &mut Report,
    ) -> io::Result<bool> {
        let header = begun.header_octets.get(..begun.header.octets.into()).unwrap_or_default();
        octets.clear();
        octets.extend_from_slice(header);
        let length = begun.header.length;
        if length > longest {
            let seen = format!("a field of {length} octets; read are at most {longest}");
            report.stop(&COMPLETE, begun.offset, seen);
            return Ok(false);
        }
        let read = (&mut self.reader).take(length).read_to_end(octets)?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(read);
        if read < length {
            report.stop(&COMPLETE, self.offset, format!("{} octets are missing", length - read));
        }
        Ok(read == length)
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self, report: &mut Report) -> io::Result<()> {
        if self.fill(&mut [0])? > 0 {
            report.add(&NO_TRAILING_OCTETS, self.offset, "octets follow the CRL");
        }
        Ok(())
    }

    /// Fills `target` as far as the reader goes.
    fn fill(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = target.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.offset = crate::tree::advance(self.offset, filled);
        Ok(filled)
    }
}
