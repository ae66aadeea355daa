//! The loss, and the update of weights.

use burn::tensor::{Device, Int, Tensor};
use kernels::{SgdOptions, cross_entropy, linear, sgd_update};

use crate::support::{Reference, check, everywhere};

#[test]
fn scores_are_compared_with_labels() {
    let labels = [2, 0, 2, 6, 5];
    for smoothing in [0.0, 0.1, 1.0] {
        check(
            &[Reference::noise([5, 7, 1, 1], 50)],
            |x| {
                let labels = Tensor::<1, Int>::from_data(labels, &x[0].device());
                cross_entropy(x[0].clone().reshape([5, 7]), labels, smoothing).reshape([1, 1, 1, 1])
            },
            |x| {
                let of_row = |(row, label): (&[f64], i64)| {
                    let log_sum = row.iter().map(|value| value.exp()).sum::<f64>().ln();
                    let mean = row.iter().sum::<f64>() / 7.0;
                    log_sum - (1.0 - smoothing) * row[label as usize] - smoothing * mean
                };
                let rows = x[0].values.chunks(7).zip(labels);
                Reference {
                    shape: [1, 1, 1, 1],
                    values: vec![rows.map(of_row).sum::<f64>() / 5.0],
                }
            },
        );
    }
}

/// More inputs and outputs than a thread takes at a time, and fewer.
#[test]
fn features_are_weighted_and_summed() {
    for [n, inputs, outputs] in [[3, 7, 5], [2, 70, 9], [1, 3, 70]] {
        check(
            &[
                Reference::noise([n, inputs, 1, 1], 54),
                Reference::noise([outputs, inputs, 1, 1], 55),
                Reference::noise([outputs, 1, 1, 1], 56),
            ],
            |x| {
                let features = x[0].clone().reshape([n, inputs]);
                let weight = x[1].clone().reshape([outputs, inputs]);
                let sums = linear(features, weight, x[2].clone().reshape([outputs]));
                sums.reshape([n, outputs, 1, 1])
            },
            |x| {
                let sum = |place: usize| {
                    let features = x[0].values[place / outputs * inputs..].iter();
                    let weight = x[1].values[place % outputs * inputs..].iter().take(inputs);
                    let products = features
                        .zip(weight)
                        .map(|(feature, weight)| feature * weight);
                    products.sum::<f64>() + x[2].values[place % outputs]
                };
                Reference {
                    shape: [n, outputs, 1, 1],
                    values: (0..n * outputs).map(sum).collect(),
                }
            },
        );
    }
}

#[test]
fn a_loss_of_what_is_no_number_is_none() {
    let device = Device::flex();
    let logits = Tensor::<2>::from_data([[0.0, f32::NAN], [1.0, 2.0]], &device);
    let labels = Tensor::<1, Int>::from_data([0, 1], &device);
    assert!(
        cross_entropy(logits, labels, 0.0)
            .into_scalar::<f32>()
            .is_nan()
    );
}

#[test]
fn weights_move_against_their_gradient() {
    let of = |seed| Reference::noise([1, 1, 1, 40_000], seed);
    let (weight, gradient, velocity) = (of(51), of(52), of(53));
    for (momentum, nesterov, moves) in [
        (0.9, false, true),
        (0.9, true, true),
        (0.9, true, false),
        (0.0, false, false),
    ] {
        let options = SgdOptions {
            rate: 0.1,
            momentum,
            dampening: 0.25,
            nesterov,
            weight_decay: 0.01,
        };
        let mut expected = (Vec::new(), Vec::new());
        for index in 0..weight.values.len() {
            let gradient = gradient.values[index] + 0.01 * weight.values[index];
            let moved = match moves {
                true => momentum * velocity.values[index] + 0.75 * gradient,
                false => gradient,
            };
            let direction = if nesterov {
                gradient + momentum * moved
            } else {
                moved
            };
            expected.0.push(weight.values[index] - 0.1 * direction);
            expected.1.push(moved);
        }
        for body in everywhere() {
            let flat = |of: &Reference| body.tensor(of).flatten::<1>(0, 3);
            let before = moves.then(|| flat(&velocity));
            let update = sgd_update(flat(&weight), flat(&gradient), before, options);
            body.assert_close("weight", update.weight.into_data(), &expected.0);
            assert_eq!(update.velocity.is_some(), momentum != 0.0);
            if let Some(velocity) = update.velocity {
                body.assert_close("velocity", velocity.into_data(), &expected.1);
            }
        }
    }
}
