//! The operations on the processor, for Burn's Flex backend.
//!
//! Values are f32 and lie channels last ([`layout`]); for any other type of values, the portable
//! bodies compute. Threads are rayon's, instructions the best that the machine has. Results do not
//! depend on the number of threads: what is summed is cut the same way whatever that is.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined is compiled without the machine's instructions"
)]

mod activation;
mod buffer;
mod concat;
mod cross_entropy;
mod deform;
mod direct;
mod dispatch;
mod elementwise;
mod gate;
mod layout;
mod lrn;
mod narrow;
mod norm;
mod packed;
mod patches;
mod pointwise;
mod pool;
mod product;
mod sgd;
mod shares;
mod shortcut;
mod sweep;
mod target;
mod transform;
mod weight;
mod weight_gradient;
mod winograd;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Shape};

use self::buffer::Buffer;
use self::cross_entropy::Scores;
use self::layout::{Images, ImagesShape, contiguous, tensor_of};
use self::norm::{Affine, Normalized, Statistics};
use self::weight::{Weight, WeightShape};
use crate::ops::{
    Activated, BatchNormGradients, CnnGradients, CnnOps, Deformed, DeformedGradients, MaxPooled,
    Normalization, Optional, WantedGradients,
};
use crate::{
    Activation, Conv2dOptions, DeformConv2dOptions, IdentityShortcut, LocalResponseNorm,
    Pool2dOptions, SgdOptions, SharedBatch, portable,
};

impl CnnOps for Flex {
    fn conv2d_forward(
        images: FlexTensor,
        weight: FlexTensor,
        options: Conv2dOptions,
    ) -> FlexTensor {
        if !are_f32([&images, &weight]) || has_uneven_groups(&weight, options) {
            return portable::conv2d_forward::<Self>(images, weight, options);
        }
        convolve(&Images::of(images), &Weight::kept(weight), options)
    }

    fn deform_conv2d_forward(
        images: FlexTensor,
        weight: FlexTensor,
        offsets: FlexTensor,
        mask: Optional<Self>,
        options: DeformConv2dOptions,
    ) -> FlexTensor {
        if !are_f32([&images, &weight, &offsets]) || options.convolution.groups > 1 {
            return portable::deform_conv2d_forward::<Self>(images, weight, offsets, mask, options);
        }
        let mask = mask.into_option().map(Images::of);
        let deformed = deform::Deformed {
            images: &Images::of(images),
            weight: &Weight::of(weight),
            offsets: &Images::of(offsets),
            mask: mask.as_ref(),
            options,
        };
        deformed.output_shape().tensor(deformed.forward())
    }

    fn batch_norm_forward(
        images: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        residual: Optional<Self>,
        epsilon: f64,
        activation: Activation,
        shared: Option<SharedBatch>,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if !are_f32([&images, &weight, &bias]) {
            return portable::batch_norm_forward::<Self>(
                images, weight, bias, residual, epsilon, activation, shared,
            );
        }
        let images = Images::of(images);
        let (weight, bias) = (contiguous(weight), contiguous(bias));
        let statistics = norm::statistics(&images).over(shared.as_ref());
        let affine = Affine::new(&statistics, weight.storage(), bias.storage(), epsilon);
        let residual = residual.into_option().map(Images::of);
        let output = affine.apply(&images, residual.as_ref(), activation);
        (
            images.shape.tensor(output),
            channels_tensor(&statistics.mean),
            channels_tensor(&statistics.variance),
        )
    }

    fn affine_forward(
        images: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        residual: Optional<Self>,
        activation: Activation,
    ) -> FlexTensor {
        if !are_f32([&images, &scale, &shift]) {
            return portable::affine_forward::<Self>(images, scale, shift, residual, activation);
        }
        let images = Images::of(images);
        let affine = Affine {
            scale: values_of(scale),
            shift: values_of(shift),
        };
        let residual = residual.into_option().map(Images::of);
        let output = affine.apply(&images, residual.as_ref(), activation);
        images.shape.tensor(output)
    }

    fn add_bias_forward(images: FlexTensor, bias: FlexTensor, rectifies: bool) -> FlexTensor {
        let shape = ImagesShape::of(images.layout().shape());
        if !are_f32([&images, &bias]) || shape.values() == 0 {
            return portable::add_bias_forward::<Self>(images, bias, rectifies);
        }
        let affine = Affine {
            scale: vec![1.0; shape.channels],
            shift: values_of(bias),
        };
        let activation = match rectifies {
            true => Activation::Relu,
            false => Activation::Identity,
        };
        shape.tensor(affine.apply(&Images::of(images), None, activation))
    }

    fn activation_forward(images: FlexTensor, activation: Activation) -> FlexTensor {
        if !are_f32([&images]) {
            return portable::activation_forward::<Self>(images, activation);
        }
        let images = Images::of(images);
        images
            .shape
            .tensor(activation::forward(&images, activation))
    }

    fn concat_forward(left: FlexTensor, right: FlexTensor) -> FlexTensor {
        if !are_f32([&left, &right]) || left.layout().num_elements() == 0 {
            return portable::concat_forward::<Self>(left, right);
        }
        let (values, shape) = concat::forward(&Images::of(left), &Images::of(right));
        shape.tensor(values)
    }

    fn gate_channels_forward(
        images: FlexTensor,
        gates: FlexTensor,
        residual: Optional<Self>,
        rectifies: bool,
    ) -> FlexTensor {
        if !are_f32([&images, &gates]) {
            return portable::gate_channels_forward::<Self>(images, gates, residual, rectifies);
        }
        let (images, residual) = (Images::of(images), residual.into_option().map(Images::of));
        let values = gate::forward(&images, &values_of(gates), residual.as_ref(), rectifies);
        images.shape.tensor(values)
    }

    fn local_response_norm_forward(images: FlexTensor, options: LocalResponseNorm) -> FlexTensor {
        if !are_f32([&images]) {
            return portable::local_response_norm_forward::<Self>(images, options);
        }
        let images = Images::of(images);
        images.shape.tensor(lrn::forward(&images, options))
    }

    fn identity_shortcut_forward(images: FlexTensor, shortcut: IdentityShortcut) -> FlexTensor {
        if !are_f32([&images]) {
            return portable::identity_shortcut_forward::<Self>(images, shortcut);
        }
        let (values, shape) = shortcut::forward(&Images::of(images), shortcut);
        shape.tensor(values)
    }

    fn max_pool2d_forward(images: FlexTensor, options: Pool2dOptions) -> FlexTensor {
        if !are_f32([&images]) {
            return portable::max_pool2d_forward::<Self>(images, options);
        }
        let (values, shape) = pool::max(&Images::of(images), options);
        shape.tensor(values)
    }

    fn avg_pool2d_forward(
        images: FlexTensor,
        options: Pool2dOptions,
        counts_padding: bool,
    ) -> FlexTensor {
        if !are_f32([&images]) {
            return portable::avg_pool2d_forward::<Self>(images, options, counts_padding);
        }
        let (values, shape) = pool::average(&Images::of(images), options, counts_padding);
        shape.tensor(values)
    }

    fn sgd_update(
        weight: FlexTensor,
        gradient: FlexTensor,
        velocity: Optional<Self>,
        options: SgdOptions,
    ) -> (FlexTensor, FlexTensor) {
        if !are_f32([&weight, &gradient]) {
            return portable::sgd_update::<Self>(weight, gradient, velocity, options);
        }
        sgd::update(weight, gradient, velocity.into_option(), options)
    }

    fn cross_entropy_forward(logits: FlexTensor, labels: FlexTensor, smoothing: f64) -> FlexTensor {
        if !are_f32([&logits]) || logits.layout().num_elements() == 0 {
            return portable::cross_entropy_forward::<Self>(logits, labels, smoothing);
        }
        let scores = Scores {
            classes: logits.layout().shape()[1],
            logits: &values_of(logits),
            labels: &indices_of(labels),
            smoothing,
        };
        channels_tensor(&[scores.loss()])
    }

    fn global_average_forward(images: FlexTensor) -> FlexTensor {
        if !are_f32([&images]) {
            return portable::global_average_forward::<Self>(images);
        }
        let images = Images::of(images);
        let means = pool::global_average(&images);
        tensor_of(means, &[images.shape.n, images.shape.channels])
    }
}

impl CnnGradients for Flex {
    fn conv2d_tracked(
        images: FlexTensor,
        weight: FlexTensor,
        options: Conv2dOptions,
    ) -> FlexTensor {
        if !are_f32([&images, &weight]) || has_uneven_groups(&weight, options) {
            return portable::conv2d_forward::<Self>(images, weight, options);
        }
        packed::forget();
        convolve(&Images::of(images), &Weight::of(weight), options)
    }

    fn conv2d_gradients(
        images: FlexTensor,
        weight: FlexTensor,
        output_gradient: FlexTensor,
        options: Conv2dOptions,
        wanted: WantedGradients,
    ) -> (Option<FlexTensor>, Option<FlexTensor>) {
        if !are_f32([&images, &weight, &output_gradient]) || has_uneven_groups(&weight, options) {
            return portable::conv2d_gradients::<Self>(
                images,
                weight,
                output_gradient,
                options,
                wanted,
            );
        }
        let (images, weight) = (Images::of(images), Weight::of(weight));
        let output_gradient = Images::of(output_gradient);
        let (of_images, of_weight) = if images.shape.values() == 0 || weight.shape.values() == 0 {
            (
                wanted.images.then(|| Buffer::zeros(images.shape.values())),
                wanted.weight.then(|| Buffer::zeros(weight.shape.values())),
            )
        } else if winograd::fits(weight.shape, output_gradient.shape, options) && wanted.weight {
            let (of_images, of_weight) =
                winograd::gradients(&images, &weight, &output_gradient, options, wanted.images);
            (of_images, Some(of_weight))
        } else {
            let of_images = wanted.images.then(|| {
                if narrow::fits(weight.shape, options) {
                    narrow::images_gradient(&output_gradient, &weight, images.shape, options)
                } else if pointwise::fits(weight.shape, options) {
                    pointwise::images_gradient(&output_gradient, &weight)
                } else {
                    direct::images_gradient(&output_gradient, &weight, images.shape, options)
                }
            });
            let of_weight = wanted.weight.then(|| {
                let shape = weight.shape;
                if narrow::fits(shape, options) {
                    narrow::weight_gradient(&images, &output_gradient, shape, options)
                } else {
                    weight_gradient::weight_gradient(&images, &output_gradient, shape, options)
                }
            });
            (of_images, of_weight)
        };
        (
            of_images.map(|values| images.shape.tensor(values)),
            of_weight.map(|values| weight.shape.tensor(&values)),
        )
    }

    fn deform_conv2d_gradients(
        deformed: Deformed<Self>,
        output_gradient: FlexTensor,
    ) -> DeformedGradients<Self> {
        let options = deformed.options;
        if !are_f32([&deformed.images, &deformed.weight, &deformed.offsets])
            || options.convolution.groups > 1
        {
            return portable::deform_conv2d_gradients(deformed, output_gradient);
        }
        let mask = deformed.mask.map(Images::of);
        let deformed = deform::Deformed {
            images: &Images::of(deformed.images),
            weight: &Weight::of(deformed.weight),
            offsets: &Images::of(deformed.offsets),
            mask: mask.as_ref(),
            options,
        };
        let gradients = deformed.gradients(&Images::of(output_gradient));
        DeformedGradients {
            images: deformed.images.shape.tensor(gradients.images),
            weight: deformed.weight.shape.tensor(&gradients.weight),
            offsets: deformed.offsets.shape.tensor(gradients.offsets),
            mask: (gradients.mask.zip(mask.as_ref()))
                .map(|(values, mask)| mask.shape.tensor(values)),
        }
    }

    fn batch_norm_gradients(
        normalization: Normalization<Self>,
        output_gradient: FlexTensor,
    ) -> BatchNormGradients<Self> {
        if !are_f32([
            &normalization.images,
            &normalization.weight,
            &output_gradient,
        ]) {
            return portable::batch_norm_gradients(normalization, output_gradient);
        }
        let images = Images::of(normalization.images);
        let statistics = Statistics {
            mean: values_of(normalization.mean),
            variance: values_of(normalization.variance),
        };
        let output = match normalization.activated {
            Activated::Relu(ref output) => Some(Images::of(output.clone())),
            Activated::Identity | Activated::Silu | Activated::Gelu => None,
        };
        let gradient = Images::of(output_gradient.clone());
        let gradients = Normalized {
            images: &images,
            statistics: &statistics,
            weight: &values_of(normalization.weight),
            bias: &values_of(normalization.bias),
            epsilon: normalization.epsilon,
            activated: match (&normalization.activated, &output) {
                (_, Some(output)) => norm::Activated::Relu(output),
                (Activated::Silu, _) => norm::Activated::Silu,
                (Activated::Gelu, _) => norm::Activated::Gelu,
                _ => norm::Activated::Identity,
            },
            has_residual: normalization.has_residual,
            shared: normalization.shared.as_ref(),
        }
        .gradients(&gradient);
        BatchNormGradients {
            images: images.shape.tensor(gradients.images),
            weight: channels_tensor(&gradients.weight),
            bias: channels_tensor(&gradients.bias),
            residual: normalization
                .has_residual
                .then(|| match gradients.residual {
                    Some(values) => images.shape.tensor(values),
                    None => output_gradient,
                }),
        }
    }

    fn add_bias_gradients(
        output_gradient: FlexTensor,
        rectified: Option<FlexTensor>,
    ) -> (FlexTensor, FlexTensor) {
        let shape = ImagesShape::of(output_gradient.layout().shape());
        if !are_f32([&output_gradient]) || shape.values() == 0 {
            return portable::add_bias_gradients::<Self>(output_gradient, rectified);
        }
        let gradient = Images::of(output_gradient);
        let gradient = match rectified {
            Some(output) => {
                let values = activation::behind_rectifier(&gradient, &Images::of(output));
                Images::of(shape.tensor(values))
            }
            None => gradient,
        };
        let sums = norm::channel_sums(&gradient);
        (gradient.into_tensor(), channels_tensor(&sums))
    }

    fn activation_gradient(
        kept: FlexTensor,
        output_gradient: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        if !are_f32([&kept, &output_gradient]) {
            return portable::activation_gradient::<Self>(kept, output_gradient, activation);
        }
        let (kept, gradient) = (Images::of(kept), Images::of(output_gradient));
        let values = match activation {
            Activation::Identity => return gradient.into_tensor(),
            Activation::Relu => activation::behind_rectifier(&gradient, &kept),
            Activation::Silu => activation::behind_silu(&gradient, &kept),
            Activation::Gelu => activation::behind_gelu(&gradient, &kept),
        };
        kept.shape.tensor(values)
    }

    fn concat_gradients(
        output_gradient: FlexTensor,
        left_channels: usize,
    ) -> (FlexTensor, FlexTensor) {
        if !are_f32([&output_gradient]) || output_gradient.layout().num_elements() == 0 {
            return portable::concat_gradients::<Self>(output_gradient, left_channels);
        }
        let gradient = Images::of(output_gradient);
        let [left, right] =
            concat::gradients(&gradient, left_channels).map(|(values, shape)| shape.tensor(values));
        (left, right)
    }

    fn gate_channels_gradients(
        images: FlexTensor,
        gates: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        if !are_f32([&images, &gates, &gradient]) {
            return portable::gate_channels_gradients::<Self>(images, gates, gradient);
        }
        let (images, gradient) = (Images::of(images), Images::of(gradient));
        let shape = images.shape;
        let (of_images, of_gates) = gate::gradients(&images, &values_of(gates), &gradient);
        let of_gates = tensor_of(of_gates, &[shape.n, shape.channels]);
        (shape.tensor(of_images), of_gates)
    }

    fn local_response_norm_gradient(
        images: FlexTensor,
        output_gradient: FlexTensor,
        options: LocalResponseNorm,
    ) -> FlexTensor {
        if !are_f32([&images, &output_gradient]) {
            return portable::local_response_norm_gradient::<Self>(
                images,
                output_gradient,
                options,
            );
        }
        let images = Images::of(images);
        let values = lrn::gradient(&images, &Images::of(output_gradient), options);
        images.shape.tensor(values)
    }

    fn identity_shortcut_gradient(
        output_gradient: FlexTensor,
        images: Shape,
        shortcut: IdentityShortcut,
    ) -> FlexTensor {
        if !are_f32([&output_gradient]) {
            return portable::identity_shortcut_gradient::<Self>(output_gradient, images, shortcut);
        }
        let shape = ImagesShape::of(&images);
        let values = shortcut::gradient(&Images::of(output_gradient), shape, shortcut);
        shape.tensor(values)
    }

    fn max_pool2d_tracked(
        images: FlexTensor,
        options: Pool2dOptions,
    ) -> (FlexTensor, Option<FlexTensor>) {
        (Self::max_pool2d_forward(images, options), None)
    }

    fn max_pool2d_gradient(pooled: MaxPooled<Self>, output_gradient: FlexTensor) -> FlexTensor {
        if !are_f32([&pooled.images, &output_gradient]) {
            return portable::max_pool2d_gradient(pooled, output_gradient);
        }
        let (images, output) = (Images::of(pooled.images), Images::of(pooled.output));
        let gradient = Images::of(output_gradient);
        let values = pool::max_gradient(&images, &output, &gradient, pooled.options);
        images.shape.tensor(values)
    }

    fn avg_pool2d_gradient(
        images: FlexTensor,
        output_gradient: FlexTensor,
        options: Pool2dOptions,
        counts_padding: bool,
    ) -> FlexTensor {
        if !are_f32([&images, &output_gradient]) {
            return portable::avg_pool2d_gradient::<Self>(
                images,
                output_gradient,
                options,
                counts_padding,
            );
        }
        let shape = ImagesShape::of(images.layout().shape());
        let gradient = Images::of(output_gradient);
        shape.tensor(pool::average_gradient(
            &gradient,
            shape,
            options,
            counts_padding,
        ))
    }

    fn linear_weight_gradient(features: FlexTensor, output_gradient: FlexTensor) -> FlexTensor {
        if !are_f32([&features, &output_gradient]) || features.layout().num_elements() == 0 {
            return portable::linear_weight_gradient::<Self>(features, output_gradient);
        }
        // That of a 1x1 convolution of images of one pixel. The two change places, since its order
        // would be that of the transposed weight.
        let [features, output_gradient] = [features, output_gradient].map(images_of_a_pixel);
        let (outputs, inputs) = (output_gradient.shape.channels, features.shape.channels);
        let shape = WeightShape {
            filters: inputs,
            channels: outputs,
            kernel: [1, 1],
        };
        let options = Conv2dOptions::default();
        let values = weight_gradient::weight_gradient(&output_gradient, &features, shape, options);
        tensor_of(values, &[outputs, inputs])
    }

    fn cross_entropy_gradient(
        logits: FlexTensor,
        labels: FlexTensor,
        output_gradient: FlexTensor,
        smoothing: f64,
    ) -> FlexTensor {
        if !are_f32([&logits, &output_gradient]) || logits.layout().num_elements() == 0 {
            return portable::cross_entropy_gradient::<Self>(
                logits,
                labels,
                output_gradient,
                smoothing,
            );
        }
        let [n, classes] = logits.layout().shape().dims();
        let scores = Scores {
            classes,
            logits: &values_of(logits),
            labels: &indices_of(labels),
            smoothing,
        };
        let of_loss = values_of(output_gradient)[0];
        tensor_of(scores.gradient(of_loss), &[n, classes])
    }

    fn global_average_gradient(output_gradient: FlexTensor, images: Shape) -> FlexTensor {
        if !are_f32([&output_gradient]) {
            return portable::global_average_gradient::<Self>(output_gradient, images);
        }
        let shape = ImagesShape::of(&images);
        let means = values_of(output_gradient);
        shape.tensor(pool::global_average_gradient(&means, shape))
    }

    fn add_images(left: FlexTensor, right: FlexTensor) -> FlexTensor {
        let same_images = left.layout().shape() == right.layout().shape();
        if are_f32([&left, &right]) && same_images && left.layout().num_dims() == 4 {
            elementwise::add(left, right)
        } else {
            portable::add_images::<Self>(left, right)
        }
    }
}

fn convolve(images: &Images, weight: &Weight, options: Conv2dOptions) -> FlexTensor {
    let shape = weight.shape.output_shape(images.shape, options);
    let values = if images.shape.values() == 0 || shape.values() == 0 {
        Buffer::zeros(shape.values())
    } else if narrow::fits(weight.shape, options) {
        narrow::forward(images, weight, options)
    } else if winograd::fits(weight.shape, shape, options) {
        winograd::forward(images, weight, options)
    } else if pointwise::fits(weight.shape, options) {
        pointwise::forward(images, weight)
    } else if patches::fits(weight.shape, options) {
        patches::forward(images, weight, options)
    } else {
        direct::forward(images, weight, options)
    };
    shape.tensor(values)
}

/// Whether groups have fewer channels than the products' columns, and not as many filters: then
/// Burn's own are faster.
fn has_uneven_groups(weight: &FlexTensor, options: Conv2dOptions) -> bool {
    let shape = WeightShape::of(weight);
    let is_narrow = shape.channels.min(shape.filters / options.groups) < narrow::WIDE;
    options.groups > 1 && is_narrow && !narrow::fits(shape, options)
}

fn are_f32<const N: usize>(tensors: [&FlexTensor; N]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// Features `[n, f]` as images `[n, f, 1, 1]`.
fn images_of_a_pixel(features: FlexTensor) -> Images {
    let [n, channels] = features.layout().shape().dims();
    Images::of(contiguous(features).reshape(Shape::from([n, channels, 1, 1])))
}

fn indices_of(tensor: FlexTensor) -> Vec<usize> {
    let data = tensor.into_data();
    data.iter::<i64>().map(|index| index as usize).collect()
}

fn values_of(tensor: FlexTensor) -> Vec<f32> {
    let count = tensor.layout().num_elements();
    contiguous(tensor).storage()[..count].to_vec()
}

fn channels_tensor(values: &[f32]) -> FlexTensor {
    let mut buffer = Buffer::new(values.len());
    buffer.copy_from_slice(values);
    tensor_of(buffer, &[values.len()])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use super::dispatch::forced::{self, Instructions};
    use super::*;

    /// Images, channels, filters, side, kernel, stride, groups: one for each way to compute.
    const SHAPES: [[usize; 7]; 8] = [
        [2, 3, 20, 9, 3, 1, 1],
        [6, 32, 48, 7, 3, 1, 1],
        [11, 192, 192, 5, 3, 1, 1],
        [2, 24, 40, 9, 3, 2, 1],
        [2, 300, 70, 6, 1, 1, 1],
        [2, 24, 36, 7, 5, 1, 3],
        [2, 27, 27, 9, 3, 2, 27],
        [2, 36, 36, 8, 5, 1, 9],
    ];

    /// Largest difference over largest value between instructions, which sum in other orders.
    const TOLERANCE: f32 = 1e-4;

    fn random(shape: [usize; 4]) -> FlexTensor {
        let values = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
        FlexTensor::from_data(values.into_data())
    }

    fn values(tensor: FlexTensor) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
        let largest = expected
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            let error = (found - expected).abs() / largest;
            assert!(error < TOLERANCE, "{what}: {found} is not {expected}");
        }
    }

    #[test]
    fn all_instructions_compute_the_same() {
        for [n, channels, filters, side, kernel, stride, groups] in SHAPES {
            let options = Conv2dOptions {
                stride: [stride, stride],
                padding: [kernel / 2, kernel / 2],
                groups,
                ..Conv2dOptions::default()
            };
            let images = random([n, channels, side, side]);
            let weight = random([filters, channels / groups, kernel, kernel]);
            let out = side.div_ceil(stride);
            let gradient = random([n, filters, out, out]);
            let run = |instructions| {
                forced::set(instructions);
                let (images, weight) = (images.clone(), weight.clone());
                let output = Flex::conv2d_forward(images.clone(), weight.clone(), options);
                let gradient = gradient.clone();
                let (of_images, of_weight) =
                    Flex::conv2d_gradients(images, weight, gradient, options, WantedGradients::ALL);
                forced::set(None);
                [output, of_images.unwrap(), of_weight.unwrap()].map(values)
            };
            let best = run(None);
            for instructions in [Instructions::Portable, Instructions::Wide] {
                for (found, expected) in run(Some(instructions)).iter().zip(&best) {
                    assert_close(&format!("{instructions:?}"), found, expected);
                }
            }
        }
    }
}
