//! Line charts as inline SVG, whose colours are left to the style sheet.
//!
//! plotters draws with fixed colours. Here these are names: style.css maps each `stroke` and `fill` attribute to a
//! custom property, so that one drawing serves light, dark and print.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

/// Width and height of a chart in its own units.
const SIZE: (u32, u32) = (1000, 560);

/// A colour of the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Numbers along the axes.
    Text,
    /// Grid lines.
    Grid,
    /// A series, by its rank.
    Series(usize),
}

impl Ink {
    /// How many series can be told apart.
    pub const SERIES: usize = 4;

    /// The colour as style.css selects it; the series' are Okabe and Ito's (2008), safe for the colour-blind.
    fn color(self) -> RGBColor {
        match self {
            Self::Text => RGBColor(0x11, 0x11, 0x11),
            Self::Grid => RGBColor(0xdd, 0xdd, 0xdd),
            Self::Series(rank) => match rank % Self::SERIES {
                0 => RGBColor(0x00, 0x72, 0xb2),
                1 => RGBColor(0xd5, 0x5e, 0x00),
                2 => RGBColor(0x00, 0x9e, 0x73),
                _ => RGBColor(0xcc, 0x79, 0xa7),
            },
        }
    }
}

/// A line with, where it stands for several values each, the band that they fill.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The line's points, by rising x.
    pub points: Vec<(f64, f64)>,
    /// Lowest and highest value at each point's x; empty for none.
    pub band: Vec<(f64, f64)>,
    /// The colour.
    pub ink: Ink,
    /// Whether each point is marked.
    pub marked: bool,
}

/// The vertical axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From zero.
    Zero,
    /// Logarithmic where values are positive and spread over more than a factor of ten, else from zero.
    Spread,
}

/// Draws lines over x from 0 to `end`; every coordinate must be finite, and some line must have a point.
pub fn draw(lines: &[Line], end: f64, scale: Scale) -> String {
    let mut svg = String::new();
    draw_into(
        &mut svg,
        lines,
        Axis::across(end),
        Axis::upwards(lines, scale),
    )
    .expect("drawing into memory succeeds");
    svg
}

type Drawing<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw_into<'a>(svg: &'a mut String, lines: &[Line], x: Axis, y: Axis) -> Result<(), Drawing<'a>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin_top(14)
        .margin_right(34)
        .x_label_area_size(46)
        .y_label_area_size(88)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(Ink::Grid.color().stroke_width(1))
        .axis_style(Ink::Grid.color().stroke_width(2))
        .label_style(TextStyle::from(("sans-serif", 25).into_font()).color(&Ink::Text.color()))
        .draw()?;
    for line in lines {
        let color = line.ink.color();
        if !line.band.is_empty() {
            chart.draw_series([Polygon::new(line.outline(), color.filled())])?;
        }
        chart.draw_series(LineSeries::new(
            line.points.iter().copied(),
            color.stroke_width(4),
        ))?;
        if line.marked {
            chart.draw_series(
                line.points
                    .iter()
                    .map(|&point| Circle::new(point, 5, color.filled())),
            )?;
        }
    }
    area.present()
}

impl Line {
    /// Around the band: along its lowest values, and back along its highest.
    fn outline(&self) -> Vec<(f64, f64)> {
        let x = || self.points.iter().map(|point| point.0);
        let lowest = x().zip(self.band.iter().map(|band| band.0));
        let highest = x().zip(self.band.iter().map(|band| band.1));
        lowest.chain(highest.rev()).collect()
    }
}

/// An axis with round numbers.
struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    logarithmic: bool,
}

impl Axis {
    fn across(end: f64) -> Self {
        let high = end.max(1.0);
        Self {
            low: 0.0,
            high,
            ticks: ticks(0.0, high, 6).0,
            logarithmic: false,
        }
    }

    fn upwards(lines: &[Line], scale: Scale) -> Self {
        let values = || {
            let points = lines
                .iter()
                .flat_map(|line| line.points.iter().map(|point| point.1));
            points.chain(
                lines
                    .iter()
                    .flat_map(|line| line.band.iter().flat_map(|band| [band.0, band.1])),
            )
        };
        let lowest = values().fold(f64::INFINITY, f64::min);
        let highest = values().fold(f64::NEG_INFINITY, f64::max);
        if scale == Scale::Spread && lowest > 0.0 && highest / lowest > 10.0 {
            Self::logarithmic(lowest, highest)
        } else {
            Self::linear(lowest.min(0.0), if highest > 0.0 { highest } else { 1.0 })
        }
    }

    /// Ends on round numbers.
    fn linear(lowest: f64, highest: f64) -> Self {
        let (_, step) = ticks(lowest, highest, 5);
        let (low, high) = (
            (lowest / step).floor() * step,
            (highest / step * 1.02).ceil() * step,
        );
        Self {
            low,
            high,
            ticks: ticks(low, high, 5).0,
            logarithmic: false,
        }
    }

    fn logarithmic(lowest: f64, highest: f64) -> Self {
        let (low, high) = (lowest / 1.1, highest * 1.1);
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let steps: &[f64] = if last - first > 3 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let every = (last - first) / 7 + 1;
        let ticks = (first..=last)
            .filter(|decade| decade.rem_euclid(every) == 0)
            .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
            .filter(|tick| (low..=high).contains(tick))
            .collect();
        Self {
            low,
            high,
            ticks,
            logarithmic: true,
        }
    }

    fn position(&self, value: f64) -> f64 {
        if self.logarithmic {
            value.log10()
        } else {
            value
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let [low, high, value] = [self.low, self.high, *value].map(|value| self.position(value));
        from + (f64::from(to - from) * (value - low) / (high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        short(*value)
    }
}

/// Round numbers from `low` to `high`, about `count` of them, and the distance between two.
fn ticks(low: f64, high: f64, count: u32) -> (Vec<f64>, f64) {
    let rough = ((high - low) / f64::from(count)).max(f64::MIN_POSITIVE);
    let decade = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * decade)
        .into_iter()
        .find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step * (1.0 + 1e-9)).floor() as i64;
    ((first..=last).map(|n| n as f64 * step).collect(), step)
}

/// A number as an axis shows it: `0.05`, `64k`, `1e-5`.
fn short(value: f64) -> String {
    let digits = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        0.0 => "0".into(),
        tiny if tiny < 0.000_95 => format!("{value:.0e}"),
        small if small < 9_999.5 => digits(value),
        large if large < 999_999.5 => format!("{}k", digits(value / 1e3)),
        huge if huge < 999_999_999.5 => format!("{}M", digits(value / 1e6)),
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Line {
        Line {
            points: points.to_vec(),
            band: Vec::new(),
            ink: Ink::Series(0),
            marked: false,
        }
    }

    #[test]
    fn every_colour_of_a_drawing_is_in_the_style_sheet() {
        let lines: Vec<Line> = (0..Ink::SERIES)
            .map(|rank| Line {
                band: vec![(0.5, 1.5), (1.0, 3.0)],
                ink: Ink::Series(rank),
                marked: true,
                ..line(&[(0.0, 1.0), (9.0, 2.0)])
            })
            .collect();
        let svg = draw(&lines, 9.0, Scale::Zero);
        let css = include_str!("style.css");
        let mut colours = 0;
        for attribute in svg
            .split([' ', '\n'])
            .filter(|word| word.starts_with("stroke=\"#") || word.starts_with("fill=\"#"))
        {
            let attribute = attribute.trim_end_matches(['/', '>']);
            assert!(
                css.contains(&format!("[{attribute}]")),
                "style.css has no rule for {attribute}"
            );
            colours += 1;
        }
        assert!(colours > 10, "{svg}");
    }

    #[test]
    fn a_loss_that_falls_by_decades_has_a_logarithmic_axis() {
        let axis = |points: &[(f64, f64)]| Axis::upwards(&[line(points)], Scale::Spread);
        let falling = axis(&[(0.0, 2.5), (1.0, 0.02)]);
        let labels: Vec<_> = falling.ticks.iter().map(Axis::format).collect();
        assert_eq!(labels, ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]);
        assert!(!axis(&[(0.0, 2.5), (1.0, 0.5)]).logarithmic);
        assert!(!axis(&[(0.0, 2.5), (1.0, 0.0)]).logarithmic);
    }

    #[test]
    fn axes_hold_every_value() {
        for values in [
            &[(0.0, 0.0)][..],
            &[(0.0, -3.0), (1.0, -1.0)],
            &[(0.0, 1e300)],
            &[(0.0, 1e-12)],
            &[(0.0, 97.0)],
        ] {
            let axis = Axis::upwards(&[line(values)], Scale::Zero);
            for (_, value) in values {
                assert!(
                    axis.low <= *value && *value <= axis.high && axis.low < axis.high,
                    "{values:?}"
                );
            }
            assert!(
                (2..=9).contains(&axis.ticks.len()),
                "{values:?}: {:?}",
                axis.ticks
            );
            assert!(draw(&[line(values)], 0.0, Scale::Zero).ends_with("</svg>\n"));
        }
    }

    #[test]
    fn axis_numbers_are_short() {
        let shown = [
            0.0,
            0.05,
            1e-5,
            0.1 + 0.2,
            2_000.0,
            64_000.0,
            1_500_000.0,
            -3.0,
        ]
        .map(short);
        assert_eq!(
            shown,
            ["0", "0.05", "1e-5", "0.3", "2000", "64k", "1.5M", "-3"]
        );
    }
}
