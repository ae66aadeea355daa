//! The best instructions of the machine, found at run time.

use pulp::{Arch, Simd, WithSimd};

/// Does `work` with the best instructions: AVX-512, AVX2 with FMA, NEON, or none in particular.
pub(crate) fn dispatch<W: WithSimd>(work: W) -> W::Output {
    #[cfg(test)]
    match forced::get() {
        Some(forced::Instructions::Portable) => return pulp::Scalar.vectorize(work),
        Some(forced::Instructions::Wide) => return pulp::Scalar512b.vectorize(work),
        None => {}
    }
    Arch::new().dispatch(work)
}

/// Calls `work`, a plain loop, compiled once for each set of instructions.
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

    dispatch(Work(work));
}

/// Values in a vector of this machine.
pub(crate) fn lanes() -> usize {
    struct Lanes;

    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }

    dispatch(Lanes)
}

/// Other instructions than the machine's best, for tests.
#[cfg(test)]
pub(crate) mod forced {
    use std::sync::atomic::{AtomicU8, Ordering};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Instructions {
        /// One value at a time, as where no vectors are known.
        Portable,
        /// The shapes of AVX-512, one value at a time.
        Wide,
    }

    static FORCED: AtomicU8 = AtomicU8::new(0);

    /// For the whole process: no other unit test may compute meanwhile.
    pub fn set(instructions: Option<Instructions>) {
        let number = match instructions {
            None => 0,
            Some(Instructions::Portable) => 1,
            Some(Instructions::Wide) => 2,
        };
        FORCED.store(number, Ordering::SeqCst);
    }

    pub fn get() -> Option<Instructions> {
        match FORCED.load(Ordering::SeqCst) {
            1 => Some(Instructions::Portable),
            2 => Some(Instructions::Wide),
            _ => None,
        }
    }
}
