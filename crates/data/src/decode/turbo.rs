//! Decoding JPEG files by libjpeg-turbo.

#![expect(unsafe_code, reason = "the library is written in C")]

use std::ffi::{CStr, c_int};

use turbojpeg_sys as raw;

use crate::{Part, Size};

/// More than programs write, and few enough that a small file does not take long.
const MOST_SCANS: c_int = 100;

/// A multiple of the sides of blocks, whatever the resolution of the colours.
const GRID: usize = 32;

/// The image of `size` around a part of it, the sides divided by `shrink` and rounded up, as bytes: grey, or red, green and
/// blue. And which part that is, before it is divided.
///
/// Where data is damaged, the library goes on with what it can read, as Pillow does.
///
/// # Errors
///
/// What the library says, and where it sees another size.
pub(super) fn decode(
    bytes: &[u8],
    size: Size,
    is_grey: bool,
    part: Part,
    shrink: usize,
) -> Result<(Vec<u8>, Part), String> {
    let decoder = Decoder::new()?;
    if decoder.size(bytes)? != [size.width, size.height].map(|side| side as c_int) {
        return Err("the image is not of the size that its header says".into());
    }
    decoder.shrink(shrink)?;
    let part = match decoder.knows_blocks() {
        true => around(part, size),
        false => Part::whole(size),
    };
    let [top, left] = [part.top, part.left].map(|start| start / shrink);
    let [height, width] = [part.height, part.width].map(|side| side.div_ceil(shrink));
    if part != Part::whole(size) {
        decoder.crop([left, top, width, height])?;
    }
    let (format, channels) = match is_grey {
        true => (raw::TJPF_TJPF_GRAY, 1),
        false => (raw::TJPF_TJPF_RGB, 3),
    };
    let mut pixels = vec![0; width * height * channels];
    let pitch = (width * channels) as c_int;
    // SAFETY: the library reads `bytes.len()` bytes, and fills as many rows of `pitch` bytes as the part has, which was set
    // above, or the image, whose size the same bytes told.
    let status = unsafe {
        raw::tj3Decompress8(
            decoder.0,
            bytes.as_ptr(),
            bytes.len() as raw::size_t,
            pixels.as_mut_ptr(),
            pitch,
            format,
        )
    };
    decoder.check(status).map(|()| (pixels, part))
}

/// Whole blocks, and those beside them, with which colours of half resolution are interpolated.
fn around(part: Part, size: Size) -> Part {
    let start = |start: usize| start.saturating_sub(GRID) / GRID * GRID;
    let end = |end: usize, whole: usize| (end.next_multiple_of(GRID) + GRID).min(whole);
    let [top, left] = [part.top, part.left].map(start);
    Part {
        top,
        left,
        height: end(part.top + part.height, size.height) - top,
        width: end(part.left + part.width, size.width) - left,
    }
}

struct Decoder(raw::tjhandle);

impl Decoder {
    fn new() -> Result<Self, String> {
        // SAFETY: it takes a number alone.
        let decoder = Self(unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int) });
        if decoder.0.is_null() {
            return Err(decoder.error());
        }
        // SAFETY: the handle is whole.
        let status = unsafe {
            let limit = raw::TJPARAM_TJPARAM_SCANLIMIT as c_int;
            raw::tj3Set(decoder.0, limit, MOST_SCANS)
        };
        decoder.check(status).map(|()| decoder)
    }

    /// The width and height that the headers tell.
    fn size(&self, bytes: &[u8]) -> Result<[c_int; 2], String> {
        // SAFETY: the handle is whole, and the library reads `bytes.len()` bytes.
        let status =
            unsafe { raw::tj3DecompressHeader(self.0, bytes.as_ptr(), bytes.len() as raw::size_t) };
        self.check(status)?;
        let sides = [
            raw::TJPARAM_TJPARAM_JPEGWIDTH,
            raw::TJPARAM_TJPARAM_JPEGHEIGHT,
        ];
        // SAFETY: the handle is whole.
        Ok(sides.map(|side| unsafe { raw::tj3Get(self.0, side as c_int) }))
    }

    fn shrink(&self, shrink: usize) -> Result<(), String> {
        let factor = raw::tjscalingfactor {
            num: 1,
            denom: shrink as c_int,
        };
        // SAFETY: the handle is whole.
        let status = unsafe { raw::tj3SetScalingFactor(self.0, factor) };
        self.check(status)
    }

    /// Whether the resolution of the colours is one of those by which the library can crop.
    fn knows_blocks(&self) -> bool {
        // SAFETY: the handle is whole.
        let subsampling = unsafe { raw::tj3Get(self.0, raw::TJPARAM_TJPARAM_SUBSAMP as c_int) };
        subsampling != raw::TJSAMP_TJSAMP_UNKNOWN as c_int
    }

    fn crop(&self, region: [usize; 4]) -> Result<(), String> {
        let [x, y, w, h] = region.map(|pixels| pixels as c_int);
        // SAFETY: the handle is whole.
        let status = unsafe { raw::tj3SetCroppingRegion(self.0, raw::tjregion { x, y, w, h }) };
        self.check(status)
    }

    fn check(&self, status: c_int) -> Result<(), String> {
        // SAFETY: the handle is whole.
        let is_warning =
            || unsafe { raw::tj3GetErrorCode(self.0) } == raw::TJERR_TJERR_WARNING as c_int;
        match status {
            0 => Ok(()),
            _ if is_warning() => Ok(()),
            _ => Err(self.error()),
        }
    }

    fn error(&self) -> String {
        // SAFETY: the library returns a text, for no handle, too.
        let error = unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0)) };
        error.to_string_lossy().into_owned()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle; the library takes none, too.
        unsafe { raw::tj3Destroy(self.0) }
    }
}
