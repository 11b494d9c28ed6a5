//! The files that come of a feature set. The container and the command line
//! write them through [`FeatureSet::write`], so that both write the same.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use serde::Serialize;

use super::feature_set::{FeatureSet, SERIES_PRICES};
#[cfg(feature = "plots")]
use super::plots::{Plot, PlotError, plots};
use super::stage::Progress;
#[cfg(feature = "plots")]
use super::stage::Stage;
#[cfg(feature = "plots")]
use pipewright_matmul::parallel;

/// Where the files of a feature set go.
pub trait Destination {
    /// Why a file can't be written.
    type Error;

    /// Writes the file `name`, a path with `/` such as `train/train.json`, from
    /// what `content` writes into the writer that it is given; `what` tells in
    /// words what that is.
    ///
    /// # Errors
    /// The file can't be made, or `content` fails.
    fn file(
        &mut self,
        name: &str,
        what: &str,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Self::Error>;

    /// Takes note of how drawing goes on.
    fn tell(&mut self, progress: Progress);
}

/// One file of a feature set, not yet written.
#[derive(Debug)]
pub struct Output<'a> {
    set: &'a FeatureSet,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Features,
    Filled,
    Prices,
    Series,
    Importance,
    Baselines,
    Summary,
    Train,
    Test,
}

impl Output<'_> {
    /// The file's path, with `/`: `train/train.json`.
    pub fn name(&self) -> &'static str {
        match (self.content, self.set.compress) {
            (Content::Features, _) => "features/features.csv",
            (Content::Filled, _) => "features/filled.csv",
            (Content::Prices, _) => SERIES_PRICES,
            (Content::Series, _) => "features/series.json",
            (Content::Importance, _) => "features/importance.json",
            (Content::Baselines, _) => "features/baselines.json",
            (Content::Summary, _) => "features/summary.json",
            (Content::Train, false) => "train/train.json",
            (Content::Train, true) => "train/train.json.gz",
            (Content::Test, false) => "test/test.json",
            (Content::Test, true) => "test/test.json.gz",
        }
    }

    /// What it holds, in words.
    pub fn what(&self) -> String {
        let summary = self.set.summary();
        let figure = |figure: Option<usize>| figure.unwrap_or(0);
        match self.content {
            Content::Features => format!("{} rows of {} columns", summary.rows, summary.columns),
            Content::Filled => {
                let filled = self.set.filled.len();
                format!("the {filled} prices that stand on later days")
            }
            Content::Prices => {
                let days = self.set.tables.of_files().dates.len();
                format!("the prices of {days} days that DeepAR's series have")
            }
            Content::Series => format!("what the {} series are", figure(summary.train_series)),
            Content::Importance => {
                let ranked = self.set.importance().map_or(0, |all| all.features.len());
                format!("the importance of {ranked} features")
            }
            Content::Baselines => "scores that a model has to beat".to_owned(),
            Content::Summary => "all figures".to_owned(),
            Content::Train => format!(
                "{} series with {} values",
                figure(summary.train_series),
                figure(summary.train_values)
            ),
            Content::Test => format!("{} records", figure(summary.test_records)),
        }
    }

    /// Writes it. The same set gives the same bytes, gzip included.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, mut out: &mut dyn Write) -> io::Result<()> {
        let set = self.set;
        match self.content {
            Content::Features => set.write_features_csv(&mut out),
            Content::Filled => set.write_filled_csv(&mut out),
            Content::Prices => set.write_prices_csv(&mut out),
            Content::Series => pretty(&set.series_map(), out),
            Content::Importance => pretty(&set.importance(), out),
            Content::Baselines => pretty(&set.baselines(), out),
            Content::Summary => pretty(set.summary(), out),
            Content::Train if set.compress => gzip(out, |mut out| set.write_train(&mut out)),
            Content::Train => set.write_train(&mut out),
            Content::Test if set.compress => gzip(out, |mut out| set.write_test(&mut out)),
            Content::Test => set.write_test(&mut out),
        }
    }
}

impl FeatureSet {
    /// The files but for the pictures: those of the stages that ran.
    pub fn outputs(&self) -> Vec<Output<'_>> {
        let deepar = self.plan.is_some();
        [
            (Content::Features, true),
            (Content::Filled, !self.filled.is_empty()),
            (Content::Prices, deepar && self.tables.files.is_some()),
            (Content::Series, deepar),
            (Content::Importance, self.importance().is_some()),
            (Content::Baselines, self.baselines().is_some()),
            (Content::Summary, true),
            (Content::Train, deepar),
            (Content::Test, deepar),
        ]
        .into_iter()
        .filter(|(_, made)| *made)
        .map(|(content, _)| Output { set: self, content })
        .collect()
    }

    /// Writes every file, the pictures (`plots/*.png`) last if the stage is
    /// among those that run and the crate has its feature `plots`. At no time
    /// are more pictures in memory than twice the threads. One that can't be
    /// drawn is left out with a warning; gives how many there are.
    ///
    /// # Errors
    /// Those of the destination.
    pub fn write<D: Destination>(&self, destination: &mut D) -> Result<usize, D::Error> {
        for output in self.outputs() {
            destination.file(output.name(), &output.what(), &mut |out| output.write(out))?;
        }
        #[cfg(feature = "plots")]
        if self.draw {
            return self.draw(destination);
        }
        Ok(0)
    }

    #[cfg(feature = "plots")]
    fn draw<D: Destination>(&self, destination: &mut D) -> Result<usize, D::Error> {
        let stage = Stage::Plots;
        let plots = plots(self.assets(), self.predicted_asset(), self);
        let total = plots.len();
        let text = format!("drawing {total} pictures");
        destination.tell(Progress::Started { stage, text });
        let (mut seen, mut drawn) = (0, 0);
        parallel::stream(
            total,
            self.threads,
            |i| plots[i].png(),
            &mut |i, png: Result<Vec<u8>, PlotError>| {
                let plot: &Plot<'_> = &plots[i];
                match png {
                    Ok(png) => {
                        let name = format!("plots/{}", plot.name());
                        destination.file(&name, plot.title(), &mut |out| out.write_all(&png))?;
                        drawn += 1;
                    }
                    Err(error) => destination.tell(Progress::Warning(error.to_string())),
                }
                seen += 1;
                destination.tell(Progress::Advanced {
                    stage,
                    done: seen,
                    total,
                });
                Ok(())
            },
        )?;
        let text = format!("{drawn} pictures");
        destination.tell(Progress::Finished { stage, text });
        Ok(drawn)
    }
}

/// JSON that a person can read, with a line end.
fn pretty(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

/// Runs `write` on a gzip stream into `out`, with neither a name nor a time in
/// it: the same content gives the same bytes.
fn gzip(
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut stream = GzBuilder::new().write(out, Compression::new(6));
    write(&mut stream)?;
    stream.finish().map(|_| ())
}
