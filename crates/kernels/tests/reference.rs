//! Every operation against a naive reference in f64, on random shapes, and its gradient against
//! finite differences of that reference.

use burn::tensor::{Device, Tensor, TensorData};
use kernels::{
    Conv2dOptions, Finish, IdentityShortcut, Pool2dOptions, add_bias, avg_pool2d, batch_norm,
    batch_norm_train, conv2d, global_average, identity_shortcut, max_pool2d,
};
use proptest::prelude::*;

/// Largest error over largest value, as f32 arithmetic in any order can do.
const TOLERANCE: f64 = 1e-5;
/// The same of convolutions in tiles, whose transforms cost some digits.
const TILED_TOLERANCE: f64 = 1e-4;

/// An image tensor in f64, `[n, channels, height, width]`.
#[derive(Clone, Debug)]
struct Reference {
    shape: [usize; 4],
    values: Vec<f64>,
}

impl Reference {
    /// Values that look random and are exact in f32.
    fn noise(shape: [usize; 4], seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let values = (0..shape.iter().product())
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                f64::from((state >> 40) as u32) / f64::from(1u32 << 23) - 1.0
            })
            .collect();
        Self { shape, values }
    }

    fn index(&self, [n, c, y, x]: [usize; 4]) -> usize {
        let [_, channels, height, width] = self.shape;
        ((n * channels + c) * height + y) * width + x
    }

    fn tensor(&self, device: &Device) -> Tensor<4> {
        let values: Vec<f32> = self.values.iter().map(|v| *v as f32).collect();
        Tensor::from_data(TensorData::new(values, self.shape), device)
    }
}

/// Calls `visit` with the indices of input, weight and output for every product of a convolution.
fn for_each_product(
    images: &Reference,
    weight: &Reference,
    output: &Reference,
    options: Conv2dOptions,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let [n, filters, out_height, out_width] = output.shape;
    let [_, group_channels, kernel_height, kernel_width] = weight.shape;
    let [_, _, height, width] = images.shape;
    let filters_a_group = filters / options.groups;
    for image in 0..n {
        for filter in 0..filters {
            let first_channel = filter / filters_a_group * group_channels;
            for (y, x) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
                for channel in 0..group_channels {
                    for (ky, kx) in
                        (0..kernel_height).flat_map(|ky| (0..kernel_width).map(move |kx| (ky, kx)))
                    {
                        let row = y * options.stride[0] + ky * options.dilation[0];
                        let column = x * options.stride[1] + kx * options.dilation[1];
                        let (Some(row), Some(column)) = (
                            row.checked_sub(options.padding[0]),
                            column.checked_sub(options.padding[1]),
                        ) else {
                            continue;
                        };
                        if row < height && column < width {
                            visit(
                                images.index([image, first_channel + channel, row, column]),
                                weight.index([filter, channel, ky, kx]),
                                output.index([image, filter, y, x]),
                            );
                        }
                    }
                }
            }
        }
    }
}

fn assert_close(what: &str, found: TensorData, expected: &[f64]) {
    assert_within(TOLERANCE, what, found, expected);
}

fn assert_within(tolerance: f64, what: &str, found: TensorData, expected: &[f64]) {
    let found: Vec<f32> = found.try_to_vec().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let largest = expected.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / largest;
        assert!(
            error < tolerance,
            "{what}: value {index} is {found}, expected {expected}"
        );
    }
}

#[derive(Clone, Debug)]
struct Convolution {
    images: [usize; 4],
    weight: [usize; 4],
    options: Conv2dOptions,
}

/// Any convolution: few channels and many, with tails of every vector's width.
fn convolution() -> impl Strategy<Value = Convolution> {
    let channels = || prop_oneof![1..5usize, 5..40usize];
    let sizes = (1..4usize, channels(), channels(), 3..12usize, 3..12usize);
    let kernel = (1..6usize, 1..6usize);
    let options = (
        1..4usize,
        1..3usize,
        0..3usize,
        0..3usize,
        1..3usize,
        1..4usize,
    );
    (sizes, kernel, options).prop_filter_map("the kernel fits", |(sizes, kernel, options)| {
        let (n, channels, filters, height, width) = sizes;
        let (sy, sx, py, px, dilation, groups) = options;
        let options = Conv2dOptions {
            stride: [sy, sx],
            padding: [py, px],
            dilation: [dilation, dilation],
            groups,
        };
        options.output_size([height, width], [kernel.0, kernel.1])?;
        Some(Convolution {
            images: [n, channels * groups, height, width],
            weight: [filters * groups, channels, kernel.0, kernel.1],
            options,
        })
    })
}

/// Long sums, which are cut, in every kind of convolution.
#[test]
fn deep_convolutions_are_the_references() {
    for (kernel, stride) in [(1, 1), (1, 2), (3, 2)] {
        check(
            &Convolution {
                images: [2, 300, 5, 6],
                weight: [70, 300, kernel, kernel],
                options: Conv2dOptions {
                    stride: [stride, stride],
                    padding: [kernel / 2, kernel / 2],
                    ..Conv2dOptions::default()
                },
            },
            TOLERANCE,
        );
    }
}

/// 3x3 at stride 1 with the channels that tiles take, small images and large.
fn tiled_convolution() -> impl Strategy<Value = Convolution> {
    let sides = (1..20usize, 1..20usize, 0..3usize, 0..3usize);
    (1..4usize, 1..4usize, 1..4usize, sides).prop_filter_map(
        "the kernel fits",
        |(n, channels, filters, (height, width, py, px))| {
            let options = Conv2dOptions {
                padding: [py, px],
                ..Conv2dOptions::default()
            };
            options.output_size([height, width], [3, 3])?;
            Some(Convolution {
                images: [n, 16 * channels, height, width],
                weight: [16 * filters, 16 * channels, 3, 3],
                options,
            })
        },
    )
}

/// Compares the convolution and both gradients with the reference.
fn check(case: &Convolution, tolerance: f64) {
    let images = Reference::noise(case.images, 1);
    let weight = Reference::noise(case.weight, 2);
    let [height, width] = case
        .options
        .output_size(
            [case.images[2], case.images[3]],
            [case.weight[2], case.weight[3]],
        )
        .unwrap();
    let out_shape = [case.images[0], case.weight[0], height, width];
    let output_gradient = Reference::noise(out_shape, 3);

    let mut output = vec![0.0; output_gradient.values.len()];
    let mut images_gradient = vec![0.0; images.values.len()];
    let mut weight_gradient = vec![0.0; weight.values.len()];
    for_each_product(
        &images,
        &weight,
        &output_gradient,
        case.options,
        |i, w, o| {
            output[o] += images.values[i] * weight.values[w];
            images_gradient[i] += output_gradient.values[o] * weight.values[w];
            weight_gradient[w] += output_gradient.values[o] * images.values[i];
        },
    );

    let device = Device::flex().autodiff();
    let x = images.tensor(&device).require_grad();
    let w = weight.tensor(&device).require_grad();
    let y = conv2d(x.clone(), w.clone(), case.options);
    assert_eq!(y.dims(), out_shape);
    let gradients = (y.clone() * output_gradient.tensor(&device))
        .sum()
        .backward();

    assert_within(tolerance, "output", y.into_data(), &output);
    let x_gradient = x.grad(&gradients).unwrap();
    assert_within(
        tolerance,
        "gradient by the images",
        x_gradient.into_data(),
        &images_gradient,
    );
    let w_gradient = w.grad(&gradients).unwrap();
    assert_within(
        tolerance,
        "gradient by the weight",
        w_gradient.into_data(),
        &weight_gradient,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn conv2d_and_its_gradients_are_the_references(case in convolution()) {
        check(&case, TOLERANCE);
    }

    #[test]
    fn tiled_convolutions_are_the_references(case in tiled_convolution()) {
        check(&case, TILED_TOLERANCE);
    }
}

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pooling_and_its_gradients_are_the_references(
        (shape, options) in pooling(),
        counts_padding: bool,
    ) {
        let images = Reference::noise(shape, 16);
        let [n, channels, height, width] = shape;
        let [out_height, out_width] = options.output_size([height, width]).unwrap();
        let output_gradient = Reference::noise([n, channels, out_height, out_width], 17);
        let zeros = || (vec![0.0; output_gradient.values.len()], vec![0.0; images.values.len()]);
        let ((mut largest, mut of_largest), (mut mean, mut of_mean)) = (zeros(), zeros());
        for (image, channel) in (0..n).flat_map(|n| (0..channels).map(move |c| (n, c))) {
            for_each_window([height, width], options, counts_padding, |[y, x], pixels, counted| {
                let to = output_gradient.index([image, channel, y, x]);
                let from = |[y, x]: [usize; 2]| images.index([image, channel, y, x]);
                let values = || pixels.iter().map(|pixel| images.values[from(*pixel)]);
                largest[to] = values().fold(f64::NEG_INFINITY, f64::max);
                let first = pixels.iter().find(|pixel| images.values[from(**pixel)] == largest[to]);
                of_largest[from(*first.unwrap())] += output_gradient.values[to];
                mean[to] = values().sum::<f64>() / counted as f64;
                for pixel in pixels {
                    of_mean[from(*pixel)] += output_gradient.values[to] / counted as f64;
                }
            });
        }
        let device = Device::flex().autodiff();
        let run = |pool: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let x = images.tensor(&device).require_grad();
            let y = pool(x.clone());
            let gradients = (y.clone() * output_gradient.tensor(&device)).sum().backward();
            (y.into_data(), x.grad(&gradients).unwrap().into_data())
        };
        let (output, gradient) = run(&|x| max_pool2d(x, options));
        assert_close("maximum", output, &largest);
        assert_close("gradient of the maximum", gradient, &of_largest);
        let (output, gradient) = run(&|x| avg_pool2d(x, options, counts_padding));
        assert_close("mean", output, &mean);
        assert_close("gradient of the mean", gradient, &of_mean);
    }
}

#[test]
fn large_matrices_are_multiplied_whole() {
    let case = Convolution {
        images: [5, 192, 9, 6],
        weight: [208, 192, 3, 3],
        options: Conv2dOptions {
            padding: [1, 1],
            ..Conv2dOptions::default()
        },
    };
    check(&case, TILED_TOLERANCE);
}

const EPSILON: f64 = 1e-5;

/// Mean and biased variance a channel.
fn statistics(images: &Reference) -> Vec<(f64, f64)> {
    let [n, channels, height, width] = images.shape;
    (0..channels)
        .map(|channel| {
            let values: Vec<f64> = (0..n)
                .flat_map(|image| {
                    let start = images.index([image, channel, 0, 0]);
                    images.values[start..start + height * width].to_vec()
                })
                .collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            (mean, squares / values.len() as f64)
        })
        .collect()
}

fn normalized(images: &Reference, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let [_, channels, height, width] = images.shape;
    let statistics = statistics(images);
    (0..images.values.len())
        .map(|index| {
            let channel = index / (height * width) % channels;
            let (mean, variance) = statistics[channel];
            let standard = (images.values[index] - mean) / (variance + EPSILON).sqrt();
            standard * weight[channel] + bias[channel]
        })
        .collect()
}

#[test]
fn batch_norm_in_training_is_the_reference() {
    let images = Reference::noise([3, 4, 5, 2], 4);
    let (weight, bias) = ([0.5, -1.0, 2.0, 1.5], [0.1, 0.2, -0.3, 0.0]);
    let output_gradient = Reference::noise(images.shape, 5);
    let device = Device::flex().autodiff();
    let x = images.tensor(&device).require_grad();
    let w = Tensor::<1>::from_data(weight.map(|v| v as f32), &device).require_grad();
    let b = Tensor::<1>::from_data(bias.map(|v| v as f32), &device).require_grad();

    let finish = Finish::default();
    let result = batch_norm_train(x.clone(), w.clone(), b.clone(), EPSILON, finish);
    let gradients = (result.output.clone() * output_gradient.tensor(&device))
        .sum()
        .backward();

    assert_close(
        "output",
        result.output.into_data(),
        &normalized(&images, &weight, &bias),
    );
    let values = 3.0 * 5.0 * 2.0;
    let expected = statistics(&images);
    let means: Vec<f64> = expected.iter().map(|(mean, _)| *mean).collect();
    let unbiased: Vec<f64> = expected
        .iter()
        .map(|(_, v)| v * values / (values - 1.0))
        .collect();
    assert_close("mean", result.mean.into_data(), &means);
    assert_close("unbiased variance", result.variance.into_data(), &unbiased);

    let objective = |images: &Reference, weight: &[f64], bias: &[f64]| -> f64 {
        let output = normalized(images, weight, bias);
        output
            .iter()
            .zip(&output_gradient.values)
            .map(|(y, g)| y * g)
            .sum()
    };
    let step = 1e-5;
    let by_images: Vec<f64> = (0..images.values.len())
        .map(|index| {
            let moved = |by: f64| {
                let mut moved = images.clone();
                moved.values[index] += by;
                objective(&moved, &weight, &bias)
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        })
        .collect();
    let by_weight: Vec<f64> = (0..4)
        .map(|channel| {
            let moved = |by: f64| {
                let mut moved = weight;
                moved[channel] += by;
                objective(&images, &moved, &bias)
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        })
        .collect();
    let by_bias: Vec<f64> = (0..4)
        .map(|channel| {
            let moved = |by: f64| {
                let mut moved = bias;
                moved[channel] += by;
                objective(&images, &weight, &moved)
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        })
        .collect();
    assert_close(
        "gradient by the images",
        x.grad(&gradients).unwrap().into_data(),
        &by_images,
    );
    assert_close(
        "gradient by the weight",
        w.grad(&gradients).unwrap().into_data(),
        &by_weight,
    );
    assert_close(
        "gradient by the bias",
        b.grad(&gradients).unwrap().into_data(),
        &by_bias,
    );
}

#[test]
fn batch_norm_in_evaluation_uses_the_given_statistics() {
    let images = Reference::noise([2, 2, 3, 3], 6);
    let device = Device::flex();
    let vector = |values: [f32; 2]| Tensor::<1>::from_data(values, &device);
    let found = batch_norm(
        images.tensor(&device),
        vector([2.0, 3.0]),
        vector([0.5, -0.5]),
        vector([0.25, -0.25]),
        vector([4.0, 0.25]),
        EPSILON,
        Finish::default(),
    );
    let expected: Vec<f64> = (0..images.values.len())
        .map(|index| {
            let (weight, bias, mean, variance) = match index / 9 % 2 {
                0 => (2.0, 0.5, 0.25, 4.0),
                _ => (3.0, -0.5, -0.25, 0.25),
            };
            (images.values[index] - mean) / (variance + EPSILON).sqrt() * weight + bias
        })
        .collect();
    assert_close("output", found.into_data(), &expected);
}

#[test]
fn the_variance_of_a_single_value_is_zero_and_not_nan() {
    let device = Device::flex().autodiff();
    let images = Tensor::<4>::ones([1, 2, 1, 1], &device);
    let one = Tensor::<1>::ones([2], &device);
    let result = batch_norm_train(images, one.clone(), one, EPSILON, Finish::default());
    assert_close("variance", result.variance.into_data(), &[0.0, 0.0]);
}

#[test]
fn a_shortcut_keeps_every_other_pixel_between_zero_channels() {
    let images = Reference::noise([2, 3, 5, 7], 12);
    let shortcut = IdentityShortcut {
        stride: 2,
        before: 1,
        after: 2,
    };
    let output_gradient = Reference::noise([2, 6, 3, 4], 13);
    let mut output = vec![0.0; output_gradient.values.len()];
    let mut gradient = vec![0.0; images.values.len()];
    for (n, c) in (0..2).flat_map(|n| (0..3).map(move |c| (n, c))) {
        for (y, x) in (0..3).flat_map(|y| (0..4).map(move |x| (y, x))) {
            let from = images.index([n, c, 2 * y, 2 * x]);
            let to = output_gradient.index([n, c + 1, y, x]);
            output[to] = images.values[from];
            gradient[from] = output_gradient.values[to];
        }
    }
    let device = Device::flex().autodiff();
    let x = images.tensor(&device).require_grad();
    let y = identity_shortcut(x.clone(), shortcut);
    let gradients = (y.clone() * output_gradient.tensor(&device))
        .sum()
        .backward();
    assert_close("output", y.into_data(), &output);
    assert_close(
        "gradient",
        x.grad(&gradients).unwrap().into_data(),
        &gradient,
    );
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
    let device = Device::flex().autodiff();
    let x = images.tensor(&device).require_grad();
    let y = global_average(x.clone());
    let weighted = y.clone() * output_gradient.tensor(&device).reshape([3, 5]);
    let gradients = weighted.sum().backward();
    assert_close("output", y.into_data(), &output);
    assert_close(
        "gradient",
        x.grad(&gradients).unwrap().into_data(),
        &gradient,
    );
}

#[test]
fn a_bias_is_added_to_each_channel() {
    let images = Reference::noise([3, 20, 4, 5], 19);
    let output_gradient = Reference::noise(images.shape, 20);
    let bias: Vec<f64> = Reference::noise([1, 20, 1, 1], 21).values;
    for relu in [false, true] {
        let channel = |index: usize| index / 20 % 20;
        let sum = |index: usize| images.values[index] + bias[channel(index)];
        let passes = |index: usize| !relu || sum(index) > 0.0;
        let of = |value: f64, index: usize| if passes(index) { value } else { 0.0 };
        let indices = 0..images.values.len();
        let output: Vec<f64> = indices.clone().map(|i| of(sum(i), i)).collect();
        let gradient: Vec<f64> = (indices.clone())
            .map(|i| of(output_gradient.values[i], i))
            .collect();
        let mut by_bias = vec![0.0; 20];
        for index in indices {
            by_bias[channel(index)] += gradient[index];
        }
        let device = Device::flex().autodiff();
        let x = images.tensor(&device).require_grad();
        let values: Vec<f32> = bias.iter().map(|value| *value as f32).collect();
        let b = Tensor::<1>::from_data(TensorData::new(values, [20]), &device).require_grad();
        let y = add_bias(x.clone(), b.clone(), relu);
        let gradients = (y.clone() * output_gradient.tensor(&device))
            .sum()
            .backward();
        assert_close("output", y.into_data(), &output);
        assert_close(
            "by images",
            x.grad(&gradients).unwrap().into_data(),
            &gradient,
        );
        assert_close("by bias", b.grad(&gradients).unwrap().into_data(), &by_bias);
    }
}

/// `relu(norm(x) + x)`: what follows a normalisation in the same pass, and a fork, is what Burn's own
/// operations make of it, and so are the gradients.
#[test]
fn what_follows_a_normalisation_is_what_burn_computes() {
    let device = Device::flex().autodiff();
    let images = Reference::noise([3, 20, 5, 7], 8);
    let output_gradient = Reference::noise(images.shape, 9).tensor(&device);
    let ones = || Tensor::<1>::ones([20], &device).require_grad();
    let run = |fused: bool| {
        let (x, w, b) = (images.tensor(&device).require_grad(), ones(), ones());
        // One operation more, so that the fork is not at a leaf.
        let fork = batch_norm_train(x.clone(), ones(), ones(), EPSILON, Finish::default()).output;
        let finish = |is_fused: bool| match is_fused {
            true => Finish {
                residual: Some(fork.clone()),
                relu: true,
            },
            false => Finish::default(),
        };
        let norm = batch_norm_train(fork.clone(), w.clone(), b.clone(), EPSILON, finish(fused));
        let y = match fused {
            true => norm.output,
            false => burn::tensor::activation::relu(norm.output + fork.clone()),
        };
        let gradients = (y.clone() * output_gradient.clone()).sum().backward();
        let of = |t: &Tensor<1>| t.grad(&gradients).unwrap().into_data();
        [
            y.into_data(),
            x.grad(&gradients).unwrap().into_data(),
            of(&w),
            of(&b),
        ]
    };
    for (fused, apart) in run(true).into_iter().zip(run(false)) {
        let apart: Vec<f64> = apart.iter::<f64>().collect();
        assert_close("fused", fused, &apart);
    }
}

#[test]
fn what_is_not_a_number_stays_visible() {
    let device = Device::flex();
    let mut images = Reference::noise([1, 16, 8, 8], 10);
    images.values[17] = f64::NAN;
    let weight = Reference::noise([16, 16, 3, 3], 11).tensor(&device);
    let options = Conv2dOptions {
        padding: [1, 1],
        ..Conv2dOptions::default()
    };
    let y = conv2d(images.tensor(&device), weight, options);
    let values: Vec<f32> = y.clone().into_data().try_to_vec().unwrap();
    // Row 2, column 1 of the first channel: its neighbours in every filter.
    for filter in 0..16 {
        for (row, column) in [(1, 0), (2, 1), (3, 2)] {
            assert!(values[(filter * 8 + row) * 8 + column].is_nan());
        }
    }
    let vector = |value: f32| Tensor::<1>::ones([16], &device) * value;
    let finish = Finish {
        residual: None,
        relu: true,
    };
    let rectified = batch_norm(
        y,
        vector(1.0),
        vector(0.0),
        vector(0.0),
        vector(1.0),
        0.0,
        finish,
    );
    let rectified: Vec<f32> = rectified.into_data().try_to_vec().unwrap();
    assert!(rectified[2 * 8 + 1].is_nan());
}

/// What does not fit is refused before anything is computed.
#[test]
fn what_does_not_fit_panics() {
    use std::panic::catch_unwind;

    let device = Device::flex();
    let images = || Tensor::<4>::ones([2, 4, 2, 2], &device);
    let vector = |values| Tensor::<1>::ones([values], &device);
    let norm = |values: [usize; 2], residual: Option<[usize; 4]>| {
        let finish = Finish {
            residual: residual.map(|shape| Tensor::ones(shape, &device)),
            relu: true,
        };
        let [weight, bias] = values.map(vector);
        batch_norm_train(images(), weight, bias, EPSILON, finish).output
    };
    let convolve = |weight: [usize; 4], options: Conv2dOptions| {
        conv2d(images(), Tensor::ones(weight, &device), options)
    };
    let usual = Conv2dOptions::default();
    let huge = Conv2dOptions {
        padding: [(1 << 31) - 1, (1 << 30) - 1],
        ..usual
    };
    let still = Conv2dOptions {
        stride: [0, 1],
        ..usual
    };
    let cases: [(&str, &dyn Fn() -> Tensor<4>); 8] = [
        ("a short weight", &|| norm([2, 4], None)),
        ("a long bias", &|| norm([4, 9], None)),
        ("another residual", &|| norm([4, 4], Some([2, 4, 1, 4]))),
        ("other channels", &|| convolve([8, 3, 1, 1], usual)),
        ("a kernel larger than the image", &|| {
            convolve([8, 4, 3, 3], usual)
        }),
        ("no kernel", &|| convolve([8, 4, 0, 0], usual)),
        ("more pixels than there can be", &|| {
            convolve([8, 4, 1, 1], huge)
        }),
        ("no stride", &|| convolve([8, 4, 1, 1], still)),
    ];
    for (what, case) in cases {
        let result = catch_unwind(std::panic::AssertUnwindSafe(case));
        assert!(result.is_err(), "{what} was computed");
    }
}

#[test]
fn nothing_gives_nothing() {
    let device = Device::flex().autodiff();
    for (n, channels, filters, kernel) in [(0, 3, 4, 3), (2, 0, 4, 1), (2, 0, 16, 3), (2, 16, 0, 3)]
    {
        let x = Tensor::<4>::ones([n, channels, 5, 5], &device).require_grad();
        let w = Tensor::<4>::ones([filters, channels, kernel, kernel], &device).require_grad();
        let y = conv2d(x.clone(), w.clone(), Conv2dOptions::default());
        let gradients = y.clone().sum().backward();
        let side = 6 - kernel;
        assert_eq!(y.dims(), [n, filters, side, side]);
        assert_eq!(y.sum().into_scalar::<f32>(), 0.0);
        assert_eq!(x.grad(&gradients).unwrap().dims(), x.dims());
        assert_eq!(w.grad(&gradients).unwrap().dims(), w.dims());
    }
    let empty = Tensor::<4>::ones([2, 4, 0, 3], &device);
    let means: Vec<f32> = global_average(empty).into_data().try_to_vec().unwrap();
    assert!(means.iter().all(|mean| mean.is_nan()));
}

/// Scales that are shared, and no leaves, get the sum of their gradients.
#[test]
fn a_scale_may_be_used_twice() {
    let device = Device::flex().autodiff();
    let images = Reference::noise([2, 3, 4, 5], 18).tensor(&device);
    let gamma = Tensor::<1>::ones([3], &device).require_grad();
    let (scale, shift) = (gamma.clone() * 2.0, gamma.clone() * 0.5);
    let norm = |x| {
        let (scale, shift) = (scale.clone(), shift.clone());
        batch_norm_train(x, scale, shift, EPSILON, Finish::default()).output
    };
    let y = norm(norm(images.clone()));
    let gradients = (y * images).sum().backward();
    assert_eq!(gamma.grad(&gradients).unwrap().dims(), [3]);
}

/// The squares of large values are beyond f32: their variance is not, until it is itself.
#[test]
fn large_values_have_a_variance_or_show() {
    let device = Device::flex().autodiff();
    let norm = |large: f32| {
        // More values than are averaged for a start.
        let values: Vec<f32> = (0..64).map(|i| if i == 1 { large } else { 0.0 }).collect();
        let images = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 8, 8]), &device);
        let one = Tensor::<1>::ones([1], &device);
        batch_norm_train(images, one.clone(), one, EPSILON, Finish::default())
    };
    let variance: f32 = norm(3e19).variance.into_scalar();
    let expected = 9e38 / 64.0;
    assert!(
        (f64::from(variance) / expected - 1.0).abs() < 1e-4,
        "{variance}"
    );
    let output: Vec<f32> = norm(3e38).output.into_data().try_to_vec().unwrap();
    assert!(output.iter().all(|value| value.is_nan()));
}
