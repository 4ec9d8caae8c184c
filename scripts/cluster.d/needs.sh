# What a node needs of the machine; sourced by ../cluster.
# command=Debian package
NEEDED="containerd=containerd ctr=containerd runc=runc iptables=iptables conntrack=conntrack ip=iproute2
  openssl=openssl nsenter=util-linux"
ELSEWHERE="use a cluster of kind or minikube: all that follows works there too (docs/cluster.md)"

need_root() {
  [ "$(uname -s)" = Linux ] || die "a node runs on Linux; found $(uname -s)" "$ELSEWHERE"
  [ "$(id -u)" = 0 ] ||
    die "a node needs root, for namespaces, mounts and cgroups; found user $(id -un)" "run it as root, or $ELSEWHERE"
}

# Prints the folder of the CNI plugins: Debian has them in one place, most others in another.
find_plugins() {
  local folder
  for folder in /usr/lib/cni /opt/cni/bin /usr/libexec/cni; do
    if [ -x $folder/bridge ] && [ -x $folder/host-local ]; then
      echo $folder
      return
    fi
  done
  return 1
}

need_packages() {
  local pair missing=
  PATH=$PATH:/usr/sbin:/sbin
  for pair in $NEEDED; do
    command -v "${pair%=*}" >/dev/null || missing="$missing ${pair#*=}"
  done
  find_plugins >/dev/null || missing="$missing containernetworking-plugins"
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null || die "missing on this machine:$missing" "install them, or $ELSEWHERE"
  echo "installing$missing" >&2
  # shellcheck disable=SC2086
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $missing; } \
    >/dev/null || die "apt-get could not install$missing" "install them, or $ELSEWHERE"
}
