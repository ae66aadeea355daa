//! What can be wrong with data, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::Size;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with a dataset, a transform or a loader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing of the dataset is where it should be.
    #[error("dataset `{dataset}` is not in `{}`: found no {}", data_dir.display(), quoted(looked_for).join(" and no "))]
    MissingDataset {
        /// The manifest's name.
        dataset: String,
        /// The folder of all datasets.
        data_dir: PathBuf,
        /// Files or folders under `data_dir`, each of which would have done.
        looked_for: Vec<String>,
        /// The archives that make up the dataset.
        archives: Vec<String>,
        /// The folder that they belong in.
        download_folder: PathBuf,
    },

    /// A part of the dataset is where it should be, a file of it is not.
    #[error("dataset `{dataset}` is incomplete: `{}` is missing", path.display())]
    IncompleteDataset {
        /// The manifest's name.
        dataset: String,
        /// The file.
        path: PathBuf,
    },

    /// A file or folder is not there.
    #[error("`{}` does not exist", path.display())]
    MissingFile {
        /// The file or folder.
        path: PathBuf,
    },

    /// An archive lacks one of its files.
    #[error("archive `{}` does not hold `{entry}`", archive.display())]
    MissingEntry {
        /// The archive.
        archive: PathBuf,
        /// The file that should be in it.
        entry: String,
    },

    /// The system could not read a file.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// A compressed file is truncated or damaged.
    #[error("compressed file `{}` is truncated or damaged", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// What the decompressor says.
        source: io::Error,
    },

    /// A tar archive is truncated or damaged.
    #[error("archive `{}` is truncated or damaged", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },

    /// An image file is not the one that was there when the dataset was opened.
    #[error("`{}` was changed after it was indexed", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },

    /// An image in an archive is of no class that there is.
    #[error("no class is known of `{}`", path.display())]
    NoClass {
        /// The image.
        path: PathBuf,
    },

    /// ILSVRC's development kit is not there, or not whole.
    #[error("cannot use the development kit `{}`: {reason}", path.display())]
    Kit {
        /// Its archive or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// Of shards that are numbered, one is not there.
    #[error("shard `{}` is missing", path.display())]
    MissingShard {
        /// Where it should be.
        path: PathBuf,
    },

    /// An image in a shard has no class.
    #[error("`{}` has no class file beside it", path.display())]
    Unlabelled {
        /// The image.
        path: PathBuf,
    },

    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// There is nothing to be packed: the images of the dataset are in no files of their own.
    #[error("the dataset has no image files")]
    NoFiles,

    /// A folder holds shards of other images, or packed in another way.
    #[error("`{}` holds other shards", folder.display())]
    OtherPack {
        /// The folder.
        folder: PathBuf,
    },

    /// Some shards are still to be written.
    #[error("not all shards are in `{}` yet", folder.display())]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },

    /// What says what was packed is damaged.
    #[error("`{}` is damaged", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },

    /// A folder holds no shard to train on.
    #[error("no shards `*train*.tar` in `{}`", folder.display())]
    NoShards {
        /// The folder.
        folder: PathBuf,
    },

    /// A file beside an image holds no class.
    #[error("no class in `{}`: expected a number from 0 to {}, found `{found}`", path.display(), classes.saturating_sub(1))]
    ClassFile {
        /// The file.
        path: PathBuf,
        /// How many classes there are.
        classes: usize,
        /// What it holds.
        found: String,
    },

    /// Two images of a class have the same name.
    #[error("two images of a class have the same name: `{}` and `{}`", paths[0].display(), paths[1].display())]
    TwinFiles {
        /// Where they are.
        paths: [PathBuf; 2],
    },

    /// A file is longer or shorter than its format says.
    #[error("`{}` has the wrong length: expected {expected} bytes, found {found}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that the format asks for.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },

    /// A label names no class.
    #[error("label out of range in `{}`, record {record} counted from 0: expected 0 to {}, found {label}", path.display(), classes.saturating_sub(1))]
    Label {
        /// The file.
        path: PathBuf,
        /// The record, counted from 0.
        record: usize,
        /// The label found.
        label: i64,
        /// How many classes there are.
        classes: usize,
    },

    /// An idx file starts with other bytes than its kind.
    #[error("`{}` is not an idx file of {what}: expected magic {expected:#010x}, found {found:#010x}", path.display())]
    IdxMagic {
        /// The file.
        path: PathBuf,
        /// `images` or `labels`.
        what: &'static str,
        /// The magic of the kind.
        expected: u32,
        /// The first four bytes.
        found: u32,
    },

    /// There are not as many labels as images.
    #[error("images and labels do not match: `{}` has {images} images, `{}` has {labels} labels", images_path.display(), labels_path.display())]
    ImagesAndLabels {
        /// Where the images are.
        images_path: PathBuf,
        /// How many.
        images: usize,
        /// Where the labels are.
        labels_path: PathBuf,
        /// How many.
        labels: usize,
    },

    /// A split has another number of images than its manifest says.
    #[error("`{}` has the wrong number of images: expected {expected}, found {found}", path.display())]
    ImageCount {
        /// The file.
        path: PathBuf,
        /// The manifest's number.
        expected: usize,
        /// The number found.
        found: usize,
    },

    /// An image file, or a file of images, is of another size than the dataset.
    #[error("`{}` has images of another size: expected {expected}, found {found}", path.display())]
    ImageSize {
        /// The file.
        path: PathBuf,
        /// The size of the dataset.
        expected: Size,
        /// The size of this file.
        found: Size,
    },

    /// A dataset or a file holds no image.
    #[error("no images in {place}")]
    NoImages {
        /// Where they should be.
        place: String,
    },

    /// A folder holds no image file, or no class folder.
    #[error("no PNG or JPEG images in `{}`", folder.display())]
    NoImageFiles {
        /// The folder.
        folder: PathBuf,
    },

    /// An image has no pixels.
    #[error("images of zero size in `{}`: {size}", path.display())]
    ZeroSize {
        /// The file.
        path: PathBuf,
        /// The size, in which something is zero.
        size: Size,
    },

    /// A folder has a class that it should not have.
    #[error("class `{class}` in `{}` is not a class of {of}", path.display())]
    UnknownClass {
        /// The folder of the class.
        path: PathBuf,
        /// Its name.
        class: String,
        /// What has the classes that there are.
        of: &'static str,
    },

    /// Two classes have names that differ by case alone.
    #[error("classes `{}` and `{}` in `{}` differ by case alone", classes[0], classes[1], path.display())]
    TwinClasses {
        /// The folder of the classes.
        path: PathBuf,
        /// Their names.
        classes: [String; 2],
    },

    /// An image would take more memory than one may.
    #[error("`{}` is too large: an image of {size} would take more than 512 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The size that its header gives.
        size: Size,
    },

    /// An image file cannot be scaled.
    #[error("cannot scale image `{}`", path.display())]
    Scale {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },

    /// An image file cannot be decoded.
    #[error("cannot decode image `{}`", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        source: image::ImageError,
    },

    /// A tensors file is not in the safetensors format.
    #[error("`{}` is not a sound safetensors file", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: safetensors::SafeTensorError,
    },

    /// A tensors file lacks `images` or `labels`.
    #[error("`{}` has no tensor `{tensor}`, found {}", path.display(), list(found))]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor that should be there.
        tensor: &'static str,
        /// The names that are there.
        found: Vec<String>,
    },

    /// A tensor is of another element type.
    #[error("tensor `{tensor}` in `{}` has the wrong type: expected {expected}, found {found}", path.display())]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: &'static str,
        /// The type asked for.
        expected: &'static str,
        /// The type found.
        found: String,
    },

    /// A tensor has another number of dimensions.
    #[error("tensor `{tensor}` in `{}` has the wrong shape: expected {expected}, found {found:?}", path.display())]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: &'static str,
        /// The shape asked for, such as `[N, C, H, W]`.
        expected: &'static str,
        /// The shape found.
        found: Vec<usize>,
    },

    /// A manifest contradicts itself.
    #[error("manifest of dataset `{dataset}` is wrong: {problem}")]
    Manifest {
        /// The manifest's name.
        dataset: String,
        /// What is wrong.
        problem: String,
    },

    /// A part of a dataset reaches past its end.
    #[error("images {start} to {end} asked for, of a dataset of {images}")]
    Range {
        /// The first image.
        start: usize,
        /// One past the last image.
        end: usize,
        /// How many there are.
        images: usize,
    },

    /// A crop is larger than the padded image.
    #[error("`random_crop` of {crop}x{crop} does not fit an image of {size} padded by {padding}")]
    CropTooLarge {
        /// Side of the crop.
        crop: usize,
        /// Zeros added on each side.
        padding: usize,
        /// The image before padding.
        size: Size,
    },

    /// The middle that is to be cut out is larger than the image, or empty.
    #[error("`center_crop` of {}x{} does not fit an image of {size}", to.height, to.width)]
    NoMiddle {
        /// The image.
        size: Size,
        /// The middle.
        to: Size,
    },

    /// A part of an image is larger than the image, or several parts all are the same.
    #[error("no room for {} of {}x{} in an image of {}x{}", if *several { "several parts" } else { "a part" }, part[0], part[1], whole[0], whole[1])]
    NoRoom {
        /// Height and width of the part.
        part: [usize; 2],
        /// Whether several are wanted, in different places.
        several: bool,
        /// Height and width of the image, scaled and padded.
        whole: [usize; 2],
    },

    /// An image is so long and narrow that it would be huge when scaled.
    #[error("an image of {size} would be of {to} when it is scaled")]
    TooNarrow {
        /// The image.
        size: Size,
        /// What it would be scaled to.
        to: Size,
    },

    /// A transform asks for another number of channels.
    #[error("`{transform}` needs images of {expected} channels, found {found}")]
    Channels {
        /// The transform, as a recipe names it.
        transform: &'static str,
        /// The channels it needs.
        expected: usize,
        /// The channels of the images.
        found: usize,
    },

    /// A value of a transform is out of its range.
    #[error("`{key}` of `{transform}` is out of range: expected {expected}, found {found}")]
    TransformValue {
        /// The transform, as a recipe names it.
        transform: &'static str,
        /// The value's name.
        key: &'static str,
        /// The range.
        expected: String,
        /// The value.
        found: String,
    },

    /// A choice was handed to a transform that did not make it.
    #[error("`{transform}` was given a choice of another transform or size: `{choice}`")]
    ForeignChoice {
        /// The transform, as a recipe names it.
        transform: &'static str,
        /// The choice.
        choice: String,
    },

    /// Some process would have no image of what is trained on at a time.
    #[error(
        "{processes} processes cannot share {images} images, which a batch or a part of one has"
    )]
    FewerThanProcesses {
        /// The fewest that are trained on at a time.
        images: usize,
        /// The processes.
        processes: usize,
    },

    /// A batch of no images was asked for.
    #[error("batch of 0 images: expected at least 1")]
    ZeroBatch,

    /// Images were asked for in no batch.
    #[error("images repeated 0 times in a batch: expected at least 1")]
    ZeroRepeats,

    /// A batch is larger than the dataset.
    #[error("batch of {batch} images is larger than the dataset of {images}")]
    BatchTooLarge {
        /// Images asked for in a batch.
        batch: usize,
        /// Images there are.
        images: usize,
    },

    /// An image could not be read or transformed.
    #[error("cannot prepare image {index} of the dataset, counted from 0")]
    Sample {
        /// The image's place in the dataset.
        index: usize,
        /// Why.
        source: Box<Error>,
    },

    /// The transforms make an image of another size than the first one.
    #[error(
        "image of another size than the first one, behind the transforms: expected {expected}, found {found}"
    )]
    SampleSize {
        /// The size of the dataset's first image.
        expected: Size,
        /// The size of this image.
        found: Size,
    },

    /// A transform of bytes got numbers.
    #[error("`{transform}` needs images of bytes")]
    NeedsBytes {
        /// The transform, as a recipe names it.
        transform: &'static str,
    },

    /// What needs images of one size got others.
    #[error("`{what}` needs images of one size")]
    ManySizes {
        /// What needs them.
        what: &'static str,
    },

    /// A thread that prepares batches could not be started.
    #[error("cannot start a thread that prepares batches")]
    Thread {
        /// What the system says.
        source: io::Error,
    },

    /// A thread that prepares batches ended before its work did.
    #[error("a thread that prepares batches stopped unexpectedly")]
    WorkerStopped,
}

impl Error {
    /// Whether it is about one image file, without which the others can be used.
    pub fn is_of_a_file(&self) -> bool {
        match self {
            Error::Sample { source, .. } => source.is_of_a_file(),
            Error::MissingFile { .. }
            | Error::Read { .. }
            | Error::Changed { .. }
            | Error::Decode { .. }
            | Error::Scale { .. }
            | Error::TooLarge { .. }
            | Error::ZeroSize { .. } => true,
            _ => false,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::MissingDataset {
                archives,
                download_folder,
                ..
            } if archives.is_empty() => format!(
                "nobody may download it for you: put its archives into `{0}`, or its class folders into `{0}/train` and `{0}/val`, or name another folder with `--data-dir`",
                download_folder.display()
            ),
            Error::MissingDataset {
                dataset,
                archives,
                download_folder,
                ..
            } => format!(
                "type `train fetch {dataset}`, or put {} into `{}`, or name the folder that has it with `--data-dir`",
                list(archives),
                download_folder.display()
            ),
            Error::IncompleteDataset { dataset, .. } => format!(
                "put it there, or delete the dataset's folder and type `train fetch {dataset}`"
            ),
            Error::Compressed { path, .. } | Error::MissingEntry { archive: path, .. } => format!(
                "delete `{}`, and get it again, for example with `train fetch`",
                path.display()
            ),
            Error::Archive { path, .. } => {
                format!("replace `{}` by a whole copy, or pack it again", path.display())
            }
            Error::Changed { .. } => {
                "start again, or, where the dataset is large, let `train verify` read all of it".into()
            }
            Error::NoShards { .. } => {
                "`train pack` writes shards: `train-000000.tar`, and `val-000000.tar` where there are test images".into()
            }
            Error::NoClass { .. } => {
                "the archives are not those of one dataset: replace them by whole copies".into()
            }
            Error::ClassFile { .. } => {
                "it holds the number of a line of `classes.txt`, counted from 0".into()
            }
            Error::Kit { .. } => {
                "put `ILSVRC2012_devkit_t12.tar.gz`, as it was downloaded, beside the archives of images".into()
            }
            Error::MissingShard { .. } => {
                "shards are numbered without a gap: put it there, or pack again".into()
            }
            Error::Unlabelled { .. } => {
                "an image `KEY.jpg` in a shard has the number of its class beside it, in `KEY.cls`".into()
            }
            Error::NoFiles => {
                "datasets of class folders, shards and archives of images are packed".into()
            }
            Error::OtherPack { .. } => "name an empty folder with `--output`".into(),
            Error::Unfinished { .. } => {
                "type the same `train pack` line again, which goes on".into()
            }
            Error::Description { path, .. } => format!(
                "restore `{}` from a copy, or remove its folder and pack again",
                path.display()
            ),
            Error::TwinFiles { .. } => "rename or remove one of them".into(),
            Error::Length { path, .. } => format!(
                "the file was cut or changed: replace `{}` by a whole copy",
                path.display()
            ),
            Error::Label { path, .. } => format!(
                "labels count from 0: correct `{}`, or replace it by a whole copy",
                path.display()
            ),
            Error::NoImageFiles { .. } => {
                "images lie in class folders, `CLASS/*.png` (or .jpg, .jpeg), which a dataset has under `train/`, and under `test/` or `val/`".into()
            }
            Error::ImageSize { .. } => "scale all images to one size first".into(),
            Error::NeedsBytes { transform } => {
                format!("put `{transform}` before `normalize`, `pca_color` and `random_erasing`")
            }
            Error::TwinClasses { .. } => {
                "name them apart: on a disk that does not tell case apart, they are one".into()
            }
            Error::SampleSize { .. } => {
                "bring all images to one size, for example by `random_resized_crop`, or by `resize` and `center_crop`".into()
            }
            Error::MissingTensor { tensor, .. }
            | Error::TensorType { tensor, .. }
            | Error::TensorShape { tensor, .. } => match *tensor {
                "images" | "labels" => "the file needs `images`, F32 of shape [N, C, H, W], and `labels`, I64 of shape [N]".into(),
                alone => format!("the file needs `{alone}`, F32 of shape [N, C, H, W]"),
            },
            Error::CropTooLarge { crop, .. } => {
                format!("lower `size` of `random_crop` below {crop}, or raise its `padding`")
            }
            Error::Channels { transform, .. } => {
                format!("remove `{transform}` from the recipe, or use images of colour")
            }
            Error::NoRoom { part, several, .. } => format!(
                "scale the images to {} or more, by `--resize` or `--scales`, pad them, by `--padding`, or cut out less, by `--crop`",
                part[0].max(part[1]) + usize::from(*several)
            ),
            Error::BatchTooLarge { images, .. } => format!("set `batch` to {images} or less"),
            Error::ZeroBatch => "set `batch` to 1 or more".into(),
            Error::FewerThanProcesses { .. } => {
                "choose a larger `batch` or a smaller `accumulate`, set `drop_last = true` where it is the last batch of an epoch, or start fewer processes".into()
            }
            Error::Sample { source, .. } => return source.hint(),
            _ => return None,
        };
        Some(hint)
    }
}

/// `` `a` ``, `` `b` ``; or `nothing`.
fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".into();
    }
    quoted(names).join(", ")
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("`{name}`")).collect()
}
