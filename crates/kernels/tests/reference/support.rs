//! Naive values in f64, and how operations are compared with them.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::gpu;

/// Largest error over largest value, as f32 arithmetic in any order can do.
pub const TOLERANCE: f64 = 1e-5;
/// The same of convolutions in tiles, whose transforms cost some digits.
pub const TILED_TOLERANCE: f64 = 1e-4;

/// An image tensor in f64, `[n, channels, height, width]`.
#[derive(Clone, Debug)]
pub struct Reference {
    pub shape: [usize; 4],
    pub values: Vec<f64>,
}

impl Reference {
    /// Values that look random and are exact in f32.
    pub fn noise(shape: [usize; 4], seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let values = (0..shape.iter().product())
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                f64::from((state >> 40) as u32) / f64::from(1u32 << 23) - 1.0
            })
            .collect();
        Self { shape, values }
    }

    pub fn index(&self, [n, c, y, x]: [usize; 4]) -> usize {
        let [_, channels, height, width] = self.shape;
        ((n * channels + c) * height + y) * width + x
    }

    pub fn tensor(&self, device: &Device) -> Tensor<4> {
        self.tensor_as(DType::F32, device)
    }

    /// In double precision, the CPU computes with the portable bodies.
    pub fn tensor_as(&self, precision: DType, device: &Device) -> Tensor<4> {
        let data = TensorData::new(self.values.clone(), self.shape);
        Tensor::from_data(data, (device, precision))
    }
}

pub fn assert_close(what: &str, found: TensorData, expected: &[f64]) {
    assert_within(TOLERANCE, what, found, expected);
}

pub fn assert_within(tolerance: f64, what: &str, found: TensorData, expected: &[f64]) {
    let found: Vec<f64> = found.iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let largest = expected.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / largest;
        assert!(
            error < tolerance,
            "{what}: value {index} is {found}, expected {expected}"
        );
    }
}

/// What computes an operation.
#[derive(Clone, Debug)]
pub struct Body {
    /// Without autodiff.
    pub device: Device,
    pub precision: DType,
    /// Times the error that the CPU's own body may make.
    slack: f64,
}

impl Body {
    pub fn autodiff(&self) -> Device {
        self.device.clone().autodiff()
    }

    /// The reference's values in this body's precision.
    pub fn tensor(&self, of: &Reference) -> Tensor<4> {
        of.tensor_as(self.precision, &self.device)
    }

    /// The same on the device that keeps what gradients need.
    pub fn tracked(&self, of: &Reference) -> Tensor<4> {
        of.tensor_as(self.precision, &self.autodiff())
    }

    pub fn assert_close(&self, what: &str, found: TensorData, expected: &[f64]) {
        self.assert_within(TOLERANCE, what, found, expected);
    }

    pub fn assert_within(&self, tolerance: f64, what: &str, found: TensorData, expected: &[f64]) {
        let what = format!("{what}, {:?} on {:?}", self.precision, self.device);
        assert_within(tolerance * self.slack, &what, found, expected);
    }
}

/// The CPU's own bodies, and the portable ones, which it takes in double precision.
pub fn on_the_cpu() -> Vec<Body> {
    let body = |precision| Body {
        device: Device::flex(),
        precision,
        slack: 1.0,
    };
    [DType::F32, DType::F64].map(body).into()
}

/// These, and the portable ones on a GPU, where the tests are built for one and there is one. Its functions round to fewer
/// digits than a CPU's.
pub fn everywhere() -> Vec<Body> {
    let on_gpu = |device| Body {
        device,
        precision: DType::F32,
        slack: 10.0,
    };
    on_the_cpu()
        .into_iter()
        .chain(gpu::device().map(on_gpu))
        .collect()
}

/// Compares an operation with a reference in f64, and its gradients by all inputs with differences of
/// that reference.
pub fn check(
    inputs: &[Reference],
    operation: impl Fn(&[Tensor<4>]) -> Tensor<4>,
    reference: impl Fn(&[Reference]) -> Reference,
) {
    let expected = reference(inputs);
    let output_gradient = Reference::noise(expected.shape, 99);
    let slopes = slopes(inputs, |inputs| {
        let products = reference(inputs)
            .values
            .into_iter()
            .zip(&output_gradient.values);
        products.map(|(value, gradient)| value * gradient).sum()
    });
    for body in everywhere() {
        let tensors: Vec<Tensor<4>> = (inputs.iter())
            .map(|input| body.tracked(input).require_grad())
            .collect();
        let output = operation(&tensors);
        assert_eq!(output.dims(), expected.shape);
        let weighted = output.clone() * body.tracked(&output_gradient);
        let gradients = weighted.sum().backward();
        body.assert_close("output", output.into_data(), &expected.values);
        for (number, (tensor, slopes)) in tensors.iter().zip(&slopes).enumerate() {
            let what = format!("gradient by input {number}");
            let found = tensor.grad(&gradients).unwrap().into_data();
            body.assert_close(&what, found, slopes);
        }
    }
}

/// By which values are moved for a difference.
const STEP: f64 = 1e-5;

/// How fast `objective` grows with each value of each input.
fn slopes(inputs: &[Reference], objective: impl Fn(&[Reference]) -> f64) -> Vec<Vec<f64>> {
    let mut moved = inputs.to_vec();
    let mut slope = |number: usize, index: usize| {
        let value = inputs[number].values[index];
        let [less, more] = [-STEP, STEP].map(|distance| {
            moved[number].values[index] = value + distance;
            objective(&moved)
        });
        moved[number].values[index] = value;
        (more - less) / (2.0 * STEP)
    };
    (0..inputs.len())
        .map(|number| {
            let indices = 0..inputs[number].values.len();
            indices.map(|index| slope(number, index)).collect()
        })
        .collect()
}
