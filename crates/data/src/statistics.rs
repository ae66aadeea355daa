//! Statistics of a dataset's pixels, in the unit of the network's input: bytes are divided by 255.

use burn_dataset::Dataset;
use serde::{Deserialize, Serialize};

use crate::dataset::first_size;
use crate::eigen::Eigen;
use crate::{Error, OnBadImage, Result, Sample, Size};

/// Statistics of a training set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, over all pixels.
    pub std: Vec<f32>,
    /// Principal components of the colours, where there are colours.
    pub pca: Option<Pca>,
}

/// Eigenvalues and eigenvectors of the 3x3 covariance of red, green and blue over all pixels, in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pca {
    /// The eigenvalues, the largest first.
    pub eigenvalues: [f32; 3],
    /// The eigenvectors as columns: a row each for red, green, blue.
    pub eigenvectors: [[f32; 3]; 3],
}

/// Mean and standard deviation of each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelStatistics {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, over all pixels (divided by their number).
    pub std: Vec<f32>,
}

/// Mean and standard deviation of each channel over all pixels of all images.
pub fn channel_mean_std(
    source: &dyn Dataset<Sample, Error>,
    on_bad_image: OnBadImage,
) -> Result<ChannelStatistics> {
    let channels = first_size(source, on_bad_image)?.channels;
    let mut sums = vec![0.0; channels];
    let mut squares = vec![0.0; channels];
    let mut pixels = 0.0;
    for_each_image(source, on_bad_image, |size, values| {
        for (channel, plane) in values.chunks_exact(size.plane()).enumerate() {
            sums[channel] += plane.iter().map(|&v| f64::from(v)).sum::<f64>();
            squares[channel] += plane.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        }
        pixels += size.plane() as f64;
        Ok(())
    })?;
    let mean: Vec<f64> = sums.iter().map(|sum| sum / pixels).collect();
    let std = squares
        .iter()
        .zip(&mean)
        .map(|(square, mean)| (square / pixels - mean * mean).max(0.0).sqrt() as f32)
        .collect();
    Ok(ChannelStatistics {
        mean: mean.into_iter().map(|mean| mean as f32).collect(),
        std,
    })
}

/// The mean image, shape `[channels, height, width]`; [`Error::ManySizes`] where images are not of one size.
pub fn pixel_mean(
    source: &dyn Dataset<Sample, Error>,
    on_bad_image: OnBadImage,
) -> Result<Vec<f32>> {
    let size = first_size(source, on_bad_image)?;
    let mut sums = vec![0.0_f64; size.values()];
    let mut images = 0.0;
    for_each_image(source, on_bad_image, |found, values| {
        if found != size {
            return Err(Error::ManySizes {
                what: "per-pixel-mean",
            });
        }
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += f64::from(*value);
        }
        images += 1.0;
        Ok(())
    })?;
    Ok(sums.into_iter().map(|sum| (sum / images) as f32).collect())
}

/// Principal components of the colours of all pixels; the largest component of each eigenvector is positive.
pub fn pca(source: &dyn Dataset<Sample, Error>, on_bad_image: OnBadImage) -> Result<Pca> {
    let size = first_size(source, on_bad_image)?;
    if size.channels != 3 {
        return Err(Error::Channels {
            transform: "pca_color",
            expected: 3,
            found: size.channels,
        });
    }
    let covariance = covariance(source, on_bad_image)?;
    let Eigen { values, vectors } = Eigen::of(covariance.map(Vec::from).into());
    Ok(Pca {
        eigenvalues: std::array::from_fn(|i| values[i] as f32),
        eigenvectors: std::array::from_fn(|row| {
            std::array::from_fn(|column| vectors[row][column] as f32)
        }),
    })
}

fn covariance(
    source: &dyn Dataset<Sample, Error>,
    on_bad_image: OnBadImage,
) -> Result<[[f64; 3]; 3]> {
    let mut sums = [0.0; 3];
    let mut products = [[0.0; 3]; 3];
    let mut pixels = 0.0;
    for_each_image(source, on_bad_image, |size, values| {
        let (red, rest) = values.split_at(size.plane());
        let (green, blue) = rest.split_at(size.plane());
        for ((&r, &g), &b) in red.iter().zip(green).zip(blue) {
            let color = [f64::from(r), f64::from(g), f64::from(b)];
            for i in 0..3 {
                sums[i] += color[i];
                for j in 0..3 {
                    products[i][j] += color[i] * color[j];
                }
            }
        }
        pixels += size.plane() as f64;
        Ok(())
    })?;
    for i in 0..3 {
        for j in 0..3 {
            products[i][j] = products[i][j] / pixels - sums[i] / pixels * (sums[j] / pixels);
        }
    }
    Ok(products)
}

/// Hands size and values of every image to `visit`; of those that are not skipped.
fn for_each_image(
    source: &dyn Dataset<Sample, Error>,
    on_bad_image: OnBadImage,
    mut visit: impl FnMut(Size, &[f32]) -> Result<()>,
) -> Result<()> {
    for index in 0..source.len() {
        match source.get(index).and_then(|sample| sample.image.decode()) {
            Ok(image) => visit(image.size, &image.into_f32())?,
            Err(error) if on_bad_image.skips(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnBadImage::Stop;
    use crate::{InMemory, Pixels};

    fn images(size: Size, values: &[f32]) -> InMemory {
        let labels = vec![0; values.len() / size.values()];
        InMemory::new(size, Pixels::F32(values.to_vec()), labels)
    }

    #[test]
    fn channels_are_kept_apart() {
        let two = images(
            Size::new(2, 1, 2),
            &[0.0, 2.0, 5.0, 5.0, 4.0, 2.0, 5.0, 5.0],
        );
        let found = channel_mean_std(&two, Stop).unwrap();
        assert_eq!(found.mean, [2.0, 5.0]);
        assert_eq!(found.std, [2.0_f32.sqrt(), 0.0]);
        assert_eq!(pixel_mean(&two, Stop).unwrap(), [2.0, 2.0, 5.0, 5.0]);
    }

    /// NumPy 2: `numpy.linalg.eigh(numpy.cov(pixels, bias=True))` of the four pixels, columns reversed.
    #[test]
    fn principal_components_are_those_of_numpy() {
        let size = Size::new(3, 2, 2);
        let four = images(
            size,
            &[0.0, 1.0, 2.0, 5.0, 1.0, 0.0, 3.0, 4.0, 1.0, 1.0, 0.0, 2.0],
        );
        let found = pca(&four, Stop).unwrap();
        assert_close(found.eigenvalues, [5.65561, 0.7028905, 0.1414997]);
        let eigenvectors = [
            [0.7703468, 0.3919391, -0.5029409],
            [0.6215655, -0.6375086, 0.4552353],
            [0.1422046, 0.6632997, 0.7347185],
        ];
        for (found, expected) in found.eigenvectors.into_iter().zip(eigenvectors) {
            assert_close(found, expected);
        }
    }

    fn assert_close(found: [f32; 3], expected: [f32; 3]) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn grey_images_have_no_principal_components() {
        let grey = images(Size::new(1, 1, 1), &[0.0]);
        assert!(matches!(
            pca(&grey, Stop),
            Err(Error::Channels { found: 1, .. })
        ));
    }
}
