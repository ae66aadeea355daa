//! What is not a number, what does not fit, and nothing at all.

use burn::tensor::{Device, Tensor};
use kernels::{
    Activation, Conv2dOptions, Finish, batch_norm, batch_norm_train, conv2d, global_average,
};

use crate::support::Reference;

const EPSILON: f64 = 1e-5;

#[test]
fn what_is_not_a_number_stays_visible() {
    let device = Device::flex();
    let mut images = Reference::noise([4, 16, 8, 8], 10);
    images.values[17] = f64::NAN;
    let weight = Reference::noise([16, 16, 3, 3], 11).tensor(&device);
    let options = Conv2dOptions {
        padding: [1, 1],
        ..Conv2dOptions::default()
    };
    let y = conv2d(images.tensor(&device), weight, options);
    let values: Vec<f32> = y.clone().into_data().try_to_vec().unwrap();
    // Row 2, column 1 of the first channel: its neighbours in every filter.
    for filter in 0..16 {
        for (row, column) in [(1, 0), (2, 1), (3, 2)] {
            assert!(values[(filter * 8 + row) * 8 + column].is_nan());
        }
    }
    let vector = |value: f32| Tensor::<1>::ones([16], &device) * value;
    let finish = Finish {
        residual: None,
        activation: Activation::Relu,
    };
    let rectified = batch_norm(
        y,
        vector(1.0),
        vector(0.0),
        vector(0.0),
        vector(1.0),
        0.0,
        finish,
    );
    let rectified: Vec<f32> = rectified.into_data().try_to_vec().unwrap();
    assert!(rectified[2 * 8 + 1].is_nan());
}

#[test]
fn what_does_not_fit_panics() {
    use std::panic::catch_unwind;

    let device = Device::flex();
    let images = || Tensor::<4>::ones([2, 4, 2, 2], &device);
    let vector = |values| Tensor::<1>::ones([values], &device);
    let norm = |values: [usize; 2], residual: Option<[usize; 4]>| {
        let finish = Finish {
            residual: residual.map(|shape| Tensor::ones(shape, &device)),
            activation: Activation::Relu,
        };
        let [weight, bias] = values.map(vector);
        batch_norm_train(images(), weight, bias, EPSILON, finish).output
    };
    let convolve = |weight: [usize; 4], options: Conv2dOptions| {
        conv2d(images(), Tensor::ones(weight, &device), options)
    };
    let usual = Conv2dOptions::default();
    let huge = Conv2dOptions {
        padding: [(1 << 31) - 1, (1 << 30) - 1],
        ..usual
    };
    let still = Conv2dOptions {
        stride: [0, 1],
        ..usual
    };
    let cases: [(&str, &dyn Fn() -> Tensor<4>); 8] = [
        ("a short weight", &|| norm([2, 4], None)),
        ("a long bias", &|| norm([4, 9], None)),
        ("another residual", &|| norm([4, 4], Some([2, 4, 1, 4]))),
        ("other channels", &|| convolve([8, 3, 1, 1], usual)),
        ("a kernel larger than the image", &|| {
            convolve([8, 4, 3, 3], usual)
        }),
        ("no kernel", &|| convolve([8, 4, 0, 0], usual)),
        ("more pixels than there can be", &|| {
            convolve([8, 4, 1, 1], huge)
        }),
        ("no stride", &|| convolve([8, 4, 1, 1], still)),
    ];
    for (what, case) in cases {
        let result = catch_unwind(std::panic::AssertUnwindSafe(case));
        assert!(result.is_err(), "{what} was computed");
    }
}

#[test]
fn nothing_gives_nothing() {
    let device = Device::flex().autodiff();
    for (n, channels, filters, kernel) in [(0, 3, 4, 3), (2, 0, 4, 1), (2, 0, 16, 3), (2, 16, 0, 3)]
    {
        let x = Tensor::<4>::ones([n, channels, 5, 5], &device).require_grad();
        let w = Tensor::<4>::ones([filters, channels, kernel, kernel], &device).require_grad();
        let y = conv2d(x.clone(), w.clone(), Conv2dOptions::default());
        let gradients = y.clone().sum().backward();
        let side = 6 - kernel;
        assert_eq!(y.dims(), [n, filters, side, side]);
        assert_eq!(y.sum().into_scalar::<f32>(), 0.0);
        assert_eq!(x.grad(&gradients).unwrap().dims(), x.dims());
        assert_eq!(w.grad(&gradients).unwrap().dims(), w.dims());
    }
    let empty = Tensor::<4>::ones([2, 4, 0, 3], &device);
    let means: Vec<f32> = global_average(empty).into_data().try_to_vec().unwrap();
    assert!(means.iter().all(|mean| mean.is_nan()));
}
