//! Every operation from Burn's own primitives, for the backends and types that have no better.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, IntDType, Shape, Slice, TensorData, read_sync};

use crate::ops::{
    Activated, BatchNormGradients, Deformed, DeformedGradients, MaxPooled, Normalization, Optional,
    WantedGradients,
};
use crate::{
    Activation, Conv2dOptions, DeformConv2dOptions, IdentityShortcut, LocalResponseNorm,
    Pool2dOptions, SgdOptions, SharedBatch,
};

pub(crate) fn conv2d_forward<B: Backend>(
    images: FloatTensor<B>,
    weight: FloatTensor<B>,
    options: Conv2dOptions,
) -> FloatTensor<B> {
    B::conv2d(images, weight, None, options.into())
}

pub(crate) fn conv2d_gradients<B: Backend>(
    images: FloatTensor<B>,
    weight: FloatTensor<B>,
    output_gradient: FloatTensor<B>,
    options: Conv2dOptions,
    wanted: WantedGradients,
) -> (Option<FloatTensor<B>>, Option<FloatTensor<B>>) {
    let of_images = wanted.images.then(|| {
        B::conv2d_x_backward(
            images.clone(),
            weight.clone(),
            output_gradient.clone(),
            options.into(),
        )
    });
    let of_weight = wanted
        .weight
        .then(|| B::conv2d_weight_backward(images, weight, output_gradient, options.into()));
    (of_images, of_weight)
}

pub(crate) fn deform_conv2d_forward<B: Backend>(
    images: FloatTensor<B>,
    weight: FloatTensor<B>,
    offsets: FloatTensor<B>,
    mask: Optional<B>,
    options: DeformConv2dOptions,
) -> FloatTensor<B> {
    B::deform_conv2d(
        images,
        offsets,
        weight,
        mask.into_option(),
        None,
        options.into(),
    )
}

pub(crate) fn deform_conv2d_gradients<B: Backend>(
    deformed: Deformed<B>,
    output_gradient: FloatTensor<B>,
) -> DeformedGradients<B> {
    let gradients = B::deform_conv2d_backward(
        deformed.images,
        deformed.offsets,
        deformed.weight,
        deformed.mask,
        None,
        output_gradient,
        deformed.options.into(),
    );
    DeformedGradients {
        images: gradients.x_grad,
        weight: gradients.weight_grad,
        offsets: gradients.offset_grad,
        mask: gradients.mask_grad,
    }
}

pub(crate) fn batch_norm_forward<B: Backend>(
    images: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    residual: Optional<B>,
    epsilon: f64,
    activation: Activation,
    shared: Option<SharedBatch>,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let Some(batch) = shared else {
        let normalized = B::batch_norm_train(images, weight, bias, epsilon);
        let output = finish::<B>(normalized.output, residual, activation);
        return (output, normalized.mean, normalized.variance);
    };
    let own = B::batch_norm_train(images.clone(), weight.clone(), bias.clone(), epsilon);
    let whole = batch.statistics(&[own.mean, own.variance].map(numbers::<B>));
    let [mean, variance] = whole.map(|values| tensor_like::<B>(values, &weight));
    let scale = B::float_mul(weight, inverse_deviation::<B>(variance.clone(), epsilon));
    let shift = B::float_sub(bias, B::float_mul(mean.clone(), scale.clone()));
    let output = affine_forward::<B>(images, scale, shift, residual, activation);
    (output, mean, variance)
}

/// `1 / sqrt(variance + epsilon)`.
fn inverse_deviation<B: Backend>(variance: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())))
}

/// The values of a tensor, on the host.
fn numbers<B: Backend>(tensor: FloatTensor<B>) -> Vec<f64> {
    let values = read_sync(B::float_into_data(tensor)).expect("a device that computes can be read");
    values.iter().collect()
}

/// Values for channels, as another tensor has its own.
fn tensor_like<B: Backend>(values: Vec<f64>, other: &FloatTensor<B>) -> FloatTensor<B> {
    let count = values.len();
    let values = TensorData::new(values, [count]).convert_dtype(other.dtype());
    B::float_from_data(values, &other.device())
}

pub(crate) fn affine_forward<B: Backend>(
    images: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    residual: Optional<B>,
    activation: Activation,
) -> FloatTensor<B> {
    finish::<B>(affine::<B>(images, scale, shift), residual, activation)
}

fn affine<B: Backend>(
    images: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
) -> FloatTensor<B> {
    let scaled = B::float_mul(images, per_channel::<B>(scale));
    B::float_add(scaled, per_channel::<B>(shift))
}

fn per_channel<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let channels = values.shape().num_elements();
    B::float_reshape(values, Shape::from([1, channels, 1, 1]))
}

fn finish<B: Backend>(
    images: FloatTensor<B>,
    residual: Optional<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let sum = match residual.into_option() {
        Some(residual) => B::float_add(images, residual),
        None => images,
    };
    activation_forward::<B>(sum, activation)
}

pub(crate) fn activation_forward<B: Backend>(
    images: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    match activation {
        Activation::Identity => images,
        Activation::Relu => B::relu(images),
        Activation::Silu => B::float_mul(images.clone(), B::sigmoid(images)),
        Activation::Gelu => B::float_mul(images.clone(), normal_distribution::<B>(images)),
    }
}

pub(crate) fn activation_gradient<B: Backend>(
    kept: FloatTensor<B>,
    output_gradient: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    match activation {
        Activation::Identity => output_gradient,
        Activation::Relu => B::relu_backward(kept, output_gradient),
        Activation::Silu => {
            // s (1 + x (1 - s)), s being the sigmoid.
            let sigmoid = B::sigmoid(kept.clone());
            let rest = B::float_add_scalar(B::float_neg(sigmoid.clone()), 1.0.into());
            let slope = B::float_add_scalar(B::float_mul(kept, rest), 1.0.into());
            B::float_mul(output_gradient, B::float_mul(sigmoid, slope))
        }
        Activation::Gelu => {
            // Φ(x) + x φ(x), φ being the slope of Φ.
            let along = B::float_mul(kept.clone(), normal_density::<B>(kept.clone()));
            let slope = B::float_add(normal_distribution::<B>(kept), along);
            B::float_mul(output_gradient, slope)
        }
    }
}

/// `(1 + erf(x / sqrt(2))) / 2`.
fn normal_distribution<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let erf = B::float_erf(B::float_mul_scalar(x, FRAC_1_SQRT_2.into()));
    B::float_mul_scalar(B::float_add_scalar(erf, 1.0.into()), 0.5.into())
}

/// `exp(-x² / 2) / sqrt(2 pi)`.
fn normal_density<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let power = B::float_mul_scalar(B::float_mul(x.clone(), x), (-0.5).into());
    B::float_mul_scalar(B::float_exp(power), (1.0 / (2.0 * PI).sqrt()).into())
}

pub(crate) fn concat_forward<B: Backend>(
    left: FloatTensor<B>,
    right: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_cat(vec![left, right], 1)
}

pub(crate) fn concat_gradients<B: Backend>(
    output_gradient: FloatTensor<B>,
    left_channels: usize,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let channels = output_gradient.shape()[1];
    let of = |range| {
        B::float_slice(
            output_gradient.clone(),
            &[
                Slice::full(),
                Slice::from(range),
                Slice::full(),
                Slice::full(),
            ],
        )
    };
    (of(0..left_channels), of(left_channels..channels))
}

pub(crate) fn gate_channels_forward<B: Backend>(
    images: FloatTensor<B>,
    gates: FloatTensor<B>,
    residual: Optional<B>,
    rectifies: bool,
) -> FloatTensor<B> {
    let activation = match rectifies {
        true => Activation::Relu,
        false => Activation::Identity,
    };
    finish::<B>(
        B::float_mul(images, per_image::<B>(gates)),
        residual,
        activation,
    )
}

pub(crate) fn gate_channels_gradients<B: Backend>(
    images: FloatTensor<B>,
    gates: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let shape = gates.shape();
    let products = B::float_mul(gradient.clone(), images);
    let of_gates = B::float_sum_dim(B::float_sum_dim(products, 3), 2);
    let of_images = B::float_mul(gradient, per_image::<B>(gates));
    (of_images, B::float_reshape(of_gates, shape))
}

fn per_image<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let [n, channels] = values.shape().dims();
    B::float_reshape(values, Shape::from([n, channels, 1, 1]))
}

pub(crate) fn local_response_norm_forward<B: Backend>(
    images: FloatTensor<B>,
    options: LocalResponseNorm,
) -> FloatTensor<B> {
    let divisor = local_divisor::<B>(images.clone(), options);
    let factor = B::float_powf_scalar(divisor, (-options.beta).into());
    B::float_mul(images, factor)
}

pub(crate) fn local_response_norm_gradient<B: Backend>(
    images: FloatTensor<B>,
    output_gradient: FloatTensor<B>,
    options: LocalResponseNorm,
) -> FloatTensor<B> {
    // With d the divisor: g d^-beta - 2 alpha beta x Σ g x d^(-beta-1), the sum going over the
    // channels whose own sums this one is in.
    let divisor = local_divisor::<B>(images.clone(), options);
    let factor = B::float_powf_scalar(divisor.clone(), (-options.beta).into());
    let direct = B::float_mul(output_gradient, factor);
    let each = B::float_div(B::float_mul(direct.clone(), images.clone()), divisor);
    let after = options.size / 2;
    let sums = channel_windows::<B>(each, options.size - 1 - after, after);
    let slope = 2.0 * options.alpha * options.beta;
    let by_neighbours = B::float_mul_scalar(B::float_mul(images, sums), slope.into());
    B::float_sub(direct, by_neighbours)
}

/// `k + alpha · Σ x²`.
fn local_divisor<B: Backend>(images: FloatTensor<B>, options: LocalResponseNorm) -> FloatTensor<B> {
    let squares = B::float_mul(images.clone(), images);
    let before = options.size / 2;
    let sums = channel_windows::<B>(squares, before, options.size - 1 - before);
    let scaled = B::float_mul_scalar(sums, options.alpha.into());
    B::float_add_scalar(scaled, options.k.into())
}

/// For each channel, the sum of it and so many channels before and after.
fn channel_windows<B: Backend>(
    images: FloatTensor<B>,
    before: usize,
    after: usize,
) -> FloatTensor<B> {
    let [n, channels, height, width] = images.shape().dims();
    let zeros = |channels| {
        let shape = Shape::from([n, channels, height, width]);
        B::float_zeros(shape, &images.device(), images.dtype().into())
    };
    let padded = B::float_cat(vec![zeros(before), images.clone(), zeros(after)], 1);
    (0..=before + after)
        .map(|start| {
            let range = Slice::from(start..start + channels);
            let slices = [Slice::full(), range, Slice::full(), Slice::full()];
            B::float_slice(padded.clone(), &slices)
        })
        .reduce(B::float_add)
        .expect("a window has a channel")
}

pub(crate) fn batch_norm_gradients<B: Backend>(
    normalization: Normalization<B>,
    output_gradient: FloatTensor<B>,
) -> BatchNormGradients<B> {
    let gradient = match normalization.activated.clone() {
        Activated::Identity => output_gradient,
        Activated::Relu(output) => B::relu_backward(output, output_gradient),
        Activated::Silu => activation_gradient::<B>(
            normalized(&normalization),
            output_gradient,
            Activation::Silu,
        ),
        Activated::Gelu => activation_gradient::<B>(
            normalized(&normalization),
            output_gradient,
            Activation::Gelu,
        ),
    };
    let residual = normalization.has_residual.then(|| gradient.clone());
    if let Some(batch) = normalization.shared.clone() {
        return BatchNormGradients {
            residual,
            ..shared_gradients(normalization, gradient, &batch)
        };
    }
    let gradients = B::batch_norm_train_backward(
        normalization.images,
        normalization.weight,
        normalization.mean,
        normalization.variance,
        normalization.epsilon,
        gradient,
    );
    BatchNormGradients {
        images: gradients.x_grad,
        weight: gradients.gamma_grad,
        bias: gradients.beta_grad,
        residual,
    }
}

/// What a normalisation makes of its images, before what they are activated by.
fn normalized<B: Backend>(normalization: &Normalization<B>) -> FloatTensor<B> {
    let inverse = inverse_deviation::<B>(normalization.variance.clone(), normalization.epsilon);
    let scale = B::float_mul(normalization.weight.clone(), inverse);
    let centre = B::float_mul(normalization.mean.clone(), scale.clone());
    let shift = B::float_sub(normalization.bias.clone(), centre);
    affine::<B>(normalization.images.clone(), scale, shift)
}

/// The gradients of a normalisation by the statistics of more images than these, from that by its output.
fn shared_gradients<B: Backend>(
    normalization: Normalization<B>,
    gradient: FloatTensor<B>,
    batch: &SharedBatch,
) -> BatchNormGradients<B> {
    let Normalization {
        images,
        weight,
        mean,
        variance,
        epsilon,
        ..
    } = normalization;
    let [_, _, height, width] = images.shape().dims();
    let distances = B::float_sub(images, per_channel::<B>(mean));
    let sums = channel_sums::<B>(gradient.clone());
    let products = channel_sums::<B>(B::float_mul(gradient.clone(), distances.clone()));
    let whole = batch.sums(&[sums.clone(), products.clone()].map(numbers::<B>));
    let count = (batch.whole() * height * width) as f64;
    let [sum_mean, product_mean] = whole.map(|values| {
        let means = values.into_iter().map(|sum| sum / count).collect();
        tensor_like::<B>(means, &weight)
    });
    let inverse = inverse_deviation::<B>(variance, epsilon);
    let slope = B::float_mul(product_mean, B::float_mul(inverse.clone(), inverse.clone()));
    let along = affine::<B>(distances, slope, sum_mean);
    let scale = per_channel::<B>(B::float_mul(weight, inverse.clone()));
    BatchNormGradients {
        images: B::float_mul(B::float_sub(gradient, along), scale),
        weight: B::float_mul(products, inverse),
        bias: sums,
        residual: None,
    }
}

fn channel_sums<B: Backend>(images: FloatTensor<B>) -> FloatTensor<B> {
    let channels = images.shape()[1];
    let by_pixel = B::float_sum_dim(B::float_sum_dim(images, 3), 2);
    let sums = B::float_sum_dim(by_pixel, 0);
    B::float_reshape(sums, Shape::from([channels]))
}

pub(crate) fn add_images<B: Backend>(
    left: FloatTensor<B>,
    right: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_add(left, right)
}

pub(crate) fn identity_shortcut_forward<B: Backend>(
    images: FloatTensor<B>,
    shortcut: IdentityShortcut,
) -> FloatTensor<B> {
    let [n, channels, height, width] = images.shape().dims();
    let images = B::float_slice(images, &shortcut.slices(0..channels));
    let zeros = |channels| {
        let [height, width] = [height, width].map(|side: usize| side.div_ceil(shortcut.stride));
        let shape = Shape::from([n, channels, height, width]);
        B::float_zeros(shape, &images.device(), images.dtype().into())
    };
    match (shortcut.before, shortcut.after) {
        (0, 0) => images,
        (before, after) => B::float_cat(vec![zeros(before), images.clone(), zeros(after)], 1),
    }
}

pub(crate) fn identity_shortcut_gradient<B: Backend>(
    output_gradient: FloatTensor<B>,
    images: Shape,
    shortcut: IdentityShortcut,
) -> FloatTensor<B> {
    let [_, channels, _, _] = images.dims();
    let kept = IdentityShortcut {
        stride: 1,
        ..shortcut
    };
    let range = shortcut.before..shortcut.before + channels;
    let gradient = B::float_slice(output_gradient, &kept.slices(range));
    let zeros = B::float_zeros(images, &gradient.device(), gradient.dtype().into());
    B::float_slice_assign(zeros, &shortcut.slices(0..channels), gradient)
}

pub(crate) fn global_average_forward<B: Backend>(images: FloatTensor<B>) -> FloatTensor<B> {
    let [n, channels, height, width] = images.shape().dims();
    let rows = B::float_reshape(images, Shape::from([n, channels, height * width]));
    B::float_reshape(B::float_mean_dim(rows, 2), Shape::from([n, channels]))
}

pub(crate) fn global_average_gradient<B: Backend>(
    output_gradient: FloatTensor<B>,
    images: Shape,
) -> FloatTensor<B> {
    let [n, channels, height, width] = images.dims();
    let means = B::float_reshape(output_gradient, Shape::from([n, channels, 1, 1]));
    let share = 1.0 / (height * width) as f64;
    B::float_expand(B::float_mul_scalar(means, share.into()), images)
}

pub(crate) fn max_pool2d_forward<B: Backend>(
    images: FloatTensor<B>,
    options: Pool2dOptions,
) -> FloatTensor<B> {
    let Pool2dOptions {
        kernel,
        stride,
        padding,
        ceil,
    } = options;
    B::max_pool2d(images, kernel, stride, padding, [1, 1], ceil)
}

pub(crate) fn max_pool2d_tracked<B: Backend>(
    images: FloatTensor<B>,
    options: Pool2dOptions,
) -> (FloatTensor<B>, Option<IntTensor<B>>) {
    let pooled = B::max_pool2d_with_indices(
        images,
        options.kernel,
        options.stride,
        options.padding,
        [1, 1],
        options.ceil,
        IntDType::I32,
    );
    (pooled.output, Some(pooled.indices))
}

pub(crate) fn max_pool2d_gradient<B: Backend>(
    pooled: MaxPooled<B>,
    output_gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let options = pooled.options;
    let indices = match pooled.indices {
        Some(indices) => indices,
        None => {
            let (_, indices) = max_pool2d_tracked::<B>(pooled.images.clone(), options);
            indices.expect("the portable body always tells")
        }
    };
    B::max_pool2d_with_indices_backward(
        pooled.images,
        options.kernel,
        options.stride,
        options.padding,
        [1, 1],
        options.ceil,
        output_gradient,
        indices,
    )
    .x_grad
}

pub(crate) fn avg_pool2d_forward<B: Backend>(
    images: FloatTensor<B>,
    options: Pool2dOptions,
    counts_padding: bool,
) -> FloatTensor<B> {
    let Pool2dOptions {
        kernel,
        stride,
        padding,
        ceil,
    } = options;
    B::avg_pool2d(images, kernel, stride, padding, counts_padding, ceil)
}

pub(crate) fn avg_pool2d_gradient<B: Backend>(
    images: FloatTensor<B>,
    output_gradient: FloatTensor<B>,
    options: Pool2dOptions,
    counts_padding: bool,
) -> FloatTensor<B> {
    B::avg_pool2d_backward(
        images,
        output_gradient,
        options.kernel,
        options.stride,
        options.padding,
        counts_padding,
        options.ceil,
    )
}

pub(crate) fn add_bias_forward<B: Backend>(
    images: FloatTensor<B>,
    bias: FloatTensor<B>,
    rectifies: bool,
) -> FloatTensor<B> {
    let sum = B::float_add(images, per_channel::<B>(bias));
    if rectifies { B::relu(sum) } else { sum }
}

pub(crate) fn add_bias_gradients<B: Backend>(
    output_gradient: FloatTensor<B>,
    rectified: Option<FloatTensor<B>>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let gradient = match rectified {
        Some(output) => B::relu_backward(output, output_gradient),
        None => output_gradient,
    };
    let sums = channel_sums::<B>(gradient.clone());
    (gradient, sums)
}

pub(crate) fn sgd_update<B: Backend>(
    weight: FloatTensor<B>,
    gradient: FloatTensor<B>,
    velocity: Optional<B>,
    options: SgdOptions,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let scaled = |values, factor: f64| B::float_mul_scalar(values, factor.into());
    let decay = scaled(weight.clone(), options.weight_decay);
    let gradient = B::float_add(gradient, decay);
    let velocity = match velocity.into_option() {
        Some(velocity) => B::float_add(
            scaled(velocity, options.momentum),
            scaled(gradient.clone(), 1.0 - options.dampening),
        ),
        None => gradient.clone(),
    };
    let direction = match options.nesterov {
        true => B::float_add(gradient, scaled(velocity.clone(), options.momentum)),
        false => velocity.clone(),
    };
    let weight = B::float_sub(weight, scaled(direction, options.rate));
    (weight, velocity)
}

pub(crate) fn cross_entropy_forward<B: Backend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    smoothing: f64,
) -> FloatTensor<B> {
    let logs = log_softmax::<B>(logits);
    let mean = |values| B::float_neg(B::float_mean(values));
    let of_labels = mean(B::float_gather(1, logs.clone(), column::<B>(labels)));
    if smoothing == 0.0 {
        return of_labels;
    }
    B::float_add(
        B::float_mul_scalar(of_labels, (1.0 - smoothing).into()),
        B::float_mul_scalar(mean(logs), smoothing.into()),
    )
}

pub(crate) fn cross_entropy_gradient<B: Backend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    output_gradient: FloatTensor<B>,
    smoothing: f64,
) -> FloatTensor<B> {
    let [n, classes] = logits.shape().dims();
    let probabilities = B::float_exp(log_softmax::<B>(logits));
    let spread = B::float_add_scalar(probabilities, (-smoothing / classes as f64).into());
    let column_shape = Shape::from([n, 1]);
    let (device, dtype) = (spread.device(), spread.dtype());
    let target = B::float_full(
        column_shape.clone(),
        (smoothing - 1.0).into(),
        &device,
        dtype.into(),
    );
    let distance = B::float_scatter(
        1,
        spread,
        column::<B>(labels),
        target,
        IndexingUpdateOp::Add,
    );
    let scale = B::float_reshape(output_gradient, Shape::from([1, 1]));
    B::float_mul_scalar(B::float_mul(distance, scale), (1.0 / n as f64).into())
}

fn log_softmax<B: Backend>(logits: FloatTensor<B>) -> FloatTensor<B> {
    let largest = B::float_max_dim(logits.clone(), 1);
    let shifted = B::float_sub(logits, largest);
    let sums = B::float_sum_dim(B::float_exp(shifted.clone()), 1);
    B::float_sub(shifted, B::float_log(sums))
}

fn column<B: Backend>(labels: IntTensor<B>) -> IntTensor<B> {
    let n = labels.shape().num_elements();
    B::int_reshape(labels, Shape::from([n, 1]))
}

pub(crate) fn linear_forward<B: Backend>(
    features: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let outputs = bias.shape().num_elements();
    let products = B::float_matmul(features, B::float_swap_dims(weight, 0, 1));
    B::float_add(products, B::float_reshape(bias, Shape::from([1, outputs])))
}

/// In the weight's own order of axes: where it is transposed after the product, copying a large one
/// takes longer than the product.
pub(crate) fn linear_weight_gradient<B: Backend>(
    features: FloatTensor<B>,
    output_gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_matmul(B::float_swap_dims(output_gradient, 0, 1), features)
}

/// Zero `[1]`, where `like` is.
pub(crate) fn zero<B: Backend>(like: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros(Shape::new([1]), &like.device(), like.dtype().into())
}
