//! Evaluation of networks on a split: of one on the images as they are loaded, or of several together on
//! several views of each image.

use std::fmt;
use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use data::random::{self, Purpose};
use data::{Image, Loader, Pipeline, Sample, Skipped, Source, Views};
use models::Model;
use rayon::prelude::*;

use crate::upload::images_of;

/// What a network makes of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The image's place in the split.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// The class that scores highest.
    pub predicted: usize,
    /// The probability of that class.
    pub probability: f64,
    /// The cross-entropy of its class.
    pub loss: f64,
    /// How many classes score higher than its own.
    pub rank: usize,
}

/// What a network makes of a split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Image by image, in the split's order.
    pub predictions: Vec<Prediction>,
    /// Images that could not be read, where these are skipped.
    pub skipped: Vec<Skipped>,
}

impl Outcome {
    /// Percent of the images whose class is among the `k` that score highest.
    pub fn top(&self, k: usize) -> f64 {
        let right = self.predictions.iter().filter(|p| p.rank < k).count();
        100.0 * right as f64 / self.predictions.len() as f64
    }

    /// The mean cross-entropy.
    pub fn loss(&self) -> f64 {
        let sum: f64 = self.predictions.iter().map(|p| p.loss).sum();
        sum / self.predictions.len() as f64
    }

    /// The same of images that stand at `start` and after it in their split.
    pub fn starting_at(mut self, start: usize) -> Self {
        let predictions = self.predictions.iter_mut().map(|p| &mut p.index);
        let skipped = self.skipped.iter_mut().map(|skipped| &mut skipped.index);
        predictions.chain(skipped).for_each(|index| *index += start);
        self
    }

    /// Images of each true class (rows) by predicted class (columns).
    pub fn confusion(&self, classes: usize) -> Vec<Vec<u64>> {
        let mut matrix = vec![vec![0; classes]; classes];
        for prediction in &self.predictions {
            matrix[prediction.label][prediction.predicted] += 1;
        }
        matrix
    }

    /// The `count` predictions with the highest loss, highest first.
    pub fn worst(&self, count: usize) -> Vec<&Prediction> {
        let mut ordered: Vec<&Prediction> = self.predictions.iter().collect();
        ordered.sort_by(|a, b| b.loss.total_cmp(&a.loss).then(a.index.cmp(&b.index)));
        ordered.truncate(count);
        ordered
    }
}

/// Evaluates `model`, which is on `device` without autodiff, on all images of `loader`.
///
/// # Errors
///
/// Where an image cannot be read.
pub fn evaluate(model: &Model, loader: &Loader, device: &Device) -> Result<Outcome, data::Error> {
    evaluate_by(loader, device, |images| model.forward(images))
}

/// The same for whatever makes scores `[n, classes]` of images `[n, channels, height, width]`.
///
/// # Errors
///
/// Where an image cannot be read.
pub fn evaluate_by(
    loader: &Loader,
    device: &Device,
    forward: impl Fn(Tensor<4>) -> Tensor<2>,
) -> Result<Outcome, data::Error> {
    let mut predictions = Vec::with_capacity(loader.images());
    let mut skipped = Vec::new();
    for batch in loader.once() {
        let mut batch = batch?;
        skipped.append(&mut batch.skipped);
        let scores = rows(forward(images_of(&batch, device)));
        let places = batch.indices.iter().zip(&batch.labels);
        for ((index, label), scores) in places.zip(scores) {
            predictions.push(judge(*index, *label, &log_softmax(&scores)));
        }
    }
    Ok(Outcome {
        predictions,
        skipped,
    })
}

/// A network, the images that it is evaluated on, and how it looks at them.
pub struct Viewer<'a> {
    /// On `device` without autodiff.
    pub model: &'a Model,
    /// Where it computes.
    pub device: &'a Device,
    /// The images.
    pub source: Source,
    /// What is looked at in each of them.
    pub views: Views,
    /// What is done to a view before the network sees it.
    pub preprocessing: &'a Pipeline,
    /// Whether the network slides over a view, which may then be larger than its own images.
    pub slides: bool,
    /// Whether views are taken together by the mean of their scores, rather than of their probabilities.
    pub averages_scores: bool,
    /// Views at a time.
    pub batch: usize,
}

/// What the network sees, as in `middle of 224x224, normalize mean [0.5] std [0.5]`.
impl fmt::Display for Viewer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.preprocessing.0.as_slice() {
            [] => write!(f, "{}", self.views),
            _ => write!(f, "{}, {}", self.views, self.preprocessing),
        }
    }
}

/// What a network says of an image.
struct Opinion {
    /// The image's class.
    label: usize,
    /// The logarithm of the probability of each class: of the mean, over the views, of the softmax of the scores, or of
    /// that of the scores.
    log_probabilities: Vec<f64>,
}

/// Random views of an image are the same in each evaluation.
const SEED: u64 = 0;

impl Viewer<'_> {
    fn images_at_once(&self) -> usize {
        (self.batch / self.views.count()).max(1)
    }

    fn opinions(&self, images: Range<usize>) -> Result<Vec<Opinion>, data::Error> {
        let looked_at: Vec<_> = images
            .into_par_iter()
            .map(|index| self.look_at(index))
            .collect();
        let (mut labels, mut views) = (Vec::new(), Vec::new());
        for of_image in looked_at {
            let (label, of_image) = of_image?;
            labels.push(label);
            views.extend(of_image);
        }
        let log_probabilities: Vec<Vec<f64>> = views
            .chunk_by(|a, b| a.size == b.size)
            .flat_map(|of_one_size| of_one_size.chunks(self.batch))
            .flat_map(|views| self.log_probabilities(views))
            .collect();
        let of_images = log_probabilities.chunks_exact(self.views.count());
        let opinion = |(label, views): (usize, &[Vec<f64>])| Opinion {
            label,
            log_probabilities: self.together(views),
        };
        Ok(labels.into_iter().zip(of_images).map(opinion).collect())
    }

    /// What the views of an image say together.
    fn together(&self, views: &[Vec<f64>]) -> Vec<f64> {
        match self.averages_scores {
            true => mean_of_scores(views, &self.views.weights()),
            false => log_mean(views.iter()),
        }
    }

    /// The label of an image, and the views as the network sees them.
    fn look_at(&self, index: usize) -> Result<(usize, Vec<Image>), data::Error> {
        let look = || {
            let Sample { image, label } = self.source.get(index)?;
            let mut rng = random::stream(SEED, Purpose::View, 0, index as u64);
            let image = image.decode()?;
            let chosen = self.views.choose(image.size, &mut rng)?;
            let views = self.views.apply(&image, &chosen)?.into_iter();
            let prepared = views.map(|view| self.preprocessing.apply(view, &mut rng));
            Ok((label, prepared.collect::<Result<_, _>>()?))
        };
        look().map_err(|error| data::Error::Sample {
            index,
            source: Box::new(error),
        })
    }

    /// Of views of one size.
    fn log_probabilities(&self, views: &[Image]) -> Vec<Vec<f64>> {
        let size = views[0].size;
        let shape = [views.len(), size.channels, size.height, size.width];
        let values: Vec<f32> = views.iter().flat_map(Image::to_f32).collect();
        let views = Tensor::from_data(TensorData::new(values, shape), self.device);
        let scores = match self.slides {
            true => self.model.forward_dense(views),
            false => self.model.forward(views),
        };
        let scores = rows(scores);
        scores.iter().map(|scores| log_softmax(scores)).collect()
    }
}

/// What several networks make of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// Each by itself.
    pub members: Vec<Outcome>,
    /// All of them, by the mean of their probabilities.
    pub together: Outcome,
}

/// Evaluates networks, one or more, by themselves and together; their sources hold the same images.
///
/// # Errors
///
/// Where an image cannot be read.
///
/// # Panics
///
/// Where there is no network.
pub fn evaluate_together(viewers: &[Viewer<'_>]) -> Result<Ensemble, data::Error> {
    let images = viewers[0].source.len();
    let at_once = viewers.iter().map(Viewer::images_at_once).min();
    let at_once = at_once.expect("a network");
    let mut members = vec![Outcome::default(); viewers.len()];
    let mut together = Outcome::default();
    for start in (0..images).step_by(at_once) {
        let range = start..images.min(start + at_once);
        let opinions: Vec<Vec<Opinion>> = viewers
            .iter()
            .map(|viewer| viewer.opinions(range.clone()))
            .collect::<Result<_, _>>()?;
        for index in range {
            let of_image = opinions.iter().map(|opinions| &opinions[index - start]);
            for (outcome, opinion) in members.iter_mut().zip(of_image.clone()) {
                let prediction = judge(index, opinion.label, &opinion.log_probabilities);
                outcome.predictions.push(prediction);
            }
            let label = opinions[0][index - start].label;
            let all = log_mean(of_image.map(|opinion| &opinion.log_probabilities));
            (together.predictions).push(judge(index, label, &all));
        }
    }
    Ok(Ensemble { members, together })
}

/// The logarithm of the mean of what these are the logarithms of.
fn log_mean<'a>(rows: impl ExactSizeIterator<Item = &'a Vec<f64>> + Clone) -> Vec<f64> {
    let count = rows.len() as f64;
    let classes = rows.clone().next().map_or(0, Vec::len);
    let of_class = |class: usize| {
        let logarithms = rows.clone().map(|row| row[class]);
        let largest = logarithms.clone().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logarithms.map(|one| (one - largest).exp()).sum();
        largest + (sum / count).ln()
    };
    (0..classes).map(of_class).collect()
}

/// The logarithm of the softmax of the weighted mean of scores, from those of the softmax of each: these are the scores but
/// for a number that is the same for all classes.
fn mean_of_scores(rows: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let classes = rows.first().map_or(0, Vec::len);
    let mean = |class: usize| {
        let of_views = rows.iter().zip(weights);
        of_views.map(|(row, weight)| weight * row[class]).sum()
    };
    let means: Vec<f64> = (0..classes).map(mean).collect();
    let largest = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = means.iter().map(|mean| (mean - largest).exp()).sum();
    means.iter().map(|mean| mean - largest - sum.ln()).collect()
}

/// The rows of a tensor `[n, classes]`.
pub fn rows(scores: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, classes] = scores.dims();
    let scores: Vec<f32> = scores
        .into_data()
        .convert::<f32>()
        .try_to_vec()
        .expect("converted to f32");
    scores.chunks_exact(classes).map(<[f32]>::to_vec).collect()
}

/// The logarithm of the probability of each class, in f64: finite for any finite scores.
pub fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let below = |score: &f32| f64::from(*score) - f64::from(largest);
    let sum: f64 = scores.iter().map(|score| below(score).exp()).sum();
    scores.iter().map(|score| below(score) - sum.ln()).collect()
}

/// The classes, the most probable first. Where probabilities are equal, the class of the lower number comes first; one that
/// is not a number comes last.
pub fn ranked(log_probabilities: &[f64]) -> Vec<usize> {
    let key = |class: usize| match log_probabilities[class] {
        logarithm if logarithm.is_nan() => f64::NEG_INFINITY,
        logarithm => logarithm,
    };
    let mut classes: Vec<usize> = (0..log_probabilities.len()).collect();
    classes.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
    classes
}

fn judge(index: usize, label: usize, log_probabilities: &[f64]) -> Prediction {
    let ranked = ranked(log_probabilities);
    let predicted = ranked[0];
    let rank = ranked.iter().position(|&class| class == label);
    Prediction {
        index,
        label,
        predicted,
        probability: log_probabilities[predicted].exp(),
        loss: -log_probabilities[label],
        rank: rank.expect("a label is a class"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_judged_by_its_scores() {
        let judged = judge(7, 2, &log_softmax(&[1.0, 3.0, 2.0, 2.0]));
        assert_eq!((judged.predicted, judged.rank), (1, 1));
        let sum = 1f64.exp() + 3f64.exp() + 2.0 * 2f64.exp();
        assert!((judged.probability - 3f64.exp() / sum).abs() < 1e-12);
        assert!((judged.loss + (2f64.exp() / sum).ln()).abs() < 1e-12);
    }

    #[test]
    fn the_loss_is_finite_where_the_probability_is_not_told_from_0() {
        let judged = judge(0, 1, &log_softmax(&[1000.0, 0.0, -1.0]));
        assert_eq!((judged.loss, judged.rank), (1000.0, 1));
    }

    #[test]
    fn probabilities_are_averaged_by_their_logarithms() {
        let rows = [vec![0.2_f64, 0.8], vec![0.6, 0.4], vec![0.1, 0.9]];
        let logarithms = rows.map(|row| row.into_iter().map(f64::ln).collect::<Vec<_>>());
        let found = log_mean(logarithms.iter());
        for (found, expected) in found.into_iter().zip([0.3_f64, 0.7]) {
            assert!((found - expected.ln()).abs() < 1e-12, "{found}");
        }
        let alone = log_mean([vec![-2000.0, -0.5]].iter());
        assert_eq!(alone, [-2000.0, -0.5]);
    }

    #[test]
    fn scores_are_averaged_by_what_is_left_of_them() {
        let scores = [[1.0_f32, -2.0, 0.5], [3.0, 1.0, 4.0]];
        let rows = scores.map(|scores| log_softmax(&scores));
        let found = mean_of_scores(&rows, &[0.75, 0.25]);
        let expected = log_softmax(&[1.5, -1.25, 1.375]);
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn ties_and_probabilities_that_are_no_numbers_have_an_order() {
        assert_eq!(ranked(&[0.2, 0.4, 0.4]), [1, 2, 0]);
        assert_eq!(ranked(&[f64::NAN, 0.0, 1.0]), [2, 1, 0]);
        assert!(judge(0, 1, &log_softmax(&[f32::NAN, 0.0])).loss.is_nan());
    }

    #[test]
    fn an_outcome_is_counted_in_percent() {
        let predictions = vec![
            judge(0, 0, &[0.5, 0.3, 0.2]),
            judge(1, 1, &[0.5, 0.3, 0.2]),
            judge(2, 2, &[0.5, 0.3, 0.2]),
            judge(3, 0, &[0.5, 0.3, 0.2]),
        ];
        let outcome = Outcome {
            predictions,
            skipped: Vec::new(),
        };
        assert_eq!((outcome.top(1), outcome.top(2)), (50.0, 75.0));
        assert_eq!(outcome.confusion(3), [[2, 0, 0], [1, 0, 0], [1, 0, 0]]);
        let worst: Vec<usize> = outcome.worst(2).iter().map(|p| p.index).collect();
        assert_eq!(worst, [2, 1]);
    }
}
