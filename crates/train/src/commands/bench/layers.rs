//! Where the time of a step goes, layer by layer.

use std::collections::HashMap;

use kernels::profile::{self, Timing};
use serde::Serialize;

use super::clock::median;
use crate::commands::blueprint::by_sides;
use crate::error::Error;
use crate::streams::print_line;

/// What a layer takes of a step; medians over the steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// In a PyTorch state dict; empty where the layer has no parameters.
    pub name: String,
    /// The function of `kernels` that does most of it.
    pub operation: &'static str,
    /// The shape of its output.
    pub output: Vec<usize>,
    /// Seconds of the forward pass, the second one of a block that is computed again among them.
    pub forward_seconds: f64,
    /// Seconds of its gradients.
    pub backward_seconds: f64,
    /// Of its multiply-adds, at two operations each; none where it has none.
    pub gflops: Option<f64>,
}

impl Layer {
    fn seconds(&self) -> f64 {
        self.forward_seconds + self.backward_seconds
    }
}

/// Makes so many steps, and measures the layers, which `names` knows by their parameters.
///
/// # Errors
///
/// Those of the steps.
pub fn measure<T>(
    steps: usize,
    names: &HashMap<u64, String>,
    mut step: impl FnMut() -> Result<T, Error>,
) -> Result<Vec<Layer>, Error> {
    let mut seen = Vec::with_capacity(steps);
    for _ in 0..steps {
        let (result, timings) = profile::record(&mut step);
        result?;
        seen.push(by_layer(timings));
    }
    let first = seen.first().cloned().unwrap_or_default();
    let layers = first.into_iter().enumerate().map(|(index, timing)| {
        let median_of = |seconds: fn(&Timing) -> f64| {
            let seconds: Vec<f64> = seen.iter().map(|step| seconds(&step[index])).collect();
            median(&seconds)
        };
        let (forward_seconds, backward_seconds) = (
            median_of(|timing| timing.forward),
            median_of(|timing| timing.backward),
        );
        let operations = 2.0 * timing.multiply_adds as f64;
        let name = timing.layer.and_then(|layer| names.get(&layer).cloned());
        Layer {
            name: name.unwrap_or_default(),
            operation: timing.operation,
            output: timing.output,
            forward_seconds,
            backward_seconds,
            gflops: (timing.multiply_adds > 0)
                .then_some(operations / (forward_seconds + backward_seconds) / 1e9),
        }
    });
    Ok(layers.collect())
}

/// The operations of one layer as one: a convolution and its bias, or a block and its recomputation.
fn by_layer(timings: Vec<Timing>) -> Vec<Timing> {
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut layers: Vec<Timing> = Vec::with_capacity(timings.len());
    for timing in timings {
        let place = (timing.layer).map(|layer| *places.entry(layer).or_insert(layers.len()));
        match place.and_then(|place| layers.get_mut(place)) {
            Some(layer) => {
                layer.multiply_adds += timing.multiply_adds;
                layer.forward += timing.forward;
                layer.backward += timing.backward;
            }
            None => layers.push(timing),
        }
    }
    layers
}

/// Prints a row a layer, and what is left of a step of so many seconds.
///
/// # Errors
///
/// Where nobody reads.
pub fn print(layers: &[Layer], step_seconds: f64, matrix_gflops: f64) -> Result<(), Error> {
    let longest = layers.iter().map(|layer| layer.name.len()).max();
    let width = longest.unwrap_or(0).max("elsewhere".len());
    let share = |seconds: f64| format!("{:.1} %", 100.0 * seconds / step_seconds);
    let milliseconds = |seconds: f64| format!("{:.2}", 1000.0 * seconds);
    print_line(format_args!(
        "\n{:<width$}  {:<19} {:>16} {:>10} {:>11} {:>7} {:>8} {:>7}",
        "layer", "operation", "output", "forward ms", "backward ms", "share", "GFLOP/s", "matrix"
    ))?;
    for layer in layers {
        let [gflops, of_matrix] = match layer.gflops {
            Some(gflops) => [
                format!("{gflops:.1}"),
                format!("{:.0} %", 100.0 * gflops / matrix_gflops),
            ],
            None => [String::new(), String::new()],
        };
        let row = format!(
            "{:<width$}  {:<19} {:>16} {:>10} {:>11} {:>7} {gflops:>8} {of_matrix:>7}",
            layer.name,
            layer.operation,
            by_sides(&layer.output),
            milliseconds(layer.forward_seconds),
            milliseconds(layer.backward_seconds),
            share(layer.seconds()),
        );
        print_line(row.trim_end())?;
    }
    let elsewhere = step_seconds - layers.iter().map(Layer::seconds).sum::<f64>();
    print_line(format_args!(
        "{:<width$}  {:<19} {:>16} {:>10} {:>11} {:>7}",
        "elsewhere",
        "",
        "",
        milliseconds(elsewhere),
        "",
        share(elsewhere)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(operation: &'static str, layer: Option<u64>, multiply_adds: u64) -> Timing {
        Timing {
            operation,
            layer,
            output: vec![1, 2],
            multiply_adds,
            forward: 1.0,
            backward: 2.0,
        }
    }

    #[test]
    fn a_layers_operations_are_one_row() {
        let rows = by_layer(vec![
            timing("conv2d", Some(1), 10),
            timing("add_bias", Some(1), 0),
            timing("max_pool2d", None, 0),
            timing("max_pool2d", None, 0),
            timing("conv2d", Some(1), 10),
        ]);
        let expected = Timing {
            forward: 3.0,
            backward: 6.0,
            ..timing("conv2d", Some(1), 20)
        };
        let pool = timing("max_pool2d", None, 0);
        assert_eq!(rows, [expected, pool.clone(), pool]);
    }
}
