//! Every operation from Burn's own primitives, for the backends and types that have no better.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{IntDType, Shape};

use crate::ops::{BatchNormGradients, MaxPooled, Normalization, Residual, WantedGradients};
use crate::{Conv2dOptions, IdentityShortcut, Pool2dOptions};

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

pub(crate) fn batch_norm_forward<B: Backend>(
    images: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    residual: Residual<B>,
    epsilon: f64,
    rectifies: bool,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let normalized = B::batch_norm_train(images, weight, bias, epsilon);
    let output = finish::<B>(normalized.output, residual, rectifies);
    (output, normalized.mean, normalized.variance)
}

pub(crate) fn affine_forward<B: Backend>(
    images: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    residual: Residual<B>,
    rectifies: bool,
) -> FloatTensor<B> {
    let scaled = B::float_mul(images, per_channel::<B>(scale));
    let shifted = B::float_add(scaled, per_channel::<B>(shift));
    finish::<B>(shifted, residual, rectifies)
}

fn per_channel<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let channels = values.shape().num_elements();
    B::float_reshape(values, Shape::from([1, channels, 1, 1]))
}

fn finish<B: Backend>(
    images: FloatTensor<B>,
    residual: Residual<B>,
    rectifies: bool,
) -> FloatTensor<B> {
    let sum = match residual.into_option() {
        Some(residual) => B::float_add(images, residual),
        None => images,
    };
    if rectifies { B::relu(sum) } else { sum }
}

pub(crate) fn batch_norm_gradients<B: Backend>(
    normalization: Normalization<B>,
    output_gradient: FloatTensor<B>,
) -> BatchNormGradients<B> {
    let gradient = match normalization.rectified {
        Some(output) => B::relu_backward(output, output_gradient),
        None => output_gradient,
    };
    let residual = normalization.has_residual.then(|| gradient.clone());
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
    finish::<B>(sum, Residual::None, rectifies)
}

pub(crate) fn add_bias_gradients<B: Backend>(
    output_gradient: FloatTensor<B>,
    rectified: Option<FloatTensor<B>>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let gradient = match rectified {
        Some(output) => B::relu_backward(output, output_gradient),
        None => output_gradient,
    };
    let channels = gradient.shape()[1];
    let by_pixel = B::float_sum_dim(B::float_sum_dim(gradient.clone(), 3), 2);
    let sums = B::float_sum_dim(by_pixel, 0);
    (gradient, B::float_reshape(sums, Shape::from([channels])))
}
