# Keys, certificates and kubeconfigs of a node, made by openssl in the folder given: sourced by ../cluster.
# One authority signs everything; it lives as long as the cluster, which is thrown away.
DAYS=30

# Whose key it is: NAME SUBJECT [SUBJECT-ALT-NAMES]
issue() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "$2" -out "$1.csr" 2>/dev/null
  {
    echo "basicConstraints=critical,CA:false"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    [ $# -lt 3 ] || echo "subjectAltName=$3"
  } >"$1.extensions"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -days $DAYS -out "$1.crt" -extfile "$1.extensions" 2>/dev/null
  rm "$1.csr" "$1.extensions"
}

# A file that needs nothing beside it: NAME SERVER
kubeconfig() {
  cat <<YAML
apiVersion: v1
kind: Config
clusters: [{name: osm-cluster, cluster: {server: "$2", certificate-authority-data: $(base64 -w 0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w 0 "$1.crt"), client-key-data: $(base64 -w 0 "$1.key")}}]
contexts: [{name: osm-cluster, context: {cluster: osm-cluster, user: $1}}]
current-context: osm-cluster
YAML
}

# FOLDER ADDRESS-OF-THE-NODE. The names are those that RBAC's built-in roles are bound to.
make_identities() (
  umask 077
  mkdir -p "$1"
  cd "$1" || exit
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days $DAYS \
    -subj /CN=osm-cluster -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  openssl ecparam -name prime256v1 -genkey -noout -out accounts.key
  openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null

  inside=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  issue kube-apiserver /O=system:masters/CN=kube-apiserver "$inside,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:$2"
  issue kubelet /O=system:nodes/CN=system:node:node "DNS:node,IP:$2"
  issue kube-controller-manager /CN=system:kube-controller-manager
  issue kube-scheduler /CN=system:kube-scheduler
  issue kube-proxy /CN=system:kube-proxy
  issue admin /O=system:masters/CN=admin
  for who in kubelet kube-controller-manager kube-scheduler kube-proxy admin; do
    kubeconfig $who "https://$2:6443" >$who.kubeconfig
  done
)
