//! The network of `eval`, `predict`, `features` and `convert`: a run's, that of a model file, or a named
//! one with weights of anywhere.

use std::path::Path;

use data::{Interpolation, Manifest, Opened, Pipeline, Size, Sizes, Transform};
use models::registry::{self, Entry, Normalization};
use models::weights::Weights;
use models::{Architecture, ConfigError, Init, Model, TestScales};

use crate::checkpoint;
use crate::cli::{CheckpointChoice, NetworkArgs};
use crate::device::Choice;
use crate::error::Error;
use crate::network::{self, Card};
use crate::preprocess::{self, Framing};
use crate::recipe;
use crate::train::MODEL;
use crate::{datasets, report, suggest};

/// A network that is ready for evaluation.
pub struct Network {
    /// What the command line calls it.
    pub name: String,
    /// The network and its options.
    named: recipe::Model,
    architecture: Architecture,
    /// Optimizer updates behind its weights, as far as that is known.
    step: u64,
    /// With its weights, on the device.
    pub model: Model,
    /// The names of its classes.
    pub classes: Vec<String>,
    /// The size of the images that it was made for, before preprocessing.
    pub size: Size,
    /// How an image of any size becomes one of that size, or of what the command line says.
    pub framing: Framing,
    /// Whether images of its dataset, too, go through the framing.
    pub scales: bool,
    /// What is done to an image of that size before the network sees it.
    pub preprocessing: Pipeline,
}

impl Network {
    /// Loads the networks that the command line names; named ones are made for the images and classes
    /// of `opened`, or else for those they were published for.
    ///
    /// # Errors
    ///
    /// With exit code 2 where there is no such network, with 1 where its weights cannot be used.
    pub fn load_all(
        arguments: &NetworkArgs,
        opened: Option<&Opened>,
        device: &Choice,
    ) -> Result<Vec<Self>, Error> {
        let NetworkArgs {
            run,
            model,
            weights,
            checkpoint,
            ..
        } = arguments;
        let networks: Vec<Self> = match (model.len(), weights.len()) {
            (0, 0) => (run.iter())
                .map(|folder| of_run(folder, *checkpoint, device))
                .collect(),
            (0, _) => weights.iter().map(|path| of_file(path, device)).collect(),
            (models, files) if models == files => (model.iter().zip(weights))
                .map(|(name, path)| named(name, path, opened, device))
                .collect(),
            (models, files) => Err(Error::usage("expected a file of weights for each network")
                .because(format!(
                    "found {models} of `--model`, {files} of `--weights`"
                ))),
        }?;
        networks
            .into_iter()
            .map(|network| network.adjusted(arguments))
            .collect()
    }

    /// Loads the one network that the command line names, made for what it was published for.
    ///
    /// # Errors
    ///
    /// As [`Network::load_all`], and with exit code 2 where several are named.
    pub fn load(arguments: &NetworkArgs, device: &Choice) -> Result<Self, Error> {
        if arguments.run.len().max(arguments.weights.len()) > 1 {
            return Err(Error::usage("several networks are named, expected one")
                .with_hint("`train eval` takes several"));
        }
        let mut networks = Self::load_all(arguments, None, device)?;
        Ok(networks.remove(0))
    }

    /// The network with what the command line says in place of its own.
    fn adjusted(mut self, arguments: &NetworkArgs) -> Result<Self, Error> {
        self.framing = framing(arguments, self.framing)?;
        if let Some(normalize) = normalization(arguments, &self)? {
            self.preprocessing = normalize;
        }
        Ok(self)
    }

    /// What a model file says of it.
    pub fn card(&self) -> Card {
        Card {
            model: self.named.clone(),
            classes: self.classes.clone(),
            size: self.size,
            preprocessing: match self.scales {
                true => self.framed(),
                false => self.preprocessing.clone(),
            },
            step: self.step,
        }
    }

    /// The framing, then the rest.
    fn framed(&self) -> Pipeline {
        let framing = self.framing.transforms().into_iter();
        Pipeline(framing.chain(self.preprocessing.0.clone()).collect())
    }

    /// What makes an image of a dataset ready for the network.
    ///
    /// # Errors
    ///
    /// As [`Network::for_any_size`].
    pub fn for_dataset(&self, sizes: Sizes) -> Result<Pipeline, Error> {
        match sizes.one() {
            Some(_) if !self.scales => Ok(self.preprocessing.clone()),
            _ => Ok(self.for_any_size()?.0),
        }
    }

    /// What makes an image of any size ready for the network, and the size that it then has.
    ///
    /// # Errors
    ///
    /// With exit code 2, where the network does not take what the command line asks for.
    pub fn for_any_size(&self) -> Result<(Pipeline, Size), Error> {
        let [height, width] = self.framing.crop;
        let framed = Size {
            height,
            width,
            ..self.size
        };
        let size = (self.preprocessing)
            .output_size(framed)
            .map_err(preprocess::misfit)?;
        self.check(size)?;
        Ok((self.framed(), size))
    }

    /// What makes a whole image ready for the network's map: as large as it is, or scaled as the
    /// command line says.
    pub fn for_whole_images(&self, is_scaled: bool) -> Pipeline {
        let [resize, _] = self.framing.transforms();
        let scaling = is_scaled.then_some(resize);
        Pipeline(
            (scaling.into_iter())
                .chain(self.preprocessing.0.clone())
                .collect(),
        )
    }

    /// The size that the framing scales a square image to.
    pub fn covered(&self) -> Size {
        let [height, width] = self.framing.resize;
        Size {
            height,
            width,
            ..self.size
        }
    }

    /// The sizes at which the network's paper looks at a test image, where it averages over any.
    pub fn test_scales(&self) -> Option<TestScales> {
        self.architecture.test_scales()
    }

    /// What folders of images of each class are called: ImageNet's by numbers of WordNet.
    pub fn class_folders(&self) -> &[String] {
        let imagenet = imagenet();
        match self.classes == imagenet.classes {
            true => &imagenet.ids,
            false => &self.classes,
        }
    }

    /// Checks that the network takes images of `size`, which they have after preprocessing.
    ///
    /// # Errors
    ///
    /// With exit code 2, where it does not.
    pub fn check(&self, size: Size) -> Result<(), Error> {
        self.check_by(size, Architecture::check)
    }

    /// Checks that the network makes a map of images of `size`.
    ///
    /// # Errors
    ///
    /// With exit code 2, where it does not.
    pub fn check_map(&self, size: Size) -> Result<(), Error> {
        self.check_by(size, Architecture::check_map)
    }

    fn check_by(
        &self,
        size: Size,
        check: fn(&Architecture, [usize; 2]) -> Result<(), ConfigError>,
    ) -> Result<(), Error> {
        let misfit = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::usage("the network does not fit the images")
                .because(cause)
                .with_hint("choose the images that it was trained on, or another network")
        };
        let (expected, found) = (self.architecture.channels(), size.channels);
        if found != expected {
            let cause = format!("expected images of {expected} channels, found {found}");
            return Err(misfit(cause.into()));
        }
        check(&self.architecture, [size.height, size.width]).map_err(|error| misfit(error.into()))
    }
}

fn of_run(
    folder: &Path,
    choice: Option<CheckpointChoice>,
    device: &Choice,
) -> Result<Network, Error> {
    let path = match choice {
        Some(CheckpointChoice::Best) => folder.join(checkpoint::FOLDER).join(checkpoint::BEST),
        Some(CheckpointChoice::Last) | None => folder.join(MODEL),
    };
    if !path.exists() {
        let error = Error::failure(format!(
            "run `{}` has no `{}`",
            folder.display(),
            path.display()
        ));
        return Err(match choice {
            Some(CheckpointChoice::Best) => error.with_hint(
                "only a run with a validation split has a best checkpoint: `validation = { images = .. }`",
            ),
            _ if folder.join(report::PLAN).exists() => {
                error.with_hint("it has not reached its last step: go on with it by `--resume`")
            }
            _ => error.with_hint(format!("is `{}` the folder of a run?", folder.display())),
        });
    }
    let network = of_file(&path, device)?;
    Ok(Network {
        name: folder.display().to_string(),
        ..network
    })
}

fn of_file(path: &Path, device: &Choice) -> Result<Network, Error> {
    let (weights, card) = network::read(path)?;
    let architecture = card.architecture()?;
    let Card {
        model,
        classes,
        size,
        preprocessing,
        step,
    } = card;
    let (own, preprocessing) = Framing::split_off(preprocessing);
    Ok(Network {
        name: path.display().to_string(),
        model: loaded(&architecture, weights, path, device)?,
        named: model,
        architecture,
        step,
        classes,
        size,
        scales: own.is_some(),
        framing: own.unwrap_or(Framing {
            resize: [size.height, size.width],
            interpolation: Interpolation::Bilinear,
            crop: [size.height, size.width],
        }),
        preprocessing,
    })
}

fn named(
    name: &str,
    path: &Path,
    opened: Option<&Opened>,
    device: &Choice,
) -> Result<Network, Error> {
    let entry = registry::find(name).ok_or_else(|| unknown(name))?;
    let weights = read(path)?;
    let [channels, height, width] = entry.input();
    let published = Size::new(channels, height, width);
    let size = opened.map_or(published, |opened| {
        let channels = opened.sizes.channels();
        let any = Size {
            channels,
            ..published
        };
        opened.sizes.one().unwrap_or(any)
    });
    let published = entry.architecture.with_channels(size.channels);
    let classes = match opened {
        Some(opened) => opened.classes.clone(),
        None => {
            let mut init = Init::new(&device.device, published.initialization(), 0);
            let scores = weights.scores(&published.init(&mut init));
            class_names(scores.unwrap_or(published.classes()))
        }
    };
    let architecture = published.with_classes(classes.len());
    Ok(Network {
        name: format!("{name} ({})", path.display()),
        model: loaded(&architecture, weights, path, device)?,
        named: name.to_owned().into(),
        architecture,
        step: 0,
        classes,
        size,
        scales: false,
        framing: published_framing(entry),
        preprocessing: published_normalization(entry, size.channels),
    })
}

/// The dataset whose classes networks were published for that score as many.
fn imagenet() -> &'static Manifest {
    datasets::find("imagenet").expect("it is built in")
}

/// ImageNet's where there are as many, else numbers.
fn class_names(count: usize) -> Vec<String> {
    let imagenet = imagenet();
    if imagenet.classes.len() == count {
        return imagenet.classes.clone();
    }
    (0..count).map(|class| class.to_string()).collect()
}

fn published_framing(entry: &Entry) -> Framing {
    Framing {
        resize: [entry.resize; 2],
        interpolation: match entry.bicubic {
            true => Interpolation::Bicubic,
            false => Interpolation::Bilinear,
        },
        crop: [entry.image_size; 2],
    }
}

fn published_normalization(entry: &Entry, channels: usize) -> Pipeline {
    let statistics = match entry.normalization {
        Normalization::Unsettled => None,
        Normalization::PlusMinusOne => Some((vec![0.5; channels], vec![0.5; channels])),
        Normalization::ImageNet => (imagenet().statistics.as_ref())
            .filter(|statistics| statistics.mean.len() == channels)
            .map(|statistics| (statistics.mean.clone(), statistics.std.clone())),
    };
    let normalize = statistics.map(|(mean, std)| Transform::Normalize { mean, std });
    Pipeline(normalize.into_iter().collect())
}

/// The error of a name that no network has.
pub fn unknown(name: &str) -> Error {
    let error = Error::usage(format!("unknown model `{name}`"));
    match suggest::nearest(name, registry::names()) {
        Some(nearest) => error.with_hint(format!("did you mean `{nearest}`?")),
        None => error.with_hint("`train list` shows all models"),
    }
}

fn read(path: &Path) -> Result<Weights, Error> {
    network::read_weights(path).map_err(|error| {
        Error::failure(format!("cannot use weights `{}`", path.display())).explained_by(error)
    })
}

fn loaded(
    architecture: &Architecture,
    weights: Weights,
    path: &Path,
    device: &Choice,
) -> Result<Model, Error> {
    let mut init = Init::new(&device.device, architecture.initialization(), 0);
    weights
        .load_into(architecture.init(&mut init))
        .map_err(|error| {
            Error::failure(format!("cannot use weights `{}`", path.display())).explained_by(error)
        })
}

/// The network's own framing, but for what the command line says.
fn framing(arguments: &NetworkArgs, own: Framing) -> Result<Framing, Error> {
    let framing = Framing {
        resize: arguments.resize.map_or(own.resize, |side| [side; 2]),
        crop: arguments.crop.map_or(own.crop, |side| [side; 2]),
        ..own
    };
    let ([rows, columns], [height, width]) = (framing.resize, framing.crop);
    if height <= rows && width <= columns {
        return Ok(framing);
    }
    Err(Error::usage(format!(
        "cannot cut {height}x{width} out of images that are scaled to cover {rows}x{columns}"
    ))
    .with_hint(format!(
        "scale them to more, `--resize {}`, or cut out less, by `--crop N`",
        height.max(width)
    )))
}

/// The normalisation that the command line gives, if it gives one; half of one is filled up from the network's own.
fn normalization(arguments: &NetworkArgs, network: &Network) -> Result<Option<Pipeline>, Error> {
    if arguments.mean.is_empty() && arguments.std.is_empty() {
        return Ok(None);
    }
    let channels = network.size.channels;
    let own = (network.preprocessing.0.iter()).find_map(|transform| match transform {
        Transform::Normalize { mean, std } => Some((mean, std)),
        _ => None,
    });
    let given_or = |given: &[f64], own: Option<&Vec<f32>>, none: f64| match own {
        _ if !given.is_empty() => given.to_vec(),
        Some(own) => own.iter().map(|value| f64::from(*value)).collect(),
        None => vec![none; channels],
    };
    let mean = given_or(&arguments.mean, own.map(|(mean, _)| mean), 0.0);
    let std = given_or(&arguments.std, own.map(|(_, std)| std), 1.0);
    for (flag, values) in [("--mean", &mean), ("--std", &std)] {
        if values.len() != channels {
            return Err(Error::usage(format!(
                "expected a value a channel in `{flag}`, {channels}, found {}",
                values.len()
            )));
        }
    }
    Ok(Some(Pipeline(vec![preprocess::given(&mean, &std)])))
}
