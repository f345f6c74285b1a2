#!/usr/bin/env bash
# Builds the images of the invented machine from src into a folder:
# build.sh DIR makes DIR/x64.files and DIR/arm64.files, with clang, lld and llvm
# of version 19. TestRebuild compares them with data/, or packs them with -update.
set -euo pipefail
src=$(cd "$(dirname "$0")/src" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

# The versions of the builds; their structures are in layouts.tsv.
x64_builds="17763:379 19041:804 20348:2529 22621:382 26100:1742"
arm64_builds="22000:2538 26100:1742"

compile() { # object, source, flags: in the folder of work, so that no path gets into files
  local object=$1 source=$2
  shift 2
  clang-19 -target "$target" -std=gnu11 -O2 -w -fms-extensions -ffreestanding -fno-builtin -fno-inline -fno-unroll-loops \
    -fno-optimize-sibling-calls -fno-asynchronous-unwind-tables -funwind-tables -fno-ident -mno-implicit-float \
    -fno-stack-protector -gno-codeview-command-line -ffile-compilation-dir='C:\lab' "${frames[@]}" "$@" -c "$source" -o "$object"
}

resource() { # file, version, company, description, name, type
  sed -e "s/VERSION_NUMBERS/${2//./,}/; s/VERSION_TEXT/$2/; s/COMPANY/$3/; s/DESCRIPTION/$4/; s/FILE_NAME/$5/; s/FILE_TYPE/$6/" \
    version.rc >"$1.rc"
  llvm-rc-19 /no-preprocess /fo "$1" "$1.rc"
}

link() { # image, symbol file, flags
  local image=$1 symbols=$2
  shift 2
  lld-link-19 /nodefaultlib /machine:"$arch" /debug:full /incremental:no /pdb:"$symbols" /pdbaltpath:%_PDB% /pdbsourcepath:'C:\lab' \
    /Brepro /release /dynamicbase /opt:ref /opt:noicf /map:"$image.map" /out:"$image" "$@"
}

kernel() { # build, version
  python3 gen.py types "$arch" "$1" >types.h
  compile variables.o variables.c -g -gcodeview -fno-eliminate-unused-debug-types
  resource v.res "$2" "Microsoft Corporation" "NT Kernel \& System" ntkrnlmp.exe 1
  link ntoskrnl.exe ntkrnlmp.pdb /driver /subsystem:native /entry:KiSystemStartup /def:ntoskrnl.def /implib:ntoskrnl.lib \
    /section:INIT,ERD kernel.o kernel-s.o variables.o v.res
  rm types.h
}

image() { # version, then a row of images.tsv
  local version=$1 name=$2 symbols=$3 what=$4 exports=$5 libraries=$6 company=$7 description=$8
  local source=${what% *} define=${what#* } flags=() helper=driver type=3 debug=()
  case $source in myfault | vendor | user) debug=(-g -gcodeview) ;; esac
  case $source in user) [[ $company == Microsoft* ]] && debug=() ;; esac
  for e in $exports; do flags+=("/export:$e"); done
  for l in $libraries; do flags+=("$l.lib"); done
  flags+=("/implib:${name%.*}.lib")
  case $name in
  hal.dll) flags+=(/driver /subsystem:native /entry:DriverEntry) type=2 ;;
  ntdll.dll) flags+=(/dll /noentry /subsystem:console) helper=user-ntdll type=2 ;;
  *.dll | *.DLL) flags+=(/dll /noentry /subsystem:console) type=2 ;;
  *.exe) flags+=(/subsystem:console /entry:mainCRTStartup) type=1 ;;
  *) flags+=(/driver /subsystem:native /entry:DriverEntry /section:INIT,ERD) ;;
  esac
  [ -f "$define.o" ] || compile "$define.o" "$source.c" "-DIMAGE_$define=1" "${debug[@]}"
  resource v.res "$version" "$company" "$description" "$name" "$type"
  link "$name" "$symbols" "$define.o" "$helper.o" v.res "${flags[@]}"
}

images() { # group (inbox or ours), version: the images that come with Windows, or the others
  while IFS= read -r line; do
    case $line in \#*) continue ;; esac
    IFS='|' read -r name symbols what exports libraries company description <<<"${line//$'\t'/|}"
    case $company in Microsoft*) group=inbox ;; *) group=ours ;; esac
    if [ $group = "$1" ]; then
      image "$2" "$name" "$symbols" "$what" "$exports" "$libraries" "$company" "$description"
    fi
  done <images.tsv
}

save() { # folder: keeps the images, their symbol files and symbols
  mkdir -p "$out/$arch.files/$1"
  python3 gen.py symbols -- *.exe *.dll *.DLL *.sys *.SYS
  mv -- *.exe *.dll *.DLL *.sys *.SYS *.pdb *.sym "$out/$arch.files/$1/"
}

build() { # all of one architecture, in a folder of its own
  arch=$1 target=$2 frames=("${@:3}")
  mkdir "$work/$arch"
  cp "$src"/* "$work/$arch"
  cd "$work/$arch"
  shopt -s nullglob
  rm -rf "$out/$arch.files"
  compile kernel.o kernel.c
  clang-19 -target "$target" -c "kernel-$arch.S" -o kernel-s.o
  clang-19 -target "$target" -c "driver-$arch.S" -o driver.o
  clang-19 -target "$target" -c "user-$arch.S" -o user-ntdll.o
  local builds=${arch}_builds b version
  for b in ${!builds}; do
    version=10.0.${b/:/.}
    kernel "${b%:*}" "$version"
    images inbox "$version"
    save "${b%:*}"
  done
  images ours 4.1.0.0
  save common
}

build arm64 aarch64-pc-windows-msvc -fno-omit-frame-pointer &
build x64 x86_64-pc-windows-msvc
wait $!
