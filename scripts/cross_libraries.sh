#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the libraries that brume needs for another system, static and plain C, for trying brume there: zlib, libpng, jansson, and where their sources are
# at hand libjpeg, giflib and utf8proc. Writes PREFIX/libraries.ini, which a cross file of tools/cross is given with.
# usage: scripts/cross_libraries.sh SOURCES PREFIX COMPILER... -- ARCHIVER...
#   SOURCES   folder with the unpacked sources zlib, libpng, jansson, libjpeg, giflib, utf8proc, or with Debian's archives of them (*.orig.tar.*), which are
#             unpacked there. Where it does not exist it is filled by `apt-get source` (which needs deb-src lines)
#   COMPILER  and ARCHIVER may be several words: zig cc -target aarch64-macos -- zig ar
# Exit status: 0 the first three are there, else 1. It configures nothing: sources with Debian's patches where they are there, without assembler.
set -eu
die() { echo "cross_libraries.sh: $*" >&2; exit 1; }
[ $# -ge 5 ] || die "expected SOURCES PREFIX COMPILER... -- ARCHIVER..."
sources=$1 prefix=$2
shift 2
cc=() ar=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do cc+=("$1"); shift; done
[ $# -gt 1 ] || die "expected -- ARCHIVER... at the end"
shift
ar=("$@")

if [ ! -d "$sources" ]; then
    mkdir -p "$sources"
    (cd "$sources" && for p in zlib libpng1.6 jansson libjpeg-turbo giflib utf8proc; do apt-get source -qq --download-only $p || true; done) # a patch may be gone, the archive is there
fi
sources=$(cd "$sources" && pwd)
unpack() { # unpack FOLDER ARCHIVES
    [ ! -d "$sources/$1" ] || return 0
    local archive=("$sources"/$2)
    [ -f "${archive[0]}" ] || return 0
    mkdir "$sources/$1"
    tar -xf "${archive[0]}" -C "$sources/$1" --strip-components=1
    local packed=("$sources"/${2%orig*}debian.tar.*) patch
    [ -f "${packed[0]}" ] || return 0
    tar -xf "${packed[0]}" -C "$sources/$1"
    [ ! -f "$sources/$1/debian/patches/series" ] || grep -v '^#' "$sources/$1/debian/patches/series" | while read -r patch _; do
        [ -z "$patch" ] || (cd "$sources/$1" && patch -s -f -p1 <"debian/patches/$patch") || die "$1: $patch does not apply"
    done
}
unpack zlib 'zlib_*.orig.tar.*'
unpack libpng 'libpng1.6_*.orig.tar.*'
unpack jansson 'jansson_*.orig.tar.*'
unpack libjpeg 'libjpeg-turbo_*.orig.tar.*'
unpack giflib 'giflib_*.orig.tar.*'
unpack utf8proc 'utf8proc_*.orig.tar.*'
for name in zlib libpng jansson; do [ -d "$sources/$name" ] || die "$sources/$name is missing: apt-get source needs deb-src lines in /etc/apt"; done

mkdir -p "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/config"
prefix=$(cd "$prefix" && pwd)
# library NAME SOURCES... -- FLAGS...: lib/libNAME.a
library() {
    local name=$1 files=() objects=() file object
    shift
    while [ "$1" != -- ]; do files+=("$1"); shift; done
    shift
    for file in "${files[@]}"; do
        object=$prefix/config/$name-$(basename "$file" .c).o
        "${cc[@]}" -O2 -fPIC -w "$@" -I"$prefix/config" -I"$prefix/include" -c "$file" -o "$object"
        objects+=("$object")
    done
    rm -f "$prefix/lib/lib$name.a"
    "${ar[@]}" rcs "$prefix/lib/lib$name.a" "${objects[@]}"
}
package() { # package NAME VERSION LIBS CFLAGS REQUIRES
    printf 'Name: %s\nDescription: %s for tests\nVersion: %s\nLibs: -L%s/lib %s\nCflags: -I%s/include %s\nRequires: %s\n' \
        "$1" "$1" "$2" "$prefix" "$3" "$prefix" "$4" "$5" >"$prefix/lib/pkgconfig/$1.pc"
}

cd "$sources/zlib"
cp zlib.h zconf.h "$prefix/include"
library z adler32.c compress.c crc32.c deflate.c gzclose.c gzlib.c gzread.c gzwrite.c infback.c inffast.c inflate.c inftrees.c trees.c uncompr.c zutil.c -- \
    -DHAVE_UNISTD_H -DHAVE_STDARG_H -Dfdopen=fdopen # which zlib 1.2 believes to be missing on a Mac
package zlib 1.2 -lz '' ''

cd "$sources/libpng"
cp png.h pngconf.h "$prefix/include"
cp scripts/pnglibconf.h.prebuilt "$prefix/include/pnglibconf.h"
library png png.c pngerror.c pngget.c pngmem.c pngpread.c pngread.c pngrio.c pngrtran.c pngrutil.c pngset.c pngtrans.c pngwio.c pngwrite.c pngwtran.c pngwutil.c -- \
    -DPNG_ARM_NEON_OPT=0 -DPNG_INTEL_SSE_OPT=0 -DPNG_POWERPC_VSX_OPT=0 -DPNG_MIPS_MSA_OPT=0 \
    -UTARGET_OS_MAC # Mac OS 9 to libpng 1.6.39
package libpng 1.6 -lpng '' zlib

cd "$sources/jansson"
cp src/jansson.h "$prefix/include"
sed -e 's/@json_inline@/inline/;s/@json_have_long_long@/1/;s/@json_have_localeconv@/1/;s/@json_have_atomic_builtins@/1/;s/@json_have_sync_builtins@/1/' \
    src/jansson_config.h.in >"$prefix/include/jansson_config.h"
{
    for name in STDINT_H SYS_TYPES_H SYS_STAT_H FCNTL_H UNISTD_H GETPID LOCALE_H LOCALECONV CLOSE OPEN READ; do echo "#define HAVE_$name 1"; done
    echo '#define INITIAL_HASHTABLE_ORDER 3'
    case $("${cc[@]}" -dM -E -x c /dev/null) in
    *'#define _WIN32 '*) echo '#define USE_WINDOWS_CRYPTOAPI 1' ;;
    *) printf '#define HAVE_SYS_TIME_H 1\n#define HAVE_GETTIMEOFDAY 1\n#define USE_URANDOM 1\n' ;;
    esac
} >"$prefix/config/jansson_private_config.h"
library jansson src/*.c -- -DHAVE_CONFIG_H -Isrc
package jansson 2.14 "-ljansson$(grep -q CRYPTOAPI "$prefix/config/jansson_private_config.h" && echo ' -ladvapi32')" '' ''

if [ -d "$sources/libjpeg" ]; then
    cd "$sources/libjpeg"
    cp jpeglib.h jmorecfg.h jerror.h "$prefix/include"
    printf '#define %s\n' 'JPEG_LIB_VERSION 62' 'LIBJPEG_TURBO_VERSION 2.1.5' 'LIBJPEG_TURBO_VERSION_NUMBER 2001005' 'C_ARITH_CODING_SUPPORTED 1' \
        'D_ARITH_CODING_SUPPORTED 1' 'MEM_SRCDST_SUPPORTED 1' 'BITS_IN_JSAMPLE 8' >"$prefix/include/jconfig.h"
    printf '#define %s\n' 'BUILD ""' 'INLINE inline' 'THREAD_LOCAL _Thread_local' 'PACKAGE_NAME "libjpeg-turbo"' 'VERSION "2.1.5"' 'SIZEOF_SIZE_T __SIZEOF_SIZE_T__' \
        'FALLTHROUGH' >"$prefix/config/jconfigint.h"
    sed 's/@[A-Z_]*@//' jversion.h.in >"$prefix/config/jversion.h"
    library jpeg $(sed -n '/^set(JPEG_SOURCES/,/)/p' CMakeLists.txt | sed 's/set(JPEG_SOURCES//;s/)//') jaricom.c jcarith.c jdarith.c jsimd_none.c -- -I.
    package libjpeg 2.1.5 -ljpeg '' ''
fi
if [ -d "$sources/giflib" ]; then
    cd "$sources/giflib"
    cp gif_lib.h "$prefix/include"
    library gif dgif_lib.c egif_lib.c gifalloc.c gif_err.c gif_font.c gif_hash.c openbsd-reallocarray.c quantize.c -- -I.
fi
if [ -d "$sources/utf8proc" ]; then
    cd "$sources/utf8proc"
    cp utf8proc.h "$prefix/include"
    library utf8proc utf8proc.c -- -DUTF8PROC_STATIC
    package libutf8proc 2.8.0 -lutf8proc -DUTF8PROC_STATIC ''
fi
# OpenCL's headers are the same for all systems, by the name that each has for them; their folder has others, too, so that a link stands for them.
for name in CL OpenCL; do [ ! -d /usr/include/CL ] || [ -e "$prefix/include/$name" ] || ln -s /usr/include/CL "$prefix/include/$name"; done
printf '[constants]\nlibraries = %s\n' "'$prefix'" >"$prefix/libraries.ini"
