//! Blocks that are computed again.

use burn::tensor::{Device, Int, Tensor};
use kernels::{Activation, Conv2dOptions, activate, conv2d, gradient_checkpoint, take_gradients};

fn values(shape: [usize; 4], seed: f64) -> Tensor<4> {
    let device = Device::flex().autodiff();
    let count = shape.iter().product::<usize>() as i64;
    let steps = Tensor::<1, Int>::arange(0..count, &device).float();
    (steps * seed).sin().reshape(shape)
}

fn layer(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    let options = Conv2dOptions {
        padding: [1, 1],
        ..Conv2dOptions::default()
    };
    activate(conv2d(x, weight, options), Activation::Relu)
}

/// Two layers, of which only the input is kept where `is_checkpointed`.
fn block(x: Tensor<4>, weights: [Tensor<4>; 2], is_checkpointed: bool) -> Tensor<4> {
    let forward = |x, [first, second]: [Tensor<4>; 2]| layer(layer(x, first), second);
    if !is_checkpointed {
        return forward(x, weights);
    }
    let output = forward(x.clone().detach(), weights.clone().map(Tensor::detach));
    gradient_checkpoint(x, output, move |x| forward(x, weights))
}

/// The gradients by the images, where they are wanted, and by four weights of two blocks of which
/// the first one's output is used twice.
fn gradients(is_checkpointed: bool, wants_images: bool) -> Vec<Vec<f32>> {
    let images = values([2, 3, 6, 5], 0.7).set_require_grad(wants_images);
    let weights = [
        values([4, 3, 3, 3], 1.1),
        values([4, 4, 3, 3], 1.3),
        values([4, 4, 3, 3], 1.7),
        values([4, 4, 3, 3], 1.9),
    ]
    .map(Tensor::require_grad);
    let [first, second, third, fourth] = weights.clone();
    let between = block(images.clone(), [first, second], is_checkpointed);
    let last = block(between.clone(), [third, fourth], is_checkpointed);
    let loss = (last + between).powi_scalar(2).mean();
    let mut found = vec![loss.backward()];
    found.extend(take_gradients());
    let wanted = wants_images.then_some(images).into_iter().chain(weights);
    wanted
        .map(|tensor| {
            let gradient = found.iter_mut().find_map(|found| tensor.grad_remove(found));
            gradient.unwrap().into_data().try_to_vec().unwrap()
        })
        .collect()
}

#[test]
fn gradients_are_the_same_to_the_bit() {
    for wants_images in [true, false] {
        assert_eq!(
            gradients(true, wants_images),
            gradients(false, wants_images),
            "by the images, too: {wants_images}"
        );
    }
}
