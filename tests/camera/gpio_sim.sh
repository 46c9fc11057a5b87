#!/usr/bin/env bash
# Builds the kernel's simulated GPIO chip, which Debian's kernels come without:
#
#   gpio_sim.sh TREE VERSION WORK
#
# TREE     the folder of the guest's modules; gets extra/gpio-sim.ko.
# VERSION  of its kernel.
# WORK     scratch space; the log stays there when it fails.
# From Debian's own source of that kernel: gpio-sim.c, and irq_sim.c, which it needs and which is built into
# kernels that have it. Fetches 150 MB once. Needs gcc and make.
set -euo pipefail
tree=$(realpath "$1") version=$2 work=$(realpath -m "$3")
[ ! -e "$tree/extra/gpio-sim.ko" ] || exit 0
command -v gcc >/dev/null && command -v make >/dev/null || { echo "gcc or make is missing" >&2; exit 1; }
rm -rf "$work"
mkdir -p "$work/module" "$work/packages"
cd "$work"
names=$(apt-get install -s --no-install-recommends "linux-headers-$version" |
  awk '/^Inst linux-(headers|kbuild)/ {print $2}')
# shellcheck disable=SC2086 # each word is a package
(cd packages && apt-get download -qq $names "linux-source-$(cut -d. -f1,2 <<<"$version")")
for file in packages/*.deb; do dpkg-deb -x "$file" .; done
archive=$(find usr/src -name 'linux-source-*.tar.xz')
inside=$(basename "$archive" .tar.xz)
tar -xf "$archive" -C module --strip-components=1 \
  "$inside"/drivers/gpio/{gpio-sim.c,gpiolib.h} "$inside/kernel/irq/irq_sim.c"
rm -rf packages "$archive"
cp module/drivers/gpio/gpiolib.h module/
cp module/drivers/gpio/gpio-sim.c module/chip.c
# irq_to_desc is for the kernel itself; this is the way that modules have.
sed 's/irq_to_desc(\(\w*\))/irq_data_to_desc(irq_get_irq_data(\1))/' module/kernel/irq/irq_sim.c >module/irqs.c
printf 'obj-m := gpio-sim.o\ngpio-sim-y := chip.o irqs.o\n' >module/Makefile
# Headers expect to be installed below /usr.
headers=$work/usr/src/linux-headers-$version
sed -i "s#/usr/src/#$work/usr/src/#" "$headers/Makefile"
make -C "$headers" M="$work/module" modules >"$work/log" 2>&1 || { tail "$work/log" >&2; exit 1; }
mkdir -p "$tree/extra"
cp module/gpio-sim.ko "$tree/extra/"
# Made again with the new module in it.
rm -f "$tree/modules.dep"
rm -rf "$work/module" "$work/usr" "$work/lib"
