//! Layers whose options no network's goldens cover.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use models::layers::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm, Conv2dConfig, Dropout, NormOptions, Rectifier,
    RectifierKind,
};
use models::{Init, Initialization, noise};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// 0, 1, 2, ... row by row.
fn counted(height: usize, width: usize) -> Tensor<4> {
    let values: Vec<f32> = (0..height * width).map(|index| index as f32).collect();
    let shape = [1, 1, height, width];
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

#[test]
fn same_padding_keeps_the_size() {
    let device = Device::flex();
    let images = Tensor::ones([1, 2, 6, 9], &device);
    let configs = [
        Conv2dConfig::new(2, 4, [1, 7]),
        Conv2dConfig::new(2, 4, [7, 1]).groups(2),
        Conv2dConfig::square(2, 4, 3).dilation(2),
        Conv2dConfig::new(2, 4, [3, 5]).with_bias(),
    ];
    for config in configs {
        let mut init = Init::new(&device, Initialization::He, 0);
        let layer = config.same_padding().init(&mut init);
        let output = layer.forward(images.clone());
        assert_eq!(output.dims(), [1, 4, 6, 9], "{config:?}");
    }
}

#[test]
fn the_zeros_of_padding_count_where_they_shall() {
    let ones = Tensor::ones([1, 1, 2, 2], &Device::flex());
    let pool = |counts| AvgPool2d::new(3, 1).padding(1, counts);
    assert_eq!(values(pool(true).forward(ones.clone())), [4.0 / 9.0; 4]);
    assert_eq!(values(pool(false).forward(ones)), [1.0; 4]);
}

/// Rows and columns 0 to 2 and 2 to 4 of five: PyTorch's windows overlap.
#[test]
fn adaptive_windows_are_pytorchs() {
    let pooled = AdaptiveAvgPool2d::new(2).forward(counted(5, 5));
    assert_eq!(values(pooled), [6.0, 8.0, 16.0, 18.0]);
    let same = AdaptiveAvgPool2d::new(3).forward(counted(3, 3));
    assert_eq!(values(same), values(counted(3, 3)));
    let larger = AdaptiveAvgPool2d::new(2).forward(counted(1, 1) + 3.0);
    assert_eq!(values(larger), [3.0; 4]);
}

#[test]
fn dropout_scales_what_it_keeps_and_passes_its_gradient_on() {
    let device = Device::flex();
    let dropout = Dropout::new(0.75);
    let plain = Tensor::<2>::ones([4, 64], &device);
    assert_eq!(values(dropout.forward(plain.clone())), values(plain));

    noise::start(1, 0, 0);
    let x = Tensor::<2>::ones([4, 64], &device.autodiff()).require_grad();
    let y = dropout.forward(x.clone());
    let gradient = x.grad(&y.clone().sum().backward()).unwrap();
    let y = values(y);
    assert!(y.contains(&0.0) && y.contains(&4.0));
    assert!(y.iter().all(|value| [0.0, 4.0].contains(value)));
    assert_eq!(values(gradient), y);
}

/// Equation 1 of He et al. 2015, arXiv:1502.01852, and its gradients, equation 9.
#[test]
fn a_rectifier_learns_its_slope() {
    let device = Device::flex().autodiff();
    let mut init = Init::new(&device, Initialization::He, 0);
    let layer = Rectifier::new(RectifierKind::PRelu, 2, &mut init);
    let data = TensorData::new(vec![-2.0_f32, 3.0, -4.0, -1.0], [1, 2, 1, 2]);
    let x = Tensor::<4>::from_data(data, &device).require_grad();
    let y = layer.forward(x.clone());
    let gradients = y.clone().sum().backward();
    assert_eq!(values(y.inner()), [-0.5, 3.0, -1.0, -0.25]);
    assert_eq!(values(x.grad(&gradients).unwrap()), [0.25, 1.0, 0.25, 0.25]);
    let slopes = layer.weight.unwrap().val();
    assert_eq!(values(slopes.grad(&gradients).unwrap()), [-2.0, -5.0]);
}

/// Of two values, 1 and 3: their mean is 2, their variance 1, unbiased 2.
#[test]
fn normalisation_takes_its_momentum_and_epsilon() {
    let device = Device::flex().autodiff();
    let options = NormOptions {
        learns_scale: true,
        momentum: 0.25,
        epsilon: 3.0,
    };
    let mut init = Init::new(&device, Initialization::He, 0);
    let layer = BatchNorm::with(1, options, &mut init);
    let data = TensorData::new(vec![1.0_f32, 3.0], [1, 1, 1, 2]);
    let output = layer.forward(Tensor::from_data(data.clone(), &device));
    assert_eq!(values(output.inner()), [-0.5, 0.5]);
    let trained = layer.valid();
    assert_eq!(values(trained.running_mean.value()), [0.5]);
    assert_eq!(values(trained.running_var.value()), [0.75 + 0.5]);
    // (x - 0.5) / sqrt(1.25 + 3)
    let evaluated = trained.forward(Tensor::from_data(data, &Device::flex()));
    let [first, second] = values(evaluated)[..] else {
        panic!("two values")
    };
    let scale = 4.25_f32.sqrt();
    assert!((first - 0.5 / scale).abs() < 1e-6 && (second - 2.5 / scale).abs() < 1e-6);
}
