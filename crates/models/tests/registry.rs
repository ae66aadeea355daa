//! Every network takes what its configuration says, and refuses the rest.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;
use models::registry::MODELS;
use models::{Description, Model, parameters};
use support::{build, describe, images, least_size};

/// Whether every layer fits. A trace finds it without computing, but sees no auxiliary classifiers.
fn runs(model: &Model, input: [usize; 3]) -> bool {
    let [channels, height, width] = input;
    let run = || {
        let described = Description::of(model, input);
        if described.auxiliary_parameters > 0 {
            model.forward_train(images([1, channels, height, width], &Device::flex()));
        }
    };
    catch_unwind(AssertUnwindSafe(run)).is_ok()
}

#[test]
fn sizes_are_taken_where_every_layer_fits() {
    for entry in MODELS {
        let architecture = &entry.architecture;
        let model = build(architecture, &Device::flex());
        let runs =
            |[height, width]: [usize; 2]| runs(&model, [architecture.channels(), height, width]);
        let least = least_size(entry);
        let sizes = (least..least + 6).map(|size| [size, size]);
        for size in sizes.chain([[least, least + 3], [least + 3, least]]) {
            let is_taken = architecture.check(size).is_ok();
            let name = entry.name;
            assert!(!is_taken || runs(size), "{name} {size:?}");
        }
        // Not one size too many is refused.
        let smaller = [least - 1; 2];
        assert!(least == 1 || !runs(smaller), "{}", entry.name);
    }
}

#[test]
fn classes_and_channels_are_the_users() {
    for entry in MODELS {
        let architecture = entry.architecture.with_classes(7).with_channels(2);
        let [_, height, width] = entry.input();
        let described = describe(&architecture, [2, height, width]);
        let output = &described.layers.last().unwrap().output;
        assert_eq!(output, &[7], "{}", entry.name);
    }
}

/// Which is how the number of classes is found that weights are of.
#[test]
fn what_comes_last_has_a_row_for_each_class() {
    for entry in MODELS {
        let architecture = entry.architecture.with_classes(7);
        let parameters = parameters::of(&build(&architecture, &Device::flex()));
        assert_eq!(parameters.last().unwrap().shape[0], 7, "{}", entry.name);
    }
}

#[test]
fn names_are_unique() {
    for (index, entry) in MODELS.iter().enumerate() {
        let again = MODELS[index + 1..].iter().any(|e| e.name == entry.name);
        assert!(!again, "{}", entry.name);
    }
}
