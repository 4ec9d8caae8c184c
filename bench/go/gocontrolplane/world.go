package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	// The kinds of resource that are recorded: their types must be known to unpack them.
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// world is what is served: for each group of proxies its resources by type, and the load assignment that changes.
type world struct {
	groups []map[string][]types.Resource
	hub    *endpoint.ClusterLoadAssignment
}

// recorded is resources.json. Equal resources of several groups are there once; groups name them by number.
type recorded struct {
	Hub       string  `json:"hub"`
	Groups    [][]int `json:"groups"`
	Resources []struct {
		TypeURL string `json:"type_url"`
		Value   []byte `json:"value"`
	} `json:"resources"`
}

func readWorld(folder string) (world, error) {
	text, err := os.ReadFile(filepath.Join(folder, "resources.json"))
	if err != nil {
		return world{}, err
	}
	var found recorded
	if err := json.Unmarshal(text, &found); err != nil {
		return world{}, err
	}
	var made world
	resources := make([]types.Resource, len(found.Resources))
	for at, one := range found.Resources {
		message, err := anypb.UnmarshalNew(&anypb.Any{TypeUrl: one.TypeURL, Value: one.Value}, proto.UnmarshalOptions{})
		if err != nil {
			return world{}, fmt.Errorf("resource %d: %w", at, err)
		}
		resources[at] = message
		if load, ok := message.(*endpoint.ClusterLoadAssignment); ok && load.GetClusterName() == found.Hub {
			made.hub = load
		}
	}
	if made.hub == nil {
		return world{}, fmt.Errorf("no load assignment is called %q", found.Hub)
	}
	for _, numbers := range found.Groups {
		group := map[string][]types.Resource{}
		for _, number := range numbers {
			url := found.Resources[number].TypeURL
			group[url] = append(group[url], resources[number])
		}
		made.groups = append(made.groups, group)
	}
	return made, nil
}
