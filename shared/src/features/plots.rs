//! Plots of what the features are made of, as PNG.
//!
//! [`plots`] says which there are, [`Plot::png`] draws one; the text is drawn
//! with a font that comes along, so that no system font is needed, and the same
//! input gives the same bytes. `kuva` draws; nothing outside this module knows.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use kuva::backend::raster::RasterBackend;
use kuva::plot::legend::LegendPosition;
use kuva::plot::{BandPlot, LinePlot, LollipopPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::datetime::DateTimeAxis;
use kuva::render::figure::Figure;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot as Drawn;
use kuva::render::render::{Scene, render_multiple};
use thiserror::Error;
use time::{Date, Month};

use super::{CatalogueAsset, Column, ColumnKind, FeatureSet};

/// Width and height of a plot in units of the drawing; a PNG has [`SCALE`]
/// times as many pixels.
const SIZE: (f64, f64) = (1000.0, 520.0);

/// Pixels per unit of the drawing.
const SCALE: f32 = 1.5;

/// Most lines that can be told apart by their colours.
const MOST_NAMED: usize = 10;

/// Most assets whose low-pass components are drawn, the predicted asset first.
const MOST_LOW_PASS: usize = 12;

/// Greatest lag of the autocorrelation of prices, rows: a year of trading days.
const PRICE_LAGS: usize = 250;

/// Greatest lag of the autocorrelation of changes, rows.
const CHANGE_LAGS: usize = 40;

/// Colours that remain distinct for colour-blind readers (Paul Tol's bright and
/// muted schemes), the strongest first.
const COLOURS: [&str; MOST_NAMED] = [
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#882255", "#44aa99",
    "#999933", "#332288",
];

/// What stays in the background.
const GREY: &str = "#b8b8b8";

/// A plot can't be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the plot {name} cannot be drawn: {cause}")]
pub struct PlotError {
    /// The plot's file name.
    pub name: String,
    /// What the drawing library said.
    pub cause: String,
}

/// One plot, not yet drawn.
#[derive(Debug)]
pub struct Plot<'a> {
    name: String,
    title: String,
    content: Content<'a>,
}

/// What a plot shows.
#[derive(Debug)]
enum Content<'a> {
    /// Prices by date.
    Prices {
        dates: &'a [Date],
        columns: Vec<&'a Column>,
    },
    /// A price and its low-pass components by date.
    LowPass {
        dates: &'a [Date],
        price: &'a Column,
        components: Vec<(usize, &'a Column)>,
    },
    /// Autocorrelation of a price and of its changes by lag.
    Autocorrelation { price: &'a Column },
}

/// The plots of a feature set: the prices of each asset class, the low-pass
/// components of up to twelve assets (the predicted one first, the rest by
/// ticker), and the autocorrelation of the predicted asset.
///
/// `assets` gives each asset's class. File names are made of letters, digits
/// and hyphens, whatever tickers and classes hold, and differ from each other.
pub fn plots<'a>(assets: &[CatalogueAsset], predicted: &str, set: &'a FeatureSet) -> Vec<Plot<'a>> {
    let dates = set.dates();
    let mut names = Names::default();
    let mut plots = Vec::new();

    let mut prices: BTreeMap<&str, &Column> = BTreeMap::new();
    let mut low_pass: BTreeMap<&str, Vec<(usize, &Column)>> = BTreeMap::new();
    for column in set.columns() {
        let Some(asset) = column.asset.as_deref() else {
            continue;
        };
        match column.kind {
            ColumnKind::Price => {
                prices.insert(asset, column);
            }
            ColumnKind::LowPass { bins } => {
                low_pass.entry(asset).or_default().push((bins, column));
            }
            _ => {}
        }
    }

    let mut classes: BTreeMap<&str, Vec<&Column>> = BTreeMap::new();
    for asset in assets {
        if let Some(price) = prices.get(asset.ticker.as_str()) {
            classes.entry(&asset.class).or_default().push(price);
        }
    }
    for (class, columns) in classes {
        plots.push(Plot {
            name: names.unique("assets", class),
            title: format!("{class}: closing prices"),
            content: Content::Prices { dates, columns },
        });
    }

    let mut order: Vec<&str> = low_pass.keys().copied().collect();
    order.sort_by_key(|ticker| (*ticker != predicted, *ticker));
    for ticker in order.into_iter().take(MOST_LOW_PASS) {
        let (Some(price), Some(components)) = (prices.get(ticker), low_pass.remove(ticker)) else {
            continue;
        };
        plots.push(Plot {
            name: names.unique("low-pass", ticker),
            title: format!("{ticker}: price and Fourier low-pass"),
            content: Content::LowPass {
                dates,
                price,
                components,
            },
        });
    }

    if let Some(price) = prices.get(predicted) {
        plots.push(Plot {
            name: names.unique("autocorrelation", predicted),
            title: format!("{predicted}: autocorrelation"),
            content: Content::Autocorrelation { price },
        });
    }
    plots
}

impl Plot<'_> {
    /// The plot's file name, such as `assets-energy.png`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it shows, for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Draws it; gives the content of a PNG file.
    ///
    /// # Errors
    /// The drawing library fails, or panics: a fault of a picture must not cost
    /// a whole run.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        let draw = || {
            RasterBackend::new()
                .with_scale(SCALE)
                .render_scene(&self.scene())
        };
        let drawn = catch_unwind(AssertUnwindSafe(draw))
            .unwrap_or_else(|_| Err("the drawing library panicked".to_owned()));
        drawn.map_err(|cause| PlotError {
            name: self.name.clone(),
            cause,
        })
    }

    fn scene(&self) -> Scene {
        match &self.content {
            Content::Prices { dates, columns } => prices_scene(&self.title, dates, columns),
            Content::LowPass {
                dates,
                price,
                components,
            } => low_pass_scene(&self.title, dates, price, components),
            Content::Autocorrelation { price } => autocorrelation_scene(&self.title, &price.values),
        }
    }
}

/// File names that differ even where a file system doesn't tell cases apart.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn unique(&mut self, kind: &str, what: &str) -> String {
        const LONGEST: usize = 60;
        let mut slug = String::new();
        for letter in what.chars().take(LONGEST) {
            if letter.is_ascii_alphanumeric() {
                slug.push(letter.to_ascii_lowercase());
            } else if !slug.ends_with('-') {
                slug.push('-');
            }
        }
        let stem = format!("{kind}-{}", slug.trim_matches('-'));
        let mut name = format!("{stem}.png");
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{stem}-{number}.png");
            number += 1;
        }
        name
    }
}

/// A text that is drawn as it stands: between dollar signs, the drawing library
/// would read formulas.
fn plain(text: &str) -> String {
    text.replace('$', "\\$")
}

/// The date's place on the horizontal axis: seconds since 1970.
fn seconds(date: Date) -> f64 {
    const EPOCH: Result<Date, time::error::ComponentRange> =
        Date::from_calendar_date(1970, Month::January, 1);
    let epoch = EPOCH.map_or(0, Date::to_julian_day);
    f64::from(date.to_julian_day() - epoch) * 86_400.0
}

/// A line through the values that are there.
fn line(dates: &[Date], values: &[f64], colour: &str, width: f64) -> LinePlot {
    let points = dates
        .iter()
        .zip(values)
        .filter(|(_, value)| value.is_finite());
    LinePlot::new()
        .with_data(points.map(|(date, value)| (seconds(*date), *value)))
        .with_color(colour)
        .with_stroke_width(width)
}

/// The layout of lines by date.
fn dated(title: &str, dates: &[Date], drawn: &[Drawn]) -> Layout {
    let layout = Layout::auto_from_plots(drawn)
        .with_title(plain(title))
        .with_width(SIZE.0)
        .with_height(SIZE.1)
        .with_title_size(18)
        .with_legend_position(LegendPosition::OutsideRightTop);
    let (Some(first), Some(last)) = (dates.first(), dates.last()) else {
        return layout;
    };
    let (first, last) = (seconds(*first), seconds(*last));
    // At most some fifteen labels whatever the span.
    let axis = DateTimeAxis::auto(first, last);
    let labels = axis.generate_ticks(first, last).len();
    let layout = layout.with_x_datetime(axis.with_step(labels.div_ceil(15).max(1)));
    if first < last {
        layout.with_x_axis_min(first).with_x_axis_max(last)
    } else {
        layout
    }
}

/// Prices as shares of their first value, so that assets compare; on a
/// logarithmic axis, where equal distances are equal gains. Prices that are not
/// all positive are shown as they are.
fn prices_scene(title: &str, dates: &[Date], columns: &[&Column]) -> Scene {
    let positive = columns
        .iter()
        .flat_map(|column| &column.values)
        .all(|value| *value > 0.0);
    let scaled: Vec<(&str, Vec<f64>)> = columns
        .iter()
        .map(|column| {
            let unit = match column.values.first() {
                Some(first) if positive => first / 100.0,
                _ => 1.0,
            };
            let values = column.values.iter().map(|value| value / unit).collect();
            (column.asset.as_deref().unwrap_or(&column.name), values)
        })
        .collect();

    let mut drawn: Vec<Drawn> = Vec::new();
    if scaled.len() <= MOST_NAMED {
        for ((ticker, values), colour) in scaled.iter().zip(COLOURS) {
            let line = line(dates, values, colour, 1.2).with_legend(plain(&short(ticker)));
            drawn.push(Drawn::Line(line));
        }
    } else {
        for (index, (_, values)) in scaled.iter().enumerate() {
            let one = line(dates, values, GREY, 0.7);
            drawn.push(Drawn::Line(if index == 0 {
                one.with_legend(format!("each of {}", scaled.len()))
            } else {
                one
            }));
        }
        let middle: Vec<f64> = (0..dates.len())
            .map(|row| median(scaled.iter().map(|(_, values)| values[row]).collect()))
            .collect();
        drawn.push(Drawn::Line(
            line(dates, &middle, COLOURS[0], 2.0).with_legend("median"),
        ));
    }
    let layout = dated(title, dates, &drawn);
    let layout = match (positive, dates.first()) {
        (true, Some(first)) => {
            let all = scaled.iter().flat_map(|(_, values)| values);
            let (least, greatest) = all.fold((f64::MAX, 0.0_f64), |(least, greatest), value| {
                (least.min(*value), greatest.max(*value))
            });
            layout
                .with_log_y()
                // The library would round up to whole powers of ten.
                .with_y_axis_min(least / 1.1)
                .with_y_axis_max(greatest * 1.1)
                .with_y_label(format!("price, {first} = 100, log scale"))
        }
        _ => layout.with_y_label("price"),
    };
    render_multiple(drawn, layout)
}

/// The middle value of values that are all there.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

fn low_pass_scene(
    title: &str,
    dates: &[Date],
    price: &Column,
    components: &[(usize, &Column)],
) -> Scene {
    let grey = line(dates, &price.values, GREY, 1.0).with_legend("price");
    let mut drawn = vec![Drawn::Line(grey)];
    // The smoothest last: it would be hidden below the others.
    let coloured = components.iter().enumerate().rev();
    for (index, (bins, column)) in coloured {
        let colour = COLOURS[index % COLOURS.len()];
        let line = line(dates, &column.values, colour, 1.4).with_legend(format!("{bins} bins"));
        drawn.push(Drawn::Line(line));
    }
    let layout = dated(title, dates, &drawn).with_y_label("price");
    render_multiple(drawn, layout)
}

fn autocorrelation_scene(title: &str, prices: &[f64]) -> Scene {
    let (changes, kind) = changes(prices);
    let panels = [
        ("prices", prices, PRICE_LAGS),
        (kind, changes.as_slice(), CHANGE_LAGS),
    ];
    let mut cells = Vec::new();
    let mut layouts = Vec::new();
    for (what, values, lags) in panels {
        let correlations = autocorrelation(values, lags);
        let bound = 1.96 / (values.len().max(1) as f64).sqrt();
        let at = |lag: usize| lag as f64;
        let span = [0.0, at(correlations.len().max(1))];
        let band = BandPlot::new(span, [-bound; 2], [bound; 2])
            .with_color(GREY)
            .with_opacity(0.5);
        let points = correlations
            .iter()
            .enumerate()
            .map(|(index, r)| (at(index + 1), *r));
        let curve = if lags > CHANGE_LAGS {
            Drawn::Line(
                LinePlot::new()
                    .with_data(points)
                    .with_color(COLOURS[0])
                    .with_stroke_width(1.6),
            )
        } else {
            Drawn::Lollipop(
                LollipopPlot::new()
                    .with_points(points)
                    .with_color(COLOURS[0])
                    .with_dot_radius(3.0)
                    .with_show_baseline(false),
            )
        };
        let cell = vec![Drawn::Band(band), curve];
        let heading = if correlations.is_empty() {
            format!("{what}: constant, so without autocorrelation")
        } else {
            format!("{what}, 95 % bounds of white noise in grey")
        };
        layouts.push(
            Layout::auto_from_plots(&cell)
                .with_title(heading)
                .with_title_size(14)
                .with_x_label("lag, rows")
                .with_y_label("autocorrelation")
                .with_x_axis_min(0.0)
                .with_x_axis_max(span[1])
                .with_reference_line(
                    ReferenceLine::horizontal(0.0)
                        .with_color("#666666")
                        .with_dasharray("")
                        .with_stroke_width(0.8),
                ),
        );
        cells.push(cell);
    }
    Figure::new(1, 2)
        .with_title(plain(title))
        .with_title_size(18)
        .with_plots(cells)
        .with_layouts(layouts)
        .with_cell_size(SIZE.0 / 2.0, SIZE.1 - 80.0)
        .render()
}

/// Daily changes: log differences where all prices are positive, else plain
/// ones, with their name.
fn changes(prices: &[f64]) -> (Vec<f64>, &'static str) {
    let pairs = prices.windows(2);
    if prices.iter().all(|price| *price > 0.0) {
        let logs = pairs.map(|pair| (pair[1] / pair[0]).ln());
        (logs.collect(), "daily log changes")
    } else {
        (
            pairs.map(|pair| pair[1] - pair[0]).collect(),
            "daily changes",
        )
    }
}

/// The autocorrelation at the lags 1 to `lags` (fewer where the series is
/// short): `r_k = sum (x_t - m)(x_(t+k) - m) / sum (x_t - m)^2`; empty for a
/// constant series.
fn autocorrelation(values: &[f64], lags: usize) -> Vec<f64> {
    let rows = values.len() as f64;
    let mean = values.iter().sum::<f64>() / rows;
    let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let product = |lag: usize| -> f64 {
        let later = centred.iter().skip(lag);
        centred.iter().zip(later).map(|(a, b)| a * b).sum()
    };
    let variance = product(0);
    // What rounding leaves of a constant's variance is far below this.
    if variance.is_nan() || variance <= 1e-24 * rows * mean * mean {
        return Vec::new();
    }
    (1..=lags.min(values.len().saturating_sub(2)))
        .map(|lag| product(lag) / variance)
        .collect()
}

/// A ticker that fits a legend.
fn short(ticker: &str) -> String {
    const LONGEST: usize = 14;
    if ticker.chars().count() <= LONGEST {
        return ticker.to_owned();
    }
    let start: String = ticker.chars().take(LONGEST - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{PriceSeries, run};
    use crate::training_template::TrainingTemplate;
    use serde_json::json;

    /// A feature set of assets with these prices over `rows` days.
    fn set(assets: &[(&str, &str)], rows: usize, price: impl Fn(usize, usize) -> f64) -> Made {
        let template = json!({
            "Id": "t", "name": "n", "predictedAsset": assets[0].0,
            "feMeta": {
                "baseAssets": "all",
                "fftSettings": {
                    "enabled": true, "assetClasses": [assets[0].1], "num_steps": [3, 9]
                }
            },
            "deepARMeta": {
                "freq": "1D", "predictionLength": 7, "contextLength": 28, "testWindows": 1,
                "startDataset": 0, "endTraining": 86_400_000_i64 * 300,
                "hyperParams": {"epochs": 1}
            }
        });
        let template = TrainingTemplate::parse(&template).unwrap();
        let mut date = Date::from_calendar_date(1970, Month::January, 1).unwrap();
        let mut dates = Vec::new();
        for _ in 0..rows {
            dates.push(date);
            date = date.next_day().unwrap();
        }
        let assets: Vec<CatalogueAsset> = assets
            .iter()
            .map(|(ticker, class)| CatalogueAsset {
                ticker: (*ticker).to_owned(),
                class: (*class).to_owned(),
            })
            .collect();
        let series = assets.iter().enumerate().map(|(index, asset)| {
            let series = PriceSeries {
                ticker: asset.ticker.clone(),
                dates: dates.clone(),
                prices: (0..rows).map(|row| price(index, row)).collect(),
                dropped: 0,
                warnings: Vec::new(),
            };
            (asset.clone(), series)
        });
        let set = run(&template, series.collect(), &mut |_| ()).unwrap();
        Made {
            predicted: template.predicted_asset,
            assets,
            set,
        }
    }

    struct Made {
        assets: Vec<CatalogueAsset>,
        predicted: String,
        set: FeatureSet,
    }

    impl Made {
        fn plots(&self) -> Vec<Plot<'_>> {
            plots(&self.assets, &self.predicted, &self.set)
        }
    }

    fn wavy(asset: usize, row: usize) -> f64 {
        let (asset, row) = (asset as f64, row as f64);
        100.0 + 10.0 * asset + (row / (7.0 + asset)).sin() * 20.0 + row / 10.0
    }

    /// Width and height that a PNG file states.
    fn dimensions(png: &[u8]) -> (u32, u32) {
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        (number(16), number(20))
    }

    #[test]
    fn there_is_a_plot_per_class_per_low_pass_asset_and_one_of_autocorrelation() {
        let made = set(
            &[("BB", "Energy"), ("AA", "Energy"), ("CC", "Health Care")],
            400,
            wavy,
        );
        let plots = made.plots();
        let names: Vec<&str> = plots.iter().map(Plot::name).collect();
        assert_eq!(
            names,
            [
                "assets-energy.png",
                "assets-health-care.png",
                "low-pass-bb.png",
                "low-pass-aa.png",
                "autocorrelation-bb.png"
            ]
        );
        for plot in &plots {
            let png = plot.png().unwrap();
            let (width, height) = dimensions(&png);
            assert!(
                width >= 1200 && height >= 600,
                "{}: {width} x {height}",
                plot.name()
            );
            assert!(png.len() > 10_000, "{} is empty", plot.name());
            assert_eq!(png, plot.png().unwrap(), "the same bytes each time");
        }
    }

    #[test]
    fn names_are_safe_and_differ_whatever_the_tickers() {
        let made = set(
            &[
                ("a$b", "X/../y $\\frac{1}{2}$"),
                ("A$B", "x-y-frac-1-2"),
                ("A.B", "Ä"),
            ],
            400,
            wavy,
        );
        let mut seen = HashSet::new();
        for plot in made.plots() {
            let name = plot.name().strip_suffix(".png").unwrap();
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{name}"
            );
            assert!(seen.insert(plot.name().to_owned()), "{name} twice");
            plot.png().unwrap();
        }
    }

    #[test]
    fn prices_that_are_constant_negative_or_huge_are_drawn() {
        let shapes: [fn(usize, usize) -> f64; 4] = [
            |asset, row| if asset == 0 { wavy(0, row) } else { 5.0 },
            |asset, row| wavy(asset, row) - 150.0,
            |asset, row| wavy(asset, row) * 1e12,
            |asset, row| wavy(asset, row) * 1e-12,
        ];
        for shape in shapes {
            for plot in set(&[("AA", "Energy"), ("BB", "Energy")], 400, shape).plots() {
                plot.png().unwrap();
            }
        }
    }

    #[test]
    fn a_class_of_many_assets_is_drawn_as_a_crowd_with_its_median() {
        let tickers: Vec<String> = (0..30).map(|i| format!("T{i:02}")).collect();
        let assets: Vec<(&str, &str)> = tickers.iter().map(|t| (t.as_str(), "Energy")).collect();
        let made = set(&assets, 400, wavy);
        let plots = made.plots();
        let low_pass = plots
            .iter()
            .filter(|plot| plot.name().starts_with("low-pass"));
        assert_eq!(low_pass.count(), MOST_LOW_PASS);
        dimensions(&plots[0].png().unwrap());
    }

    #[test]
    fn autocorrelation_is_that_of_its_definition() {
        let r = autocorrelation(&[1.0, 2.0, 3.0, 4.0, 5.0], 10);
        // Deviations -2..2, variance sum 10.
        assert_eq!(r, [0.4, -0.1, -0.4]);
        assert!(autocorrelation(&[0.1; 50], 10).is_empty());
        assert!(autocorrelation(&[], 10).is_empty());
        assert!(autocorrelation(&[1.0], 10).is_empty());
    }

    #[test]
    fn the_median_is_the_middle_one_or_the_mean_of_the_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
