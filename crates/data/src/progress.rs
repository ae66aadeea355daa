//! Work that takes long, and who hears of it.

/// Hears how long work goes. `()` listens to nothing.
pub trait Progress {
    /// The work on `what` begins, with `already` of its `total` bytes done; called again, with 0, if it has to start over.
    fn start(&mut self, what: &str, total: u64, already: u64);
    /// So many more bytes of it are done.
    fn advance(&mut self, bytes: u64);
    /// Something worth a line, such as a mirror that failed.
    fn note(&mut self, text: &str);
    /// The work that was started last has ended, well or not.
    fn finish(&mut self);
}

impl Progress for () {
    fn start(&mut self, _what: &str, _total: u64, _already: u64) {}
    fn advance(&mut self, _bytes: u64) {}
    fn note(&mut self, _text: &str) {}
    fn finish(&mut self) {}
}
