//! The curves as drawings: SVG, and PNG for documents that show no SVG.
//!
//! Both axes are logarithmic, so that the slope of a curve is its exponent. The font comes with the
//! program, so a machine without fonts draws the same.

use std::{fmt::Display, fs, path::Path};

use epaint_default_fonts::UBUNTU_LIGHT;
use kvlease_client::ByteSize;
use plotters::{
    chart::ChartContext, coord::combinators::LogCoord, drawing::DrawingAreaErrorKind, prelude::*,
    style::register_font,
};

use super::{Figure, Series};
use crate::{
    failure::{Failure, Status},
    text::human_size,
};

/// Width and height, in pixels.
const SIZE: (u32, u32) = (900, 560);

/// Bytes of a pixel of the PNG.
const PIXEL_LEN: usize = 3;

/// Name of the font in both drawings.
const FONT: &str = "sans-serif";

/// Labels of the axis of what was varied, so that sizes do not overlap.
const X_LABELS: usize = 6;

/// How far the axes reach beyond the points, as a factor.
const MARGIN: f64 = 1.25;

/// The axis of what was varied in bytes, whose labels are sizes.
const BYTES: &str = "bytes";

/// Draws each figure into a file of each kind, with a text below the axis.
pub(crate) fn draw(dir: &Path, figures: &[Figure], below: &str) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(Failure::file("make the directory", dir))?;
    let font = register_font(FONT, FontStyle::Normal, UBUNTU_LIGHT);
    assert!(font.is_ok(), "the library's font is one");
    for figure in figures.iter().filter(|figure| Bounds::of(figure).is_some()) {
        let path = dir.join(format!("{}.svg", figure.name));
        let mut svg = String::new();
        draw_on(SVGBackend::with_string(&mut svg, SIZE), figure, below)?;
        fs::write(&path, svg).map_err(Failure::file("write", &path))?;

        let path = dir.join(format!("{}.png", figure.name));
        let mut pixels = vec![0; SIZE.0 as usize * SIZE.1 as usize * PIXEL_LEN];
        draw_on(BitMapBackend::with_buffer(&mut pixels, SIZE), figure, below)?;
        let png = encode(&pixels).map_err(failed)?;
        fs::write(&path, png).map_err(Failure::file("write", &path))?;
    }
    Ok(())
}

fn encode(pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(png)
}

/// Least and largest values of a figure.
struct Bounds {
    x: (f64, f64),
    y: (f64, f64),
}

impl Bounds {
    /// `None` unless a point can be drawn on logarithmic axes.
    fn of(figure: &Figure) -> Option<Self> {
        let points = figure.series.iter().flat_map(drawable);
        points.fold(None, |bounds: Option<Self>, (x, y)| {
            let Self { x: (x0, x1), y: (y0, y1) } = bounds.unwrap_or(Self { x: (x, x), y: (y, y) });
            Some(Self { x: (x0.min(x), x1.max(x)), y: (y0.min(y), y1.max(y)) })
        })
    }
}

fn drawable(series: &Series) -> impl Iterator<Item = (f64, f64)> + Clone {
    series.points.iter().copied().filter(|(x, y)| *x > 0.0 && *y > 0.0)
}

fn draw_on<B: DrawingBackend>(backend: B, figure: &Figure, below: &str) -> Result<(), Failure> {
    let Some(Bounds { x, y }) = Bounds::of(figure) else { return Ok(()) };
    let area = backend.into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let axis = |(least, largest): (f64, f64)| (least / MARGIN..largest * MARGIN).log_scale();
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{} ({})", figure.title, figure.y), (FONT, 22))
        .margin(14)
        .x_label_area_size(54)
        .y_label_area_size(72)
        .build_cartesian_2d(axis(x), axis(y))
        .map_err(failed)?;
    let x_label = |value: &f64| match figure.x {
        BYTES => human_size(ByteSize::new(*value as u64)),
        _ => short(*value),
    };
    chart
        .configure_mesh()
        .x_desc(format!("{}; {below}", figure.x))
        .x_labels(X_LABELS)
        .x_label_formatter(&x_label)
        .y_label_formatter(&|value| short(*value))
        .label_style((FONT, 16))
        .axis_desc_style((FONT, 16))
        .light_line_style(WHITE.mix(0.0))
        .draw()
        .map_err(failed)?;
    for (number, series) in figure.series.iter().enumerate() {
        draw_series(&mut chart, number, series).map_err(failed)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 16))
        .draw()
        .map_err(failed)?;
    area.present().map_err(failed)
}

type Plane = Cartesian2d<LogCoord<f64>, LogCoord<f64>>;

fn draw_series<B: DrawingBackend>(
    chart: &mut ChartContext<'_, B, Plane>,
    number: usize,
    series: &Series,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let colour = Palette99::pick(number).to_rgba();
    let line = LineSeries::new(drawable(series), colour.stroke_width(2));
    chart
        .draw_series(line)?
        .label(series.name)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    chart.draw_series(drawable(series).map(|point| Circle::new(point, 3, colour.filled())))?;
    Ok(())
}

/// A number in a few characters.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        1e9.. => (value / 1e9, "G"),
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn failed(error: impl Display) -> Failure {
    Failure::new(Status::Io, format!("cannot draw the curves: leave out `--plot`, {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.25, "0.25"), (1.0, "1"), (1500.0, "1.5k"), (3e6, "3M"), (1e9, "1G"), (10.0, "10")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn points_that_a_logarithm_does_not_have_are_left_out() {
        let mut figure = Figure::new("f", "F", "x", "y");
        figure.add("a", 10.0, 0.0);
        assert!(Bounds::of(&figure).is_none());
        figure.add("a", 20.0, 5.0);
        let Bounds { x, y } = Bounds::of(&figure).unwrap();
        assert_eq!((x, y), ((20.0, 20.0), (5.0, 5.0)));
    }
}
