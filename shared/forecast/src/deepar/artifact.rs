//! The file that a model is kept in, which needs nothing but itself.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `PWDEEPAR` |
//! | 4 | the version of the format, little-endian |
//! | 4 | the length of the header |
//! | header | JSON: settings, the default scale, the training's summary, the number of weights |
//! | 4 each | the weights, f32, little-endian: those of the network (static inputs; of each layer inputs, recurrence and biases of the gates input, forget, candidate, output; projection and its offset), then the embeddings |
//! | 32 | SHA-256 of all bytes before it |
//!
//! A checkpoint is such a file with `PWDEEPCP`, and after the weights Adam's two
//! running means, the average of the weights and the best epoch's weights, as many
//! numbers each.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{Checkpoint, Model, ModelSettings, Plan, Summary};

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// The name of a model's file in the folder that SageMaker keeps as `model.tar.gz`.
pub const ARTIFACT_FILE: &str = "model.pipewright-deepar";

const MODEL: [u8; 8] = *b"PWDEEPAR";
const CHECKPOINT: [u8; 8] = *b"PWDEEPCP";

/// The most bytes that are read: far beyond any network that could be trained.
const GREATEST: u64 = 1 << 32;

/// Why a file is not a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file is something else.
    #[error("this is not a {0} that Pipewright's DeepAR wrote: its first 8 bytes are others")]
    Foreign(&'static str),
    /// The file is of a later version.
    #[error(
        "the file has format version {found}, and this program reads up to {VERSION}: use a newer one"
    )]
    Newer {
        /// The file's version.
        found: u32,
    },
    /// Bytes are missing, too many or others.
    #[error("the file is damaged: {0}; write it anew or fetch it again")]
    Damaged(String),
    /// The file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What the header has beside the settings, whose members come first.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    default_scale: f64,
    training: Option<Summary>,
    weights: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

/// What a checkpoint has besides numbers.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    learning_rate: f64,
    steps: u64,
    stalled: usize,
    since_best: usize,
    epochs: usize,
    windows: u64,
    lowest: Option<f64>,
}

impl Header {
    fn of(default_scale: f32, weights: usize) -> Self {
        Self {
            default_scale: f64::from(default_scale),
            training: None,
            weights,
            progress: None,
        }
    }

    /// Exactly what was written: it was an f32.
    #[expect(clippy::cast_possible_truncation, reason = "it was an f32")]
    fn default_scale(&self) -> f32 {
        self.default_scale as f32
    }
}

impl Model {
    /// Writes the model as one file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut dyn Write) -> std::io::Result<()> {
        let default_scale = self.plan.inputs.default_scale;
        let header = Header {
            training: Some(self.training.clone()),
            ..Header::of(default_scale, self.weights.len())
        };
        write_file(to, MODEL, &self.settings, &header, &[&self.weights])
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`ArtifactError`]: the file is another's, damaged or of a later version.
    pub fn read(from: &mut dyn Read) -> Result<Self, ArtifactError> {
        let (settings, header, [weights]) = read_file(from, MODEL, "model")?;
        let plan = Plan::new(&settings, header.default_scale());
        let training = header
            .training
            .ok_or_else(|| ArtifactError::Damaged("its header has no `training`".to_owned()))?;
        sized(&plan, &weights)?;
        Ok(Self {
            settings,
            plan,
            weights,
            training,
        })
    }
}

impl Checkpoint {
    /// Writes the checkpoint as one file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut dyn Write) -> std::io::Result<()> {
        let header = Header {
            training: self.summary.clone(),
            progress: Some(Progress {
                learning_rate: self.learning_rate,
                steps: self.steps,
                stalled: self.stalled,
                since_best: self.since_best,
                epochs: self.epochs,
                windows: self.windows,
                lowest: self.lowest,
            }),
            ..Header::of(self.default_scale, self.weights.len())
        };
        let numbers = [
            &self.weights,
            &self.first,
            &self.second,
            &self.average,
            &self.best,
        ];
        let numbers = numbers.map(Vec::as_slice);
        write_file(to, CHECKPOINT, &self.settings, &header, &numbers)
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`ArtifactError`]: the file is another's, damaged or of a later version.
    pub fn read(from: &mut dyn Read) -> Result<Self, ArtifactError> {
        let (settings, header, [weights, first, second, average, best]) =
            read_file(from, CHECKPOINT, "checkpoint")?;
        let default_scale = header.default_scale();
        sized(&Plan::new(&settings, default_scale), &weights)?;
        let progress = header
            .progress
            .ok_or_else(|| ArtifactError::Damaged("its header has no `progress`".to_owned()))?;
        Ok(Self {
            settings,
            default_scale,
            weights,
            first,
            second,
            average,
            best,
            lowest: progress.lowest,
            learning_rate: progress.learning_rate,
            steps: progress.steps,
            stalled: progress.stalled,
            since_best: progress.since_best,
            summary: header.training,
            epochs: progress.epochs,
            windows: progress.windows,
        })
    }
}

fn sized(plan: &Plan, weights: &[f32]) -> Result<(), ArtifactError> {
    if plan.size() == weights.len() {
        return Ok(());
    }
    Err(ArtifactError::Damaged(format!(
        "it has {} weights, and its settings make {}",
        weights.len(),
        plan.size()
    )))
}

fn write_file(
    to: &mut dyn Write,
    kind: [u8; 8],
    settings: &ModelSettings,
    header: &Header,
    numbers: &[&[f32]],
) -> std::io::Result<()> {
    let (mut members, more) = (json!(settings), json!(header));
    if let (Value::Object(members), Value::Object(more)) = (&mut members, more) {
        members.extend(more);
    }
    let header = serde_json::to_vec(&members)?;
    let length = u32::try_from(header.len()).map_err(std::io::Error::other)?;
    let mut bytes = kind.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(header);
    for number in numbers.iter().copied().flatten() {
        bytes.extend(number.to_le_bytes());
    }
    let digest = Sha256::digest(&bytes);
    to.write_all(&bytes)?;
    to.write_all(&digest)
}

fn read_file<const N: usize>(
    from: &mut dyn Read,
    kind: [u8; 8],
    name: &'static str,
) -> Result<(ModelSettings, Header, [Vec<f32>; N]), ArtifactError> {
    let damaged = |what: &str| ArtifactError::Damaged(what.to_owned());
    let mut bytes = Vec::new();
    from.take(GREATEST).read_to_end(&mut bytes)?;
    let rest = bytes
        .strip_prefix(&kind)
        .ok_or(ArtifactError::Foreign(name))?;
    let short = || damaged("it ends within its first bytes");
    let (version, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let version = u32::from_le_bytes(*version);
    if version > VERSION {
        return Err(ArtifactError::Newer { found: version });
    }
    let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (content, digest) = rest.split_last_chunk::<32>().ok_or_else(short)?;
    if Sha256::digest(&bytes[..bytes.len() - digest.len()]).as_slice() != digest {
        return Err(damaged("its checksum does not match"));
    }
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (header, numbers) = content
        .split_at_checked(length)
        .ok_or_else(|| damaged("its header is cut off"))?;
    // Twice, since serde's `flatten` reads no number of any precision.
    let unread = |error| ArtifactError::Damaged(format!("its header: {error}"));
    let members: Value = serde_json::from_slice(header).map_err(unread)?;
    let settings = ModelSettings::deserialize(&members).map_err(unread)?;
    let header = Header::deserialize(&members).map_err(unread)?;
    // The file's own checksum holds, so only a faulty writer makes these.
    let is_positive = header.default_scale() > 0.0;
    if settings.sizes().contains(&0) || !is_positive {
        return Err(damaged("a size in its header is 0"));
    }
    if Some(numbers.len()) != header.weights.checked_mul(4 * N) {
        return Err(damaged(
            "it has another number of weights than its header says",
        ));
    }
    let mut numbers = numbers
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let lists = std::array::from_fn(|_| numbers.by_ref().take(header.weights).collect());
    Ok((settings, header, lists))
}
