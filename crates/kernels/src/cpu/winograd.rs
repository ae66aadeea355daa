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

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::layout::{Images, ImagesShape};
use super::product::{Pairs, Panels, VECTORS, lanes, outer_products, rows_product, store};
use super::shares::in_shares;
use super::target::Target;
use super::transform;
use super::weight::{Weight, WeightShape};
use crate::Conv2dOptions;

/// Pixels of an output tile along each axis.
pub(crate) const TILE: usize = 4;
/// Pixels of an input patch along each axis.
pub(crate) const PATCH: usize = 6;
/// Products a tile.
const PLANES: usize = PATCH * PATCH;
/// Values between planes, without which their rows fall on the same places of a cache.
const GAP: usize = 16;
/// Tiles of a block are a multiple of this, the rows of accumulators.
const STEP: usize = 14;
/// Values of planes that stay in the second cache.
const BLOCK: usize = 5 << 15;
/// Values of a plane's matrix from which whole planes are multiplied.
const LARGE: usize = 1 << 15;
/// Values of whole planes that are in memory at a time.
const WHOLE: usize = 1 << 24;
/// Rows of accumulators of a weight's gradient.
const ROWS: usize = 8;

/// Whether this is a convolution that tiles compute.
pub(crate) fn fits(shape: WeightShape, options: Conv2dOptions) -> bool {
    let lanes = lanes();
    shape.kernel == [3, 3]
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
    let forward = Forward {
        tiling: Tiling::new(images.shape, shape, options),
        images: images.values(),
        matrices: planes_of(weight, Direction::ToFilters),
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
    let mut images_gradient = wants_images.then(|| Buffer::zeros(images.shape.values()));
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
            for start in (0..self.columns).step_by(S::F32_LANES) {
                let mut taps = [[0.0; 16]; 9];
                for lane in 0..S::F32_LANES.min(self.columns - start) {
                    for (tap, value) in taps.iter_mut().zip((self.kernel)(start + lane)) {
                        tap[lane] = *value;
                    }
                }
                let value_at = |y: usize, x: usize| {
                    simd.partial_load_f32s(&taps[3 * y + x][..S::F32_LANES])
                };
                let rows = transform::filter(simd, value_at);
                for (plane, value) in rows.into_iter().flatten().enumerate() {
                    let to = &mut self.planes[plane * self.stride + start..][..S::F32_LANES];
                    simd.partial_store_f32s(to, value);
                }
            }
        }
    }

    let WeightShape {
        filters, channels, ..
    } = weight.shape;
    let kernel = |filter: usize, channel: usize| {
        &weight.values()[(filter * channels + channel) * 9..][..9]
    };
    let arch = Arch::new();
    match direction {
        Direction::ToFilters => {
            Panels::of_planes(PLANES, channels, filters, |channel, columns, planes, stride| {
                arch.dispatch(Fill {
                    kernel: |column| kernel(columns.start + column, channel),
                    columns: columns.len(),
                    planes,
                    stride,
                });
            })
        }
        Direction::ToChannels => {
            Panels::of_planes(PLANES, filters, channels, |filter, columns, planes, stride| {
                arch.dispatch(Fill {
                    kernel: |column| kernel(filter, columns.start + column),
                    columns: columns.len(),
                    planes,
                    stride,
                });
            })
        }
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
            for place in self.places.step_by(S::F32_LANES) {
                let value_at = |y: usize, x: usize| {
                    let start = (PATCH * y + x) * self.size + place;
                    simd.partial_load_f32s(&self.planes[start..start + S::F32_LANES])
                };
                let rows = transform::filter_gradient(simd, value_at);
                for (tap, value) in rows.into_iter().flatten().enumerate() {
                    // SAFETY: each task has places of its own, in each tap.
                    unsafe {
                        let to = self.taps.at(tap * self.size + place, S::F32_LANES);
                        store(simd, [value], to, S::F32_LANES);
                    }
                }
            }
        }
    }

    let size = shape.channels * shape.filters;
    let mut taps = Buffer::new(9 * size);
    let target = Target::new(&mut taps);
    let arch = Arch::new();
    (0..shape.channels).into_par_iter().for_each(|channel| {
        arch.dispatch(Fold {
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
        (tiles / STEP).clamp(1, 8) * STEP
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
        let inside = y < self.from.height && x < self.from.width;
        let pixel = (place.image * self.from.height + y).wrapping_mul(self.from.width);
        inside.then(|| pixel.wrapping_add(x) * self.from.channels)
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

struct Forward<'a> {
    tiling: Tiling,
    images: &'a [f32],
    matrices: Panels,
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
            let blocks = ranges(tiles.clone(), STEP);
            let of = |tiles: &Range<usize>| ForwardTask {
                tiles: tiles.clone(),
                ..task.clone()
            };
            blocks.par_iter().for_each(|tiles| of(tiles).run(Step::Spread));
            let products = ranges(tiles.clone(), 8 * STEP);
            (0..PLANES * products.len()).into_par_iter().for_each(|index| {
                let (plane, part) = (index / products.len(), index % products.len());
                of(&products[part]).run(Step::Multiply(plane..plane + 1));
            });
            blocks.par_iter().for_each(|tiles| of(tiles).run(Step::Gather));
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
        Arch::new().dispatch(Self { step, ..self });
    }

    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, planes: Range<usize>) {
        for plane in planes {
            multiply(simd, &self.forward.matrices, plane, self.tiles.clone(), self.inputs, self.outputs);
        }
    }

    #[inline(always)]
    fn gather<S: Simd>(&self, simd: S) {
        let tiling = &self.forward.tiling;
        for tile in self.tiles.clone() {
            let place = tiling.place(tile);
            for channel in (0..tiling.to.channels).step_by(S::F32_LANES) {
                // SAFETY: this task's tiles are its own, and so are their pixels.
                unsafe {
                    let rows = transform::output(simd, |y, x| {
                        vector::<S>(self.outputs.row(PATCH * y + x, tile).add(channel))
                    });
                    for (y, row) in rows.into_iter().enumerate() {
                        for (x, value) in row.into_iter().enumerate() {
                            if let Some(pixel) = tiling.output_pixel(&place, y, x) {
                                let to = self.forward.output.at(pixel + channel, S::F32_LANES);
                                store(simd, [value], to, S::F32_LANES);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl WithSimd for ForwardTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let forward = self.forward;
        let spread = || spread_images(simd, &forward.tiling, forward.images, self.tiles.clone(), self.inputs);
        match self.step.clone() {
            Step::Spread => spread(),
            Step::Multiply(planes) => self.multiply(simd, planes),
            Step::Gather => self.gather(simd),
            Step::All => {
                spread();
                self.multiply(simd, 0..PLANES);
                self.gather(simd);
            }
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
            for tiles in ranges(tiles, tiling.block()) {
                self.with_planes(&tiles, sum, |task| task.run(Step::All));
            }
        })
    }

    fn run_whole(&self, images: Range<usize>, sum: &mut [f32]) {
        let tile = self.tiling.image();
        let tiles = images.start * tile..images.end * tile;
        let of_images = |images: &Range<usize>| images.start * tile..images.end * tile;
        self.with_planes(&tiles, Target::new(sum), |task| {
            let of = |tiles: Range<usize>| BackwardTask { tiles, ..task.clone() };
            let blocks = ranges(tiles.clone(), STEP);
            blocks.par_iter().for_each(|tiles| of(tiles.clone()).run(Step::Spread));
            (0..PLANES)
                .into_par_iter()
                .for_each(|plane| task.clone().run(Step::Multiply(plane..plane + 1)));
            if self.images_gradient.is_some() {
                ranges(images.clone(), 1)
                    .par_iter()
                    .for_each(|images| of(of_images(images)).run(Step::Gather));
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
        Arch::new().dispatch(Self { step, ..self });
    }

    #[inline(always)]
    fn spread<S: Simd>(&self, simd: S) {
        let Backward { tiling, images, .. } = self.backward;
        spread_images(simd, tiling, images, self.tiles.clone(), self.inputs);
        let gradient = self.backward.output_gradient;
        for tile in self.tiles.clone() {
            let place = tiling.place(tile);
            let pixels: [[_; TILE]; TILE] = places(|y, x| tiling.output_pixel(&place, y, x));
            for channel in (0..tiling.to.channels).step_by(S::F32_LANES) {
                // SAFETY: the pixels are the gradient's, and this task's tiles are its own.
                unsafe {
                    let rows = transform::output_gradient(simd, |y, x| {
                        pixel_vector(simd, gradient, pixels[y][x], channel)
                    });
                    store_planes(simd, rows, self.outputs, tile, channel);
                }
            }
        }
    }

    /// The gradients of these planes' products.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, planes: Range<usize>) {
        for plane in planes {
            self.add_outer_products(simd, plane);
            if let Some(matrices) = &self.backward.matrices {
                multiply(simd, matrices, plane, self.tiles.clone(), self.outputs, self.inputs);
            }
        }
    }

    #[inline(always)]
    fn add_outer_products<S: Simd>(&self, simd: S, plane: usize) {
        let filters = self.outputs.channels;
        let wide = VECTORS * S::F32_LANES;
        let mut filter = 0;
        while filter < filters {
            if filter + wide <= filters {
                self.add_columns::<S, VECTORS>(simd, plane, filter);
                filter += wide;
            } else {
                self.add_columns::<S, 1>(simd, plane, filter);
                filter += S::F32_LANES;
            }
        }
    }

    #[inline(always)]
    fn add_columns<S: Simd, const V: usize>(&self, simd: S, plane: usize, filter: usize) {
        let channels = self.inputs.channels;
        for channel in (0..channels).step_by(ROWS) {
            let rows = ROWS.min(channels - channel);
            if rows == ROWS {
                self.add_rows::<S, ROWS, V>(simd, plane, channel, filter);
            } else {
                for channel in channel..channel + rows {
                    self.add_rows::<S, 1, V>(simd, plane, channel, filter);
                }
            }
        }
    }

    #[inline(always)]
    fn add_rows<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        plane: usize,
        channel: usize,
        filter: usize,
    ) {
        let (channels, filters) = (self.inputs.channels, self.outputs.channels);
        let columns = V * S::F32_LANES;
        let pairs = [Pairs {
            start: [0, 0],
            step: [channels, filters],
            count: self.tiles.len(),
        }];
        // SAFETY: rows of the planes from these channels on; the plane's sum is this task's.
        unsafe {
            let left = self.inputs.row(plane, self.tiles.start).add(channel);
            let right = self.outputs.row(plane, self.tiles.start).add(filter);
            let sums = outer_products::<S, R, V>(simd, left, right, columns, &pairs);
            for (row, sums) in sums.into_iter().enumerate() {
                let place = (plane * channels + channel + row) * filters + filter;
                add(simd, sums, self.sum.at(place, columns));
            }
        }
    }

    #[inline(always)]
    fn gather<S: Simd>(&self, simd: S) {
        let Some(gradient) = self.backward.images_gradient else {
            return;
        };
        let tiling = &self.backward.tiling;
        for tile in self.tiles.clone() {
            let place = tiling.place(tile);
            let pixels: [[_; PATCH]; PATCH] = places(|y, x| tiling.input_pixel(&place, y, x));
            for channel in (0..tiling.from.channels).step_by(S::F32_LANES) {
                // SAFETY: this task's images are its own.
                unsafe {
                    let rows = transform::input_gradient(simd, |y, x| {
                        vector::<S>(self.inputs.row(PATCH * y + x, tile).add(channel))
                    });
                    for (row, pixels) in rows.into_iter().zip(&pixels) {
                        for (value, pixel) in row.into_iter().zip(pixels) {
                            if let Some(pixel) = pixel {
                                let to = gradient.at(pixel + channel, S::F32_LANES);
                                add(simd, [value], to);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl WithSimd for BackwardTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.step.clone() {
            Step::Spread => self.spread(simd),
            Step::Multiply(planes) => self.multiply(simd, planes),
            Step::Gather => self.gather(simd),
            Step::All => {
                self.spread(simd);
                self.multiply(simd, 0..PLANES);
                self.gather(simd);
            }
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
    for tile in tiles {
        let place = tiling.place(tile);
        let pixels: [[_; PATCH]; PATCH] = places(|y, x| tiling.input_pixel(&place, y, x));
        for channel in (0..tiling.from.channels).step_by(S::F32_LANES) {
            // SAFETY: the pixels are the images', and each task has tiles of its own.
            unsafe {
                let rows = transform::input(simd, |y, x| {
                    pixel_vector(simd, images, pixels[y][x], channel)
                });
                store_planes(simd, rows, planes, tile, channel);
            }
        }
    }
}

/// One plane's rows of these tiles times its matrix.
#[inline(always)]
fn multiply<S: Simd>(
    simd: S,
    matrices: &Panels,
    plane: usize,
    tiles: Range<usize>,
    from: Planes<'_>,
    to: Planes<'_>,
) {
    match S::F32_LANES {
        16 => multiply_rows::<S, 14>(simd, matrices, plane, tiles, from, to),
        8 => multiply_rows::<S, 6>(simd, matrices, plane, tiles, from, to),
        _ => multiply_rows::<S, 4>(simd, matrices, plane, tiles, from, to),
    }
}

#[inline(always)]
fn multiply_rows<S: Simd, const R: usize>(
    simd: S,
    matrices: &Panels,
    plane: usize,
    tiles: Range<usize>,
    from: Planes<'_>,
    to: Planes<'_>,
) {
    for index in 0..matrices.count() {
        let panel = matrices.panel_of(plane, index);
        for first in tiles.clone().step_by(R) {
            // Rows past the last are the last again, and are not stored.
            let tile = |row: usize| (first + row).min(tiles.end - 1);
            let rows = R.min(tiles.end - first);
            // SAFETY: rows of planes of as many values as the matrix is deep and wide.
            unsafe {
                let left = [std::array::from_fn(|row| from.row(plane, tile(row)).cast_const())];
                let to = |row: usize| to.row(plane, first + row).add(panel.start);
                if panel.vectors == VECTORS {
                    let sums = rows_product::<S, R, VECTORS>(
                        simd,
                        &left,
                        from.channels,
                        panel.values,
                    );
                    for (row, sum) in sums.into_iter().take(rows).enumerate() {
                        store(simd, sum, to(row), VECTORS * S::F32_LANES);
                    }
                } else {
                    let sums = rows_product::<S, R, 1>(simd, &left, from.channels, panel.values);
                    for (row, sum) in sums.into_iter().take(rows).enumerate() {
                        store(simd, sum, to(row), S::F32_LANES);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn places<const N: usize>(
    place_at: impl Fn(usize, usize) -> Option<usize>,
) -> [[Option<usize>; N]; N] {
    std::array::from_fn(|y| std::array::from_fn(|x| place_at(y, x)))
}

/// # Safety
///
/// `from` can be read for a vector.
#[inline(always)]
unsafe fn vector<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's promise.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// A pixel's channels, or zeros outside of the image.
///
/// # Safety
///
/// The pixel has a vector of values from this channel on.
#[inline(always)]
unsafe fn pixel_vector<S: Simd>(
    simd: S,
    values: &[f32],
    pixel: Option<usize>,
    channel: usize,
) -> S::f32s {
    match pixel {
        // SAFETY: the caller's promise.
        Some(pixel) => unsafe { vector::<S>(values.as_ptr().add(pixel + channel)) },
        None => simd.splat_f32s(0.0),
    }
}

/// # Safety
///
/// The tile is the caller's.
#[inline(always)]
unsafe fn store_planes<S: Simd>(
    simd: S,
    rows: [[S::f32s; PATCH]; PATCH],
    planes: Planes<'_>,
    tile: usize,
    channel: usize,
) {
    for (plane, value) in rows.into_iter().flatten().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { store(simd, [value], planes.row(plane, tile).add(channel), S::F32_LANES) };
    }
}

/// Adds to the values at `to`.
///
/// # Safety
///
/// `to` can be written for `V` vectors.
#[inline(always)]
unsafe fn add<S: Simd, const V: usize>(simd: S, values: [S::f32s; V], to: *mut f32) {
    for (v, value) in values.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.cast::<S::f32s>().add(v);
            to.write_unaligned(simd.add_f32s(to.read_unaligned(), value));
        }
    }
}
