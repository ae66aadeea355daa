//! How long pickles are, found without doing what they say.

use std::io::{self, BufRead, Read};

/// A pickle that was passed over.
pub(super) struct Passed {
    /// How many operations it has.
    pub operations: u64,
    /// Whether it has an end; else it is cut off or none, which is for who reads it to say.
    pub is_whole: bool,
}

/// Passes over the pickle that `input` begins with.
pub(super) fn pass(input: &mut impl BufRead) -> Passed {
    let mut operations = 0;
    loop {
        match operation(input) {
            Ok(STOP) => break,
            Ok(_) => operations += 1,
            Err(_) => {
                return Passed {
                    operations,
                    is_whole: false,
                };
            }
        }
    }
    Passed {
        operations,
        is_whole: true,
    }
}

const STOP: u8 = b'.';

/// Passes over an operation and what it is of, and returns its code (Python's `pickletools` has the table).
fn operation(input: &mut impl BufRead) -> io::Result<u8> {
    let [code] = bytes(input)?;
    match code {
        b'K' | b'h' | b'q' | 0x80 | 0x82 => skip(input, 1),
        b'M' | 0x83 => skip(input, 2),
        b'J' | b'j' | b'r' | 0x84 => skip(input, 4),
        b'G' | 0x95 => skip(input, 8),
        b'U' | b'C' | 0x8a | 0x8c => {
            let length = u8::from_le_bytes(bytes(input)?);
            skip(input, length.into())
        }
        b'T' | b'X' | b'B' | 0x8b => {
            let length = u32::from_le_bytes(bytes(input)?);
            skip(input, length.into())
        }
        0x8d | 0x8e | 0x96 => {
            let length = u64::from_le_bytes(bytes(input)?);
            skip(input, length)
        }
        b'I' | b'L' | b'F' | b'S' | b'V' | b'P' | b'g' | b'p' => lines(input, 1),
        b'c' | b'i' => lines(input, 2),
        _ => Ok(()),
    }?;
    Ok(code)
}

fn bytes<const N: usize>(input: &mut impl BufRead) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(input: &mut impl BufRead, length: u64) -> io::Result<()> {
    io::copy(&mut input.take(length), &mut io::sink()).map(|_| ())
}

fn lines(input: &mut impl BufRead, count: usize) -> io::Result<()> {
    for _ in 0..count {
        input.skip_until(b'\n')?;
    }
    Ok(())
}
