//! A forward pass in which shapes stand for arithmetic.
//!
//! While a trace runs on a thread, layers compute nothing and touch no weight: they note what they
//! would have done and hand on a tensor of the right shape. The *value* of that tensor, the same
//! everywhere, is the receptive field so far. What networks do between layers (rectify, pad with
//! zeros, concatenate) never lowers the largest value, and [`residual_add`](crate::layers::residual_add) takes the
//! larger of its two: so the one definition of a network, its `forward`, also describes it.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::LayerKind;
use burn::module::ParamId;
use burn::tensor::Tensor;

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// What a traced forward pass saw of one layer.
#[derive(Clone, Debug)]
pub(crate) struct TracedLayer {
    pub kind: LayerKind,
    /// One of the layer's parameters, by which its name is found.
    pub parameter: Option<ParamId>,
    pub parameters: usize,
    pub multiply_adds: u64,
    /// Channels, and height and width where there are any.
    pub output: Vec<usize>,
    pub receptive_field: usize,
}

/// What a forward pass did.
#[derive(Default)]
pub(crate) struct Trace {
    pub layers: Vec<TracedLayer>,
    /// Blocks that gradient checkpointing would compute again.
    pub blocks: usize,
    /// Input pixels from one pixel of a feature map to the next, by the map's height and width.
    strides: HashMap<[usize; 2], usize>,
}

/// Ends the trace even where the forward pass panics.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        TRACE.with_borrow_mut(|trace| *trace = None);
    }
}

/// Runs `forward` on a blank image of `[channels, height, width]` and tells what it did.
pub(crate) fn run<T>(
    [channels, height, width]: [usize; 3],
    device: &burn::tensor::Device,
    forward: impl FnOnce(Tensor<4>) -> T,
) -> Trace {
    let strides = HashMap::from([([height, width], 1)]);
    TRACE.with_borrow_mut(|trace| {
        *trace = Some(Trace {
            strides,
            ..Trace::default()
        });
    });
    let _guard = Guard;
    forward(Tensor::ones([1, channels, height, width], device));
    TRACE.with_borrow_mut(|trace| trace.take().expect("the trace begun above"))
}

pub(crate) fn is_active() -> bool {
    TRACE.with_borrow(Option::is_some)
}

/// A block that gradient checkpointing would compute again.
pub(crate) fn note_block() {
    with_trace(|trace| trace.blocks += 1);
}

/// A layer that slides a window over the image.
pub(crate) struct Window {
    pub kind: LayerKind,
    pub parameter: Option<ParamId>,
    pub parameters: usize,
    pub multiply_adds_per_pixel: u64,
    pub filters: usize,
    /// Rows from the first that the window sees to the last, both included.
    pub extent: usize,
    /// Rows from one window to the next.
    pub stride: usize,
    /// Height and width of the output, where one window fits.
    pub output: Option<[usize; 2]>,
}

/// # Panics
///
/// Where the window is larger than the padded image.
pub(crate) fn window(images: Tensor<4>, layer: Window) -> Tensor<4> {
    let [n, _, height, width] = images.dims();
    let [out_height, out_width] = layer.output.unwrap_or_else(|| {
        panic!(
            "a window of {} rows does not fit an image of {height}x{width}",
            layer.extent
        )
    });
    let stride = stride_of([height, width]);
    let field = receptive_field(&images) + (layer.extent - 1) * stride;
    note_stride([out_height, out_width], stride * layer.stride);
    note(TracedLayer {
        kind: layer.kind,
        parameter: layer.parameter,
        parameters: layer.parameters,
        multiply_adds: layer.multiply_adds_per_pixel * (out_height * out_width) as u64,
        output: vec![layer.filters, out_height, out_width],
        receptive_field: field,
    });
    filled([n, layer.filters, out_height, out_width], field, &images)
}

/// A layer that averages windows which cover the image, however large it is.
pub(crate) fn adaptive(
    images: Tensor<4>,
    kind: LayerKind,
    [out_height, out_width]: [usize; 2],
) -> Tensor<4> {
    let [_, channels, height, _] = images.dims();
    let extent =
        |index: usize| ((index + 1) * height).div_ceil(out_height) - index * height / out_height;
    let window = Window {
        kind,
        parameter: None,
        parameters: 0,
        multiply_adds_per_pixel: 0,
        filters: channels,
        extent: (0..out_height).map(extent).max().unwrap_or(1),
        stride: (height / out_height).max(1),
        output: Some([out_height, out_width]),
    };
    self::window(images, window)
}

/// A layer that leaves the shape as it is.
pub(crate) fn pointwise<const D: usize>(
    x: Tensor<D>,
    kind: LayerKind,
    parameter: Option<ParamId>,
    parameters: usize,
) -> Tensor<D> {
    note(TracedLayer {
        kind,
        parameter,
        parameters,
        multiply_adds: 0,
        output: x.dims()[1..].to_vec(),
        receptive_field: receptive_field(&x),
    });
    x
}

/// What looks at the whole image, which is a layer where it has a kind.
pub(crate) fn global(images: Tensor<4>, kind: Option<LayerKind>) -> Tensor<4> {
    let [_, channels, height, width] = images.dims();
    let field = receptive_field(&images) + (height.max(width) - 1) * stride_of([height, width]);
    if let Some(kind) = kind {
        note(TracedLayer {
            kind,
            parameter: None,
            parameters: 0,
            multiply_adds: 0,
            output: vec![channels],
            receptive_field: field,
        });
    }
    filled(images.dims(), field, &images)
}

/// A fully connected layer, which looks at everything it is given.
pub(crate) fn linear(
    features: Tensor<2>,
    kind: LayerKind,
    parameter: ParamId,
    inputs: usize,
    outputs: usize,
) -> Tensor<2> {
    let field = receptive_field(&features);
    note(TracedLayer {
        kind,
        parameter: Some(parameter),
        parameters: (inputs + 1) * outputs,
        multiply_adds: (inputs * outputs) as u64,
        output: vec![outputs],
        receptive_field: field,
    });
    filled([features.dims()[0], outputs], field, &features)
}

fn receptive_field<const D: usize>(x: &Tensor<D>) -> usize {
    x.clone().max().into_scalar::<f32>() as usize
}

fn filled<const D: usize, const E: usize>(
    shape: [usize; D],
    field: usize,
    like: &Tensor<E>,
) -> Tensor<D> {
    Tensor::full(shape, field as f32, &like.device())
}

fn note(layer: TracedLayer) {
    with_trace(|trace| trace.layers.push(layer));
}

fn stride_of(size: [usize; 2]) -> usize {
    with_trace(|trace| trace.strides.get(&size).copied().unwrap_or(1))
}

fn note_stride(size: [usize; 2], stride: usize) {
    with_trace(|trace| trace.strides.entry(size).or_insert(stride).to_owned());
}

fn with_trace<T>(use_it: impl FnOnce(&mut Trace) -> T) -> T {
    TRACE.with_borrow_mut(|trace| use_it(trace.as_mut().expect("called while a trace runs")))
}
