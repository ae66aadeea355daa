use burn::module::{Module, Param, ParamId};
use burn::tensor::Device;

use super::*;
use crate::recipe::{Adamw, Betas, Lamb, ParameterGroup, Rmsprop, RmspropVariant, Sgd};

#[derive(Module, Debug)]
struct Weights {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

const SGD: Sgd = Sgd {
    momentum: 0.9,
    weight_decay: 0.1,
    dampening: 0.0,
    nesterov: false,
    decay_exclude: Vec::new(),
    norm: None,
};

const RMSPROP: Rmsprop = Rmsprop {
    variant: RmspropVariant::PyTorch,
    decay: 0.9,
    epsilon: 1e-3,
    momentum: 0.9,
    weight_decay: 0.1,
    decay_exclude: Vec::new(),
};

const ADAMW: Adamw = Adamw {
    betas: Betas(0.9, 0.99),
    epsilon: 1e-3,
    weight_decay: 0.1,
    decay_exclude: Vec::new(),
};

const LAMB: Lamb = Lamb {
    betas: Betas(0.9, 0.99),
    epsilon: 1e-3,
    weight_decay: 0.1,
    decay_exclude: Vec::new(),
};

fn parameter(values: &[f32]) -> Param<Tensor<1>> {
    let device = Device::flex().autodiff();
    let values = Tensor::from_data(values, &device).require_grad();
    Param::initialized(ParamId::new(), values)
}

fn model() -> Weights {
    Weights {
        weight: parameter(&[1.0, -0.5]),
        bias: parameter(&[-2.0]),
    }
}

/// Of step number `step`, from 0.
fn gradients(step: u64) -> Gradients {
    let gradient = |values: &[f32]| Some(Tensor::from_data(values, &Device::flex()));
    let times = (step + 1) as f32;
    vec![gradient(&[0.5 * times, -0.25 * times]), gradient(&[1.0])]
}

fn values(model: &Weights) -> Vec<f32> {
    parameters::values(model)
        .into_iter()
        .flat_map(|value| value.into_data().try_to_vec::<f32>().unwrap())
        .collect()
}

/// Weights and bias after three steps at rate 0.1 are those of a golden.
#[track_caller]
fn assert_steps(settings: recipe::Optimizer, expected: [f32; 3]) {
    let mut optimizer = Optimizer::new(settings.clone());
    let mut moved = model();
    for step in 0..3 {
        moved = optimizer.step(moved, gradients(step), 0.1);
        // As from a checkpoint.
        let kept = optimizer.kept().to_vec();
        optimizer = Optimizer::new(settings.clone()).with_kept(kept, step + 1);
    }
    for (found, expected) in values(&moved).into_iter().zip(expected) {
        assert!((found - expected).abs() < 2e-6, "{found} is not {expected}");
    }
}

/// From `torch.optim.SGD` of PyTorch 2.15 on the same parameters with the same gradients.
#[test]
fn sgd_is_pytorchs() {
    let sgd = recipe::Optimizer::Sgd;
    assert_steps(sgd(SGD), GOLDEN_SGD);
    let nesterov = Sgd {
        nesterov: true,
        ..SGD
    };
    assert_steps(sgd(nesterov), GOLDEN_NESTEROV);
    let dampened = Sgd {
        dampening: 0.5,
        ..SGD
    };
    assert_steps(sgd(dampened), GOLDEN_DAMPENED);
    let bias_free = Sgd {
        decay_exclude: vec![ParameterKind::Bias],
        ..SGD
    };
    assert_steps(sgd(bias_free), GOLDEN_BIAS_FREE);
}

/// A normalisation, by its name.
#[derive(Module, Debug)]
struct BatchNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

/// A group of parameters is, to PyTorch, what another optimizer has.
#[test]
fn normalisations_have_a_rate_and_a_decay_of_their_own() {
    let grouped = Sgd {
        nesterov: true,
        norm: Some(ParameterGroup {
            rate_factor: 0.5,
            weight_decay: 0.3,
        }),
        ..SGD
    };
    let alone = Sgd {
        nesterov: true,
        weight_decay: 0.3,
        ..SGD
    };
    let norm = || BatchNorm {
        weight: parameter(&[1.0, -0.5]),
        bias: parameter(&[-2.0]),
    };
    let of = |model: &BatchNorm| -> Vec<f32> {
        let values = parameters::values(model).into_iter();
        values
            .flat_map(|value| value.into_data().try_to_vec::<f32>().unwrap())
            .collect()
    };
    let [mut in_group, mut apart] =
        [grouped.clone(), alone].map(|sgd| Optimizer::new(recipe::Optimizer::Sgd(sgd)));
    let (mut moved, mut expected) = (norm(), norm());
    for step in 0..3 {
        moved = in_group.step(moved, gradients(step), 0.1);
        expected = apart.step(expected, gradients(step), 0.05);
    }
    assert_eq!(of(&moved), of(&expected));
    // Others are what they are without it.
    assert_steps(recipe::Optimizer::Sgd(grouped), GOLDEN_NESTEROV);
}

/// From `torch.optim.RMSprop` of PyTorch 2.15, and `timm.optim.RMSpropTF` of timm 1.0.31.
#[test]
fn rmsprop_is_pytorchs_and_tensorflows() {
    let rmsprop = recipe::Optimizer::Rmsprop;
    assert_steps(rmsprop(RMSPROP), GOLDEN_RMSPROP);
    let still = Rmsprop {
        momentum: 0.0,
        ..RMSPROP
    };
    assert_steps(rmsprop(still), GOLDEN_RMSPROP_STILL);
    let tensorflow = Rmsprop {
        variant: RmspropVariant::TensorFlow,
        epsilon: 1.0,
        ..RMSPROP
    };
    assert_steps(rmsprop(tensorflow), GOLDEN_RMSPROP_TENSORFLOW);
}

/// From `torch.optim.AdamW` of PyTorch 2.15.
#[test]
fn adamw_is_pytorchs() {
    let adamw = recipe::Optimizer::Adamw;
    assert_steps(adamw(ADAMW), GOLDEN_ADAMW);
    let bias_free = Adamw {
        decay_exclude: vec![ParameterKind::Bias],
        ..ADAMW
    };
    assert_steps(adamw(bias_free), GOLDEN_ADAMW_BIAS_FREE);
}

/// From `timm.optim.Lamb` of timm 1.0.31, without clipping.
#[test]
fn lamb_is_timms() {
    let lamb = recipe::Optimizer::Lamb;
    assert_steps(lamb(LAMB), GOLDEN_LAMB);
    let bias_free = Lamb {
        decay_exclude: vec![ParameterKind::Bias],
        ..LAMB
    };
    assert_steps(lamb(bias_free), GOLDEN_LAMB_BIAS_FREE);
}

#[test]
fn lamb_moves_what_is_zero() {
    let zero = Weights {
        weight: parameter(&[0.0, 0.0]),
        bias: parameter(&[0.0]),
    };
    let mut optimizer = Optimizer::new(recipe::Optimizer::Lamb(LAMB));
    let moved = values(&optimizer.step(zero, gradients(0), 0.1));
    assert!(
        moved.iter().all(|value| value.is_finite() && *value != 0.0),
        "{moved:?}"
    );
}

#[test]
fn what_has_no_gradient_stays() {
    for settings in [recipe::Optimizer::Sgd(SGD), recipe::Optimizer::Adamw(ADAMW)] {
        let mut optimizer = Optimizer::new(settings);
        let moved = optimizer.step(model(), vec![None, gradients(0).remove(1)], 0.1);
        assert_eq!(values(&moved)[..2], [1.0, -0.5]);
        assert_ne!(values(&moved)[2], -2.0);
    }
}

const GOLDEN_SGD: [f32; 3] = [0.471_774_0, -0.235_887_0, -2.444_968_0];
const GOLDEN_NESTEROV: [f32; 3] = [0.201_668_6, -0.100_834_3, -2.632_848_5];
const GOLDEN_DAMPENED: [f32; 3] = [0.654_313_5, -0.327_156_8, -2.331_081_9];
const GOLDEN_BIAS_FREE: [f32; 3] = [0.471_774_0, -0.235_887_0, -2.560_999_9];
const GOLDEN_RMSPROP: [f32; 3] = [-0.632_807_7, 1.119_595_4, -3.460_821_6];
const GOLDEN_RMSPROP_STILL: [f32; 3] = [0.153_944_5, 0.339_929_0, -2.725_000_1];
const GOLDEN_RMSPROP_TENSORFLOW: [f32; 3] = [0.625_669_1, -0.305_993_4, -2.320_162_8];
const GOLDEN_ADAMW: [f32; 3] = [0.681_716_1, -0.196_969_5, -2.237_311_1];
const GOLDEN_ADAMW_BIAS_FREE: [f32; 3] = [0.681_716_1, -0.196_969_5, -2.299_700_0];
const GOLDEN_LAMB: [f32; 3] = [0.779_379_1, -0.289_947_3, -2.662_000_2];
const GOLDEN_LAMB_BIAS_FREE: [f32; 3] = [0.779_379_1, -0.289_947_3, -2.299_700_0];
