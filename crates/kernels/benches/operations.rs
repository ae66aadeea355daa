//! Single operations on the CPU: `cargo bench --workspace --profile dev --bench operations`.
//!
//! An item is a floating point operation, counted as a direct convolution does them: 2 a
//! multiply-add. `RAYON_NUM_THREADS` sets the threads.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Device, Distribution, Tensor};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use kernels::{CnnGradients, CnnOps, Conv2dOptions, WantedGradients};

fn main() {
    divan::main();
}

/// Images, channels, filters, side, kernel, stride, groups.
const SHAPES: [[usize; 7]; 20] = [
    [128, 3, 16, 32, 3, 1, 1],
    [128, 16, 16, 32, 3, 1, 1],
    [128, 16, 32, 32, 3, 2, 1],
    [128, 32, 32, 16, 3, 1, 1],
    [128, 64, 64, 8, 3, 1, 1],
    [64, 64, 64, 32, 3, 1, 1],
    [64, 64, 128, 32, 3, 2, 1],
    [64, 128, 128, 16, 3, 1, 1],
    [64, 256, 256, 8, 3, 1, 1],
    [64, 512, 512, 4, 3, 1, 1],
    [16, 64, 256, 56, 1, 1, 1],
    [16, 512, 128, 28, 1, 1, 1],
    [16, 32, 32, 112, 3, 1, 32],
    [16, 96, 96, 112, 3, 2, 96],
    [16, 144, 144, 56, 5, 2, 144],
    [16, 480, 480, 14, 5, 1, 480],
    [16, 1152, 1152, 7, 5, 1, 1152],
    [16, 128, 128, 56, 3, 1, 32],
    [16, 256, 256, 28, 3, 1, 32],
    [16, 512, 512, 14, 3, 1, 32],
];

struct Operands {
    images: FlexTensor,
    weight: FlexTensor,
    output: FlexTensor,
    options: Conv2dOptions,
    operations: usize,
}

fn operands([n, channels, filters, side, kernel, stride, groups]: [usize; 7]) -> Operands {
    let device = Device::flex();
    let random = |shape: [usize; 4]| {
        FlexTensor::from_data(
            Tensor::<4>::random(shape, Distribution::Default, &device).into_data(),
        )
    };
    let options = Conv2dOptions {
        stride: [stride, stride],
        padding: [kernel / 2, kernel / 2],
        groups,
        ..Conv2dOptions::default()
    };
    let images = random([n, channels, side, side]);
    let weight = random([filters, channels / groups, kernel, kernel]);
    // In the layout that the operations themselves return.
    let output = Flex::conv2d_forward(images.clone(), weight.clone(), options);
    let same = Conv2dOptions::default();
    let identity = random([channels, channels, 1, 1]);
    let images = Flex::conv2d_forward(images, identity, same);
    let pixels = (side / stride) * (side / stride);
    Operands {
        images,
        weight,
        output,
        options,
        operations: 2 * n * pixels * channels / groups * filters * kernel * kernel,
    }
}

#[divan::bench(args = SHAPES, sample_count = 9)]
fn forward(bencher: Bencher, shape: [usize; 7]) {
    let of = operands(shape);
    bencher
        .counter(ItemsCount::new(of.operations))
        .bench_local(|| {
            // As in training: evaluation keeps the weight in the order of products.
            black_box(Flex::conv2d_tracked(
                of.images.clone(),
                of.weight.clone(),
                of.options,
            ))
        });
}

#[divan::bench(args = SHAPES, sample_count = 9)]
fn both_gradients(bencher: Bencher, shape: [usize; 7]) {
    let of = operands(shape);
    let operations = ItemsCount::new(2 * of.operations);
    bencher.counter(operations).bench_local(|| {
        black_box(Flex::conv2d_gradients(
            of.images.clone(),
            of.weight.clone(),
            of.output.clone(),
            of.options,
            WantedGradients::ALL,
        ))
    });
}
