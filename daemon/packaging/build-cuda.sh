#!/bin/sh
# Builds traind and trainctl with CUDA, on a machine with or without a GPU or a CUDA installation. See docs/gpu.md.
#
#   daemon/packaging/build-cuda.sh [ARGUMENTS OF CARGO BUILD]
#
# Uses the CUDA of CUDA_HOME where that is set; otherwise takes the compiler from Python packages, in a temporary directory.
# CUDA_COMPUTE_CAP is the compute capability that is built for, 90 (Hopper) if not set; CUDAFORGE_THREADS how many
# compilers run at once. The programs are put in target/cuda, beside those of the build without CUDA.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The versions of one release of CUDA: one package's headers do not fit another's compiler.
wheels='nvidia-cuda-nvcc==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
        nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88'

# The compiler, headers and runtime as Python packages have them, laid out as an installation is.
tree_of_wheels() {
    command -v python3 >/dev/null || fail "there is no CUDA_HOME and no python3 to fetch CUDA's packages with"
    # shellcheck disable=SC2086 # a list of words
    python3 -m pip install --quiet --no-deps --target "$work/wheels" $wheels ||
        fail "pip could not fetch CUDA's packages; install CUDA 13 and set CUDA_HOME, or connect to a package index"
    mkdir "$work/cuda"
    for part in bin include nvvm; do
        ln -s "$work/wheels/nvidia/cu13/$part" "$work/cuda/$part"
    done
    chmod -R u+x "$work/wheels/nvidia/cu13/bin" "$work/wheels/nvidia/cu13/nvvm/bin"
    mkdir "$work/cuda/lib"
    ln -s lib "$work/cuda/lib64"
    for library in "$work"/wheels/nvidia/cu13/lib/*; do
        ln -s "$library" "$work/cuda/lib/"
    done
    ln -sf libcudart.so.13 "$work/cuda/lib/libcudart.so"
}

# Makes lib$1.so, if there is none to link with: functions of the names that cudarc's module $3 declares, which all
# fail with 100, "no device". The program asks for the true library, $2, when it starts.
stub() {
    for directory in "$CUDA_HOME/lib" "$CUDA_HOME/lib64" "$CUDA_HOME/lib64/stubs" "$CUDA_HOME/lib/stubs"; do
        [ ! -e "$directory/lib$1.so" ] || return 0
    done
    sed -n 's/^pub unsafe fn \([A-Za-z0-9_]*\).*/int \1(void) { return 100; }/p' "$cudarc/src/$3/sys/mod.rs" |
        sort -u >"$work/$1.c"
    [ -s "$work/$1.c" ] || fail "cudarc declares nothing for $1 any more: has its layout changed?"
    "${CC:-cc}" -shared -fPIC -w -fno-builtin -Wl,-soname,"$2" -o "$work/stubs/lib$1.so" "$work/$1.c"
}

fail() {
    echo "build-cuda.sh: $*" >&2
    exit 1
}

cd "$root"
if [ -z "${CUDA_HOME:-}" ]; then
    echo "build-cuda.sh: CUDA_HOME is not set: fetching the compiler (230 MB)" >&2
    tree_of_wheels
    CUDA_HOME=$work/cuda
fi
[ -x "$CUDA_HOME/bin/nvcc" ] || fail "$CUDA_HOME/bin/nvcc is not there: set CUDA_HOME to an installation of CUDA"
export CUDA_HOME NVCC="$CUDA_HOME/bin/nvcc" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}"
export PATH="$CUDA_HOME/bin:$PATH" CUDAFORGE_THREADS="${CUDAFORGE_THREADS:-2}"

mkdir "$work/stubs"
host=$(rustc -vV | sed -n "s/^host: //p")
cudarc=$(cargo metadata --format-version 1 --locked --features traind/cuda --filter-platform "$host" |
    grep -o '"manifest_path":"[^"]*/cudarc-[0-9][^"/]*/Cargo.toml"' | head -n 1 | cut -d '"' -f 4)
cudarc=${cudarc%/Cargo.toml}
[ -n "$cudarc" ] || fail "cargo does not know where the sources of cudarc are: run cargo fetch"
stub cuda libcuda.so.1 driver
stub nvrtc libnvrtc.so.13 nvrtc
stub curand libcurand.so.10 curand
stub cublas libcublas.so.13 cublas
stub cublasLt libcublasLt.so.13 cublaslt
export LIBRARY_PATH="$work/stubs${LIBRARY_PATH:+:$LIBRARY_PATH}"

target=${CARGO_TARGET_DIR:-$root/target/cuda}
cargo build --release --locked --features cuda -p traind --target-dir "$target" "$@"
echo "build-cuda.sh: built $target/release/traind; it starts only where NVIDIA's driver is" >&2
