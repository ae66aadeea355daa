//! Functions of each value alone.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::CnnOps;
use crate::profile;

/// What a value goes through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// `x`.
    #[default]
    Identity,
    /// `max(0, x)`.
    Relu,
    /// `x / (1 + exp(-x))` (Hendrycks and Gimpel 2016, arXiv:1606.08415; Ramachandran et al. 2017,
    /// arXiv:1710.05941, where it is called Swish).
    Silu,
    /// `x Φ(x)`, with Φ the distribution function of the normal distribution (Hendrycks and Gimpel 2016,
    /// arXiv:1606.08415), and not one of the approximations that the paper gives, too.
    Gelu,
}

/// The activation of each value.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - output: as the images
pub fn activate(images: Tensor<4>, activation: Activation) -> Tensor<4> {
    match activation {
        Activation::Identity => images,
        Activation::Relu | Activation::Silu | Activation::Gelu => profile::pass("activate", || {
            Tensor::from_dispatch(Dispatch::activation_forward(
                images.into_dispatch(),
                activation,
            ))
        }),
    }
}
