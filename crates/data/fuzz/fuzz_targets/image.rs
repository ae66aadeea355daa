//! Headers and decoders of images: whole, and a part of them, larger and smaller.
#![no_main]

use data::{Encoded, Interpolation, Part, Stored};
use data_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(encoded) = Encoded::new("image", bytes.to_vec()) else {
        return;
    };
    for channels in [1, 3] {
        let image = Stored::Encoded(encoded.clone().with_channels(channels));
        decode(image.clone());
        let size = image.size();
        if size.values() > 1 << 18 {
            return;
        }
        let part = Part {
            top: size.height / 3,
            left: size.width / 4,
            height: size.height.div_ceil(2),
            width: size.width.div_ceil(2),
        };
        let _ = image.cut(part);
        for side in [1, 40] {
            let _ = image.sampled(part, [side; 2], Interpolation::Bilinear);
        }
    }
});
