#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what building and testing brume needs, where it is missing.
# usage: scripts/deps.sh [--no-install] [--with-pocl] [--with-mpi]
#   --no-install   print the command instead of running it, and fail if something is missing
#   --with-pocl    also a processor implementation of OpenCL (PoCL), for tests on machines without a GPU
#   --with-mpi     also Open MPI, for training by several processes
# Knows apt, dnf, pacman and brew. Exit status: 0 everything is there, 1 not.
set -eu

install=1 pocl=0 mpi=0
for arg in "$@"; do
    case $arg in
    --no-install) install=0 ;;
    --with-pocl) pocl=1 ;;
    --with-mpi) mpi=1 ;;
    *) echo "deps.sh: unknown option '$arg'; expected --no-install, --with-pocl or --with-mpi" >&2; exit 2 ;;
    esac
done

have() { command -v "$1" >/dev/null 2>&1; }
module() { pkg-config --exists "$1" 2>/dev/null; }
header() { echo "#include <$1>" | cc -E - >/dev/null 2>&1; }

complete() {
    have cc && have meson && have ninja && have pkg-config && module zlib && module libpng && module jansson && module libutf8proc || return 1
    if [ "$(uname)" != Darwin ]; then
        header CL/cl.h && module clblast || return 1
        if [ $pocl = 1 ]; then ls /etc/OpenCL/vendors/*.icd >/dev/null 2>&1 || return 1; fi
    fi
    [ $mpi = 0 ] || { have mpicc || ls /usr/lib*/openmpi/bin/mpicc >/dev/null 2>&1; } # Fedora keeps it out of PATH
}

complete && exit 0

if have apt-get; then
    packages="build-essential meson ninja-build pkg-config zlib1g-dev libpng-dev libjpeg-dev libgif-dev libjansson-dev libutf8proc-dev liblapacke-dev opencl-c-headers ocl-icd-libopencl1 libclblast-dev"
    [ $pocl = 0 ] || packages="$packages pocl-opencl-icd"
    [ $mpi = 0 ] || packages="$packages libopenmpi-dev openmpi-bin"
    command="apt-get install -y --no-install-recommends $packages"
    refresh="apt-get update"
elif have dnf; then
    packages="gcc meson ninja-build pkgconf-pkg-config zlib-devel libpng-devel libjpeg-turbo-devel giflib-devel jansson-devel utf8proc-devel lapack-devel opencl-headers ocl-icd clblast-devel"
    [ $pocl = 0 ] || packages="$packages pocl"
    [ $mpi = 0 ] || packages="$packages openmpi-devel"
    command="dnf install -y $packages"
    refresh=true
elif have pacman; then
    packages="gcc meson ninja pkgconf zlib libpng libjpeg-turbo giflib jansson libutf8proc lapacke opencl-headers ocl-icd clblast"
    [ $pocl = 0 ] || packages="$packages pocl"
    [ $mpi = 0 ] || packages="$packages openmpi"
    command="pacman -S --needed --noconfirm $packages"
    refresh="pacman -Sy"
elif have brew; then
    packages="meson ninja pkg-config libpng jpeg-turbo giflib jansson utf8proc lapack clblast"
    [ $mpi = 0 ] || packages="$packages open-mpi"
    command="brew install $packages"
    refresh=true
else
    echo "deps.sh: no known package manager (apt, dnf, pacman, brew). Install: a C compiler, meson >= 1.0, ninja, pkg-config, zlib, libpng," >&2
    echo "jansson, libutf8proc, OpenCL headers, and if you like CLBlast and an OpenCL driver." >&2
    exit 1
fi

sudo=
if [ "$(id -u)" != 0 ] && ! have brew; then sudo=sudo; fi
if [ $install = 0 ]; then
    echo "Something is missing. This installs it:" >&2
    [ "$refresh" = true ] || echo "  $sudo $refresh" >&2
    echo "  $sudo $command" >&2
    exit 1
fi
if [ -n "$sudo" ] && ! have sudo; then
    echo "deps.sh: not root, and there is no sudo. As root: $command" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$sudo $refresh >&2 || echo "deps.sh: '$refresh' failed; going on with the package lists that are there" >&2
$sudo $command >&2
complete || { echo "deps.sh: still something missing after: $command" >&2; exit 1; }
