//! Batch normalisation.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use burn::tensor::{DType, Device, Tensor, TensorData};
use kernels::{
    Activation, Communicator, Finish, SharedBatch, batch_norm, batch_norm_train, communicator,
};

use crate::support::{Body, Reference, assert_close, everywhere};

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
    let values = 3.0 * 5.0 * 2.0;
    let expected = statistics(&images);
    let means: Vec<f64> = expected.iter().map(|(mean, _)| *mean).collect();
    let unbiased: Vec<f64> = expected
        .iter()
        .map(|(_, v)| v * values / (values - 1.0))
        .collect();
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
    for body in everywhere() {
        let vector = |values: [f64; 4]| {
            let of_channels = Reference {
                shape: [1, 4, 1, 1],
                values: values.to_vec(),
            };
            let vector: Tensor<1> = body.tracked(&of_channels).flatten(0, 3);
            vector.require_grad()
        };
        let x = body.tracked(&images).require_grad();
        let (w, b) = (vector(weight), vector(bias));
        let finish = Finish::default();
        let result = batch_norm_train(x.clone(), w.clone(), b.clone(), EPSILON, finish);
        let weighted = result.output.clone() * body.tracked(&output_gradient);
        let gradients = weighted.sum().backward();
        let gradient = |vector: &Tensor<1>| vector.grad(&gradients).unwrap().into_data();

        let expected = normalized(&images, &weight, &bias);
        body.assert_close("output", result.output.into_data(), &expected);
        body.assert_close("mean", result.mean.into_data(), &means);
        body.assert_close("unbiased variance", result.variance.into_data(), &unbiased);
        let by_x = x.grad(&gradients).unwrap().into_data();
        body.assert_close("gradient by the images", by_x, &by_images);
        body.assert_close("gradient by the weight", gradient(&w), &by_weight);
        body.assert_close("gradient by the bias", gradient(&b), &by_bias);
    }
}

#[test]
fn batch_norm_in_evaluation_uses_the_given_statistics() {
    let images = Reference::noise([2, 2, 3, 3], 6);
    let expected: Vec<f64> = (0..images.values.len())
        .map(|index| {
            let (weight, bias, mean, variance) = match index / 9 % 2 {
                0 => (2.0, 0.5, 0.25, 4.0),
                _ => (3.0, -0.5, -0.25, 0.25),
            };
            (images.values[index] - mean) / (variance + EPSILON).sqrt() * weight + bias
        })
        .collect();
    for body in everywhere() {
        let vector =
            |values: [f32; 2]| Tensor::<1>::from_data(values, &body.device).cast(body.precision);
        let found = batch_norm(
            body.tensor(&images),
            vector([2.0, 3.0]),
            vector([0.5, -0.5]),
            vector([0.25, -0.25]),
            vector([4.0, 0.25]),
            EPSILON,
            Finish::default(),
        );
        body.assert_close("output", found.into_data(), &expected);
    }
}

#[test]
fn the_variance_of_a_single_value_is_zero_and_not_nan() {
    let device = Device::flex().autodiff();
    let images = Tensor::<4>::ones([1, 2, 1, 1], &device);
    let one = Tensor::<1>::ones([2], &device);
    let result = batch_norm_train(images, one.clone(), one, EPSILON, Finish::default());
    assert_close("variance", result.variance.into_data(), &[0.0, 0.0]);
}

/// What follows a normalisation in the same pass, and a fork, is what Burn's own operations make of
/// it, and so are the gradients.
#[test]
fn what_follows_a_normalisation_is_what_burn_computes() {
    use burn::tensor::activation::{gelu, relu, silu};

    check_finish(Activation::Relu, true, relu);
    check_finish(Activation::Relu, false, relu);
    check_finish(Activation::Silu, true, silu);
    check_finish(Activation::Silu, false, silu);
    check_finish(Activation::Gelu, true, gelu);
    check_finish(Activation::Gelu, false, gelu);
    check_finish(Activation::Identity, true, |x| x);
}

/// `activation(norm(x) + x)`, or without the sum.
fn check_finish(activation: Activation, adds: bool, activate: fn(Tensor<4>) -> Tensor<4>) {
    for body in everywhere() {
        check_finish_of(&body, activation, adds, activate);
    }
}

fn check_finish_of(
    body: &Body,
    activation: Activation,
    adds: bool,
    activate: fn(Tensor<4>) -> Tensor<4>,
) {
    let images = Reference::noise([3, 20, 5, 7], 8);
    let output_gradient = body.tracked(&Reference::noise(images.shape, 9));
    let ones = || {
        let ones = Tensor::<1>::ones([20], (&body.autodiff(), body.precision));
        ones.require_grad()
    };
    let run = |fused: bool| {
        let (x, w, b) = (body.tracked(&images).require_grad(), ones(), ones());
        // One operation more, so that the fork is not at a leaf.
        let fork = batch_norm_train(x.clone(), ones(), ones(), EPSILON, Finish::default()).output;
        let finish = |is_fused: bool| match is_fused {
            true => Finish {
                residual: adds.then(|| fork.clone()),
                activation,
            },
            false => Finish::default(),
        };
        let norm = batch_norm_train(fork.clone(), w.clone(), b.clone(), EPSILON, finish(fused));
        let y = match fused {
            true => norm.output,
            false if adds => activate(norm.output + fork.clone()),
            false => activate(norm.output),
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
        body.assert_close("fused", fused, &apart);
    }
}

/// What a normalisation, with what follows it, makes of images, and of a gradient by its output.
struct Normalized {
    /// Image by image: the output, and the gradient by the images.
    of_images: [Vec<f64>; 2],
    /// The mean, the unbiased variance.
    statistics: [Vec<f64>; 2],
    /// The gradients by the weight and the bias.
    gradients: [Vec<f64>; 2],
}

impl Normalized {
    fn of(
        images: &Reference,
        gradient: &Reference,
        precision: DType,
        (activation, adds): (Activation, bool),
    ) -> Self {
        let device = Device::flex().autodiff();
        let channel =
            |values: [f64; 4]| Tensor::<1>::from_data(values, (&device, precision)).require_grad();
        let x = images.tensor_as(precision, &device).require_grad();
        let (w, b) = (
            channel([0.5, -1.0, 2.0, 1.5]),
            channel([0.1, 0.2, -0.3, 0.0]),
        );
        let finish = Finish {
            residual: adds.then(|| x.clone()),
            activation,
        };
        let normalized = batch_norm_train(x.clone(), w.clone(), b.clone(), EPSILON, finish);
        let gradient = gradient.tensor_as(precision, &device);
        let gradients = (normalized.output.clone() * gradient).sum().backward();
        let of_images = [normalized.output.inner(), x.grad(&gradients).unwrap()];
        Self {
            of_images: of_images.map(|values| values.into_data().iter().collect()),
            statistics: [normalized.mean, normalized.variance]
                .map(|values| values.into_data().iter().collect()),
            gradients: [w, b].map(|values| {
                values
                    .grad(&gradients)
                    .unwrap()
                    .into_data()
                    .iter()
                    .collect()
            }),
        }
    }
}

/// Some of the images of a tensor.
fn part(whole: &Reference, images: Range<usize>) -> Reference {
    let [_, channels, height, width] = whole.shape;
    let image = channels * height * width;
    Reference {
        shape: [images.len(), channels, height, width],
        values: whole.values[images.start * image..images.end * image].to_vec(),
    }
}

/// Three processes that have 1, 3 and 2 of six images normalise as one that has all of them.
#[test]
fn a_shared_batch_is_normalised_as_a_whole_one() {
    let images = Reference::noise([6, 4, 5, 3], 10);
    let gradient = Reference::noise(images.shape, 11);
    let follows = [
        (Activation::Identity, false),
        (Activation::Relu, false),
        (Activation::Relu, true),
        (Activation::Silu, false),
        (Activation::Gelu, false),
    ];
    // In double precision, the CPU computes with the portable bodies.
    let precisions = [DType::F32, DType::F64].into_iter();
    for (precision, follows) in precisions.flat_map(|p| follows.map(|follows| (p, follows))) {
        let whole = Normalized::of(&images, &gradient, precision, follows);
        let shares = thread::scope(|scope| {
            let process = |(communicator, own): (Arc<dyn Communicator>, Range<usize>)| {
                let (images, gradient) = (part(&images, own.clone()), part(&gradient, own));
                scope.spawn(move || {
                    let batch = SharedBatch::new(communicator, vec![1, 3, 2]);
                    batch.synchronized(|| Normalized::of(&images, &gradient, precision, follows))
                })
            };
            let processes = communicator::threads(3).into_iter().zip([0..1, 1..4, 4..6]);
            let threads: Vec<_> = processes.map(process).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        assert_shared(&shares, &whole);
    }
}

/// Fails unless processes together did what one did.
#[track_caller]
fn assert_shared(shares: &[Normalized], whole: &Normalized) {
    let compare = |what: &str, found: Vec<f64>, expected: &[f64]| {
        let shape = [found.len()];
        assert_close(what, TensorData::new(found, shape), expected);
    };
    for (which, expected) in whole.of_images.iter().enumerate() {
        let found = shares
            .iter()
            .flat_map(|share| share.of_images[which].clone());
        compare("of the images", found.collect(), expected);
    }
    for (which, expected) in whole.statistics.iter().enumerate() {
        for share in shares {
            compare("statistics", share.statistics[which].clone(), expected);
        }
    }
    for (which, expected) in whole.gradients.iter().enumerate() {
        let sum = |channel: usize| shares.iter().map(|s| s.gradients[which][channel]).sum();
        compare("gradient", (0..4).map(sum).collect(), expected);
    }
}

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
