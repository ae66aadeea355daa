//! Augmentation against torchvision on Pillow's images: `tests/goldens/augment.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use data::{Choice, Fill, Image, Interpolation, Operation, Part, Pixels, Policy, Size, Transform};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Golden {
    images: BTreeMap<String, Picture>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Picture {
    width: usize,
    height: usize,
    pixels: String,
}

#[derive(Deserialize)]
struct Case {
    image: String,
    kind: String,
    choice: Vec<Value>,
    #[serde(flatten)]
    expected: Picture,
}

impl Picture {
    fn image(&self) -> Image {
        let bytes: Vec<u8> = (0..self.pixels.len() / 2)
            .map(|at| u8::from_str_radix(&self.pixels[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let channel = |channel| bytes.iter().skip(channel).step_by(3);
        Image {
            size: Size::new(3, self.height, self.width),
            pixels: Pixels::U8((0..3).flat_map(channel).copied().collect()),
        }
    }
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/augment.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn number(case: &Case, at: usize) -> usize {
    read(&case.choice[at])
}

fn part(case: &Case) -> (Transform, Choice) {
    let random_resized_crop = Transform::RandomResizedCrop {
        size: number(case, 4),
        scale: [0.08, 1.0],
        ratio: [0.75, 1.5],
        interpolation: read(&case.choice[5]),
    };
    let part = Part {
        top: number(case, 0),
        left: number(case, 1),
        height: number(case, 2),
        width: number(case, 3),
    };
    (random_resized_crop, Choice::Part(part))
}

fn scale(case: &Case) -> (Transform, Choice) {
    let side = number(case, 0);
    let scale_jitter = Transform::ScaleJitter {
        shorter_side: [side, side],
        size: number(case, 3),
        interpolation: read(&case.choice[4]),
    };
    let (top, left) = (number(case, 1), number(case, 2));
    (scale_jitter, Choice::Scale { side, top, left })
}

fn jitter(case: &Case) -> (Transform, Choice) {
    let steps = case.choice.iter().map(|step| {
        let (name, factor): (String, f32) = read(step);
        match name.as_str() {
            "brightness" => (Operation::Brightness, factor - 1.0),
            "contrast" => (Operation::Contrast, factor - 1.0),
            "saturation" => (Operation::Color, factor - 1.0),
            _ => (Operation::Hue, factor),
        }
    });
    let color_jitter = Transform::ColorJitter {
        brightness: 0.4,
        contrast: 0.4,
        saturation: 0.4,
        hue: 0.3,
    };
    (color_jitter, Choice::Operations(steps.collect()))
}

fn operation(case: &Case) -> (Transform, Choice) {
    let auto_augment = Transform::AutoAugment {
        policy: Policy::Imagenet,
    };
    let chosen = (read(&case.choice[0]), read(&case.choice[1]));
    (auto_augment, Choice::Operations(vec![chosen]))
}

/// Levels that each kind may be off by: rounded sums of other orders, and hues through bytes.
fn tolerance(case: &Case) -> u8 {
    match case.kind.as_str() {
        "operation" if case.choice[0] != "Sharpness" => 0,
        _ => 1,
    }
}

#[test]
fn what_is_chosen_is_done_as_torchvision_does() {
    let golden = golden();
    let images: BTreeMap<&String, Image> = (golden.images.iter())
        .map(|(name, picture)| (name, picture.image()))
        .collect();
    let mut wrong = Vec::new();
    for case in &golden.cases {
        let (transform, choice) = match case.kind.as_str() {
            "part" => part(case),
            "scale" => scale(case),
            "jitter" => jitter(case),
            _ => operation(case),
        };
        let found = transform
            .apply(images[&case.image].clone(), &choice)
            .unwrap();
        let expected = case.expected.image();
        assert_eq!(found.size, expected.size);
        let (Pixels::U8(found), Pixels::U8(expected)) = (found.pixels, expected.pixels) else {
            panic!("bytes became numbers")
        };
        let differences = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
        let most = differences.max().unwrap();
        if most > tolerance(case) {
            wrong.push(format!(
                "{} {} {:?}: {most}",
                case.image, case.kind, case.choice
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(golden.cases.len() > 100);
}

/// torchvision 0.29: `F.erase(torch.zeros(1, 3, 4), 1, 2, 2, 1, torch.tensor([[[7.0]]]))`.
#[test]
fn what_is_erased_has_the_value() {
    let erasing = |value| Transform::RandomErasing {
        probability: 1.0,
        scale: [0.1, 0.2],
        ratio: [0.3, 3.3],
        value,
    };
    let black = || Image {
        size: Size::new(1, 3, 4),
        pixels: Pixels::U8(vec![0; 12]),
    };
    let part = Some(Part {
        top: 1,
        left: 2,
        height: 2,
        width: 1,
    });
    let choice = Choice::Erase { part, noise: 3 };
    let erased = erasing(Fill::Value(7.0)).apply(black(), &choice).unwrap();
    let expected = [0., 0., 0., 0., 0., 0., 7., 0., 0., 0., 7., 0.];
    assert_eq!(erased.pixels, Pixels::F32(expected.to_vec()));

    let noise = erasing(Fill::Random).apply(black(), &choice).unwrap();
    let values = noise.to_f32();
    let is_noise: Vec<bool> = values.iter().map(|value| *value != 0.0).collect();
    assert_eq!(is_noise, expected.map(|value| value != 0.0));
    assert_ne!(values[6], values[10]);
}

/// The same of planes and of pixels of three: what a file is decoded to.
#[test]
fn files_are_sampled_as_images_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/images/palette.png");
    let file = data::Stored::Encoded(data::Encoded::read(&path).unwrap());
    let image = data::Stored::Decoded(file.clone().decode().unwrap());
    let part = Part {
        top: 2,
        left: 3,
        height: 13,
        width: 17,
    };
    for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
        let of_file = file.sampled(part, [8, 8], interpolation).unwrap();
        assert_eq!(of_file, image.sampled(part, [8, 8], interpolation).unwrap());
    }
}
