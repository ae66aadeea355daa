//! Deformable convolution.

use burn::tensor::Tensor;
use kernels::{Conv2dOptions, DeformConv2dOptions, deform_conv2d};

use crate::support::{Reference, check};

/// Between four pixels, those outside of the image being zero.
fn interpolated(images: &Reference, image: usize, channel: usize, at: [f64; 2]) -> f64 {
    let [_, _, height, width] = images.shape;
    let [top, left] = at.map(f64::floor);
    let mut sum = 0.0;
    for (y, x) in [
        (top, left),
        (top, left + 1.0),
        (top + 1.0, left),
        (top + 1.0, left + 1.0),
    ] {
        if y >= 0.0 && x >= 0.0 && y < height as f64 && x < width as f64 {
            let value = images.values[images.index([image, channel, y as usize, x as usize])];
            sum += value * (1.0 - (at[0] - y).abs()) * (1.0 - (at[1] - x).abs());
        }
    }
    sum
}

fn deformed(inputs: &[Reference], options: DeformConv2dOptions) -> Reference {
    let [images, weight, offsets] = [&inputs[0], &inputs[1], &inputs[2]];
    let [n, channels, ..] = images.shape;
    let [filters, _, kernel_height, kernel_width] = weight.shape;
    let [_, _, height, width] = offsets.shape;
    let (taps, moves) = (kernel_height * kernel_width, options.convolution);
    let mut output = Reference::noise([n, filters, height, width], 0);
    for (image, filter) in (0..n).flat_map(|n| (0..filters).map(move |f| (n, f))) {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let mut sum = 0.0;
            for (channel, tap) in (0..channels).flat_map(|c| (0..taps).map(move |t| (c, t))) {
                let place = channel / (channels / options.offset_groups) * taps + tap;
                let kernel = [tap / kernel_width, tap % kernel_width];
                let at = [0, 1].map(|axis| {
                    let still =
                        [y, x][axis] * moves.stride[axis] + kernel[axis] * moves.dilation[axis];
                    let moved = offsets.values[offsets.index([image, 2 * place + axis, y, x])];
                    still as f64 - moves.padding[axis] as f64 + moved
                });
                let mask = (inputs.get(3)).map_or(1.0, |m| m.values[m.index([image, place, y, x])]);
                let weight = weight.values[weight.index([filter, channel, kernel[0], kernel[1]])];
                sum += weight * mask * interpolated(images, image, channel, at);
            }
            let to = output.index([image, filter, y, x]);
            output.values[to] = sum;
        }
    }
    output
}

/// Offsets that no difference moves past a pixel's centre, where the slope is not defined.
fn offsets(shape: [usize; 4]) -> Reference {
    let mut offsets = Reference::noise(shape, 40);
    for value in &mut offsets.values {
        *value = (*value * 6.0).round() * 0.75 + 0.1;
    }
    offsets
}

#[test]
fn taps_are_moved_and_weighted() {
    for (kernel, stride, dilation, offset_groups, masked) in [
        ([3, 3], 1, 1, 1, false),
        ([3, 3], 2, 1, 2, true),
        ([2, 3], 1, 2, 1, true),
        ([1, 1], 1, 1, 4, false),
    ] {
        let options = DeformConv2dOptions {
            convolution: Conv2dOptions {
                stride: [stride, stride],
                padding: [1, 1],
                dilation: [dilation, dilation],
                groups: 1,
            },
            offset_groups,
        };
        let [height, width] = options.convolution.output_size([5, 6], kernel).unwrap();
        let of_taps = |values: usize| {
            [
                2,
                values * offset_groups * kernel[0] * kernel[1],
                height,
                width,
            ]
        };
        let mut inputs = vec![
            Reference::noise([2, 4, 5, 6], 41),
            Reference::noise([3, 4, kernel[0], kernel[1]], 42),
            offsets(of_taps(2)),
        ];
        if masked {
            inputs.push(Reference::noise(of_taps(1), 43));
        }
        let operation = |x: &[Tensor<4>]| {
            let (images, weight, offsets) = (x[0].clone(), x[1].clone(), x[2].clone());
            deform_conv2d(images, weight, offsets, x.get(3).cloned(), options)
        };
        check(&inputs, operation, |inputs| deformed(inputs, options));
    }
}
