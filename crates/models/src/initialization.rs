//! Initial weights, drawn on the host so that one seed means the same weights on every backend.

use std::fmt;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Normal, Uniform};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::layers::RectifierKind;

/// The distribution of a network's initial weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initialization {
    /// Normal with variance 2 / fan-in, biases zero (He et al. 2015, arXiv:1502.01852, equation 10).
    He,
    /// Normal with variance 2 / fan-out, biases zero (the same, equation 14).
    #[serde(rename = "he-fan-out")]
    HeFanOut,
    /// Uniform with variance 2 / fan-in, biases zero.
    #[serde(rename = "he-uniform")]
    HeUniform,
    /// Uniform with variance 2 / (fan-in + fan-out), biases zero (Glorot and Bengio 2010, equation 16).
    Glorot,
    /// What PyTorch's layers do: weights and biases uniform within 1 / sqrt(fan-in).
    PyTorch,
    /// Normal with this standard deviation, biases zero.
    Gaussian(#[serde(deserialize_with = "positive")] f64),
    /// Normal with this standard deviation, drawn again beyond two of them, biases zero.
    #[serde(rename = "truncated-gaussian")]
    TruncatedGaussian(#[serde(deserialize_with = "positive")] f64),
    /// Weights and biases uniform within 2.4 / fan-in (LeCun et al. 1998, section III).
    LeCun,
    /// Each layer as the network's paper says, where its layers differ.
    Paper,
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let deviation = f64::deserialize(deserializer)?;
    if deviation > 0.0 && deviation.is_finite() {
        return Ok(deviation);
    }
    Err(D::Error::custom(format!(
        "expected a number above 0, found `{deviation}`"
    )))
}

impl fmt::Display for Initialization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::He => write!(f, "he"),
            Self::HeFanOut => write!(f, "he, by fan-out"),
            Self::HeUniform => write!(f, "he, uniform"),
            Self::Glorot => write!(f, "glorot"),
            Self::PyTorch => write!(f, "pytorch"),
            Self::Gaussian(deviation) => write!(f, "gaussian ({deviation})"),
            Self::TruncatedGaussian(deviation) => write!(f, "truncated gaussian ({deviation})"),
            Self::LeCun => write!(f, "lecun"),
            Self::Paper => write!(f, "as in the paper"),
        }
    }
}

/// The number of inputs and of outputs that a weight connects to each unit.
#[derive(Clone, Copy, Debug)]
struct Fan {
    input: f64,
    output: f64,
}

/// How one layer is drawn.
#[derive(Clone, Copy, Debug)]
struct LayerRule {
    weights: Initialization,
    /// The value of the biases; without it as `weights` says.
    bias: Option<f32>,
    /// Of the rectifiers' negative side, for the rules of He et al.
    slope: f64,
    /// Whether the first filters of a convolution are the identity.
    identity: bool,
}

impl LayerRule {
    /// He's variances are 2 / fan behind ReLU, and 2 / ((1 + a²) fan) behind slopes of a (He et al. 2015,
    /// arXiv:1502.01852, equation 15).
    fn weights(self, fan: Fan, count: usize, rng: &mut impl Rng) -> Vec<f32> {
        let widening = 1.0 + self.slope.powi(2);
        let fan = match self.weights {
            Initialization::He | Initialization::HeFanOut | Initialization::HeUniform => Fan {
                input: widening * fan.input,
                output: widening * fan.output,
            },
            _ => fan,
        };
        self.weights.weights(fan, count, rng)
    }

    fn filters(self, shape: [usize; 4], count: usize, rng: &mut impl Rng) -> Vec<f32> {
        let mut values = self.weights(conv_fan(shape), count, rng);
        if self.identity {
            write_identity(&mut values, shape);
        }
        values
    }

    fn biases(self, fan: Fan, count: usize, rng: &mut impl Rng) -> Vec<f32> {
        match self.bias {
            Some(bias) => vec![bias; count],
            None => self.weights.biases(fan, count, rng),
        }
    }
}

impl Initialization {
    fn weights(self, fan: Fan, count: usize, rng: &mut impl Rng) -> Vec<f32> {
        match self {
            Self::He => normal((2.0 / fan.input).sqrt(), count, rng),
            Self::HeFanOut => normal((2.0 / fan.output).sqrt(), count, rng),
            Self::HeUniform => uniform((6.0 / fan.input).sqrt(), count, rng),
            Self::Glorot => uniform((6.0 / (fan.input + fan.output)).sqrt(), count, rng),
            Self::PyTorch | Self::Paper => uniform(1.0 / fan.input.sqrt(), count, rng),
            Self::Gaussian(deviation) => normal(deviation, count, rng),
            Self::TruncatedGaussian(deviation) => truncated_normal(deviation, count, rng),
            Self::LeCun => uniform(2.4 / fan.input, count, rng),
        }
    }

    fn biases(self, fan: Fan, count: usize, rng: &mut impl Rng) -> Vec<f32> {
        match self {
            Self::PyTorch | Self::LeCun | Self::Paper => self.weights(fan, count, rng),
            Self::He
            | Self::HeFanOut
            | Self::HeUniform
            | Self::Glorot
            | Self::Gaussian(_)
            | Self::TruncatedGaussian(_) => vec![0.0; count],
        }
    }
}

fn normal(deviation: f64, count: usize, rng: &mut impl Rng) -> Vec<f32> {
    let normal = Normal::new(0.0, deviation).expect("a checked, finite deviation");
    (0..count).map(|_| normal.sample(rng) as f32).collect()
}

fn truncated_normal(deviation: f64, count: usize, rng: &mut impl Rng) -> Vec<f32> {
    let normal = Normal::new(0.0, deviation).expect("a checked, finite deviation");
    let within = |value: &f64| value.abs() <= 2.0 * deviation;
    let values = normal.sample_iter(rng).filter(within);
    values.take(count).map(|value| value as f32).collect()
}

fn uniform(bound: f64, count: usize, rng: &mut impl Rng) -> Vec<f32> {
    let uniform = Uniform::new(-bound, bound).expect("a positive, finite bound");
    (0..count).map(|_| uniform.sample(rng) as f32).collect()
}

/// Makes the parameters of a network: where they live, and how they are drawn.
///
/// Each parameter has a stream of its own, keyed by the seed and its place in the order of
/// construction, and is drawn when it is first used: a network whose weights are loaded, or only
/// counted, never draws any.
#[derive(Debug)]
pub struct Init {
    device: Device,
    seed: u64,
    follows_paper: bool,
    rule: LayerRule,
    drawn: u64,
}

impl Init {
    /// Parameters on `device`, drawn from `initialization` with `seed`.
    pub fn new(device: &Device, initialization: Initialization, seed: u64) -> Self {
        Self {
            device: device.clone(),
            seed,
            follows_paper: initialization == Initialization::Paper,
            rule: LayerRule {
                weights: initialization,
                bias: None,
                slope: 0.0,
                identity: false,
            },
            drawn: 0,
        }
    }

    /// What the paper says of the layers that are made next: their weights, and the value of their
    /// biases where `weights` does not say it. Another choice than [`Initialization::Paper`]
    /// overrides it.
    pub(crate) fn paper(&mut self, weights: Initialization, bias: Option<f32>) {
        if self.follows_paper {
            self.rule = LayerRule {
                weights,
                bias,
                ..self.rule
            };
        }
    }

    /// The paper has the convolutions that are made next pass on their channels as they are, as far as they have filters for
    /// it: PyTorch's `dirac_` of as many filters as there are channels. Another choice than [`Initialization::Paper`]
    /// overrides it.
    pub(crate) fn paper_identity(&mut self) {
        self.rule.identity = self.follows_paper;
    }

    /// What rectifies the values that the next layers are given.
    pub(crate) fn behind(&mut self, rectifier: RectifierKind) {
        self.rule.slope = rectifier.slope().into();
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A convolution's weight, `[filters, channels / groups, height, width]`.
    pub(crate) fn conv_weight(&mut self, shape: [usize; 4]) -> Param<Tensor<4>> {
        let rule = self.rule;
        self.parameter(shape, move |count, rng| rule.filters(shape, count, rng))
    }

    /// The bias of a convolution with a weight of shape `weight`.
    pub(crate) fn conv_bias(&mut self, weight: [usize; 4]) -> Param<Tensor<1>> {
        let (rule, fan) = (self.rule, conv_fan(weight));
        self.parameter([weight[0]], move |count, rng| rule.biases(fan, count, rng))
    }

    /// A linear layer's weight, `[outputs, inputs]`.
    pub(crate) fn linear_weight(&mut self, shape: [usize; 2]) -> Param<Tensor<2>> {
        let (rule, fan) = (self.rule, linear_fan(shape));
        self.parameter(shape, move |count, rng| rule.weights(fan, count, rng))
    }

    /// The bias of a linear layer with a weight of shape `weight`.
    pub(crate) fn linear_bias(&mut self, weight: [usize; 2]) -> Param<Tensor<1>> {
        let (rule, fan) = (self.rule, linear_fan(weight));
        self.parameter([weight[0]], move |count, rng| rule.biases(fan, count, rng))
    }

    /// The same value everywhere, as normalisation layers start from.
    pub(crate) fn constant<const D: usize>(
        &mut self,
        value: f32,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        self.parameter(shape, move |count, _| vec![value; count])
    }

    fn parameter<const D: usize>(
        &mut self,
        shape: [usize; D],
        draw: impl FnOnce(usize, &mut ChaCha8Rng) -> Vec<f32> + Send + Sync + 'static,
    ) -> Param<Tensor<D>> {
        let mut rng = stream(self.seed, self.drawn);
        self.drawn += 1;
        Param::uninitialized(
            ParamId::new(),
            move |device, require_grad| {
                let values = draw(shape.iter().product(), &mut rng);
                Tensor::from_data(TensorData::new(values, shape), device)
                    .set_require_grad(require_grad)
            },
            self.device.clone(),
            true,
            shape.into(),
        )
    }
}

/// The generator of one parameter: a key of its own in ChaCha's 256-bit key space.
fn stream(seed: u64, parameter: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(b"weights\0");
    key[16..24].copy_from_slice(&parameter.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

fn conv_fan([filters, channels, height, width]: [usize; 4]) -> Fan {
    let taps = (height * width) as f64;
    Fan {
        input: channels as f64 * taps,
        output: filters as f64 * taps,
    }
}

/// Puts filters that pass on a channel each in the place of the first ones.
fn write_identity(values: &mut [f32], [_, channels, height, width]: [usize; 4]) {
    let taps = height * width;
    let middle = height / 2 * width + width / 2;
    for (channel, filter) in values
        .chunks_exact_mut(channels * taps)
        .take(channels)
        .enumerate()
    {
        filter.fill(0.0);
        filter[channel * taps + middle] = 1.0;
    }
}

fn linear_fan([outputs, inputs]: [usize; 2]) -> Fan {
    Fan {
        input: inputs as f64,
        output: outputs as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(initialization: Initialization, seed: u64) -> Vec<f32> {
        let mut init = Init::new(&Device::flex(), initialization, seed);
        let weight = init.conv_weight([64, 32, 3, 3]);
        weight.val().into_data().try_to_vec().unwrap()
    }

    fn deviation(values: &[f32]) -> f64 {
        let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        (squares / values.len() as f64).sqrt()
    }

    #[test]
    fn deviations_are_the_papers() {
        let fan_in = 32.0 * 9.0;
        let fan_out = 64.0 * 9.0;
        let expected: [(Initialization, f64); 8] = [
            (Initialization::He, f64::sqrt(2.0 / fan_in)),
            (Initialization::Glorot, f64::sqrt(2.0 / (fan_in + fan_out))),
            (Initialization::PyTorch, f64::sqrt(1.0 / (3.0 * fan_in))),
            (Initialization::HeFanOut, f64::sqrt(2.0 / fan_out)),
            (Initialization::HeUniform, f64::sqrt(2.0 / fan_in)),
            (Initialization::Gaussian(0.01), 0.01),
            // 1 - 4 phi(2) / (2 Phi(2) - 1) of the variance is left.
            (
                Initialization::TruncatedGaussian(0.01),
                0.01 * f64::sqrt(0.773_741_3),
            ),
            (Initialization::LeCun, 2.4 / fan_in / f64::sqrt(3.0)),
        ];
        for (initialization, expected) in expected {
            let found = deviation(&drawn(initialization, 1));
            assert!(
                (found / expected - 1.0).abs() < 0.02,
                "{initialization}: expected a deviation of {expected}, found {found}"
            );
        }
    }

    /// He et al. 2015, arXiv:1502.01852, equation 15.
    #[test]
    fn hes_deviation_is_smaller_behind_slopes() {
        let mut init = Init::new(&Device::flex(), Initialization::He, 1);
        init.behind(RectifierKind::PRelu);
        let weight = init.conv_weight([64, 32, 3, 3]).val();
        let found = deviation(&weight.into_data().try_to_vec().unwrap());
        let expected = f64::sqrt(2.0 / (1.0 + 0.25 * 0.25) / (32.0 * 9.0));
        assert!((found / expected - 1.0).abs() < 0.01, "{found} {expected}");
    }

    #[test]
    fn the_papers_rule_for_a_layer_gives_way_to_a_choice() {
        let biases = |initialization| -> Vec<f32> {
            let mut init = Init::new(&Device::flex(), initialization, 0);
            init.paper(Initialization::Gaussian(0.01), Some(1.0));
            init.linear_bias([4, 3])
                .val()
                .into_data()
                .try_to_vec()
                .unwrap()
        };
        assert_eq!(biases(Initialization::Paper), [1.0; 4]);
        assert_eq!(biases(Initialization::He), [0.0; 4]);
    }

    #[test]
    fn a_parameter_depends_on_its_place_and_the_seed_alone() {
        let mut init = Init::new(&Device::flex(), Initialization::He, 7);
        let first = init.linear_weight([3, 4]);
        let second = init.linear_weight([3, 4]);
        // The second is used first: the order of use must not matter.
        let second: Vec<f32> = second.val().into_data().try_to_vec().unwrap();
        let first: Vec<f32> = first.val().into_data().try_to_vec().unwrap();
        assert_ne!(first, second);

        let mut again = Init::new(&Device::flex(), Initialization::He, 7);
        let repeated: Vec<f32> = again
            .linear_weight([3, 4])
            .val()
            .into_data()
            .try_to_vec()
            .unwrap();
        assert_eq!(first, repeated);
        assert_ne!(drawn(Initialization::He, 1), drawn(Initialization::He, 2));
    }
}
