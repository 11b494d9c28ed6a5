//! What reading costs in memory, in a process of its own.
#![cfg(target_os = "linux")]

use std::io::{BufReader, Read};

use pipewright_forecast::hyperparameters::{Cardinality, DynamicFeatures};
use pipewright_forecast::series::{Reader, RecordRules};

const SERIES: usize = 3_000;
const POINTS: usize = 1_000;

/// JSON Lines of so many series, made as they are read.
struct Records {
    left: usize,
    line: Vec<u8>,
    at: usize,
}

impl Read for Records {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.line.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.left -= 1;
            self.at = 0;
            self.line.clear();
            self.line
                .extend(b"{\"start\":\"2020-01-01\",\"target\":[0.5");
            for point in 1..POINTS {
                match point % 3 {
                    0 => self.line.extend(b",\"NaN\""),
                    _ => self
                        .line
                        .extend(format!(",{}.25", point + self.left).as_bytes()),
                }
            }
            self.line.extend(b"]}\n");
        }
        let length = buffer.len().min(self.line.len() - self.at);
        buffer[..length].copy_from_slice(&self.line[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// The most memory that this process ever had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes
        .and_then(|text| text.parse::<usize>().ok())
        .expect("a number of kB")
        * 1024
}

/// Reading takes at most half as much again as the values themselves.
#[test]
fn series_are_read_in_little_more_than_the_size_of_their_values() {
    let mut reader = Reader::new(RecordRules {
        frequency: "D".parse().expect("a frequency"),
        cardinality: Cardinality::Auto,
        num_dynamic_feat: DynamicFeatures::Auto,
        future: 0,
        likelihood: None,
    });
    let before = peak();
    let records = Records {
        left: SERIES,
        line: Vec::new(),
        at: 0,
    };
    reader.json_lines("a.json", BufReader::new(records));
    let channel = reader.finish().expect("the records have no fault");
    let values: usize = channel
        .series
        .iter()
        .map(|series| series.target.len())
        .sum();
    assert_eq!(values, SERIES * POINTS);
    let taken = peak() - before;
    assert!(taken >= 4 * values, "the measure works: {taken} bytes");
    assert!(taken <= 6 * values, "{taken} bytes for {values} values");
}
