// The original's way of recording a step's event, as the sample that this project comes from does
// it: find the execution by an index, read its item, append to the list in it, write it all back.
// One process under Lambda's runtime interface, with the AWS SDK for JavaScript.

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand } from "@aws-sdk/lib-dynamodb";

const table = process.env.EXECUTIONS_TABLE;
const client = DynamoDBDocumentClient.from(new DynamoDBClient({}), {
  marshallOptions: { removeUndefinedValues: true },
});

async function handle(event) {
  const detail = event.detail;
  const found = await client.send(
    new QueryCommand({
      TableName: table,
      IndexName: "by-arn",
      KeyConditionExpression: "pipelineExecutionArn = :arn",
      ExpressionAttributeValues: { ":arn": detail.pipelineExecutionArn },
    }),
  );
  const { Id } = found.Items[0];
  const { Item } = await client.send(new GetCommand({ TableName: table, Key: { Id } }));
  Item.steps.push({
    stepType: detail.stepType,
    stepStatus: detail.currentStepStatus,
    stepStartTime: detail.stepStartTime,
    stepEndTime: detail.stepEndTime,
    metadata: detail.metadata,
  });
  await client.send(new PutCommand({ TableName: table, Item }));
  return { outcome: "recorded" };
}

const runtime = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
for (;;) {
  const next = await fetch(`${runtime}/next`);
  if (!next.ok) {
    break;
  }
  const id = next.headers.get("lambda-runtime-aws-request-id");
  let outcome = "response";
  let body;
  try {
    body = await handle(await next.json());
  } catch (error) {
    outcome = "error";
    body = { errorType: error.name, errorMessage: error.message };
  }
  await fetch(`${runtime}/${id}/${outcome}`, { method: "POST", body: JSON.stringify(body) });
}
