//! Plots of what the features are made of, as PNG.
//!
//! [`plots`] says which there are, [`Plot::png`] draws one; the text is drawn
//! with a font that comes along, so that no system font is needed (letters it
//! lacks, such as Chinese ones, become boxes), and the same input gives the same
//! bytes. `kuva` draws; nothing outside this module knows. A fault in drawing is
//! an error of that plot alone.
//!
//! | file | shows |
//! |---|---|
//! | `assets-<class>.png` | The closing prices of a class's assets by date. Positive prices are shown as shares of their first one (= 100) on a logarithmic axis, where equal distances are equal gains; a class with a price of 0 or less is shown as it is, on a linear axis. Up to ten assets are told apart by colour; more are a grey crowd with their median. |
//! | `low-pass-<ticker>.png` | An asset's price in grey and its low-pass columns, one for each `num_steps`: what each of them still knows of the price. The first rows of a column have no value under mode `expanding`. At most twelve assets are drawn, the predicted one first. |
//! | `autocorrelation-<ticker>.png` | The correlation of the predicted asset's price, and of its daily change, with itself some rows before: of prices for a year of rows, of changes for forty. The grey band is +-1.96/sqrt(n), within which 95 % of the values of white noise of this length lie; it is not a confidence interval of the estimate (Bartlett's, which widens with the lag). Prices wander, so theirs are near 1 and fall slowly; changes out of the band are what a forecast could use. |
//! | `importance-columns.png` | The twenty features most important for the predicted asset's price: each one's share of the mean gain of a split (the importance), and of the total gain of all splits, both also as numbers beside the name. The two differ much where a feature is split on seldom but early. |
//! | `importance-classes.png` | The mean importance of a class's columns, and beside its name that of all of them; the target's lags are a class of their own. |
//! | `autoencoder-losses.png` | The autoencoder's mean squared error by epoch, taken while training, on a logarithmic axis, with the errors after training on the training rows and on the later ones. |
//!
//! In file names, a class or a ticker is in lower case, and what is not a letter or
//! digit is a hyphen. One with letters beyond ASCII, which a name can't keep, or
//! with more than 60 characters has eight digits of a check sum at its end:
//! `Größe` is `assets-gr-e-48b3427a.png`. Where two names are the same
//! nevertheless (`B.B` and `B_B`), the second one, in the order of the names,
//! gets a number: `low-pass-b-b-2.png`.
//!
//! Importance is association on the same day, not forecasting value, and the
//! plots say so.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kuva::backend::raster::RasterBackend;
use kuva::plot::legend::{LegendEntry, LegendPosition, LegendShape};
use kuva::plot::{BandPlot, BarPlot, LinePlot, LollipopPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::datetime::DateTimeAxis;
use kuva::render::figure::Figure;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot as Drawn;
use kuva::render::render::{Scene, render_multiple};
use thiserror::Error;
use time::{Date, Month};

use super::{AutoencoderReport, CatalogueAsset, Column, ColumnKind, FeatureSet, Importance};

mod fan_chart;

pub use fan_chart::{BANDS, FanChart, FanPoint};

/// Width and height of a plot in units of the drawing; a PNG has [`SCALE`]
/// times as many pixels.
const SIZE: (f64, f64) = (1000.0, 520.0);

/// Pixels per unit of the drawing.
const SCALE: f32 = 1.5;

/// Most lines that can be told apart by their colours.
const MOST_NAMED: usize = 10;

/// Most assets whose low-pass components are drawn, the predicted asset first.
const MOST_LOW_PASS: usize = 12;

/// Most features and classes whose importance is drawn.
const MOST_RANKED: usize = 20;

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
    /// The importance of the foremost features.
    Features(&'a Importance),
    /// The importance of asset classes.
    Classes(&'a Importance),
    /// The autoencoder's loss by epoch.
    Losses(&'a AutoencoderReport),
}

/// The plots of a feature set: the prices of each asset class, the low-pass
/// components of up to twelve assets (the predicted one first, the rest by
/// ticker), the autocorrelation of the predicted asset, and, of a set that has
/// them, the importance of features and classes and the autoencoder's losses.
///
/// `assets` gives each asset's class. File names are made of lower-case letters,
/// digits and hyphens, whatever tickers and classes hold, and differ from each
/// other.
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

    // By ticker, in whatever order the assets came.
    let mut classes: BTreeMap<&str, BTreeMap<&str, &Column>> = BTreeMap::new();
    for asset in assets {
        if let Some(price) = prices.get(asset.ticker.as_str()) {
            let class = classes.entry(&asset.class).or_default();
            class.insert(&asset.ticker, price);
        }
    }
    for (class, columns) in classes {
        let columns = columns.into_values().collect();
        plots.push(Plot {
            name: names.unique("assets", class),
            title: format!("{}: closing prices", short(class, LONGEST_NAME)),
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
            title: format!(
                "{}: price and Fourier low-pass",
                short(ticker, LONGEST_NAME)
            ),
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
            title: format!("{}: autocorrelation", short(predicted, LONGEST_NAME)),
            content: Content::Autocorrelation { price },
        });
    }

    if let Some(importance) = set.importance() {
        let target = short(&importance.target, LONGEST_NAME);
        let of_all = match importance.features.len() {
            few if few <= MOST_RANKED => String::new(),
            many => format!(", the {MOST_RANKED} foremost of {many}"),
        };
        plots.push(Plot {
            name: names.unique("importance", "columns"),
            title: format!("{target}: importance of features{of_all}"),
            content: Content::Features(importance),
        });
        plots.push(Plot {
            name: names.unique("importance", "classes"),
            title: format!("{target}: importance of asset classes"),
            content: Content::Classes(importance),
        });
    }
    if let Some(report) = &set.summary().autoencoder {
        plots.push(Plot {
            name: names.unique("autoencoder", "losses"),
            title: "autoencoder: loss by epoch".to_owned(),
            content: Content::Losses(report),
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
        drawn(&self.name, || self.scene())
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
            Content::Features(importance) => features_scene(&self.title, importance),
            Content::Classes(importance) => classes_scene(&self.title, importance),
            Content::Losses(report) => losses_scene(&self.title, report),
        }
    }
}

/// The content of a PNG file.
fn drawn(name: &str, scene: impl Fn() -> Scene) -> Result<Vec<u8>, PlotError> {
    let draw = || {
        RasterBackend::new()
            .with_scale(SCALE)
            .render_scene(&scene())
    };
    let drawn = catch_unwind(AssertUnwindSafe(draw))
        .unwrap_or_else(|_| Err("the drawing library panicked".to_owned()));
    drawn.map_err(|cause| PlotError {
        name: name.to_owned(),
        cause,
    })
}

/// File names that differ even where a file system doesn't tell cases apart.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// The name of a plot of this kind, of `what`: see the module.
    fn unique(&mut self, kind: &str, what: &str) -> String {
        let stem = format!("{kind}-{}", slug(what));
        let mut name = format!("{stem}.png");
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{stem}-{number}.png");
            number += 1;
        }
        name
    }
}

/// A name in lower-case letters, digits and hyphens. Of one that has letters
/// beyond ASCII, or is too long, more is lost than its punctuation: a check sum
/// keeps such names apart, the same in every run, whatever others there are.
fn slug(what: &str) -> String {
    const LONGEST: usize = 60;
    let mut slug = String::new();
    for letter in what.chars().take(LONGEST) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_matches('-');
    if !slug.is_empty() && what.is_ascii() && what.len() <= LONGEST {
        return slug.to_owned();
    }
    let sum = check_sum(what);
    match slug {
        "" => format!("{sum:08x}"),
        slug => format!("{slug}-{sum:08x}"),
    }
}

/// FNV-1a of 32 bits.
fn check_sum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
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

/// A number beside an axis: digits as long as they are few, else a power of ten.
fn tick_text(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-4..1e7).contains(&size) {
        TickFormat::Auto.format(value)
    } else {
        let text = format!("{value:.6e}");
        match text.split_once('e') {
            Some((digits, power)) => {
                let digits = digits.trim_end_matches('0').trim_end_matches('.');
                format!("{digits}e{power}")
            }
            None => text,
        }
    }
}

/// A linear axis of prices, wide enough that it does not show how numbers are
/// rounded: a constant is a straight line.
fn priced<'a>(layout: Layout, label: &str, values: impl Iterator<Item = &'a f64>) -> Layout {
    let (least, greatest) = values
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(least, greatest), value| {
            (least.min(*value), greatest.max(*value))
        });
    let layout = layout
        .with_y_label(label)
        .with_y_tick_format(TickFormat::Custom(Arc::new(tick_text)));
    let size = least.abs().max(greatest.abs());
    if greatest - least < (1e-6 * size).max(1e-12) {
        let margin = (0.01 * size).max(1e-12);
        layout
            .with_y_axis_min(least - margin)
            .with_y_axis_max(greatest + margin)
    } else {
        layout
    }
}

/// The bounds of a logarithmic axis: outward to the next 1, 2 or 5 of a power
/// of ten, so that it has at least two labels.
fn log_bounds(least: f64, greatest: f64) -> (f64, f64) {
    let power = |value: f64| 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let (low, high) = (power(least), power(greatest));
    let below = steps.map(|step| step * low);
    let above = steps.map(|step| step * high);
    let below = below.into_iter().rev().find(|bound| *bound < least);
    let above = above.into_iter().find(|bound| *bound > greatest);
    (below.unwrap_or(low / 2.0), above.unwrap_or(20.0 * high))
}

/// Prices as shares of their first value, so that assets compare; on a
/// logarithmic axis, where equal distances are equal gains. Prices that are not
/// all positive are shown as they are.
fn prices_scene(title: &str, dates: &[Date], columns: &[&Column]) -> Scene {
    let positive = columns
        .iter()
        .flat_map(|column| &column.values)
        .all(|value| value.is_nan() || *value > 0.0);
    let scaled: Vec<(&str, Vec<f64>)> = columns
        .iter()
        .map(|column| {
            let unit = match column.values.iter().find(|value| !value.is_nan()) {
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
            let line =
                line(dates, values, colour, 1.2).with_legend(plain(&short(ticker, LONGEST_LEGEND)));
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
            let (low, high) = log_bounds(least, greatest);
            layout
                .with_log_y()
                .with_y_tick_format(TickFormat::Custom(Arc::new(tick_text)))
                .with_y_axis_min(low)
                .with_y_axis_max(high)
                .with_y_label(format!("closing price, {first} = 100, log scale"))
        }
        _ => {
            let all = scaled.iter().flat_map(|(_, values)| values);
            priced(layout, "closing price", all)
        }
    };
    render_multiple(drawn, layout)
}

/// The middle value of values that are all there.
fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| !value.is_nan());
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
    let columns = components.iter().flat_map(|(_, column)| &column.values);
    let layout = priced(
        dated(title, dates, &drawn),
        "closing price",
        columns.chain(&price.values),
    );
    render_multiple(drawn, layout)
}

fn autocorrelation_scene(title: &str, prices: &[f64]) -> Scene {
    let own: Vec<f64> = prices.iter().copied().filter(|x| !x.is_nan()).collect();
    let prices = own.as_slice();
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
        // The last stem stands clear of the edge.
        let span = [0.0, at(correlations.len() + 1)];
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
            format!("{what}, n = {}: ±{bound:.3}", values.len())
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
        .with_title(plain(&format!(
            "{title}; grey: ±1.96/√n, 95 % bounds of white noise"
        )))
        .with_title_size(17)
        .with_plots(cells)
        .with_layouts(layouts)
        .with_cell_size(SIZE.0 / 2.0, SIZE.1 - 80.0)
        .render()
}

/// Changes from row to row: log differences where all prices are positive, else plain
/// ones, with their name.
fn changes(prices: &[f64]) -> (Vec<f64>, &'static str) {
    let pairs = prices.windows(2);
    if prices.iter().all(|price| *price > 0.0) {
        let logs = pairs.map(|pair| (pair[1] / pair[0]).ln());
        (logs.collect(), "log changes")
    } else {
        (pairs.map(|pair| pair[1] - pair[0]).collect(), "changes")
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

/// Why importance must not be taken for more than it is.
const CAVEAT: &str = "association on the same day, not forecasting value";

/// What the trees learnt from, and what it means.
fn ranking_note(importance: &Importance) -> String {
    format!(
        "{CAVEAT}; {} rows, {} to {}",
        importance.rows, importance.first_date, importance.last_date
    )
}

/// Horizontal bars, the first of them at the top, each a group of shares.
fn bars_scene(
    title: &str,
    note: &str,
    bars: BarPlot,
    legend: Vec<LegendEntry>,
    label: String,
) -> Scene {
    // The axis counts from below, so groups come last first.
    let rows = bars.groups.len();
    let greatest = bars
        .groups
        .iter()
        .flat_map(|group| &group.bars)
        .fold(0.0_f64, |most, bar| most.max(bar.value));
    let note = if greatest > 0.0 {
        note.to_owned()
    } else {
        format!("no split was worth making; {note}")
    };
    let drawn = vec![Drawn::Bar(bars)];
    let mut layout = Layout::auto_from_plots(&drawn);
    if !legend.is_empty() {
        layout = layout.with_legend_entries(legend);
    }
    let layout = layout
        .with_title(plain(title))
        .with_title_size(18)
        .with_subtitle(note)
        .with_subtitle_size(12)
        .with_width(SIZE.0)
        .with_height(160.0 + 27.0 * rows.max(3) as f64)
        .with_x_label(label)
        .with_x_axis_min(0.0)
        // Without any split, all are 0.
        .with_x_axis_max(if greatest > 0.0 { 1.05 * greatest } else { 1.0 })
        .with_legend_position(LegendPosition::OutsideRightTop);
    render_multiple(drawn, layout)
}

fn features_scene(title: &str, importance: &Importance) -> Scene {
    let total: f64 = importance.features.iter().map(|f| f.total_gain).sum();
    let mut bars = BarPlot::new().with_horizontal(true);
    let shown = &importance.features[..importance.features.len().min(MOST_RANKED)];
    for feature in shown.iter().rev() {
        let of_total = if total > 0.0 {
            100.0 * feature.total_gain / total
        } else {
            0.0
        };
        let of_mean = 100.0 * feature.importance;
        let name = plain(&short(&feature.column, LONGEST_BAR));
        // Most bars are too short to be read.
        bars = bars.with_group(
            format!("{name}   {of_mean:.1}   {of_total:.1}"),
            [(of_total, COLOURS[4]), (of_mean, COLOURS[0])],
        );
    }
    // The topmost row has no bars: its name is the heading of the numbers.
    let bars = bars.with_group("mean   total", [(0.0, COLOURS[4]), (0.0, COLOURS[0])]);
    // From above to below as the bars of a group are, which the drawing library
    // would list from below.
    let legend = [("of mean gain", COLOURS[0]), ("of total gain", COLOURS[4])];
    let legend = legend.map(|(label, colour)| LegendEntry {
        label: label.to_owned(),
        color: colour.to_owned(),
        shape: LegendShape::Rect,
        dasharray: None,
    });
    let label =
        "share of mean gain (the importance) and of total gain, % of all features".to_owned();
    bars_scene(
        title,
        &ranking_note(importance),
        bars,
        legend.to_vec(),
        label,
    )
}

fn classes_scene(title: &str, importance: &Importance) -> Scene {
    let shown = &importance.classes[..importance.classes.len().min(MOST_RANKED)];
    let bars = shown.iter().rev().map(|class| {
        let columns = match class.columns {
            1 => "1 column".to_owned(),
            many => format!("{many} columns"),
        };
        let name = plain(&short(&class.class, LONGEST_BAR));
        // A bar is a mean, so that a class is not long by its size alone.
        let all = 100.0 * class.importance * class.columns as f64;
        (
            format!("{name} ({columns}, {all:.1} % in all)"),
            100.0 * class.importance,
        )
    });
    let bars = BarPlot::new()
        .with_horizontal(true)
        .with_bars(bars)
        .with_color(COLOURS[0]);
    let label = "mean importance of a column of the class, % of the mean gain of all".to_owned();
    bars_scene(title, &ranking_note(importance), bars, Vec::new(), label)
}

fn losses_scene(title: &str, report: &AutoencoderReport) -> Scene {
    let epochs = report.losses.len().max(2) as f64;
    let positive = |value: f64| value.is_finite() && value > 0.0;
    let points = report
        .losses
        .iter()
        .enumerate()
        .filter(|(_, loss)| positive(**loss))
        .map(|(index, loss)| ((index + 1) as f64, *loss));
    let mut drawn = vec![Drawn::Line(
        LinePlot::new()
            .with_data(points)
            .with_color(COLOURS[0])
            .with_stroke_width(1.4)
            .with_legend("while training"),
    )];
    let levels = [
        ("training rows", report.training_error, COLOURS[2]),
        ("later rows", report.later_error, COLOURS[1]),
    ];
    let ends = levels.into_iter().filter(|(_, error, _)| positive(*error));
    for (what, error, colour) in ends {
        drawn.push(Drawn::Line(
            LinePlot::new()
                .with_data([(1.0, error), (epochs, error)])
                .with_color(colour)
                .with_stroke_width(1.2)
                .with_dashed()
                .with_legend(format!("{what}, after")),
        ));
    }
    let values = report
        .losses
        .iter()
        .chain([&report.training_error, &report.later_error]);
    let (least, greatest) = values
        .filter(|value| positive(**value))
        .fold((f64::MAX, 0.0_f64), |(least, greatest), value| {
            (least.min(*value), greatest.max(*value))
        });
    let layout = Layout::auto_from_plots(&drawn)
        .with_title(title)
        .with_title_size(18)
        .with_subtitle(format!(
            "{} inputs scaled to 0..1 by {} training rows; {} later rows, {:.1} % of whose cells lie outside",
            report.inputs,
            report.training_rows,
            report.later_rows,
            100.0 * report.out_of_range
        ))
        .with_subtitle_size(12)
        .with_width(SIZE.0)
        .with_height(SIZE.1)
        .with_legend_position(LegendPosition::OutsideRightTop)
        .with_x_label("epoch")
        .with_x_axis_min(1.0)
        .with_x_axis_max(epochs)
        .with_y_label("mean squared error, log scale")
        .with_y_tick_format(TickFormat::Custom(Arc::new(tick_text)))
        .with_log_y();
    let (low, high) = if greatest > 0.0 {
        log_bounds(least, greatest)
    } else {
        (0.1, 1.0)
    };
    render_multiple(drawn, layout.with_y_axis_min(low).with_y_axis_max(high))
}

/// Longest name in a title, in a legend, and beside a bar, characters.
const LONGEST_NAME: usize = 22;
const LONGEST_LEGEND: usize = 14;
const LONGEST_BAR: usize = 28;

/// A name of at most `longest` characters: of a longer one, its start and its
/// end, which tells a ticker's columns apart.
fn short(name: &str, longest: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= longest {
        return name.to_owned();
    }
    let end = (longest - 1) / 3;
    let start = longest - 1 - end;
    let (start, end) = (&letters[..start], &letters[letters.len() - end..]);
    start.iter().chain(['…'].iter()).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{PriceSeries, run};
    use crate::training_template::TrainingTemplate;
    use serde_json::json;

    /// A feature set of assets with these prices over `rows` days.
    fn set(assets: &[(&str, &str)], rows: usize, price: impl Fn(usize, usize) -> f64) -> Made {
        encoded(false, assets, rows, price)
    }

    /// The same, with the autoencoder if `encode`.
    fn encoded(
        encode: bool,
        assets: &[(&str, &str)],
        rows: usize,
        price: impl Fn(usize, usize) -> f64,
    ) -> Made {
        let template = json!({
            "Id": "t", "name": "n", "predictedAsset": assets[0].0,
            "feMeta": {
                "baseAssets": "all",
                "autoEncoderSettings": {
                    "enabled": encode, "optimizer": "adam", "loss": "mean_squared_error",
                    "fitEpoch": 2, "fitBatchSize": 256, "fitShuffle": false
                },
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
    fn there_is_a_plot_of_everything_that_a_set_has() {
        let made = encoded(
            true,
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
                "autocorrelation-bb.png",
                "importance-columns.png",
                "importance-classes.png",
                "autoencoder-losses.png"
            ]
        );
        for plot in &plots {
            let png = plot.png().unwrap();
            let (width, height) = dimensions(&png);
            assert!(
                width >= 1200 && height >= 300,
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
    fn names_stay_apart_though_a_file_name_loses_letters() {
        assert_eq!(slug("Health Care"), "health-care");
        assert_eq!(slug("BRK.B"), "brk-b");
        let expected = format!("gr-e-{:08x}", check_sum("Größe"));
        assert_eq!(slug("Größe"), expected);
        for (one, other) in [
            ("Größe", "Grüße"),
            ("日本", "中国"),
            (&*"x".repeat(61), &*format!("{}y", "x".repeat(60))),
        ] {
            assert_ne!(slug(one), slug(other));
        }
        // The published check sum of this text.
        assert_eq!(check_sum("foobar"), 0xbf9c_f968);
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
    fn log_axes_end_at_the_next_one_two_or_five() {
        for (least, greatest, low, high) in [
            (82.0, 445.0, 50.0, 500.0),
            (100.0, 100.0, 50.0, 200.0),
            (0.0123, 0.021, 0.01, 0.05),
            (1.0, 9.9, 0.5, 10.0),
            (3e-9, 6e12, 2e-9, 1e13),
        ] {
            let (a, b) = log_bounds(least, greatest);
            assert!((a / low - 1.0).abs() < 1e-9, "{a} for {least}");
            assert!((b / high - 1.0).abs() < 1e-9, "{b} for {greatest}");
        }
    }

    #[test]
    fn numbers_beside_an_axis_are_short_whatever_their_size() {
        for (value, text) in [
            (0.0, "0"),
            (150.0, "150"),
            (-0.5, "-0.5"),
            (1.5e14, "1.5e14"),
            (-2e-9, "-2e-9"),
            (1e15 - 0.25, "1e15"),
            (5e-324, "4.940656e-324"),
        ] {
            assert_eq!(tick_text(value), text);
        }
    }

    #[test]
    fn a_long_name_keeps_its_start_and_its_end() {
        assert_eq!(short("JPM", 10), "JPM");
        assert_eq!(short("ABCDEFGHIJ", 10), "ABCDEFGHIJ");
        let long = format!("{}_BB_Up", "T".repeat(128));
        let cut = short(&long, 28);
        assert_eq!(cut.chars().count(), 28);
        assert!(cut.ends_with("TT_BB_Up") && cut.contains('…'), "{cut}");
    }

    #[test]
    fn the_median_is_the_middle_one_or_the_mean_of_the_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
