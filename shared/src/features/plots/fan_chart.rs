//! A forecast as a fan: the last prices, the median, and bands that widen.

use std::sync::Arc;

use kuva::plot::{BandPlot, LinePlot, ScatterPlot};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot as Drawn;
use kuva::render::render::{Scene, render_multiple};
use time::Date;

use super::{COLOURS, PlotError, SIZE, drawn, plain, priced, short};

/// The central intervals that are drawn, as shares: the widest first, so that
/// the narrower ones lie upon it.
pub const BANDS: [f64; 3] = [0.95, 0.80, 0.50];

/// How strong each band's colour is.
const OPACITIES: [f64; 3] = [0.18, 0.30, 0.45];

/// Dates that are named below the axis, about.
const LABELS: usize = 10;

/// The forecast of a day.
#[derive(Debug, Clone, PartialEq)]
pub struct FanPoint {
    /// The day.
    pub date: Date,
    /// The median, in the price's unit.
    pub median: f64,
    /// Lower and upper bound of each of [`BANDS`].
    pub bands: [(f64, f64); BANDS.len()],
}

/// A forecast of a price beside what is known of it.
///
/// The horizontal axis has the days of the three lists, one beside the other: days on
/// which there is no price and no forecast, such as weekends, take no room.
#[derive(Debug, Clone)]
pub struct FanChart<'a> {
    /// What is drawn over it.
    pub title: &'a str,
    /// Prices up to the day that the forecast was made from, ascending.
    pub known: &'a [(Date, f64)],
    /// Prices of later days, where there are any, ascending.
    pub held_out: &'a [(Date, f64)],
    /// The forecast, ascending.
    pub forecast: &'a [FanPoint],
}

impl FanChart<'_> {
    /// Draws it; gives the content of a PNG file.
    ///
    /// # Errors
    /// The drawing library fails, or panics.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        drawn(self.title, || self.scene())
    }

    fn scene(&self) -> Scene {
        let days = self.days();
        let at = |date: Date| days.partition_point(|day| *day < date) as f64;
        let line = |points: &mut dyn Iterator<Item = (Date, f64)>| {
            LinePlot::new().with_data(points.map(|(date, value)| (at(date), value)))
        };
        // The fan opens at the last price.
        let last = self.known.last().copied();
        let opening = last.map(|(date, price)| FanPoint {
            date,
            median: price,
            bands: [(price, price); BANDS.len()],
        });
        let fan: Vec<&FanPoint> = opening.iter().chain(self.forecast).collect();

        let mut shown: Vec<Drawn> = Vec::new();
        for (band, opacity) in OPACITIES.iter().enumerate() {
            let bounds =
                |side: fn(&(f64, f64)) -> f64| fan.iter().map(move |p| side(&p.bands[band]));
            let place = fan.iter().map(|point| at(point.date));
            let band = BandPlot::new(place, bounds(|b| b.0), bounds(|b| b.1))
                .with_color(COLOURS[0])
                .with_opacity(*opacity);
            shown.push(Drawn::Band(band));
        }
        let known = line(&mut self.known.iter().copied())
            .with_color("#333333")
            .with_stroke_width(1.6)
            .with_legend("price");
        shown.push(Drawn::Line(known));
        let median = line(&mut fan.iter().map(|point| (point.date, point.median)))
            .with_color(COLOURS[0])
            .with_stroke_width(2.0)
            .with_legend("median forecast");
        shown.push(Drawn::Line(median));
        if !self.held_out.is_empty() {
            let points = self
                .held_out
                .iter()
                .map(|(date, price)| (at(*date), *price));
            let dots = ScatterPlot::new()
                .with_data(points)
                .with_color(COLOURS[1])
                .with_size(4.0)
                .with_legend("price, held out");
            shown.push(Drawn::Scatter(dots));
        }

        let bounds = self.forecast.iter().flat_map(|point| {
            let (low, high) = &point.bands[0];
            [low, high]
        });
        let prices = self
            .known
            .iter()
            .chain(self.held_out)
            .map(|(_, price)| price);
        let layout = Layout::auto_from_plots(&shown)
            .with_title(plain(&short(self.title, 90)))
            .with_title_size(18)
            .with_width(SIZE.0)
            .with_height(SIZE.1)
            .with_x_axis_min(0.0)
            .with_x_axis_max(days.len().saturating_sub(1).max(1) as f64)
            .with_x_tick_step((days.len().div_ceil(LABELS)).max(1) as f64)
            .with_x_tick_format(TickFormat::Custom(Arc::new(move |place| {
                day_text(&days, place)
            })))
            .with_x_tick_rotate(-35.0);
        render_multiple(shown, priced(layout, "closing price", prices.chain(bounds)))
    }

    /// The days that the axis has, each once, ascending.
    fn days(&self) -> Vec<Date> {
        let prices = self
            .known
            .iter()
            .chain(self.held_out)
            .map(|(date, _)| *date);
        let mut days: Vec<Date> = prices.chain(self.forecast.iter().map(|p| p.date)).collect();
        days.sort_unstable();
        days.dedup();
        days
    }
}

/// The day at a place of the axis; empty between two.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place outside the list names no day"
)]
fn day_text(days: &[Date], place: f64) -> String {
    let whole = place.round();
    let near = (place - whole).abs() < 1e-6 && whole >= 0.0;
    let day = near.then(|| days.get(whole as usize)).flatten();
    day.map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    type Prices = Vec<(Date, f64)>;

    fn chart() -> (Prices, Prices, Vec<FanPoint>) {
        let known = vec![
            (date!(2022 - 12 - 01), 100.0),
            (date!(2022 - 12 - 02), 101.5),
        ];
        let held_out = vec![(date!(2022 - 12 - 05), 99.0)];
        let forecast = [date!(2022 - 12 - 05), date!(2022 - 12 - 06)]
            .map(|date| FanPoint {
                date,
                median: 101.0,
                bands: [(95.0, 107.0), (97.0, 105.0), (99.0, 103.0)],
            })
            .to_vec();
        (known, held_out, forecast)
    }

    #[test]
    fn weekends_take_no_room() {
        let (known, held_out, forecast) = chart();
        let chart = FanChart {
            title: "JPM",
            known: &known,
            held_out: &held_out,
            forecast: &forecast,
        };
        let days = chart.days();
        assert_eq!(days.len(), 4);
        assert_eq!(day_text(&days, 2.0), "2022-12-05");
        assert_eq!(day_text(&days, 1.5), "");
        assert_eq!(day_text(&days, 9.0), "");
        assert_eq!(day_text(&days, -1.0), "");
    }

    #[test]
    fn a_picture_of_anything_is_drawn() {
        let (known, held_out, forecast) = chart();
        for (known, held_out, forecast) in [
            (&known[..], &held_out[..], &forecast[..]),
            (&known[..], &[], &forecast[..]),
            (&[], &[], &forecast[..1]),
            (&known[..1], &[], &[]),
        ] {
            let chart = FanChart {
                title: "price of $JPM$",
                known,
                held_out,
                forecast,
            };
            assert!(chart.png().unwrap().starts_with(b"\x89PNG"));
        }
    }
}
