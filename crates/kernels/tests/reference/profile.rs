//! What a profile tells of a step.

use burn::tensor::{Device, Tensor};
use kernels::profile::{record, within};
use kernels::{Conv2dOptions, Pool2dOptions, conv2d, max_pool2d};

fn pooled_convolution() -> Tensor<4> {
    let device = Device::flex().autodiff();
    let images = Tensor::<4>::ones([2, 3, 8, 8], &device);
    let weight = Tensor::<4>::ones([4, 3, 3, 3], &device).require_grad();
    let output = within(7, || conv2d(images, weight, Conv2dOptions::default()));
    let options = Pool2dOptions {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        ceil: false,
    };
    max_pool2d(output, options)
}

#[test]
fn operations_are_told_in_their_order_with_their_layer_and_gradients() {
    let ((), timings) = record(|| drop(pooled_convolution().sum().backward()));
    let [convolution, pooling] = timings.as_slice() else {
        panic!("two operations, found {timings:?}");
    };
    assert_eq!(convolution.operation, "conv2d");
    assert_eq!(convolution.layer, Some(7));
    assert_eq!(convolution.output, [2, 4, 6, 6]);
    // Forward, and by the weight: the images have no gradient.
    assert_eq!(convolution.multiply_adds, 2 * (2 * 4 * 6 * 6) * 27);
    assert_eq!(pooling.operation, "max_pool2d");
    assert_eq!(pooling.layer, None);
    for timing in &timings {
        assert!(timing.forward > 0.0 && timing.backward > 0.0, "{timing:?}");
    }
}

#[test]
fn without_a_record_nothing_is_kept() {
    pooled_convolution();
    let ((), timings) = record(|| ());
    assert_eq!(timings, []);
}
