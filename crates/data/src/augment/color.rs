//! Colour shifts along the principal components of the training set.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::{Choice, ensure};
use crate::{Error, Image, Pca, Pixels, Result, Size};

const NAME: &str = "pca_color";

pub(super) fn check(std: f32, pca: &Pca, size: Size) -> Result<()> {
    check_channels(size)?;
    ensure(std.is_finite() && std >= 0.0, NAME, "std", "0 or more", std)?;
    let sound = pca.eigenvalues.iter().all(|v| v.is_finite() && *v >= 0.0);
    ensure(
        sound,
        NAME,
        "eigenvalues",
        "0 or more",
        format_args!("{:?}", pca.eigenvalues),
    )?;
    let finite = pca.eigenvectors.iter().flatten().all(|v| v.is_finite());
    ensure(
        finite,
        NAME,
        "eigenvectors",
        "finite numbers",
        format_args!("{:?}", pca.eigenvectors),
    )
}

fn check_channels(size: Size) -> Result<()> {
    if size.channels == 3 {
        return Ok(());
    }
    Err(Error::Channels {
        transform: NAME,
        expected: 3,
        found: size.channels,
    })
}

/// A shift with `alpha` drawn in the order of the eigenvalues.
pub(super) fn choose(std: f32, pca: &Pca, rng: &mut impl Rng) -> Choice {
    let alpha = std::array::from_fn(|_| std * rng.sample::<f32, _>(StandardNormal));
    Choice::Color(shift(pca, alpha))
}

/// `P (alpha * lambda)`.
fn shift(pca: &Pca, alpha: [f32; 3]) -> [f32; 3] {
    let weights: [f32; 3] = std::array::from_fn(|i| alpha[i] * pca.eigenvalues[i]);
    pca.eigenvectors
        .map(|row| row.iter().zip(weights).map(|(p, weight)| p * weight).sum())
}

pub(super) fn apply(image: Image, shift: [f32; 3]) -> Result<Image> {
    check_channels(image.size)?;
    let size = image.size;
    let mut values = image.into_f32();
    for (plane, shift) in values.chunks_exact_mut(size.plane()).zip(shift) {
        plane.iter_mut().for_each(|value| *value += shift);
    }
    Ok(Image {
        size,
        pixels: Pixels::F32(values),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    /// The principal components of ImageNet, from fb.resnet.torch.
    const IMAGENET: Pca = Pca {
        eigenvalues: [0.2175, 0.0188, 0.0045],
        eigenvectors: [
            [-0.5675, 0.7192, 0.4009],
            [-0.5808, -0.0045, -0.8140],
            [-0.5836, -0.6948, 0.4203],
        ],
    };

    /// PyTorch 2.15: `P @ (torch.tensor([0.1, -0.2, 0.05]) * eigenvalues)`.
    #[test]
    fn shifts_are_those_of_pytorch() {
        let found = shift(&IMAGENET, [0.1, -0.2, 0.05]);
        let expected = [-0.014_957_115, -0.012_798_63, -0.009_986_285];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-8, "{found} {expected}");
        }
    }

    /// Along the first eigenvector the shift has the deviation `std` times the first eigenvalue.
    #[test]
    fn alpha_has_the_standard_deviation_asked_for() {
        let first = IMAGENET.eigenvectors.map(|row| row[0]);
        let mut rng = stream(0, Purpose::Augment, 0, 0);
        let draws = 20_000;
        let squares: f32 = (0..draws)
            .map(|_| match choose(0.1, &IMAGENET, &mut rng) {
                Choice::Color(shift) => shift.iter().zip(first).map(|(s, p)| s * p).sum::<f32>(),
                other => panic!("{other:?}"),
            })
            .map(|along| along * along)
            .sum();
        let deviation = (squares / draws as f32).sqrt();
        assert!((deviation / 0.02175 - 1.0).abs() < 0.02, "{deviation}");
    }
}
