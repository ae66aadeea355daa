//! Convolution.

use burn::tensor::{Device, Tensor};
use kernels::{Conv2dOptions, conv2d};
use proptest::prelude::*;

use crate::support::{Body, Reference, TILED_TOLERANCE, TOLERANCE, everywhere, on_the_cpu};

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

/// Groups of few channels and as many filters, depthwise ones among them.
fn narrow_convolution() -> impl Strategy<Value = Convolution> {
    let sizes = (1..3usize, 1..8usize, 2..40usize, 1..18usize, 1..18usize);
    let options = (1..6usize, 1..6usize, 1..4usize, 0..4usize, 1..3usize);
    (sizes, options).prop_filter_map("the kernel fits", |(sizes, options)| {
        let (n, width, groups, height, image_width) = sizes;
        let (kernel_height, kernel_width, stride, padding, dilation) = options;
        let options = Conv2dOptions {
            stride: [stride, 1 + stride / 2],
            padding: [padding, padding / 2],
            dilation: [dilation, 1],
            groups,
        };
        options.output_size([height, image_width], [kernel_height, kernel_width])?;
        Some(Convolution {
            images: [n, width * groups, height, image_width],
            weight: [width * groups, width, kernel_height, kernel_width],
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
            &everywhere(),
        );
    }
}

/// 3x3 at stride 1 with the channels and pixels that tiles take, small images and large.
fn tiled_convolution() -> impl Strategy<Value = Convolution> {
    let sides = (1..20usize, 1..20usize, 0..3usize, 0..3usize);
    (0..3usize, 1..4usize, 1..4usize, sides).prop_filter_map(
        "the kernel fits",
        |(n, channels, filters, (height, width, py, px))| {
            let options = Conv2dOptions {
                padding: [py, px],
                ..Conv2dOptions::default()
            };
            let [out_height, out_width] = options.output_size([height, width], [3, 3])?;
            let n = n + 256usize.div_ceil(out_height * out_width);
            Some(Convolution {
                images: [n, 16 * channels, height, width],
                weight: [16 * filters, 16 * channels, 3, 3],
                options,
            })
        },
    )
}

/// Compares the convolution and both gradients of each body with the reference.
fn check(case: &Convolution, tolerance: f64, bodies: &[Body]) {
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

    for body in bodies {
        let x = body.tracked(&images).require_grad();
        let w = body.tracked(&weight).require_grad();
        let y = conv2d(x.clone(), w.clone(), case.options);
        assert_eq!(y.dims(), out_shape);
        let weighted = y.clone() * body.tracked(&output_gradient);
        let gradients = weighted.sum().backward();

        let close = |what: &str, found: Tensor<4>, expected: &[f64]| {
            body.assert_within(tolerance, what, found.into_data(), expected);
        };
        close("output", y, &output);
        close(
            "gradient by the images",
            x.grad(&gradients).unwrap(),
            &images_gradient,
        );
        close(
            "gradient by the weight",
            w.grad(&gradients).unwrap(),
            &weight_gradient,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn conv2d_and_its_gradients_are_the_references(case in convolution()) {
        check(&case, TOLERANCE, &on_the_cpu());
    }

    #[test]
    fn narrow_convolutions_are_the_references(case in narrow_convolution()) {
        check(&case, TOLERANCE, &on_the_cpu());
    }

    #[test]
    fn tiled_convolutions_are_the_references(case in tiled_convolution()) {
        check(&case, TILED_TOLERANCE, &on_the_cpu());
    }
}

/// Every kind of convolution that networks have, also where the random ones are computed on the CPU alone: on a GPU, each
/// shape has its kernels compiled, and the fastest chosen.
#[test]
fn the_networks_convolutions_are_the_references() {
    let square = |kernel: usize, stride: usize| Conv2dOptions {
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        ..Conv2dOptions::default()
    };
    let grouped = |groups: usize| Conv2dOptions {
        groups,
        ..square(3, 1)
    };
    let asymmetric = Conv2dOptions {
        padding: [0, 3],
        ..Conv2dOptions::default()
    };
    let dilated = Conv2dOptions {
        padding: [2, 2],
        dilation: [2, 2],
        ..Conv2dOptions::default()
    };
    for (images, weight, options) in [
        ([2, 3, 17, 15], [16, 3, 7, 7], square(7, 2)),
        ([2, 16, 8, 9], [24, 16, 3, 3], square(3, 1)),
        ([2, 16, 9, 8], [24, 16, 3, 3], square(3, 2)),
        ([2, 24, 5, 6], [8, 24, 1, 1], square(1, 1)),
        ([2, 8, 5, 6], [24, 8, 1, 1], square(1, 2)),
        ([2, 12, 8, 8], [12, 3, 3, 3], grouped(4)),
        ([2, 12, 8, 8], [12, 1, 3, 3], grouped(12)),
        ([2, 8, 9, 9], [8, 8, 1, 7], asymmetric),
        ([2, 8, 9, 9], [8, 8, 3, 3], dilated),
    ] {
        let case = Convolution {
            images,
            weight,
            options,
        };
        check(&case, TOLERANCE, &everywhere());
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
    check(&case, TILED_TOLERANCE, &everywhere());
}

/// The CPU keeps weights in the order of its products, while a network in evaluation may get others in their place.
#[test]
fn what_is_kept_of_weights_is_their_own() {
    let device = Device::flex();
    let images = Tensor::<4>::ones([1, 8, 2, 2], &device);
    for value in 1..50 {
        let weight = Tensor::<4>::ones([16, 8, 1, 1], &device) * value;
        for _ in 0..2 {
            let output = conv2d(images.clone(), weight.clone(), Conv2dOptions::default());
            let values: Vec<f32> = output.into_data().try_to_vec().unwrap();
            assert!(values.iter().all(|found| *found == 8.0 * value as f32));
        }
    }
}
