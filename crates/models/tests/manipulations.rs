//! Manipulated shortcuts, where their factors make them networks that are known otherwise.
//!
//! What they compute in between is in the goldens of `parity.rs`.

mod support;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use models::layers::Manipulation::{self, Dropout, ExclusiveGating, Scaling, ShortcutOnlyGating};
use models::weights::Weights;
use models::{Model, gradient_checkpointing, noise, parameters, registry};
use support::{build, images};

/// Gates of this bias are open, and of its negative closed, whatever their input.
const OPEN: f64 = 1e4;

const UNCHANGED: Manipulation = Scaling {
    shortcut: 1.0,
    path: 1.0,
};

fn network(name: &str, device: &Device) -> Model {
    build(&registry::find(name).unwrap().architecture, device)
}

fn manipulated(manipulation: Manipulation, device: &Device) -> Model {
    let architecture = &registry::find("resnet8").unwrap().architecture;
    build(
        &architecture.with_manipulation(manipulation).unwrap(),
        device,
    )
}

/// The network of that name, with the weights of `model` but for those of its gates.
fn with_weights_of(model: &Model, name: &str) -> Model {
    let mut weights = Weights::of(model);
    weights.tensors.retain(|name, _| !name.contains(".gate."));
    let same = network(name, &Device::flex());
    weights.load_into(same).expect("the same but for the gates")
}

fn batch(device: &Device) -> Tensor<4> {
    images([3, 3, 16, 16], device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn scores(model: &Model) -> Vec<f32> {
    values(model.forward(batch(&Device::flex())))
}

/// The scores of a training step, and all gradients.
fn step(model: &Model, checkpoints: bool) -> Vec<Vec<f32>> {
    noise::start(0, 0, 0);
    let forward = || model.forward(batch(&Device::flex().autodiff()));
    let scores = gradient_checkpointing::run(checkpoints, forward);
    let mut found = scores.clone().powi_scalar(2).mean().backward();
    let gradients = parameters::take_gradients(model, &mut found);
    let gradients = gradients
        .into_iter()
        .map(|gradient| values(gradient.unwrap()));
    [values(scores.inner())]
        .into_iter()
        .chain(gradients)
        .collect()
}

#[test]
fn factors_of_one_change_no_bit() {
    let device = Device::flex().autodiff();
    let changed = step(&manipulated(UNCHANGED, &device), false);
    assert_eq!(changed, step(&network("resnet8", &device), false));
}

#[test]
fn without_its_shortcuts_the_network_is_plain() {
    let device = Device::flex();
    let scaled = Scaling {
        shortcut: 0.0,
        path: 1.0,
    };
    for manipulation in [
        scaled,
        ExclusiveGating { bias: OPEN },
        ShortcutOnlyGating { bias: OPEN },
    ] {
        let model = manipulated(manipulation, &device);
        let plain = with_weights_of(&model, "plain8");
        assert_eq!(scores(&model), scores(&plain), "{manipulation:?}");
    }
}

#[test]
fn gates_of_the_shortcut_alone_are_the_identity_where_they_are_closed() {
    let model = manipulated(ShortcutOnlyGating { bias: -OPEN }, &Device::flex());
    assert_eq!(scores(&model), scores(&with_weights_of(&model, "resnet8")));
}

#[test]
fn exclusive_gates_carry_the_input_where_they_are_closed() {
    let device = Device::flex();
    let model = manipulated(ExclusiveGating { bias: -OPEN }, &device);
    let at = |place: &str| values(model.features(batch(&device), place).unwrap());
    assert_eq!(at("stem"), at("stage1.block0"));
}

#[test]
fn dropout_of_shortcuts_changes_training_alone() {
    let device = Device::flex().autodiff();
    let [dropping, usual] = [
        manipulated(Dropout(0.5), &device),
        network("resnet8", &device),
    ];
    assert_eq!(scores(&dropping.valid()), scores(&usual.valid()));
    let drawn = step(&dropping, false);
    assert_ne!(drawn, step(&usual, false));
    let again = manipulated(Dropout(0.5), &device);
    assert_eq!(
        drawn,
        step(&again, true),
        "drawn again, in blocks that are computed again"
    );
}

#[test]
fn gates_learn() {
    let device = Device::flex().autodiff();
    for manipulation in [
        ExclusiveGating { bias: -2.0 },
        ShortcutOnlyGating { bias: -2.0 },
    ] {
        let model = manipulated(manipulation, &device);
        let learnt = parameters::of(&model).into_iter();
        let learnt = learnt.filter(|parameter| parameter.role.is_learnt());
        let gradients = step(&model, false).split_off(1);
        let mut gates = 0;
        for (parameter, gradient) in learnt.zip(gradients) {
            if parameter.path.contains(".gate.") {
                let largest = gradient.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
                assert!(largest > 0.0, "{}: {manipulation:?}", parameter.path);
                gates += 1;
            }
        }
        assert_eq!(gates, 2 * 3, "weights and biases of three blocks");
    }
}

/// A deleted block leaves what the manipulation leaves of its shortcut.
#[test]
fn deleted_blocks_leave_the_manipulated_shortcut() {
    let device = Device::flex();
    let halved = Scaling {
        shortcut: 0.5,
        path: 1.0,
    };
    let [halved, usual] = [manipulated(halved, &device), network("resnet8", &device)];
    let bare = |model: &Model| {
        let parts = model.deletable([3, 16, 16]);
        assert_eq!(parts.len(), 3);
        values(model.forward_without(batch(&device), &parts.iter().collect::<Vec<_>>()))
    };
    // The head is linear, and its bias is zero before training.
    for (halved, usual) in bare(&halved).into_iter().zip(bare(&usual)) {
        assert!((halved - usual / 8.0).abs() < 1e-6, "{halved}, {usual}");
    }
}
