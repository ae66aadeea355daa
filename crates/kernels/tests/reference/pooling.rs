//! Pooling.

use burn::tensor::Tensor;
use kernels::{Pool2dOptions, avg_pool2d, global_average, max_pool2d};
use proptest::prelude::*;

use crate::support::{Body, Reference, everywhere, on_the_cpu};

fn pooling() -> impl Strategy<Value = ([usize; 4], Pool2dOptions)> {
    let sizes = (1..4usize, 1..20usize, 1..12usize, 1..12usize);
    let windows = (1..5usize, 1..5usize, 1..4usize, 1..4usize, any::<bool>());
    (sizes, windows, 0..3usize, 0..3usize).prop_filter_map(
        "a window fits",
        |((n, channels, height, width), (ky, kx, sy, sx, ceil), py, px)| {
            let options = Pool2dOptions {
                kernel: [ky, kx],
                stride: [sy, sx],
                padding: [py.min(ky / 2), px.min(kx / 2)],
                ceil,
            };
            options.output_size([height, width])?;
            Some(([n, channels, height, width], options))
        },
    )
}

/// For each window, its pixels, and the values that count in its mean.
fn for_each_window(
    [height, width]: [usize; 2],
    options: Pool2dOptions,
    counts_padding: bool,
    mut visit: impl FnMut([usize; 2], &[[usize; 2]], usize),
) {
    let [out_height, out_width] = options.output_size([height, width]).unwrap();
    for (y, x) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
        let (mut pixels, mut counted) = (Vec::new(), 0);
        for (ky, kx) in
            (0..options.kernel[0]).flat_map(|ky| (0..options.kernel[1]).map(move |kx| (ky, kx)))
        {
            let (row, column) = (y * options.stride[0] + ky, x * options.stride[1] + kx);
            let [down, right] = options.padding;
            let is_padded = row < height + 2 * down && column < width + 2 * right;
            counted += usize::from(counts_padding && is_padded);
            if row >= down && column >= right && row - down < height && column - right < width {
                pixels.push([row - down, column - right]);
                counted += usize::from(!counts_padding);
            }
        }
        visit([y, x], &pixels, counted);
    }
}

/// Compares both poolings and their gradients, of each body, with the reference.
fn check(shape: [usize; 4], options: Pool2dOptions, counts_padding: bool, bodies: &[Body]) {
    let images = Reference::noise(shape, 16);
    let [n, channels, height, width] = shape;
    let [out_height, out_width] = options.output_size([height, width]).unwrap();
    let output_gradient = Reference::noise([n, channels, out_height, out_width], 17);
    let zeros = || {
        (
            vec![0.0; output_gradient.values.len()],
            vec![0.0; images.values.len()],
        )
    };
    let ((mut largest, mut of_largest), (mut mean, mut of_mean)) = (zeros(), zeros());
    for (image, channel) in (0..n).flat_map(|n| (0..channels).map(move |c| (n, c))) {
        for_each_window(
            [height, width],
            options,
            counts_padding,
            |[y, x], pixels, counted| {
                let to = output_gradient.index([image, channel, y, x]);
                let from = |[y, x]: [usize; 2]| images.index([image, channel, y, x]);
                let values = || pixels.iter().map(|pixel| images.values[from(*pixel)]);
                largest[to] = values().fold(f64::NEG_INFINITY, f64::max);
                let first = pixels
                    .iter()
                    .find(|pixel| images.values[from(**pixel)] == largest[to]);
                of_largest[from(*first.unwrap())] += output_gradient.values[to];
                mean[to] = values().sum::<f64>() / counted as f64;
                for pixel in pixels {
                    of_mean[from(*pixel)] += output_gradient.values[to] / counted as f64;
                }
            },
        );
    }
    for body in bodies {
        let run = |pool: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let x = body.tracked(&images).require_grad();
            let y = pool(x.clone());
            let weighted = y.clone() * body.tracked(&output_gradient);
            let gradients = weighted.sum().backward();
            (y.into_data(), x.grad(&gradients).unwrap().into_data())
        };
        let (output, gradient) = run(&|x| max_pool2d(x, options));
        body.assert_close("maximum", output, &largest);
        body.assert_close("gradient of the maximum", gradient, &of_largest);
        let (output, gradient) = run(&|x| avg_pool2d(x, options, counts_padding));
        body.assert_close("mean", output, &mean);
        body.assert_close("gradient of the mean", gradient, &of_mean);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pooling_and_its_gradients_are_the_references(
        (shape, options) in pooling(),
        counts_padding: bool,
    ) {
        check(shape, options, counts_padding, &on_the_cpu());
    }
}

/// Those of the networks, also where the random ones are computed on the CPU alone.
#[test]
fn the_networks_poolings_are_the_references() {
    for (kernel, stride, padding, ceil) in [
        (2, 2, 0, false),
        (3, 2, 1, false),
        (3, 2, 0, true),
        (3, 1, 1, false),
    ] {
        let options = Pool2dOptions {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            ceil,
        };
        for counts_padding in [false, true] {
            check([2, 5, 8, 9], options, counts_padding, &everywhere());
        }
    }
}

#[test]
fn a_global_average_is_the_mean_of_each_channel() {
    let images = Reference::noise([3, 5, 2, 3], 14);
    let output_gradient = Reference::noise([3, 5, 1, 1], 15);
    let pixels = images.values.chunks_exact(6);
    let output: Vec<f64> = pixels
        .map(|pixels| pixels.iter().sum::<f64>() / 6.0)
        .collect();
    let gradient: Vec<f64> = (0..images.values.len())
        .map(|index| output_gradient.values[index / 6] / 6.0)
        .collect();
    for body in everywhere() {
        let x = body.tracked(&images).require_grad();
        let y = global_average(x.clone());
        let weighted = y.clone() * body.tracked(&output_gradient).reshape([3, 5]);
        let gradients = weighted.sum().backward();
        body.assert_close("output", y.into_data(), &output);
        let found = x.grad(&gradients).unwrap().into_data();
        body.assert_close("gradient", found, &gradient);
    }
}
