"""Serves a model with the functions of an inference program, as a framework's image does.

    serve.py CODE PROGRAM MODEL

imports PROGRAM from the folder CODE and answers GET /ping and POST /invocations on the address in
SAGEMAKER_BIND_TO_HOST and SAGEMAKER_BIND_TO_PORT. Of the program's functions

    model_fn(model_dir)                                 is needed
    input_fn(body, content_type)                        JSON, CSV and NPY are read without it
    predict_fn(data, model)                             model.predict(data), or model(data)
    output_fn(prediction, accept)                       JSON, CSV and NPY are written without it
    transform_fn(model, body, content_type, accept)     stands for the three before it
"""

import http.server
import importlib
import io
import json
import os
import pathlib
import sys
import traceback

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"


class Unsupported(Exception):
    """A content type that nothing here reads or writes."""


def default_input(body, content_type):
    """A body as an array; without numpy, JSON and CSV as lists."""
    if content_type == JSON:
        return _array(json.loads(body))
    if content_type == CSV:
        lines = body.decode().splitlines()
        return _array([[_number(cell) for cell in line.split(",")] for line in lines if line])
    if content_type == NPY:
        import numpy

        return numpy.load(io.BytesIO(body), allow_pickle=False)
    raise Unsupported(f"the content type {content_type!r} needs an input_fn")


def default_predict(data, model):
    """What the model makes of the data."""
    return model.predict(data) if hasattr(model, "predict") else model(data)


def default_output(prediction, accept):
    """A prediction as bytes, and their content type."""
    if accept == NPY:
        import numpy

        file = io.BytesIO()
        numpy.save(file, numpy.asarray(prediction))
        return file.getvalue(), NPY
    plain = prediction.tolist() if hasattr(prediction, "tolist") else prediction
    if accept in (JSON, "*/*", ""):
        return json.dumps(plain, default=_plain).encode(), JSON
    if accept == CSV:
        rows = plain if isinstance(plain, (list, tuple)) else [plain]
        rows = [row if isinstance(row, (list, tuple)) else [row] for row in rows]
        return "\n".join(",".join(map(str, row)) for row in rows).encode(), CSV
    raise Unsupported(f"the accepted type {accept!r} needs an output_fn")


def _plain(value):
    """A number or an array of numpy's in a list, as JSON has it."""
    return value.tolist()


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text.strip()


def _array(rows):
    try:
        import numpy
    except ImportError:
        return rows
    return numpy.array(rows)


class Model:
    """A model with the functions that answer for it."""

    def __init__(self, program, folder):
        if not hasattr(program, "model_fn"):
            raise SystemExit(f"{program.__file__} has no function model_fn(model_dir)")
        self._program = program
        self._model = program.model_fn(folder)

    def answer(self, body, content_type, accept):
        """The bytes of an answer, and their content type."""
        transform = getattr(self._program, "transform_fn", None)
        if transform:
            answer = transform(self._model, self._text(body, content_type), content_type, accept)
        else:
            read = getattr(self._program, "input_fn", None)
            data = (
                read(self._text(body, content_type), content_type)
                if read
                else default_input(body, content_type)
            )
            prediction = getattr(self._program, "predict_fn", default_predict)(data, self._model)
            answer = getattr(self._program, "output_fn", default_output)(prediction, accept)
        content, kind = answer if isinstance(answer, tuple) else (answer, accept)
        return (content.encode() if isinstance(content, str) else bytes(content)), kind

    @staticmethod
    def _text(body, content_type):
        # As the images give it: text where it is text.
        return (
            body.decode()
            if content_type in (JSON, CSV) or content_type.startswith("text/")
            else body
        )


def handler(model):
    """The class of a server's requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._reply(200 if self.path == "/ping" else 404, b"", "text/plain")

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != "/invocations":
                self._reply(404, b"", "text/plain")
                return
            content_type = (self.headers.get("Content-Type") or JSON).split(";")[0].strip()
            accept = (self.headers.get("Accept") or "").split(";")[0].strip()
            if accept in ("", "*/*"):
                accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)
            try:
                self._reply(200, *model.answer(body, content_type, accept))
            except Unsupported as error:
                self._reply(415, str(error).encode(), "text/plain")
            except Exception as error:
                traceback.print_exc()
                text = f"{type(error).__name__}: {error}"
                self._reply(500, text.encode(), "text/plain")

        def _reply(self, status, body, content_type):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, form, *values):
            if self.path != "/ping":
                print(form % values, flush=True)

    return Handler


def main():
    """Serve until the process is ended."""
    code, program, folder = sys.argv[1:]
    sys.path.insert(0, code)
    model = Model(importlib.import_module(pathlib.PurePath(program).stem), folder)
    address = (os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
    http.server.ThreadingHTTPServer(address, handler(model)).serve_forever()


if __name__ == "__main__":
    main()
