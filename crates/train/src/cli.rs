//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use data::OnBadImage;
use serde::Serialize;

use crate::lab::study::Kind;
use crate::recipe::{Dataset, Precision};

/// Train convolutional image classifiers, exactly and resumably.
///
/// Without a command, train as a recipe says: `train --config quickstart.toml`.
#[derive(Debug, Parser)]
#[command(
    name = "train",
    version,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "train --config RECIPE [OPTIONS]\n       train COMMAND [OPTIONS]",
    after_help = "Examples:\n  \
        train --config quickstart.toml\n  \
        train --config resnet18.toml --set length.epochs=5 --set schedule.cosine.start=0.05\n  \
        train --config resnet18.toml --resume\n  \
        train eval --run runs/resnet18-s0 --checkpoint best"
)]
pub struct Cli {
    /// What to do instead of training.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The run, where there is no command.
    #[command(flatten)]
    pub run: Option<RunArgs>,
}

/// What to do instead of training.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Evaluate weights on a dataset's split
    Eval(EvalArgs),
    /// Classify images
    Predict(PredictArgs),
    /// Write what flows inside a network for a dataset's images
    Features(FeaturesArgs),
    /// Write a network for PyTorch and Kiln, or as ONNX
    Convert(ConvertArgs),
    /// List the networks
    List(ListArgs),
    /// Show a network layer by layer
    Describe(DescribeArgs),
    /// Measure how fast a network trains or classifies here
    Bench(BenchArgs),
    /// Compare what a device computes with what the CPU does
    Parity(ParityArgs),
    /// Check a recipe and show what it would run, without training
    Check(CheckArgs),
    /// Download datasets
    Fetch(FetchArgs),
    /// Measure mean, deviation and principal components of a dataset's training images
    Stats(StatsArgs),
    /// Write a dataset's images into WebDataset shards
    Pack(PackArgs),
    /// Check every file of a dataset
    Verify(VerifyArgs),
    /// Write a run's report.html again
    Report(ReportArgs),
    /// Run a paper's table, and set ours beside it
    Reproduce(ReproduceArgs),
    /// Ask a question of many networks, and get a page with the answer
    Study(StudyArgs),
}

/// The flags of a training run.
///
/// They are not flattened from [`DataArgs`] and [`MachineArgs`]: clap does not see through an optional struct that
/// has others in it.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Recipe: a path, a name under configs/, or the unique end of one
    #[arg(long, value_name = "RECIPE")]
    pub config: String,
    /// Any key of the recipe, for example length.epochs=5 (repeatable)
    #[arg(long, value_name = "KEY.PATH=VALUE")]
    pub set: Vec<String>,
    /// Seed of weights, order and augmentation, in place of the recipe's
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Go on from the last checkpoint of the same run
    #[arg(long)]
    pub resume: bool,
    /// Where the run is written [default: runs/RECIPE-sSEED]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Folder of the datasets, such as cifar-10-batches-bin/ [default: datasets/cache, or the user's cache]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// auto, cpu, ndarray, wgpu, vulkan or cuda, the last three with an index: cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Threads that compute on the CPU [default: by the cores]
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
    /// Threads that prepare batches; they change no result [default: by the cores]
    #[arg(long, value_name = "N", value_parser = workers, allow_negative_numbers = true)]
    pub workers: Option<usize>,
    /// Train by itself, also where a launcher such as mpirun started several of this program
    #[arg(long)]
    pub alone: bool,
    /// Stop, as an interrupt would, where the standard input ends: a program that makes runs lets go of it
    #[arg(long, hide = true)]
    pub while_stdin: bool,
}

/// Where datasets are.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// Folder of the datasets, such as cifar-10-batches-bin/ [default: datasets/cache, or the user's cache]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// What computes.
#[derive(Debug, Args)]
pub struct MachineArgs {
    /// auto, cpu, ndarray, wgpu, vulkan or cuda, the last three with an index: cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Threads that compute on the CPU [default: by the cores]
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
}

/// What a named network is made for.
#[derive(Debug, Default, Args)]
pub struct ShapeArgs {
    /// Classes, in place of the paper's
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub classes: Option<usize>,
    /// Height and width of the images, in place of the paper's
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub size: Option<usize>,
    /// Channels of the images, in place of the paper's
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub channels: Option<usize>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For reading.
    Text,
    /// For programs.
    Json,
}

/// How predictions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictionFormat {
    /// For reading.
    Text,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// What evaluation looks at in each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// The middle.
    Center,
    /// Corners and middle, and their reflections (Krizhevsky et al. 2012).
    TenCrop,
    /// Five crops at random, some mirrored; the same in each evaluation.
    FiveRandom,
    /// The whole image and its reflection, over which the network slides (Simonyan and Zisserman 2014).
    Dense,
    /// The same at several scales (Simonyan and Zisserman 2014, He et al. 2015, Sermanet et al. 2013).
    MultiScale,
    /// A grid of 5x5 crops and their reflections at each of several scales (Simonyan and Zisserman 2014).
    MultiCrop,
    /// The middle, and a pixel up and left of it, and down and right, each with its reflection: the mean of the scores (Jordan
    /// 2024).
    MirrorTranslate,
}

/// A checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckpointChoice {
    /// The best on the validation split.
    Best,
    /// The last.
    Last,
}

/// A part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// What the network was trained on.
    Train,
    /// The end of the training set, held out.
    Validation,
    /// What a result is measured on.
    Test,
}

/// What `train bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Steps of training.
    Train,
    /// Scores of images.
    Infer,
}

/// Networks: of runs, of model files, or by name. All commands but `eval` take one.
#[derive(Debug, Default, Args)]
pub struct NetworkArgs {
    /// Folder of a run, which knows its network, dataset and preprocessing (repeatable in eval)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "weights"], required_unless_present_any = ["model", "weights"])]
    pub run: Vec<PathBuf>,
    /// Which of the run's checkpoints
    #[arg(long, value_name = "WHICH", conflicts_with_all = ["model", "weights"])]
    pub checkpoint: Option<CheckpointChoice>,
    /// Network, as `train list` names it (repeatable in eval, each with its weights)
    #[arg(long, value_name = "NAME", requires = "weights")]
    pub model: Vec<String>,
    /// Weights: .safetensors, or a PyTorch file with its own keys; a model file that Kiln wrote names its network
    #[arg(long, value_name = "FILE")]
    pub weights: Vec<PathBuf>,
    /// Subtracted from each channel, pixels in [0, 1], for example 0.485,0.456,0.406 [default: the network's]
    #[arg(long, value_name = "X,..", value_delimiter = ',', allow_hyphen_values = true, value_parser = finite)]
    pub mean: Vec<f64>,
    /// Divides each channel, for example 0.229,0.224,0.225 [default: the network's]
    #[arg(long, value_name = "X,..", value_delimiter = ',', value_parser = positive)]
    pub std: Vec<f64>,
    /// Pixels that an image's shorter side is scaled to [default: the network's]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub resize: Option<usize>,
    /// Height and width of the middle that is cut out then [default: the network's]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub crop: Option<usize>,
}

/// The flags of `train eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub network: NetworkArgs,
    /// Dataset, in place of the run's
    #[arg(long, value_name = "NAME", required_unless_present_any = ["run", "folder"])]
    pub dataset: Option<String>,
    /// Images of any size in class folders, in place of a dataset; ImageNet's are called by numbers of WordNet
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dataset", "split", "data_dir"])]
    pub folder: Option<PathBuf>,
    /// Part of the dataset
    #[arg(long, value_name = "SPLIT", default_value = "test")]
    pub split: Split,
    /// What is looked at in each image: the mean of the probabilities counts
    #[arg(long, value_name = "VIEW", default_value = "center")]
    pub view: View,
    /// Pixels of the shorter side at each scale, for example 256,384,512 [default: the paper's]
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = at_least_one, allow_negative_numbers = true)]
    pub scales: Vec<usize>,
    /// Zeros that are added on each side before crops are cut out
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub padding: Option<usize>,
    /// Images, or views of images, at a time
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub batch: Option<usize>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub data: DataArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub machine: MachineArgs,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub format: Format,
}

/// The flags of `train predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// PNG and JPEG files, and folders with such in them
    #[arg(value_name = "IMAGE|FOLDER", required_unless_present = "input")]
    pub images: Vec<PathBuf>,
    /// Raw images in place of files: `input`, F32 of shape [N, C, H, W], fed as it is
    #[arg(long, value_name = "SAFETENSORS", requires = "output", conflicts_with_all = ["images", "mean", "std", "resize", "crop", "top", "format"])]
    pub input: Option<PathBuf>,
    /// Where their scores go: `logits`, of shape [N, classes]
    #[arg(long, value_name = "SAFETENSORS", requires = "input")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub network: NetworkArgs,
    /// Slide the network over each whole image, as large as it is or as --resize makes it, and average its scores (OverFeat: take the largest)
    #[arg(long, conflicts_with_all = ["input", "crop"])]
    pub dense: bool,
    /// PNG file to draw into where the network sees the class
    #[arg(long, value_name = "FILE", requires = "dense")]
    pub heatmap: Option<PathBuf>,
    /// Name or number of the class that is drawn [default: the most probable]
    #[arg(long, value_name = "CLASS", requires = "heatmap")]
    pub class: Option<String>,
    /// How many classes to show
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one, allow_negative_numbers = true)]
    pub top: usize,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub machine: MachineArgs,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: PredictionFormat,
}

/// The flags of `train features`.
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// Part of the network whose output is written, for example stage3
    #[arg(long, value_name = "PLACE")]
    pub at: String,
    /// Safetensors file that is written: `features` [N, C, H, W] and their `labels`
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Write the mean of each channel alone: `features` [N, C]
    #[arg(long)]
    pub pool: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub network: NetworkArgs,
    /// Dataset, in place of the run's
    #[arg(long, value_name = "NAME", required_unless_present = "run")]
    pub dataset: Option<String>,
    /// Part of the dataset
    #[arg(long, value_name = "SPLIT", default_value = "train")]
    pub split: Split,
    /// Images at a time
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub batch: Option<usize>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub data: DataArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub machine: MachineArgs,
}

/// The flags of `train convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub network: NetworkArgs,
    /// What is written: weights where the name ends in .safetensors, the whole network where it ends in .onnx
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

/// The flags of `train list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to print the list
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// The flags of `train describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Network, as `train list` names it
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub shape: ShapeArgs,
    /// How to print the table
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// The flags of `train bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Network, as `train list` names it
    #[arg(long, value_name = "NAME")]
    pub model: String,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub shape: ShapeArgs,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one, allow_negative_numbers = true)]
    pub batch: usize,
    /// What a step is
    #[arg(long, value_name = "MODE", default_value = "train")]
    pub mode: Mode,
    /// Steps that are measured
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one, allow_negative_numbers = true)]
    pub steps: usize,
    /// Measure each layer, too, in as many steps again (on the CPU)
    #[arg(long)]
    pub layers: bool,
    /// What training computes in, as the recipe key says
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    pub precision: Precision,
    /// Compute the network's blocks again in the backward pass, as the recipe key does
    #[arg(long)]
    pub gradient_checkpointing: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub machine: MachineArgs,
    /// How to print the figures
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// The flags of `train parity`.
#[derive(Debug, Args)]
pub struct ParityArgs {
    /// Network, as `train list` names it (repeatable) [default: one of each family]
    #[arg(long = "model", value_name = "NAME")]
    pub models: Vec<String>,
    /// Height and width of the images, in place of the paper's
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub size: Option<usize>,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_one, allow_negative_numbers = true)]
    pub batch: usize,
    /// Steps of training
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one, allow_negative_numbers = true)]
    pub steps: usize,
    /// What the device's training computes in, as the recipe key says; the CPU's has 32 bits
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    pub precision: Precision,
    /// The largest difference that is no failure, over the norm of the CPU's values
    #[arg(long, value_name = "X", default_value_t = 1e-3, value_parser = positive)]
    pub tolerance: f64,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub machine: MachineArgs,
    /// How to print the differences
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// How a reproduced table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For reading.
    Text,
    /// For a document.
    Markdown,
    /// For programs.
    Json,
    /// For a browser.
    Html,
}

/// A part of a table's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

/// The flags of commands that make many runs.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Runs of each experiment, of seeds 0, 1, ... [default: 1, or what the study says]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub seeds: Option<usize>,
    /// Runs at a time, which share the threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one, allow_negative_numbers = true)]
    pub jobs: usize,
    /// Make part I of N of the runs only, for several machines: 1/3
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<Shard>,
    /// Where the runs and what is made of them are written [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Tell what would run, and what it would take here
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub data: DataArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub machine: MachineArgs,
}

/// The flags of `train reproduce`.
#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// Table, such as he2015-cifar10; without it, the tables are listed
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
    /// Tables of your own, in place of the papers'
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
    /// How long the runs are: full is the paper's length
    #[arg(long, value_name = "PROTOCOL", default_value = "full")]
    pub protocol: String,
    /// Experiments, such as resnet20,plain20 [default: all of the protocol]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub sweep: SweepArgs,
    /// How to print the table
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: TableFormat,
}

/// The flags of `train study`.
#[derive(Debug, Args)]
pub struct StudyArgs {
    /// What is studied
    #[arg(value_name = "KIND")]
    pub kind: Kind,
    /// Study: a path, a name under configs/, such as studies/degradation-minutes.toml, or the unique end of one
    #[arg(long, value_name = "STUDY")]
    pub config: String,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub sweep: SweepArgs,
    /// How to print the findings
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// The flags of `train check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Recipe: a path, a name under configs/, or the unique end of one
    #[arg(long, value_name = "RECIPE")]
    pub config: String,
    /// Any key of the recipe, for example length.epochs=5 (repeatable)
    #[arg(long, value_name = "KEY.PATH=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub data: DataArgs,
    /// Draw training images as the run is to see them, with their classes, into a PNG file
    #[arg(long, value_name = "FILE")]
    pub preview: Option<PathBuf>,
    /// How to print the plan
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// The flags of `train stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Dataset
    #[arg(
        value_name = "NAME",
        required_unless_present = "own",
        conflicts_with = "own"
    )]
    pub dataset: Option<String>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub own: OwnImagesArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub data: DataArgs,
    /// How to print the figures
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Image files of the user's own, in place of a named dataset.
#[derive(Debug, Args)]
#[group(id = "own", multiple = false)]
pub struct OwnImagesArgs {
    /// Folder of images of any size, train/CLASS/*.png and so on
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Folder of WebDataset shards, train-000000.tar and so on
    #[arg(long, value_name = "DIR")]
    pub shards: Option<PathBuf>,
    /// Folder of the archives of ILSVRC 2012 as they are downloaded, ILSVRC2012_img_train.tar and so on
    #[arg(long, value_name = "DIR")]
    pub ilsvrc: Option<PathBuf>,
}

impl OwnImagesArgs {
    /// The dataset of that name, or these, as a recipe has them.
    ///
    /// # Panics
    ///
    /// Where there is neither, which clap does not allow.
    pub fn or_named(&self, name: Option<&String>) -> Dataset {
        let given = [
            name.cloned().map(Dataset::Name),
            self.folder.clone().map(Dataset::Folder),
            self.shards.clone().map(Dataset::Shards),
            self.ilsvrc.clone().map(Dataset::Ilsvrc),
        ];
        let mut given = given.into_iter().flatten();
        given.next().expect("clap wants one of them")
    }
}

/// A dataset by its name, or image files of the user's own.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Dataset
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "own",
        conflicts_with = "own"
    )]
    pub dataset: Option<String>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub own: OwnImagesArgs,
}

impl ImagesArgs {
    /// As a recipe has it.
    pub fn dataset(&self) -> Dataset {
        self.own.or_named(self.dataset.as_ref())
    }
}

/// The flags of `train pack`.
#[derive(Debug, Args)]
pub struct PackArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub images: ImagesArgs,
    /// Where the shards are written; what is there of the same pack is gone on with
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Scale larger images to this shorter side, and write them as JPEG; otherwise files are packed as they are
    #[arg(long, value_name = "PIXELS", value_parser = side, allow_negative_numbers = true)]
    pub shorter_side: Option<usize>,
    /// Quality of those JPEG files, 1 to 100
    #[arg(long, value_name = "N", default_value = "90", value_parser = clap::value_parser!(u8).range(1..=100), requires = "shorter_side", allow_negative_numbers = true)]
    pub quality: u8,
    /// Images in a shard, for example 200MB
    #[arg(long, value_name = "BYTES", default_value = "1GB", value_parser = bytes, allow_negative_numbers = true)]
    pub shard_bytes: u64,
    /// What is done where an image cannot be decoded: stop or skip
    #[arg(long, value_name = "WHAT", default_value = "stop", value_parser = on_bad_image)]
    pub on_bad_image: OnBadImage,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub data: DataArgs,
}

/// The flags of `train verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub images: ImagesArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub data: DataArgs,
}

/// The flags of `train fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// Datasets
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Download nothing: compare what is there with the official checksums
    #[arg(long)]
    pub verify: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "clap would show the documentation of a flattened struct as its own help"
    )]
    pub data: DataArgs,
}

/// The flags of `train report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folder of a run
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
}

/// No network takes larger images.
const LARGEST_SIDE: usize = 4096;

fn side(text: &str) -> Result<usize, String> {
    let side = text.parse().ok();
    side.filter(|side| (1..=LARGEST_SIDE).contains(side))
        .ok_or_else(|| format!("expected a whole number from 1 to {LARGEST_SIDE}"))
}

/// A whole number, by itself or of kB, MB or GB.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_alphabetic()).len());
    let unit: Option<u64> = match unit {
        "" | "B" => Some(1),
        "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        _ => None,
    };
    let number: Option<u64> = number.trim().parse().ok();
    number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a number of bytes, such as 500MB".into())
}

fn on_bad_image(text: &str) -> Result<OnBadImage, String> {
    match text {
        "stop" => Ok(OnBadImage::Stop),
        "skip" => Ok(OnBadImage::Skip),
        _ => Err("expected `stop` or `skip`".into()),
    }
}

/// No larger than TOML's integers, since a seed is a key of the recipe.
fn seed(text: &str) -> Result<u64, String> {
    let seed = text
        .parse()
        .ok()
        .filter(|seed| i64::try_from(*seed).is_ok());
    seed.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

/// More threads than any machine here has cores, and fewer than bring a machine down.
const MOST_THREADS: usize = 1024;

fn workers(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number <= MOST_THREADS)
        .ok_or_else(|| format!("expected a whole number from 0 to {MOST_THREADS}"))
}

fn threads(text: &str) -> Result<usize, String> {
    workers(text)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("expected a whole number from 1 to {MOST_THREADS}"))
}

fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(index, count)| {
        Some(Shard {
            index: index.parse().ok()?,
            count: count.parse().ok()?,
        })
    });
    parsed
        .filter(|shard| (1..=shard.count).contains(&shard.index))
        .ok_or_else(|| "expected I/N with I from 1 to N".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number, 1 or more".into()),
    }
}

fn finite(text: &str) -> Result<f64, String> {
    let number = text
        .trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "expected a number".into())
}

fn positive(text: &str) -> Result<f64, String> {
    finite(text)
        .ok()
        .filter(|number| *number > 0.0)
        .ok_or_else(|| "expected a number above 0".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_bare_line_is_a_training_run() {
        let line = "train --config resnet18.toml --set seed=3 --set batch=64 --resume --device cuda:1 --threads 2";
        let run = parse(line).unwrap().run.unwrap();
        assert_eq!(run.set, ["seed=3", "batch=64"]);
        assert!(run.resume);
        assert_eq!((run.device.as_str(), run.threads), ("cuda:1", Some(2)));
    }

    #[test]
    fn a_command_is_no_training_run() {
        let line =
            "train eval --model resnet20 --weights a.th --dataset cifar10 --mean 0.485,0.456,0.406";
        let cli = parse(line).unwrap();
        assert!(cli.run.is_none());
        let Some(Command::Eval(eval)) = cli.command else {
            panic!("expected eval, found {:?}", cli.command)
        };
        assert_eq!(eval.network.weights, [PathBuf::from("a.th")]);
        assert_eq!(eval.network.mean, [0.485, 0.456, 0.406]);
    }

    #[test]
    fn what_is_typed_wrong_exits_with_2() {
        for line in [
            "train --seed 1",
            "train --config a.toml --threads 0",
            "train --config a.toml --seed 18446744073709551615",
            "train --config a.toml list",
            "train eval --dataset cifar10",
            "train eval --model resnet20 --dataset cifar10",
            "train eval --model resnet20 --weights a.th",
            "train eval --run runs/a --model resnet20",
            "train eval --model resnet20 --weights a --dataset cifar10 --checkpoint best",
            "train eval --run runs/a --std 0.2,0",
            "train predict --run runs/a",
            "train predict --run runs/a --heatmap b.png c.png",
            "train predict --run runs/a --dense --class 3 c.png",
            "train bench",
            "train bench --model resnet20 --mode test",
            "train fetch",
            "train frobnicate",
        ] {
            match parse(line) {
                Ok(cli) => panic!("`{line}` was taken for {cli:?}"),
                Err(error) => assert_eq!(error.exit_code(), 2, "{line}"),
            }
        }
    }

    #[test]
    fn the_help_reads_well() {
        insta::assert_snapshot!(Cli::command().render_help());
    }
}
