//! As much of MATLAB's files as ILSVRC's table of classes needs ("MAT-File Format", level 5).

use std::io::Read;

use flate2::read::ZlibDecoder;

const HEADER: usize = 128;
const LITTLE_ENDIAN: &[u8] = b"IM";
/// Bytes that a compressed element may become: ILSVRC's become two million.
const LONGEST: u64 = 64 << 20;

// Types of elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;
/// The class of arrays of structures.
const STRUCTURE: u32 = 2;

/// The numbers and WordNet numbers of the classes: fields `ILSVRC2012_ID` and `WNID` of the structures `synsets`.
///
/// None where the file is another one, or damaged.
pub(super) fn synsets(file: &[u8]) -> Option<Vec<(u32, String)>> {
    let header = file.get(..HEADER)?;
    if !header.ends_with(LITTLE_ENDIAN) {
        return None;
    }
    let mut rest = Elements(&file[HEADER..]);
    loop {
        let (kind, bytes) = rest.next()?;
        let inflated = match kind {
            COMPRESSED => inflate(bytes)?,
            _ => Vec::new(),
        };
        let element = match kind {
            COMPRESSED => Elements(&inflated).next()?,
            _ => (kind, bytes),
        };
        if let (MATRIX, array) = element
            && let Some(array) = Array::read(array)
            && array.name == b"synsets"
            && array.class == STRUCTURE
        {
            return array.structures();
        }
    }
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let mut decoder = ZlibDecoder::new(bytes).take(LONGEST);
    decoder.read_to_end(&mut inflated).ok()?;
    Some(inflated)
}

/// Elements that follow each other: a type, a length and bytes each.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Option<(u32, &'a [u8])> {
        let (first, rest) = self.0.split_first_chunk()?;
        let first = u32::from_le_bytes(*first);
        // A short element has its length in the upper half of its type, and four bytes.
        if first >> 16 != 0 {
            let (bytes, after) = rest.split_at_checked(4)?;
            self.0 = after;
            return Some((first & 0xffff, bytes.get(..(first >> 16) as usize)?));
        }
        let (length, rest) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let bytes = rest.get(..length)?;
        let padded = match first {
            COMPRESSED => length,
            _ => length.next_multiple_of(8).min(rest.len()),
        };
        self.0 = &rest[padded..];
        Some((first, bytes))
    }

    fn next_of(&mut self, wanted: u32) -> Option<&'a [u8]> {
        self.next()
            .filter(|(kind, _)| *kind == wanted)
            .map(|(_, bytes)| bytes)
    }
}

/// An array up to its contents.
struct Array<'a> {
    class: u32,
    length: usize,
    name: &'a [u8],
    contents: Elements<'a>,
}

impl<'a> Array<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut contents = Elements(bytes);
        let flags = contents.next_of(UINT32)?;
        let dimensions = contents.next_of(INT32)?;
        let (dimensions, _) = dimensions.as_chunks();
        let length = dimensions.iter().try_fold(1_usize, |product, side| {
            product.checked_mul(u32::from_le_bytes(*side) as usize)
        });
        Some(Self {
            class: u32::from(*flags.first()?),
            length: length?,
            name: contents.next_of(INT8)?,
            contents,
        })
    }

    fn structures(mut self) -> Option<Vec<(u32, String)>> {
        let width = self.contents.next_of(INT32)?;
        let width = u32::from_le_bytes(*width.first_chunk()?) as usize;
        let names = self.contents.next_of(INT8)?.chunks_exact(width.max(1));
        let names: Vec<&[u8]> = names
            .map(|name| name.split(|byte| *byte == 0).next().unwrap_or_default())
            .collect();
        let place = |wanted: &[u8]| names.iter().position(|name| *name == wanted);
        let (id, wnid) = (place(b"ILSVRC2012_ID")?, place(b"WNID")?);
        let mut found = Vec::new();
        for _ in 0..self.length {
            let fields = names.iter().map(|_| self.contents.next_of(MATRIX));
            let fields: Vec<&[u8]> = fields.collect::<Option<_>>()?;
            found.push((number(fields[id])?, text(fields[wnid])?));
        }
        Some(found)
    }
}

/// The first number of an array. Whole numbers are stored in as few bytes as they need.
fn number(array: &[u8]) -> Option<u32> {
    let (kind, bytes) = Array::read(array)?.contents.next()?;
    Some(match kind {
        UINT8 => (*bytes.first()?).into(),
        UINT16 => u16::from_le_bytes(*bytes.first_chunk()?).into(),
        INT32 | UINT32 => u32::from_le_bytes(*bytes.first_chunk()?),
        DOUBLE => f64::from_le_bytes(*bytes.first_chunk()?) as u32,
        _ => return None,
    })
}

fn text(array: &[u8]) -> Option<String> {
    let (kind, bytes) = Array::read(array)?.contents.next()?;
    match kind {
        UINT16 => {
            let (units, _) = bytes.as_chunks();
            String::from_utf16(
                &units
                    .iter()
                    .map(|unit| u16::from_le_bytes(*unit))
                    .collect::<Vec<_>>(),
            )
            .ok()
        }
        INT8 | UINT8 | UTF8 => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    }
}
