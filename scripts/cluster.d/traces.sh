# What a node has outside its own namespaces: a veth and a route to it, cgroups of its pods; sourced by ../cluster.
# The rest goes with its first process.

# Prints the node's address in a /30 that is its own from now on: .1 is the machine, .2 the node. One that the machine
# knows anything of is not taken; and of two that take one at the same moment, the kernel lets only one add the route.
# That route stays: what is sent to a node that is not there must not leave the machine by its default route.
claim_subnet() {
  local third
  for third in $(seq 0 255); do
    if ! ip -4 route show match "10.213.$third.1" | grep -qv ^default &&
      ip route add unreachable "10.213.$third.0/30" metric 4096 2>/dev/null; then
      echo "10.213.$third.2"
      return
    fi
  done
  die "every network 10.213.0-255.0 is taken on this machine" "end clusters: scripts/cluster down"
}

# What the machine sees of the node at this address is called so.
name_of() { echo "osm-node$(echo "$1" | cut -d . -f 3)"; }

# Through the link, whose route is the better one.
connect() {
  local node=$1 address=$2 link
  link=$(name_of "$address")
  ip link add "$link" type veth peer name eth0 netns "$node"
  ip address add "${address%.*}.1/30" dev "$link"
  ip link set "$link" up
}

# A network namespace can outlive its processes by minutes, for connections that are not closed; so its link is removed.
disconnect() {
  ip link del "$(name_of "$1")" 2>/dev/null || :
  ip route del unreachable "${1%.*}.0/30" metric 4096 2>/dev/null || :
}

# Where its pods are counted, of that name: in each hierarchy of version 1, or in the one of version 2.
make_cgroups() {
  local controller file
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$1"
    for controller in cpuset cpu memory pids; do
      echo +$controller >/sys/fs/cgroup/cgroup.subtree_control
      echo +$controller >"/sys/fs/cgroup/$1/cgroup.subtree_control"
    done
    return
  fi
  for controller in /sys/fs/cgroup/*/; do
    [ ! -e "$controller/cgroup.procs" ] || mkdir -p "$controller/$1"
  done
  for file in cpuset.cpus cpuset.mems; do   # empty in a new one, and then nothing can run there
    cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$1/$file"
  done
}

remove_cgroups() {
  local folder
  for folder in "/sys/fs/cgroup/$1" /sys/fs/cgroup/*/"$1"; do
    [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} +
  done
}
