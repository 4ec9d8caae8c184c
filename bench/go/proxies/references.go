package main

import (
	"cmp"
	"errors"
	"sync"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3" // known, and so unpacked
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
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

func (r *references) of(packed []byte) ([]name, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found, known := r.found[string(packed)]; known {
		return found, nil
	}
	var resource anypb.Any
	if err := proto.Unmarshal(packed, &resource); err != nil {
		return nil, err
	}
	var found []name
	if err := walk(resource.ProtoReflect(), func(one name) { found = append(found, one) }); err != nil {
		return nil, err
	}
	r.found[string(packed)] = found
	return found, nil
}

// walk looks at a message and all that is in it, packed messages of a known type included, for the three ways to refer.
func walk(message protoreflect.Message, refers func(name)) error {
	switch one := message.Interface().(type) {
	case *anypb.Any:
		inner, err := one.UnmarshalNew()
		if errors.Is(err, protoregistry.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return walk(inner.ProtoReflect(), refers)
	case *cluster.Cluster:
		if one.GetType() == cluster.Cluster_EDS {
			refers(name{resource.EndpointType, cmp.Or(one.GetEdsClusterConfig().GetServiceName(), one.GetName())})
		}
	case *hcm.Rds:
		refers(name{resource.RouteType, one.GetRouteConfigName()})
	case *tls.SdsSecretConfig:
		if one.GetSdsConfig() != nil {
			refers(name{resource.SecretType, one.GetName()})
		}
	}
	var failed error
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		failed = walkField(field, value, refers)
		return failed == nil
	})
	return failed
}

func walkField(field protoreflect.FieldDescriptor, value protoreflect.Value, refers func(name)) error {
	switch {
	case field.IsMap():
		if field.MapValue().Message() == nil {
			return nil
		}
		var failed error
		value.Map().Range(func(_ protoreflect.MapKey, one protoreflect.Value) bool {
			failed = walk(one.Message(), refers)
			return failed == nil
		})
		return failed
	case field.Message() == nil:
		return nil
	case field.IsList():
		for at := range value.List().Len() {
			if err := walk(value.List().Get(at).Message(), refers); err != nil {
				return err
			}
		}
		return nil
	default:
		return walk(value.Message(), refers)
	}
}
