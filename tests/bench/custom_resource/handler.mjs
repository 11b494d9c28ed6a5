// A custom resource as one writes it for the Node.js runtime with the SDK that
// the runtime ships: fill a template, put an object, answer CloudFormation. It
// checks nothing that ours checks, so the comparison is in its favour.
import { createHash } from "node:crypto";
import https from "node:https";
import http from "node:http";
import { S3Client, PutObjectCommand } from "@aws-sdk/client-s3";

const s3 = new S3Client({
  endpoint: process.env.AWS_ENDPOINT_URL_S3,
  forcePathStyle: true,
});

function filled(template, values) {
  return template.replace(/\{\{\s*(\w+)\s*\}\}/g, (hole, key) => {
    if (!(key in values)) throw new Error(`no value for ${key}`);
    return JSON.stringify(String(values[key])).slice(1, -1);
  });
}

function answer(event, outcome) {
  const body = JSON.stringify({
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
    ...outcome,
  });
  const url = new URL(event.ResponseURL);
  const client = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "", "Content-Length": Buffer.byteLength(body) };
    const request = client.request(url, { method: "PUT", headers }, (response) => {
      response.resume();
      response.on("end", resolve);
    });
    request.on("error", reject);
    request.end(body);
  });
}

export async function handler(event) {
  const { Bucket, KeyPrefix, Template, Values } = event.ResourceProperties ?? {};
  try {
    if (event.RequestType === "Delete") {
      await answer(event, { Status: "SUCCESS", PhysicalResourceId: event.PhysicalResourceId });
      return;
    }
    const definition = JSON.stringify(JSON.parse(filled(Template, Values)));
    const digest = createHash("sha256").update(definition).digest("hex");
    const Key = `${KeyPrefix}/${digest}.json`;
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: definition }));
    await answer(event, {
      Status: "SUCCESS",
      PhysicalResourceId: `${Bucket}/${Key}`,
      Data: { Bucket, Key },
    });
  } catch (error) {
    await answer(event, {
      Status: "FAILED",
      PhysicalResourceId: event.PhysicalResourceId ?? "failed",
      Reason: error.message,
    });
  }
}
