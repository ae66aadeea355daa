//! Datasets on disk: what is read, and what damaged ones say.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use data::{
    Dataset, Error, Image, InMemory, Indexing, Manifest, Opened, Pixels, Sample, Size, Sizes,
    Source, digits, open_idx, open_tensors,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

fn open(manifest: &Manifest, data_dir: &Path) -> Result<Opened, Error> {
    data::open(manifest, data_dir, &mut Indexing::default())
}

fn open_folder(folder: &Path) -> Result<Opened, Error> {
    data::open_folder(folder, &mut Indexing::default())
}

/// The error of `result`, with the test's folder written as `DIR`.
fn message<T: std::fmt::Debug>(result: Result<T, Error>, dir: &TempDir) -> String {
    let message = result.unwrap_err().to_string();
    message.replace(&dir.path().display().to_string(), "DIR")
}

fn hint<T: std::fmt::Debug>(result: Result<T, Error>, dir: &TempDir) -> String {
    let hint = result.unwrap_err().hint().unwrap();
    hint.replace(&dir.path().display().to_string(), "DIR")
}

fn write(path: impl AsRef<Path>, bytes: &[u8]) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// All images and labels.
/// A JPEG of 8x8 of one level.
fn jpeg(level: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
    encoder
        .encode(&[level; 64], 8, 8, image::ExtendedColorType::L8)
        .unwrap();
    bytes
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn samples(source: &Source) -> Vec<(Image, usize)> {
    let sample = |index| {
        let Sample { image, label } = source.get(index).unwrap();
        (image.decode().unwrap(), label)
    };
    (0..source.len()).map(sample).collect()
}

mod cifar {
    use super::*;

    /// CIFAR's layout with 2x1x2 images of three classes: two training files of two records, a test file of one.
    fn manifest(format: &str) -> Manifest {
        let text = format!(
            r#"
            name = "tiny"
            title = "Tiny"
            citation = ""
            licence = ""
            format = "{format}"
            folder = "tiny-bin"
            size = {{ channels = 2, height = 1, width = 2 }}
            classes = ["a", "b", "c"]
            splits.train = {{ files = ["1.bin", "2.bin"], count = 4 }}
            splits.test = {{ files = ["test.bin"], count = 1 }}
            [[archives]]
            name = "tiny.tar.gz"
            bytes = 0
            checksum = {{ sha256 = "{}" }}
            mirrors = []
            "#,
            "0".repeat(64)
        );
        toml::from_str(&text).unwrap()
    }

    const FILES: [(&str, &[u8]); 3] = [
        ("1.bin", &[0, 10, 11, 12, 13, 1, 20, 21, 22, 23]),
        ("2.bin", &[2, 30, 31, 32, 33, 0, 40, 41, 42, 43]),
        ("test.bin", &[1, 50, 51, 52, 53]),
    ];

    fn folder() -> TempDir {
        let dir = TempDir::new().unwrap();
        for (name, bytes) in FILES {
            write(dir.path().join("tiny-bin").join(name), bytes);
        }
        dir
    }

    fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("tiny-bin/{name}"), *bytes)
                .unwrap();
        }
        gzip(&tar.into_inner().unwrap())
    }

    fn archive(bytes: &[u8]) -> TempDir {
        let dir = TempDir::new().unwrap();
        write(dir.path().join("tiny.tar.gz"), bytes);
        dir
    }

    fn open_cifar10(dir: &TempDir) -> Result<Opened, Error> {
        open(&manifest("cifar10"), dir.path())
    }

    #[test]
    fn records_are_read_in_the_order_of_the_files() {
        let opened = open_cifar10(&folder()).unwrap();
        let train = samples(&opened.train);
        let labels: Vec<usize> = train.iter().map(|(_, label)| *label).collect();
        assert_eq!(labels, [0, 1, 2, 0]);
        assert_eq!(train[2].0.pixels, Pixels::U8(vec![30, 31, 32, 33]));
        assert_eq!(train[2].0.size, Size::new(2, 1, 2));
        assert_eq!(samples(&opened.test.unwrap())[0].1, 1);
    }

    /// The order of an archive's files is its own, and it may hold others.
    #[test]
    fn an_archive_is_read_in_place() {
        let files = [FILES[2], ("readme.html", b"<p>"), FILES[1], FILES[0]];
        let from_archive = open_cifar10(&archive(&tar_gz(&files))).unwrap();
        let from_folder = open_cifar10(&folder()).unwrap();
        assert_eq!(samples(&from_archive.train), samples(&from_folder.train));
        assert_eq!(from_archive.fingerprint(), from_folder.fingerprint());
    }

    #[test]
    fn the_fine_label_of_cifar100_is_the_class() {
        let dir = TempDir::new().unwrap();
        let files: [(&str, &[u8]); 3] = [
            ("1.bin", &[9, 0, 10, 11, 12, 13, 9, 1, 20, 21, 22, 23]),
            ("2.bin", &[9, 2, 30, 31, 32, 33, 9, 0, 40, 41, 42, 43]),
            ("test.bin", &[9, 1, 50, 51, 52, 53]),
        ];
        for (name, bytes) in files {
            write(dir.path().join("tiny-bin").join(name), bytes);
        }
        let opened = open(&manifest("cifar100"), dir.path()).unwrap();
        assert_eq!(
            samples(&opened.train),
            samples(&open_cifar10(&folder()).unwrap().train)
        );
    }

    #[test]
    fn a_changed_byte_changes_the_fingerprint() {
        let dir = folder();
        let before = open_cifar10(&dir).unwrap();
        write(dir.path().join("tiny-bin/test.bin"), &[1, 50, 51, 52, 54]);
        let after = open_cifar10(&dir).unwrap();
        assert_ne!(before.fingerprint(), after.fingerprint());
    }

    #[test]
    fn a_missing_dataset_says_where_to_put_it() {
        let dir = TempDir::new().unwrap();
        assert_eq!(
            message(open_cifar10(&dir), &dir),
            "dataset `tiny` is not in `DIR`: found no `tiny-bin` and no `tiny.tar.gz`"
        );
        assert_eq!(
            hint(open_cifar10(&dir), &dir),
            "type `train fetch tiny`, or put `tiny.tar.gz` into `DIR`, or name the folder that has it with `--data-dir`"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = folder();
        fs::remove_file(dir.path().join("tiny-bin/2.bin")).unwrap();
        assert_eq!(
            message(open_cifar10(&dir), &dir),
            "dataset `tiny` is incomplete: `DIR/tiny-bin/2.bin` is missing"
        );
    }

    #[test]
    fn files_of_the_wrong_length_are_refused() {
        for length in [9, 11] {
            let dir = folder();
            write(dir.path().join("tiny-bin/2.bin"), &vec![0; length]);
            assert_eq!(
                message(open_cifar10(&dir), &dir),
                format!(
                    "`DIR/tiny-bin/2.bin` has the wrong length: expected 10 bytes, found {length}"
                )
            );
        }
    }

    #[test]
    fn a_label_out_of_range_names_its_record() {
        let dir = folder();
        write(
            dir.path().join("tiny-bin/1.bin"),
            &[0, 1, 1, 1, 1, 3, 1, 1, 1, 1],
        );
        assert_eq!(
            message(open_cifar10(&dir), &dir),
            "label out of range in `DIR/tiny-bin/1.bin`, record 1 counted from 0: expected 0 to 2, found 3"
        );
    }

    #[test]
    fn a_damaged_archive_is_refused() {
        let whole = tar_gz(&FILES);
        let mut changed = whole.clone();
        let checksum = changed.len() - 8;
        changed[checksum] ^= 1;
        for bytes in [
            &whole[..whole.len() / 2],
            &whole[..5],
            &[],
            &[7; 600],
            &changed,
        ] {
            let dir = archive(bytes);
            assert_eq!(
                message(open_cifar10(&dir), &dir),
                "compressed file `DIR/tiny.tar.gz` is truncated or damaged"
            );
        }
    }

    #[test]
    fn an_archive_of_something_else_is_refused() {
        let dir = archive(&tar_gz(&FILES[1..]));
        assert_eq!(
            message(open_cifar10(&dir), &dir),
            "archive `DIR/tiny.tar.gz` does not hold `tiny-bin/1.bin`"
        );
        let dir = archive(&tar_gz(&[("1.bin", &[0; 3])]));
        assert_eq!(
            message(open_cifar10(&dir), &dir),
            "`DIR/tiny.tar.gz/tiny-bin/1.bin` has the wrong length: expected 10 bytes, found 3"
        );
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        let mut manifest = manifest("cifar10");
        manifest.splits.get_mut("train").unwrap().count = 5;
        let dir = folder();
        assert_eq!(
            message(open(&manifest, dir.path()), &dir),
            "manifest of dataset `tiny` is wrong: 5 images cannot be shared equally by 2 files"
        );
    }
}

mod idx {
    use super::*;

    fn images(count: u32, height: u32, width: u32, pixels: &[u8]) -> Vec<u8> {
        let header = [0x803, count, height, width].map(u32::to_be_bytes);
        [&header.concat(), pixels].concat()
    }

    fn labels(labels: &[u8]) -> Vec<u8> {
        let header = [0x801, labels.len() as u32].map(u32::to_be_bytes);
        [&header.concat(), labels].concat()
    }

    /// Two images of 1x1x3 with the labels 4 and 2.
    fn training_files() -> TempDir {
        let dir = TempDir::new().unwrap();
        let pixels = [1, 2, 3, 4, 5, 6];
        write(
            dir.path().join("train-images-idx3-ubyte"),
            &images(2, 1, 3, &pixels),
        );
        write(dir.path().join("train-labels-idx1-ubyte"), &labels(&[4, 2]));
        dir
    }

    /// The message where the training images are `bytes`.
    fn with_images(bytes: &[u8]) -> String {
        let dir = training_files();
        write(dir.path().join("train-images-idx3-ubyte"), bytes);
        message(open_idx(dir.path()), &dir)
    }

    #[test]
    fn plain_and_gzipped_files_are_the_same() {
        let plain = open_idx(training_files().path()).unwrap();
        let train = samples(&plain.train);
        assert_eq!(train[1].0.pixels, Pixels::U8(vec![4, 5, 6]));
        assert_eq!(train[1].1, 2);
        assert_eq!(plain.sizes, Size::new(1, 1, 3).into());
        assert_eq!(plain.classes, ["0", "1", "2", "3", "4"]);
        assert!(plain.test.is_none());

        let dir = training_files();
        for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
            let path = dir.path().join(name);
            let gzipped = gzip(&fs::read(&path).unwrap());
            fs::remove_file(&path).unwrap();
            write(path.with_extension("gz"), &gzipped);
        }
        let gzipped = open_idx(dir.path()).unwrap();
        assert_eq!(gzipped.fingerprint(), plain.fingerprint());
    }

    #[test]
    fn test_files_are_read_where_there_are_any() {
        let dir = training_files();
        write(
            dir.path().join("t10k-images-idx3-ubyte"),
            &images(1, 1, 3, &[7, 8, 9]),
        );
        assert_eq!(
            message(open_idx(dir.path()), &dir),
            "`DIR/t10k-labels-idx1-ubyte` does not exist"
        );
        write(dir.path().join("t10k-labels-idx1-ubyte"), &labels(&[5]));
        let opened = open_idx(dir.path()).unwrap();
        assert_eq!(samples(&opened.test.unwrap())[0].1, 5);
        assert_eq!(opened.classes.len(), 6);

        write(
            dir.path().join("t10k-images-idx3-ubyte"),
            &images(1, 3, 1, &[7, 8, 9]),
        );
        assert_eq!(
            message(open_idx(dir.path()), &dir),
            "`DIR/t10k-images-idx3-ubyte` has images of another size: expected 1x1x3, found 1x3x1"
        );
    }

    #[test]
    fn damaged_files_say_what_is_wrong() {
        let file = "`DIR/train-images-idx3-ubyte`";
        assert_eq!(
            with_images(&images(2, 1, 3, &[0; 5])),
            format!("{file} has the wrong length: expected 22 bytes, found 21")
        );
        assert_eq!(
            with_images(&images(2, 1, 3, &[0; 9])),
            format!("{file} has the wrong length: expected 22 bytes, found 25")
        );
        assert_eq!(
            with_images(&[0, 0, 8]),
            format!("{file} has the wrong length: expected 16 bytes, found 3")
        );
        assert_eq!(
            with_images(&images(u32::MAX, u32::MAX, u32::MAX, &[])),
            format!(
                "{file} has the wrong length: expected {} bytes, found 16",
                u64::MAX
            )
        );
        assert_eq!(
            with_images(&[1; 20]),
            format!(
                "{file} is not an idx file of images: expected magic 0x00000803, found 0x01010101"
            )
        );
        assert_eq!(
            with_images(&images(3, 1, 3, &[0; 9])),
            format!(
                "images and labels do not match: {file} has 3 images, `DIR/train-labels-idx1-ubyte` has 2 labels"
            )
        );
        assert_eq!(
            with_images(&images(0, 1, 3, &[])),
            format!("no images in {file}")
        );
        assert_eq!(
            with_images(&images(2, 0, 3, &[])),
            format!("images of zero size in {file}: 1x0x3")
        );
    }

    #[test]
    fn damaged_gzip_is_refused() {
        let whole = gzip(&images(2, 1, 3, &[0; 6]));
        let mut changed = whole.clone();
        let checksum = changed.len() - 8;
        changed[checksum] ^= 1;
        for bytes in [&whole[..whole.len() - 4], b"not gzip", &changed] {
            let dir = training_files();
            fs::remove_file(dir.path().join("train-images-idx3-ubyte")).unwrap();
            write(dir.path().join("train-images-idx3-ubyte.gz"), bytes);
            assert_eq!(
                message(open_idx(dir.path()), &dir),
                "compressed file `DIR/train-images-idx3-ubyte.gz` is truncated or damaged"
            );
        }
    }

    #[test]
    fn a_manifest_fixes_size_count_and_classes() {
        let dir = TempDir::new().unwrap();
        let manifest: Manifest = toml::from_str(
            r#"
            name = "tiny"
            title = "Tiny"
            citation = ""
            licence = ""
            format = "idx"
            folder = "tiny"
            size = { channels = 1, height = 1, width = 3 }
            classes = ["a", "b"]
            splits.train = { files = ["images", "labels"], count = 2 }
            "#,
        )
        .unwrap();
        let open = || message(open(&manifest, dir.path()), &dir);
        let folder = dir.path().join("tiny");
        assert_eq!(
            open(),
            "dataset `tiny` is not in `DIR`: found no `tiny/images` and no `tiny/images.gz`"
        );

        write(folder.join("images"), &images(2, 3, 1, &[0; 6]));
        assert_eq!(
            open(),
            "dataset `tiny` is incomplete: `DIR/tiny/labels` is missing"
        );
        write(folder.join("labels"), &labels(&[0, 2]));
        assert_eq!(
            open(),
            "`DIR/tiny/images` has images of another size: expected 1x1x3, found 1x3x1"
        );
        write(folder.join("images"), &images(2, 1, 3, &[0; 6]));
        assert_eq!(
            open(),
            "label out of range in `DIR/tiny/labels`, record 1 counted from 0: expected 0 to 1, found 2"
        );
        write(folder.join("images"), &images(1, 1, 3, &[0; 3]));
        write(folder.join("labels"), &labels(&[0]));
        assert_eq!(
            open(),
            "`DIR/tiny/images` has the wrong number of images: expected 2, found 1"
        );
    }
}

mod folder {
    use super::*;

    /// A PNG of 2 columns and 1 row.
    fn png(path: impl AsRef<Path>, color: image::ColorType, pixels: &[u8]) {
        let path = path.as_ref();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::save_buffer(path, pixels, 2, 1, color).unwrap();
    }

    const RED_BLUE: [u8; 6] = [255, 0, 0, 0, 0, 255];

    /// Two classes with an image each, one of them grey.
    fn two_classes() -> TempDir {
        let dir = TempDir::new().unwrap();
        png(
            dir.path().join("train/dog/1.png"),
            image::ColorType::Rgb8,
            &RED_BLUE,
        );
        png(
            dir.path().join("train/cat/1.PNG"),
            image::ColorType::L8,
            &[7, 8],
        );
        write(dir.path().join("train/cat/notes.txt"), b"");
        dir
    }

    #[test]
    fn classes_are_folders_and_images_are_channels_first() {
        let dir = two_classes();
        let opened = open_folder(dir.path()).unwrap();
        assert_eq!(opened.classes, ["cat", "dog"]);
        assert_eq!(opened.sizes, Size::new(3, 1, 2).into());
        let train = samples(&opened.train);
        assert_eq!(train[0].0.pixels, Pixels::U8(vec![7, 8, 7, 8, 7, 8]));
        assert_eq!(train[1].0.pixels, Pixels::U8(vec![255, 0, 0, 0, 0, 255]));
        assert_eq!((train[0].1, train[1].1), (0, 1));
    }

    #[test]
    fn grey_images_have_one_channel() {
        let dir = TempDir::new().unwrap();
        png(
            dir.path().join("train/a/1.png"),
            image::ColorType::L8,
            &[7, 8],
        );
        let opened = open_folder(dir.path()).unwrap();
        let expected = Image {
            size: Size::new(1, 1, 2),
            pixels: Pixels::U8(vec![7, 8]),
        };
        assert_eq!(samples(&opened.train)[0].0, expected);
    }

    #[test]
    fn val_is_the_test_split_where_there_is_no_other() {
        let dir = two_classes();
        png(
            dir.path().join("val/dog/1.png"),
            image::ColorType::Rgb8,
            &RED_BLUE,
        );
        let opened = open_folder(dir.path()).unwrap();
        let test = samples(&opened.test.unwrap());
        assert_eq!(test.len(), 1);
        assert_eq!(test[0].1, 1);

        png(
            dir.path().join("val/cow/1.png"),
            image::ColorType::Rgb8,
            &RED_BLUE,
        );
        assert_eq!(
            message(open_folder(dir.path()), &dir),
            "class `cow` in `DIR/val` is not a class of the training images"
        );
    }

    #[test]
    fn a_folder_without_images_is_refused() {
        let dir = TempDir::new().unwrap();
        let expected = "no PNG or JPEG images in `DIR/train`";
        assert_eq!(message(open_folder(dir.path()), &dir), expected);
        fs::create_dir(dir.path().join("train")).unwrap();
        assert_eq!(message(open_folder(dir.path()), &dir), expected);
        fs::create_dir(dir.path().join("train/cat")).unwrap();
        assert_eq!(
            message(open_folder(dir.path()), &dir),
            "no PNG or JPEG images in `DIR/train/cat`"
        );
    }

    #[test]
    fn images_may_be_of_any_size() {
        let dir = two_classes();
        let path = dir.path().join("train/dog/2.png");
        image::save_buffer(path, &[0; 2], 1, 2, image::ColorType::L8).unwrap();
        let opened = open_folder(dir.path()).unwrap();
        assert_eq!(opened.sizes, Sizes::Any { channels: 3 });
        let sizes = [0, 1, 2].map(|index| opened.train.get(index).unwrap().image.size());
        assert_eq!(sizes[1..], [Size::new(3, 1, 2), Size::new(3, 2, 1)]);
        assert_eq!(samples(&opened.train)[2].0.size, sizes[2]);
    }

    #[test]
    fn classes_that_differ_by_case_are_refused() {
        let dir = two_classes();
        fs::create_dir(dir.path().join("train/Dog")).unwrap();
        assert_eq!(
            message(open_folder(dir.path()), &dir),
            "classes `Dog` and `dog` in `DIR/train` differ by case alone"
        );
    }

    #[test]
    fn a_file_that_is_no_image_is_named() {
        let dir = two_classes();
        write(dir.path().join("train/dog/2.jpeg"), b"not a picture");
        write(dir.path().join("train/cat/empty.png"), b"");
        let opened = open_folder(dir.path()).unwrap();
        let bad: Vec<String> = opened
            .bad
            .into_iter()
            .map(|bad| message(Err::<(), _>(bad), &dir))
            .collect();
        assert_eq!(
            bad,
            [
                "cannot decode image `DIR/train/cat/empty.png`",
                "cannot decode image `DIR/train/dog/2.jpeg`"
            ]
        );
        // The others are of one size.
        assert_eq!(opened.sizes, Size::new(3, 1, 2).into());
        assert_eq!(opened.train.len(), 4);
        assert!(opened.train.get(3).is_err());
    }

    #[test]
    fn an_image_that_is_truncated_after_its_header_is_named_when_it_is_read() {
        let dir = two_classes();
        let path = dir.path().join("train/dog/1.png");
        let bytes = fs::read(&path).unwrap();
        write(&path, &bytes[..bytes.len() - 20]);
        let opened = open_folder(dir.path()).unwrap();
        assert_eq!(
            message(opened.train.get(1).unwrap().image.decode(), &dir),
            "cannot decode image `DIR/train/dog/1.png`"
        );
    }
}

/// What is known of files, and that it is not believed where they were changed.
mod index {
    use super::*;

    struct Kept {
        dir: TempDir,
    }

    impl Kept {
        /// A grey image a class.
        fn new() -> Self {
            let kept = Self {
                dir: TempDir::new().unwrap(),
            };
            kept.write("data/train/cat/1.png", 1);
            kept.write("data/train/dog/1.png", 2);
            kept
        }

        fn write(&self, path: &str, value: u8) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::save_buffer(path, &[value], 1, 1, image::ColorType::L8).unwrap();
        }

        fn open(&self) -> Opened {
            let mut indexing = Indexing {
                cache: Some(self.dir.path().join("cache")),
                ..Indexing::default()
            };
            data::open_folder(&self.dir.path().join("data"), &mut indexing).unwrap()
        }

        fn index(&self) -> PathBuf {
            let mut files = fs::read_dir(self.dir.path().join("cache")).unwrap();
            let index = files.next().unwrap().unwrap().path();
            assert!(files.next().is_none(), "the index is alone");
            index
        }
    }

    #[test]
    fn what_is_known_is_what_would_be_read() {
        let kept = Kept::new();
        let first = kept.open();
        let index = fs::read(kept.index()).unwrap();
        let again = kept.open();
        assert_eq!(again.fingerprint(), first.fingerprint());
        assert_eq!(samples(&again.train), samples(&first.train));
        assert_eq!(fs::read(kept.index()).unwrap(), index);
        let unkept = open_folder(&kept.dir.path().join("data")).unwrap();
        assert_eq!(unkept.fingerprint(), first.fingerprint());
    }

    #[test]
    fn files_that_are_changed_added_or_removed_are_noticed() {
        let kept = Kept::new();
        let mut before = kept.open().fingerprint().to_owned();
        let changes: [fn(&Kept); 4] = [
            |kept| kept.write("data/train/dog/1.png", 3),
            |kept| kept.write("data/train/dog/2.png", 4),
            |kept| kept.write("data/train/cow/1.png", 5),
            |kept| fs::remove_file(kept.dir.path().join("data/train/dog/2.png")).unwrap(),
        ];
        for change in changes {
            change(&kept);
            let after = kept.open();
            assert_ne!(after.fingerprint(), before);
            let unkept = open_folder(&kept.dir.path().join("data")).unwrap();
            assert_eq!(after.fingerprint(), unkept.fingerprint());
            before = after.fingerprint().to_owned();
        }
    }

    #[test]
    fn a_damaged_index_is_made_again() {
        let kept = Kept::new();
        let expected = kept.open().fingerprint().to_owned();
        let whole = fs::read(kept.index()).unwrap();
        for length in [0, 31, 40, whole.len() - 1] {
            fs::write(kept.index(), &whole[..length]).unwrap();
            assert_eq!(kept.open().fingerprint(), expected);
            assert_eq!(fs::read(kept.index()).unwrap(), whole);
        }
        for place in [0, 40, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs::write(kept.index(), damaged).unwrap();
            assert_eq!(kept.open().fingerprint(), expected);
            assert_eq!(fs::read(kept.index()).unwrap(), whole);
        }
    }

    #[test]
    fn a_file_that_is_changed_while_it_is_used_is_named() {
        let kept = Kept::new();
        let opened = kept.open();
        let same = fs::read(kept.dir.path().join("data/train/cat/1.png")).unwrap();
        write(kept.dir.path().join("data/train/cat/1.png"), &same);
        assert!(opened.train.get(0).is_ok(), "touched, it is the same");
        let another = fs::read(kept.dir.path().join("data/train/cat/1.png")).unwrap();
        write(
            kept.dir.path().join("data/train/dog/1.png"),
            &[&another[..], b"longer"].concat(),
        );
        assert_eq!(
            message(opened.train.get(1), &kept.dir),
            "`DIR/data/train/dog/1.png` was changed after it was indexed"
        );
        write(kept.dir.path().join("data/train/cat/1.png"), &same[..9]);
        assert_eq!(
            message(opened.train.get(0), &kept.dir),
            "`DIR/data/train/cat/1.png` was changed after it was indexed"
        );
    }
}

mod shards {
    use super::*;

    /// Two shards to train on, whose images are in no order, and one to test on.
    fn two_classes() -> TempDir {
        let dir = TempDir::new().unwrap();
        let first = tar(&[
            ("b/x.jpg", &jpeg(1)),
            ("b/x.cls", b"1"),
            ("b/x.json", b"{}"),
            ("a/y.cls", b"0"),
            ("a/y.jpg", &jpeg(2)),
        ]);
        let second = tar(&[
            ("a/x%2Ey.JPEG", &jpeg(3)),
            ("a/x%2Ey.cls", b"0\n"),
            ("a/x%2Ey.seg.png", b""),
        ]);
        write(dir.path().join("my-train-0.tar"), &first);
        write(dir.path().join("my-train-1.tar"), &second);
        let test = tar(&[("z.jpg", &jpeg(4)), ("z.cls", b"1")]);
        write(dir.path().join("my-val-0.tar"), &test);
        write(dir.path().join("classes.txt"), b"cat\ndog\n");
        dir
    }

    fn open(dir: &TempDir) -> Result<Opened, Error> {
        data::open_shards(dir.path(), &mut Indexing::default())
    }

    #[test]
    fn images_are_what_they_are_in_folders() {
        let dir = two_classes();
        for (path, level) in [
            ("train/cat/x.y.JPEG", 3),
            ("train/cat/y.jpg", 2),
            ("train/dog/x.jpg", 1),
            ("val/dog/z.jpg", 4),
        ] {
            write(dir.path().join(path), &jpeg(level));
        }
        let (shards, folder) = (open(&dir).unwrap(), open_folder(dir.path()).unwrap());
        assert_eq!(samples(&shards.train), samples(&folder.train));
        assert_eq!(shards.fingerprint(), folder.fingerprint());
        assert_eq!(
            (&shards.classes, shards.sizes),
            (&folder.classes, folder.sizes)
        );
        assert_eq!(
            samples(&shards.test.unwrap()),
            samples(&folder.test.unwrap())
        );
    }

    #[test]
    fn classes_without_names_are_numbered() {
        let dir = two_classes();
        fs::remove_file(dir.path().join("classes.txt")).unwrap();
        assert_eq!(open(&dir).unwrap().classes, ["0", "1"]);
    }

    /// Wherever it ends, also between two members.
    #[test]
    fn a_shard_that_is_cut_off_is_refused() {
        let dir = two_classes();
        let path = dir.path().join("my-train-0.tar");
        let whole = fs::read(&path).unwrap();
        let members = whole.len() - 1024;
        for length in (0..=members).step_by(256) {
            write(&path, &whole[..length]);
            assert_eq!(
                message(open(&dir), &dir),
                "archive `DIR/my-train-0.tar` is truncated or damaged",
                "{length} bytes"
            );
        }
    }

    /// Whatever a shard holds, reading it ends, and never in a panic.
    #[test]
    fn a_shard_that_is_changed_is_refused_or_read() {
        let dir = two_classes();
        let path = dir.path().join("my-train-0.tar");
        let whole = fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by(3) {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            write(&path, &changed);
            if let Ok(opened) = open(&dir) {
                for index in 0..opened.train.len() {
                    let _ = opened
                        .train
                        .get(index)
                        .and_then(|found| found.image.decode());
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_shard_names_its_member() {
        let second = |members: &[(&str, &[u8])]| {
            let dir = two_classes();
            write(dir.path().join("my-train-1.tar"), &tar(members));
            message(open(&dir), &dir)
        };
        assert_eq!(
            second(&[("n.jpg", &jpeg(1)), ("m.cls", b"1")]),
            "`DIR/my-train-1.tar/n.jpg` has no class file beside it"
        );
        assert_eq!(
            second(&[("n.jpg", &jpeg(1)), ("n.cls", b"dog")]),
            "no class in `DIR/my-train-1.tar/n.cls`: expected a number from 0 to 1048575, found `dog`"
        );
        assert_eq!(
            second(&[("n.jpg", &jpeg(1)), ("n.cls", b"2")]),
            "no class in `DIR/my-train-1.tar/n.cls`: expected a number from 0 to 1, found `2`"
        );
        assert_eq!(
            second(&[("c/y.jpg", &jpeg(1)), ("c/y.cls", b"0")]),
            "two images of a class have the same name: `DIR/my-train-0.tar/a/y.jpg` and `DIR/my-train-1.tar/c/y.jpg`"
        );
    }

    #[test]
    fn a_member_that_is_no_image_is_named() {
        let dir = two_classes();
        let members: [(&str, &[u8]); 2] = [("c/n.jpg", b"no image"), ("c/n.cls", b"0")];
        write(dir.path().join("my-train-1.tar"), &tar(&members));
        let opened = open(&dir).unwrap();
        let bad = opened.bad.into_iter().next().unwrap();
        assert_eq!(
            message(Err::<(), _>(bad), &dir),
            "cannot decode image `DIR/my-train-1.tar/c/n.jpg`"
        );
    }

    #[test]
    fn a_shard_that_is_missing_is_named() {
        let dir = two_classes();
        fs::rename(
            dir.path().join("my-train-1.tar"),
            dir.path().join("my-train-2.tar"),
        )
        .unwrap();
        assert_eq!(
            message(open(&dir), &dir),
            "shard `DIR/my-train-1.tar` is missing"
        );
        let empty = TempDir::new().unwrap();
        assert_eq!(
            message(open(&empty), &empty),
            "no shards `*train*.tar` in `DIR`"
        );
    }
}

mod ilsvrc {
    use super::*;

    const TRAIN: &str = "ILSVRC2012_img_train.tar";
    const VALIDATION: &str = "ILSVRC2012_img_val.tar";
    const TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";

    fn meta(name: &str) -> Vec<u8> {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens");
        fs::read(goldens.join("ilsvrc").join(name)).unwrap()
    }

    /// Two classes with an image each to train on, and one to validate on; the kit calls the second class 1.
    fn archives() -> TempDir {
        let dir = TempDir::new().unwrap();
        let first = tar(&[("n00000001_1.JPEG", &jpeg(1))]);
        let second = tar(&[("n00000002_1.JPEG", &jpeg(2))]);
        let train = tar(&[("n00000002.tar", &second), ("n00000001.tar", &first)]);
        write(dir.path().join(TRAIN), &train);
        let images = [jpeg(3), jpeg(4)];
        let validation = tar(&[
            ("ILSVRC2012_val_00000002.JPEG", &images[1]),
            ("ILSVRC2012_val_00000001.JPEG", &images[0]),
        ]);
        write(dir.path().join(VALIDATION), &validation);
        write(dir.path().join(TRUTH), b"2\n1\n");
        write(dir.path().join("meta.mat"), &meta("meta.mat"));
        dir
    }

    fn open(dir: &TempDir) -> Result<Opened, Error> {
        data::open_ilsvrc(dir.path(), &mut Indexing::default())
    }

    #[test]
    fn images_are_what_they_are_in_folders() {
        let dir = archives();
        for (path, level) in [
            ("train/n00000001/n00000001_1.JPEG", 1),
            ("train/n00000002/n00000002_1.JPEG", 2),
            ("val/n00000001/ILSVRC2012_val_00000001.JPEG", 3),
            ("val/n00000002/ILSVRC2012_val_00000002.JPEG", 4),
        ] {
            write(dir.path().join(path), &jpeg(level));
        }
        let folder = open_folder(dir.path()).unwrap();
        for name in ["meta.mat", "meta-plain.mat"] {
            write(dir.path().join("meta.mat"), &meta(name));
            let opened = open(&dir).unwrap();
            assert_eq!(opened.fingerprint(), folder.fingerprint());
            assert_eq!(samples(&opened.train), samples(&folder.train));
        }
    }

    #[test]
    fn the_kit_may_be_as_it_is_downloaded() {
        let dir = archives();
        let expected = open(&dir).unwrap().fingerprint().to_owned();
        fs::remove_file(dir.path().join("meta.mat")).unwrap();
        let kit = dir.path().join("ILSVRC2012_devkit_t12.tar.gz");
        assert_eq!(
            message(open(&dir), &dir),
            "cannot use the development kit `DIR/ILSVRC2012_devkit_t12.tar.gz`: it does not exist"
        );
        let path = |name: &str| format!("ILSVRC2012_devkit_t12/data/{name}");
        let files = tar(&[
            (&path("meta.mat"), &meta("meta.mat")),
            (&path(TRUTH), b"2\n1\n"),
        ]);
        let kit_bytes = gzip(&files);
        write(&kit, &kit_bytes);
        assert_eq!(open(&dir).unwrap().fingerprint(), expected);
        write(&kit, &kit_bytes[..kit_bytes.len() / 2]);
        assert_eq!(
            message(open(&dir), &dir),
            "cannot use the development kit `DIR/ILSVRC2012_devkit_t12.tar.gz`: it is truncated or damaged: incomplete deflate stream"
        );
    }

    #[test]
    fn a_damaged_kit_is_refused() {
        let dir = archives();
        for (truth, reason) in [
            (
                "2\n0\n",
                "line 2 of `ILSVRC2012_validation_ground_truth.txt` is no class of the training images: `0`",
            ),
            (
                "300\n",
                "line 1 of `ILSVRC2012_validation_ground_truth.txt` is no class of the training images: `300`",
            ),
            (
                "dog\n",
                "line 1 of `ILSVRC2012_validation_ground_truth.txt` is no class of the training images: `dog`",
            ),
        ] {
            write(dir.path().join(TRUTH), truth.as_bytes());
            assert_eq!(
                message(open(&dir), &dir),
                format!("cannot use the development kit `DIR`: {reason}")
            );
        }
        write(dir.path().join(TRUTH), b"2\n");
        assert_eq!(
            message(open(&dir), &dir),
            "no class is known of `DIR/ILSVRC2012_img_val.tar/ILSVRC2012_val_00000002.JPEG`"
        );
    }

    /// Whatever is left of the table of classes, reading it ends, and never in a panic.
    #[test]
    fn a_table_of_classes_that_is_cut_off_or_changed_is_refused_or_read() {
        let dir = archives();
        for name in ["meta.mat", "meta-plain.mat"] {
            let whole = meta(name);
            for length in 0..whole.len() - 8 {
                write(dir.path().join("meta.mat"), &whole[..length]);
                assert_eq!(
                    message(open(&dir), &dir),
                    "cannot use the development kit `DIR`: `meta.mat` has no `synsets` with `ILSVRC2012_ID` and `WNID`",
                    "{length} bytes of {name}"
                );
            }
            for place in 124..whole.len() {
                for flip in [1, 0xff] {
                    let mut changed = whole.clone();
                    changed[place] ^= flip;
                    write(dir.path().join("meta.mat"), &changed);
                    let _ = open(&dir);
                }
            }
        }
    }

    #[test]
    fn an_archive_that_is_cut_off_is_refused() {
        let dir = archives();
        for name in [TRAIN, VALIDATION] {
            let path = dir.path().join(name);
            let whole = fs::read(&path).unwrap();
            for length in (0..whole.len() - 1024).step_by(512) {
                write(&path, &whole[..length]);
                assert_eq!(
                    message(open(&dir), &dir),
                    format!("archive `DIR/{name}` is truncated or damaged"),
                    "{length} bytes"
                );
            }
            write(&path, &whole);
        }
    }
}

mod tensors {
    use super::*;

    type Tensor<'a> = (&'a str, Dtype, Vec<usize>, Vec<u8>);

    fn images(shape: [usize; 4]) -> Tensor<'static> {
        let values = 0..shape
            .iter()
            .fold(1_usize, |product, &n| product.saturating_mul(n));
        let bytes = values.flat_map(|v| (v as f32).to_le_bytes()).collect();
        ("images", Dtype::F32, shape.to_vec(), bytes)
    }

    fn labels(labels: &[i64]) -> Tensor<'static> {
        let bytes = labels.iter().flat_map(|label| label.to_le_bytes());
        ("labels", Dtype::I64, vec![labels.len()], bytes.collect())
    }

    fn save(dir: &TempDir, name: &str, tensors: &[Tensor]) -> PathBuf {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
            (*name, view)
        });
        let path = dir.path().join(name);
        write(&path, &safetensors::serialize(views, None).unwrap());
        path
    }

    /// The message where the training file has these tensors.
    fn refused(tensors: &[Tensor]) -> String {
        let dir = TempDir::new().unwrap();
        let path = save(&dir, "train.safetensors", tensors);
        message(open_tensors(&path, None), &dir)
    }

    #[test]
    fn values_are_fed_as_they_are() {
        let dir = TempDir::new().unwrap();
        let train = save(&dir, "train", &[images([2, 1, 1, 2]), labels(&[3, 0])]);
        let opened = open_tensors(&train, None).unwrap();
        assert_eq!(opened.classes.len(), 4);
        assert!(opened.test.is_none());
        let samples = samples(&opened.train);
        assert_eq!(samples[1].0.pixels, Pixels::F32(vec![2.0, 3.0]));
        assert_eq!((samples[0].1, samples[1].1), (3, 0));
    }

    #[test]
    fn the_test_file_may_have_more_classes_but_no_other_size() {
        let dir = TempDir::new().unwrap();
        let train = save(&dir, "train", &[images([2, 1, 1, 2]), labels(&[3, 0])]);
        let test = save(&dir, "test", &[images([1, 1, 1, 2]), labels(&[7])]);
        let opened = open_tensors(&train, Some(&test)).unwrap();
        assert_eq!(opened.classes.len(), 8);
        assert_eq!(opened.test.unwrap().len(), 1);

        let test = save(&dir, "test", &[images([1, 1, 2, 2]), labels(&[0])]);
        assert_eq!(
            message(open_tensors(&train, Some(&test)), &dir),
            "`DIR/test` has images of another size: expected 1x1x2, found 1x2x2"
        );
    }

    #[test]
    fn other_contents_are_refused() {
        let good = || images([2, 1, 1, 2]);
        let file = "`DIR/train.safetensors`";
        assert_eq!(
            refused(&[good()]),
            format!("{file} has no tensor `labels`, found `images`")
        );
        assert_eq!(
            refused(&[("images", Dtype::U8, vec![1, 1, 1, 1], vec![0])]),
            format!("tensor `images` in {file} has the wrong type: expected F32, found U8")
        );
        assert_eq!(
            refused(&[("images", Dtype::F32, vec![1], vec![0; 4])]),
            format!(
                "tensor `images` in {file} has the wrong shape: expected [N, C, H, W], found [1]"
            )
        );
        assert_eq!(
            refused(&[good(), ("labels", Dtype::I64, vec![2, 1], vec![0; 16])]),
            format!("tensor `labels` in {file} has the wrong shape: expected [N], found [2, 1]")
        );
        assert_eq!(
            refused(&[good(), labels(&[1])]),
            format!("images and labels do not match: {file} has 2 images, {file} has 1 labels")
        );
        assert_eq!(
            refused(&[good(), labels(&[0, -1])]),
            format!(
                "label out of range in {file}, record 1 counted from 0: expected 0 to 1048575, found -1"
            )
        );
        assert_eq!(
            refused(&[images([0, 1, 1, 2]), labels(&[])]),
            format!("no images in {file}")
        );
        assert_eq!(
            refused(&[images([2, 1 << 62, 0, 4]), labels(&[0, 0])]),
            format!("images of zero size in {file}: 4611686018427387904x0x4")
        );
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let dir = TempDir::new().unwrap();
        let path = save(&dir, "train", &[images([2, 1, 1, 2]), labels(&[3, 0])]);
        let whole = fs::read(&path).unwrap();
        for length in [0, 4, 20, whole.len() - 1] {
            write(&path, &whole[..length]);
            assert_eq!(
                message(open_tensors(&path, None), &dir),
                "`DIR/train` is not a sound safetensors file"
            );
        }
    }
}

#[test]
fn digits_need_no_files() {
    let opened = digits();
    assert_eq!(opened.train.len(), 1198);
    assert_eq!(opened.test.unwrap().len(), 599);
    assert_eq!(opened.sizes, Size::new(1, 8, 8).into());
}

/// The type is public so that a program can bring its own images.
#[test]
fn own_images_can_be_held_in_memory() {
    let own = InMemory::new(Size::new(1, 1, 1), Pixels::F32(vec![0.5]), vec![0]);
    assert_eq!(own.get(0).unwrap().image.decode().unwrap().to_f32(), [0.5]);
}
