//! Where the time of a step goes, operation by operation.
//!
//! Of use where an operation is over when its function returns: on a CPU.

use std::cell::RefCell;
use std::time::Instant;

use burn::tensor::Tensor;

/// What one operation took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// The function that was called, such as `conv2d`.
    pub operation: &'static str,
    /// What [`within`] says around it.
    pub layer: Option<u64>,
    /// The shape of its output.
    pub output: Vec<usize>,
    /// Products of a weight and an input, added up, forward and in its gradients.
    pub multiply_adds: u64,
    /// Seconds of the operation.
    pub forward: f64,
    /// Seconds of its gradients.
    pub backward: f64,
}

#[derive(Default)]
struct Profile {
    layer: Option<u64>,
    /// The operation that runs, if one does.
    current: Option<usize>,
    timings: Vec<Timing>,
}

impl Profile {
    fn begin(&mut self, operation: &'static str) -> usize {
        let index = self.timings.len();
        self.current = Some(index);
        self.timings.push(Timing {
            operation,
            layer: self.layer,
            output: Vec::new(),
            multiply_adds: 0,
            forward: 0.0,
            backward: 0.0,
        });
        index
    }
}

thread_local! {
    static PROFILE: RefCell<Option<Profile>> = const { RefCell::new(None) };
}

/// Ends the profile even where the step panics.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        PROFILE.set(None);
    }
}

/// Runs `step`, with its backward pass, on this thread, and tells what each operation of this crate
/// took, in the order of the forward pass.
pub fn record<T>(step: impl FnOnce() -> T) -> (T, Vec<Timing>) {
    PROFILE.set(Some(Profile::default()));
    let _guard = Guard;
    let result = step();
    let timings = with_profile(|profile| std::mem::take(&mut profile.timings));
    (result, timings.unwrap_or_default())
}

/// Runs `forward`, whose operations belong to this layer.
pub fn within<T>(layer: u64, forward: impl FnOnce() -> T) -> T {
    let outer = with_profile(|profile| profile.layer.replace(layer));
    let result = forward();
    with_profile(|profile| profile.layer = outer.flatten());
    result
}

/// Runs an operation of convolutions or matrix products, whose output tells their multiply-adds,
/// forward and in its gradients.
pub(crate) fn product<const D: usize>(
    name: &'static str,
    multiply_adds: impl FnOnce(&Tensor<D>) -> u64,
    forward: impl FnOnce() -> Tensor<D>,
) -> Tensor<D> {
    operation(name, forward, |output| {
        (output.dims().to_vec(), multiply_adds(output))
    })
}

/// Runs any other operation.
pub(crate) fn pass<const D: usize>(
    name: &'static str,
    forward: impl FnOnce() -> Tensor<D>,
) -> Tensor<D> {
    operation(name, forward, |output| (output.dims().to_vec(), 0))
}

/// Runs an operation of whose output `of` tells the shape and the multiply-adds.
pub(crate) fn operation<T>(
    name: &'static str,
    forward: impl FnOnce() -> T,
    of: impl FnOnce(&T) -> (Vec<usize>, u64),
) -> T {
    let begun = with_profile(|profile| profile.begin(name));
    let started = Instant::now();
    let output = forward();
    if let Some(index) = begun {
        let seconds = started.elapsed().as_secs_f64();
        let (shape, multiply_adds) = of(&output);
        with_profile(|profile| {
            profile.current = None;
            let timing = &mut profile.timings[index];
            timing.forward = seconds;
            timing.output = shape;
            timing.multiply_adds = multiply_adds;
        });
    }
    output
}

/// The operation that runs, for its gradient to remember.
pub(crate) fn current() -> Option<usize> {
    with_profile(|profile| profile.current).flatten()
}

/// Runs the gradient of that operation.
pub(crate) fn gradient(operation: Option<usize>, backward: impl FnOnce()) {
    let started = Instant::now();
    backward();
    if let Some(index) = operation {
        let seconds = started.elapsed().as_secs_f64();
        with_profile(|profile| {
            // Of an operation that an earlier profile saw, there is no timing.
            if let Some(timing) = profile.timings.get_mut(index) {
                timing.backward += seconds;
            }
        });
    }
}

fn with_profile<T>(use_it: impl FnOnce(&mut Profile) -> T) -> Option<T> {
    PROFILE.with_borrow_mut(|profile| profile.as_mut().map(use_it))
}
