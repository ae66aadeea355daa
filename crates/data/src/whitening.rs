//! Filters that whiten patches of images.

use burn_dataset::Dataset;

use crate::dataset::at;
use crate::eigen::Eigen;
use crate::random::{Purpose, stream};
use crate::{Error, Image, OnBadImage, Pipeline, Result, Sample, Source};

/// What the filters are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whitening {
    /// Of the training images, the first so many.
    pub images: usize,
    /// `[height, width]` of a patch.
    pub patch: [usize; 2],
    /// What is added to each eigenvalue, so that what hardly varies is not blown up.
    pub epsilon: f64,
}

impl Whitening {
    /// The filters `[2 n, channels, height, width]`, flat, of the `n` values of a patch: the eigenvectors of the mean of
    /// `x xᵀ` over all patches `x`, the largest eigenvalue first, divided by `sqrt(eigenvalue + epsilon)`; then their
    /// negatives (Jordan 2024, arXiv:2404.00498, section 3.2; Page 2019, *How to Train Your `ResNet`* 8).
    ///
    /// `pipeline`, which draws nothing, is what is done to an image first.
    ///
    /// # Errors
    ///
    /// Where an image cannot be read and is not to be skipped, none can, or one is smaller than a patch.
    pub fn filters(
        &self,
        source: &Source,
        pipeline: &Pipeline,
        on_bad_image: OnBadImage,
    ) -> Result<Vec<f32>> {
        let mut products = Products::default();
        for index in 0..self.images {
            match transformed(source.as_ref(), pipeline, index) {
                Ok(image) => products.add(image, self.patch)?,
                Err(error) if on_bad_image.skips(&error) => {}
                Err(error) => return Err(at(index, error)),
            }
        }
        if products.patches == 0.0 {
            let place = format!("the first {}, none of which can be read", self.images);
            return Err(Error::NoImages { place });
        }
        let Eigen { values, vectors } = Eigen::of(products.means());
        let filter = |sign: f64, column: usize| {
            let scale = sign / (values[column].max(0.0) + self.epsilon).sqrt();
            vectors.iter().map(move |row| (row[column] * scale) as f32)
        };
        let filters = |sign: f64| (0..values.len()).flat_map(move |column| filter(sign, column));
        Ok([1.0, -1.0].into_iter().flat_map(filters).collect())
    }
}

fn transformed(
    source: &dyn Dataset<Sample, Error>,
    pipeline: &Pipeline,
    index: usize,
) -> Result<Image> {
    let mut rng = stream(0, Purpose::Augment, 0, 0);
    pipeline.apply(source.get(index)?.image, &mut rng)
}

/// The sums of `x xᵀ` over patches, below the diagonal and on it.
#[derive(Default)]
struct Products {
    sums: Vec<Vec<f64>>,
    patches: f64,
}

impl Products {
    /// Adds the patches at all places of an image.
    fn add(&mut self, image: Image, [height, width]: [usize; 2]) -> Result<()> {
        let size = image.size;
        let rows = size.height.checked_sub(height);
        let columns = size.width.checked_sub(width);
        let (Some(rows), Some(columns)) = (rows, columns) else {
            let part = [height, width];
            let whole = [size.height, size.width];
            return Err(Error::NoRoom {
                part,
                several: false,
                whole,
            });
        };
        let values = image.into_f32();
        let n = size.channels * height * width;
        self.sums.resize_with(n, || vec![0.0; n]);
        let mut patch = Vec::with_capacity(n);
        for (top, left) in (0..=rows).flat_map(|top| (0..=columns).map(move |left| (top, left))) {
            patch.clear();
            for line in 0..size.channels * height {
                let (channel, row) = (line / height, top + line % height);
                let start = (channel * size.height + row) * size.width + left;
                patch.extend(values[start..start + width].iter().map(|v| f64::from(*v)));
            }
            for (sums, value) in self.sums.iter_mut().zip(&patch) {
                for (sum, other) in sums.iter_mut().zip(&patch) {
                    *sum += value * other;
                }
            }
        }
        self.patches += ((rows + 1) * (columns + 1)) as f64;
        Ok(())
    }

    fn means(mut self) -> Vec<Vec<f64>> {
        let sums = self.sums.iter_mut().flatten();
        sums.for_each(|sum| *sum /= self.patches);
        self.sums
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{InMemory, Pixels, Size};

    /// Two channels of 3x3, whose values are `sin(k²)`: no patch's value follows from the others.
    fn images(count: usize) -> Source {
        let size = Size::new(2, 3, 3);
        let values = (0..count * size.values()).map(|k| ((k * k) as f32).sin());
        let pixels = Pixels::F32(values.collect());
        Arc::new(InMemory::new(size, pixels, vec![0; count]))
    }

    fn filters(epsilon: f64) -> Vec<f32> {
        let whitening = Whitening {
            images: 40,
            patch: [2, 2],
            epsilon,
        };
        let pipeline = Pipeline::default();
        (whitening.filters(&images(60), &pipeline, OnBadImage::Stop)).unwrap()
    }

    /// The mean of the products of two filters' outputs over all patches.
    fn covariance(filters: &[f32]) -> Vec<Vec<f64>> {
        let mut products = Products::default();
        for index in 0..40 {
            let image = images(60).get(index).unwrap().image.decode().unwrap();
            products.add(image, [2, 2]).unwrap();
        }
        let of_patches = products.means();
        let product = |a: &[f32], b: &[f32]| {
            let mut sum = 0.0;
            for (i, a) in a.iter().enumerate() {
                for (j, b) in b.iter().enumerate() {
                    sum += f64::from(*a) * of_patches[i][j] * f64::from(*b);
                }
            }
            sum
        };
        let each = filters.chunks_exact(8);
        each.clone()
            .map(|a| each.clone().map(|b| product(a, b)).collect())
            .collect()
    }

    #[test]
    fn filters_have_outputs_of_variance_one_that_do_not_go_together() {
        let filters = filters(0.0);
        assert_eq!(filters.len(), 16 * 8);
        for (i, row) in covariance(&filters).iter().enumerate() {
            for (j, found) in row.iter().enumerate() {
                let expected = match (i % 8 == j % 8, i == j) {
                    (false, _) => 0.0,
                    (true, true) => 1.0,
                    (true, false) => -1.0,
                };
                assert!((found - expected).abs() < 1e-3, "{i} {j}: {found}");
            }
        }
    }

    #[test]
    fn what_hardly_varies_is_not_blown_up() {
        let variances = |epsilon| -> Vec<f64> {
            let covariance = covariance(&filters(epsilon));
            (0..8).map(|i| covariance[i][i]).collect()
        };
        let found = variances(0.1);
        assert!(found.is_sorted_by(|a, b| a >= b), "{found:?}");
        assert!(found[0] < 1.0 && found[7] > 0.0, "{found:?}");
    }

    #[test]
    fn an_image_without_a_patch_is_an_error() {
        let whitening = Whitening {
            images: 1,
            patch: [4, 4],
            epsilon: 0.0,
        };
        let found = whitening.filters(&images(1), &Pipeline::default(), OnBadImage::Stop);
        assert!(matches!(found, Err(Error::NoRoom { .. })));
    }

    struct Missing;

    impl Dataset<Sample, Error> for Missing {
        fn get(&self, _: usize) -> Result<Sample> {
            Err(Error::MissingFile {
                path: "image.png".into(),
            })
        }

        fn len(&self) -> usize {
            3
        }
    }

    #[test]
    fn images_that_cannot_be_read_are_an_error_where_none_is_left() {
        let whitening = Whitening {
            images: 2,
            patch: [2, 2],
            epsilon: 1e-3,
        };
        let source: Source = Arc::new(Missing);
        let filters = |on_bad_image| {
            let found = whitening.filters(&source, &Pipeline::default(), on_bad_image);
            found.unwrap_err().to_string()
        };
        assert_eq!(
            filters(OnBadImage::Stop),
            "cannot prepare image 0 of the dataset, counted from 0"
        );
        assert_eq!(
            filters(OnBadImage::Skip),
            "no images in the first 2, none of which can be read"
        );
    }
}
