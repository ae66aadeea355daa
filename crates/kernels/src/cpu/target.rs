//! Memory that several threads write, each in other places.

#![expect(unsafe_code, reason = "the compiler cannot see that the places differ")]

use std::marker::PhantomData;

/// Values that threads write in places of their own.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    start: *mut f32,
    length: usize,
    values: PhantomData<&'a mut [f32]>,
}

// SAFETY: who calls `at` promises that no two threads use one place.
unsafe impl Send for Target<'_> {}
// SAFETY: as above.
unsafe impl Sync for Target<'_> {}

impl<'a> Target<'a> {
    /// These values.
    pub fn new(values: &'a mut [f32]) -> Self {
        Self {
            start: values.as_mut_ptr(),
            length: values.len(),
            values: PhantomData,
        }
    }

    /// The places from `index` on.
    pub fn from(self, index: usize) -> Self {
        assert!(index <= self.length);
        Self {
            start: self.start.wrapping_add(index),
            length: self.length - index,
            values: PhantomData,
        }
    }

    /// The place `index`, from which `count` values are in the memory.
    ///
    /// # Safety
    ///
    /// While one thread uses what is returned, no other uses the same values.
    #[inline(always)]
    pub unsafe fn at(self, index: usize, count: usize) -> *mut f32 {
        debug_assert!(index + count <= self.length);
        // SAFETY: inside of the memory, as its callers compute places from its shape.
        unsafe { self.start.add(index) }
    }
}
