#!/bin/busybox sh
# The guest's first process: loads drivers, lays memory over the host's files, runs the command there, powers off.
/bin/busybox --install -s /bin
export PATH=/bin
finish() {
  echo "$1" >/outside/code 2>/dev/null
  sync
  poweroff -f
}
mkdir -p /proc /sys /files /memory /outside /all
mount -t proc proc /proc
mount -t sysfs sys /sys
for name in virtio_pci 9pnet_virtio 9p overlay; do modprobe "$name"; done
# msize: the packets of 9p; the default makes reading Python's many files slow.
share="trans=virtio,version=9p2000.L,msize=524288"
mount -t 9p -o "$share,ro,cache=loose" host_files /files || finish 125
mount -t 9p -o "$share,cache=none" host_out /outside || finish 125
mount -t tmpfs -o size=2g memory /memory
mkdir /memory/upper /memory/scratch
mount -t overlay -o lowerdir=/files,upperdir=/memory/upper,workdir=/memory/scratch all /all || finish 125

while read -r module; do
  # shellcheck disable=SC2086 # a name and its options
  [ -z "$module" ] || modprobe $module || { echo "guest: the module $module cannot be loaded"; finish 125; }
done </modules

for folder in proc sys dev dev/shm run; do mkdir -p "/all/$folder"; done
mount -t proc proc /all/proc
mount -t sysfs sys /all/sys
mount -t devtmpfs dev /all/dev
mkdir -p /all/dev/shm
mount -t tmpfs shm /all/dev/shm
mount -t tmpfs run /all/run
mkdir -p "/all$(cat /out)"
mount -o bind /outside "/all$(cat /out)"
cp /command /all/run/command
ip link set lo up

chroot /all /bin/bash /run/command
finish $?
