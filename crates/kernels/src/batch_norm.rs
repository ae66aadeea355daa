//! Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1).

use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::{DType, Tensor};

use crate::ops::{CnnOps, Optional};
use crate::{Activation, SharedBatch, activate, profile};

/// What batch normalisation gives in training.
#[derive(Clone, Debug)]
pub struct BatchNormTrain {
    /// The normalised images, `[n, channels, height, width]`.
    pub output: Tensor<4>,
    /// The batch's mean a channel, `[channels]`; carries no gradient.
    pub mean: Tensor<1>,
    /// The batch's *unbiased* variance a channel, `[channels]`, which is what PyTorch's running
    /// variance averages; carries no gradient. With a single value a channel, where it is not
    /// defined, the biased one (zero).
    pub variance: Tensor<1>,
}

/// What follows a normalisation, in the same pass over memory.
#[derive(Clone, Debug, Default)]
pub struct Finish {
    /// Is added to the normalised images, and has their shape.
    pub residual: Option<Tensor<4>>,
    /// What the sum goes through.
    pub activation: Activation,
}

impl Finish {
    /// What the normalisation itself does, and what is left after it: nothing in the zoo adds before
    /// [`Activation::Silu`] or [`Activation::Gelu`], which therefore is not done in one pass.
    fn split(self) -> (Self, Activation) {
        match self.activation {
            smooth @ (Activation::Silu | Activation::Gelu) if self.residual.is_some() => {
                let activation = Activation::Identity;
                (Self { activation, ..self }, smooth)
            }
            _ => (self, Activation::Identity),
        }
    }
}

/// Normalises each channel by the statistics of the batch itself; within [`SharedBatch::synchronized`], of all processes' shares
/// of it.
///
/// The output is `weight · (x - mean) / sqrt(variance + epsilon) + bias` with the batch's *biased*
/// variance (section 3.1), with what `finish` asks for.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - `weight`, `bias`: `[channels]`
///
/// # Panics
///
/// Where the shapes do not fit each other, or there is no pixel to normalise by.
pub fn batch_norm_train(
    images: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    finish: Finish,
) -> BatchNormTrain {
    check(&images, &[&weight, &bias], &finish);
    let [n, _, height, width] = images.dims();
    assert!(
        n * height * width > 0,
        "of no pixels, there are no statistics"
    );
    let precision = images.dtype();
    let (images, finish) = as_parameters(images, finish, weight.dtype());
    let (finish, rest) = finish.split();
    let shared = SharedBatch::current();
    let all = shared.as_ref().map_or(n, SharedBatch::whole);
    let forward = || {
        Dispatch::batch_norm_forward(
            images.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            residual_of(finish.residual),
            epsilon,
            finish.activation,
            shared,
        )
    };
    let (output, mean, biased) = profile::operation("batch_norm", forward, |(output, ..)| {
        (output.shape().to_vec(), 0)
    });
    BatchNormTrain {
        output: activate(Tensor::from_dispatch(output), rest).cast(precision),
        mean: Tensor::from_dispatch(mean).detach(),
        variance: unbiased(Tensor::from_dispatch(biased).detach(), all * height * width),
    }
}

fn unbiased(biased: Tensor<1>, values: usize) -> Tensor<1> {
    if values < 2 {
        return biased;
    }
    biased.mul_scalar(values as f64 / (values - 1) as f64)
}

/// Normalises each channel by given statistics, as in evaluation, with what `finish` asks for.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - `weight`, `bias`, `mean`, `variance`: `[channels]`
///
/// # Panics
///
/// Where the shapes do not fit each other.
pub fn batch_norm(
    images: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
    finish: Finish,
) -> Tensor<4> {
    check(&images, &[&weight, &bias, &mean, &variance], &finish);
    let precision = images.dtype();
    let (images, finish) = as_parameters(images, finish, weight.dtype());
    let scale = weight / (variance + epsilon).sqrt();
    let shift = bias - mean * scale.clone();
    profile::pass("batch_norm", || {
        let output: Tensor<4> = Tensor::from_dispatch(Dispatch::affine_forward(
            images.into_dispatch(),
            scale.into_dispatch(),
            shift.into_dispatch(),
            residual_of(finish.residual),
            finish.activation,
        ));
        output.cast(precision)
    })
}

/// What is normalised, and added to it, in the precision of the parameters, which have more digits.
fn as_parameters(images: Tensor<4>, finish: Finish, precision: DType) -> (Tensor<4>, Finish) {
    let finish = Finish {
        residual: finish.residual.map(|residual| residual.cast(precision)),
        ..finish
    };
    (images.cast(precision), finish)
}

fn check(images: &Tensor<4>, of_channels: &[&Tensor<1>], finish: &Finish) {
    let [_, channels, _, _] = images.dims();
    assert!(channels > 0, "images without channels");
    for values in of_channels {
        assert_eq!(values.dims(), [channels], "a value for each channel");
    }
    if let Some(residual) = &finish.residual {
        assert_eq!(
            residual.dims(),
            images.dims(),
            "a residual of the images' shape"
        );
    }
}

pub(crate) fn residual_of(residual: Option<Tensor<4>>) -> Optional<Dispatch> {
    residual.map_or(Optional::None, |values| {
        Optional::Some(values.into_dispatch())
    })
}
