//! What batch transform does with data: records, mini-batches, filters and joins. It decides
//! everything of a transform but when a model's program is asked.

mod path;

use path::{JsonPath, JsonPathError};
use serde_json::{Map, Value, json};

/// The service's limit of a payload, in megabytes, when the job names none.
const DEFAULT_PAYLOAD: u64 = 6;

/// The most megabytes that all payloads under way have together.
const LARGEST_TOTAL: u64 = 100;

const MEGABYTE: u64 = 1024 * 1024;

/// How a job wants its data treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The content type of requests; the service's headers have none if it is empty.
    pub(crate) content_type: Option<String>,
    /// What the model is asked to answer with.
    pub(crate) accept: Option<String>,
    /// Whether input files are compressed by gzip.
    pub(crate) is_gzip: bool,
    by_line: bool,
    /// Whether a request has one record only.
    pub(crate) is_single: bool,
    assemble_by_line: bool,
    /// The most megabytes of a request; 0 is no limit.
    pub(crate) payload_megabytes: u64,
    /// The most requests under way at once.
    pub(crate) concurrent: usize,
    input_filter: Option<JsonPath>,
    output_filter: Option<JsonPath>,
    is_joined: bool,
}

/// What the model's program says of how to ask it (`GET /execution-parameters`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    concurrent: Option<u64>,
    is_single: Option<bool>,
    payload_megabytes: Option<u64>,
}

impl Preferences {
    /// Reads the program's answer; what it lacks is not preferred.
    pub(crate) fn read(answer: &Value) -> Self {
        Self {
            concurrent: answer["MaxConcurrentTransforms"].as_u64(),
            is_single: answer["BatchStrategy"].as_str().map(is_single),
            payload_megabytes: answer["MaxPayloadInMB"].as_u64(),
        }
    }
}

/// The API writes `SingleRecord`, containers `SINGLE_RECORD`.
fn is_single(strategy: &str) -> bool {
    strategy
        .replace('_', "")
        .eq_ignore_ascii_case("SingleRecord")
}

/// One request to the model: its body, and the records that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MiniBatch {
    /// As the model gets it.
    pub(crate) body: Vec<u8>,
    /// As the file has them.
    records: Vec<String>,
}

/// Why a transform cannot be done as it is asked for, or with the data that there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("{member} is {given}: the local stand-in takes {} and {}", taken[0], taken[1])]
    Unsupported {
        member: &'static str,
        given: String,
        taken: [&'static str; 2],
    },
    #[error("{member}: {error}")]
    Filter {
        member: &'static str,
        error: JsonPathError,
    },
    #[error(
        "MaxConcurrentTransforms × MaxPayloadInMB is {requests} × {megabytes}; it must be at most \
         {LARGEST_TOTAL}"
    )]
    TooMuchAtOnce { requests: u64, megabytes: u64 },
    #[error(
        "DataProcessing takes application/json, application/jsonlines and text/csv; the \
         ContentType is {}",
        .0.as_deref().unwrap_or("not given")
    )]
    ContentType(Option<String>),
    #[error("it is not in UTF-8")]
    NotUtf8,
    #[error("it is not JSON: {0}")]
    NotJson(String),
    #[error("{what} has {bytes} bytes, more than MaxPayloadInMB of {megabytes}")]
    TooLarge {
        what: String,
        bytes: usize,
        megabytes: u64,
    },
    #[error("{place}: InputFilter: {error}")]
    Record {
        place: String,
        error: Box<BatchError>,
    },
    #[error(
        "the model answered {records} records with {lines} lines, so that they cannot be told \
         apart; BatchStrategy SingleRecord sends each alone"
    )]
    Lines { records: usize, lines: usize },
    #[error("OutputFilter finds nothing in it")]
    NothingInAnswer,
    #[error("it finds nothing in the record")]
    NothingInRecord,
}

impl Plan {
    /// Reads the request of a job.
    ///
    /// # Errors
    /// What is wrong with it, and what the stand-in does not do.
    pub(crate) fn read(
        request: &Map<String, Value>,
        preferences: &Preferences,
    ) -> Result<Self, BatchError> {
        let empty = Value::Null;
        let at = |member: &str| request.get(member).unwrap_or(&empty);
        let (input, output, processing) = (
            at("TransformInput"),
            at("TransformOutput"),
            at("DataProcessing"),
        );
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let one_of =
            |member: &'static str, value: &Value, first: &'static str, second: &'static str| {
                match value.as_str().unwrap_or(first) {
                    value if value == first => Ok(false),
                    value if value == second => Ok(true),
                    other => Err(BatchError::Unsupported {
                        member,
                        given: other.to_owned(),
                        taken: [first, second],
                    }),
                }
            };
        let filter = |member: &'static str| {
            processing[member]
                .as_str()
                .filter(|path| *path != "$")
                .map(|path| {
                    JsonPath::parse(path).map_err(|error| BatchError::Filter { member, error })
                })
                .transpose()
        };
        let plan = Self {
            content_type: text(&input["ContentType"]),
            accept: text(&output["Accept"]),
            is_gzip: one_of("CompressionType", &input["CompressionType"], "None", "Gzip")?,
            by_line: one_of("SplitType", &input["SplitType"], "None", "Line")?,
            is_single: at("BatchStrategy")
                .as_str()
                .map(is_single)
                .or(preferences.is_single)
                .unwrap_or(false),
            assemble_by_line: one_of("AssembleWith", &output["AssembleWith"], "None", "Line")?,
            payload_megabytes: at("MaxPayloadInMB")
                .as_u64()
                .or(preferences.payload_megabytes)
                .unwrap_or(DEFAULT_PAYLOAD),
            concurrent: at("MaxConcurrentTransforms")
                .as_u64()
                .filter(|number| *number > 0)
                .or(preferences.concurrent)
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(1),
            input_filter: filter("InputFilter")?,
            output_filter: filter("OutputFilter")?,
            is_joined: one_of("JoinSource", &processing["JoinSource"], "None", "Input")?,
        };
        let asked = at("MaxConcurrentTransforms").as_u64().unwrap_or(1);
        if asked.saturating_mul(plan.payload_megabytes) > LARGEST_TOTAL {
            return Err(BatchError::TooMuchAtOnce {
                requests: asked,
                megabytes: plan.payload_megabytes,
            });
        }
        if plan.is_filtered() && plan.form(plan.content_type.as_deref()).is_none() {
            return Err(BatchError::ContentType(plan.content_type));
        }
        Ok(plan)
    }

    fn is_filtered(&self) -> bool {
        self.input_filter.is_some() || self.output_filter.is_some() || self.is_joined
    }

    fn form(&self, content_type: Option<&str>) -> Option<Form> {
        match content_type?.split(';').next()?.trim() {
            "application/json" | "application/jsonlines" | "application/x-jsonlines" => {
                Some(Form::Json)
            }
            "text/csv" => Some(Form::Csv),
            _ => None,
        }
    }

    /// Cuts a file into requests.
    ///
    /// # Errors
    /// Which record cannot be sent, and why.
    pub(crate) fn mini_batches(&self, file: Vec<u8>) -> Result<Vec<MiniBatch>, BatchError> {
        let limit = match self.payload_megabytes {
            0 => usize::MAX,
            megabytes => usize::try_from(megabytes * MEGABYTE).unwrap_or(usize::MAX),
        };
        if !self.by_line && !self.is_filtered() {
            if file.len() > limit {
                return Err(self.too_large("the file".to_owned(), file.len()));
            }
            let records = Vec::new();
            return Ok(vec![MiniBatch {
                body: file,
                records,
            }]);
        }
        let file = String::from_utf8(file).map_err(|_| BatchError::NotUtf8)?;
        let records: Vec<&str> = if self.by_line {
            file.lines()
                .filter(|line| !line.trim().is_empty())
                .collect()
        } else {
            vec![&file]
        };
        let mut batches: Vec<MiniBatch> = Vec::new();
        for (number, record) in records.into_iter().enumerate() {
            let place = || format!("record {}", number + 1);
            let sent = match &self.input_filter {
                Some(filter) => self.filtered(filter, record).map_err(|error| {
                    let (place, error) = (place(), Box::new(error));
                    BatchError::Record { place, error }
                })?,
                None => record.to_owned(),
            };
            if sent.len() > limit {
                return Err(self.too_large(place(), sent.len()));
            }
            match batches.last_mut() {
                Some(last) if !self.is_single && last.body.len() + 1 + sent.len() <= limit => {
                    last.body.push(b'\n');
                    last.body.extend_from_slice(sent.as_bytes());
                    last.records.push(record.to_owned());
                }
                _ => batches.push(MiniBatch {
                    body: sent.into_bytes(),
                    records: vec![record.to_owned()],
                }),
            }
        }
        Ok(batches)
    }

    fn too_large(&self, what: String, bytes: usize) -> BatchError {
        BatchError::TooLarge {
            what,
            bytes,
            megabytes: self.payload_megabytes,
        }
    }

    /// What stands in the output for the answer to a request; `content_type` is the answer's.
    ///
    /// # Errors
    /// Why it cannot be joined or filtered.
    pub(crate) fn output(
        &self,
        batch: &MiniBatch,
        answer: Vec<u8>,
        content_type: Option<&str>,
    ) -> Result<Vec<u8>, BatchError> {
        let mut output = if self.output_filter.is_some() || self.is_joined {
            let answer = String::from_utf8(answer).map_err(|_| BatchError::NotUtf8)?;
            let form = self
                .form(content_type)
                .or_else(|| self.form(self.accept.as_deref()))
                .or_else(|| self.form(self.content_type.as_deref()))
                .unwrap_or(Form::Json);
            self.joined(batch, &answer, form)?.into_bytes()
        } else {
            answer
        };
        if self.assemble_by_line && !output.ends_with(b"\n") {
            output.push(b'\n');
        }
        Ok(output)
    }

    fn joined(&self, batch: &MiniBatch, answer: &str, form: Form) -> Result<String, BatchError> {
        let answers: Vec<&str> = if batch.records.len() == 1 {
            vec![answer.trim_end_matches('\n')]
        } else {
            answer
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect()
        };
        if answers.len() != batch.records.len() {
            return Err(BatchError::Lines {
                records: batch.records.len(),
                lines: answers.len(),
            });
        }
        let mut lines = Vec::with_capacity(answers.len());
        for (record, answer) in batch.records.iter().zip(answers) {
            let mut value = form.read(answer)?;
            if self.is_joined {
                value = form.join(form.read(record)?, value);
            }
            if let Some(filter) = &self.output_filter {
                value = filter.of(&value).ok_or(BatchError::NothingInAnswer)?;
            }
            lines.push(form.write(&value));
        }
        Ok(lines.join("\n"))
    }

    fn filtered(&self, filter: &JsonPath, record: &str) -> Result<String, BatchError> {
        let form = self
            .form(self.content_type.as_deref())
            .unwrap_or(Form::Json);
        let value = form.read(record)?;
        let taken = filter.of(&value).ok_or(BatchError::NothingInRecord)?;
        Ok(form.write(&taken))
    }
}

/// How filters read records: a line of CSV is a list of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
}

impl Form {
    fn read(self, text: &str) -> Result<Value, BatchError> {
        match self {
            Self::Json => {
                serde_json::from_str(text).map_err(|error| BatchError::NotJson(error.to_string()))
            }
            Self::Csv => Ok(fields(text).into_iter().map(Value::from).collect()),
        }
    }

    fn write(self, value: &Value) -> String {
        match (self, value) {
            (Self::Csv, Value::Array(fields)) => {
                let fields: Vec<String> = fields.iter().map(field).collect();
                fields.join(",")
            }
            (Self::Csv, value) => field(value),
            (Self::Json, value) => value.to_string(),
        }
    }

    fn join(self, input: Value, output: Value) -> Value {
        match (self, input, output) {
            (Self::Csv, Value::Array(mut input), Value::Array(output)) => {
                input.extend(output);
                Value::Array(input)
            }
            (_, Value::Object(mut members), output) => {
                members.insert("SageMakerOutput".to_owned(), output);
                Value::Object(members)
            }
            (_, input, output) => json!({"SageMakerInput": input, "SageMakerOutput": output}),
        }
    }
}

/// A field of CSV as it was read.
fn field(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The fields of a line of CSV, with their quotes, so that they are written as they were.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            ',' if !is_quoted => fields.push(String::new()),
            letter => {
                is_quoted ^= letter == '"';
                if let Some(last) = fields.last_mut() {
                    last.push(letter);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(request: Value) -> Result<Plan, BatchError> {
        Plan::read(request.as_object().unwrap(), &Preferences::default())
    }

    fn lines(request: Value) -> Plan {
        let mut request = request;
        request["TransformInput"]["SplitType"] = json!("Line");
        request["TransformOutput"]["AssembleWith"] = json!("Line");
        plan(request).unwrap()
    }

    fn bodies(plan: &Plan, file: &str) -> Vec<String> {
        let batches = plan.mini_batches(file.as_bytes().to_vec()).unwrap();
        let text = |batch: MiniBatch| String::from_utf8(batch.body).unwrap();
        batches.into_iter().map(text).collect()
    }

    /// What comes out of a file, if the model answers a request with `answer` of its body.
    fn transformed(plan: &Plan, file: &str, answer: impl Fn(&str) -> String) -> String {
        let mut output = Vec::new();
        for batch in plan.mini_batches(file.as_bytes().to_vec()).unwrap() {
            let body = String::from_utf8(batch.body.clone()).unwrap();
            let answer = answer(&body).into_bytes();
            output.extend(plan.output(&batch, answer, None).unwrap());
        }
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_file_is_one_request_or_one_a_line_or_as_many_lines_as_fit() {
        let whole = plan(json!({})).unwrap();
        assert_eq!(bodies(&whole, "a\nb\n"), ["a\nb\n"]);
        let single = lines(json!({"BatchStrategy": "SingleRecord"}));
        assert_eq!(bodies(&single, "a\n\nb"), ["a", "b"]);
        let several = lines(json!({"MaxPayloadInMB": 1}));
        assert_eq!(bodies(&several, "a\nb\n"), ["a\nb"]);
        let half = "x".repeat(600_000);
        let found = bodies(&several, &format!("{half}\nb\n{half}\nc\n"));
        assert_eq!(found, [format!("{half}\nb"), format!("{half}\nc")]);
        let fault = several.mini_batches(vec![b'x'; 1_100_000]).unwrap_err();
        let fault = fault.to_string();
        assert!(fault.contains("record 1 has 1100000 bytes"), "{fault}");
        let fault = plan(json!({"MaxPayloadInMB": 1})).unwrap();
        let fault = fault.mini_batches(vec![b'x'; 1_100_000]).unwrap_err();
        let fault = fault.to_string();
        assert!(fault.contains("MaxPayloadInMB of 1"), "{fault}");
    }

    #[test]
    fn the_models_preferences_count_where_the_job_has_none() {
        let preferences = Preferences::read(&json!({"MaxConcurrentTransforms": 4,
            "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 20}));
        let read = |request: Value| Plan::read(request.as_object().unwrap(), &preferences).unwrap();
        let preferred = read(json!({}));
        assert!(preferred.is_single);
        assert_eq!((preferred.concurrent, preferred.payload_megabytes), (4, 20));
        let given = read(
            json!({"MaxConcurrentTransforms": 2, "BatchStrategy": "MultiRecord",
            "MaxPayloadInMB": 0}),
        );
        assert!(!given.is_single);
        assert_eq!((given.concurrent, given.payload_megabytes), (2, 0));
    }

    /// Records are filtered and joined with their forecasts by JSONPath, as the documentation has it.
    #[test]
    fn outputs_are_filtered_and_joined_as_the_documentation_has_it() {
        // Inferences of some columns, joined with the identifier, from CSV.
        let csv = lines(json!({"TransformInput": {"ContentType": "text/csv"},
            "DataProcessing": {"InputFilter": "$[1:]", "JoinSource": "Input",
                "OutputFilter": "$[0,-1]"}}));
        let file = "id1,\"a, b\",2\nid2,c,4\n";
        assert_eq!(bodies(&csv, file), ["\"a, b\",2\nc,4"]);
        let sizes = |body: &str| {
            let sizes = body.lines().map(|line| format!("{}\n", line.len()));
            sizes.collect::<String>()
        };
        assert_eq!(transformed(&csv, file, sizes), "id1,8\nid2,3\n");
        // The same of JSON Lines.
        let json_lines = lines(
            json!({"TransformInput": {"ContentType": "application/jsonlines"},
            "BatchStrategy": "SingleRecord",
            "DataProcessing": {"InputFilter": "$.features", "JoinSource": "Input",
                "OutputFilter": "$.['id','SageMakerOutput']"}}),
        );
        let file = "{\"id\":1,\"features\":[1,2]}\n{\"id\":2,\"features\":[3.50]}\n";
        assert_eq!(bodies(&json_lines, file), ["[1,2]", "[3.50]"]);
        assert_eq!(
            transformed(&json_lines, file, |body| format!("{{\"sum\":{body}}}\n")),
            "{\"id\":1,\"SageMakerOutput\":{\"sum\":[1,2]}}\n\
             {\"id\":2,\"SageMakerOutput\":{\"sum\":[3.50]}}\n"
        );
        // What is not an object has the input beside it.
        let joined = lines(
            json!({"TransformInput": {"ContentType": "application/json"},
            "DataProcessing": {"JoinSource": "Input"}}),
        );
        assert_eq!(
            transformed(&joined, "[1]\n", |_| "2".to_owned()),
            "{\"SageMakerInput\":[1],\"SageMakerOutput\":2}\n"
        );
    }

    #[test]
    fn answers_that_cannot_be_told_apart_are_an_error() {
        let joined = lines(
            json!({"TransformInput": {"ContentType": "application/json"},
            "DataProcessing": {"JoinSource": "Input"}}),
        );
        let batch = joined.mini_batches(b"1\n2\n".to_vec()).unwrap().remove(0);
        let fault = joined.output(&batch, b"3\n".to_vec(), None).unwrap_err();
        let fault = fault.to_string();
        assert!(fault.contains("2 records with 1 lines"), "{fault}");
        let filter = lines(
            json!({"TransformInput": {"ContentType": "application/json"},
            "DataProcessing": {"InputFilter": "$.x"}}),
        );
        let fault = filter
            .mini_batches(b"{\"x\":1}\n{}\n".to_vec())
            .unwrap_err()
            .to_string();
        assert!(fault.contains("record 2: InputFilter"), "{fault}");
    }

    #[test]
    fn what_the_stand_in_does_not_do_is_named() {
        for (request, words) in [
            (
                json!({"TransformInput": {"SplitType": "RecordIO"}}),
                "SplitType is RecordIO",
            ),
            (
                json!({"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}),
                "20 × 6",
            ),
            (
                json!({"DataProcessing": {"InputFilter": "$..a"}}),
                "InputFilter",
            ),
            (
                json!({"DataProcessing": {"JoinSource": "Input"}}),
                "ContentType is not given",
            ),
        ] {
            let fault = plan(request).unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}");
        }
    }
}
