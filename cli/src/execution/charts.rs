//! Charts of the page, as SVG: a training's losses, and a forecast as a fan.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use anyhow::Context;
use kuva::backend::svg::SvgBackend;
use kuva::plot::line::LineStyle;
use kuva::plot::{BandPlot, LinePlot, ScatterPlot};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

/// Width and height, in pixels of the page.
const SIZE: (f64, f64) = (880.0, 340.0);

/// Colours that differ in grey too: of the model, of what is compared with it, of what is known.
const MODEL: &str = "#0a58ca";
const MODEL_RGB: [u8; 3] = [0x0a, 0x58, 0xca];
const OTHER: &str = "#c2410c";
const KNOWN: &str = "#1b1f24";

/// How much of what is behind a band it covers.
const OPACITY: f64 = 0.22;

/// The losses of a training, by epoch.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Curve {
    /// Epoch, from 0, and the loss of training in it.
    train: BTreeMap<u32, f64>,
    /// Likewise, of the validation channel.
    validation: BTreeMap<u32, f64>,
}

impl Curve {
    /// Reads the lines `#quality_metric: host=algo-1, epoch=0, train loss <loss>=6.5` of SageMaker's
    /// algorithms; those of a batch are left out. `None` if there is no such line.
    pub(crate) fn of_log(log: &str) -> Option<Self> {
        let mut curve = Self::default();
        for line in log.lines() {
            let Some((_, metric)) = line.split_once("#quality_metric: ") else {
                continue;
            };
            let mut parts = metric.split(", ").skip(1);
            let epoch = parts.next().and_then(|part| part.strip_prefix("epoch="));
            let (Some(Ok(epoch)), Some(loss)) = (epoch.map(str::parse), parts.next()) else {
                continue;
            };
            let Some((name, value)) = loss.split_once(" <loss>=") else {
                continue;
            };
            let Ok(value) = value.trim().parse::<f64>() else {
                continue;
            };
            match name {
                "train loss" => curve.train.insert(epoch, value),
                "validation loss" => curve.validation.insert(epoch, value),
                _ => None,
            };
        }
        (!curve.train.is_empty()).then_some(curve)
    }

    /// Where a training stands that is under way: `epoch 12: training loss 3.2100, validation loss 3.0500`.
    pub(crate) fn last(&self) -> String {
        let Some((epoch, loss)) = self.train.last_key_value() else {
            return String::new();
        };
        let mut text = format!("epoch {epoch}: training loss {loss:.4}");
        if let Some((_, loss)) = self.validation.last_key_value() {
            text.push_str(&format!(", validation loss {loss:.4}"));
        }
        text
    }

    /// What the curve says, for who does not see it.
    pub(crate) fn sentence(&self) -> String {
        let lowest = |losses: &BTreeMap<u32, f64>| {
            losses
                .iter()
                .min_by(|a, b| a.1.total_cmp(b.1))
                .map(|(epoch, loss)| (*epoch, *loss))
        };
        let mut text = match lowest(&self.train) {
            Some((epoch, loss)) => format!(
                "{} epochs; the lowest training loss is {loss:.4}, of epoch {epoch}",
                self.train.len()
            ),
            None => String::new(),
        };
        if let Some((epoch, loss)) = lowest(&self.validation) {
            text.push_str(&format!(
                "; the lowest validation loss is {loss:.4}, of epoch {epoch}"
            ));
        }
        text
    }

    /// The chart; `None` if it cannot be drawn.
    pub(crate) fn svg(&self) -> Option<String> {
        let solid = LineStyle::Solid;
        let mut shown = vec![line(&self.train, MODEL, "training loss", solid.clone())];
        if !self.validation.is_empty() {
            shown.push(line(&self.validation, OTHER, "validation loss", solid));
        }
        drawn(shown, |layout| {
            layout.with_x_label("epoch").with_y_label("loss")
        })
    }
}

/// Colours and dashes of lines that lie over each other: no two of them are alike, in grey as well.
const LINES: [(&str, LineStyle); 6] = [
    ("#0a58ca", LineStyle::Solid),
    ("#c2410c", LineStyle::Dashed),
    ("#15803d", LineStyle::Dotted),
    ("#7e22ce", LineStyle::DashDot),
    ("#1b1f24", LineStyle::Solid),
    ("#be185d", LineStyle::Dashed),
];

/// The most curves that one chart shows.
pub(crate) const OVERLAID: usize = LINES.len();

/// The same losses of several trainings over each other, each with its name: those of training first, then those of the
/// validation channel, as far as there are any. Each chart has a title.
pub(crate) fn overlaid(curves: &[(String, &Curve)]) -> Vec<(&'static str, String)> {
    type Losses = fn(&Curve) -> &BTreeMap<u32, f64>;
    let kinds: [(&str, Losses); 2] = [
        ("Training loss", |curve| &curve.train),
        ("Validation loss", |curve| &curve.validation),
    ];
    let chart = |losses: Losses| {
        let lines: Vec<Plot> = curves
            .iter()
            .zip(LINES)
            .filter(|((_, curve), _)| !losses(curve).is_empty())
            .map(|((name, curve), (colour, style))| line(losses(curve), colour, name, style))
            .collect();
        if lines.is_empty() {
            return None;
        }
        drawn(lines, |layout| {
            layout.with_x_label("epoch").with_y_label("loss")
        })
    };
    kinds
        .into_iter()
        .filter_map(|(title, losses)| Some((title, chart(losses)?)))
        .collect()
}

/// The losses of one channel.
fn line(losses: &BTreeMap<u32, f64>, colour: &str, name: &str, style: LineStyle) -> Plot {
    let points = losses
        .iter()
        .filter(|(_, loss)| loss.is_finite())
        .map(|(epoch, loss)| (f64::from(*epoch), *loss));
    Plot::Line(
        LinePlot::new()
            .with_data(points)
            .with_color(colour)
            .with_stroke_width(2.0)
            .with_line_style(style)
            .with_legend(name),
    )
}

/// A forecast of one asset: the table that `pipewright forecast --record` keeps.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Fan {
    dates: Vec<String>,
    middle: Vec<f64>,
    /// Lower and upper bound of each day, the widest interval first.
    bands: Vec<Vec<(f64, f64)>>,
    /// How much each of these intervals holds of the samples, such as `80 % of the samples`.
    shares: Vec<String>,
    /// The price of a day where one is known.
    actual: Vec<Option<f64>>,
}

impl Fan {
    /// Reads a table with the columns `asset`, `date`, `mean`, quantiles by their level, and possibly
    /// `actual`. Of several assets, the first one's rows count.
    ///
    /// # Errors
    /// The table is not such a one.
    pub(crate) fn of_table(csv: &[u8]) -> anyhow::Result<Self> {
        let mut reader = csv::Reader::from_reader(csv);
        let headers = reader.headers()?.clone();
        let column = |name: &str| headers.iter().position(|header| header == name);
        let (asset, date) = (
            column("asset").context("it has no column asset")?,
            column("date").context("it has no column date")?,
        );
        let mut levels: Vec<(f64, usize)> = headers
            .iter()
            .enumerate()
            .filter_map(|(index, header)| Some((header.parse().ok()?, index)))
            .collect();
        levels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let median = levels.iter().find(|(level, _)| (level - 0.5).abs() < 1e-9);
        let middle = match median {
            Some((_, index)) => *index,
            None => column("mean").context("it has no column mean")?,
        };
        // The lowest level with the highest, and so on inwards.
        let intervals = || {
            let outwards = levels.iter().zip(levels.iter().rev());
            outwards.take(levels.len() / 2)
        };
        let pairs: Vec<(usize, usize)> = intervals().map(|(low, high)| (low.1, high.1)).collect();
        let share = |(low, high): (&(f64, usize), &(f64, usize))| {
            let share = 100.0 * (high.0 - low.0);
            // To a tenth: 0.9 - 0.1 is no whole number of per cents.
            format!("{} % of the samples", (share * 10.0).round() / 10.0)
        };
        let mut fan = Self {
            bands: vec![Vec::new(); pairs.len()],
            shares: intervals().map(share).collect(),
            ..Self::default()
        };
        let mut first = None;
        for row in reader.records() {
            let row = row?;
            let number = |index: usize| -> anyhow::Result<f64> {
                let text = row.get(index).unwrap_or_default();
                text.parse()
                    .with_context(|| format!("`{text}` is not a number"))
            };
            let of = row.get(asset).unwrap_or_default();
            if first.get_or_insert_with(|| of.to_owned()) != of {
                continue;
            }
            fan.dates.push(row.get(date).unwrap_or_default().to_owned());
            fan.middle.push(number(middle)?);
            for (band, (low, high)) in fan.bands.iter_mut().zip(&pairs) {
                band.push((number(*low)?, number(*high)?));
            }
            let actual = column("actual").and_then(|index| row.get(index));
            fan.actual.push(actual.and_then(|text| text.parse().ok()));
        }
        Ok(fan)
    }

    /// The chart; `None` if there is nothing to draw, or it cannot be drawn.
    pub(crate) fn svg(&self) -> Option<String> {
        if self.dates.is_empty() {
            return None;
        }
        let places = || (0_u32..).map(f64::from);
        let mut shown: Vec<Plot> = self
            .bands
            .iter()
            .map(|band| {
                let bound = |side: fn(&(f64, f64)) -> f64| band.iter().map(side);
                Plot::Band(
                    BandPlot::new(places().take(band.len()), bound(|b| b.0), bound(|b| b.1))
                        .with_color(MODEL)
                        .with_opacity(OPACITY),
                )
            })
            .collect();
        shown.push(Plot::Line(
            LinePlot::new()
                .with_data(places().zip(self.middle.iter().copied()))
                .with_color(MODEL)
                .with_stroke_width(2.0)
                .with_legend("forecast"),
        ));
        // A band has no place in the legend; a line of its colour, which is too short to be seen, has.
        for ((band, share), layers) in self.bands.iter().zip(&self.shares).zip(1..) {
            let start = band.iter().take(1).map(|bounds| bounds.0);
            shown.push(Plot::Line(
                LinePlot::new()
                    .with_data(places().zip(start))
                    .with_color(shade(layers))
                    .with_legend(share),
            ));
        }
        let known: Vec<(f64, f64)> = places()
            .zip(&self.actual)
            .filter_map(|(place, price)| Some((place, (*price)?)))
            .collect();
        if !known.is_empty() {
            shown.push(Plot::Scatter(
                ScatterPlot::new()
                    .with_data(known)
                    .with_color(KNOWN)
                    .with_size(4.0)
                    .with_legend("price"),
            ));
        }
        let dates = self.dates.clone();
        let step = dates.len().div_ceil(10).max(1);
        drawn(shown, move |layout| {
            let last = u32::try_from(dates.len()).map_or(1.0, |days| f64::from(days) - 1.0);
            layout
                .with_y_label("price")
                .with_x_axis_min(0.0)
                .with_x_axis_max(last.max(1.0))
                .with_x_tick_step(u32::try_from(step).map_or(1.0, f64::from))
                .with_x_tick_rotate(-35.0)
                .with_x_tick_format(TickFormat::Custom(Arc::new(move |place| {
                    let day = places_of(&dates, place);
                    day.unwrap_or_default()
                })))
        })
    }
}

/// The colour of so many bands over each other, on white.
fn shade(layers: i32) -> String {
    let white = (1.0 - OPACITY).powi(layers);
    let mixed = MODEL_RGB.map(|part| f64::from(part) * (1.0 - white) + 255.0 * white);
    let [red, green, blue] = mixed.map(|part| format!("{part:.0}"));
    format!("rgb({red},{green},{blue})")
}

/// The date at a place of the axis.
fn places_of(dates: &[String], place: f64) -> Option<String> {
    let mut days = (0_u32..).map(f64::from).zip(dates);
    days.find(|(at, _)| (at - place).abs() < 1e-6)
        .map(|(_, day)| day.clone())
}

/// The picture, which scales with the page; `None` if the drawing library panics.
fn drawn(shown: Vec<Plot>, laid_out: impl FnOnce(Layout) -> Layout) -> Option<String> {
    let draw = move || {
        let layout = Layout::auto_from_plots(&shown)
            .with_width(SIZE.0)
            .with_height(SIZE.1);
        let scene = render_multiple(shown, laid_out(layout));
        let view = format!("<svg viewBox=\"0 0 {} {}\" ", scene.width, scene.height);
        SvgBackend::new()
            .render_scene(&scene)
            .replacen("<svg ", &view, 1)
    };
    catch_unwind(AssertUnwindSafe(draw)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_read_by_epoch_and_those_of_batches_left_out() {
        let log = "\
            [i] #quality_metric: host=algo-1, epoch=0, batch=0 train loss <loss>=9\n\
            [i] #quality_metric: host=algo-1, epoch=0, train loss <loss>=6.5\n\
            [i] [x] #quality_metric: host=algo-1, epoch=0, validation loss <loss>=5.5\n\
            [i] #quality_metric: host=algo-1, epoch=1, train loss <loss>=4.25\n\
            [i] #quality_metric: host=algo-1, epoch=1, train loss <loss>=nothing\n\
            [i] #quality_metric: host=algo-1, RMSE <loss>=3\n";
        let curve = Curve::of_log(log).unwrap();
        assert_eq!(curve.train, BTreeMap::from([(0, 6.5), (1, 4.25)]));
        assert_eq!(curve.validation, BTreeMap::from([(0, 5.5)]));
        assert_eq!(
            curve.sentence(),
            "2 epochs; the lowest training loss is 4.2500, of epoch 1; the lowest validation loss is 5.5000, of epoch 0"
        );
        assert_eq!(
            curve.last(),
            "epoch 1: training loss 4.2500, validation loss 5.5000"
        );
        assert!(curve.svg().unwrap().starts_with("<svg viewBox=\"0 0 "));
        assert_eq!(Curve::of_log("nothing of that kind\n"), None);
    }

    #[test]
    fn losses_of_several_trainings_lie_over_each_other() {
        let curve = |validation: &[(u32, f64)]| Curve {
            train: BTreeMap::from([(0, 2.0), (1, 1.0)]),
            validation: validation.iter().copied().collect(),
        };
        let (one, other) = (curve(&[]), curve(&[(0, 3.0), (1, 2.5)]));
        let named = [("run-1".to_owned(), &one), ("run-2".to_owned(), &other)];
        let charts = overlaid(&named);
        let titles: Vec<_> = charts.iter().map(|(title, _)| *title).collect();
        assert_eq!(titles, ["Training loss", "Validation loss"]);
        assert!(charts[0].1.contains("run-1") && charts[0].1.contains("run-2"));
        assert!(!charts[1].1.contains("run-1") && charts[1].1.contains("run-2"));
        assert!(overlaid(&[]).is_empty());
    }

    #[test]
    fn a_table_of_quantiles_is_a_fan_of_their_pairs() {
        let table = "asset,date,mean,0.1,0.5,0.9,actual\n\
            JPM,2022-12-29,1.5,1,2,3,2.5\nJPM,2022-12-30,1.5,1,2,4,\nXOM,2022-12-29,9,9,9,9,9\n";
        let fan = Fan::of_table(table.as_bytes()).unwrap();
        assert_eq!(fan.dates, ["2022-12-29", "2022-12-30"]);
        assert_eq!(fan.middle, [2.0, 2.0]);
        assert_eq!(fan.bands, [[(1.0, 3.0), (1.0, 4.0)]]);
        assert_eq!(fan.actual, [Some(2.5), None]);
        assert_eq!(fan.shares, ["80 % of the samples"]);
        let svg = fan.svg().unwrap();
        assert!(svg.contains("2022-12-30"), "{svg}");
        assert!(svg.contains("80 % of the samples"), "{svg}");
        assert!(Fan::of_table(b"a,b\n1,2\n").is_err());
        assert_eq!(Fan::of_table(b"asset,date,mean\n").unwrap().svg(), None);
    }
}
