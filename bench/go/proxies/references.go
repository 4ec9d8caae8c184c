package main

import (
	"cmp"
	"sync"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3" // known, and so unpacked
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// name is the type URL and name of a resource.
type name struct{ typeURL, name string }

// references are what resources refer to, looked up once for all proxies of the process.
type references struct {
	mu    sync.Mutex
	found map[string][]name // by the packed resource
}

func newReferences() *references { return &references{found: map[string][]name{}} }

// of looks at all that is in the packed resource, messages packed in it included where their type is known here.
func (r *references) of(packed []byte) ([]name, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found, known := r.found[string(packed)]; known {
		return found, nil
	}
	var whole anypb.Any
	if err := proto.Unmarshal(packed, &whole); err != nil {
		return nil, err
	}
	var found []name
	err := protorange.Range(whole.ProtoReflect(), func(path protopath.Values) error {
		if message, is := path.Index(-1).Value.Interface().(protoreflect.Message); is {
			if one, refers := reference(message.Interface()); refers {
				found = append(found, one)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.found[string(packed)] = found
	return found, nil
}

// reference is what a message refers to, if it is one of the three ways to refer.
func reference(message proto.Message) (name, bool) {
	switch one := message.(type) {
	case *cluster.Cluster:
		service := cmp.Or(one.GetEdsClusterConfig().GetServiceName(), one.GetName())
		return name{resource.EndpointType, service}, one.GetType() == cluster.Cluster_EDS
	case *hcm.Rds:
		return name{resource.RouteType, one.GetRouteConfigName()}, true
	case *tls.SdsSecretConfig:
		return name{resource.SecretType, one.GetName()}, one.GetSdsConfig() != nil
	default:
		return name{}, false
	}
}
