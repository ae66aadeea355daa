//! 3x3 convolution at stride 1 by Winograd's minimal filtering F(4x4, 3x3).
//!
//! Lavin and Gray 2016, *Fast Algorithms for Convolutional Neural Networks*, arXiv:1509.09308. An
//! output tile of 4x4 pixels is computed from an input patch of 6x6 with 36 products in place of 144:
//! patches and kernels are transformed into 36 planes each, every plane is a matrix product over
//! channels, and the planes are transformed back. The gradients are the transposes of these three
//! steps, and share the transformed output gradient.
//!
//! With little work a plane, a thread takes a block of tiles through all steps while it stays in the
//! second cache; with large matrices, whole planes are one product each.

#![expect(
    unsafe_code,
    reason = "tiles are rows of pointers, and threads write different tiles of one output"
)]

use std::ops::Range;
use std::ptr;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::{dispatch, lanes};
use super::layout::{Images, ImagesShape};
use super::packed::Order;
use super::product::{Near, OuterProducts, Pairs, Panels, Rows, multiply_rows, rows_at_a_time};
use super::shares::in_shares;
use super::target::Target;
use super::transform;
use super::weight::{Weight, WeightShape};
use crate::Conv2dOptions;

/// Pixels of an output tile along each axis.
pub(crate) const TILE: usize = 4;
/// Pixels of an input patch along each axis.
pub(crate) const PATCH: usize = 6;
/// Taps of the kernel along each axis.
pub(crate) const KERNEL: usize = 3;
/// Products a tile.
const PLANES: usize = PATCH * PATCH;
/// Taps of the kernel.
const TAPS: usize = KERNEL * KERNEL;
/// Pixels of a tile.
const PIXELS: usize = TILE * TILE;
/// Values between planes, without which their rows fall on the same places of a cache.
const GAP: usize = 16;
/// Values of planes that stay in the second cache.
const BLOCK: usize = 1 << 16;
/// Values of a plane's matrix from which whole planes are multiplied.
const LARGE: usize = 1 << 15;
/// Pixels of an output below which transforming the weight costs more than its products save.
const FEW: usize = 256;
/// Values of whole planes that are in memory at a time.
const WHOLE: usize = 1 << 24;

/// Whether this is a convolution that tiles compute.
pub(crate) fn fits(shape: WeightShape, to: ImagesShape, options: Conv2dOptions) -> bool {
    let lanes = lanes();
    to.n * to.pixels() >= FEW
        && shape.kernel == [3, 3]
        && options.stride == [1, 1]
        && options.dilation == [1, 1]
        && options.groups == 1
        && shape.channels.is_multiple_of(lanes)
        && shape.filters.is_multiple_of(lanes)
}

/// The convolution of `images` with `weight`.
pub(crate) fn forward(images: &Images, weight: &Weight, options: Conv2dOptions) -> Buffer {
    let shape = weight.shape.output_shape(images.shape, options);
    let mut output = Buffer::new(shape.values());
    let planes = weight.in_order(Order::Planes, || {
        vec![planes_of(weight, Direction::ToFilters)]
    });
    let forward = Forward {
        tiling: Tiling::new(images.shape, shape, options),
        images: images.values(),
        matrices: &planes[0],
        output: Target::new(&mut output),
    };
    forward.run(is_large(weight.shape));
    output
}

/// The gradients by images, where wanted, and by the weight, `[taps, channels, filters]`.
pub(crate) fn gradients(
    images: &Images,
    weight: &Weight,
    output_gradient: &Images,
    options: Conv2dOptions,
    wants_images: bool,
) -> (Option<Buffer>, Buffer) {
    let mut images_gradient = wants_images.then(|| Buffer::new(images.shape.values()));
    let backward = Backward {
        tiling: Tiling::new(images.shape, output_gradient.shape, options),
        images: images.values(),
        output_gradient: output_gradient.values(),
        matrices: wants_images.then(|| planes_of(weight, Direction::ToChannels)),
        images_gradient: images_gradient.as_mut().map(|values| Target::new(values)),
    };
    let planes = backward.run(is_large(weight.shape));
    let taps = taps_of(&planes, weight.shape);
    (images_gradient, taps)
}

/// Tiles of a block are a multiple of this, and this one of the rows of accumulators.
fn step() -> usize {
    match lanes() {
        16 => 14,
        _ => 12,
    }
}

fn is_large(shape: WeightShape) -> bool {
    shape.channels * shape.filters >= LARGE
}

/// Which way a product over planes goes.
#[derive(Clone, Copy)]
enum Direction {
    ToFilters,
    ToChannels,
}

/// The weight's planes, as matrices.
fn planes_of(weight: &Weight, direction: Direction) -> Panels {
    struct Fill<'a, F> {
        kernel: F,
        columns: usize,
        planes: &'a mut [f32],
        stride: usize,
    }

    impl<'k, F: Fn(usize) -> &'k [f32]> WithSimd for Fill<'_, F> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            // Whole vectors, whose last may have columns that the matrix does not.
            let columns = self.columns.next_multiple_of(S::F32_LANES);
            let mut taps = vec![0.0; TAPS * columns];
            for column in 0..self.columns {
                for (tap, value) in (self.kernel)(column).iter().enumerate() {
                    taps[tap * columns + column] = *value;
                }
            }
            let mut from = [ptr::null(); TAPS];
            for (from, tap) in from.iter_mut().zip(taps.chunks_exact(columns)) {
                *from = tap.as_ptr();
            }
            let mut to = [ptr::null_mut(); PLANES];
            for (to, plane) in to.iter_mut().zip(self.planes.chunks_mut(self.stride)) {
                *to = plane[..columns].as_mut_ptr();
            }
            // SAFETY: each is a slice of as many values.
            unsafe { transform::filter::<S, false>(simd, &from, &to, columns) };
        }
    }

    let WeightShape {
        filters, channels, ..
    } = weight.shape;
    let kernel =
        |filter: usize, channel: usize| &weight.values()[(filter * channels + channel) * 9..][..9];
    match direction {
        Direction::ToFilters => Panels::of_planes(
            PLANES,
            channels,
            filters,
            |channel, columns, planes, stride| {
                dispatch(Fill {
                    kernel: |column| kernel(columns.start + column, channel),
                    columns: columns.len(),
                    planes,
                    stride,
                });
            },
        ),
        Direction::ToChannels => Panels::of_planes(
            PLANES,
            filters,
            channels,
            |filter, columns, planes, stride| {
                dispatch(Fill {
                    kernel: |column| kernel(filter, columns.start + column),
                    columns: columns.len(),
                    planes,
                    stride,
                });
            },
        ),
    }
}

/// The gradient by the weight, `[taps, channels, filters]`, from that by its planes.
fn taps_of(planes: &[f32], shape: WeightShape) -> Buffer {
    struct Fold<'a> {
        planes: &'a [f32],
        taps: Target<'a>,
        size: usize,
        places: Range<usize>,
    }

    impl WithSimd for Fold<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let mut from = [ptr::null(); PLANES];
            for (from, plane) in from.iter_mut().zip(self.planes.chunks_exact(self.size)) {
                *from = plane[self.places.clone()].as_ptr();
            }
            let mut to = [ptr::null_mut(); TAPS];
            for (tap, to) in to.iter_mut().enumerate() {
                let place = tap * self.size + self.places.start;
                // SAFETY: each task has places of its own, in each tap.
                *to = unsafe { self.taps.at(place, self.places.len()) };
            }
            // SAFETY: as many values each, a channel's filters.
            unsafe {
                transform::filter_gradient::<S, false>(simd, &from, &to, self.places.len());
            }
        }
    }

    let size = shape.channels * shape.filters;
    let mut taps = Buffer::new(9 * size);
    let target = Target::new(&mut taps);
    (0..shape.channels).into_par_iter().for_each(|channel| {
        dispatch(Fold {
            planes,
            taps: target,
            size,
            places: channel * shape.filters..(channel + 1) * shape.filters,
        });
    });
    taps
}

/// The output in tiles, counted over all images.
struct Tiling {
    from: ImagesShape,
    to: ImagesShape,
    padding: [usize; 2],
    /// Tiles down and across an image.
    tiles: [usize; 2],
}

/// A tile's image, and its first output pixel.
struct Place {
    image: usize,
    corner: [usize; 2],
}

impl Tiling {
    fn new(from: ImagesShape, to: ImagesShape, options: Conv2dOptions) -> Self {
        Self {
            from,
            to,
            padding: options.padding,
            tiles: [to.height.div_ceil(TILE), to.width.div_ceil(TILE)],
        }
    }

    fn image(&self) -> usize {
        self.tiles[0] * self.tiles[1]
    }

    fn count(&self) -> usize {
        self.to.n * self.image()
    }

    fn place(&self, tile: usize) -> Place {
        let within = tile % self.image();
        Place {
            image: tile / self.image(),
            corner: [within / self.tiles[1], within % self.tiles[1]].map(|index| index * TILE),
        }
    }

    /// Tiles whose planes stay in the second cache.
    fn block(&self) -> usize {
        let tiles = BLOCK / (PLANES * (self.from.channels + self.to.channels));
        (tiles / step()).clamp(1, 8) * step()
    }

    /// Images whose planes are in memory at a time.
    fn images_at_a_time(&self) -> usize {
        let image = self.image() * PLANES * (self.from.channels + self.to.channels);
        (WHOLE / image).max(1)
    }

    /// The place of the patch's pixel, where it is inside of the image.
    #[inline(always)]
    fn input_pixel(&self, place: &Place, y: usize, x: usize) -> Option<usize> {
        let y = (place.corner[0] + y).wrapping_sub(self.padding[0]);
        let x = (place.corner[1] + x).wrapping_sub(self.padding[1]);
        let ImagesShape {
            height,
            width,
            channels,
            ..
        } = self.from;
        let inside = y < height && x < width;
        inside.then(|| ((place.image * height + y) * width + x) * channels)
    }

    /// The place of the tile's pixel, where it is inside of the image.
    #[inline(always)]
    fn output_pixel(&self, place: &Place, y: usize, x: usize) -> Option<usize> {
        let (y, x) = (place.corner[0] + y, place.corner[1] + x);
        let inside = y < self.to.height && x < self.to.width;
        let pixel = (place.image * self.to.height + y) * self.to.width + x;
        inside.then_some(pixel * self.to.channels)
    }
}

/// Consecutive ranges of `size`.
fn ranges(all: Range<usize>, size: usize) -> Vec<Range<usize>> {
    let range = |start: usize| start..(start + size).min(all.end);
    all.clone().step_by(size).map(range).collect()
}

/// The planes of some tiles, a row a tile.
#[derive(Clone, Copy)]
struct Planes<'a> {
    values: Target<'a>,
    /// Values from a plane to the next.
    stride: usize,
    /// The tile of the first row.
    first: usize,
    /// Values of a row.
    channels: usize,
}

impl<'a> Planes<'a> {
    fn size(tiles: usize, channels: usize) -> usize {
        PLANES * (tiles * channels + GAP)
    }

    fn new(values: &'a mut [f32], tiles: &Range<usize>, channels: usize) -> Self {
        assert!(values.len() >= Self::size(tiles.len(), channels));
        Self {
            values: Target::new(values),
            stride: tiles.len() * channels + GAP,
            first: tiles.start,
            channels,
        }
    }

    /// A tile's row of every plane.
    ///
    /// # Safety
    ///
    /// As of [`Target::at`].
    #[inline(always)]
    unsafe fn rows(&self, tile: usize) -> [*mut f32; PLANES] {
        let mut rows = [ptr::null_mut(); PLANES];
        for (plane, row) in rows.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *row = unsafe { self.row(plane, tile) };
        }
        rows
    }

    /// # Safety
    ///
    /// As of [`Target::at`].
    #[inline(always)]
    unsafe fn row(&self, plane: usize, tile: usize) -> *mut f32 {
        let place = plane * self.stride + (tile - self.first) * self.channels;
        // SAFETY: the caller's promise.
        unsafe { self.values.at(place, self.channels) }
    }
}

impl Rows {
    /// A plane's rows of these tiles.
    ///
    /// # Safety
    ///
    /// As of [`Target::at`].
    #[inline(always)]
    unsafe fn between(
        from: Planes<'_>,
        to: Planes<'_>,
        plane: usize,
        tiles: &Range<usize>,
    ) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                from: from.row(plane, tiles.start).cast_const(),
                from_step: from.channels,
                to: to.row(plane, tiles.start),
                to_step: to.channels,
                count: tiles.len(),
            }
        }
    }
}

struct Forward<'a> {
    tiling: Tiling,
    images: &'a [f32],
    matrices: &'a Panels,
    output: Target<'a>,
}

impl Forward<'_> {
    fn run(&self, large: bool) {
        let tiling = &self.tiling;
        if large {
            for images in ranges(0..tiling.to.n, tiling.images_at_a_time()) {
                self.run_whole(images.start * tiling.image()..images.end * tiling.image());
            }
        } else {
            let blocks = ranges(0..tiling.count(), tiling.block());
            blocks
                .into_par_iter()
                .for_each(|tiles| self.with_planes(&tiles, |task| task.run(Step::All)));
        }
    }

    fn run_whole(&self, tiles: Range<usize>) {
        self.with_planes(&tiles, |task| {
            let blocks = ranges(tiles.clone(), step());
            let of = |tiles: &Range<usize>| ForwardTask {
                tiles: tiles.clone(),
                ..task.clone()
            };
            blocks
                .par_iter()
                .for_each(|tiles| of(tiles).run(Step::Spread));
            let products = ranges(tiles.clone(), 8 * step());
            (0..PLANES * products.len())
                .into_par_iter()
                .for_each(|index| {
                    let (plane, part) = (index / products.len(), index % products.len());
                    of(&products[part]).run(Step::Multiply(plane..plane + 1));
                });
            blocks
                .par_iter()
                .for_each(|tiles| of(tiles).run(Step::Gather));
        });
    }

    /// Calls `run` with planes for these tiles.
    fn with_planes(&self, tiles: &Range<usize>, run: impl FnOnce(ForwardTask<'_>)) {
        let (channels, filters) = (self.tiling.from.channels, self.tiling.to.channels);
        let mut inputs = Buffer::new(Planes::size(tiles.len(), channels));
        let mut outputs = Buffer::new(Planes::size(tiles.len(), filters));
        run(ForwardTask {
            forward: self,
            tiles: tiles.clone(),
            inputs: Planes::new(&mut inputs, tiles, channels),
            outputs: Planes::new(&mut outputs, tiles, filters),
            step: Step::All,
        });
    }
}

/// What of a pass a task does.
#[derive(Clone)]
enum Step {
    All,
    /// Into planes.
    Spread,
    /// These planes.
    Multiply(Range<usize>),
    /// Out of planes.
    Gather,
}

impl Step {
    /// Whether it spreads, which planes it multiplies, whether it gathers. (Each is compiled into one
    /// place: what is called from several is not inlined, and loses the machine's instructions.)
    fn parts(&self) -> (bool, Range<usize>, bool) {
        match self {
            Self::All => (true, 0..PLANES, true),
            Self::Spread => (true, 0..0, false),
            Self::Multiply(planes) => (false, planes.clone(), false),
            Self::Gather => (false, 0..0, true),
        }
    }
}

#[derive(Clone)]
struct ForwardTask<'a> {
    forward: &'a Forward<'a>,
    tiles: Range<usize>,
    inputs: Planes<'a>,
    outputs: Planes<'a>,
    step: Step,
}

impl ForwardTask<'_> {
    fn run(self, step: Step) {
        dispatch(Self { step, ..self });
    }

    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, planes: Range<usize>) {
        for plane in planes {
            // SAFETY: the tiles are this task's, and their rows lie one behind the other.
            unsafe {
                let rows = Rows::between(self.inputs, self.outputs, plane, &self.tiles);
                let matrices = self.forward.matrices;
                multiply_rows(simd, rows, matrices, plane, 0..matrices.count());
            }
        }
    }

    #[inline(always)]
    fn gather<S: Simd>(&self, simd: S) {
        let tiling = &self.forward.tiling;
        let filters = tiling.to.channels;
        let mut unused = Buffer::new(filters);
        for tile in self.tiles.clone() {
            let place = tiling.place(tile);
            let mut pixels = [unused.as_mut_ptr(); PIXELS];
            // SAFETY: this task's tiles are its own, and so are their pixels.
            unsafe {
                for (index, to) in pixels.iter_mut().enumerate() {
                    let pixel = tiling.output_pixel(&place, index / TILE, index % TILE);
                    if let Some(pixel) = pixel {
                        *to = self.forward.output.at(pixel, filters);
                    }
                }
                let planes = self.outputs.rows(tile).map(|row| row.cast_const());
                transform::output::<S, false>(simd, &planes, &pixels, filters);
            }
        }
    }
}

impl WithSimd for ForwardTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let forward = self.forward;
        let (spreads, multiplies, gathers) = self.step.parts();
        if spreads {
            spread_images(
                simd,
                &forward.tiling,
                forward.images,
                self.tiles.clone(),
                self.inputs,
            );
        }
        self.multiply(simd, multiplies);
        if gathers {
            self.gather(simd);
        }
    }
}

struct Backward<'a> {
    tiling: Tiling,
    images: &'a [f32],
    output_gradient: &'a [f32],
    /// Where the gradient by images is wanted.
    matrices: Option<Panels>,
    images_gradient: Option<Target<'a>>,
}

impl Backward<'_> {
    /// The gradient by the weight's planes, `[planes, channels, filters]`.
    fn run(&self, large: bool) -> Buffer {
        let tiling = &self.tiling;
        let size = PLANES * tiling.from.channels * tiling.to.channels;
        if large {
            let mut sum = Buffer::zeros(size);
            for images in ranges(0..tiling.to.n, tiling.images_at_a_time()) {
                self.run_whole(images, &mut sum);
            }
            return sum;
        }
        in_shares(tiling.to.n, size, |images, sum| {
            let tiles = images.start * tiling.image()..images.end * tiling.image();
            let sum = Target::new(sum);
            // SAFETY: each share has images of its own.
            unsafe { self.clear(images) };
            for tiles in ranges(tiles, tiling.block()) {
                self.with_planes(&tiles, sum, |task| task.run(Step::All));
            }
        })
    }

    /// Sets the gradient by these images, to which tiles are then added, to zero.
    ///
    /// # Safety
    ///
    /// No other thread uses these images' gradient.
    unsafe fn clear(&self, images: Range<usize>) {
        if let Some(gradient) = self.images_gradient {
            let image = self.tiling.from.image();
            let count = images.len() * image;
            // SAFETY: the caller's promise.
            unsafe {
                gradient
                    .at(images.start * image, count)
                    .write_bytes(0, count);
            };
        }
    }

    fn run_whole(&self, images: Range<usize>, sum: &mut [f32]) {
        let tile = self.tiling.image();
        let tiles = images.start * tile..images.end * tile;
        let of_images = |images: &Range<usize>| images.start * tile..images.end * tile;
        self.with_planes(&tiles, Target::new(sum), |task| {
            let of = |tiles: Range<usize>| BackwardTask {
                tiles,
                ..task.clone()
            };
            let blocks = ranges(tiles.clone(), step());
            blocks
                .par_iter()
                .for_each(|tiles| of(tiles.clone()).run(Step::Spread));
            (0..PLANES)
                .into_par_iter()
                .for_each(|plane| task.clone().run(Step::Multiply(plane..plane + 1)));
            if self.images_gradient.is_some() {
                ranges(images.clone(), 1)
                    .into_par_iter()
                    .for_each(|images| {
                        let tiles = of_images(&images);
                        // SAFETY: each task has an image of its own.
                        unsafe { self.clear(images) };
                        of(tiles).run(Step::Gather);
                    });
            }
        });
    }

    /// Calls `run` with planes for these tiles.
    fn with_planes(
        &self,
        tiles: &Range<usize>,
        sum: Target<'_>,
        run: impl FnOnce(BackwardTask<'_>),
    ) {
        let (channels, filters) = (self.tiling.from.channels, self.tiling.to.channels);
        let mut inputs = Buffer::new(Planes::size(tiles.len(), channels));
        let mut outputs = Buffer::new(Planes::size(tiles.len(), filters));
        run(BackwardTask {
            backward: self,
            tiles: tiles.clone(),
            inputs: Planes::new(&mut inputs, tiles, channels),
            outputs: Planes::new(&mut outputs, tiles, filters),
            sum,
            step: Step::All,
        });
    }
}

#[derive(Clone)]
struct BackwardTask<'a> {
    backward: &'a Backward<'a>,
    tiles: Range<usize>,
    /// The images' planes, and then the gradients by these.
    inputs: Planes<'a>,
    /// The gradients by the output's planes.
    outputs: Planes<'a>,
    sum: Target<'a>,
    step: Step,
}

impl BackwardTask<'_> {
    fn run(self, step: Step) {
        dispatch(Self { step, ..self });
    }

    #[inline(always)]
    fn spread<S: Simd>(&self, simd: S) {
        let Backward { tiling, images, .. } = self.backward;
        spread_images(simd, tiling, images, self.tiles.clone(), self.inputs);
        let gradient = self.backward.output_gradient;
        let filters = tiling.to.channels;
        let zeros = Buffer::zeros(filters);
        for tile in self.tiles.clone() {
            let place = tiling.place(tile);
            let mut pixels = [zeros.as_ptr(); PIXELS];
            for (index, from) in pixels.iter_mut().enumerate() {
                if let Some(pixel) = tiling.output_pixel(&place, index / TILE, index % TILE) {
                    *from = gradient[pixel..pixel + filters].as_ptr();
                }
            }
            // SAFETY: pixels of as many channels, and this task's tiles are its own.
            unsafe {
                let planes = self.outputs.rows(tile);
                transform::output_gradient::<S, false>(simd, &pixels, &planes, filters);
            }
        }
    }

    /// The gradients of these planes' products.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, planes: Range<usize>) {
        let mut near = Near::default();
        for plane in planes {
            self.add_outer_products(simd, plane, &mut near);
            if let Some(matrices) = &self.backward.matrices {
                // SAFETY: the tiles are this task's, and their rows lie one behind the other.
                unsafe {
                    let rows = Rows::between(self.outputs, self.inputs, plane, &self.tiles);
                    multiply_rows(simd, rows, matrices, plane, 0..matrices.count());
                }
            }
        }
    }

    #[inline(always)]
    fn add_outer_products<S: Simd>(&self, simd: S, plane: usize, near: &mut Near) {
        let (channels, filters) = (self.inputs.channels, self.outputs.channels);
        let most = rows_at_a_time([channels, filters]);
        for first in self.tiles.clone().step_by(most) {
            let pairs = Pairs {
                start: [0, 0],
                step: [channels, filters],
                count: most.min(self.tiles.end - first),
            };
            // SAFETY: rows of the planes; the plane's sum is this task's.
            unsafe {
                OuterProducts {
                    left: self.inputs.row(plane, first),
                    right: self.outputs.row(plane, first),
                    pairs: &[pairs],
                    rows: channels,
                    columns: filters,
                    to: self.sum.at(plane * channels * filters, channels * filters),
                    to_step: filters,
                }
                .add(simd, near);
            }
        }
    }

    #[inline(always)]
    fn gather<S: Simd>(&self, simd: S) {
        let Some(gradient) = self.backward.images_gradient else {
            return;
        };
        let tiling = &self.backward.tiling;
        let channels = tiling.from.channels;
        let mut unused = Buffer::new(channels);
        for tile in self.tiles.clone() {
            let place = tiling.place(tile);
            let mut pixels = [unused.as_mut_ptr(); PLANES];
            // SAFETY: this task's images are its own.
            unsafe {
                for (index, to) in pixels.iter_mut().enumerate() {
                    let pixel = tiling.input_pixel(&place, index / PATCH, index % PATCH);
                    if let Some(pixel) = pixel {
                        *to = gradient.at(pixel, channels);
                    }
                }
                let planes = self.inputs.rows(tile).map(|row| row.cast_const());
                transform::input_gradient::<S, true>(simd, &planes, &pixels, channels);
            }
        }
    }
}

impl WithSimd for BackwardTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (spreads, multiplies, gathers) = self.step.parts();
        if spreads {
            self.spread(simd);
        }
        self.multiply(simd, multiplies);
        if gathers {
            self.gather(simd);
        }
    }
}

/// The planes of these tiles' patches.
#[inline(always)]
fn spread_images<S: Simd>(
    simd: S,
    tiling: &Tiling,
    images: &[f32],
    tiles: Range<usize>,
    planes: Planes<'_>,
) {
    let channels = tiling.from.channels;
    let zeros = Buffer::zeros(channels);
    for tile in tiles {
        let place = tiling.place(tile);
        let mut pixels = [zeros.as_ptr(); PLANES];
        for (index, from) in pixels.iter_mut().enumerate() {
            if let Some(pixel) = tiling.input_pixel(&place, index / PATCH, index % PATCH) {
                *from = images[pixel..pixel + channels].as_ptr();
            }
        }
        // SAFETY: pixels of as many channels, and each task has tiles of its own.
        unsafe {
            let planes = planes.rows(tile);
            transform::input::<S, false>(simd, &pixels, &planes, channels);
        }
    }
}
