#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests of src/tools/setup with stand-ins for dpkg-query, apt-get, id and sudo: nothing is installed.
set -u
unset MUSTER_SETUP
setup=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/src/tools/setup
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

stand_in() { # NAME BODY
    printf '#!/bin/bash\n%s\n' "$2" >"$scratch/bin/$1"
    chmod +x "$scratch/bin/$1"
}
# installed-packages is the stand-in's database; apt-get adds to it and notes its calls.
fresh_machine() {
    rm -rf "$scratch/bin" "$scratch/calls" && mkdir -p "$scratch/bin"
    : >"$scratch/calls"
    : >"$scratch/installed-packages"
    printf 'ID=debian\nVERSION_ID="12"\n' >"$scratch/os-release"
    stand_in dpkg-query "grep -qx -- \"\${@: -1}\" '$scratch/installed-packages' && echo installed"
    stand_in apt-get "echo \"apt-get as \${RUN_BY:-root}: \$*\" >>'$scratch/calls'
for word; do case \$word in install) found=1 ;; *) [ -n \"\${found:-}\" ] && echo \"\$word\" >>'$scratch/installed-packages' ;; esac; done; true"
    stand_in sudo 'RUN_BY=sudo exec "$@"'
    stand_in id 'echo 0'
    for tool in bash sed grep env true cat; do ln -sf "$(command -v $tool)" "$scratch/bin/$tool"; done
}
run_setup() {
    PATH=$scratch/bin MUSTER_OS_RELEASE=$scratch/os-release "$scratch/bin/bash" "$setup" "$@" >"$scratch/out" 2>&1
}
expect() { # TEXT CONDITION..
    local text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $text"
        sed 's/^/  | /' "$scratch/out" "$scratch/calls"
    fi
}
says() { grep -q -- "$1" "$scratch/out"; }
called() { grep -q -- "$1" "$scratch/calls"; }
silent() { [ ! -s "$scratch/calls" ]; }

fresh_machine
expect "it installs on a fresh machine" run_setup
expect "it says what it installs" says 'installing with apt: .*libboost1.81-dev'
expect "it calls apt-get as root" called '^apt-get as root: .*install.* clang-16'
expect "it installs the formatter that tests/checks/tidy.py asks for" called 'install.* clang-format-16'
expect "it installs what tests/run's stage lint asks for" called 'install.* clang-tidy-16'
expect "it never asks for Boost 1.74" eval '! called "libboost-dev\|1\.74"'
: >"$scratch/calls"
expect "it succeeds a second time" run_setup
expect "it says that nothing is to do" says 'nothing to do'
expect "it does not call apt a second time" silent
sed -i /ccache/d "$scratch/installed-packages"
expect "--check fails when something is missing" eval '! run_setup --check'
expect "--check names what is missing" says 'missing: ccache$'
expect "--check installs nothing" silent

fresh_machine
stand_in id 'echo 1000'
expect "it works through sudo" run_setup
expect "it uses sudo when it is not root" called '^apt-get as sudo: .*install'
fresh_machine
stand_in id 'echo 1000'
rm "$scratch/bin/sudo"
expect "it fails without root and sudo" eval '! run_setup'
expect "it then tells the command" says 'apt-get install -y .*meson'

fresh_machine
echo libboost1.74-dev >"$scratch/installed-packages"
expect "it refuses Boost 1.74" eval '! run_setup'
expect "it tells why and the way out" eval 'says "needs Boost >= 1.81" && says "apt-get remove"'
expect "it touches nothing then" silent

fresh_machine
printf 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=40\n' >"$scratch/os-release"
expect "it refuses another distribution" eval '! run_setup'
expect "it names that system and lists what is needed" eval 'says "fedora 40" && says "liburing >= 2.3" && says "Boost >= 1.81"'
expect "it calls no apt there" silent
expect "it can be told that the machine is set up" env MUSTER_SETUP=skip PATH="$scratch/bin" \
    MUSTER_OS_RELEASE="$scratch/os-release" bash "$setup"
expect "it calls no apt then" silent
fresh_machine
stand_in apt-get 'exit 100'
expect "it fails when apt fails" eval '! run_setup'
expect "it says so" says 'apt-get update failed'
expect "an unknown option is refused" eval '! run_setup --force'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
