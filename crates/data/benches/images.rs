//! Images a second of decoding and augmentation: `cargo bench --workspace --profile dev --bench images -- FOLDER THREADS`.
//!
//! The folder's files are read into memory first, so that no disk is measured. Prints a line of JSON;
//! `benches/images.py` runs it in rounds with torchvision.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data::{
    Dataset, Encoded, InMemory, Interpolation, Loader, LoaderConfig, OnBadImage, Pipeline, Pixels,
    Sample, Share, Size, Source, Stored, Transform, image_files,
};

/// How long each row goes on, at least.
const LONG: Duration = Duration::from_secs(3);
const BATCH: usize = 32;
/// Images of CIFAR's size that are made up.
const SMALL: usize = 10_000;

/// Image files in memory.
struct Files(Vec<Encoded>);

impl Dataset<Sample, data::Error> for Files {
    fn get(&self, index: usize) -> data::Result<Sample> {
        let image = Stored::Encoded(self.0[index].clone());
        Ok(Sample { image, label: 0 })
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = std::env::args().skip(1);
    let arguments: Vec<String> = arguments.filter(|argument| argument != "--bench").collect();
    let [folder, threads] = arguments.as_slice() else {
        return Err("expected a folder of images and a number of threads".into());
    };
    let files = read(Path::new(folder))?;
    let threads = threads.parse()?;
    let decoded = decode(&files.0)?;
    let files: Source = Arc::new(files);
    let mut rows = vec![("decode", decoded)];
    for (name, transforms) in [
        ("random_resized_crop", random_resized_crop()),
        ("scale_jitter", scale_jitter()),
        ("resize_center_crop", resize_center_crop()),
    ] {
        rows.push((name, augment(&files, transforms, threads)?));
    }
    rows.push((
        "cifar",
        augment(&small_images(), crop_with_padding(), threads)?,
    ));
    let rows: Vec<String> = rows
        .into_iter()
        .map(|(name, speed)| format!("\"{name}\": {speed:.1}"))
        .collect();
    println!("{{{}}}", rows.join(", "));
    Ok(())
}

fn read(folder: &Path) -> data::Result<Files> {
    let read = |path: &std::path::PathBuf| Ok(Encoded::read(path)?.with_channels(3));
    image_files(folder)?
        .iter()
        .map(read)
        .collect::<data::Result<_>>()
        .map(Files)
}

/// On one thread, without anything else.
fn decode(files: &[Encoded]) -> data::Result<f64> {
    let started = Instant::now();
    let mut images = 0;
    while started.elapsed() < LONG {
        for file in files {
            black_box(file.decode()?);
        }
        images += files.len();
    }
    Ok(images as f64 / started.elapsed().as_secs_f64())
}

/// Through the loader, from the files to batches of numbers.
fn augment(source: &Source, transforms: Vec<Transform>, threads: usize) -> data::Result<f64> {
    let config = LoaderConfig {
        batch: BATCH.min(source.len()),
        seed: 0,
        shuffle: true,
        drop_last: true,
        micro_batches: 1,
        share: Share::WHOLE,
        repeats: 1,
        mix: Vec::new(),
        on_bad_image: OnBadImage::Stop,
        // Who takes the batches normalises them: alone, it does all the rest, too.
        workers: if threads == 1 { 0 } else { threads },
        queue: 2 * threads,
    };
    let loader = Loader::new(Arc::clone(source), Pipeline(transforms), config)?;
    let mut batches = loader.batches(0);
    // What is prepared while nobody looks would be counted for nothing.
    for batch in batches.by_ref().take(4 * threads) {
        batch?;
    }
    let started = Instant::now();
    let mut images = 0;
    for batch in batches {
        let batch = batch?;
        black_box(batch.values());
        images += batch.labels.len();
        if started.elapsed() > LONG {
            break;
        }
    }
    Ok(images as f64 / started.elapsed().as_secs_f64())
}

fn normalize() -> Transform {
    Transform::Normalize {
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    }
}

fn random_resized_crop() -> Vec<Transform> {
    let crop = Transform::RandomResizedCrop {
        size: 224,
        scale: [0.08, 1.0],
        ratio: [3.0 / 4.0, 4.0 / 3.0],
        interpolation: Interpolation::Bilinear,
    };
    vec![crop, flip(), normalize()]
}

fn flip() -> Transform {
    Transform::Flip {
        probability: 0.5,
        alternating: false,
    }
}

fn scale_jitter() -> Vec<Transform> {
    let jitter = Transform::ScaleJitter {
        shorter_side: [256, 480],
        size: 224,
        interpolation: Interpolation::Bilinear,
    };
    vec![jitter, flip(), normalize()]
}

fn resize_center_crop() -> Vec<Transform> {
    let resize = Transform::Resize {
        height: 256,
        width: 256,
        interpolation: Interpolation::Bilinear,
    };
    let center_crop = Transform::CenterCrop {
        height: 224,
        width: 224,
    };
    vec![resize, center_crop, normalize()]
}

fn crop_with_padding() -> Vec<Transform> {
    let crop = Transform::RandomCrop {
        size: 32,
        padding: 4,
        padding_mode: data::PaddingMode::Constant,
    };
    vec![crop, flip(), normalize()]
}

fn small_images() -> Source {
    let size = Size::new(3, 32, 32);
    let pixels = (0..SMALL * size.values())
        .map(|i| (i * 31 % 251) as u8)
        .collect();
    Arc::new(InMemory::new(size, Pixels::U8(pixels), vec![0; SMALL]))
}
