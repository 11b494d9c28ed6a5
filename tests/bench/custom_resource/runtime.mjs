// What Lambda's Node.js runtime does around a handler, without its instruments:
// take an event from the runtime interface, hand it on, give back the result.
import http from "node:http";
import { handler } from "./handler.mjs";

const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const agent = new http.Agent({ keepAlive: true });

function call(method, url, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, agent }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function serve() {
  for (;;) {
    const next = await call("GET", `${base}/next`);
    const id = next.headers["lambda-runtime-aws-request-id"];
    try {
      const result = await handler(JSON.parse(next.body));
      await call("POST", `${base}/${id}/response`, JSON.stringify(result ?? null));
    } catch (error) {
      const told = JSON.stringify({ errorType: error.name, errorMessage: error.message });
      await call("POST", `${base}/${id}/error`, told);
    }
  }
}

serve();
