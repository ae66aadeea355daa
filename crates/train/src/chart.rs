//! Charts of lines and bubbles: as inline SVG whose colours are left to the style sheet, and as SVG and PNG files of their own.
//!
//! plotters draws with fixed colours. On a page these are names: style.css maps each `stroke` and `fill` attribute to a
//! custom property, so that one drawing serves light, dark and print.

mod labels;

use std::io::Cursor;
use std::ops::Range;
use std::sync::Once;

use epaint_default_fonts::UBUNTU_LIGHT;
use image::{ImageFormat, RgbImage};
use labels::Bubble;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::register_font;

/// Width and height of a chart in its own units, which are pixels in a file.
const SIZE: (u32, u32) = (1000, 560);
/// Room above the chart of a file for its title, and for a row of its legend.
const TITLE: u32 = 50;
const LEGEND_ROW: u32 = 34;
const LEGEND_COLUMNS: usize = 4;
/// The radius of a point that is marked.
pub const MARK: u32 = 5;
/// The size of the letters of a label.
const LABEL: u32 = 22;
/// Lengths of a dash and of the gap behind it.
const DASH: (u32, u32) = (14, 9);
/// How much a band covers of what lies behind it.
const BAND: f64 = 0.2;

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
    /// How many series have a colour of their own; the lines of those behind them are dashed, in the same colours.
    const SERIES: usize = 6;

    /// Whether its lines are dashed.
    fn is_dashed(self) -> bool {
        matches!(self, Self::Series(rank) if rank >= Self::SERIES)
    }

    /// The classes of the style sheet.
    pub fn classes(self) -> String {
        match self {
            Self::Series(rank) if self.is_dashed() => format!("ink-{} dashed", rank % Self::SERIES),
            Self::Series(rank) => format!("ink-{rank}"),
            Self::Text | Self::Grid => String::new(),
        }
    }

    /// The colour as style.css selects it; the series' are Okabe and Ito's (2008), safe for the colour-blind.
    fn color(self) -> RGBColor {
        match self {
            Self::Text => RGBColor(0x11, 0x11, 0x11),
            Self::Grid => RGBColor(0xdd, 0xdd, 0xdd),
            Self::Series(rank) => match rank % Self::SERIES {
                0 => RGBColor(0x00, 0x72, 0xb2),
                1 => RGBColor(0xd5, 0x5e, 0x00),
                2 => RGBColor(0x00, 0x9e, 0x73),
                3 => RGBColor(0xcc, 0x79, 0xa7),
                4 => RGBColor(0xe6, 0x9f, 0x00),
                _ => RGBColor(0x56, 0xb4, 0xe9),
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
    /// Of the mark of each point; 0 is none.
    pub radius: u32,
    /// By the last point.
    pub label: Option<String>,
}

/// The vertical axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From zero.
    Zero,
    /// Logarithmic where values are positive and spread over more than a factor of ten, else from zero.
    Spread,
    /// From the lowest value.
    Lowest,
}

/// The horizontal axis, from the lowest to the highest x.
#[derive(Debug, Clone, PartialEq)]
pub enum Across {
    /// Equal steps are differences.
    Linear(Range<f64>),
    /// Equal steps are factors; of positive x.
    Logarithmic(Range<f64>),
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Every coordinate finite, and some line with a point.
    pub lines: Vec<Line>,
    /// Of x.
    pub x: Across,
    /// Of y.
    pub scale: Scale,
}

/// What a chart says of itself where no page does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caption<'a> {
    /// Above the chart.
    pub title: &'a str,
    /// Of the lines, by rank.
    pub names: &'a [&'a str],
    /// Below the chart.
    pub x: &'a str,
}

impl Caption<'_> {
    /// Height above the chart.
    fn head(&self) -> u32 {
        TITLE + LEGEND_ROW * self.names.len().div_ceil(LEGEND_COLUMNS) as u32
    }

    fn size(&self) -> (u32, u32) {
        (SIZE.0, SIZE.1 + self.head())
    }
}

/// The text of all charts, whatever fonts the machine has.
fn register_sans() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        register_font("sans-serif", FontStyle::Normal, UBUNTU_LIGHT)
            .unwrap_or_else(|_| panic!("the font that is built in is one"));
    });
}

/// How words are written, whatever is drawn.
pub fn text(size: u32) -> TextStyle<'static> {
    register_sans();
    TextStyle {
        color: Ink::Text.color().to_backend_color(),
        ..("sans-serif", size).into_font().into()
    }
}

type Drawing<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

impl Chart {
    /// For a page, which has the style sheet, the title and the legend.
    pub fn inline(&self) -> String {
        register_sans();
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        self.draw(&area, "")
            .and_then(|()| area.present())
            .expect("drawing into memory succeeds");
        drop(area);
        svg
    }

    /// An SVG file.
    pub fn svg(&self, caption: Caption<'_>) -> String {
        register_sans();
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, caption.size()).into_drawing_area();
        self.draw_captioned(&area, caption)
            .expect("drawing into memory succeeds");
        drop(area);
        svg
    }

    /// A PNG file.
    pub fn png(&self, caption: Caption<'_>) -> Vec<u8> {
        register_sans();
        let (width, height) = caption.size();
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        self.draw_captioned(&area, caption)
            .expect("drawing into memory succeeds");
        drop(area);
        let image = RgbImage::from_raw(width, height, pixels).expect("a colour for each pixel");
        let mut png = Cursor::new(Vec::new());
        image
            .write_to(&mut png, ImageFormat::Png)
            .expect("writing into memory succeeds");
        png.into_inner()
    }

    fn draw_captioned<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        caption: Caption<'_>,
    ) -> Drawing<B> {
        area.fill(&WHITE)?;
        let (head, chart) = area.split_vertically(caption.head());
        head.draw(&Text::new(caption.title, (34, 12), text(30)))?;
        let column = i32::try_from(SIZE.0).unwrap_or(i32::MAX) / LEGEND_COLUMNS as i32;
        for (rank, (line, name)) in self.lines.iter().zip(caption.names).enumerate() {
            let x = 34 + (rank % LEGEND_COLUMNS) as i32 * column;
            let y = (TITLE + LEGEND_ROW * (rank / LEGEND_COLUMNS) as u32) as i32;
            let middle = y + 12;
            let (ends, style) = (
                [(x, middle), (x + 36, middle)],
                line.ink.color().stroke_width(4),
            );
            if line.ink.is_dashed() {
                head.draw(&DashedPathElement::new(ends, DASH.0, DASH.1, style))?;
            } else {
                head.draw(&PathElement::new(ends, style))?;
            }
            head.draw(&Text::new(*name, (x + 46, y), text(24)))?;
        }
        self.draw(&chart, caption.x)?;
        area.present()
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, x_name: &str) -> Drawing<B> {
        let room = if x_name.is_empty() { 0 } else { 34 };
        let x = Axis::across(&self.x);
        let y = Axis::upwards(&self.lines, self.scale);
        let mut chart = ChartBuilder::on(area)
            .margin_top(14)
            .margin_right(34)
            .x_label_area_size(50 + room)
            .y_label_area_size(92)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(Ink::Grid.color().stroke_width(1))
            .axis_style(Ink::Grid.color().stroke_width(2))
            .label_style(text(28))
            .axis_desc_style(text(26))
            .x_desc(x_name)
            .draw()?;
        for line in &self.lines {
            let color = line.ink.color();
            if !line.band.is_empty() {
                chart.draw_series([Polygon::new(line.outline(), color.mix(BAND).filled())])?;
            }
            let (points, style) = (line.points.iter().copied(), color.stroke_width(3));
            if line.ink.is_dashed() {
                chart.draw_series(DashedLineSeries::new(points, DASH.0, DASH.1, style))?;
            } else {
                chart.draw_series(LineSeries::new(points, style))?;
            }
            if line.radius > 0 {
                // Large marks lie over each other.
                let mark = if line.radius > MARK {
                    color.mix(0.5).filled()
                } else {
                    color.filled()
                };
                let circle = |&point| Circle::new(point, line.radius, mark);
                chart.draw_series(line.points.iter().map(circle))?;
            }
        }
        self.draw_labels(&chart)
    }

    /// Over all else.
    fn draw_labels<B: DrawingBackend>(
        &self,
        chart: &ChartContext<'_, B, Cartesian2d<Axis, Axis>>,
    ) -> Drawing<B> {
        let area = chart.plotting_area();
        let style = text(LABEL);
        let labelled = (self.lines.iter())
            .filter_map(|line| Some((line, line.label.as_ref()?, *line.points.last()?)));
        let (origin, size) = (area.get_base_pixel(), area.dim_in_pixel());
        let mut bubbles = Vec::new();
        for (line, label, point) in labelled.clone() {
            let (x, y) = area.map_coordinate(&point);
            let (width, height) = area.estimate_text_size(label, &style)?;
            bubbles.push(Bubble {
                center: [x - origin.0, y - origin.1],
                radius: line.radius as i32,
                name: [width as i32, height as i32],
            });
        }
        let offsets = labels::offsets(&bubbles, [size.0 as i32, size.1 as i32]);
        for ((_, label, point), [left, top]) in labelled.zip(offsets) {
            let label = Text::new(label.clone(), (left, top), style.clone());
            area.draw(&(EmptyElement::at(point) + label))?;
        }
        Ok(())
    }
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
    fn across(x: &Across) -> Self {
        match x {
            Across::Linear(x) => {
                let low = x.start;
                let high = if x.end > low { x.end } else { low + 1.0 };
                Self {
                    low,
                    high,
                    ticks: ticks(low, high, 6).0,
                    logarithmic: false,
                }
            }
            Across::Logarithmic(x) => Self::logarithmic(x.start, x.end),
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
            let lowest = if scale == Scale::Lowest {
                lowest
            } else {
                lowest.min(0.0)
            };
            Self::linear(
                lowest,
                if highest > lowest {
                    highest
                } else {
                    lowest + 1.0
                },
            )
        }
    }

    /// Ends on round numbers.
    fn linear(lowest: f64, highest: f64) -> Self {
        let (_, step) = ticks(lowest, highest, 5);
        let (low, high) = (
            (lowest / step).floor() * step,
            (highest / step).ceil() * step,
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
            radius: 0,
            label: None,
        }
    }

    fn chart(lines: Vec<Line>) -> Chart {
        Chart {
            lines,
            x: Across::Linear(0.0..9.0),
            scale: Scale::Zero,
        }
    }

    /// The legend of many lines has rows of its own, and the picture is as large as both formats say.
    #[test]
    fn a_chart_is_a_file_with_its_title_and_legend() {
        let chart = chart(vec![line(&[(0.0, 1.0), (9.0, 2.0)]); 4]);
        let caption = Caption {
            title: "Training error",
            names: &["plain-20", "plain-56", "resnet-20", "resnet-56"],
            x: "steps",
        };
        let svg = chart.svg(caption);
        for said in ["Training error", "resnet-56", "steps"] {
            assert!(svg.contains(said), "{said}: {svg}");
        }
        let png = image::load_from_memory(&chart.png(caption)).unwrap();
        assert_eq!((png.width(), png.height()), caption.size());
        let colours: std::collections::HashSet<_> =
            png.to_rgb8().pixels().map(|pixel| pixel.0).collect();
        assert!(colours.contains(&[0, 0x72, 0xb2]) && colours.len() > 10);
    }

    #[test]
    fn every_colour_of_a_drawing_is_in_the_style_sheet() {
        let lines: Vec<Line> = (0..Ink::SERIES)
            .map(|rank| Line {
                band: vec![(0.5, 1.5), (1.0, 3.0)],
                ink: Ink::Series(rank),
                radius: MARK,
                ..line(&[(0.0, 1.0), (9.0, 2.0)])
            })
            .collect();
        let svg = chart(lines).inline();
        let css = include_str!("report/style.css");
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
    fn series_of_one_colour_are_told_apart_by_dashes() {
        let of = |rank| {
            let long = Line {
                ink: Ink::Series(rank),
                ..line(&[(0.0, 1.0), (9.0, 2.0)])
            };
            chart(vec![long]).inline()
        };
        let strokes = |svg: &str| svg.matches("#0072B2").count();
        assert_eq!(strokes(&of(0)), 1);
        assert!(strokes(&of(Ink::SERIES)) > 5, "{}", of(Ink::SERIES));
        assert_eq!(Ink::Series(Ink::SERIES).classes(), "ink-0 dashed");
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
            assert!(chart(vec![line(values)]).inline().ends_with("</svg>\n"));
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
