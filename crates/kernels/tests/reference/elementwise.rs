//! What goes over each value once.

use burn::tensor::{Device, Tensor};
use kernels::{
    Activation, Finish, IdentityShortcut, LocalResponseNorm, activate, add_bias, concat,
    gate_channels, identity_shortcut, local_response_norm,
};

use crate::support::{Reference, assert_within, check, everywhere};

const ACTIVATIONS: [Activation; 4] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Silu,
    Activation::Gelu,
];

fn activated(value: f64, activation: Activation) -> f64 {
    match activation {
        Activation::Identity => value,
        Activation::Relu => value.max(0.0),
        Activation::Silu => value / (1.0 + (-value).exp()),
        Activation::Gelu => value * normal_distribution(value),
    }
}

/// The series of the error function by its argument, which converges everywhere, and fast near zero.
fn normal_distribution(x: f64) -> f64 {
    let z = x / 2.0f64.sqrt();
    let mut term = z;
    let mut sum = z;
    for n in 1..100 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    0.5 + sum / std::f64::consts::PI.sqrt()
}

/// PyTorch 2.15.0: `torch.nn.functional.gelu` of these places, in f64.
#[test]
fn gelu_is_that_of_pytorch() {
    const PLACES: [f32; 9] = [-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0];
    let expected = [
        -0.000_126_685,
        -0.045_500_264,
        -0.158_655_256,
        -0.154_268_771,
        0.0,
        0.345_731_229,
        0.841_344_774,
        1.954_499_722,
        3.999_873_400,
    ];
    let x = Tensor::<1>::from_floats(PLACES, &Device::flex()).reshape([1, 1, 3, 3]);
    let found = activate(x, Activation::Gelu).into_data();
    assert_within(1e-7, "gelu", found, &expected);
}

/// What `function` makes of an index and the value there.
fn mapped(of: &Reference, function: impl Fn([usize; 4], f64) -> f64) -> Reference {
    let [n, channels, height, width] = of.shape;
    let mut output = of.clone();
    for (image, channel) in (0..n).flat_map(|n| (0..channels).map(move |c| (n, c))) {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let place = [image, channel, y, x];
            let index = of.index(place);
            output.values[index] = function(place, of.values[index]);
        }
    }
    output
}

#[test]
fn each_value_is_activated() {
    for activation in ACTIVATIONS {
        check(
            &[Reference::noise([2, 19, 3, 2], 30)],
            |x| activate(x[0].clone(), activation),
            |x| mapped(&x[0], |_, value| activated(value, activation)),
        );
    }
}

#[test]
fn a_bias_is_added_to_each_channel() {
    for activation in ACTIVATIONS {
        check(
            &[
                Reference::noise([3, 20, 2, 3], 19),
                Reference::noise([1, 20, 1, 1], 21),
            ],
            |x| add_bias(x[0].clone(), x[1].clone().reshape([20]), activation),
            |x| {
                mapped(&x[0], |[_, channel, ..], value| {
                    activated(value + x[1].values[channel], activation)
                })
            },
        );
    }
}

#[test]
fn channels_follow_each_other() {
    let parts =
        [3, 17, 1, 8, 2].map(|channels| Reference::noise([2, channels, 2, 3], channels as u64));
    check(
        &parts,
        |parts| concat(parts.to_vec()),
        |parts| {
            let of_image = |image: usize| {
                parts.iter().flat_map(move |part| {
                    let values = part.values.len() / 2;
                    part.values[image * values..][..values].to_vec()
                })
            };
            Reference {
                shape: [2, 31, 2, 3],
                values: of_image(0).chain(of_image(1)).collect(),
            }
        },
    );
}

#[test]
fn channels_are_weighted_image_by_image() {
    for activation in ACTIVATIONS {
        for adds in [false, true] {
            let finish = |residual: &Tensor<4>| Finish {
                residual: adds.then(|| residual.clone()),
                activation,
            };
            let mut inputs = vec![
                Reference::noise([2, 9, 3, 2], 31),
                Reference::noise([2, 9, 1, 1], 32),
            ];
            if adds {
                inputs.push(Reference::noise([2, 9, 3, 2], 33));
            }
            check(
                &inputs,
                |x| {
                    let gates = x[1].clone().reshape([2, 9]);
                    gate_channels(x[0].clone(), gates, finish(x.last().unwrap()))
                },
                |x| {
                    mapped(&x[0], |place @ [image, channel, ..], value| {
                        let gate = x[1].values[image * 9 + channel];
                        let added = x.get(2).map_or(0.0, |x| x.values[x.index(place)]);
                        activated(value * gate + added, activation)
                    })
                },
            );
        }
    }
}

/// Odd windows and even, the papers' power and another.
#[test]
fn responses_are_normalised_by_their_neighbours() {
    for (size, beta) in [(5, 0.75), (4, 0.75), (3, 0.6), (1, 0.75), (30, 0.75)] {
        let options = LocalResponseNorm {
            size,
            alpha: 0.3,
            beta,
            k: 2.0,
        };
        check(
            &[Reference::noise([2, 11, 2, 2], 34)],
            |x| local_response_norm(x[0].clone(), options),
            |x| {
                mapped(&x[0], |[image, channel, row, column], value| {
                    let first = channel.saturating_sub(size / 2);
                    let past = (channel + size - size / 2).min(11);
                    let neighbours =
                        (first..past).map(|c| x[0].values[x[0].index([image, c, row, column])]);
                    let sum: f64 = neighbours.map(|value| value * value).sum();
                    value / (options.k + options.alpha * sum).powf(beta)
                })
            },
        );
    }
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
    for body in everywhere() {
        let x = body.tracked(&images).require_grad();
        let y = identity_shortcut(x.clone(), shortcut);
        let weighted = y.clone() * body.tracked(&output_gradient);
        let gradients = weighted.sum().backward();
        body.assert_close("output", y.into_data(), &output);
        let found = x.grad(&gradients).unwrap().into_data();
        body.assert_close("gradient", found, &gradient);
    }
}
