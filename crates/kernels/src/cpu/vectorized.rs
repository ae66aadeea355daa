//! Plain loops, compiled for the best instructions of the machine.

use pulp::{Arch, Simd, WithSimd};

/// Calls `work`, compiled once for each set of instructions.
///
/// Only what is inlined into `work` is compiled so: mark it `#[inline(always)]`, and the closure, too.
pub(crate) fn vectorized(work: impl FnMut()) {
    struct Work<F>(F);

    impl<F: FnMut()> WithSimd for Work<F> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) {
            (self.0)();
        }
    }

    Arch::new().dispatch(Work(work));
}
