//! How strongly layers respond.

use std::cell::RefCell;
use std::collections::HashMap;

use burn::module::ParamId;
use burn::tensor::Tensor;

use crate::{Model, parameters};

thread_local! {
    static NOTED: RefCell<Option<Vec<(ParamId, f64)>>> = const { RefCell::new(None) };
}

/// How strongly a layer responds.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The layer that the response is taken behind, in the reference implementation's name: a normalisation, or a
    /// convolution where there is none.
    pub layer: String,
    /// The standard deviation of what it puts out, over all its values, before anything is added to
    /// it or rectifies it.
    pub deviation: f64,
}

impl Model {
    /// The responses of the convolutions that a normalisation follows, or that nothing normalises, front to back, to images `[n, channels, h, w]` (He et al. 2015, arXiv:1512.03385, figure 7).
    pub fn responses(&self, images: Tensor<4>) -> Vec<Response> {
        /// Ends the noting even where the forward pass panics.
        struct Guard;
        impl Drop for Guard {
            fn drop(&mut self) {
                NOTED.set(None);
            }
        }
        let guard = Guard;
        NOTED.set(Some(Vec::new()));
        self.forward(images);
        let noted = NOTED.take().unwrap_or_default();
        drop(guard);
        let names: HashMap<ParamId, String> = parameters::of(self)
            .into_iter()
            .map(|parameter| (parameter.id, self.pytorch_name(&parameter.path)))
            .collect();
        let response = |(id, deviation)| {
            let name = &names[&id];
            Response {
                layer: name.strip_suffix(".weight").unwrap_or(name).to_owned(),
                deviation,
            }
        };
        noted.into_iter().map(response).collect()
    }
}

/// Notes the response of the layer with this parameter, where somebody wants to know.
pub(crate) fn note(id: ParamId, response: impl FnOnce() -> Tensor<4>) {
    if NOTED.with_borrow(Option::is_none) {
        return;
    }
    let response = response();
    let mean = response.clone().mean().reshape([1, 1, 1, 1]);
    let variance: f32 = (response - mean).powi_scalar(2).mean().into_scalar();
    NOTED.with_borrow_mut(|noted| {
        if let Some(noted) = noted {
            noted.push((id, f64::from(variance).sqrt()));
        }
    });
}
