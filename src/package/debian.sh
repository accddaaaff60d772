# shellcheck shell=sh disable=SC2034
# For scripts that set up a Debian machine; read with `.`.

# missing_packages NAME …: those that are not installed. On another system dpkg is missing and nothing is said to be.
missing_packages() {
    command -v dpkg-query >/dev/null || return 0
    for package in "$@"; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        *' installed') ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

# install_packages NAME …: installs missing packages, if this is root; else lists them, and fails.
install_packages() {
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "missing packages; as root: apt-get install $missing" >&2
        return 1
    fi
    echo "installing: $missing"
    log=$(mktemp)
    status=0
    # shellcheck disable=SC2086
    apt_get update >"$log" 2>&1 && apt_get install -y --no-install-recommends $missing >>"$log" 2>&1 || status=1
    if [ $status -ne 0 ]; then
        tail -n 20 "$log" >&2
        echo "apt-get could not install: $missing" >&2
    fi
    rm -f "$log"
    return $status
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null
}

# Packages to build libnft, and further ones for its tests.
nft_build_packages='gcc g++ libc6-dev cmake ninja-build pkg-config libopenblas-dev libjansson-dev libpng-dev zlib1g-dev libcairo2-dev libhdf5-dev'
nft_test_packages='libcmocka-dev binutils python3-numpy'
# Optional packages for `tests/run.sh --all`.
nft_check_packages='clang libclang-rt-dev llvm clang-format clang-tidy libblas3 libopenblas0-openmp libopenblas0-serial libblis4-pthread
    libatlas3-base gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user cppcheck valgrind shellcheck libopenmpi-dev openmpi-bin doxygen
    abigail-tools gcc-12 dpkg-dev file ccache python3-torch python3-venv'
