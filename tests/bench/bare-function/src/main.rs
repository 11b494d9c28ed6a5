//! The least that a function can do, for `make bench-custom-resource`: the time that it
//! takes is the emulator's and the runtime's, not ours.
//!
//! Without an argument it answers Lambda and does nothing else. With `reply` it
//! first puts an answer to the event's `ResponseURL`, which must be on this
//! machine, without any HTTP client. It is not an example to follow: it checks
//! nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let replies = std::env::args().nth(1).as_deref() == Some("reply");
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        if replies {
            put(&event.payload)?;
        }
        Ok::<(), Error>(())
    }))
    .await
}

fn put(event: &Value) -> Result<(), Error> {
    let url = event["ResponseURL"].as_str().unwrap_or_default();
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or("the ResponseURL is not http://HOST:PORT/PATH")?;
    let body = json!({
        "Status": "SUCCESS",
        "PhysicalResourceId": event["PhysicalResourceId"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    })
    .to_string();
    let mut stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    let length = body.len();
    let request = format!(
        "PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200") {
        true => Ok(()),
        false => Err(answer.into()),
    }
}
