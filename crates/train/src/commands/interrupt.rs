//! What happens when the user wants to stop.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::streams::say;

/// What shells say of a program that an interrupt ended.
pub const INTERRUPTED: u8 = 130;

/// A flag that the first interrupt sets, saying what will be, if anything; the second one ends the process.
pub fn watch(says: Option<&'static str>) -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&interrupted);
    let watching = ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            process::exit(INTERRUPTED.into());
        }
        if let Some(says) = says {
            say(format_args!("{says}; once more to stop at once"));
        }
    });
    if let Err(error) = watching {
        say(format_args!(
            "note: an interrupt will not save the run: {error}"
        ));
    }
    interrupted
}

/// Sets the flag when the standard input ends: when who started this process closes it, or is no more.
pub fn when_stdin_ends(interrupted: &Arc<AtomicBool>) {
    let set = Arc::clone(interrupted);
    thread::spawn(move || {
        // What cannot be read any more has ended.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        set.store(true, Ordering::Relaxed);
    });
}
