//! Memory that is used again.
//!
//! A step of training allocates the same sizes as the step before. Fresh memory costs a page fault
//! every 4 KiB, which is more than most operations that would fill it: what is given back is kept
//! and handed out again.

#![expect(
    unsafe_code,
    reason = "Burn takes memory that it did not allocate through an unsafe trait"
)]

use std::collections::VecDeque;
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{AllocationProperty, Bytes};
use burn_std::{AccessError, AccessPolicy, AllocationController};

/// Values in a cache line, by which buffers are aligned.
const LINE: usize = 16;

/// Memory whose lines are aligned from `start` on.
///
/// The allocator is not asked for the alignment: it would write the zeros of what the system gives
/// zeroed already.
struct Memory {
    values: Vec<f32>,
    start: usize,
    lines: usize,
}

impl Memory {
    fn zeroed(lines: usize) -> Self {
        let values = vec![0.0f32; (lines + 1) * LINE];
        let start = values.as_ptr().align_offset(LINE * size_of::<f32>());
        Self {
            values,
            start,
            lines,
        }
    }
}

/// Values in memory that is used again after the buffer's end.
pub(crate) struct Buffer {
    memory: Memory,
    length: usize,
}

impl Buffer {
    /// `length` values, whatever they were before.
    pub fn new(length: usize) -> Self {
        Self {
            memory: memory(size_class(length.div_ceil(LINE))),
            length,
        }
    }

    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let mut buffer = Self::new(length);
        buffer.fill(0.0);
        buffer
    }

    /// The same memory as Burn holds it.
    pub fn into_bytes(self) -> Bytes {
        let length = self.length * size_of::<f32>();
        // SAFETY: the controller's memory is at least `length` bytes, all of them initialised.
        unsafe { Bytes::from_controller(Box::new(self), length) }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory.values[self.memory.start..self.memory.start + self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        let start = self.memory.start;
        &mut self.memory.values[start..start + self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let nothing = Memory {
            values: Vec::new(),
            start: 0,
            lines: 0,
        };
        // Freed when the pool is not locked any more.
        let freed = pool().give_back(mem::replace(&mut self.memory, nothing));
        drop(freed);
    }
}

impl AllocationController for Buffer {
    fn alloc_align(&self) -> usize {
        LINE * size_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(
        &mut self,
        _policy: AccessPolicy,
    ) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(self);
        let (start, length) = (bytes.as_mut_ptr().cast(), bytes.len());
        // SAFETY: the same memory under a type of the same layout; by the trait's contract, the
        // caller writes initialised values only.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, length) })
    }

    fn memory(&self, _policy: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes: &[u8] = bytemuck::cast_slice(self);
        // SAFETY: the same memory under a type of the same layout, which nobody writes meanwhile.
        Ok(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
    }
}

/// The size of memory for so many lines: at most an eighth more, so that sizes that are nearly the
/// same share their memory.
fn size_class(lines: usize) -> usize {
    let step = (lines + 1).next_power_of_two() / 16;
    lines.next_multiple_of(step.max(1))
}

/// Memory that is kept, or else fresh. The system is called while the pool is not locked.
fn memory(lines: usize) -> Memory {
    let taken = pool().take(lines);
    taken.unwrap_or_else(|freed| {
        drop(freed);
        let fresh = Memory::zeroed(lines);
        pool().lend(lines);
        fresh
    })
}

/// What was given back, the longest ago first.
struct Pool {
    free: VecDeque<Memory>,
    /// Lines in `free`.
    free_lines: usize,
    /// Lines in buffers.
    lent_lines: usize,
    /// The most lines that were in buffers at a time.
    most_lent: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    free: VecDeque::new(),
    free_lines: 0,
    lent_lines: 0,
    most_lent: 0,
});

fn pool() -> MutexGuard<'static, Pool> {
    // A panic elsewhere leaves counts and buffers as they were.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Memory of this size, where some is kept, and what has to be freed first where none is.
    fn take(&mut self, lines: usize) -> Result<Memory, Vec<Memory>> {
        match self.fitting(lines) {
            Some(index) => {
                let memory = self.free.remove(index).expect("found just now");
                self.free_lines -= memory.lines;
                self.lend(memory.lines);
                Ok(memory)
            }
            None => Err(self.let_go(lines)),
        }
    }

    /// The smallest that is large enough and not much larger, of several the last one given back.
    fn fitting(&self, lines: usize) -> Option<usize> {
        let fits = |kept: &Memory| (lines..=lines + lines / 4).contains(&kept.lines);
        let kept = self.free.iter().enumerate().rev();
        kept.filter(|(_, kept)| fits(kept))
            .min_by_key(|(_, kept)| kept.lines)
            .map(|(index, _)| index)
    }

    /// Counts what is lent.
    fn lend(&mut self, lines: usize) {
        self.lent_lines += lines;
        self.most_lent = self.most_lent.max(self.lent_lines);
    }

    /// Keeps the memory, and returns what is to be freed instead.
    fn give_back(&mut self, memory: Memory) -> Vec<Memory> {
        self.lent_lines -= memory.lines;
        self.free_lines += memory.lines;
        self.free.push_back(memory);
        self.let_go(0)
    }

    /// Keeps all memory together, `more` lines included, below what was needed at a time, and half:
    /// with less, the sizes that a step needs next would go to make room for those that it needs now.
    fn let_go(&mut self, more: usize) -> Vec<Memory> {
        let most = self.most_lent + self.most_lent / 2;
        let mut freed = Vec::new();
        while self.free_lines > 0 && self.free_lines + self.lent_lines + more > most {
            let oldest = self.free.pop_front().expect("its lines were counted");
            self.free_lines -= oldest.lines;
            freed.push(oldest);
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_pool() -> Pool {
        Pool {
            free: VecDeque::new(),
            free_lines: 0,
            lent_lines: 0,
            most_lent: 0,
        }
    }

    fn take(pool: &mut Pool, lines: usize) -> Memory {
        pool.take(lines).unwrap_or_else(|_| {
            pool.lend(lines);
            Memory::zeroed(lines)
        })
    }

    #[test]
    fn memory_of_the_same_size_is_used_again() {
        let mut pool = a_pool();
        let first = take(&mut pool, 8);
        let address = first.values.as_ptr();
        assert!(pool.give_back(first).is_empty());
        assert_eq!(take(&mut pool, 8).values.as_ptr(), address);
    }

    #[test]
    fn what_is_kept_is_bounded_by_what_was_needed_at_a_time() {
        let mut pool = a_pool();
        for lines in [8, 16, 4, 12, 7, 9] {
            let taken = take(&mut pool, lines);
            pool.give_back(taken);
            assert!(pool.free_lines <= 24);
        }
        assert_eq!((pool.most_lent, pool.lent_lines), (16, 0));
    }

    #[test]
    fn a_size_class_wastes_at_most_an_eighth() {
        for lines in 0..5000 {
            let size = size_class(lines);
            assert!(
                (lines..=lines + lines / 8).contains(&size),
                "{lines} lines take {size}"
            );
        }
    }

    #[test]
    fn a_buffer_has_its_length_and_alignment() {
        let buffer = Buffer::zeros(17);
        assert_eq!(buffer.len(), 17);
        assert_eq!(buffer.as_ptr() as usize % 64, 0);
        assert_eq!(buffer.into_bytes().len(), 68);
    }
}
