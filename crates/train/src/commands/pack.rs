//! `train pack`: a dataset's images, written into WebDataset shards.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use data::OnBadImage;
use data::pack::{self, Packed, Packing};

use super::interrupt::{self, INTERRUPTED};
use super::{data_dir, start_threads};
use crate::cli::PackArgs;
use crate::datasets;
use crate::error::Error;
use crate::progress::{Work, grouped};
use crate::streams::{print_line, say};

const SKIP: &str =
    "replace or remove the file, or leave such images out and be told which: `--on-bad-image skip`";

/// Packs, and prints the shards that were written.
pub fn run(arguments: &PackArgs) -> Result<ExitCode, Error> {
    start_threads(None);
    let cannot = |error: data::Error| {
        let is_of_a_file = error.is_of_a_file();
        let failure = Error::failure("cannot pack the images").explained_by(error);
        match is_of_a_file {
            true => failure.with_hint(SKIP),
            false => failure,
        }
    };
    let dataset = arguments.images.dataset();
    let mut opened = datasets::open_with_bad_images(&dataset, &data_dir(&arguments.data))?;
    if arguments.on_bad_image == OnBadImage::Stop && !opened.bad.is_empty() {
        return Err(cannot(opened.bad.swap_remove(0)));
    }
    let packing = Packing {
        shorter_side: arguments.shorter_side,
        quality: arguments.quality,
        shard_bytes: arguments.shard_bytes,
        on_bad_image: arguments.on_bad_image,
    };
    let interrupted = interrupt::watch(Some("stopping: the shards that are whole stay"));
    let mut progress = Work::new(["packing into", "packed into"]);
    let packed = pack::pack(&opened, &arguments.output, &packing, &mut progress, &|| {
        interrupted.load(Ordering::Relaxed)
    })
    .map_err(cannot)?;
    for shard in &packed.shards {
        print_line(shard.display())?;
    }
    Ok(tell(&packed))
}

fn tell(packed: &Packed) -> ExitCode {
    let new = match packed.shards.len() {
        0 => "no new shard".to_owned(),
        1 => "1 new shard".to_owned(),
        several => format!("{several} new shards"),
    };
    let images = grouped(packed.images as u64);
    let skipped = grouped(packed.skipped.len() as u64);
    say(format_args!("{images} images in {new}, {skipped} skipped"));
    match packed.is_whole {
        true => ExitCode::SUCCESS,
        false => {
            say("interrupted: type the same line to go on");
            INTERRUPTED.into()
        }
    }
}
