//! The views of `train eval`: from flags to what is looked at in each image.

use clap::ValueEnum;
use data::random::{self, Purpose};
use data::{Frame, Mirror, Opened, PaddingMode, Places, Size, Views};
use models::TestScales;

use super::network::Network;
use crate::cli::{EvalArgs, View};
use crate::error::Error;
use crate::evaluate::Viewer;
use crate::preprocess;

/// Which views a flag goes with.
const FLAGS: [(&str, &[View]); 4] = [
    (
        "--resize",
        &[
            View::Center,
            View::TenCrop,
            View::FiveRandom,
            View::Dense,
            View::MirrorTranslate,
        ],
    ),
    (
        "--crop",
        &[
            View::Center,
            View::TenCrop,
            View::FiveRandom,
            View::MultiCrop,
            View::MirrorTranslate,
        ],
    ),
    (
        "--padding",
        &[View::TenCrop, View::FiveRandom, View::MultiCrop],
    ),
    ("--scales", &[View::MultiScale, View::MultiCrop]),
];

/// Refuses flags that would have no effect.
///
/// # Errors
///
/// With exit code 2, where there is one.
pub fn check_flags(arguments: &EvalArgs) -> Result<(), Error> {
    let typed = [
        arguments.network.resize.is_some(),
        arguments.network.crop.is_some(),
        arguments.padding.is_some(),
        !arguments.scales.is_empty(),
    ];
    let is_idle = |views: &[View]| !views.contains(&arguments.view);
    let idle = (FLAGS.iter().zip(typed)).find(|((_, views), typed)| *typed && is_idle(views));
    let Some(((flag, views), _)) = idle else {
        return Ok(());
    };
    let views: Vec<String> = views.iter().map(|view| name(*view)).collect();
    let what = format!(
        "`{flag}` does not go with `--view {}`",
        name(arguments.view)
    );
    Err(Error::usage(what).with_hint(format!("it goes with {}", views.join(", "))))
}

/// What the command line calls a view.
pub fn name(view: View) -> String {
    let value = view.to_possible_value().expect("no view is hidden");
    value.get_name().to_owned()
}

/// What the network looks at in an image: one of a folder is scaled as the network's own images are, one of a dataset as
/// `--resize` says, if it does. A part is of the network's own size, or all of a dataset's smaller image.
///
/// # Errors
///
/// With exit code 2, where scales are wanted, and neither the flags nor the network's paper have any.
pub fn chosen(
    network: &Network,
    opened: Option<&Opened>,
    arguments: &EvalArgs,
) -> Result<Views, Error> {
    let size = opened.and_then(|opened| opened.sizes.one());
    let is_scaled = size.is_none() || network.scales || arguments.network.resize.is_some();
    let is_cut = is_scaled || arguments.network.crop.is_some();
    let [height, width] = network.framing.crop;
    let crop = match size {
        Some(size) if !is_cut => [height.min(size.height), width.min(size.width)],
        _ => [height, width],
    };
    let own = Frame {
        scale: is_scaled.then_some(network.framing.resize),
        part: Some(crop),
    };
    let whole = Frame { part: None, ..own };
    let (frames, places, mirror) = match arguments.view {
        View::Center => (vec![own], Places::Middle, Mirror::Never),
        View::TenCrop => (vec![own], Places::Corners, Mirror::Both),
        View::FiveRandom => (vec![own], Places::Random(5), Mirror::AtRandom),
        View::Dense => (vec![whole], Places::Middle, Mirror::Both),
        View::MirrorTranslate => (vec![own], Places::Shifted(1), Mirror::Both),
        View::MultiScale => (scales(network, arguments)?, Places::Middle, Mirror::Both),
        View::MultiCrop => {
            let mut frames = scales(network, arguments)?;
            frames.iter_mut().for_each(|frame| frame.part = Some(crop));
            (frames, Places::Grid(5), Mirror::Both)
        }
    };
    let (padding, padding_mode) = match arguments.view {
        View::MirrorTranslate => (1, PaddingMode::Reflect),
        _ => (arguments.padding.unwrap_or(0), PaddingMode::Constant),
    };
    Ok(Views {
        frames,
        interpolation: network.framing.interpolation,
        padding,
        padding_mode,
        places,
        mirror,
    })
}

/// The scales that are typed, else those of the network's paper.
fn scales(network: &Network, arguments: &EvalArgs) -> Result<Vec<Frame>, Error> {
    let side = |side: &usize| Frame {
        scale: Some([*side; 2]),
        part: None,
    };
    let size = |size: &[usize; 2]| Frame {
        scale: Some(*size),
        part: Some(*size),
    };
    match network.test_scales() {
        _ if !arguments.scales.is_empty() => Ok(arguments.scales.iter().map(side).collect()),
        Some(TestScales::Sides(sides)) => Ok(sides.iter().map(side).collect()),
        Some(TestScales::Sizes(sizes)) => Ok(sizes.iter().map(size).collect()),
        None => Err(Error::usage(format!(
            "`{}` has no scales of its own: its paper looks at images at one",
            network.name
        ))
        .with_hint("name pixels of the shorter side, for example `--scales 256,384,512`")),
    }
}

/// Checks that the network takes every view of images of `size`.
///
/// # Errors
///
/// With exit code 2, where it does not, or there is no such view.
pub fn check(viewer: &Viewer<'_>, size: Size, network: &Network) -> Result<(), Error> {
    let misfit = |error| Error::usage("the views do not fit the images").explained_by(error);
    let mut rng = random::stream(0, Purpose::View, 0, 0);
    for view in viewer.views.choose(size, &mut rng).map_err(misfit)? {
        let [height, width] = view.part;
        let part = Size {
            height,
            width,
            ..size
        };
        let seen = (viewer.preprocessing)
            .output_size(part)
            .map_err(preprocess::misfit)?;
        match viewer.slides {
            true => network.check_map(seen),
            false => network.check(seen),
        }?;
    }
    Ok(())
}
