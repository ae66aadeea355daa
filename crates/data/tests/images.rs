//! Image files of every kind, and scaling, against Pillow and torchvision: `tests/goldens/images.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use data::{
    Choice, Encoded, Image, Interpolation, JpegDecoder, Part, Pixels, Size, Stored, Transform,
    image_files, read_image,
};
use serde::Deserialize;

/// What Pillow's decoder of JPEG (libjpeg-turbo) and zune-jpeg may differ by: both approximate the same cosines.
const JPEG: u8 = match JpegDecoder::compiled() {
    JpegDecoder::ZuneJpeg => 4,
    JpegDecoder::LibjpegTurbo => 0,
};
/// Print colours are rounded twice more.
const PRINT: u8 = 5;

#[derive(Deserialize)]
struct Golden {
    decoded: BTreeMap<String, Decoded>,
    scaled: BTreeMap<String, Scaled>,
}

#[derive(Deserialize)]
struct Decoded {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

#[derive(Deserialize)]
struct Scaled {
    side: usize,
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
    middle: Vec<[u8; 3]>,
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens")
}

fn golden() -> Golden {
    let text = fs::read_to_string(goldens().join("images.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The largest difference of a byte from the golden's pixels.
fn difference(image: &Image, pixels: &[[u8; 3]]) -> u8 {
    let Pixels::U8(bytes) = &image.pixels else {
        panic!("bytes became numbers")
    };
    assert_eq!(bytes.len(), 3 * pixels.len());
    let planes = bytes.chunks_exact(image.size.plane()).enumerate();
    let differences = planes.flat_map(|(channel, plane)| {
        let golden = pixels.iter().map(move |pixel| pixel[channel]);
        plane
            .iter()
            .zip(golden)
            .map(|(ours, theirs)| ours.abs_diff(theirs))
    });
    differences.max().unwrap()
}

#[test]
fn files_of_every_kind_are_decoded_as_pillow_does() {
    for (name, golden) in golden().decoded {
        let image = read_image(&goldens().join("images").join(&name), 3).unwrap();
        assert_eq!(
            image.size,
            Size::new(3, golden.height, golden.width),
            "{name}"
        );
        let bound = match name.as_str() {
            "cmyk.jpg" | "ycck.jpg" => PRINT,
            name if name.contains(".jpg") => JPEG,
            _ => 0,
        };
        let found = difference(&image, &golden.pixels);
        assert!(
            found <= bound,
            "{name} differs by {found}, expected at most {bound}"
        );
    }
}

/// `numpy` of `tests/goldens/images.py`: the picture of 31x23 that is scaled.
fn picture() -> Image {
    let (width, height) = (31, 23);
    let place = |y: usize, x: usize| {
        let blue = if 2 * (x + y) < width + height {
            40
        } else {
            210
        };
        let byte =
            |at: usize, of: usize| (255.0 * at as f64 / (of - 1) as f64).round_ties_even() as u8;
        [byte(x, width), byte(y, height), blue]
    };
    let channel = |c: usize| (0..height * width).map(move |i| place(i / width, i % width)[c]);
    Image {
        size: Size::new(3, height, width),
        pixels: Pixels::U8((0..3).flat_map(channel).collect()),
    }
}

#[test]
fn images_are_scaled_as_torchvision_does_on_pillow() {
    for (name, golden) in golden().scaled {
        let resize = Transform::Resize {
            height: golden.side,
            width: golden.side,
            interpolation: match name.as_str() {
                "down_cubic" => Interpolation::Bicubic,
                _ => Interpolation::Bilinear,
            },
        };
        let size = Size::new(3, golden.height, golden.width);
        assert_eq!(resize.output_size(picture().size).unwrap(), size, "{name}");
        let scaled = resize.apply(picture(), &Choice::Fixed).unwrap();
        let found = difference(&scaled, &golden.pixels);
        assert!(found <= 1, "{name} differs by {found}");

        let center_crop = Transform::CenterCrop {
            height: 7,
            width: 7,
        };
        let middle = center_crop.apply(scaled, &Choice::Fixed).unwrap();
        let found = difference(&middle, &golden.middle);
        assert!(found <= 1, "{name}: the middle differs by {found}");
    }
}

/// Numbers are scaled as bytes are, but for the bytes' rounding.
#[test]
fn numbers_are_scaled_as_bytes() {
    let resize = Transform::Resize {
        height: 10,
        width: 10,
        interpolation: Interpolation::Bilinear,
    };
    let numbers = Image {
        pixels: Pixels::F32(picture().to_f32()),
        ..picture()
    };
    let of_bytes = resize.apply(picture(), &Choice::Fixed).unwrap().to_f32();
    let of_numbers = resize.apply(numbers, &Choice::Fixed).unwrap().to_f32();
    for (byte, number) in of_bytes.iter().zip(&of_numbers) {
        assert!((byte - number).abs() < 1.01 / 255.0, "{byte} {number}");
    }
}

#[test]
fn what_cannot_be_scaled_or_cut_is_refused() {
    let message =
        |transform: Transform, size: Size| transform.output_size(size).unwrap_err().to_string();
    let resize = |height, width| Transform::Resize {
        height,
        width,
        interpolation: Interpolation::Bilinear,
    };
    assert_eq!(
        message(resize(0, 5), Size::new(3, 4, 4)),
        "`height` of `resize` is out of range: expected 1 to 4096, found 0"
    );
    assert_eq!(
        message(resize(256, 256), Size::new(3, 1, 60_000)),
        "an image of 3x1x60000 would be of 3x256x15360000 when it is scaled"
    );
    let center_crop = Transform::CenterCrop {
        height: 4,
        width: 5,
    };
    assert_eq!(
        message(center_crop, Size::new(3, 4, 4)),
        "`center_crop` of 4x5 does not fit an image of 3x4x4"
    );
}

#[test]
fn files_that_are_no_whole_images_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let whole = |name: &str| fs::read(goldens().join("images").join(name)).unwrap();
    let (jpeg, progressive, png) = (
        whole("baseline.jpg"),
        whole("progressive.jpg"),
        whole("palette.png"),
    );
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 255, 255, 0, 0, 255, 255]);
    let cases: [(&str, &[u8]); 7] = [
        ("empty.png", b""),
        ("text.jpg", b"not an image"),
        ("header.jpg", &jpeg[..100]),
        ("cut.jpg", &jpeg[..jpeg.len() / 2 + 200]),
        ("almost.jpg", &jpeg[..jpeg.len() - 1]),
        ("scans.jpg", &progressive[..progressive.len() - 40]),
        ("cut.png", &png[..png.len() / 2]),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = read_image(&path, 3).unwrap_err().to_string();
        assert_eq!(error, format!("cannot decode image `{}`", path.display()));
    }
}

/// A file of a few bytes whose header claims a gigapixel: nothing of that is allocated.
#[test]
fn images_that_claim_to_be_huge_are_refused_by_their_header() {
    let read = |name: &str| fs::read(goldens().join("images").join(name)).unwrap();
    let mut png = read("palette.png");
    png[16..24].copy_from_slice(&[0, 0, 255, 255, 0, 0, 255, 255]);
    let mut sum = flate2::Crc::new();
    sum.update(&png[12..29]);
    png[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    let mut jpeg = read("baseline.jpg");
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 9].fill(255);
    for bytes in [png, jpeg] {
        assert_eq!(
            Encoded::new("huge", bytes).unwrap_err().to_string(),
            "`huge` is too large: an image of 3x65535x65535 would take more than 512 MiB"
        );
    }
}

#[test]
fn an_image_without_rows_is_refused_by_its_header() {
    let mut jpeg = fs::read(goldens().join("images/baseline.jpg")).unwrap();
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 7].fill(0);
    assert_eq!(
        Encoded::new("flat", jpeg).unwrap_err().to_string(),
        "images of zero size in `flat`: 3x0x24"
    );
}

/// What is not decoded changes nothing of what is.
#[test]
fn a_part_of_a_file_is_that_part_of_the_image() {
    let parts = ["full", "half", "scans"].map(|name| format!("parts/{name}.jpg"));
    for name in golden().decoded.keys().chain(&parts) {
        let bytes = fs::read(goldens().join("images").join(name)).unwrap();
        let stored = Stored::Encoded(Encoded::new(name, bytes).unwrap().with_channels(3));
        let size = stored.size();
        let whole = Stored::Decoded(stored.clone().decode().unwrap());
        assert_eq!(whole.size(), size);
        for height in 1..=size.height {
            let left = height % (size.width / 2);
            let part = Part {
                top: (size.height - height) / 3,
                left,
                height,
                width: size.width - left - height % 7,
            };
            assert_eq!(
                stored.cut(part).unwrap(),
                whole.cut(part).unwrap(),
                "{name} {part:?}"
            );
        }
    }
}

/// The part that is decoded at a quarter of its size is of waves which are longer than a block.
#[test]
fn what_is_decoded_smaller_is_where_it_was() {
    let (width, height) = (401, 303);
    let wave = |at: usize, length: f64| 127.5 + 100.0 * (at as f64 / length).sin();
    let pixels = (0..height * width).flat_map(|i| {
        let (y, x) = (i / width, i % width);
        [wave(x, 31.0), wave(y, 23.0), wave(x + y, 41.0)].map(|value| value as u8)
    });
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode(
            &pixels.collect::<Vec<_>>(),
            width as u32,
            height as u32,
            image::ExtendedColorType::Rgb8,
        )
        .unwrap();
    let encoded = Stored::Encoded(Encoded::new("waves", jpeg).unwrap());
    let decoded = Stored::Decoded(encoded.clone().decode().unwrap());
    let transform = Transform::RandomResizedCrop {
        size: 50,
        scale: [0.08, 1.0],
        ratio: [0.75, 1.25],
        interpolation: Interpolation::Bilinear,
    };
    for (top, left) in [(0, 0), (1, 3), (50, 90), (101, 187)] {
        let part = Choice::Part(Part {
            top,
            left,
            height: 202,
            width: 214,
        });
        let apply = |stored: &Stored| transform.apply(stored.clone(), &part).unwrap();
        let (small, large) = (apply(&encoded).to_f32(), apply(&decoded).to_f32());
        let differences = small.iter().zip(&large).map(|(a, b)| (a - b).abs());
        let largest = 255.0 * differences.fold(0.0, f32::max);
        assert!(largest <= 6.0, "{top}, {left}: {largest} levels");
    }
}

#[test]
fn a_folder_is_listed_with_its_folders_and_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("b/deep")).unwrap();
    for name in ["b/deep/2.JPEG", "b/1.png", "a.jpg", "b/notes.txt"] {
        fs::write(path(name), "").unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), path("b/around")).unwrap();
    let expected = ["a.jpg", "b/1.png", "b/deep/2.JPEG"].map(path);
    assert_eq!(image_files(folder.path()).unwrap(), expected);
}
