//! Images and labels in a safetensors file, fed as they are.

use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{MOST_CLASSES, Splits, check_size, read_error};
use crate::{Error, InMemory, Pixels, Result, Size};

/// Reads the training file, and the test file where there is one, of images of the same size.
pub(crate) fn open(train: &Path, test: Option<&Path>) -> Result<Splits> {
    let train = read(train)?;
    let test = test
        .map(|path| {
            let images = read(path)?;
            check_size(path, train.size(), images.size())?;
            Ok(images)
        })
        .transpose()?;
    Ok(Splits { train, test })
}

/// Reads the safetensors file's tensor `name`, F32 of shape `[N, C, H, W]`: the size of an image, and the values of all.
pub fn read_images(path: &Path, name: &'static str) -> Result<(Size, Vec<f32>)> {
    let bytes = fs::read(path).map_err(read_error(path))?;
    TensorsFile::parse(path, &bytes)?.images(name)
}

fn read(path: &Path) -> Result<InMemory> {
    let bytes = fs::read(path).map_err(read_error(path))?;
    let file = TensorsFile::parse(path, &bytes)?;
    let (size, pixels) = file.images("images")?;
    let labels = file.labels()?;
    let images = pixels.len() / size.values();
    if images != labels.len() {
        return Err(Error::ImagesAndLabels {
            images_path: path.to_path_buf(),
            images,
            labels_path: path.to_path_buf(),
            labels: labels.len(),
        });
    }
    Ok(InMemory::new(size, Pixels::F32(pixels), labels))
}

struct TensorsFile<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl<'a> TensorsFile<'a> {
    fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|source| Error::Tensors {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self { path, tensors })
    }

    /// The size of an image, and the values of all, shape `[n, channels, height, width]`.
    fn images(&self, name: &'static str) -> Result<(Size, Vec<f32>)> {
        let tensor = self.tensor(name, Dtype::F32, "F32")?;
        let &[n, channels, height, width] = tensor.shape() else {
            return Err(self.wrong_shape(name, "[N, C, H, W]", &tensor));
        };
        let size = Size::new(channels, height, width);
        if n == 0 {
            return Err(Error::NoImages {
                place: format!("`{}`", self.path.display()),
            });
        }
        if [channels, height, width].contains(&0) {
            return Err(Error::ZeroSize {
                path: self.path.to_path_buf(),
                size,
            });
        }
        let (words, _) = tensor.data().as_chunks();
        Ok((
            size,
            words.iter().copied().map(f32::from_le_bytes).collect(),
        ))
    }

    fn labels(&self) -> Result<Vec<usize>> {
        let tensor = self.tensor("labels", Dtype::I64, "I64")?;
        if tensor.shape().len() != 1 {
            return Err(self.wrong_shape("labels", "[N]", &tensor));
        }
        let (words, _) = tensor.data().as_chunks();
        words
            .iter()
            .copied()
            .map(i64::from_le_bytes)
            .enumerate()
            .map(|(record, label)| self.class(record, label))
            .collect()
    }

    fn class(&self, record: usize, label: i64) -> Result<usize> {
        usize::try_from(label)
            .ok()
            .filter(|&class| class < MOST_CLASSES)
            .ok_or_else(|| Error::Label {
                path: self.path.to_path_buf(),
                record,
                label,
                classes: MOST_CLASSES,
            })
    }

    fn tensor(
        &self,
        name: &'static str,
        dtype: Dtype,
        expected: &'static str,
    ) -> Result<TensorView<'a>> {
        let Ok(tensor) = self.tensors.tensor(name) else {
            let mut found: Vec<String> = self.tensors.names().into_iter().map(Into::into).collect();
            found.sort();
            return Err(Error::MissingTensor {
                path: self.path.to_path_buf(),
                tensor: name,
                found,
            });
        };
        if tensor.dtype() != dtype {
            return Err(Error::TensorType {
                path: self.path.to_path_buf(),
                tensor: name,
                expected,
                found: format!("{:?}", tensor.dtype()),
            });
        }
        Ok(tensor)
    }

    fn wrong_shape(
        &self,
        tensor: &'static str,
        expected: &'static str,
        found: &TensorView,
    ) -> Error {
        Error::TensorShape {
            path: self.path.to_path_buf(),
            tensor,
            expected,
            found: found.shape().to_vec(),
        }
    }
}
