#!/bin/sh
# Starts the feature-engineering step in a SageMaker processing container:
#
#   /bin/sh /opt/ml/processing/input/code/run-fe-step.sh --executionid ID
#
# SageMaker fetches this script from the pipeline's bucket for every job, so
# that how the step starts can change without a new image. POSIX shell and
# builtins (but for mkdir): the image need not hold more.
#
#   PIPEWRIGHT_APP_DIR  where the image keeps the program    (default /app)
#   PIPEWRIGHT_ML_ROOT  root of SageMaker's directory layout (default /opt/ml)
set -eu

app_dir="${PIPEWRIGHT_APP_DIR:-/app}"
ml_root="${PIPEWRIGHT_ML_ROOT:-/opt/ml}"
program="$app_dir/feature-engineering"

# A panic should say where it arose; what the job's environment says wins.
export RUST_BACKTRACE="${RUST_BACKTRACE:-1}"

# SageMaker shows the file `output/message` as the job's failure reason.
fail() {
    printf 'run-fe-step.sh: %s\n' "$1" >&2
    mkdir -p "$ml_root/output"
    printf '%s' "$1" > "$ml_root/output/message"
    exit 1
}

[ -e "$program" ] ||
    fail "the image has no $program: build it from docker/Dockerfile, or set PIPEWRIGHT_APP_DIR"
[ -f "$program" ] && [ -x "$program" ] ||
    fail "$program cannot be executed: set its mode to 755 in the image"

# exec: the program itself receives SageMaker's SIGTERM when the job is stopped.
exec "$program" "$@"
