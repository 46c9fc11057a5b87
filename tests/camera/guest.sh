#!/usr/bin/env bash
# Runs a command in a small Debian guest that has kernel drivers which this machine lacks:
#
#   guest.sh WORK OUT COMMAND...
#
# WORK keeps what was fetched: qemu unless there is one, a kernel, busybox. Nothing is installed on this machine.
# The guest sees this machine's files as they are, with a layer in memory above them that takes what it writes;
# so the command finds the same Python environment and the same checkout. OUT is the one folder that both write
# to. The exit code is the command's; 125 when the guest did not come so far.
#
# GUEST_MODULES  kernel modules to load, with their options, one a line; ? before it: if there is one.
# GUEST_PREPARE  a command that is given the folder of the kernel's modules, the version, and a scratch folder.
# GUEST_ACCEL    tcg unless set: software emulation, which works anywhere; kvm is faster where there is one.
# GUEST_LIMIT    seconds until the guest is stopped; 1800 unless set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(realpath -m "$1") out=$(realpath -m "$2")
shift 2
modules=${GUEST_MODULES:-} prepare=${GUEST_PREPARE:-} accel=${GUEST_ACCEL:-tcg} limit=${GUEST_LIMIT:-1800}
root=$work/root

fail() {
  echo "guest: $*" >&2
  exit 125
}

fetch() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    fail "apt-get and dpkg-deb fetch it: this needs Debian or one of its kin."
  [ "$(dpkg --print-architecture)" = amd64 ] || fail "it is for x86-64 machines."
  local wanted=(linux-image-amd64 busybox-static) names file
  command -v qemu-system-x86_64 >/dev/null || wanted+=(qemu-system-x86)
  # A simulated install names what this machine lacks; a download needs no root and installs nothing.
  names=$(apt-get install -s --no-install-recommends --reinstall "${wanted[@]}" | awk '/^Inst/ {print $2}')
  echo "guest: fetching $(wc -w <<<"$names") packages into $work" >&2
  rm -rf "$root" "$work/packages"
  mkdir -p "$root" "$work/packages"
  # shellcheck disable=SC2086 # each word is a package
  (cd "$work/packages" && apt-get download -qq $names) || fail "packages cannot be fetched; try apt-get update."
  for file in "$work"/packages/*.deb; do dpkg-deb -x "$file" "$root"; done
  rm -rf "$work/packages"
  touch "$root/complete"
}

[ -e "$root/complete" ] || fetch
busybox=$(find "$root/bin" "$root/usr/bin" -name busybox -type f 2>/dev/null | head -n 1)
kernel=$(find "$root/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)
[ -n "$busybox" ] && [ -n "$kernel" ] || fail "$work is not whole: remove it and start again."
version=${kernel##*/vmlinuz-}
tree=$root/lib/modules/$version
[ -d "$tree" ] || tree=$root/usr/lib/modules/$version
if [ -n "$prepare" ]; then
  "$prepare" "$tree" "$version" "$work/prepare" >&2 || echo "guest: $prepare failed" >&2
fi
[ -e "$tree/modules.dep" ] || "$busybox" depmod -b "${tree%/lib/modules/*}" "$version"

while read -r line; do
  name=${line#\?}
  if [ "$name" = "$line" ] || grep -q "/${name%% *}\.ko" "$tree/modules.dep"; then
    found+=$name$'\n'
  fi
done <<<"$modules"
modules=${found:-}

# The first file system: busybox, and of the kernel's modules those that are wanted.
boot=$work/boot
rm -rf "$boot"
mkdir -p "$boot/bin" "$boot/lib/modules/$version" "$out"
cp "$busybox" "$boot/bin/busybox"
cp "$here/guest_init.sh" "$boot/init"
cp "$tree"/modules.{dep,builtin,order} "$boot/lib/modules/$version/"
for name in virtio_pci 9pnet_virtio 9p overlay $(awk '{print $1}' <<<"$modules"); do
  line=$(grep -E "/$name\.ko[^ ]*:" "$tree/modules.dep") || continue # part of the kernel itself
  for file in ${line/:/}; do
    mkdir -p "$boot/lib/modules/$version/$(dirname "$file")"
    cp "$tree/$file" "$boot/lib/modules/$version/$file"
  done
done
printf '%s\n' "$modules" >"$boot/modules"
printf '%s\n' "$out" >"$boot/out"
{
  printf 'cd %q || exit 125\n' "$PWD"
  printf 'export HOME=%q PATH=%q\n' "$HOME" "$PATH"
  printf 'exec'
  printf ' %q' "$@"
  printf '\n'
} >"$boot/command"
chmod -R u+rwX,go+rX "$boot"
chmod 755 "$boot/init"
(cd "$boot" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$work/boot.cpio.gz"
rm -rf "$boot"

qemu=$(command -v qemu-system-x86_64 || true)
paths=()
if [ -z "$qemu" ]; then
  qemu=$root/usr/bin/qemu-system-x86_64
  paths=(-L "$root/usr/share/qemu" -L "$root/usr/share/seabios")
  export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
fi
rm -f "$out/code"
# 9p needs no more rights than the user's own: whoever cannot read a file here cannot read it there either.
timeout --foreground "$limit" "$qemu" "${paths[@]}" -accel "$accel" -cpu max,arch-capabilities=off -smp 2 -m 3072 \
  -nodefaults -no-user-config -no-reboot -display none -serial stdio \
  -kernel "$kernel" -initrd "$work/boot.cpio.gz" -append "console=ttyS0 quiet no_timer_check panic=-1 loglevel=1" \
  -fsdev local,id=files,path=/,security_model=none,readonly=on,multidevs=remap \
  -device virtio-9p-pci,fsdev=files,mount_tag=host_files \
  -fsdev local,id=out,path="$out",security_model=none,multidevs=remap \
  -device virtio-9p-pci,fsdev=out,mount_tag=host_out \
  </dev/null || fail "qemu ended with $?; 124 means that $limit s were not enough."
[ -s "$out/code" ] || fail "it ended before the command did."
exit "$(cat "$out/code")"
